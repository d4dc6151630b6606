"""Which generation settings a target will really get, whether it takes them, and whether all targets get the same.

A cloud that refuses a setting, or a gateway that drops it in silence, makes two rows of one table two experiments.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence, Set
from datetime import date
from types import MappingProxyType
from typing import Any

from bench import registry
from bench.errors import Problem
from bench.record import Params
from bench.targets import Target

BUDGET_MIN = 1024
"""Smallest thinking budget that the Messages API takes (ThinkingConfigEnabledParam of the anthropic SDK), in tokens."""

IN_BODY = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "stop_sequences": "stop",
    "stream": "stream",
    "thinking": "effort or thinking_budget_tokens",
    "output_config": "effort or response_format",
    "reasoning": "effort",
    "reasoning_effort": "effort",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "response_format": "response_format",
    "inferenceConfig": "max_tokens, temperature, top_p or stop",
}
"""Fields of request bodies that are settings of ours: smuggled in by `extra_body` they would pass every check."""

ROUTING = frozenset({
    "provider", "models", "route", "user", "metadata", "service_tier", "inference_geo", "anthropic_version",
    "anthropic_beta", "store", "stream_options", "cache_salt", "priority", "prompt_cache_key", "requestMetadata",
    "performanceConfig", "serviceTier", "speed", "safety_identifier", "prompt_cache_retention", "prompt_cache_options",
})  # fmt: skip
"""Fields of `extra_body` that say where or in which lane a request runs, not what is generated: targets may differ."""


def effective_params(workload_params: Params, target: Target) -> tuple[Params, list[Problem], list[str]]:
    """The settings sent to that target, what it would refuse of them, and what the reader should know.

    The target's own `params` have the last word; None in them means "not sent" (for `max_tokens` and `stream`, the
    default). `extra_body` and `extra_headers` are added to the workload's.
    """
    params = _overlaid(workload_params, target.params)
    entry = registry.lookup(target.model, target.provider)
    problems = [
        _problem(target, f"extra_body.{key}", json.dumps(value, default=str), f"the setting {ours} instead")
        for key, value in params.extra_body.items()
        if (ours := IN_BODY.get(key)) is not None and not (key == "thinking" and _shown_only(value))
    ]
    notes = []
    if entry is not None:
        problems += _sampling(params, target, entry) + _thinking(params, target, entry) + _limits(params, target, entry)
        if entry.thinking_hidden and params.effort != "none":
            notes.append(
                f"{target.id}: {target.model} does not send its thoughts; time to first token includes all thinking"
            )
        elif entry.thinking_always_on:
            notes.append(
                f"{target.id}: {target.model} always thinks first; time to first token counts thinking as tokens"
            )
    pinned = entry.api_version if entry is not None and target.dialect == "messages" else None
    if pinned and target.api_version and target.api_version != pinned:
        notes.append(
            f"{target.id}: API version {target.api_version} instead of {pinned}, the registry's for {target.model}"
        )
    if params.extra_headers:
        notes.append(f"{target.id}: sends headers of its own: {', '.join(sorted(params.extra_headers))}")
    return params, problems, notes


def without_cache(params: Params) -> tuple[Params, frozenset[str]]:
    """The settings for a target whose server caches in its own way, and the names of those that are taken out."""
    plain = Params()
    own = {name: getattr(plain, name) for name in ("cache_breakpoints", "cache_ttl")}
    return dataclasses.replace(params, **own), frozenset(own)


def same_settings(
    pairs: Sequence[tuple[Target, Params]], degraded: Mapping[str, Set[str]] = MappingProxyType({})
) -> list[Problem]:
    """A problem for every generation setting in which the targets of a comparison differ; none when all are equal.

    `degraded` names, by a target's id, settings that it cannot be sent: there it is not compared, and a note says so.
    """
    problems = []
    for name in [field.name for field in dataclasses.fields(Params) if field.name != "extra_headers"]:
        ids_of: dict[str, list[str]] = {}
        for target, params in pairs:
            if name in degraded.get(target.id, ()):
                continue
            value = getattr(params, name)
            if name == "extra_body":
                value = {key: inner for key, inner in value.items() if key not in ROUTING}
            ids_of.setdefault(_canonical(value), []).append(target.id)
        if len(ids_of) > 1:
            got = "; ".join(f"{', '.join(ids)}: {_cut(value)}" for value, ids in ids_of.items())
            want = (
                f"the same {name} for every target of a comparison: set it in the workload's generation and take "
                f"params.{name} out of the targets, or compare with --only the targets that agree"
            )
            everyone = ", ".join(target.id for target, _ in pairs)
            problems.append(Problem(everyone, f"params.{name}", got, want))
    return problems


def end_of_life(target: Target, on: date) -> tuple[Problem | None, str | None]:
    """Why the target's model cannot be used on that day, and else a warning when its end is near or in doubt."""
    entry = registry.lookup(target.model, target.provider)
    if entry is None:
        return None, None
    gone = registry.retired(entry, on, target.model_id)
    if gone:
        want = f"a model that is still served, e.g. model: {_current(target.provider, on)}"
        return Problem(target.id, "model", gone, want), None
    warning = registry.ending(entry, on, target.model_id)
    return None, f"{target.id}: {warning}" if warning else None


