"""The gate: one verdict for each figure of each target of a night, against what its own history promises.

    ok            within what quiet nights do
    suspect       one mild exceedance: nothing is called yet, the next night or a re-run decides; or a watched figure moved
    regression    beyond the limit of one night, or the last two or three nights together beyond theirs, or an slo broken
    improvement   the same limits, on the good side
    learning      too few nights to know what a quiet night is
    inconclusive  not known tonight, or so uneven a history that a doubling would not be seen
    environment   it would be a regression, but the control moved too: our side had a bad night
    invalid       the run is no measurement

docs/nightly.md has the rules in full, and what they cost in false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.errors import EXIT_AGAINST, EXIT_CANNOT_RUN, EXIT_INCONCLUSIVE, EXIT_OK
from bench.metrics import plural
from bench.nightly.nights import Night
from bench.stats import limits
from bench.stats.limits import FEWEST, Alphas, Prior, Walk
from bench.stats.nightly import GATED, UNKNOWN, Bound, Gated, NightFigure

__all__ = ["GateResult", "GateRow", "Night", "Word", "judge"]

Word = Literal["ok", "regression", "suspect", "improvement", "learning", "inconclusive", "environment", "invalid"]

WORST_FIRST: tuple[Word, ...] = (
    "invalid", "regression", "environment", "suspect", "inconclusive", "learning", "improvement", "ok",
)  # fmt: skip
ASSUMED: Mapping[str, Prior] = {"log": Prior(0.05), "share": Prior(0.01), "count": Prior(0.0)}
"""From night to night, by scale, where the baseline has too few nights to tell: 5 %, one point."""
LEAST_SD = {"log": limits.LEAST_SD, "share": 0.002}
BLIND = math.log(2)
"""A history whose limit lies beyond a doubling sees nothing."""
BLIND_MARGINS = 2.0
"""Quality that could not show a loss of so many margins is not known well enough."""
OWN_PART, CONTROL_PART = 0.25, 0.5
"""A bad night is our own when our machine's own delay makes up a quarter of it, or the control target moved half as far."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One figure of one target. Values are in the base unit of `unit` (ms, share of 1, USD, tokens); None is not known.

    `expected` is the typical value of the history, or the limit of an slo; `low` and `high` are the limits beyond which a night
    by itself is called (None: that side is not limited). `effect` is how far tonight is from `expected`: relative (0.2 is 20 %
    more) for ms, USD and tokens, in shares of 1 for shares. `floor` is the smallest effect that counts. `nights` is how many
    nights stand behind the limits.
    """

    target: str
    metric: str
    label: str
    unit: str
    verdict: Word
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    effect: float | None
    floor: float | None
    nights: int
    reason: str = ""
    kind: str = ""
    """latency, delivery, quality, cost, watch or slo."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says of a run. `verdict` is the worst word of its rows; `sentence` says it for people."""

    run_id: str
    rows: tuple[GateRow, ...]
    verdict: Word
    exit_code: int
    notes: tuple[str, ...] = ()
    sentence: str = ""
    baseline: str = ""
    """What it was held against, in words."""
    night: str = ""
    """The UTC date of the run."""
    simulated: bool = False

    def of(self, verdict: Word) -> tuple[GateRow, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)


def exit_code(verdict: Word, strict: bool) -> int:
    """The exit code of a verdict. What cannot be told (a suspect, too few nights, our own bad night) fails only when strict."""
    if verdict == "invalid":
        return EXIT_CANNOT_RUN
    if verdict == "regression":
        return EXIT_AGAINST
    if verdict in ("suspect", "inconclusive", "learning", "environment"):
        return EXIT_INCONCLUSIVE if strict else EXIT_OK
    return EXIT_OK


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """The re-run of a night, and both runs with their rows put together."""

    again: Night
    both: Night


def judge(
    tonight: Night,
    history: Mapping[str, Sequence[Night]],
    *,
    confirm: Confirmed | None = None,
    control: str | None = None,
    assume: bool = False,
) -> tuple[GateRow, ...]:
    """Every figure of every target of a run. `history` has the earlier nights of each target that are like tonight, by time.

    `control` names a target that is not expected to change. `assume`: with fewer nights than a limit needs, a usual spread from
    night to night is assumed (for a baseline that was chosen), instead of the word learning.
    """
    family = len([target for target in tonight.targets if target != control])
    rows = [
        _row(target, gated, tonight, history.get(target, ()), family, confirm, assume)
        for target in tonight.targets for gated in GATED
    ] + [_bound_row(target, bound) for target, found in tonight.bounds.items() for bound in found]  # fmt: skip
    if reasons := _not_a_measurement(tonight, confirm):
        return tuple(replace(row, verdict="invalid", reason=reasons) for row in rows)
    rows = [_environment(row, rows, tonight, history.get(row.target, ()), control) for row in rows]
    return tuple(_explained(row, rows) for row in rows)


