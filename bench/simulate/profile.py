"""How a look-alike behaves, as data: a profile is read into a frozen dataclass, and every problem is told at once.

A <time> is a distribution in ms: {"constant": 50}, {"uniform": [a, b]}, or lognormal {"p50": a, "p90": b}.

    key               when absent        meaning
    ttft_ms           {"constant": 50}   <time> to the first token
    gap_ms            {"constant": 5}    <time> between tokens
    headers_share     0.7                when the response headers go, as a share of the time to the first token
    tokens_per_event  1                  tokens in every content event but the first, which has one
    stall             none               {"share", "ms": <time>}: this share of replies pauses once
    spells            none               {"period_s", "duration_s", "factor"}: slow spells, by the time since the start
    throttle          none               {"share", "retry_after_s"}: this share is answered 429
    overload_share    0                  share that is told that the door is overloaded, as this door says it
    error_share       0                  share that is answered 500
    cut_share         0                  share whose body ends without the wire's terminal event
    hang_share        0                  share that is never answered
    faults            []                 [{"name", "share", ...}]: any fault of faults.py
    output_tokens     64                 length of the reply to a prompt that the answers have no entry for
    accuracy          1.0                share of replies that are the entry's right answer
    abstain_share     0                  share that abstain; the rest is wrong
    own_share         0.2                share of replies whose kind is chance of this target alone; the rest follows a difficulty
                                         of the prompt that all targets share, as clouds of one model do
    cache             none               {"hit_share", "min_tokens": 1024}: prompt caching
    limits            none               {"rpm", "itpm", "otpm"}: enforced per minute, and told in headers
    markers           false              obey [[fault: ...]] in prompts (tests)
    served_model      from the model id  model named in replies
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import Problem
from bench.simulate.faults import Fault, FaultError, parse_fault

NS_PER_MS = 1_000_000
Z90 = 1.2815515655446004
"""The 90th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of durations in ms. `kind` is constant (a), uniform (a to b) or lognormal (of log ms: mean a,
    deviation b).
    """

    kind: str
    a: float
    b: float

    def draw_ns(self, rng: random.Random, count: int) -> list[int]:
        """That many durations, in ns."""
        if self.kind == "constant":
            return [int(self.a * NS_PER_MS)] * count
        if self.kind == "uniform":
            return [int(rng.uniform(self.a, self.b) * NS_PER_MS) for _ in range(count)]
        return [int(rng.lognormvariate(self.a, self.b) * NS_PER_MS) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Profile:
    """See the head of this file. `faults` are (share, fault), drawn by one uniform number: at most one per request."""

    ttft_ms: Spread = Spread("constant", 50, 50)
    gap_ms: Spread = Spread("constant", 5, 5)
    headers_share: float = 0.7
    tokens_per_event: int = 1
    stall_share: float = 0.0
    stall_ms: Spread = Spread("constant", 0, 0)
    spell_period_s: float = 0.0
    spell_duration_s: float = 0.0
    spell_factor: float = 1.0
    faults: tuple[tuple[float, Fault], ...] = ()
    output_tokens: int | None = None
    accuracy: float = 1.0
    abstain_share: float = 0.0
    own_share: float = 0.2
    cache_hit_share: float | None = None
    cache_min_tokens: int = 1024
    limits: tuple[tuple[str, int], ...] = ()
    markers: bool = False
    served_model: str | None = None


OVERLOADED = 0
"""As the code of a status fault: the status that this door uses to say that it is overloaded."""


class _Reader:
    """Takes keys out of a mapping, noting a problem for each that is not as it should be."""

    def __init__(self, data: Any, where: str, path: str, problems: list[Problem]) -> None:
        self.where, self.path, self.problems = where, path, problems
        self.data: dict[str, Any] = {}
        if isinstance(data, Mapping):
            self.data = dict(data)
        elif data is not None:
            self.problem("", data, "a mapping")

    def problem(self, key: str, got: Any, want: str) -> None:
        path = ".".join(part for part in (self.path, key) if part)
        self.problems.append(Problem(self.where, path, repr(got), want))

    def number(self, key: str, default: float, low: float = 0.0, high: float = math.inf, want: str = "") -> float:
        value = self.data.pop(key, None)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.problem(
                key,
                value,
                want or (f"a number from {low:g} to {high:g}" if high < math.inf else f"a number of at least {low:g}"),
            )
            return default
        return value

    def share(self, key: str, default: float = 0.0) -> float:
        return float(self.number(key, default, 0, 1, "a share from 0 to 1, e.g. 0.01"))

    def count(self, key: str, default: int, low: int = 0) -> int:
        value = self.number(key, default, low)
        if value != int(value):
            self.problem(key, value, f"a whole number of at least {low}")
            return default
        return int(value)

    def spread(self, key: str, default: Spread) -> Spread:
        value = self.data.pop(key, None)
        if value is None:
            return default
        found = _spread(value)
        if found is None:
            self.problem(
                key,
                value,
                'a distribution in ms, e.g. {"p50": 500, "p90": 900}, {"uniform": [175, 225]} or {"constant": 10}',
            )
            return default
        return found

    def part(self, key: str) -> _Reader:
        return _Reader(self.data.pop(key, None), self.where, f"{self.path}.{key}" if self.path else key, self.problems)

    def close(self) -> None:
        for key, value in self.data.items():
            self.problem(key, value, "no such key")


def _spread(value: Any) -> Spread | None:
    def numbers(items: Any) -> bool:
        return all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < math.inf for n in items)

    if not isinstance(value, Mapping):
        return None
    match dict(value):
        case {"constant": a, **rest} if not rest and numbers([a]):
            return Spread("constant", a, a)
        case {"uniform": [a, b], **rest} if not rest and numbers([a, b]) and a <= b:
            return Spread("uniform", a, b)
        case {"p50": a, "p90": b, **rest} if not rest and numbers([a, b]) and 0 < a <= b:
            return Spread("lognormal", math.log(a), math.log(b / a) / Z90)
    return None


def parse_profile(data: Any, where: str, problems: list[Problem], path: str = "profile") -> Profile:
    """A profile from plain data; what is wrong is added to `problems`."""
    top = _Reader(data, where, path, problems)
    plain = Profile()
    faults: list[tuple[float, Fault]] = []
    throttle = top.part("throttle")
    retry_after_s = throttle.number("retry_after_s", 1.0)
    faults.append((throttle.share("share"), Fault("status", code=429, retry_after_s=retry_after_s)))
    throttle.close()
    faults.append((top.share("overload_share"), Fault("status", code=OVERLOADED)))
    faults.append((top.share("error_share"), Fault("status", code=500)))
    faults.append((top.share("cut_share"), Fault("cut")))
    faults.append((top.share("hang_share"), Fault("hang")))
    listed = top.data.pop("faults", None) or []
    if not isinstance(listed, list):
        top.problem("faults", listed, 'a list, e.g. [{"name": "cut", "after": 5, "share": 0.1}]')
        listed = []
    for n, item in enumerate(listed):
        share = item.get("share") if isinstance(item, Mapping) else None
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            top.problem(f"faults[{n}]", item, 'a fault with its share, e.g. {"name": "cut", "after": 5, "share": 0.1}')
            continue
        try:
            faults.append((float(share), parse_fault({k: v for k, v in item.items() if k != "share"})))
        except FaultError as error:
            top.problem(f"faults[{n}]", item, str(error))
    faults = [(share, fault) for share, fault in faults if share > 0]
    if sum(share for share, _ in faults) > 1 + 1e-9:
        top.problem("faults", round(sum(share for share, _ in faults), 6), "shares of all faults that sum to at most 1")
    accuracy, abstain_share = top.share("accuracy", 1.0), top.share("abstain_share")
    if accuracy + abstain_share > 1 + 1e-9:
        top.problem("accuracy", accuracy + abstain_share, "accuracy + abstain_share of at most 1")
    stall, spells, cache, limits = (top.part(key) for key in ("stall", "spells", "cache", "limits"))
    told_cache, told_output = bool(cache.data), top.data.get("output_tokens") is not None
    markers, served_model = top.data.pop("markers", False), top.data.pop("served_model", None)
    if not isinstance(markers, bool):
        top.problem("markers", markers, "true or false")
    if served_model is not None and not isinstance(served_model, str):
        top.problem("served_model", served_model, "the name of a model")
    output_tokens = top.count("output_tokens", 0)
    profile = Profile(
        ttft_ms=top.spread("ttft_ms", plain.ttft_ms),
        gap_ms=top.spread("gap_ms", plain.gap_ms),
        headers_share=top.share("headers_share", plain.headers_share),
        tokens_per_event=top.count("tokens_per_event", 1, 1),
        stall_share=stall.share("share"),
        stall_ms=stall.spread("ms", plain.stall_ms),
        spell_period_s=spells.number("period_s", 0.0),
        spell_duration_s=spells.number("duration_s", 0.0),
        spell_factor=spells.number("factor", 1.0),
        faults=tuple(faults),
        output_tokens=output_tokens if told_output else None,
        accuracy=accuracy,
        abstain_share=abstain_share,
        own_share=top.share("own_share", plain.own_share),
        cache_hit_share=cache.share("hit_share") if told_cache else None,
        cache_min_tokens=cache.count("min_tokens", plain.cache_min_tokens),
        limits=tuple((key, n) for key in ("rpm", "itpm", "otpm") if (n := limits.count(key, 0))),
        markers=bool(markers),
        served_model=served_model if isinstance(served_model, str) else None,
    )
    for part in (stall, spells, cache, limits, top):
        part.close()
    return profile
