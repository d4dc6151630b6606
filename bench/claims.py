"""What a workload claims of itself, held against what it holds: its lengths, and that its gold can be reached.

Tokens are counted as `bench.tokens` estimates them, as the claims are written. A claim of a p99 may be off by 30 %, any other
by 15 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import score
from bench.record import Case, Reply
from bench.tokens import tokens
from bench.workload import Workload

TOLERANCE, TAIL_TOLERANCE, TAIL = 0.15, 0.30, 99.0
TURNS_TOLERANCE = 0.5
"""Counts of turns are whole numbers; a quantile of them may fall between two."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure of `shape`: what the file says and what its cases have. `measured` is None where nothing can be measured."""

    name: str
    claimed: float
    measured: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Oracle:
    """The reference replies through the workload's own scorers. `failed` are ids of cases with the scorer's reason."""

    replies: int
    right: int
    without_reply: int
    failed: tuple[tuple[str, str], ...]

    @property
    def holds(self) -> bool:
        return self.right == self.replies


def input_tokens(case: Case) -> float:
    return sum(tokens(_text(message["content"])) for message in case.messages)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or ())


def claims(workload: Workload) -> list[Claim]:
    """Every figure that `shape` states, in the order of the schema."""
    shape = workload.spec.shape
    if shape is None:
        return []
    found: list[Claim] = []
    measures: Mapping[str, Callable[[Workload], Sequence[float]]] = {
        "input_tokens": lambda w: [input_tokens(case) for case in w.cases],
        "output_tokens": lambda w: [tokens(text) for case in w.cases for text in case.answers.get("right", ())[:1]],
        "turns": _turns,
    }
    for name in ("input_tokens", "output_tokens", "turns", "calls_per_session", "images"):
        stated: Mapping[str, float] | None = getattr(shape, name)
        values = measures[name](workload) if stated and name in measures else []
        for quantile, claimed in (stated or {}).items():
            at = float(quantile[1:])
            measured = float(np.percentile(values, at, method="inverted_cdf")) if values else None
            found.append(_claim(f"{name} {quantile}", claimed, measured, at, exact=name == "turns"))
    if shape.shared_prefix_tokens is not None:
        found.append(_claim("shared_prefix_tokens", shape.shared_prefix_tokens, shared_prefix(workload), 50.0))
    if shape.reusable_prefix is not None:
        found.append(Claim("reusable_prefix", shape.reusable_prefix, None, None))
    return found


def _claim(name: str, claimed: float, measured: float | None, at: float, exact: bool = False) -> Claim:
    if measured is None:
        return Claim(name, claimed, None, None)
    allowed = TURNS_TOLERANCE if exact else (TAIL_TOLERANCE if at >= TAIL else TOLERANCE) * claimed
    return Claim(name, claimed, measured, abs(measured - claimed) <= max(allowed, 0.5))


def _turns(workload: Workload) -> list[float]:
    """Questions of each conversation, those that are remembered and the last one."""
    last = [workload.cases[turns[-1]] for turns in workload.sessions] or list(workload.cases)
    return [float(sum(message["role"] == "user" for message in case.messages)) for case in last]


def shared_prefix(workload: Workload) -> float:
    """Tokens at the beginning of the prompt that are the same for all cases."""
    texts = ["\0".join(_text(message["content"]) for message in case.messages) for case in workload.cases]
    low, high = min(texts), max(texts)
    length = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    shared = low[:length] if len(texts) > 1 else low.rpartition("\0")[0]
    return tokens(shared.replace("\0", ""))


def oracle(workload: Workload) -> Oracle | None:
    """Whether every reference reply is right by the required scorers (all of them, when none is). None without scorers."""
    if not workload.scorers:
        return None
    scorers = [score.get(spec.type, spec.name, spec.options) for spec in workload.scorers]
    required = {spec.name for spec in workload.scorers if spec.required} or {spec.name for spec in workload.scorers}
    replies, right, without = 0, 0, 0
    failed: list[tuple[str, str]] = []
    for case in workload.cases:
        texts = case.answers.get("right", ())
        without += not texts and bool(case.expected)
        for text in texts:
            scores = score.score_all(case, Reply(text=text, stop_reason="stop", complete=True), scorers)
            replies += 1
            if score.correct(scores, required):
                right += 1
            elif case.id not in dict(failed):
                failed.append((case.id, _why(scores, required)))
    return Oracle(replies, right, without, tuple(failed))


def _why(scores: Sequence[Any], required: set[str]) -> str:
    mine = [s for s in scores if s.scorer in required and (s.value is None or s.value < 1.0)]
    return "; ".join(f"{s.scorer}: {s.reason or s.value}" for s in mine)


def lines(workload: Workload) -> Iterator[tuple[str, bool]]:
    """What was found, in words, each with whether it speaks for the workload."""
    for claim in claims(workload):
        if claim.measured is None:
            yield f"{claim.name}: claimed {claim.claimed:g}, cannot be measured before a run", True
        else:
            said = f"{claim.name}: claimed {claim.claimed:g}, measured {claim.measured:.4g}"
            yield (said if claim.holds else f"{said}: OFF"), bool(claim.holds)
    found = oracle(workload)
    if found is None:
        return
    if not found.replies:
        yield "gold: no case has a reference reply, so whether the gold can be reached is not known", True
        return
    yield f"gold: {found.right} of {found.replies} reference replies score 1", found.holds
    for case_id, why in found.failed[:3]:
        yield f"  {case_id}: {why}", False
    if found.without_reply:
        yield f"  {found.without_reply} of {len(workload.cases)} cases have no reference reply", True