def _not_a_measurement(tonight: Night, confirm: Confirmed | None) -> str:
    nights = [tonight, *([confirm.again] if confirm else [])]
    said = [f"{night.run_id}: {reason}" for night in nights for reason in night.invalid]
    said += [f"{night.run_id} did not come to its end" for night in nights if not night.complete]
    return "; ".join(said)


# ---------------------------------------------------------------- one figure


def _row(
    target: str,
    gated: Gated,
    tonight: Night,
    before: Sequence[Night],
    family: int,
    confirm: Confirmed | None,
    assume: bool,
) -> GateRow:
    nights = [night for night in before if night.figures.get(target, {}).get(gated.name, UNKNOWN).value is not None]
    figures = [night.figures[target][gated.name] for night in nights]
    now = (confirm.both if confirm else tonight).figures.get(target, {}).get(gated.name, UNKNOWN)
    blank = GateRow(target, gated.name, gated.label, gated.unit, "inconclusive", now.value, None, None, None, None,
                    gated.floor, 0, "", gated.kind)  # fmt: skip
    if now.value is None:
        return replace(blank, nights=len(figures), verdict="ok" if not figures else "inconclusive",
                       reason="not known, tonight or before" if not figures else "not known tonight")  # fmt: skip
    alpha = limits.alphas(gated.weight, family)
    walk = _walked(gated, [*figures, now], alpha, assume)
    many = int(walk.nights[0, -1])
    row = _described(replace(blank, nights=many), gated, now, walk, alpha)
    if walk.learning[0, -1]:
        if assume:
            return replace(row, reason="the baseline does not have it")
        return replace(row, verdict="learning", low=None, high=None, reason=f"learning ({many}/{FEWEST})")
    word, reason = _word(gated, walk)
    if confirm is not None:
        parts = [_walked(gated, [*figures, night.figures.get(target, {}).get(gated.name, UNKNOWN)], alpha, assume)
                 for night in (tonight, confirm.again)]  # fmt: skip
        word, reason = _after_rerun(gated, word, reason, parts)
    if word == "ok" and (blind := _blind(gated, row)):
        return replace(row, verdict="inconclusive", reason=blind)
    return replace(row, verdict=word, reason=reason)


def _walked(gated: Gated, figures: Sequence[NightFigure], alpha: Alphas, assume: bool) -> Walk:
    few = len(figures) - 1 < FEWEST
    prior = ASSUMED[gated.scale] if assume and few else None
    if gated.scale == "count":
        hits = np.array([[math.nan if f.hits is None else float(f.hits) for f in figures]])
        return limits.walk_counts(hits, np.array([[float(f.n) for f in figures]]), alpha, gated.floor, prior)
    values = np.array([[math.nan if f.value is None else f.value for f in figures]])
    errors = np.array([[math.nan if f.se is None else f.se for f in figures]])
    if gated.scale == "share":
        if any(f.cases for f in figures):
            values, errors = _same_cases(figures)
        badness, floor = -values, gated.floor
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            badness, floor = np.log(values), math.log1p(gated.floor)
    return limits.walk_values(badness, errors, alpha, floor, LEAST_SD[gated.scale], prior)


def _same_cases(figures: Sequence[NightFigure]) -> tuple[np.ndarray, np.ndarray]:
    """Quality of each night as if all had asked the same cases: a case counts by how far it is from its own mean over the nights.

    Where every night asks the same cases this is the plain share. The standard error is that of chance within the cases.
    """
    totals: dict[str, list[float]] = {}
    for figure in figures:
        for case, (share, times) in figure.cases.items():
            have = totals.setdefault(case, [0.0, 0.0])
            have[0] += share * times
            have[1] += times
    typical = {case: (right + 0.5) / (times + 1) for case, (right, times) in totals.items()}
    mean = {case: right / times for case, (right, times) in totals.items()}
    level = sum(right for right, _ in totals.values()) / sum(times for _, times in totals.values())
    values, errors = [], []
    for figure in figures:
        if not figure.cases:
            values.append(math.nan if figure.value is None else figure.value)
            errors.append(math.nan if figure.se is None else figure.se)
            continue
        n = sum(times for _, times in figure.cases.values())
        values.append(level + sum(times * (share - mean[case]) for case, (share, times) in figure.cases.items()) / n)
        chance = sum(times * typical[case] * (1 - typical[case]) for case, (_, times) in figure.cases.items())
        errors.append(math.sqrt(chance) / n)
    return np.array([values]), np.array([errors])


