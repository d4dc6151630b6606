"""Workloads: what is sent, under which load, and how a reply is judged. One YAML file of schema version 1 each.

`load_workload` reads the file, renders every case and returns a frozen `Workload`; every mistake in the file is reported at
once with its line. The types of the file are in `schema`, its items in `items`, what this version refuses in `runnable`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench.load import Load, Stage, load_of
from bench.partial import Partial
from bench.record import Case, Params
from bench.workload.items import cases_of, items_of, sessions_of, templates_of, tools_of
from bench.workload.runnable import meaning
from bench.workload.schema import (
    CacheSpec,
    FileRef,
    GenerationSpec,
    MessageSpec,
    OverrideSpec,
    ScorerSpec,
    WorkloadSpec,
    json_schema,
)
from bench.yamlfile import load

__all__ = [
    "FileRef",
    "GenerationSpec",
    "Load",
    "MessageSpec",
    "Stage",
    "Workload",
    "WorkloadSpec",
    "json_schema",
    "load_workload",
]


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload, ready to be planned. `digest` covers what is asked and how it is judged, not the load."""

    name: str
    title: str
    path: Path
    spec: WorkloadSpec
    cases: tuple[Case, ...]
    params: Params
    load: Load
    digest: str

    def override(self, target_id: str) -> OverrideSpec | None:
        """What the file says of this target: the first glob that matches its id."""
        for pattern, override in self.spec.targets.items():
            if fnmatchcase(target_id, pattern):
                return override
        return None

    def params_for(self, target_id: str) -> Params:
        override = self.override(target_id)
        if override is None or override.generation is None:
            return self.params
        return params_of(override.generation, self.params)

    @property
    def salt(self) -> str:
        return self.spec.cache.salt

    @property
    def scorers(self) -> Sequence[ScorerSpec]:
        scoring = self.spec.scoring
        return () if scoring is None or scoring.mode == "off" else scoring.scorers

    @property
    def sessions(self) -> tuple[range, ...]:
        """The turns of each session, as indices of `cases`; none where every case is a request of its own."""
        return sessions_of(self.cases)

    @property
    def response_formats(self) -> tuple[Mapping[str, Any], ...]:
        """The response formats that cases bring themselves, each once."""
        brought = [case.response_format for case in self.cases if case.response_format is not None]
        return tuple({json.dumps(form, sort_keys=True): form for form in brought}.values())

    def with_load(self, load: Load) -> Workload:
        return replace(self, load=load)

    def with_cases(self, cases: Sequence[Case]) -> Workload:
        """The same workload over some of its cases; its digest changes with them."""
        return replace(self, cases=tuple(cases), digest=_digest(self.spec, cases))


_STAND_INS: Mapping[str, Any] = {
    "version": 1,
    "name": "malformed",
    "dataset": {"type": "inline", "items": [{}]},
    "load": {"pattern": "concurrent"},
}
"""For sections that are malformed, so that the others can be judged; nothing is judged of these."""


def load_workload(path: Path) -> Workload:
    """Read, check and render a workload. Raises ConfigError with every problem found."""
    loaded = load(path)
    read = Partial.of(WorkloadSpec, loaded, _STAND_INS)
    spec = read.model
    read.judge(meaning(spec, loaded))
    tools = read.attempt(lambda: tools_of(spec, loaded)) or ()
    templates, wrong = read.attempt(lambda: templates_of(spec, loaded)) or ([], [])
    read.problems += wrong
    items = read.attempt(lambda: items_of(spec, loaded))
    cases = read.attempt(lambda: cases_of(spec, loaded, templates, items)) if items else None
    read.finish()
    assert cases is not None
    params = params_of(spec.generation, Params())
    params = replace(params, tools=tools, **_cache(spec.cache))
    return Workload(
        name=spec.name,
        title=spec.title,
        path=path,
        spec=spec,
        cases=cases,
        params=params,
        load=load_of(spec.load, len(sessions_of(cases)) or len(cases)),
        digest=_digest(spec, cases),
    )


