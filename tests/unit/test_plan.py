"""The plan: complete blocks, balanced orders, exact counts, one digest."""

import itertools
from collections import Counter

import numpy as np
import pytest

from bench.engine import pacing
from bench.plan import MAX_BLOCKS, Plan, Stream, build, williams
from bench.workload import Load, Stage

TARGETS = ["a", "b", "c", "d", "e"]
CASES = [f"case-{i}" for i in range(10)]


def plan(prompts: int = 24, *, warmup: int = 2, seed: int = 7, targets: list[str] = TARGETS, due: bool = True) -> Plan:
    load = Load(
        "poisson" if due else "concurrent",
        "interleaved",
        (Stage(2.0 if due else None, None if due else 3, prompts, None),),
    )
    return build(
        CASES, targets, pacing.stream(load, len(targets), seed), arrangement="interleaved", warmup=warmup, seed=seed
    )


@pytest.mark.parametrize("n", range(1, 10))
def test_in_a_williams_square_each_target_follows_each_other_equally_often(n: int) -> None:
    square = williams(n)
    assert all(sorted(row) == list(range(n)) for row in square)
    follows = Counter(pair for row in square for pair in itertools.pairwise(row))
    assert len(follows) == n * (n - 1)
    assert len(set(follows.values())) <= 1


def test_every_prompt_goes_to_every_target_once() -> None:
    made = plan()
    rows = [made.request(seq) for seq in range(len(made))]
    measured = [r for r in rows if r.phase == "measure"]
    assert len(measured) == 24 * 5
    for start in range(0, len(measured), 5):
        group = measured[start : start + 5]
        assert {r.target_id for r in group} == set(TARGETS)
        assert len({(r.case_id, r.repeat, r.block_id) for r in group}) == 1


def test_cases_are_sent_equally_often_give_or_take_one() -> None:
    made = plan(prompts=24)
    counts = Counter(
        made.request(seq).case_id for seq in range(len(made)) if not made.warmup[seq] and made.target[seq] == 0
    )
    assert set(counts) == set(CASES)
    assert sorted(set(counts.values())) == [2, 3]  # 24 prompts over 10 cases


def test_repeats_count_passes_through_the_cases() -> None:
    made = plan(prompts=24)
    repeats = [made.request(seq).repeat for seq in range(10, len(made), 5)]
    assert repeats == [0] * 10 + [1] * 10 + [2] * 4


def test_warm_up_comes_first_and_has_no_due_time_and_no_block() -> None:
    made = plan(warmup=2)
    first = [made.request(seq) for seq in range(10)]
    assert all(r.phase == "warmup" and r.due_ns is None and r.block_id == -1 for r in first)
    assert made.request(10).phase == "measure"
    assert made.measured() == len(made) - 10


def test_the_same_seed_makes_the_same_plan_and_another_seed_another() -> None:
    assert plan(seed=1).digest == plan(seed=1).digest
    assert plan(seed=1).digest != plan(seed=2).digest
    assert plan(prompts=24).digest != plan(prompts=25).digest


def test_the_digest_covers_the_order_of_targets() -> None:
    assert plan(targets=["a", "b"]).digest != plan(targets=["b", "a"]).digest


@pytest.mark.parametrize(("prompts", "blocks"), [(1, 1), (4, 1), (8, 2), (96, 24), (192, 48), (5000, MAX_BLOCKS)])
def test_blocks_are_small_and_not_too_many(prompts: int, blocks: int) -> None:
    made = plan(prompts=prompts, warmup=0)
    assert int(made.block.max()) + 1 == blocks
    assert np.all(np.diff(made.block) >= 0)
    sizes = np.bincount(made.block)
    assert sizes.max() - sizes.min() <= 5  # whole prompts: at most one prompt of five targets apart


def test_a_closed_loop_has_no_due_times() -> None:
    assert all(plan(due=False).request(seq).due_ns is None for seq in range(len(plan(due=False))))


def test_lanes_give_every_target_the_same_due_times() -> None:
    load = Load("constant", "lanes", (Stage(4.0, None, 8, None),))
    made = build(CASES, ["a", "b"], pacing.stream(load, 2, 1), arrangement="lanes", warmup=0, seed=1)
    due = {t: [made.request(s).due_ns for s in range(len(made)) if made.request(s).target_id == t] for t in ("a", "b")}
    assert due["a"] == due["b"] == [250_000_000 * k for k in range(8)]  # 4 a second: one every 250 ms


def test_interleaved_carries_all_targets_in_one_process() -> None:
    load = Load("constant", "interleaved", (Stage(1.0, None, 4, None),))
    made = pacing.stream(load, 5, 1)
    assert made.prompts == 4
    assert made.due_ns is not None
    assert made.due_ns.tolist() == [200_000_000 * k for k in range(20)]  # 1/s for each of 5 = one every 200 ms


@pytest.mark.parametrize("pattern", ["constant", "poisson", "gamma"])
def test_an_arrival_process_is_exact_in_number_and_length(pattern: str) -> None:
    times = pacing.arrivals(pattern, 500, 100.0, 3.0, np.random.default_rng(1))
    assert len(times) == 500
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] <= 100.0


@pytest.mark.parametrize(
    ("pattern", "cv", "low", "high"),
    [("poisson", None, 0.93, 1.07), ("gamma", 3.0, 2.5, 3.5), ("constant", None, 0.0, 1e-9)],
)
def test_the_gaps_vary_as_the_pattern_says(pattern: str, cv: float | None, low: float, high: float) -> None:
    gaps = np.diff(pacing.arrivals(pattern, 5000, 1000.0, cv, np.random.default_rng(3)))
    assert low <= gaps.std() / gaps.mean() <= high


def test_stages_follow_each_other() -> None:
    load = Load(
        "constant", "interleaved", (Stage(1.0, None, None, 2_000_000_000), Stage(2.0, None, None, 1_000_000_000))
    )
    made = pacing.stream(load, 1, 1)
    assert made.due_ns is not None
    # two a second apart, then, from 2 s on, two half a second apart
    assert made.due_ns.tolist() == [0, 1_000_000_000, 2_000_000_000, 2_500_000_000]
    assert pacing.length_ns(load) == 3_000_000_000


def test_a_stream_without_prompts_makes_an_empty_plan() -> None:
    made = build(CASES, ["a"], Stream(0, None), arrangement="interleaved", warmup=0, seed=1)
    assert len(made) == 0
