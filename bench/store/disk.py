"""What writers need of a disk: files that appear whole or not at all, digests, and a next step for each error."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import CannotRun

_ELSEWHERE = "write elsewhere with --out DIR"
_NEXT_STEP = {
    errno.ENOSPC: f"free space on that disk, or {_ELSEWHERE}; what was written so far is kept",
    errno.EDQUOT: f"the disk quota is used up: free space, or {_ELSEWHERE}; what was written so far is kept",
    errno.EFBIG: f"the file may not grow further: raise the limit (ulimit -f), or {_ELSEWHERE}",
    errno.EACCES: f"make the folder writable, or {_ELSEWHERE}",
    errno.EPERM: f"make the folder writable, or {_ELSEWHERE}",
    errno.EROFS: f"the disk is mounted read-only: {_ELSEWHERE}",
    errno.ENOENT: f"the folder does not exist: create it, or {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file: {_ELSEWHERE}",
    errno.EEXIST: "that run was already started: continue it with --resume, or give another --run-id",
    errno.EAGAIN: "another process is still writing this run: wait until it ends",
}

DAMAGED = "the run is damaged: restore its folder from a copy"
"""What to do about a file of a run that is gone or cannot be read."""


def next_step(error: OSError) -> str:
    """What to do about an error of the disk."""
    return _NEXT_STEP.get(error.errno or 0, _ELSEWHERE)


def sync_folder(path: Path) -> None:
    """Makes new names in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file's lock: no second process gets it until the block, or this process, ends. Raises CannotRun."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise CannotRun(f"{path.parent}: another process is writing this run", "wait until it ends") from error
    except OSError as error:
        raise CannotRun(f"{path}: cannot lock: {error.strerror or error}", next_step(error)) from error


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A name to write under; the file appears as `path` when the block ends, whole and synced, or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CannotRun(f"{path}: cannot write: {error.strerror or error}", next_step(error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unreadable(path: Path, error: Exception) -> CannotRun:
    """What is told of a stored table that cannot be read: where and why in one line, and the next step."""
    return CannotRun(f"{path}: cannot read: {' '.join(str(error).split()).rstrip('.')}", DAMAGED)
