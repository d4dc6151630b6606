"""Workloads: what is sent, under which load, and how a reply is judged. One YAML file of schema version 1 each.

`load_workload` reads the file, renders every case and returns a frozen `Workload`; every mistake in the file is reported at
once with its line. `json_schema` is the schema that editors use, generated from the types below.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.errors import ConfigError, Problem
from bench.record import Case, Params
from bench.yamlfile import Duration, Loaded, check, load

DEFAULT_TIMEOUT_NS = 120_000_000_000


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Quantiles = Annotated[dict[Annotated[str, Field(pattern=r"^p(\d{1,2}(\.\d+)?|100)$")], float], Field(min_length=1)]
Bounds = Annotated[dict[Annotated[str, Field(pattern=r"^p\d{1,2}(\.\d+)?$")], Duration], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


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


class DistributionSpec(Spec):
    distribution: Literal["constant", "uniform", "exponential", "lognormal", "gamma", "empirical"]
    value: Duration | None = None
    mean: Duration | None = None
    p50: Duration | None = None
    p90: Duration | None = None
    min: Duration | None = None
    max: Duration | None = None
    file: str | None = None


class StageSpec(Spec):
    rate: Positive | None = None
    concurrency: Count | None = None
    duration: Duration | None = None
    requests: Count | None = None
    sessions: Count | None = None
    ramp: bool = False


class WarmupSpec(Spec):
    requests: Annotated[int, Field(ge=0)] | None = None
    sessions: Annotated[int, Field(ge=0)] | None = None
    duration: Duration | None = None


class SweepSpec(Spec):
    over: Literal["rate", "concurrency"]
    values: list[Positive] | None = None
    until: Literal["saturation", "slo"] | None = None
    points: Count | None = None
    duration: Duration | None = None


class SessionSpec(Spec):
    think_time: DistributionSpec | None = None
    history: Literal["live", "recorded"] | None = None


class LoadSpec(Spec):
    pattern: Literal["concurrent", "constant", "poisson", "gamma", "replay", "sweep"]
    arrangement: Literal["interleaved", "lanes"] = "interleaved"
    unit: Literal["request", "session"] = "request"
    cv: Positive | None = None
    stages: Annotated[list[StageSpec], Field(min_length=1)] | None = None
    time_scale: Positive | None = None
    jitter: Duration | None = None
    sweep: SweepSpec | None = None
    warmup: WarmupSpec = WarmupSpec()
    max_in_flight: Count = 256
    timeout: Duration | None = None
    retries: Annotated[int, Field(ge=0)] = 2
    tail: Literal["drain_untimed", "drain", "cut"] = "drain"
    budget_usd: Positive | None = None
    session: SessionSpec | None = None


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
class Stage:
    """A stretch of load. Exactly one of `rate_per_s` and `concurrency`; `requests` is the number of prompts per target."""

    rate_per_s: float | None
    concurrency: int | None
    requests: int | None
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class Load:
    pattern: Literal["concurrent", "constant", "poisson", "gamma"]
    arrangement: Literal["interleaved", "lanes"]
    stages: tuple[Stage, ...]
    cv: float | None = None
    warmup_requests: int = 0
    max_in_flight: int = 256
    timeout_ns: int = DEFAULT_TIMEOUT_NS
    retries: int = 2
    budget_usd: float | None = None

    @property
    def closed(self) -> bool:
        return self.pattern == "concurrent"


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
    if not cases:
        raise ConfigError([_problem(loaded, "dataset", "no items", "at least one item after filter and limit")])
    return Workload(
        name=spec.name,
        title=spec.title,
        path=path,
        spec=spec,
        cases=cases,
        params=params,
        load=_load(spec.load, len(cases), loaded),
        digest=_digest(spec, cases),
    )


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


def quick(workload: Workload) -> Workload:
    """A stratified sixth of the cases: every tier and kind keeps its share."""
    strata: dict[tuple[str, str], list[Case]] = {}
    for case in workload.cases:
        strata.setdefault((str(case.tags.get("kind", "")), str(case.tags.get("tier", ""))), []).append(case)
    keep = {case.id for cases in strata.values() for case in cases[: max(1, round(len(cases) / 6))]}
    return workload.with_cases([case for case in workload.cases if case.id in keep])


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
    from bench.score import SCORERS
    from bench.world import GENERATORS

    def problem(path: str, got: str, want: str) -> Problem:
        return _problem(loaded, path, got, want)

    if spec.environment is not None:
        yield problem(
            "environment", spec.environment.name, "a workload without an environment; this version runs single replies"
        )
    if spec.load.pattern in ("replay", "sweep"):
        yield problem("load.pattern", spec.load.pattern, "concurrent, constant, poisson or gamma")
    if spec.load.unit == "session":
        yield problem("load.unit", "session", "request; this version runs single replies")
    if spec.load.pattern == "gamma" and spec.load.cv is None:
        yield problem("load.cv", "nothing", "the coefficient of variation of the gaps, e.g. 2.0")
    if spec.dataset.type == "trace":
        yield problem("dataset.type", "trace", "generator, file or inline")
    if spec.dataset.type == "generator" and spec.dataset.generator not in GENERATORS:
        yield problem("dataset.generator", str(spec.dataset.generator), f"one of {', '.join(sorted(GENERATORS))}")
    if spec.dataset.type == "file" and spec.dataset.format not in ("auto", "jsonl", "csv"):
        yield problem("dataset.format", spec.dataset.format, "jsonl or csv")
    if spec.messages is None and spec.dataset.type != "inline":
        yield problem("messages", "nothing", "the messages to send, e.g. [{role: user, content: '{{ question }}'}]")
    for at, message in enumerate(spec.messages or ()):
        if isinstance(message, InsertSpec) and message.insert == "session":
            yield problem(f"messages.{at}.insert", "session", "history or messages; this version runs single replies")
    if spec.scoring is not None:
        for at, scorer in enumerate(spec.scoring.scorers):
            if scorer.type not in SCORERS:
                yield problem(f"scoring.scorers.{at}.type", scorer.type, f"one of {', '.join(sorted(SCORERS))}")
    yield from _stage_problems(spec.load, loaded)


def _stage_problems(spec: LoadSpec, loaded: Loaded) -> Iterator[Problem]:
    for at, stage in enumerate(spec.stages or ()):
        path = f"load.stages.{at}"
        if stage.ramp:
            yield _problem(loaded, f"{path}.ramp", "true", "false; this version runs flat stages")
        if spec.pattern == "concurrent" and stage.concurrency is None:
            yield _problem(loaded, path, "no concurrency", "concurrency, since load.pattern is concurrent, e.g. 8")
        if spec.pattern in ("constant", "poisson", "gamma") and stage.rate is None:
            yield _problem(loaded, path, "no rate", f"rate, since load.pattern is {spec.pattern}, e.g. 2.5")


def _load(spec: LoadSpec, n_cases: int, loaded: Loaded) -> Load:
    stages = tuple(
        Stage(
            rate_per_s=s.rate,
            concurrency=s.concurrency,
            requests=s.requests,
            duration_ns=s.duration,
        )
        for s in spec.stages or ()
    )
    if not stages:
        stages = (Stage(None, 1, n_cases, None) if spec.pattern == "concurrent" else Stage(1.0, None, n_cases, None),)
    stages = tuple(replace(s, requests=n_cases) if s.requests is None and s.duration_ns is None else s for s in stages)
    return Load(
        pattern=spec.pattern,  # type: ignore[arg-type]  # replay and sweep were refused by _not_runnable
        arrangement=spec.arrangement,
        stages=stages,
        cv=spec.cv,
        warmup_requests=spec.warmup.requests or 0,
        max_in_flight=spec.max_in_flight,
        timeout_ns=spec.timeout or DEFAULT_TIMEOUT_NS,
        retries=spec.retries,
        budget_usd=spec.budget_usd,
    )


def _cache(spec: CacheSpec) -> dict[str, Any]:
    if spec.prompt_caching == "off":
        return {}
    return {"cache_breakpoints": tuple(spec.breakpoints), "cache_ttl": spec.ttl}


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
    for at, message in enumerate(spec.messages or [InsertSpec(insert="messages")]):
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
        yield Case(
            id=str(item.get("id", number)),
            messages=tuple(messages),
            expected=item.get("expected") or {"target": item.get("target")},
            tags=tags,
            cluster=str(tags.get("cluster") or (tags.get(cluster_by) if cluster_by else "") or item.get("id", number)),
            answers=item.get("answers") or {},
            source=f"{spec.dataset.path or spec.dataset.generator or 'inline'}#{item.get('id', number)}",
        )


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
        hasher.update(json.dumps([case.id, case.messages, case.expected], sort_keys=True, ensure_ascii=False).encode())
    return hasher.hexdigest()
