"""What a workload file may say: the schema, as types. `json_schema` is the one that editors use, generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from bench.load import Count, DistributionSpec, LoadSpec, Positive
from bench.reorder import ReorderSpec
from bench.yamlfile import Duration


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


def _kind_of_message(value: Any) -> str:
    return (
        "insert" if isinstance(value, InsertSpec) or (isinstance(value, Mapping) and "insert" in value) else "message"
    )


AnyMessage = Annotated[
    Annotated[MessageSpec, Tag("message")] | Annotated[InsertSpec, Tag("insert")], Discriminator(_kind_of_message)
]
"""One or the other by its keys, so that a mistake is told once, of the one that was meant."""


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
    messages: Annotated[list[AnyMessage], Field(min_length=1)] | None = None
    tools: list[dict[str, Any]] | FileRef | None = None
    environment: EnvironmentSpec | None = None
    generation: GenerationSpec = GenerationSpec()
    cache: CacheSpec = CacheSpec()
    load: LoadSpec
    slo: SloSpec | None = None
    scoring: ScoringSpec | None = None
    targets: dict[str, OverrideSpec] = {}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a workload file, for editors."""
    schema = WorkloadSpec.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "bench workload, version 1"}