def verdict_facts(workload: Workload) -> dict[str, Any]:
    """What a run's manifest keeps of how the workload sums its scores up and when a target passes."""
    scoring = workload.spec.scoring
    if scoring is None or scoring.mode == "off":
        return {"aggregate": {}, "pass": []}
    return {
        "aggregate": {} if scoring.aggregate is None else scoring.aggregate.model_dump(exclude_none=True),
        "pass": [one.model_dump(exclude_none=True) for one in scoring.passes],
    }


def dataset_facts(workload: Workload) -> dict[str, Any]:
    """What a run's manifest keeps of where the items come from: which copy of which test this was."""
    dataset = workload.spec.dataset
    kept = {"split": dataset.split, "seed": dataset.seed, "sha256": dataset.sha256, "generator": dataset.generator}
    return {"dataset": {name: value for name, value in kept.items() if value is not None}}


def params_of(generation: GenerationSpec, base: Params) -> Params:
    """`base` with every setting that `generation` names."""
    given = generation.model_dump(exclude_none=True, exclude={"thinking", "min_tokens"})
    if "stop" in given:
        given["stop"] = tuple(given["stop"])
    if generation.thinking is not None:
        given["effort"] = generation.thinking.effort
        given["thinking_budget_tokens"] = generation.thinking.budget_tokens
    if generation.min_tokens is not None:
        given["extra_body"] = {"min_tokens": generation.min_tokens, **given.get("extra_body", {})}
    return replace(base, **given)


def params_of_case(params: Params, case: Case) -> Params:
    """The settings of one case: a response format that the item brings goes before the workload's and the target's."""
    return params if case.response_format is None else replace(params, response_format=case.response_format)


def quick(workload: Workload) -> Workload:
    """A stratified sixth of the cases, sessions whole: every tier and kind keeps its share."""
    strata: dict[tuple[str, str], list[str]] = {}
    for case in workload.cases:
        if case.turn <= 1:
            stratum = strata.setdefault((str(case.tags.get("kind", "")), str(case.tags.get("tier", ""))), [])
            stratum.append(case.session or case.id)
    keep = {name for names in strata.values() for name in names[: max(1, round(len(names) / 6))]}
    return workload.with_cases([case for case in workload.cases if (case.session or case.id) in keep])


def live(case: Case, replies: Sequence[str]) -> Case:
    """A turn of a session with what the model really said before, in place of what the item remembers."""
    messages = list(case.messages)
    for back, reply in enumerate(reversed(replies)):
        messages[-2 - 2 * back] = {"role": "assistant", "content": reply}
    return replace(case, messages=tuple(messages))


def salted(messages: Sequence[Mapping[str, Any]], salt: str) -> tuple[Mapping[str, Any], ...]:
    """The messages with a marker in front of the first one, so that no provider's prompt cache has seen them before."""
    first, *rest = messages
    content = first["content"]
    line = f"[{salt}]\n"
    if isinstance(content, str):
        return ({**first, "content": line + content}, *rest)
    return ({**first, "content": [{"type": "text", "text": line}, *content]}, *rest)


def last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last user message: what a look-alike cloud knows a case by."""
    for message in reversed(messages):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""


def _cache(spec: CacheSpec) -> dict[str, Any]:
    if spec.prompt_caching == "off":
        return {}
    return {
        "cache_breakpoints": tuple(spec.breakpoints),
        "cache_ttl": None if spec.ttl is None else _lifetime(spec.ttl),
    }


def _lifetime(ttl_ns: int) -> str:
    """A lifetime in the spelling of the APIs that have one: `5m`, `1h`."""
    for unit, unit_ns in (("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)):
        if ttl_ns % unit_ns == 0:
            return f"{ttl_ns // unit_ns}{unit}"
    return f"{ttl_ns}ns"


def _digest(spec: WorkloadSpec, cases: Sequence[Case]) -> str:
    asked = spec.model_dump(
        mode="json", by_alias=True, include={"version", "name", "generation", "cache", "scoring", "tools"}
    )
    hasher = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for case in cases:
        said: list[Any] = [case.id, case.messages, case.expected]
        if case.response_format is not None:
            said.append(case.response_format)
        hasher.update(json.dumps(said, sort_keys=True, ensure_ascii=False).encode())
    return hasher.hexdigest()
