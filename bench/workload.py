"""Workloads: what is sent, under which load, and how a reply is judged. One YAML file of schema version 1 each.

`load_workload` reads the file, renders every case and returns a frozen `Workload`; every mistake in the file is reported at
once with its line. `json_schema` is the schema that editors use, generated from the types below.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.errors import ConfigError, Problem
from bench.load import Count, DistributionSpec, Load, LoadSpec, Positive, SessionSpec, Stage, load_of
from bench.load import problems as load_problems
from bench.record import Case, Params
from bench.reorder import ReorderSpec, reordered
from bench.yamlfile import Duration, Loaded, check, load

__all__ = ["Load", "Stage", "Workload", "WorkloadSpec", "load_workload"]


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Quantiles = Annotated[dict[Annotated[str, Field(pattern=r"^p(\d{1,2}(\.\d+)?|100)$")], float], Field(min_length=1)]
Bounds = Annotated[dict[Annotated[str, Field(pattern=r"^p\d{1,2}(\.\d+)?$")], Duration], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class FileRef(Spec):
    file: str


class DatasetSpec(Spec):
    type: Literal["generator", "file", "inline", "trace"]
    generator: str | None = None
    params: dict[str, Any] = {}
    seed: int | None = None
    path: str | None = None
    format: str = "auto"
    fields: dict[str, str] = {}
    split: str | None = None
    filter: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    limit: Count | None = None
    shuffle: bool = False
    items: list[dict[str, Any]] | None = None
    reorder: ReorderSpec | None = None
    synthesise: Literal["corpus", "ids"] | None = None
    block_size: int | None = None
    timestamp_unit: Literal["auto", "ns", "us", "ms", "s", "iso"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> DatasetSpec:
        needs = {"generator": ("generator", "seed"), "file": ("path",), "trace": ("path",), "inline": ("items",)}
        missing = [name for name in needs[self.type] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"type {self.type} also needs {' and '.join(missing)}")
        return self


class ShapeSpec(Spec):
    evidence: list[str] = []
    input_tokens: Quantiles | None = None
    output_tokens: Quantiles | None = None
    turns: Quantiles | None = None
    calls_per_session: Quantiles | None = None
    images: Quantiles | None = None
    shared_prefix_tokens: int | None = None
    reusable_prefix: Share | None = None


class MessageSpec(Spec):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | FileRef | list[dict[str, Any]]
    name: str | None = None


class InsertSpec(Spec):
    insert: Literal["history", "session", "messages"]


class ThinkingSpec(Spec):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    budget_tokens: Annotated[int, Field(ge=0)] | None = None


class GenerationSpec(Spec):
    max_tokens: Count | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    seed: int | None = None
    stop: list[str] | None = None
    stream: bool | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    thinking: ThinkingSpec | None = None
    extra_body: dict[str, Any] | None = None
    extra_headers: dict[str, str] | None = None


class CacheSpec(Spec):
    prompt_caching: Literal["auto", "explicit", "off"] = "auto"
    breakpoints: list[Literal["tools", "system", "history", "last_message"]] = []
    ttl: Duration | None = None
    salt: Literal["none", "run", "session", "request"] = "run"
    affinity_header: str | None = None


class RateSpec(Spec):
    max: Share


class CostSpec(Spec):
    max_usd: Positive


class GoodputSpec(Spec):
    ttft: Duration | None = None
    itl: Duration | None = None
    tpot: Duration | None = None
    e2e: Duration | None = None
    min: Share | None = None


class SloSpec(Spec):
    ttft: Bounds | None = None
    ttfr: Bounds | None = None
    itl: Bounds | None = None
    tpot: Bounds | None = None
    e2e: Bounds | None = None
    step: Bounds | None = None
    task: Bounds | None = None
    error_rate: RateSpec | None = None
    cost_per_item: CostSpec | None = None
    goodput: GoodputSpec | None = None

    @property
    def can_be_checked(self) -> bool:
        """Whether it limits anything that single requests show."""
        return any(limit is not None for limit in (self.ttft, self.tpot, self.e2e, self.error_rate))


class ScorerSpec(BaseModel):
    """A scorer by type; keys beyond the named ones are that scorer's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    type: str
    target: Any = None
    weight: float = 1.0
    required: bool = False

    @property
    def options(self) -> dict[str, Any]:
        target = {} if self.target is None else {"target": self.target}
        return target | (self.model_extra or {})


