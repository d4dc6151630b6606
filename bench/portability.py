"""What each door carries, in each wire language it speaks: the portability matrix. Nothing is sent, nothing is typed in.

Every cell is asked of the code that a run goes through: what the dialect refuses or leaves out, what `encode` makes of
a small case, what the door says of a service tier, what the registry says of a named model, and, for what only replies
can show, the golden bytes that the dialect is tested with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from bench import dialects, providers, registry, yamlfile
from bench.errors import BenchError, ConfigError, Problem
from bench.providers.base import Provider
from bench.record import Case, Params
from bench.registry.settings import effective_params
from bench.targets import Target
from bench.testing.conformance import data_of
from bench.testing.golden import DoorData, Golden, Wire, load_door, load_wire

State = Literal["pass", "degraded", "absent", "unknown"]

ANY = "any-model"
"""The model where none is named: the registry knows nothing against it."""
NO_TIER = "no-such-tier"

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG of one pixel, in base64."""
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "What it knows.", "parameters": CITY}}
    for name in ("get_weather", "get_events")
)
FORCED = {"type": "function", "function": {"name": "get_events"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "stay", "schema": CITY, "strict": True}}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Aarhus","days":2}'},
}
ASK = "What is the weather in Aarhus?"


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a request or a reply may have.

    `messages` and `changes` (of the default settings) are the smallest request that asks for it; `beside` are those of
    the changes that are another feature's. `shown_by` is what shows it where settings do not: `tiers`, `arguments`, or
    the name of a check that golden replies serve.
    """

    name: str
    meaning: str
    messages: tuple[Mapping[str, Any], ...] = ({"role": "user", "content": ASK},)
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    beside: tuple[str, ...] = ()
    shown_by: str | None = None

    @property
    def case(self) -> Case:
        return Case("portability", self.messages)

    @property
    def params(self) -> Params:
        return dataclasses.replace(Params(max_tokens=4096), **self.changes)


def _user(*parts: Any) -> tuple[Mapping[str, Any], ...]:
    return ({"role": "user", "content": [{"type": "text", "text": ASK}, *parts]},)


FEATURES: tuple[Feature, ...] = (
    Feature("streaming", "the reply comes in pieces", changes={"stream": True}),
    Feature("whole replies", "the reply comes in one body", changes={"stream": False}),
    Feature(
        "system text",
        "instructions of a higher rank than the user's",
        ({"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ASK}),
    ),
    Feature(
        "several turns",
        "what was said before goes with the question",
        (
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello, what is it?"},
            {"role": "user", "content": ASK},
        ),
    ),
    Feature("tools", "the model may call a function", changes={"tools": TOOLS[:1]}),
    Feature("tools in parallel", "several functions called in one reply", changes={"tools": TOOLS}),
    Feature(
        "tool forced",
        "one function must be called",
        changes={"tools": TOOLS, "tool_choice": FORCED},
        beside=("tools",),
    ),
    Feature("tool arguments streamed", "arguments come in pieces as they are made", shown_by="arguments"),
    Feature(
        "tool results",
        "what a function gave back goes with the question",
        (
            {"role": "user", "content": ASK},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"sky":"clear"}'},
        ),
        {"tools": TOOLS[:1]},
        ("tools",),
    ),
    Feature("JSON schema", "the reply is JSON of a given schema", changes={"response_format": FORMAT}),
    Feature("stop sequences", "words at which the reply ends", changes={"stop": ("look-alike",)}),
    Feature("seed", "the same draw again, as far as the vendor goes", changes={"seed": 7_340_033}),
    Feature("temperature", "how freely tokens are drawn", changes={"temperature": 0.25}),
    Feature("top_p", "draw from the likeliest tokens of this mass", changes={"top_p": 0.75}),
    Feature("top_k", "draw from this many tokens", changes={"top_k": 41}),
    Feature("effort", "how much the model thinks, in words", changes={"effort": "low"}),
    Feature("thinking budget", "how much it thinks, in tokens", changes={"thinking_budget_tokens": 2048}),
    Feature(
        "cache breakpoints",
        "the prompt is cached up to a mark",
        ({"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ASK}),
        {"cache_breakpoints": ("system",)},
    ),
    Feature(
        "cache for an hour",
        "how long what is marked stays cached",
        ({"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ASK}),
        {"cache_breakpoints": ("system",), "cache_ttl": "1h"},
        ("cache_breakpoints",),
    ),
    Feature(
        "images in base64",
        "an image inside the request",
        _user({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}),
    ),
    Feature(
        "images by address",
        "an image that the server fetches",
        _user({"type": "image_url", "image_url": {"url": "https://example.com/sky.png"}}),
    ),
    Feature("service tier", "the lane that a request asks for", shown_by="tiers"),
    Feature("cache reads counted", "tokens read from the cache, apart from other input", shown_by="cache read"),
    Feature("cache writes counted", "tokens written to the cache, apart from other input", shown_by="cache write"),
    Feature("reasoning counted", "tokens of thinking, apart from the answer's", shown_by="reasoning tokens"),
)

COUNTED = {"cache read": ("cache_read",), "cache write": ("cache_write_5m", "cache_write_1h")}
"""Check of the goldens -> the registry's words for the counts that a door's replies have."""


@dataclass(frozen=True, slots=True)
class Column:
    """A door in one of its languages, with the id of the model where one is named."""

    door: str
    dialect: str
    model_id: str | None = None

    def __str__(self) -> str:
        return f"{self.door} · {self.dialect}"


@dataclass(frozen=True, slots=True)
class Cell:
    """`why` says what is left out (degraded), why it cannot be had (absent), or who would have to say (unknown)."""

    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Features by columns. `notes` are (text, columns); `elsewhere` are doors at which the registry has no such model."""

    model: str | None
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, Column], Cell]
    notes: tuple[tuple[str, tuple[Column, ...]], ...] = ()
    elsewhere: tuple[str, ...] = ()

    def reasons(self, state: State) -> list[tuple[str, str, tuple[Column, ...]]]:
        """(feature, why, columns) of every cell in that state, equal reasons together, in the order of the features."""
        found: dict[tuple[str, str], list[Column]] = {}
        for feature in FEATURES:
            for column in self.columns:
                cell = self.cells[feature.name, column]
                if cell.state == state:
                    found.setdefault((feature.name, cell.why), []).append(column)
        return [(name, why, tuple(columns)) for (name, why), columns in found.items()]


