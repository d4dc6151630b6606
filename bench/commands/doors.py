"""Every door and every model of the registry in words: what is installed, what is needed, what ends when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from textwrap import wrap
from typing import Any

from bench import portability, providers, registry
from bench.errors import BenchError
from bench.providers.presets import PRESETS
from bench.registry import EndOfLife, Entry

NOT_INSTALLED = "is not installed"
COMPATIBLE = "openai-compatible"
"""The door whose servers have presets."""


def facts(today: date) -> list[dict[str, Any]]:
    """One row for each door: `languages`, `stack`, `missing` (what to install), `lacks` (what to set), `needs`,
    `region`, `place`, `models`, `ends` and `presets`."""
    return [_door(name, today) for name in providers.names()]


def _door(name: str, today: date) -> dict[str, Any]:
    known = registry.doors().get(name)
    try:
        provider = providers.get(name)
    except BenchError as error:
        return {"door": name, "broken": f"{error.message}; {error.hint}" if error.hint else error.message}
    languages = portability.spoken(provider, None)
    target = portability.sample(portability.Column(name, languages[0]), None)
    problems = provider.check(target)
    entries = [entry for model in registry.models() if (entry := registry.lookup(model, name)) is not None]
    served = [entry for entry in entries if registry.retired(entry, today) is None]
    return {
        "door": name,
        "languages": list(languages),
        "stack": provider.client_stack(target),
        "missing": [f"{p.got}; {p.want}" for p in problems if p.got.endswith(NOT_INSTALLED)],
        "lacks": [f"{p.path}: {p.want}" for p in problems if not p.got.endswith(NOT_INSTALLED)],
        "needs": list(known.needs) if known else ["model_id", "dialect"],
        "region": known.region if known else None,
        "place": known.place if known else None,
        "any_model": known.any_model if known else True,
        "models": [] if known and known.any_model else [entry.model for entry in served],
        "ends": []
        if known and known.any_model
        else [_end(entry, end) for entry in entries for end in entry.end_of_life],
        "presets": _presets() if name == COMPATIBLE else {},
    }


def _presets() -> dict[str, str]:
    """What `preset: NAME` stands for: the address, whether a key is wanted, and what that make of server leaves out."""
    told = {}
    for name, preset in PRESETS.items():
        left_out = f"; does not take {', '.join(preset.refuses)}" if preset.refuses else ""
        told[name] = f"{preset.base_url}, key {preset.key}, {' and '.join(preset.dialects)}{left_out}"
    return told


def _end(entry: Entry, end: EndOfLife) -> dict[str, Any]:
    return {
        "model": entry.model,
        "day": None if end.day is None else end.day.isoformat(),
        "status": end.status,
        "profiles": list(end.profiles),
        "source": end.source,
        "checked": end.checked.isoformat(),
    }


def text(rows: list[dict[str, Any]], width: int) -> str:
    """The doors, one paragraph each; sources of dates once, at the end."""
    return "\n".join(_lines(rows, width)).rstrip()


def _lines(rows: list[dict[str, Any]], width: int) -> Iterator[str]:
    sources: dict[str, int] = {}
    for row in rows:
        if "broken" in row:
            yield from _item(row["door"], row["broken"], width)
            yield ""
            continue
        state = f"not installed: {'; '.join(row['missing'])}" if row["missing"] else f"installed: {row['stack']}"
        yield from _item(row["door"], state, width)
        yield from _item("  speaks", ", ".join(row["languages"]), width)
        if row["needs"]:
            yield from _item("  needs", ", ".join(row["needs"]), width)
        if row["place"]:
            default = f"; {row['region']} where none is named" if row["region"] else ""
            yield from _item("  region", row["place"] + default, width)
        for lack in row["lacks"]:
            yield from _item("  lacks", lack, width)
        yield from _item("  models", _models(row), width)
        for end in row["ends"]:
            yield from _item("  ends", _ending(end, sources), width)
        for preset, told in row["presets"].items():
            yield from _item("  preset", f"{preset}: {told}", width)
        yield ""
    yield from _sources(sources, width)


def _models(row: dict[str, Any]) -> str:
    return "any, as the server calls it" if row["any_model"] else ", ".join(row["models"]) or "none in the registry"


def _ending(end: dict[str, Any], sources: dict[str, int]) -> str:
    mark = sources.setdefault(f"{end['source']}, checked {end['checked']}", len(sources) + 1)
    where = f" (profile {', '.join(end['profiles'])})" if end["profiles"] else ""
    return f"{end['model']}{where} {end['status']} {end['day'] or '(day unknown)'} [{mark}]"


def _sources(sources: dict[str, int], width: int) -> Iterator[str]:
    if sources:
        head = "Sources of the dates; announced is the vendor's own word, listed a third party's: verify by calling."
        yield from wrap(head, width)
        for source, mark in sources.items():
            yield from _item(f"  [{mark}]", source, width)


def models(today: date, model: str | None = None) -> list[dict[str, Any]]:
    """The registry, one row for each model and door that has an id for it. ConfigError for a model it does not have."""
    rows = []
    for name in registry.models() if model is None else (portability.known(model),):
        for door, about in registry.doors().items():
            entry = registry.lookup(name, door)
            if entry is None or about.any_model:
                continue
            rows.append(
                {
                    "model": name,
                    "door": door,
                    "model_id": entry.model_id,
                    "profiles": list(entry.profiles),
                    "api_version": entry.api_version,
                    "retired": registry.retired(entry, today) is not None,
                    "ends": [_end(entry, end) for end in entry.end_of_life],
                }
            )
    return rows


def models_text(rows: list[dict[str, Any]], width: int) -> str:
    """The same as a table: a model, and below it its doors with id and end. On a narrow terminal ends stand below ids."""
    return "\n".join(_model_lines(rows, width)).rstrip()


def _model_lines(rows: list[dict[str, Any]], width: int) -> Iterator[str]:
    sources: dict[str, int] = {}
    door = max((len(row["door"]) for row in rows), default=0) + 2
    ids = max((len(row["model_id"]) for row in rows), default=0) + 2
    last = None
    for row in rows:
        if row["model"] != last:
            if last is not None:
                yield ""
            yield row["model"]
            last = row["model"]
        ends = "; ".join(_ending(end, sources).removeprefix(f"{row['model']} ") for end in row["ends"]) or "–"
        line = f"  {row['door']:<{door}}{row['model_id']:<{ids}}{ends}"
        if len(line) <= width:
            yield line
        else:
            yield from _item(f"  {row['door']}".ljust(door + 2), row["model_id"], width, door + 2)
            if row["ends"]:
                yield from _item(" " * (door + 2), ends, width, door + 2)
        if row["profiles"]:
            yield from _item(" " * (door + 2), f"profile: {', '.join(row['profiles'])}", width, door + 2)
    yield ""
    yield from _sources(sources, width)


def _item(head: str, said: str, width: int, indent: int = 0) -> list[str]:
    """A head and what belongs to it, wrapped beside it, or below it where it is long."""
    deep = indent or 11
    first = f"{head:<{deep}}" if indent or len(head) < deep else f"{head}  "
    room = max(width, deep + 20)
    return wrap(said, room, initial_indent=first, subsequent_indent=" " * deep, break_on_hyphens=False) or [
        first.rstrip()
    ]