class PassSpec(Spec):
    metric: str
    min: float | None = None
    max: float | None = None
    vs: str | None = None
    margin: float | None = None


class AggregateSpec(Spec):
    metric: str | None = None
    reducer: str | list[str] = "mean"
    ci: Share = 0.95
    cluster_by: str | None = None


class ScoringSpec(Spec):
    mode: Literal["inline", "separate", "off"] = "inline"
    epochs: Count = 1
    scorers: list[ScorerSpec]
    aggregate: AggregateSpec | None = None
    judge: dict[str, Any] | None = None
    passes: Annotated[list[PassSpec], Field(alias="pass")] = []


class EnvironmentSpec(Spec):
    name: str
    params: dict[str, Any] = {}
    max_steps: Count | None = None
    parallel_tool_calls: bool | None = None
    tool_latency: DistributionSpec | None = None
    on_invalid_call: Literal["return_error", "fail"] | None = None
    sandbox: dict[str, Any] | None = None


class OverrideSpec(Spec):
    generation: GenerationSpec | None = None
    cache: dict[str, Any] | None = None
    load: dict[str, Any] | None = None
    skip: str | None = None


class WorkloadSpec(Spec):
    """A workload file, schema version 1."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["rag"])]
    title: str = ""
    description: str = ""
    tags: list[str] = []
    dataset: DatasetSpec
    shape: ShapeSpec | None = None
    messages: Annotated[list[MessageSpec | InsertSpec], Field(min_length=1)] | None = None
    tools: list[dict[str, Any]] | FileRef | None = None
    environment: EnvironmentSpec | None = None
    generation: GenerationSpec = GenerationSpec()
    cache: CacheSpec = CacheSpec()
    load: LoadSpec
    slo: SloSpec | None = None
    scoring: ScoringSpec | None = None
    targets: dict[str, OverrideSpec] = {}


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


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a workload file, for editors."""
    schema = WorkloadSpec.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "bench workload, version 1"}


def load_workload(path: Path) -> Workload:
    """Read, check and render a workload. Raises ConfigError with every problem found."""
    loaded = load(path)
    spec = check(WorkloadSpec, loaded)
    problems = list(_not_runnable(spec, loaded))
    if problems:
        raise ConfigError(problems)
    params = params_of(spec.generation, Params())
    params = replace(params, tools=_tools(spec, loaded), **_cache(spec.cache))
    cases = tuple(_cases(spec, loaded))
    if spec.dataset.reorder is not None:
        cases = _reordered(cases, spec.dataset, loaded)
    if not cases:
        raise ConfigError([_problem(loaded, "dataset", "no items", "at least one item after filter and limit")])
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


def sessions_of(cases: Sequence[Case]) -> tuple[range, ...]:
    """The turns of each session, in order, as indices of `cases`, which hold a session's turns side by side."""
    begins = [index for index, case in enumerate(cases) if case.turn == 1]
    return tuple(range(begin, end) for begin, end in zip(begins, [*begins[1:], len(cases)], strict=False))


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


def _problem(loaded: Loaded, path: str, got: str, want: str) -> Problem:
    return loaded.problem(tuple(int(part) if part.isdigit() else part for part in path.split(".")), got, want)


