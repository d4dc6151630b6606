"""What OpenAI's reasoning models refuse, in Chat Completions and Responses: their 400s, in the service's own words.

By the name of the model; a deployment that is called otherwise is not known to think, and refuses nothing.
"""

from __future__ import annotations

import re
from typing import Any

from bench.simulate.base import Json, Refused

EFFORTS = (
    (r"gpt-6(\.1-sol|-astra)", ("low", "medium", "high", "xhigh", "max")),
    (r"gpt-6", ("none", "low", "medium", "high", "xhigh", "max")),
    (r"gpt-5\.[456]", ("none", "low", "medium", "high", "xhigh")),
    (r"gpt-5(-mini|-nano)?(-\d{4}-\d{2}-\d{2})?$", ("minimal", "low", "medium", "high")),
)
"""Model -> the efforts it takes; the first row that fits."""


def refuse_for_reasoning(body: Json) -> None:
    """Raises Refused for the first field that a reasoning model does not take."""
    name = re.sub(r".*(gpt-\d)", r"\1", str(body.get("model")))
    efforts = next((efforts for pattern, efforts in EFFORTS if re.match(pattern, name)), None)
    if efforts is None:
        return
    if body.get("max_tokens") is not None:
        raise _parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    reasoning = body.get("reasoning")
    effort = body.get("reasoning_effort") or (reasoning.get("effort") if isinstance(reasoning, dict) else None)
    if effort is not None and effort not in efforts:
        known = ", ".join(f"'{each}'" for each in efforts)
        raise _value("reasoning.effort" if reasoning else "reasoning_effort", effort, f"Supported values are: {known}.")
    if effort == "none":
        return
    if body.get("temperature") not in (None, 1):
        raise _value("temperature", body["temperature"], "Only the default (1) value is supported.")
    if body.get("top_p") not in (None, 1):
        raise _parameter("top_p", "")


def _parameter(name: str, more: str) -> Refused:
    return Refused(
        400, "unsupported_parameter", f"Unsupported parameter: '{name}' is not supported with this model.{more}"
    )


def _value(name: str, value: Any, more: str) -> Refused:
    shown = f"'{value}'" if isinstance(value, str) else value
    return Refused(
        400, "unsupported_value", f"Unsupported value: '{name}' does not support {shown} with this model. {more}"
    )
