"""What a logical model is called at each door, which settings it takes there, and when it ends. Data: `models.yaml`.

It is read once, on the first question, from its packed copy. Nothing here asks what day it is: the caller says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.registry.schema import File

PACKED = "models.json"
"""models.yaml as JSON, written by scripts/docs.py: the YAML that people edit takes a second to read."""

SAMPLING = ("temperature", "top_p", "top_k", "seed")

CLOSE_DAYS = 30
"""An end of life this near is worth a warning: a comparison that is repeated nightly will lose a target."""


@dataclass(frozen=True, slots=True)
class EndOfLife:
    """When a model ends at a door. `day` None: not known. `status` as in models.yaml; `profiles` empty means all."""

    day: date | None
    status: Literal["retired", "announced", "listed"]
    source: str
    checked: date
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A model at a door. `model_id` may hold `{profile}`; `accepts` are the sampling settings that the model takes.

    `accepts_at_effort_none` are those that it takes besides, when it is told not to think. `thinking_hidden`: thoughts
    are not sent while they are made, so that nothing arrives before the answer.
    `dialect` is the one to speak with it where that is not the door's first.
    """

    model: str
    door: str
    model_id: str
    profiles: tuple[str, ...] = ()
    api_version: str | None = None
    accepts: frozenset[str] = frozenset(SAMPLING)
    accepts_at_effort_none: frozenset[str] = frozenset()
    not_together: tuple[tuple[str, str], ...] = ()
    thinking: Literal["budget", "adaptive"] | None = None
    thinking_always_on: bool = False
    thinking_hidden: bool = False
    efforts: tuple[str, ...] | None = None
    forced_tool_choice: bool = True
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    end_of_life: tuple[EndOfLife, ...] = ()
    dialect: str | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """Who answers. `dialects[0]` is the one used when a target names none; `needs` are keys a target must have.

    `region` is the one taken when a target names none, `place` what a region means there, in words and with its source.
    `reports` are the classes of cached tokens that its replies count.
    """

    name: str
    dialects: tuple[str, ...]
    needs: tuple[str, ...] = ()
    region: str | None = None
    place: str | None = None
    reports: tuple[str, ...] = ()
    any_model: bool = False
    ids_of: str | None = None


@cache
def doors() -> Mapping[str, Door]:
    """Every door by its name."""
    return {name: Door(name=name, **row.model_dump()) for name, row in _data().doors.items()}


def models() -> tuple[str, ...]:
    """Every logical model."""
    return tuple(_data().models)


@cache
def lookup(model: str, door: str) -> Entry | None:
    """What is known of a logical model at a door; None when nothing is.

    At a door that serves any model, a model of the registry keeps its facts (a gateway cannot give it settings that
    it does not take) and any other is taken as it is called.
    """
    data = _data()
    row, at = data.models.get(model), data.doors.get(door)
    if at is None:
        return None
    if row is None:
        return Entry(model, door, model) if at.any_model else None
    place = row.doors.get(door) or row.doors.get(at.ids_of or door)
    if place is None and not at.any_model:
        return None
    return Entry(
        model=model,
        door=door,
        model_id=place.model_id if place else model,
        profiles=place.profiles if place else (),
        api_version=place.api_version if place else None,
        accepts=frozenset(row.accepts),
        accepts_at_effort_none=frozenset(row.accepts_at_effort_none),
        not_together=row.not_together,
        thinking=row.thinking,
        thinking_always_on=row.thinking_always_on,
        thinking_hidden=row.thinking_hidden,
        efforts=row.efforts,
        forced_tool_choice=row.forced_tool_choice,
        context_tokens=row.context_tokens,
        max_output_tokens=(place.max_output_tokens if place else None) or row.max_output_tokens,
        end_of_life=tuple(
            EndOfLife(end.day, end.status, data.sources[end.source], data.checked, end.profiles)
            for end in (place.end_of_life if place else ())
        ),
        dialect=place.dialect if place else None,
    )


def model_id(entry: Entry, region: str | None) -> str | None:
    """The id to send, on Bedrock with the inference profile of that region. None when no profile offered holds it."""
    if "{profile}" not in entry.model_id:
        return entry.model_id
    profile = _profile_of(region or "", entry.profiles)
    return None if profile is None else entry.model_id.replace("{profile}", profile)


