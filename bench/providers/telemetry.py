"""How near the limits were, from response headers alone: one table for every vendor's words. Pure and total.

Anthropic sends `anthropic-ratelimit-input-tokens-remaining` and resets as RFC 3339 times; OpenAI and its likes send
`x-ratelimit-remaining-tokens` and resets as durations (`6m0s`, `120ms`); Azure sends seconds, and for provisioned
throughput a utilisation in per cent; gateways send the drafts of a standard (`ratelimit-remaining`, `ratelimit`).
Bedrock and Vertex send none. Dates are read against the response's own `date`: our clock is not asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bench.providers.headers import first

WHATS = ("requests", "tokens", "input_tokens", "output_tokens")
FACTS = ("limit", "remaining", "reset")

NAMES: Mapping[str, tuple[str, ...]] = {
    # what -> header patterns, the vendor's own name before what any proxy may have set
    "requests": ("anthropic-ratelimit-requests-{}", "x-ratelimit-{}-requests", "ratelimit-{}", "x-ratelimit-{}"),
    "tokens": ("anthropic-ratelimit-tokens-{}", "x-ratelimit-{}-tokens"),
    "input_tokens": ("anthropic-ratelimit-input-tokens-{}", "x-ratelimit-{}-input-tokens"),
    "output_tokens": ("anthropic-ratelimit-output-tokens-{}", "x-ratelimit-{}-output-tokens"),
}
UTILISATION = "azure-openai-deployment-utilization"
"""Share of a provisioned deployment that is in use, as a number with a per cent sign; a number without one is not read."""

WAITS = (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0))
"""Headers that ask for a wait, the most exact first, with the unit of a bare number in seconds."""

COLUMNS = (
    *(name for what in WHATS for name in (f"limit_{what}", f"remaining_{what}", f"reset_{what}_s")),
    "retry_after_s",
    "utilisation_share",
)


def read(headers: Iterable[tuple[str, str]]) -> dict[str, int | float | None]:
    """A value for every name of `COLUMNS`; None where the response does not say.

    Counts are whole numbers, `_s` are seconds from the response's date, the share is 0 to 1.
    """
    by_name = first(headers)
    found: dict[str, int | float | None] = dict.fromkeys(COLUMNS)
    told = [name for name in by_name if "ratelimit" in name]
    if told:
        now = date(by_name.get("date", ""))
        for what in WHATS:
            for pattern in NAMES[what]:
                limit, remaining, reset = (by_name.get(pattern.format(fact), "") for fact in FACTS)
                if not (limit or remaining):
                    continue
                found[f"limit_{what}"] = count(limit)
                found[f"remaining_{what}"] = count(remaining)
                found[f"reset_{what}_s"] = until_s(reset, now)
                break
        if found["remaining_requests"] is None and "ratelimit" in by_name:
            found.update(_structured(by_name))
    found["retry_after_s"] = asked_wait_s(by_name)
    found["utilisation_share"] = share(by_name.get(UTILISATION, ""))
    return found


def asked_wait_s(by_name: Mapping[str, str]) -> float | None:
    """The wait that a response's headers ask for, in seconds: a number of milliseconds or seconds, or a date."""
    for name, unit_s in WAITS:
        value = by_name.get(name)
        if value is None:
            continue
        waited = number(value)
        if waited is not None:
            return waited * unit_s
        until, now = date(value), date(by_name.get("date", ""))
        if until is not None and now is not None:
            return max(0.0, (until - now).total_seconds())
    return None


def retry_after_s(by_name: Mapping[str, str], error: Mapping[str, Any], throttled: bool) -> float | None:
    """What the provider asked us to wait, in seconds, or None. `error` is the error object of the body.

    Where a throttled response names no time of its own, the reset of the limits that are used up does.
    """
    waited = asked_wait_s(by_name)
    if waited is not None:
        return waited
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            return duration(str(detail.get("retryDelay", "")))
    return _used_up_s(by_name, date(by_name.get("date", ""))) if throttled else None


def _used_up_s(by_name: Mapping[str, str], now: datetime | None) -> float | None:
    """When the limits that are used up are filled again, whatever their names; None while none is used up."""
    waits = []
    for name, value in by_name.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        left = number(by_name.get(name.replace("reset", "remaining"), ""))
        if left is None or left > 0:
            continue
        wait = until_s(value, now)
        if wait is not None:
            waits.append(wait)
    return max(waits, default=None)


def _structured(by_name: Mapping[str, str]) -> dict[str, int | float | None]:
    """The later draft: `ratelimit: "default";r=50;t=30` beside `ratelimit-policy: "default";q=100;w=60`."""
    left, policy = _parameters(by_name["ratelimit"]), _parameters(by_name.get("ratelimit-policy", ""))
    return {
        "limit_requests": count(policy.get("q") or left.get("limit", "")),
        "remaining_requests": count(left.get("r") or left.get("remaining", "")),
        "reset_requests_s": number(left.get("t") or left.get("reset", "")),
    }


def _parameters(value: str) -> dict[str, str]:
    """`key=value` parts of the first limit: after its name with semicolons, or in the draft before, with commas."""
    first_limit = value.split(",", maxsplit=1)[0] if ";" in value else value
    parts = (part.partition("=") for part in re.split("[;,]", first_limit))
    return {key.strip(): found.strip() for key, sign, found in parts if sign}


# ------------------------------------------------------------------------------------------------ the spelling of numbers

_UNITS_S = {"ms": 0.001, "us": 1e-6, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_PART = r"(\d+(?:\.\d+)?)(ms|us|[smhd]|)"


def until_s(value: str, now: datetime | None) -> float | None:
    """Seconds until a reset: a duration, a date, or a point in Unix time (seconds or milliseconds)."""
    wait, until = duration(value), date(value)
    if wait is not None and wait > 1e9:
        return None if now is None else max(0.0, wait / (1000 if wait > 1e11 else 1) - now.timestamp())
    if wait is None and until is not None and now is not None:
        return max(0.0, (until - now).total_seconds())
    return wait


def duration(value: str) -> float | None:
    """`6m0s`, `1m2.5s`, `120ms`, `1.5` (seconds), in seconds; None for anything else."""
    value = value.strip()
    if not re.fullmatch(f"(?:{_PART})+", value, re.ASCII) or len(value) > 40:
        return None
    return sum(float(figure) * _UNITS_S[unit] for figure, unit in re.findall(_PART, value))


def number(value: str) -> float | None:
    """A finite number that is not negative."""
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def count(value: str) -> int | None:
    """A whole number; of `100, 100;w=60` (limits with their windows) the first."""
    found = re.match(r"\s*([0-9]{1,18})\s*(?:[,;]|$)", value)
    return int(found[1]) if found else None


def share(value: str) -> float | None:
    """`42.5%` as 0.425."""
    value = value.strip()
    found = number(value[:-1].strip()) if value.endswith("%") else None
    return None if found is None else found / 100


def date(value: str) -> datetime | None:
    """An HTTP date or an RFC 3339 one."""
    if len(value) < 8:
        return None
    for reader in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = reader(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None
