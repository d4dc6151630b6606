"""Targets: a model at an address. The form of targets.yaml, its checks, and the defaults that the registry fills in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema

from bench import registry, yamlfile
from bench.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Target:
    """A model at an address, as one row of targets.yaml after defaults were filled in.

    `auth` holds references only (names of environment variables or profiles), never a secret. `price` holds decimal
    numbers as text; `prices` is the file with the user's own. `params` holds only what the file sets; None there means
    "not sent", whatever the workload says.
    """

    id: str
    model: str
    provider: str
    model_id: str
    dialect: str
    region: str | None = None
    base_url: str | None = field(default=None, repr=False)
    service_tier: str | None = None
    sku: str | None = None
    deployment: str | None = None
    workspace: str | None = None
    project: str | None = None
    resource: str | None = None
    organization: str | None = None
    preset: str | None = None
    api_version: str | None = None
    auth: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    price: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    simulated: bool = False
    prices: tuple[str, str] | None = field(default=None, repr=False)
    """Name and text of the user's own price file."""


TOKEN_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
"""What a provider charges for, each per million tokens. `input` is uncached input; `output` includes reasoning."""


def load_targets(path: str | Path, only: Sequence[str] | None = None, doors: Collection[str] = ()) -> list[Target]:
    """The targets of the file in its order, or those of `only` in that order. ConfigError carries every problem.

    `doors` names providers beside the registry's own, for which nothing is filled in.
    """
    loaded = yamlfile.load(path)
    problems = yamlfile.secrets(loaded)
    hidden = {(problem.where, problem.path) for problem in problems}
    parsed, wrong = yamlfile.validate(TargetsFile, loaded)
    problems += [problem for problem in wrong if (problem.where, problem.path) not in hidden]
    targets: list[Target] = []
    for index, row in _rows(loaded.data, parsed):
        target, found = _fill(row, ("targets", index), loaded, doors)
        problems += found
        if target:
            targets.append(target)
    problems += _repeated_ids(loaded)
    prices = None
    if parsed is not None and parsed.prices is not None:
        try:
            prices = read_prices(Path(path).parent / parsed.prices)
        except ConfigError as error:
            problems += [loaded.problem(("prices",), "", f"{parsed.prices} {one.want}") for one in error.problems]
    if problems:
        raise ConfigError(sorted(set(problems), key=lambda problem: (_line(problem), problem.path)))
    targets = [replace(target, prices=prices) for target in targets]
    return targets if only is None else _chosen(targets, only, str(path))