def bedrock_profile(model_id: str) -> str | None:
    """The inference profile in a Bedrock model id: `us`, `eu`, ..., `global`; `in-region` for an id without one.

    None when the id says nothing of the kind: an application inference profile's ARN hides both model and profile.
    """
    if model_id.startswith("arn:"):
        return None
    found = re.match(r"(us-gov|us|eu|apac|au|jp|global)\.[a-z]", model_id)
    if found:
        return found[1]
    return "in-region" if re.match(r"[a-z0-9]+\.[a-z]", model_id) else None


_AREAS = {
    "us-gov": r"us-gov-",
    "us": r"us-(?!gov-)",
    "eu": r"eu-",
    "jp": r"ap-northeast-[13]$",
    "au": r"ap-southeast-[24]$",
    "apac": r"ap-",
}
"""Bedrock's inference profiles and their source regions, the narrowest first."""


def profile_holds(profile: str, region: str) -> bool:
    """Whether a Bedrock inference profile can be called from a region. True where nothing is known against it."""
    area = _AREAS.get(profile)
    return area is None or not re.match(r"us-|eu-|ap-", region) or re.match(area, region) is not None


def refused_by_api_version(api_version: str | None) -> frozenset[str]:
    """The settings that this API version refuses whatever the model."""
    row = _data().api_versions.get(api_version or "")
    return frozenset(row.refuses) if row else frozenset()


def retired(entry: Entry, on: date, model_id: str = "") -> str | None:
    """Why the model cannot be used at this door on that day, with the source; None when it can, as far as is known.

    `model_id` is the id of the target: some dates hold for one inference profile only.
    """
    for end in _ends(entry, model_id):
        if end.status == "retired" and end.day is None:
            return f"{entry.model} is no longer offered at {entry.door} ({_told(end)})"
        if end.status in ("retired", "announced") and end.day is not None and on >= end.day:
            return f"{entry.model} was retired at {entry.door} on {end.day} ({_told(end)})"
    return None


def ending(entry: Entry, on: date, model_id: str = "") -> str | None:
    """A warning when an end is near, or when a third party's date has passed and only a call can tell; else None."""
    for end in _ends(entry, model_id):
        if end.day is None or retired(entry, on, model_id):
            continue
        if end.status == "listed" and on >= end.day:
            return (
                f"{entry.model} at {entry.door} is listed to end on {end.day}, which is past: "
                f"verify by calling it ({_told(end)})"
            )
        if on >= end.day - timedelta(days=CLOSE_DAYS):
            said = "ends" if end.status == "announced" else "is listed to end"
            return f"{entry.model} at {entry.door} {said} on {end.day}, in {(end.day - on).days} days ({_told(end)})"
    return None


def _ends(entry: Entry, model_id: str) -> tuple[EndOfLife, ...]:
    profile = bedrock_profile(model_id) if model_id else None
    return tuple(end for end in entry.end_of_life if not end.profiles or profile in end.profiles)


def _told(end: EndOfLife) -> str:
    return f"{end.source}, checked {end.checked}"


def _profile_of(region: str, offered: tuple[str, ...]) -> str | None:
    """The narrowest inference profile offered that holds the region."""
    return next((name for name in _AREAS if name in offered and re.match(_AREAS[name], region)), None)


@cache
def _data() -> File:
    from bench import yamlfile
    from bench.registry.schema import File  # the schema is built only when the file is read

    data = json.loads(resources.files("bench.registry").joinpath(PACKED).read_text(encoding="utf-8"))
    return yamlfile.check(File, yamlfile.Loaded(data, {}, "bench/registry/models.yaml"))


def packed() -> str:
    """models.yaml as the JSON text that is read at run time."""
    from bench import yamlfile

    text = resources.files("bench.registry").joinpath("models.yaml").read_text(encoding="utf-8")
    loaded = yamlfile.loads(text, "bench/registry/models.yaml")
    return json.dumps(loaded.data, default=str, separators=(",", ":")) + "\n"