def matrix(model: str | None = None, today: date | None = None, doors: Sequence[str] | None = None) -> Matrix:
    """The matrix of every door, or of these; of a logical model only the doors that serve it, in languages for it.

    ConfigError for a model that the registry does not know. `today` is for notes on its end.
    """
    model = known(model) if model is not None else None
    columns: list[Column] = []
    cells: dict[tuple[str, Column], Cell] = {}
    notes: dict[str, list[Column]] = {}
    elsewhere: list[str] = []
    for name in doors if doors is not None else providers.names():
        provider = providers.get(name)
        entry = registry.lookup(model, name) if model else None
        if model and entry is None:
            elsewhere.append(name)
            continue
        for dialect in spoken(provider, entry):
            column = Column(name, dialect, entry.model_id if entry else None)
            columns.append(column)
            target = sample(column, entry)
            data = _goldens(provider, dialect)
            cells |= {(feature.name, column): _cell(feature, provider, target, entry, data) for feature in FEATURES}
            for text in _notes(target, entry, today):
                notes.setdefault(text, []).append(column)
    return Matrix(model, tuple(columns), cells, tuple((n, tuple(c)) for n, c in notes.items()), tuple(elsewhere))


def known(model: str) -> str:
    """The model's own name. ConfigError where the registry does not have it, with the nearest that it has."""
    if model in registry.models():
        return model
    want = yamlfile.closest(model, registry.models()) or f"one of {', '.join(registry.models())}"
    raise ConfigError([Problem("command line", "--model", model, want)])


def spoken(provider: Provider, entry: registry.Entry | None) -> tuple[str, ...]:
    """The languages of a door, its first one first; with a model those in which the door serves that model."""
    door = registry.doors().get(provider.name)
    if door is None:
        return tuple(sorted(provider.dialects))
    if entry is None:
        return door.dialects
    if entry.dialect is not None:
        return (entry.dialect,)
    lender = registry.doors().get(door.ids_of or "")
    if lender is not None and registry.lookup(entry.model, lender.name) is not None:
        return tuple(dialect for dialect in door.dialects if dialect in lender.dialects)
    return door.dialects


def sample(column: Column, entry: registry.Entry | None, **more: Any) -> Target:
    """A target of that column, as targets.yaml would fill it in; nothing is known of its account."""
    pinned = entry.api_version if entry is not None and column.dialect == "messages" else None
    model = entry.model if entry is not None else ANY
    facts = {"model_id": column.model_id or ANY, "api_version": pinned, **more}
    return Target(id=column.door, model=model, provider=column.door, dialect=column.dialect, **facts)


def asked(feature: Feature, entry: registry.Entry | None) -> Params:
    """The feature's settings, with an effort that the model has."""
    params = feature.params
    if params.effort is not None and entry is not None and entry.efforts and params.effort not in entry.efforts:
        return dataclasses.replace(params, effort=entry.efforts[0])
    return params


def tiers(provider: Provider, target: Target) -> tuple[str, ...] | None:
    """The service tiers that a door takes, by its own checks; None for one that passes any word on."""

    def refusal(tier: str) -> Problem | None:
        problems = provider.check(dataclasses.replace(target, service_tier=tier))
        return next((problem for problem in problems if problem.path == "service_tier"), None)

    said = refusal(NO_TIER)
    if said is None:
        return None
    words = [word.strip() for word in said.want.removeprefix("one of ").split(",")]
    return tuple(word for word in words if refusal(word) is None)


# ------------------------------------------------------------------------------------------------ one cell