def _not_runnable(spec: WorkloadSpec, loaded: Loaded) -> Iterator[Problem]:
    """What the schema knows and this version cannot run yet."""
    from bench import score, world

    def problem(path: str, got: str, want: str) -> Problem:
        return _problem(loaded, path, got, want)

    if spec.environment is not None:
        yield problem(
            "environment", spec.environment.name, "a workload without an environment; this version runs single replies"
        )
    yield from load_problems(spec.load, spec.slo is not None and spec.slo.can_be_checked, problem)
    if spec.dataset.type == "trace":
        yield problem("dataset.type", "trace", "generator, file or inline")
    if spec.dataset.type == "generator" and spec.dataset.generator not in world.generators():
        yield problem("dataset.generator", str(spec.dataset.generator), f"one of {', '.join(world.generators())}")
    if spec.dataset.type == "file" and spec.dataset.format not in ("auto", "jsonl", "csv"):
        yield problem("dataset.format", spec.dataset.format, "jsonl or csv")
    if spec.messages is None and spec.dataset.type != "inline":
        yield problem("messages", "nothing", "the messages to send, e.g. [{role: user, content: '{{ question }}'}]")
    yield from _session_problems(spec, problem)
    if spec.dataset.reorder is not None and spec.load.unit == "session":
        yield problem("dataset.reorder", "sessions", "requests of their own; a session is not asked twice")
    if spec.scoring is not None:
        for at, scorer in enumerate(spec.scoring.scorers):
            if scorer.type not in score.names():
                yield problem(f"scoring.scorers.{at}.type", scorer.type, f"one of {', '.join(score.names())}")
                continue
            try:
                score.get(scorer.type, scorer.name, scorer.options)
            except ConfigError as error:
                for wrong in error.problems:
                    yield problem(f"scoring.scorers.{at}.{wrong.path}", wrong.got, wrong.want)
        yield from _verdict_problems(spec.scoring, problem)


OWN_FIGURES = ("quality", "quality_answered", "weighted", "label_macro_f1", "label_invalid_share")
"""What `pass` can name beside the scorers: the share right, the mean by weight, and the figures of labels."""


