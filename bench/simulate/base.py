"""The types that travel through a look-alike cloud, and the contract of a door.

A request is read (`Received`), admitted by its door (`Ask`, or `Refused`), planned (`Script`), rendered by the door
again, and delivered. Times are ns; offsets count from the moment the request was read in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bench.simulate.faults import Fault
from bench.simulate.profile import Profile

Headers = list[tuple[str, str]]
Json = dict[str, Any]
Render = Callable[[str], bytes]
"""Makes the bytes of one content event; it is called once for each, in their order."""
Stop = Literal["stop", "length", "stop_sequence", "tool"]
Part = Literal["reasoning", "text", "tool"]


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One look-alike: what it is called, which door it plays, what it serves, to whom, and how it behaves."""

    id: str
    door: str
    model_id: str
    profile: Profile
    credentials: Mapping[str, str]
    tls_cert: str | None = None
    tls_key: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it was read. `raw_path` and `query` are as on the wire, `path` is percent-decoded.

    Header names are lower case; values of a repeated header are joined by ",".
    """

    method: str
    raw_path: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    wall_s: float


@dataclass(frozen=True, slots=True)
class Ask:
    """What an admitted request asks for.

    `prompt` is the text of the last user message. `input_tokens` estimates the whole prompt, `cacheable_tokens` the
    part up to the last cache mark (0 without one). `wire` names the operation where one door has several.

    `tools` are (name, JSON schema of the arguments); `tool_choice` is auto, none, any, or the name of the tool to call;
    `schema` is what the text has to follow. `thinking` says whether the model thinks first, and whether that is shown.
    `whole_calls` is for wires on which a call comes in one event.
    `geo` and `speed` are what the reply is to name as the place and speed of inference.
    """

    prompt: str
    stream: bool
    input_tokens: int
    max_tokens: int | None
    cacheable_tokens: int = 0
    cache_ttl: Literal["5m", "1h"] = "5m"
    stop: tuple[str, ...] = ()
    include_usage: bool = True
    wire: str = ""
    tools: tuple[tuple[str, Json], ...] = ()
    tool_choice: str = "auto"
    parallel: bool = True
    schema: Json | None = None
    thinking: Literal["", "shown", "omitted"] = ""
    geo: str | None = None
    speed: str | None = None
    whole_calls: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The planned reply: the texts of its content events with their due offsets, its counts, ids and fault.

    `parts` says what the events are, in order: (kind, number of events), a tool part for every call; none means that all
    are text. `reasoning` is what is shown of it, `reasoning_tokens` what it took. `tool_calls` are (name, JSON arguments).
    """

    case_id: str | None
    kind: str
    events: tuple[str, ...]
    offsets_ns: tuple[int, ...]
    headers_ns: int
    end_ns: int
    stop: Stop
    stop_sequence: str | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    served_model: str
    request_id: str
    message_id: str
    created_s: int
    usage: Literal["once", "twice", "none"] = "once"
    fault: Fault | None = None
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[Part, int], ...] = ()
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(event for kind, events in self.blocks() for event in events if kind == "text")

    def blocks(self) -> list[tuple[Part, tuple[str, ...]]]:
        """The events by part; a part may have none."""
        if not self.parts:
            return [("text", self.events)] if self.events else []
        found, at = [], 0
        for kind, count in self.parts:
            found.append((kind, self.events[at : at + count]))
            at += count
        return found


class Refused(Exception):
    """The door turns the request away, in its own words: `code` is the vendor's type or code for it."""

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = tuple(headers)


class Door(Protocol):
    """One vendor's wire. Every function is pure; `content` gives what renders the text of one event."""

    name: str

    def request_id(self, bits: int) -> str: ...
    def message_id(self, bits: int) -> str: ...
    def served_model(self, model_id: str) -> str: ...
    def admit(self, received: Received, target: TargetConfig) -> Ask: ...
    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]: ...
    def fault_refusal(self, status: int) -> tuple[int, str, str]: ...
    def id_headers(self, request_id: str) -> Headers: ...
    def headers(self, ask: Ask, script: Script) -> Headers: ...
    def whole(self, ask: Ask, script: Script) -> bytes: ...
    def opening(self, ask: Ask, script: Script) -> bytes: ...
    def content(self, ask: Ask, script: Script) -> Render: ...
    def closing(self, ask: Ask, script: Script) -> bytes: ...
    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes: ...
    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers: ...
