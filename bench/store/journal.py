"""The journal: one append-only file that a crash cannot take back, written while the run is under load.

    file    = magic, record, record, ...
    record  = length (u32), crc32 of the payload (u32), payload
    payload = length of the JSON (u32), JSON, then the raw stamps of every chunk row:
              int64 arrived, int32 sizes, int64 content

All integers are little-endian. The first record is the header given at the start (`{"meta": {...}}`). Every other one is
everything of one request, or a note: that requests were handed to the wire (`{"sent": [seq, ...]}`), or a fact of the run that
became known later (`{"facts": {...}}`). Appending only encodes and queues; a thread of its own writes and syncs, so that
the loop that measures never waits for a disk.

A run that is continued begins a journal of its own; none is ever written to again after its process ended.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import threading
import zlib
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from bench.errors import CannotRun
from bench.record import TABLES
from bench.store.disk import next_step, sync_folder

MAGIC = b"BENCHJ1\n"
FLUSH_BYTES = 4 << 20
WRITE_SECONDS = 0.1
"""A killed process loses what it had not written: this much."""
FLUSH_SECONDS = 1.0
"""A power cut loses what was not synced: this much."""
QUEUE_BYTES = 512 << 20
"""More than this waiting means that the disk cannot keep up; memory must not pay for it without a word."""
RECORD_BYTES = 1 << 30

_NAME = re.compile(r"journal(?:-r(\d+))?(?:-(\d+))?\.bin")
_HEAD = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_STAMPS = (("arrived_ns", "q", "<i8"), ("sizes", "i", "<i4"), ("content_ns", "q", "<i8"))
_DECIMALS = {
    table: tuple(c.name for c in TABLES[table] if c.kind.startswith("decimal")) for table in ("requests", "attempts")
}


class JournalError(CannotRun):
    """The journal cannot be written or read. What was written before stays readable."""


def encode(record: Mapping[str, Any]) -> list[bytes]:
    """A record as the buffers of its frame, in order."""
    rows, stamps = [], []
    for chunk in record.get("chunks", ()):
        row = dict(chunk)
        for name, code, _ in _STAMPS:
            values = row.get(name)
            if values is not None:
                raw = _raw(values, code)
                row[name] = len(raw) // (8 if code == "q" else 4)
                stamps.append(raw)
        rows.append(row)
    json = _json({**record, "chunks": rows})
    body = b"".join((_LENGTH.pack(len(json)), json, *stamps))
    return [_HEAD.pack(len(body), zlib.crc32(body)), body]


def _raw(values: Any, code: str) -> bytes:
    """Integers as little-endian bytes. Lists, tuples, arrays and numpy arrays are taken."""
    if isinstance(values, np.ndarray) and values.dtype == ("<i8" if code == "q" else "<i4"):
        return values.tobytes()
    if isinstance(values, array) and values.typecode == code and sys.byteorder == "little":
        return values.tobytes()
    return struct.pack(f"<{len(values)}{code}", *values)


def _json(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # half a surrogate pair in a reply is no UTF-8; it must cost that character, not the record
        return orjson.dumps(_utf8(record), default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_utf8(k): _utf8(v) for k, v in value.items()}
    return [_utf8(v) for v in value] if isinstance(value, (list, tuple)) else value


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a journal record cannot hold {type(value).__name__}")


def _decode(body: bytes) -> dict[str, Any]:
    (size,) = _LENGTH.unpack_from(body)
    record: dict[str, Any] = orjson.loads(body[4 : 4 + size])
    at = 4 + size
    for chunk in record["chunks"]:
        for name, _, dtype in _STAMPS:
            count = chunk.get(name)
            if count is not None:
                chunk[name] = np.frombuffer(body, dtype, count, at)
                at += chunk[name].nbytes
    _restore(record.get("request") or {}, _DECIMALS["requests"])
    for attempt in record.get("attempts") or ():
        _restore(attempt, _DECIMALS["attempts"])
    return record


def _restore(row: dict[str, Any], names: Sequence[str]) -> None:
    """Money travels as text."""
    for name in names:
        if row.get(name) is not None:
            row[name] = Decimal(row[name])


class Journal:
    """The open journal of a running process. Appends come from one thread; the disk is another thread's business.

    Written every `WRITE_SECONDS`, synced every `flush_seconds`, and both sooner when `FLUSH_BYTES` wait. After an error
    of the disk nothing more is written, and every later `append`, `flush` and `close` raises it. The file is locked while
    open, so a run that is still going can be told from one that crashed.
    """

    def __init__(
        self,
        path: Path,
        meta: Mapping[str, Any] | None = None,
        *,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """Makes the file and starts it with `meta`."""
        self.path = Path(path)
        self._queue: list[bytes] = [MAGIC, *encode({"meta": dict(meta or {})})]
        self._sent: deque[int] = deque()  # noted since the last write, which makes one record of them
        self._waiting = sum(map(len, self._queue))
        self._unsynced = 0
        self._closing = False
        self._error: JournalError | None = None
        self._write_seconds = min(WRITE_SECONDS, flush_seconds)
        self._writes_per_sync = max(1, round(flush_seconds / self._write_seconds))
        self._changed = threading.Condition()
        self._urgent = False
        self._fd = _create(self.path)
        self._thread = threading.Thread(target=self._run, name="bench-journal", daemon=True)
        self._thread.start()
        self.flush()  # a disk that cannot take the first line is told before the first request

    def sent(self, seq: int) -> None:
        """Notes that a request is on its way: one that was noted and has no record was in flight when a run crashed."""
        self._check_open()
        self._sent.append(seq)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Notes facts of the run that were not known when it started. They are found in the `meta` of its records."""
        self.append({"facts": dict(facts)})

    def append(self, record: Mapping[str, Any]) -> None:
        """Queues one request's record. Raises JournalError when the disk failed earlier or cannot keep up."""
        frame = encode(record)
        with self._changed:
            self._check_open()
            self._queue += frame
            self._waiting += len(frame[0]) + len(frame[1])
            if self._waiting - self._unsynced >= FLUSH_BYTES:
                self._changed.notify_all()
            if self._waiting > QUEUE_BYTES:
                self._error = JournalError(
                    f"{self.path}: {self._waiting >> 20} MiB wait for the disk, which does not keep up",
                    "write the results to a faster disk: --out DIR",
                )
                raise self._error

    def flush(self) -> None:
        """Returns when everything appended so far is on the disk. Blocks: call it from a thread, not from the loop."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or not (self._waiting or self._sent))
            self._check()

    def close(self) -> None:
        """Writes what waits and releases the file. Raises the error of the disk, if there was one."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._check()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _check_open(self) -> None:
        self._check()
        if self._closing:
            raise JournalError(f"{self.path}: the journal is closed")

    def _run(self) -> None:
        """The writing thread: takes the queue when it is long, when its time has come, or at the end."""
        rounds = 0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closing or self._urgent or self._waiting - self._unsynced >= FLUSH_BYTES,
                    self._write_seconds,
                )
                rounds += 1
                urgent = self._urgent or self._closing or self._waiting >= FLUSH_BYTES
                self._urgent = False
                frames, self._queue = self._queue, []
                if self._sent:
                    noted = encode({"sent": [self._sent.popleft() for _ in range(len(self._sent))]})
                    self._waiting += len(noted[0]) + len(noted[1])
                    frames = [*noted, *frames]
                size = self._waiting - self._unsynced
                done = self._closing and not self._waiting
            if done:
                return
            try:
                if frames:
                    write_all(self._fd, frames)
                    self._unsynced += size
                if not self._unsynced or not (urgent or rounds >= self._writes_per_sync):
                    continue
                os.fdatasync(self._fd)
            except Exception as error:  # nothing may end this thread without a word to the one that appends
                with self._changed:
                    self._error = _explain(self.path, error)
                    self._changed.notify_all()
                return
            with self._changed:
                self._waiting -= self._unsynced
                self._changed.notify_all()
            self._unsynced = rounds = 0