def _cell(
    feature: Feature, provider: Provider, target: Target, entry: registry.Entry | None, data: DoorData | None
) -> Cell:
    if feature.shown_by == "tiers":
        return _tiers(provider, target)
    if feature.shown_by == "arguments":
        return _arguments(target.dialect, data)
    if feature.shown_by is not None:
        return _counted(feature.shown_by, provider.name, data)
    dialect, params = dialects.get(target.dialect), asked(feature, entry)
    refused = (
        dialect.unsupported(params)
        or _unspoken(feature.case, params, target)
        or [problem.want.removeprefix("nothing: ") for problem in _problems(provider, target, params)]
    )
    if refused:
        return Cell("absent", _told(feature, refused))
    plain = Params()
    without = dataclasses.replace(
        params, **{key: getattr(plain, key) for key in feature.changes if key not in feature.beside}
    )
    left_out = [said for said in dialect.degraded(params) if said not in dialect.degraded(without)]
    return Cell("degraded", _told(feature, left_out)) if left_out else Cell("pass")


def _unspoken(case: Case, params: Params, target: Target) -> list[str]:
    """Why the language has no words for this case, if it has none."""
    try:
        dialects.get(target.dialect).encode(case, params, target)
    except BenchError as error:
        return [error.message.removeprefix(f"{target.id}: ").removeprefix(f"case {case.id}: ")]
    return []


def _told(feature: Feature, sentences: Sequence[str]) -> str:
    """The sentences, without the name of the setting before each."""
    bare = []
    for said in sentences:
        key, _, rest = said.partition(": ")
        bare.append(rest if rest and key in feature.changes else said)
    return "; ".join(dict.fromkeys(bare))


def _problems(provider: Provider, target: Target, params: Params) -> list[Problem]:
    """What the model refuses at this door, and what a server of that make does."""
    _, found, _ = effective_params(params, target)
    if hasattr(provider, "refused"):
        found += provider.refused(target, params)
    return found


def _tiers(provider: Provider, target: Target) -> Cell:
    taken = tiers(provider, target)
    if taken is None:
        return Cell("degraded", "passed on as it is written; whether it is obeyed is for the server to say")
    if not taken:
        return Cell("absent", "this door has no tiers")
    return Cell("pass", f"one of {', '.join(taken)}")


def _arguments(dialect_name: str, data: DoorData | None) -> Cell:
    """Whether a golden stream, read event by event, ever shows a part of a call's arguments."""
    if data is None:
        return Cell("unknown", "no golden replies of this door are installed")
    decode = dialects.get(dialect_name).decode
    streams = [golden for golden in load_wire(data.wire).goldens if "stream" in golden.content_type]
    called = [(golden, calls[0].arguments) for golden in streams if (calls := _calls(decode, golden, len(golden.body)))]
    if not called:
        return Cell("unknown", "no golden reply of this wire calls a tool")
    for golden, whole in called:
        for end in golden.ends():
            calls = _calls(decode, golden, end)
            if calls and calls[0].arguments not in ("{}", whole) and whole.startswith(calls[0].arguments):
                return Cell("pass")
    return Cell("absent", "a call comes whole, in one event: its arguments have one time of arrival")


def _calls(decode: Any, golden: Golden, size: int) -> Any:
    return decode(golden.cut(size)).tool_calls


def _counted(check: str, door: str, data: DoorData | None) -> Cell:
    """Whether golden replies of the wire hold these counts, and whether the door's replies always do."""
    if data is None:
        return Cell("unknown", "no golden replies of this door are installed")
    wire = load_wire(data.wire)
    if not _serves(wire, check):
        why = {**wire.not_applicable, **data.not_applicable}.get(check)
        return Cell("absent", why) if why else Cell("unknown", f"no golden reply of {wire.name} shows it")
    about, kinds = registry.doors().get(door), COUNTED.get(check, ())
    if about is None or not set(kinds) - set(about.reports):
        return Cell("pass")
    if about.reports:
        return Cell("degraded", "read where a reply has the count; where it has none, none were written")
    return Cell("degraded", "read where the server counts them; without a count it is not known, and null")


def _serves(wire: Wire, check: str) -> bool:
    return any(check in golden.covers for golden in wire.goldens)


def _goldens(provider: Provider, dialect: str) -> DoorData | None:
    path = data_of(provider)
    return _door_data(path).get(dialect) if path is not None and path.is_file() else None


@lru_cache(maxsize=64)
def _door_data(path: Path) -> Mapping[str, DoorData]:
    return load_door(path)


def _notes(target: Target, entry: registry.Entry | None, today: date | None) -> list[str]:
    """What should be known of a named model besides."""
    if entry is None:
        return []
    _, _, told = effective_params(Params(), target)
    notes = [text.removeprefix(f"{target.id}: ") for text in told]
    notes += [f"{entry.model} takes {one} or {other}, not both in one request" for one, other in entry.not_together]
    if entry.accepts_at_effort_none:
        names = " and ".join(sorted(entry.accepts_at_effort_none))
        notes.append(f"{entry.model} takes {names} with effort: none")
    if today is not None:
        ends = (registry.retired(entry, today, target.model_id), registry.ending(entry, today, target.model_id))
        notes += [end for end in ends if end]
    return notes
