"""Golden data: bytes of a wire with what they say, where they are from and of when. Files only, no code.

A golden is a text file: a YAML head, a line `---`, and the response body as it lay on the wire (in base64 where it is
binary). A wire is a folder of goldens with a `wire.yaml`; a door is one file that names its wires and holds its
requests. Whoever ships a door puts such files beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, Problem
from bench.record import Connection, Exchange, WireFailure

GOLDENS = Path(__file__).parent / "goldens"
STEP_NS = 1000
"""Events of a golden arrive this far apart: the n-th at n × 1000 ns."""

EVENT_STREAM = "application/vnd.amazon.eventstream"
KINDS = ("documented", "sdk", "look-alike", "third-party", "live")
"""How the bytes were come by. Only `live` was spoken by the cloud itself."""

_SSE_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_HEAD_KEYS = {
    "source", "date", "kind", "door", "covers", "content-type", "encoding", "status", "headers", "ends_with", "expect",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Golden:
    """A response body and what it says. `covers` names the checks that it serves; `ends_with` is the event (from 1)
    whose arrival makes the reply complete, where the golden is used to cut it short."""

    name: str
    source: str
    date: str
    kind: str
    door: str | None
    covers: tuple[str, ...]
    content_type: str
    status: int
    headers: tuple[tuple[str, str], ...]
    ends_with: int | None
    expect: Mapping[str, Any]
    body: bytes

    def exchange(self, pieces: Sequence[tuple[int, bytes]], failure: WireFailure | None = None) -> Exchange:
        return Exchange(
            sent_ns=0,
            headers_ns=1,
            end_ns=(pieces[-1][0] if pieces else 1) + STEP_NS,
            status=self.status,
            headers=(("content-type", self.content_type), *self.headers),
            pieces=tuple(pieces),
            connection=Connection(reused=True),
            failure=failure,
        )

    def ends(self) -> list[int]:
        """The offset at which each event of the body ends."""
        if EVENT_STREAM in self.content_type:
            return frame_ends(self.body)
        if "event-stream" not in self.content_type:
            return [len(self.body)]
        ends = [match.end() for match in _SSE_END.finditer(self.body)]
        return ends if ends and ends[-1] == len(self.body) else [*ends, len(self.body)]

    def event_by_event(self) -> Exchange:
        """One piece for each event, the first at 1000 ns, the next at 2000 ns, and so on."""
        starts = [0, *self.ends()]
        return self.exchange([((n + 1) * STEP_NS, self.body[a:b]) for n, (a, b) in enumerate(pairwise(starts))])

    def cut(self, size: int, failure: WireFailure | None = None) -> Exchange:
        """The body's first bytes in one piece, then its end."""
        return self.exchange([(STEP_NS, self.body[:size])] if size else [], failure)


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire language in one framing: its goldens, its words for why a reply ended, and what it cannot have."""

    name: str
    goldens: tuple[Golden, ...]
    stop_reasons: Mapping[str, Any]
    not_applicable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DoorData:
    """What a door's file says of one dialect it speaks."""

    door: str
    dialect: str
    wire: Path
    target: Mapping[str, Any]
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    base_path: str
    requests: Mapping[str, Mapping[str, Any]]
    errors: tuple[Mapping[str, Any], ...]
    wrong: Mapping[str, Any]
    signed: Mapping[str, str] | None
    not_applicable: Mapping[str, str]


def frame_ends(body: bytes) -> list[int]:
    """Where each AWS event-stream frame ends, told by the length that it starts with."""
    ends, at = [], 0
    while at + 4 <= len(body):
        at += max(16, struct.unpack_from("!I", body, at)[0])
        ends.append(min(at, len(body)))
    return ends


def replaced(golden: Golden, old: str, new: str) -> bytes:
    """The body with one word changed; the lengths and checksums of event-stream frames follow. ValueError if absent."""
    a, b = old.encode(), new.encode()
    if a not in golden.body:
        raise ValueError(f"{golden.name} holds no {old}")
    if EVENT_STREAM not in golden.content_type:
        return golden.body.replace(a, b)
    return reframed(golden.body, lambda payload: payload.replace(a, b))