def _overlaid(base: Params, own: Mapping[str, Any]) -> Params:
    plain = Params()
    changes: dict[str, Any] = {}
    for name, value in own.items():
        if name in ("extra_body", "extra_headers"):
            changes[name] = {**getattr(base, name), **value}
        elif value is None:
            changes[name] = getattr(plain, name)
        else:
            changes[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(base, **changes)


def _shown_only(thinking: Any) -> bool:
    """Whether it says only how thoughts are shown, for which there is no setting of ours."""
    return isinstance(thinking, Mapping) and set(thinking) == {"display"}


def _sampling(params: Params, target: Target, entry: registry.Entry) -> list[Problem]:
    problems = []
    by_version = registry.refused_by_api_version(target.api_version) if target.dialect == "messages" else frozenset()
    for name in registry.SAMPLING:
        value = getattr(params, name)
        if value is None:
            continue
        if name in entry.accepts_at_effort_none:
            if params.effort == "none":
                continue
            why = f"nothing: {target.model} takes {name} only with effort: none"
        elif name not in entry.accepts:
            why = f"nothing: {target.model} takes no {name} at any door"
        elif name in by_version:
            pin = f"; api_version {entry.api_version} does" if entry.api_version != target.api_version else ""
            why = f"nothing: API version {target.api_version} takes no {name}{pin}"
        else:
            continue
        problems.append(_problem(target, name, _told(value), f"{why}. Leave it out of the workload's generation"))
    for one, other in entry.not_together:
        if getattr(params, one) is not None and getattr(params, other) is not None:
            want = f"one of {one} and {other}: {target.model} refuses both in one request"
            problems.append(_problem(target, other, f"{one} and {other}", want))
    return problems


def _thinking(params: Params, target: Target, entry: registry.Entry) -> list[Problem]:
    problems = []
    budget, effort = params.thinking_budget_tokens, params.effort
    if budget is not None and entry.thinking == "adaptive":
        want = (
            f"effort instead: {target.model} decides itself how long it thinks, e.g. effort: {entry.efforts[0]}"
            if (entry.efforts)
            else f"nothing: {target.model} decides itself how long it thinks"
        )
        problems.append(_problem(target, "thinking_budget_tokens", str(budget), want))
    elif budget is not None and entry.thinking == "budget" and not BUDGET_MIN <= budget < params.max_tokens:
        want = f"at least {BUDGET_MIN} and less than max_tokens ({params.max_tokens})"
        problems.append(_problem(target, "thinking_budget_tokens", str(budget), want))
    if effort == "none" and entry.thinking_always_on:
        want = f"one of {', '.join(entry.efforts or ())}: the thinking of {target.model} cannot be switched off"
        problems.append(_problem(target, "effort", "none", want))
    elif effort not in (None, "none") and entry.efforts is not None and effort not in entry.efforts:
        allowed = f"one of {', '.join(entry.efforts)}" if entry.efforts else "nothing"
        problems.append(_problem(target, "effort", str(effort), f"{allowed}, for {target.model}"))
    if not entry.forced_tool_choice and _forces_tool(params.tool_choice):
        want = f"auto or none: {target.model} cannot be made to call a tool"
        problems.append(_problem(target, "tool_choice", json.dumps(params.tool_choice, default=str), want))
    return problems


def _limits(params: Params, target: Target, entry: registry.Entry) -> list[Problem]:
    if entry.max_output_tokens is None or params.max_tokens <= entry.max_output_tokens:
        return []
    want = f"at most {entry.max_output_tokens}, the limit of {target.model}"
    return [_problem(target, "max_tokens", str(params.max_tokens), want)]


def _forces_tool(choice: Any) -> bool:
    if isinstance(choice, Mapping):
        choice = choice.get("type")
    return choice is not None and choice not in ("auto", "none")


def _current(door: str, on: date) -> str:
    for model in registry.models():
        entry = registry.lookup(model, door)
        if entry is not None and registry.retired(entry, on) is None and registry.ending(entry, on) is None:
            return model
    return "another"


def _problem(target: Target, name: str, got: str, want: str) -> Problem:
    return Problem(target.id, f"params.{name}", got, want)


def _told(value: Any) -> str:
    return _cut(_canonical(value))


def _canonical(value: Any) -> str:
    """Equal for values that mean the same: 0 and 0.0, a list and a tuple, no mapping and an empty one."""
    if value is None or (isinstance(value, Mapping | tuple | list) and not value):
        return "not sent"

    def plain(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return {str(key): plain(item) for key, item in inner.items()}
        if isinstance(inner, list | tuple):
            return [plain(item) for item in inner]
        return int(inner) if isinstance(inner, float) and inner.is_integer() else inner

    return json.dumps(plain(value), sort_keys=True, default=str, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