def _verdict_problems(scoring: ScoringSpec, problem: Callable[[str, str, str], Problem]) -> Iterator[Problem]:
    """What `scoring` says that no run of this version does, and bars that name nothing."""
    if scoring.mode == "separate":
        yield problem("scoring.mode", "separate", "inline (the replies that are timed are scored) or off")
    if scoring.epochs != 1:
        yield problem(
            "scoring.epochs", str(scoring.epochs), "1; more requests of the same items: load.stages, requests"
        )
    if scoring.judge is not None:
        yield problem("scoring.judge", "a judge", "scorers; this version has no judge")
    names = [one.name for one in scoring.scorers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield problem("scoring.scorers", f"{twice[0]} more than once", "a name of its own for every scorer")
    known = f"one of {', '.join((*names, *OWN_FIGURES))}"
    for at, one in enumerate(scoring.scorers):
        if not one.weight > 0:
            yield problem(f"scoring.scorers.{at}.weight", f"{one.weight:g}", "a number above 0, e.g. 0.5")
    if (total := scoring.aggregate) is not None:
        if total.metric not in (None, "weighted", *names):
            yield problem("scoring.aggregate.metric", str(total.metric), f"one of {', '.join((*names, 'weighted'))}")
        if total.reducer not in ("mean", ["mean"]):
            yield problem("scoring.aggregate.reducer", str(total.reducer), "mean")
        if total.ci != 0.95:
            yield problem("scoring.aggregate.ci", f"{total.ci:g}", "0.95, the level of every interval")
    for at, bar in enumerate(scoring.passes):
        where = f"scoring.pass.{at}"
        if bar.metric not in (*names, *OWN_FIGURES):
            yield problem(f"{where}.metric", bar.metric, known)
        if bar.min is None and bar.max is None and bar.margin is None:
            yield problem(where, "no bar", "min, max, or vs: baseline with a margin")
        if (bar.vs is None) != (bar.margin is None) or bar.vs not in (None, "baseline"):
            yield problem(
                where, f"vs {bar.vs}, margin {bar.margin}", "vs: baseline together with margin: 0.03, in shares of 1"
            )
        if bar.vs is not None and bar.metric not in (*names, "quality", "weighted"):
            yield problem(
                f"{where}.metric", bar.metric, f"one of {', '.join((*names, 'quality', 'weighted'))} beside vs"
            )


def _session_problems(spec: WorkloadSpec, problem: Callable[[str, str, str], Problem]) -> Iterator[Problem]:
    inserts = [
        at
        for at, message in enumerate(spec.messages or ())
        if isinstance(message, InsertSpec) and message.insert == "session"
    ]
    if spec.load.unit != "session":
        for at in inserts:
            yield problem(f"messages.{at}.insert", "session", "history or messages; sessions need load.unit: session")
    elif spec.messages is not None and inserts != [len(spec.messages) - 1]:
        yield problem(
            "messages", "no session at the end", "{insert: session} as the last of the messages, and only there"
        )


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


def _tools(spec: WorkloadSpec, loaded: Loaded) -> tuple[Mapping[str, Any], ...]:
    if spec.tools is None:
        return ()
    if isinstance(spec.tools, FileRef):
        return tuple(json.loads(_read(loaded, spec.tools.file, "tools.file")))
    return tuple(spec.tools)


def _read(loaded: Loaded, name: str, path: str) -> str:
    file = Path(loaded.path).parent / name
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([_problem(loaded, path, name, f"a file that can be read ({error.strerror})")]) from None


def _cases(spec: WorkloadSpec, loaded: Loaded) -> Iterator[Case]:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    items = _items(spec, loaded)
    try:
        if spec.dataset.filter:
            keep = env.compile_expression(spec.dataset.filter, undefined_to_none=True)
            items = [item for item in items if keep(**item)]
    except TemplateError as error:
        raise ConfigError(
            [
                _problem(
                    loaded,
                    "dataset.filter",
                    str(error),
                    "an expression over the item's fields, e.g. metadata.tier == 'hard'",
                )
            ]
        ) from None
    if spec.dataset.limit is not None:
        items = items[: spec.dataset.limit]
    templates: list[Any] = []
    in_sessions = spec.load.unit == "session"
    for at, message in enumerate(spec.messages or [InsertSpec(insert="session" if in_sessions else "messages")]):
        if isinstance(message, InsertSpec):
            templates.append(message.insert)
            continue
        path = f"messages.{at}.content"
        content = message.content
        text = _read(loaded, content.file, path) if isinstance(content, FileRef) else content
        try:
            templates.append((message.role, env.from_string(text) if isinstance(text, str) else text))
        except TemplateError as error:
            raise ConfigError(
                [_problem(loaded, path, str(error), "a Jinja2 template over the item's fields")]
            ) from None
    cluster_by = spec.scoring.aggregate.cluster_by if spec.scoring and spec.scoring.aggregate else None
    for number, item in enumerate(items):
        messages: list[Mapping[str, Any]] = []
        try:
            for template in templates:
                if template == "session":
                    continue  # the turns follow
                if isinstance(template, str):
                    messages.extend(item.get(template) or ())
                else:
                    role, body = template
                    messages.append(
                        {"role": role, "content": body if isinstance(body, list) else body.render(**item).strip()}
                    )
        except TemplateError as error:
            where = f"item {item.get('id', number)}"
            raise ConfigError(
                [_problem(loaded, "messages", f"{error} in {where}", "templates that use only fields the items have")]
            ) from None
        tags = dict(item.get("metadata") or {})
        case = Case(
            id=str(item.get("id", number)),
            messages=tuple(messages),
            expected=item.get("expected") or {"target": item.get("target")},
            tags=tags,
            cluster=str(tags.get("cluster") or (tags.get(cluster_by) if cluster_by else "") or item.get("id", number)),
            answers=item.get("answers") or {},
            source=f"{spec.dataset.path or spec.dataset.generator or 'inline'}#{item.get('id', number)}",
            response_format=_response_format(item, number, loaded),
        )
        if in_sessions:
            yield from _turns(case, item, loaded, recorded=(spec.load.session or SessionSpec()).history == "recorded")
        else:
            yield case


def _reordered(cases: Sequence[Case], dataset: DatasetSpec, loaded: Loaded) -> tuple[Case, ...]:
    assert dataset.reorder is not None
    try:
        return tuple(reordered(cases, dataset.reorder, dataset.seed))
    except ValueError as error:
        want = f"the line {dataset.reorder.under!r} in its prompt, and two or more lines with '- ' below it"
        raise ConfigError([_problem(loaded, "dataset.reorder.under", f"item {error} without a list", want)]) from None


def _response_format(item: Mapping[str, Any], number: int, loaded: Loaded) -> Mapping[str, Any] | None:
    form = item.get("response_format")
    if form is None or (isinstance(form, dict) and isinstance(form.get("type"), str)):
        return form
    got = f"item {item.get('id', number)} with the response_format {form!r:.60}"
    raise ConfigError(
        [_problem(loaded, "dataset", got, "one like {type: json_schema, json_schema: {name: ..., schema: ...}}")]
    )


def _turns(session: Case, item: Mapping[str, Any], loaded: Loaded, *, recorded: bool) -> Iterator[Case]:
    """A case for every scripted user turn of an item, each with the turns before it.

    What the item expects is judged on the last reply, unless a turn says what it expects itself.
    """
    turns = item.get("turns")
    want = "turns: [{user: ..., assistant: ...}, ...], or the user's words alone"
    if not isinstance(turns, list) or not turns:
        raise ConfigError([_problem(loaded, "dataset", f"item {session.id} without turns", want)])
    said: list[Mapping[str, Any]] = []
    for number, turn in enumerate(turns, 1):
        turn = {"user": turn} if isinstance(turn, str) else turn
        if not isinstance(turn, dict) or not isinstance(turn.get("user"), str):
            raise ConfigError([_problem(loaded, "dataset", f"turn {number} of item {session.id}", want)])
        last = number == len(turns)
        if recorded and not last and not isinstance(turn.get("assistant"), str):
            got = f"turn {number} of item {session.id} without the assistant's words"
            raise ConfigError([_problem(loaded, "dataset", got, "them, or load.session.history: live")])
        said.append({"role": "user", "content": turn["user"]})
        yield replace(
            session,
            id=f"{session.id}/{number}",
            messages=(*session.messages, *said),
            expected=turn.get("expected") or (session.expected if last else {}),
            answers=turn.get("answers") or (session.answers if last else {}),
            session=session.id,
            turn=number,
        )
        said.append({"role": "assistant", "content": turn.get("assistant") or ""})


def _items(spec: WorkloadSpec, loaded: Loaded) -> list[dict[str, Any]]:
    dataset = spec.dataset
    if dataset.type == "inline":
        items = [dict(item) for item in dataset.items or ()]
    elif dataset.type == "generator" and dataset.path is None:
        from bench.world import generate

        assert dataset.generator is not None
        assert dataset.seed is not None
        items = generate(dataset.generator, dataset.seed, dataset.params)
    else:
        items = _from_file(dataset, loaded)
    if dataset.fields:
        items = [{**item, **{to: item.get(source) for to, source in dataset.fields.items()}} for item in items]
    if dataset.shuffle:
        import random

        random.Random(f"{dataset.seed}:shuffle").shuffle(items)
    seen: set[str] = set()
    twice = sorted({str(i["id"]) for i in items if "id" in i and (str(i["id"]) in seen or seen.add(str(i["id"])))})  # type: ignore[func-returns-value]
    if twice:
        raise ConfigError(
            [_problem(loaded, "dataset", f"the id {twice[0]} more than once", "a unique id for every item")]
        )
    return items


def _from_file(dataset: DatasetSpec, loaded: Loaded) -> list[dict[str, Any]]:
    assert dataset.path is not None
    path = Path(loaded.path).parent / dataset.path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            [_problem(loaded, "dataset.path", dataset.path, f"a file that can be read ({error.strerror})")]
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if dataset.sha256 is not None and digest != dataset.sha256:
        raise ConfigError(
            [
                _problem(
                    loaded,
                    "dataset.sha256",
                    f"{dataset.sha256[:12]}…, while the file is {digest[:12]}…",
                    "the file this workload was made with, or its new digest and a new version",
                )
            ]
        )
    if dataset.format == "csv" or (dataset.format == "auto" and path.suffix == ".csv"):
        return [dict(row) for row in csv.DictReader(data.decode("utf-8-sig").splitlines())]
    items = []
    problems = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"{path}:{number}", "", f"{line[:40]!r} ({error})", "one JSON object a line"))
            continue
        if not isinstance(item, dict):
            problems.append(Problem(f"{path}:{number}", "", repr(item)[:40], "one JSON object a line"))
            continue
        items.append(item)
    if problems:
        raise ConfigError(problems[:20])
    return items


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