def reframed(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """An AWS event stream with every payload changed. ValueError for a frame whose lengths cannot be."""
    out, start = [], 0
    for end in frame_ends(body):
        frame = body[start:end]
        if len(frame) < 16:
            raise ValueError("a frame that is cut")
        headers = struct.unpack_from("!I", frame, 4)[0]
        inner = frame[12 : 12 + headers] + change(frame[12 + headers : -4])
        prelude = struct.pack("!II", len(inner) + 16, headers)
        head = prelude + struct.pack("!I", zlib.crc32(prelude)) + inner
        out.append(head + struct.pack("!I", zlib.crc32(head)))
        start = end
    return b"".join(out)


# ------------------------------------------------------------------------------------------------ the files


def dump_golden(golden: Golden) -> bytes:
    """A golden as the bytes of its file; `load_golden` reads it back."""
    binary = EVENT_STREAM in golden.content_type
    head: dict[str, Any] = {
        "source": golden.source,
        "date": golden.date,
        "kind": golden.kind,
        "door": golden.door,
        "covers": list(golden.covers),
        "content-type": golden.content_type,
        "encoding": "base64" if binary else None,
        "status": None if golden.status == 200 else golden.status,
        "headers": dict(golden.headers),
        "ends_with": golden.ends_with,
    }
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items() if value not in (None, {})
    ]
    lines += ["expect:", *(f"  {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in golden.expect.items())]
    body = golden.body
    if binary:
        coded = base64.b64encode(body).decode()
        body = "".join(coded[at : at + 100] + "\n" for at in range(0, len(coded), 100)).encode()
    return "\n".join(lines).encode() + b"\n---\n" + body


def load_golden(path: Path) -> Golden:
    """Reads a golden. ConfigError says what is wrong with its head."""
    head, mark, body = path.read_bytes().partition(b"\n---\n")
    data = _yaml(head.decode()) if mark else None
    if not isinstance(data, dict):
        raise _problem(path, "", "no head", "YAML, a line `---`, and the body")
    for key in ("source", "date", "content-type", "expect"):
        if not data.get(key):
            raise _problem(path, key, "nothing", "every golden says where it is from, of when, and what it means")
    unknown = sorted(set(data) - _HEAD_KEYS)
    if unknown:
        raise _problem(path, unknown[0], "an unknown key", f"one of {', '.join(sorted(_HEAD_KEYS))}")
    kind = data.get("kind", "documented")
    if kind not in KINDS:
        raise _problem(path, "kind", repr(kind), f"one of {', '.join(KINDS)}")
    if data.get("encoding") == "base64":
        try:
            body = base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error as error:
            raise _problem(path, "encoding", f"base64 that cannot be read ({error})", "whole base64 lines") from error
    return Golden(
        name=f"{path.parent.name}/{path.stem}",
        source=str(data["source"]),
        date=str(data["date"]),
        kind=kind,
        door=data.get("door"),
        covers=tuple(data.get("covers") or ()),
        content_type=data["content-type"],
        status=int(data.get("status", 200)),
        headers=tuple((str(k), str(v)) for k, v in (data.get("headers") or {}).items()),
        ends_with=data.get("ends_with"),
        expect=data["expect"],
        body=body,
    )


@lru_cache(maxsize=64)
def load_wire(folder: Path) -> Wire:
    """Reads a folder of goldens. ConfigError for a folder without `wire.yaml` or a golden that cannot be read."""
    about = folder / "wire.yaml"
    if not about.is_file():
        raise _problem(about, "", "no such file", f"wire.yaml beside the goldens; shipped wires: {shipped_wires()}")
    data = _yaml(about.read_text(encoding="utf-8")) or {}
    goldens = tuple(load_golden(path) for path in sorted(folder.glob("*.golden")))
    return Wire(folder.name, goldens, data.get("stop_reasons") or {}, data.get("not_applicable") or {})


def shipped_wires() -> str:
    return ", ".join(sorted(path.parent.name for path in (GOLDENS / "wires").glob("*/wire.yaml")))


def load_door(path: Path) -> dict[str, DoorData]:
    """What a door's file says, by dialect. ConfigError for a file that cannot serve."""
    data = _yaml(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or not data.get("door") or not isinstance(data.get("speaks"), dict):
        raise _problem(path, "speaks", "nothing", "door: NAME and speaks: {DIALECT: {wire, target, requests, ...}}")
    return {
        dialect: _door_data(path, data["door"], dialect, {**data, **row}) for dialect, row in data["speaks"].items()
    }


def _door_data(path: Path, door: str, dialect: str, row: Mapping[str, Any]) -> DoorData:
    missing = [key for key in ("wire", "target", "errors", "wrong") if not row.get(key)]
    if missing:
        raise _problem(path, f"speaks.{dialect}.{missing[0]}", "nothing", "wire, target, errors and wrong")
    errors: list[Mapping[str, Any]] = []
    for entry in row["errors"]:
        if isinstance(entry, str):
            file = _beside(path, entry + ".yaml", "errors")
            errors += [{**error, "from": file.name} for error in _yaml(file.read_text(encoding="utf-8"))["errors"]]
        else:
            errors.append({**entry, "from": path.name})
    return DoorData(
        door=door,
        dialect=dialect,
        wire=_beside(path, row["wire"], "wires"),
        target=row["target"],
        env={str(k): str(v) for k, v in (row.get("env") or {}).items()},
        secrets=tuple(row.get("secrets") or ()),
        base_path=row.get("base_path", ""),
        requests=row.get("requests") or {},
        errors=tuple(errors),
        wrong=row["wrong"],
        signed=row.get("signed"),
        not_applicable=row.get("not_applicable") or {},
    )


def _beside(path: Path, name: str, shelf: str) -> Path:
    """What the door's own folder holds under `wires/` or `errors/`, else the shipped one of that name."""
    own = path.parent / shelf / name
    return own if own.exists() else GOLDENS / shelf / name


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file. ConfigError when it cannot be read."""
    return _yaml(path.read_text(encoding="utf-8"))


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ConfigError([Problem("golden", "", "YAML that cannot be read", str(error).replace("\n", " "))]) from error


def _problem(path: Path, key: str, got: str, want: str) -> ConfigError:
    return ConfigError([Problem(str(path), key, got, want)])