def _described(row: GateRow, gated: Gated, now: NightFigure, walk: Walk, alpha: Alphas) -> GateRow:
    """The row with what was expected, the limits and the effect, in the unit of the figure."""
    centre, beyond = float(walk.centre[0, -1]), float(walk.limit[0, -1])
    value = now.value
    if value is None or math.isnan(centre):
        return row
    width = beyond - centre
    if gated.scale == "log":
        expected = math.exp(centre)
        effect = value / expected - 1
        low, high = _exp(centre - width), _exp(beyond)
    elif gated.scale == "count":
        expected, effect, low = centre, value - centre, None
        fewest = limits.count_limit(centre, float(walk.spread[0, -1]), now.n, alpha.one)
        high = max(fewest / max(now.n, 1), centre + gated.floor)
    else:
        expected, low, high = 0.0 - centre, 0.0 - beyond, width - centre
        effect = value - expected
    known = [None if end is None or math.isinf(end) else end for end in (low, high)]
    if gated.unit == "share":
        known = [None if end is None or not 0 <= end <= 1 else end for end in known]
    if not gated.watched and gated.better == "lower":
        known[0] = None
    if not gated.watched and gated.better == "higher":
        known[1] = None
    return replace(row, expected=expected, low=known[0], high=known[1], effect=effect)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _word(gated: Gated, walk: Walk) -> tuple[Word, str]:
    if gated.watched:
        if walk.worse[0, -1] or walk.better[0, -1]:
            return "suspect", "drift: watched, it fails nothing"
        return "ok", ""
    if walk.worse[0, -1]:
        again = "" if walk.alone[0, -1] else ": not by tonight alone, but with the nights before it"
        return (
            "regression",
            f"beyond its limit{again}" if not again else f"the last nights together are beyond their limit{again}",
        )
    if walk.better[0, -1]:
        return "improvement", "better than quiet nights are"
    if walk.suspect[0, -1]:
        return "suspect", "one mild exceedance: the next night, or a re-run with --confirm, decides"
    return "ok", ""


def _after_rerun(gated: Gated, word: Word, reason: str, parts: Sequence[Walk]) -> tuple[Word, str]:
    """Both runs of the night must agree: each mildly beyond by itself, and their rows together beyond the limit."""
    if gated.watched or word == "improvement":
        return word, reason
    agree = all(part.again[0, -1] or part.worse[0, -1] for part in parts)
    first = bool(parts[0].worse[0, -1] or parts[0].suspect[0, -1])
    if word == "regression" and agree:
        return "regression", f"{reason}; both runs of the night agree"
    if word == "regression" or (first and not agree):
        return "suspect", "the re-run of the same night does not agree"
    return word, reason


def _blind(gated: Gated, row: GateRow) -> str:
    if gated.kind == "quality" and row.expected is not None and row.low is not None:
        could = row.expected - row.low
        if could > BLIND_MARGINS * gated.floor:
            return f"a loss of {could * 100:.1f} points could not be told: ask more, or quieten the nights"
    if gated.scale == "log" and not gated.watched and row.expected and row.high is not None:
        times = row.high / row.expected
        if math.log(times) > BLIND:
            return (
                f"nights, or the requests of this one, differ so much that {times:.1f} times as much could not be told"
            )
    return ""


def _bound_row(target: str, bound: Bound) -> GateRow:
    """A limit of the slo: broken when the whole interval lies beyond it."""
    effect = None
    if bound.value is not None and not math.isinf(bound.value):
        effect = bound.value - bound.limit if bound.unit == "share" else bound.value / bound.limit - 1
    row = GateRow(target, bound.name, f"{bound.label} (slo)", bound.unit, "inconclusive", bound.value, bound.limit,
                  bound.limit if bound.at_least else None, None if bound.at_least else bound.limit, effect, None, 0,
                  "not known tonight", "slo")  # fmt: skip
    if bound.value is None:
        return row
    beyond = bound.value < bound.limit if bound.at_least else bound.value > bound.limit
    if not beyond:
        return replace(row, verdict="ok", reason="")
    near = bound.high if bound.at_least else bound.low
    if near is None or (near >= bound.limit if bound.at_least else near <= bound.limit):
        return replace(row, reason="likely broken: the interval of tonight still holds the limit of the workload")
    return replace(
        row, verdict="regression", reason="the limit of the workload is broken, its whole interval lies beyond"
    )


# ---------------------------------------------------------------- whose bad night it is


