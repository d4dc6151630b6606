"""The types that travel through a look-alike cloud, and the contract of a door.

A request is read (`Received`), admitted by its door (`Ask`, or `Refused`), planned (`Script`), rendered by the door
again, and delivered. Times are ns; offsets count from the moment the request was read in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bench.simulate.faults import Fault
from bench.simulate.profile import Profile

Headers = list[tuple[str, str]]
Render = Callable[[str], bytes]
Stop = Literal["stop", "length", "stop_sequence", "tool"]


class Thought(str):
    """A piece of reasoning among the content events of a script; plain strings are text."""


class Arguments(str):
    """A piece of a tool call's arguments. `call` is the number of the call, from 0; `first` of its pieces opens it."""

    call: int
    first: bool

    def __new__(cls, text: str, call: int, first: bool) -> Arguments:
        piece = super().__new__(cls, text)
        piece.call, piece.first = call, first
        return piece


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
    part up to the last cache mark (0 without one). `wire` names the operation where one door has several. `tools` are
    names with the schemas of their arguments, of which `tool_choice` (auto, none, required, or the name of one) says
    what is to be called, and `parallel` whether several may be. `schema` is that of a reply in JSON; `thinks` asks for
    reasoning that can be read, `hides` for reasoning that takes its time and is not sent; `whole_calls` is for wires
    on which a call comes in one event, `echo` what the wire says back as it was asked.
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
    tools: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    tool_choice: str = "auto"
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    thinks: bool = False
    hides: bool = False
    whole_calls: bool = False
    echo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """The planned reply: the texts of its content events with their due offsets, its counts, ids and fault.

    Events come in this order: reasoning (`Thought`), text, arguments of calls (`Arguments`). `tool_calls` are (name, JSON
    arguments), `reasoning` the thoughts joined: both as far as they are sent. `reasoning_tokens` counts thoughts, sent or
    not.
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
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join([event for event in self.events if type(event) is str])


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


Json = dict[str, Any]
