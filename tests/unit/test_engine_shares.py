"""One plan shared out to several processes: nothing twice, nothing left out, and figures that add up in any order."""

import asyncio
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import plan
from bench.conductor.crew import size
from bench.engine.live import ACCURACY, Histogram, Lamp, merged
from bench.engine.loops import Control
from bench.engine.seat import Board, Share
from bench.engine.worker import SharedControl
from bench.workload import Load, Stage

exactly = settings(derandomize=True, max_examples=60, deadline=None)
crews = st.integers(1, 9)


@exactly
@given(workers=crews, prompts=st.integers(0, 60), n_targets=st.integers(1, 5), first=st.integers(0, 20))
def test_shares_are_whole_prompts_and_cover_the_plan_once(workers, prompts, n_targets, first) -> None:
    seqs = np.arange(first * n_targets, (first + prompts) * n_targets)
    shares = [Share(worker, workers).of(seqs, seqs // n_targets).tolist() for worker in range(workers)]
    assert sorted(seq for share in shares for seq in share) == list(seqs)
    assert all(list(share) == sorted(share) for share in shares)  # in the plan's order
    prompts_of = [{seq // n_targets for seq in share} for share in shares]
    assert sum(map(len, prompts_of)) == prompts  # no prompt in two shares
    assert max(map(len, prompts_of)) - min(map(len, prompts_of)) <= 1


@exactly
@given(workers=crews, slots=st.integers(0, 1000))
def test_slots_are_shared_out_evenly_and_none_is_lost(workers, slots) -> None:
    shares = [Share(worker, workers).slots(slots) for worker in range(workers)]
    assert sum(shares) == slots
    assert max(shares) - min(shares) <= 1


@exactly
@given(
    values=st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200),
    workers=crews,
    p=st.floats(0.01, 1.0),
    seed=st.integers(0, 999),
)
def test_histograms_merge_to_the_same_in_any_order(values, workers, p, seed) -> None:
    whole = Histogram()
    parts = [Histogram() for _ in range(workers)]
    rng = random.Random(seed)
    for value in values:
        whole.add(value)
        rng.choice(parts).add(value)
    rng.shuffle(parts)
    together = Histogram()
    for part in parts:
        together.merge(part)
    assert together == whole
    rank = max(1, -(-p * len(values) // 1))
    assert together.quantile(p) == pytest.approx(sorted(values)[int(rank) - 1], rel=ACCURACY * 1.001)


def row(target: str, **facts: Any) -> dict[str, Any]:
    return {"target": target, "cost_usd": Decimal("0.01"), "attempts": 1, "outcome": "ok", "ttft_ms": 20.0,
            "lateness_ms": None} | facts  # fmt: skip


@exactly
@given(
    rows=st.lists(
        st.builds(
            row,
            st.sampled_from(["a", "b"]),
            cost_usd=st.none() | st.decimals(0, 1, places=6),
            attempts=st.integers(1, 4),
            outcome=st.sampled_from(["ok", "timeout"]),
            ttft_ms=st.none() | st.floats(1, 1000),
            lateness_ms=st.none() | st.floats(0, 50),
        ),
        max_size=60,
    ),
    workers=crews,
    seed=st.integers(0, 999),
)
def test_what_workers_know_of_a_target_adds_up_in_any_order(rows, workers, seed) -> None:
    def lamps() -> dict[str, Lamp]:
        return {"a": Lamp(3), "b": Lamp(4)}

    rng = random.Random(seed)
    parts = [lamps() for _ in range(workers)]
    whole = {"a": Lamp(3 * workers), "b": Lamp(4 * workers)}
    for one in rows:
        rng.choice(parts)[one["target"]].note(one)
        whole[one["target"]].note(one)
    rng.shuffle(parts)
    assert merged(parts) == whole
    assert whole["a"].done + whole["b"].done == len(rows)


def a_plan(prompts: int) -> plan.Plan:
    stream = plan.Stream(prompts, None)
    return plan.build(["one"], ["a", "b"], stream, arrangement="interleaved", warmup=0, seed=1)


def closed(*slots: int) -> Load:
    return Load("concurrent", "interleaved", tuple(Stage(None, n, 10_000, None) for n in slots))


def opened(rate_per_s: float, most: int = 100_000) -> Load:
    return Load("poisson", "interleaved", (Stage(rate_per_s, None, 10_000, None),), max_in_flight=most)


@pytest.mark.parametrize(
    ("asked", "load", "prompts", "cores", "n"),
    [
        (1, closed(1000), 10_000, 8, 1),
        (4, closed(1000), 10_000, 2, 4),  # what is asked for is done, whatever the cores
        (4, closed(3), 10_000, 8, 3),  # a slot for each
        (4, closed(100, 2), 10_000, 8, 2),  # in every stage
        (4, closed(100), 3, 8, 3),  # a prompt for each
        (None, closed(256), 10_000, 8, 1),
        (None, closed(257), 10_000, 8, 2),
        (None, closed(1000), 10_000, 8, 4),  # 1000 ÷ 256, rounded up
        (None, closed(1000), 10_000, 4, 3),  # one core is left to the rest of the machine
        (None, closed(1000), 10_000, 2, 1),
        (None, closed(1000), 10_000, 1, 1),
        (None, closed(1000), 2, 8, 2),
        (None, opened(100), 10_000, 8, 4),  # 100/s × 2 targets × 4 s = 800 streams
        (None, opened(100, most=300), 10_000, 8, 2),  # no more than may be in flight
    ],
)
def test_how_many_workers(asked, load, prompts, cores, n) -> None:
    assert size(asked, a_plan(prompts), load, cores)[0] == n


def test_fewer_workers_than_asked_for_is_said() -> None:
    assert size(4, a_plan(50), closed(3), 8)[1] == "3 instead of 4 workers: the load has 3 slots."
    assert size(4, a_plan(2), closed(3), 8)[1] == "2 instead of 4 workers: the load has 2 prompts."
    assert size(1, a_plan(2), closed(3), 8)[1] == ""


def test_requests_in_flight_are_counted_over_all_workers() -> None:
    async def fly() -> list[tuple[int, int]]:
        board, landing = Board(2, 0), asyncio.Event()
        controls: list[Control] = [SharedControl(board, worker) for worker in range(2)]
        seen = []
        for control in (controls[0], controls[0], controls[1]):
            control.launch(landed(landing))
            seen.append((controls[0].in_flight(), controls[1].in_flight()))
        landing.set()
        for control in controls:
            await control.drain()
        await asyncio.sleep(0)
        seen.append((controls[0].in_flight(), controls[1].in_flight()))
        board.close()
        return seen

    async def landed(landing: asyncio.Event) -> None:
        await landing.wait()

    assert asyncio.run(fly()) == [(1, 1), (2, 2), (3, 3), (0, 0)]