def _environment(
    row: GateRow, rows: Sequence[GateRow], tonight: Night, before: Sequence[Night], control: str | None
) -> GateRow:
    """A regression that the control shares is ours. The control's own is never the provider's."""
    if row.verdict not in ("regression", "suspect") or row.kind == "slo":
        return row
    if row.target == control:
        return replace(row, verdict="environment", reason=f"the control itself moved: {row.reason}")
    theirs = next((r for r in rows if r.target == control and r.metric == row.metric), None)
    if (
        theirs is not None and theirs.verdict in ("regression", "suspect")
        and theirs.effect is not None and row.effect is not None
        and abs(theirs.effect) >= CONTROL_PART * abs(row.effect) and theirs.effect * row.effect > 0
    ):  # fmt: skip
        return replace(row, verdict="environment", reason=f"the control {control} moved too ({theirs.effect:+.0%})")
    if row.kind == "latency" and row.value is not None and row.expected is not None:
        excess_ms, own_ms = row.value - row.expected, own_delay_ms(row.metric, tonight, before)
        if own_ms is not None and 0 < OWN_PART * excess_ms <= own_ms:
            said = f"our own machine was {own_ms:.3g} ms slower than usual, of {excess_ms:.3g} ms (loopback, lateness, lag)"
            return replace(row, verdict="environment", reason=said)
    return row


def own_delay_ms(metric: str, tonight: Night, before: Sequence[Night]) -> float | None:
    """How much more of its own delay our machine had tonight than in the median night: at the loopback target, and in sending.

    None when neither is known of tonight and of the history.
    """
    if metric.startswith("tpot"):
        names: tuple[str, ...] = ("loopback_token_p50_ms",)
    elif metric.endswith("p50_ms"):
        names = ("loopback_ttft_p50_ms", "lateness_p50_ms", "loop_lag_p50_ms")
    else:
        names = ("loopback_ttft_p99_ms", "lateness_p99_ms", "loop_lag_p99_ms")
    more = []
    for name in names:
        then = [night.control[name] for night in before if name in night.control]
        if name in tonight.control and then:
            more.append(tonight.control[name] - float(np.median(then)))
    return max(more) if more else None


def _explained(row: GateRow, rows: Sequence[GateRow]) -> GateRow:
    """An improvement of speed that comes with shorter or cached replies is told with them."""
    if row.verdict != "improvement" or row.kind != "latency":
        return row
    with_it = [f"{r.label} {r.effect:+.0%}" for r in rows
               if r.target == row.target and r.kind == "watch" and r.verdict == "suspect" and r.effect is not None]  # fmt: skip
    return replace(row, reason=f"{row.reason}; look at the replies first: {', '.join(with_it)}") if with_it else row


def concluded(
    tonight: Night, rows: Sequence[GateRow], notes: Sequence[str], baseline: str, strict: bool, confirmed_by: str = ""
) -> GateResult:
    """The rows as a result, with the worst word, its exit code and one sentence."""
    words = {row.verdict for row in rows}
    worst: Word = next((word for word in WORST_FIRST if word in words), "invalid")
    return GateResult(
        tonight.run_id, tuple(rows), worst, exit_code(worst, strict), tuple(notes), sentence(rows, worst), baseline,
        tonight.date, tonight.simulated,
    )  # fmt: skip


def sentence(rows: Sequence[GateRow], worst: Word) -> str:
    """The verdict for people, in one sentence."""
    mine = [row for row in rows if row.verdict == worst]
    nights = max((row.nights for row in rows), default=0)
    targets = len({row.target for row in rows})
    if not rows:
        return "nothing was measured"
    if worst == "invalid":
        return f"no measurement: {mine[0].reason}"
    if worst == "ok":
        return (
            f"all {len(rows)} figures of {plural(targets, 'target')} are within what {plural(nights, 'night')} promise"
        )
    if worst == "learning":
        return f"{mine[0].reason}: nothing is called before {FEWEST} nights are known"
    by_target: dict[str, list[str]] = {}
    for row in mine:
        by_target.setdefault(row.target, []).append(f"{row.label}{_amount(row)}")
    who = "; ".join(f"{target}: {', '.join(found)}" for target, found in by_target.items())
    opening = {
        "regression": "worse than promised, ",
        "environment": "our own bad night, not the provider's: ",
        "suspect": "nothing is proven; to watch, ",
        "inconclusive": "cannot tell, ",
        "improvement": "better than before, ",
    }[worst]
    return f"{opening}{who}"


def _amount(row: GateRow) -> str:
    if row.effect is None or row.verdict in ("inconclusive", "learning"):
        return ""
    if math.isinf(row.effect):
        return " (fails)"
    return f" ({row.effect * 100:+.1f} points)" if row.unit == "share" else f" ({row.effect:+.0%})"
