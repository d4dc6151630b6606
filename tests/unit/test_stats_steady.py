"""Was the load steady? Seeded runs of known kind: a steady one is left in peace, the others are told on."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from bench.stats import steady
from bench.stats.steady import mser5
from bench.stats.summary import summary_rows
from bench.stats.table import build
from tests.unit.stats_example import COMPLETE, NO_ATTEMPTS, NO_SCORES, request, requests

MS = 1_000_000


def latencies(rng, n, kind="plain"):
    """Seconds: `plain` is lognormal around 0.9; `alike` has neighbours that resemble each other; `tails` 2 % around 12."""
    if kind == "plain":
        return 0.9 * np.exp(0.4 * rng.standard_normal(n))
    if kind == "alike":
        noise, state, out = rng.standard_normal((2, n)), 0.0, np.empty(n)
        for i in range(n):
            state = 0.5 * state + noise[0, i]
            out[i] = 0.3 * state * 0.75**0.5 + 0.25 * noise[1, i]
        return 0.9 * np.exp(out)
    which = rng.choice(3, size=n, p=[0.85, 0.13, 0.02])
    return np.array([0.8, 2.0, 12.0])[which] * np.exp(np.array([0.35, 0.5, 0.6])[which] * rng.standard_normal(n))


def open_loop(rng, n, rate, kind="plain", cv=1.0):
    gaps = rng.gamma(1 / cv**2, size=n + 1)
    start = np.cumsum(gaps)[:n] / gaps.sum() * n / rate
    stay = latencies(rng, n, kind)
    return start, start + stay, 0.3 * stay


def closed_loop(rng, n, slots, kind="plain", factor=lambda i: 1.0):
    stay = latencies(rng, n, kind) * np.array([factor(i) for i in range(n)])
    free = [i * 0.003 for i in range(slots)]
    start = np.empty(n)
    for i in range(n):
        start[i] = heapq.heappop(free)
        heapq.heappush(free, start[i] + stay[i])
    return start, start + stay, 0.3 * stay


def saturating(rng, n, rate, places):
    """`places` at a time are served; the rest queue, and see their first token later and later."""
    start, _, _ = open_loop(rng, n, rate)
    stay = latencies(rng, n)
    free = [0.0] * places
    end, first = np.empty(n), np.empty(n)
    for i in range(n):
        begin = max(start[i], heapq.heappop(free))
        end[i], first[i] = begin + stay[i], begin + 0.3 * stay[i] - start[i]
        heapq.heappush(free, end[i])
    return start, end, first


def load_ramp(rng, n):
    """The rate grows from nothing, linearly."""
    start = np.sort(np.sqrt(rng.random(n))) * n / 5
    stay = latencies(rng, n)
    return start, start + stay, 0.3 * stay


def rows(target, course, run_id="r1"):
    start, end, first = course
    ns = lambda s: int(s * 1e9)  # noqa: E731
    return [
        request(target, seq, run_id=run_id, sent_ns=ns(s), end_ns=ns(e), first_token_ns=ns(s + f), ttft_ms=f * 1e3,
                e2e_ms=(e - s) * 1e3, e2e_all_ms=(e - s) * 1e3, block_id=seq * 20 // len(start))
        for seq, (s, e, f) in enumerate(zip(start, end, first, strict=True))
    ]  # fmt: skip


def judged(*courses):
    """What `alarms` says of targets a, b, ... with these courses: the path that a table takes, less its figures."""
    alpha = steady.ALPHA / steady.CHECKS / len(courses)
    found = [
        steady._judge(chr(ord("a") + i), start, end, first * 1e3, alpha)
        for i, (start, end, first) in enumerate(courses)
    ]
    return steady.alarms([one for one in found if one is not None])


STEADY = {
    "open, 2 per s": lambda rng, n: [open_loop(rng, n, 2)],
    "open, 10 per s, neighbours alike": lambda rng, n: [open_loop(rng, n, 10, "alike")],
    "open, bursts": lambda rng, n: [open_loop(rng, n, 4, cv=2.0)],
    "open, long tails": lambda rng, n: [open_loop(rng, n, 2, "tails")],
    "closed, 8 slots": lambda rng, n: [closed_loop(rng, n, 8)],
    "closed, long tails": lambda rng, n: [closed_loop(rng, n, 8, "tails")],
    "five targets": lambda rng, n: [closed_loop(rng, n, 8, "alike") for _ in range(5)],
}


@pytest.mark.parametrize("n", [120, 400])
@pytest.mark.parametrize("kind", STEADY)
def test_at_most_one_steady_run_in_twenty_is_called_unsteady(kind, n):
    runs = 100
    alarmed = sum(bool(judged(*STEADY[kind](np.random.default_rng([seed, 7]), n))) for seed in range(runs))
    assert alarmed <= 0.05 * runs


UNSTEADY = {
    "cold start": (
        lambda rng, n: closed_loop(rng, n, 8, factor=lambda i: 1 + 2 * np.exp(-i / 40)),
        "the start differs",
    ),
    "saturated": (
        lambda rng, n: saturating(rng, n, 10, 7),
        ("it was saturated", "no steady state", "the start differs"),
    ),
    "ramp of the load": (load_ramp, "in flight changed by +"),
    "ramp of the latency": (
        lambda rng, n: closed_loop(rng, n, 8, factor=lambda i: 1 + 2 * i / n),
        ("latency drifted by +", "no steady state"),
    ),
}


@pytest.mark.parametrize("kind", UNSTEADY)
def test_a_run_that_was_not_steady_is_told_on_in_plain_words(kind):
    make, words = UNSTEADY[kind]
    words = (words,) if isinstance(words, str) else words
    told = [judged(make(np.random.default_rng([seed, 8]), 400)) for seed in range(20)]
    assert all(any(word in " ".join(said) for word in words) for said in told), told


def test_a_queue_that_grows_is_called_saturation_and_said_once():
    # 10 per s arrive, 7 places of 0.97 s each serve 7.2 per s: of 1,000 requests some 280 wait at the end
    said = judged(saturating(np.random.default_rng(3), 1000, 10, 7))
    assert len(said) == 1
    assert said[0].startswith("a: it was saturated: in flight grew by +")


def test_mser_5_cuts_the_transient_and_nothing_else():
    flat = np.tile([1.0, 1.1, 0.9, 1.05, 0.95], 40)
    assert mser5(flat) == (0, False)
    # 30 values of 3 before 170 around 1: six batches of five go
    assert mser5(np.concatenate([np.full(30, 3.0), flat[:170]])) == (30, False)
    # a line has no end of its warm-up: half is the most that is tried
    assert mser5(np.arange(200.0)) == (100, True)


def test_in_flight_is_counted_by_hand():
    # [0, 4] and [1, 2]: 1 s of one, 1 s of two, 2 s of one -> mean over [0, 2] is 1.5, over [2, 4] is 1
    start, end = np.array([0.0, 1.0]), np.array([2.0, 4.0])
    assert steady._mean_in_flight(start, end, np.array([0.0, 2.0, 4.0])) == pytest.approx([1.5, 1.0])


def table_of(*parts, manifest=None):
    return build(requests([r for part in parts for r in part]), NO_ATTEMPTS, NO_SCORES, manifest or COMPLETE)


def test_the_figures_stand_in_the_summary_and_the_words_in_the_alarms():
    rng = np.random.default_rng(5)
    fine, cold = closed_loop(rng, 300, 8), closed_loop(rng, 300, 8, factor=lambda i: 3.0 if i < 60 else 1.0)
    built = table_of(rows("fine", fine), rows("cold", cold))
    assert [alarm for alarm in built.alarms if "fine" in alarm] == []
    (said,) = [alarm for alarm in built.alarms if "the start differs" in alarm]
    assert (
        "cold 2.3 × as slow" in said
    )  # 60 at 3.0 and 10 at 1.0, around a cut of 70: geometric mean 3^(6/7) = 2.6, and noise
    assert "load: {warmup: {requests:" in said
    figures = {(r["target"], r["metric"]): r["value"] for r in summary_rows(built, "r1")}
    assert figures["fine", "steady_little"] == pytest.approx(1, abs=0.05)
    assert figures["fine", "steady_finished"] == pytest.approx(1, abs=0.1)
    assert 55 <= figures["cold", "steady_mser_cut"] <= 70
    assert abs(figures["fine", "steady_latency_growth"]) < 0.2
    assert abs(figures["fine", "steady_in_flight_growth"]) < 0.1


def test_a_short_run_is_said_to_be_short_once_and_judged_by_nothing():
    rng = np.random.default_rng(6)
    built = table_of(rows("a", closed_loop(rng, 60, 4)), rows("b", closed_loop(rng, 60, 4)))
    assert sum("too short to judge whether the load was steady" in note for note in built.notes) == 1
    assert not [alarm for alarm in built.alarms if "steady" in alarm]
    assert built.row("a").cells["steady_little"].value is None


def test_a_load_that_changes_by_plan_is_not_blamed_on_the_target():
    course = load_ramp(np.random.default_rng(7), 300)
    plan = {**COMPLETE, "load": {"pattern": "poisson", "stages": [{"rate_per_s": 1}, {"rate_per_s": 9}]}}
    built = table_of(rows("a", course), manifest=plan)
    assert not [alarm for alarm in built.alarms if "in flight" in alarm]
    assert any("the plan changes the load (2 stages)" in note for note in built.notes)


def test_failed_requests_count_as_in_flight_but_have_no_latency():
    course = closed_loop(np.random.default_rng(8), 300, 8)
    some = rows("a", course)
    for row in some[::10]:
        row.update(outcome="server", ttft_ms=None, first_token_ns=None)
    built = table_of(some)
    assert built.row("a").cells["steady_little"].value == pytest.approx(1, abs=0.05)
    assert not [alarm for alarm in built.alarms if alarm.startswith("a: ")]


def test_runs_that_are_put_together_are_judged_one_by_one():
    # two steady runs, the second twice as slow: together they would look like a drift
    rng = np.random.default_rng(9)
    first, second = closed_loop(rng, 200, 4), closed_loop(rng, 200, 4, factor=lambda _: 2.0)
    built = table_of(rows("a", first, "r1"), rows("a", second, "r2"))
    assert not [alarm for alarm in built.alarms if alarm.startswith("a: ")]