def write_all(fd: int, buffers: Sequence[bytes]) -> None:
    """Writes the buffers in order, however the kernel cuts them. Joining them first would hold the interpreter lock."""
    step = 512  # below IOV_MAX, which is 1024 on Linux
    for first in range(0, len(buffers), step):
        pending: list[Any] = list(buffers[first : first + step])
        while pending:
            written = os.writev(fd, pending)
            while pending and written >= len(pending[0]):
                written -= len(pending.pop(0))
            if written:
                pending[0] = memoryview(pending[0])[written:]


def _create(path: Path) -> int:
    """The new file, locked."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise _explain(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_folder(path.parent)
    except OSError as error:
        os.close(fd)
        raise _explain(path, error) from error
    return fd


def _explain(path: Path, error: Exception) -> JournalError:
    if not isinstance(error, OSError):
        return JournalError(f"{path}: cannot write the run's journal: {type(error).__name__}: {error}")
    return JournalError(f"{path}: cannot write the run's journal: {error.strerror or error}", next_step(error))


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock of this file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


class Records(Iterator[dict[str, Any]]):
    """The records of a journal, in order, up to the first that is not whole.

    `meta` is the header, known at once; `headed` says whether it is whole, and if it is not, nothing follows. Facts that
    were noted later join it, and `sent` gathers the requests that were noted as sent, as the records are read. After the
    last record `good_bytes` is the length of the whole part, and `dropped_bytes` what stands behind it: the tail that a
    crash tore, or everything after damage in the middle. Stamps come as numpy arrays, decimals as Decimal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.good_bytes = 0
        self.dropped_bytes = 0
        self.sent = array("q")
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise JournalError(f"{path}: cannot read the run's journal: {error.strerror}", "check the path") from error
        self._size = os.fstat(self._file.fileno()).st_size
        start = self._file.read(len(MAGIC))
        if not MAGIC.startswith(start):
            self.close()
            raise JournalError(f"{path}: not a journal of bench", "check the path")
        self.good_bytes = len(start) if start == MAGIC else 0
        first = self._next()
        self.headed = first is not None
        self.meta: dict[str, Any] = first.get("meta", {}) if first else {}

    def __next__(self) -> dict[str, Any]:
        while (record := self._next()) is not None:
            if "sent" in record:
                noted = record["sent"]
                self.sent.extend(
                    noted if isinstance(noted, list) else [noted]
                )  # or one by one, as they once were written
            elif "facts" in record:
                self.meta.update(record["facts"])
            else:
                return record
        raise StopIteration

    def _next(self) -> dict[str, Any] | None:
        if self._file is None:
            return None
        head = self._file.read(_HEAD.size)
        length, crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        # A length of 0 is never written, but it is what a block of zeros after a power cut looks like: 0 bytes, crc 0.
        body = self._file.read(length) if 0 < length <= min(RECORD_BYTES, self._size) else b""
        if not body or len(body) < length or zlib.crc32(body) != crc:
            self.dropped_bytes = self._size - self.good_bytes
            self.close()
            return None
        self.good_bytes += _HEAD.size + length
        return _decode(body)

    def close(self) -> None:
        """Releases the file; needed only when the records are not read to their end."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> Records:
    """The records of a journal. Stops cleanly at a torn tail and says in `dropped_bytes` how much was lost."""
    return Records(path)


def journal_path(run_dir: Path, segment: int = 0, worker: int | None = None) -> Path:
    """Where a segment of a run keeps its journal: `journal.bin`, and `journal-r1.bin` after it was continued once.

    With several processes each has its own: `journal-0.bin`, `journal-r1-0.bin`.
    """
    again = f"-r{segment}" if segment else ""
    of = "" if worker is None else f"-{worker}"
    return run_dir / f"journal{again}{of}.bin"


def segment_of(journal: Path) -> int:
    """Which segment of a run a journal belongs to: 0 for the first."""
    found = _NAME.fullmatch(journal.name)
    return int(found[1] or 0) if found else 0


def journals(run_dir: Path) -> list[Path]:
    """The journals of a run, in the order of its segments."""
    return sorted(run_dir.glob("journal*.bin"), key=lambda path: (segment_of(path), path.name))