def read_prices(path: str | Path) -> tuple[str, str]:
    """Name and text of a price file: as it is now, whatever becomes of it during a run."""
    name = str(path)
    try:
        return name, Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(name, "", "", f"cannot be read: {error.strerror or error}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(name, "", "other bytes", "UTF-8 text")]) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of targets.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TargetsFile.model_json_schema()}


# the form of the file ----------------------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _as_text(value: Any) -> Any:
    """`api_version: 2023-06-01` without quotes is a date to YAML."""
    return value.isoformat() if isinstance(value, date) else value


def _as_decimal_text(value: Any) -> str:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and number >= 0:
            return f"{number:f}"
    raise ValueError("a decimal number, not negative")


def _as_rate_text(value: Any) -> str:
    text = _as_decimal_text(value)
    if len(text.partition(".")[2]) > 6:
        raise ValueError("USD per million tokens, with at most six decimal places")
    return text


def _as_discount(value: Any) -> str:
    text = _as_decimal_text(value)
    if Decimal(text) >= 1:
        raise ValueError("a part of the list price, below 1")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Usd = Annotated[
    str,
    BeforeValidator(_as_rate_text),
    WithJsonSchema({"type": ["string", "number"], "description": "USD per million tokens", "examples": ["2.00"]}),
]
Discount = Annotated[
    str,
    BeforeValidator(_as_discount),
    WithJsonSchema({"type": ["string", "number"], "description": "part off the list price", "examples": [0.12]}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]


class Auth(_Strict):
    """References to credentials. Without this, the official SDK's own search order holds."""

    env: EnvName | None = Field(
        default=None, description="name of an environment variable", examples=["ANTHROPIC_API_KEY"]
    )
    profile: Text | None = Field(default=None, description="name of a profile on this machine", examples=["benchmarks"])


class Limits(_Strict):
    """What the account allows, per minute; a plan that asks for more is refused before it is sent."""

    rpm: int | None = Field(default=None, gt=0, description="requests per minute", examples=[1000])
    itpm: int | None = Field(default=None, gt=0, description="input tokens per minute", examples=[400000])
    otpm: int | None = Field(default=None, gt=0, description="output tokens per minute", examples=[80000])
    burst_s: int | None = Field(
        default=None, gt=0, le=60, description="seconds' worth of the limits that may come at once", examples=[10]
    )


class PriceTerms(_Strict):
    """Either the list price, less a discount, or explicit prices in USD per million tokens."""

    book: Literal["list"] | None = Field(default=None, examples=["list"])
    discount: Discount | None = None
    input: Usd | None = None
    cache_read: Usd | None = None
    cache_write_5m: Usd | None = None
    cache_write_1h: Usd | None = None
    output: Usd | None = None


class Settings(_Strict):
    """The last word on generation settings. `null` means "not sent"."""

    max_tokens: int | None = Field(default=None, gt=0, examples=[1024])
    temperature: float | None = Field(default=None, ge=0, le=2, examples=[0.0])
    top_p: float | None = Field(default=None, gt=0, le=1, examples=[0.9])
    top_k: int | None = Field(default=None, gt=0, examples=[40])
    seed: int | None = Field(default=None, examples=[7])
    stop: list[Text] | None = Field(default=None, examples=[["END"]])
    stream: bool | None = Field(default=None, examples=[True])
    effort: Text | None = Field(default=None, examples=["low"])
    thinking_budget_tokens: int | None = Field(default=None, gt=0, examples=[2048])
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    cache_ttl: Literal["5m", "1h"] | None = Field(default=None, examples=["5m"])
    extra_body: dict[str, Any] = Field(default_factory=dict, description="more fields of the request body")
    extra_headers: dict[str, str] = Field(default_factory=dict, description="more request headers")


class TargetRow(_Strict):
    """One row of targets.yaml."""

    id: Name = Field(description="label of the row: letters, digits, . _ -", examples=["bedrock-us-east-1"])
    model: Name = Field(
        description="the logical model; targets of one model are compared", examples=["claude-sonnet-5-5"]
    )
    provider: Name = Field(description="the door: who answers", examples=["bedrock"])
    model_id: Text | None = Field(
        default=None, description="the id at this door", examples=["us.anthropic.claude-sonnet-5-5"]
    )
    region: Text | None = Field(default=None, description="region asked for", examples=["us-east-1"])
    dialect: Text | None = Field(default=None, description="wire language", examples=["messages"])
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")] | None = Field(
        default=None, description="address to use instead of the door's own", examples=["http://localhost:4000/v1"]
    )
    service_tier: Text | None = Field(default=None, examples=["default"])
    sku: Text | None = Field(
        None, description="kind of deployment, where the door has kinds", examples=["GlobalStandard"]
    )
    deployment: Text | None = Field(
        default=None, description="name of the deployment (Azure)", examples=["claude-sonnet-5-5"]
    )
    workspace: Text | None = None
    project: Text | None = Field(default=None, description="Google Cloud project", examples=["my-project"])
    resource: Text | None = Field(default=None, description="Azure resource", examples=["my-resource"])
    organization: Text | None = Field(default=None, description="OpenAI organisation", examples=["org-..."])
    preset: Name | None = Field(
        default=None, description="the make of an openai-compatible server", examples=["vllm", "ollama"]
    )
    api_version: Annotated[Text, BeforeValidator(_as_text)] | None = Field(default=None, examples=["2026-10-21"])
    auth: Auth = Auth()
    limits: Limits = Limits()
    price: PriceTerms = PriceTerms()
    params: Settings = Settings()


class TargetsFile(_Strict):
    """Targets: the models to compare and where they answer."""

    version: Literal[1] = Field(examples=[1])
    prices: Text | None = Field(
        default=None, description="the file with your own prices, beside this one", examples=["prices.yaml"]
    )
    targets: list[TargetRow] = Field(min_length=1)


# filling in --------------------------------------------------------------------------------------------------------


def _rows(data: Any, parsed: TargetsFile | None) -> list[tuple[int, TargetRow]]:
    """The rows that are well-formed, also when others are not, so that every problem is told at once."""
    if parsed is not None:
        return list(enumerate(parsed.targets))
    raw = data.get("targets") if isinstance(data, Mapping) else None
    rows = []
    for index, item in enumerate(raw if isinstance(raw, list) else []):
        try:
            rows.append((index, TargetRow.model_validate(item)))
        except ValidationError:
            continue
    return rows


def _fill(
    row: TargetRow, at: tuple[str | int, ...], loaded: yamlfile.Loaded, extra: Collection[str]
) -> tuple[Target | None, list[Problem]]:
    known = registry.doors()
    door = known.get(row.provider)
    if door is None:
        if row.provider in extra:
            return _outside(row, at, loaded)
        names = [*known, *extra]
        meant = yamlfile.closest(row.provider, names)
        want = meant or f"one of {', '.join(names)}"
        return None, [loaded.problem((*at, "provider"), yamlfile.shown(row.provider), want)]

    problems = _terms(row, at, loaded)
    region = row.region or door.region
    for key in door.needs:
        if getattr(row, key) is None and not (key == "base_url" and row.preset):  # a preset brings its own
            example = TargetRow.model_fields[key].examples or [""]
            want = f"{key}, which {row.provider} cannot do without, e.g. {key}: {example[0]}"
            problems.append(loaded.problem((*at, key), "nothing", want))
    entry = registry.lookup(row.model, row.provider)
    dialect = row.dialect or (entry.dialect if entry is not None else None) or door.dialects[0]
    if dialect not in door.dialects:
        problems.append(loaded.problem((*at, "dialect"), yamlfile.shown(dialect), f"one of {', '.join(door.dialects)}"))

    if row.preset and not door.any_model:
        problems.append(
            loaded.problem((*at, "preset"), yamlfile.shown(row.preset), "none, or provider: openai-compatible")
        )

    model_id = row.model_id
    if model_id is None and entry is not None:
        model_id = registry.model_id(entry, region)
    if model_id is None and not (entry is not None and region is None):
        problems.append(loaded.problem((*at, "model_id"), "nothing", _wanted_id(row, entry)))
    if model_id and row.provider == "bedrock" and region:
        problems += _profile_matches(model_id, region, at, loaded)
    if problems or model_id is None:
        return None, problems
    # the Converse API has no version of its own; the other dialects of OpenAI's kind neither
    pinned = entry.api_version if entry is not None and dialect == "messages" else None
    return _target(row, model_id, dialect, region, row.api_version or pinned), []


def _outside(row: TargetRow, at: tuple[str | int, ...], loaded: yamlfile.Loaded) -> tuple[Target | None, list[Problem]]:
    """A target of a provider that the registry knows nothing of: everything must be said."""
    problems = _terms(row, at, loaded)
    for key in ("model_id", "dialect"):
        if getattr(row, key) is None:
            problems.append(loaded.problem((*at, key), "nothing", f"{key}, as {row.provider} is not in the registry"))
    if problems or row.model_id is None or row.dialect is None:
        return None, problems
    return _target(row, row.model_id, row.dialect, row.region, row.api_version), []


def _target(row: TargetRow, model_id: str, dialect: str, region: str | None, api_version: str | None) -> Target:
    plain = ("base_url", "service_tier", "sku", "deployment", "workspace", "project", "resource")
    more = ("organization", "preset")
    return Target(
        id=row.id,
        model=row.model,
        provider=row.provider,
        model_id=model_id,
        dialect=dialect,
        region=region,
        api_version=api_version,
        auth=row.auth.model_dump(exclude_none=True),
        limits=row.limits.model_dump(exclude_none=True),
        price=row.price.model_dump(exclude_none=True),
        params=row.params.model_dump(exclude_unset=True),
        **{key: getattr(row, key) for key in (*plain, *more)},
    )


def _terms(row: TargetRow, at: tuple[str | int, ...], loaded: yamlfile.Loaded) -> list[Problem]:
    """Keys that exclude or need each other."""
    problems = []
    if row.auth.env and row.auth.profile:
        problems.append(
            loaded.problem((*at, "auth"), "env and profile", "one of them, e.g. auth: {profile: benchmarks}")
        )
    price = row.price
    explicit = [name for name in TOKEN_CLASSES if getattr(price, name) is not None]
    either = "either {book: list, discount: 0.12} or {input: 2.00, output: 10.00}"
    if explicit and (price.book or price.discount):
        problems.append(loaded.problem((*at, "price"), "both kinds of terms", either))
    elif explicit and not (price.input and price.output):
        problems.append(loaded.problem((*at, "price"), f"only {', '.join(explicit)}", "at least input and output"))
    return problems


def _profile_matches(model_id: str, region: str, at: tuple[str | int, ...], loaded: yamlfile.Loaded) -> list[Problem]:
    profile = registry.bedrock_profile(model_id)
    if profile is None or registry.profile_holds(profile, region):
        return []
    got = f"{yamlfile.shown(model_id)} in {region}"
    key = "model_id" if (*at, "model_id") in loaded.lines else "region"
    return [loaded.problem((*at, key), got, f"a region that the inference profile {profile} holds")]


def _wanted_id(row: TargetRow, entry: registry.Entry | None) -> str:
    if entry is not None:
        example = entry.model_id.replace("{profile}", "global" if "global" in entry.profiles else entry.profiles[-1])
        offered = ", ".join(entry.profiles)
        return f"a model_id: no inference profile of {row.model} ({offered}) belongs to {row.region}, e.g. {example}"
    meant = yamlfile.closest(row.model, registry.models())
    if row.model in registry.models():
        return f"a model_id: the registry knows no {row.model} at {row.provider}"
    if meant:
        return f"a model_id, as the model {row.model} is not in the registry (perhaps model: {meant})"
    return f"a model_id, as the model {row.model} is not in the registry ({', '.join(registry.models())})"


def _repeated_ids(loaded: yamlfile.Loaded) -> list[Problem]:
    rows = loaded.data.get("targets") if isinstance(loaded.data, Mapping) else None
    seen: set[str] = set()
    problems = []
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        name = row.get("id") if isinstance(row, Mapping) else None
        if isinstance(name, str):
            if name in seen:
                want = "an id of its own for every target"
                problems.append(loaded.problem(("targets", index, "id"), f"{yamlfile.shown(name)} again", want))
            seen.add(name)
    return problems


def _chosen(targets: list[Target], only: Sequence[str], name: str) -> list[Target]:
    by_id = {target.id: target for target in targets}
    problems = []
    for wanted in dict.fromkeys(only):
        if wanted not in by_id:
            meant = yamlfile.closest(wanted, by_id)
            want = meant or f"one of {', '.join(by_id)}"
            problems.append(Problem(name, "--only", yamlfile.shown(wanted), want))
    if problems:
        raise ConfigError(problems)
    return [by_id[wanted] for wanted in dict.fromkeys(only)]


def _line(problem: Problem) -> int:
    number = re.search(r":(\d+)$", problem.where)
    return int(number[1]) if number else 0
