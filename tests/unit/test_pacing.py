"""Arrival times: exact in number and in length, as the integrated rate says, and of the moments that the law has."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.engine import pacing
from bench.engine.stages import window_ns
from bench.load import Burst, Load, Stage, Sweep, Think, burst_stage, level_stage
from bench.plan import NO_DUE, Sessions, Stream, build, extended

S = 1_000_000_000
MODEST = settings(derandomize=True, max_examples=60, deadline=None)


def open_load(*stages: Stage, pattern: str = "constant", cv: float | None = None, arrangement: str = "lanes") -> Load:
    return Load(pattern, arrangement, stages, cv=cv)


def due(load: Load, n_targets: int = 1, seed: int = 1) -> list[int]:
    made = pacing.stream(load, n_targets, seed)
    assert made.due_ns is not None
    return made.due_ns.tolist()


@pytest.mark.parametrize(
    ("begin", "end", "length_s", "share", "at_s"),
    [
        (2.0, 2.0, 10.0, 0.25, 2.5),  # flat: a quarter of the arrivals in a quarter of the time
        (0.0, 4.0, 10.0, 0.25, 5.0),  # 0.2·t² = 0.25 · 20
        (0.0, 4.0, 10.0, 0.0, 0.0),
        (0.0, 4.0, 10.0, 1.0, 10.0),
        (4.0, 0.0, 10.0, 0.75, 5.0),  # 4t − 0.2·t² = 15
        (1.0, 3.0, 4.0, 0.375, 2.0),  # t + t²/4 = 3 of 8
        (3.0, 1.0, 4.0, 0.625, 2.0),  # 3t − t²/4 = 5 of 8
    ],
)
def test_a_share_of_the_arrivals_has_come_when_the_integrated_rate_says_so(begin, end, length_s, share, at_s) -> None:
    assert pacing.ramped(np.array([share]), begin, end, length_s)[0] == pytest.approx(at_s, abs=1e-12)


@given(
    begin=st.floats(0, 500),
    end=st.floats(0.001, 500),
    length_s=st.floats(0.01, 10_000),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=40),
)
@MODEST
def test_the_inverse_undoes_the_integrated_rate(begin, end, length_s, shares) -> None:
    u = np.sort(np.array(shares))
    t = pacing.ramped(u, begin, end, length_s)
    assert np.all(np.diff(t) >= 0)
    assert np.all((t >= 0) & (t <= length_s))
    whole = (begin + end) / 2 * length_s
    came = begin * t + (end - begin) * t**2 / (2 * length_s)
    assert came == pytest.approx(u * whole, abs=whole * 1e-9)


patterns = st.sampled_from([("constant", None), ("poisson", None), ("gamma", 0.5), ("gamma", 3.0)])
open_stages = st.lists(
    st.tuples(
        st.floats(0.2, 50),
        st.one_of(
            st.tuples(st.integers(1, 200), st.none()),
            st.tuples(st.none(), st.integers(S // 10, 30 * S)),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(
    pattern=patterns, stages=open_stages, n_targets=st.integers(1, 5), interleaved=st.booleans(), seed=st.integers(0, 9)
)
@MODEST
def test_any_open_load_is_exact_in_number_ascending_and_within_its_length(
    pattern, stages, n_targets, interleaved, seed
) -> None:
    name, cv = pattern
    made = []
    before = 0.0
    for rate, (requests, duration_ns), ramp in stages:
        made.append(Stage(rate, None, requests, duration_ns, before if ramp else None))
        before = rate
    load = Load(name, "interleaved" if interleaved else "lanes", tuple(made), cv=cv)
    stream = pacing.stream(load, n_targets, seed)
    times = stream.due_ns
    fold = n_targets if interleaved else 1
    assert len(times) == stream.prompts * fold == sum(stream.stages) * fold
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    length_ns = pacing.length_ns(load)
    assert times[-1] <= length_ns + len(stages)  # each stage is rounded to a nanosecond
    at_s = 0.0
    first = 0
    for stage, n in zip(load.stages, stream.stages, strict=True):  # no arrival strays into another stage
        part = times[first * fold : (first + n) * fold]
        end_s = at_s + pacing.stage_length_s(stage)
        assert part[0] >= at_s * 1e9 - 1
        assert part[-1] <= end_s * 1e9 + 1
        at_s, first = end_s, first + n
    assert times.tolist() == pacing.stream(load, n_targets, seed).due_ns.tolist()


@pytest.mark.parametrize(
    ("stage", "prompts", "length_s"),
    [
        (Stage(2.0, None, 10, None), 10, 5.0),
        (Stage(2.0, None, None, 5 * S), 10, 5.0),
        (Stage(0.3, None, None, 5 * S), 2, 5.0),  # 1.5 prompts: the length is kept, the number is the nearest whole one
        (Stage(0.01, None, None, 5 * S), 1, 5.0),  # never none
        (Stage(2.0, None, 4, 5 * S), 4, 2.0),  # what is reached first
        (Stage(2.0, None, 40, 5 * S), 10, 5.0),
        (Stage(4.0, None, None, 10 * S, start=0.0), 20, 10.0),  # 10 s at 2 on average
        (Stage(4.0, None, 20, None, start=0.0), 20, 10.0),  # and the other way round
        (Stage(1.0, None, None, 4 * S, start=3.0), 8, 4.0),
    ],
)
def test_the_number_and_the_length_of_a_stage(stage: Stage, prompts: int, length_s: float) -> None:
    assert pacing.stage_prompts(stage) == prompts
    assert pacing.stage_length_s(stage) == pytest.approx(length_s)


def test_steps_and_ramps_follow_each_other() -> None:
    load = open_load(Stage(2.0, None, None, S), Stage(6.0, None, None, S, start=2.0), Stage(6.0, None, None, S))
    # 2 in the first second; then t·2 + 2t² = 0, 1, 2, 3, i.e. t = (√(1 + 2k) − 1)/2; then 6 a second
    ramp = [round(S + (math.sqrt(1 + 2 * k) - 1) / 2 * S) for k in range(4)]
    assert due(load) == [0, S // 2, *ramp, *(2 * S + round(k * S / 6) for k in range(6))]


@pytest.mark.parametrize("seed", range(3))
def test_a_ramped_poisson_process_has_the_moments_of_the_law(seed: int) -> None:
    n, length_s = 20_000, 1000.0
    u = pacing.arrivals("poisson", n, 1.0, None, np.random.default_rng(seed))
    t = pacing.ramped(u, 0.0, 40.0, length_s)
    # density 2t/T²: mean 2T/3, variance T²/18; five standard errors
    assert abs(t.mean() - 2 * length_s / 3) < 5 * length_s / math.sqrt(18 * n)
    assert t.var() == pytest.approx(length_s**2 / 18, rel=0.05)
    # numbers in disjoint stretches scatter as those of a Poisson process do: variance close to mean (here binomial, 1 − 1/100)
    equal = np.sqrt(np.linspace(0, 1, 101)) * length_s  # stretches of equal expected number
    counts = np.histogram(t, equal)[0]
    assert 0.6 < counts.var() / counts.mean() < 1.5


@pytest.mark.parametrize(("cv", "low", "high"), [(0.5, 0.45, 0.55), (1.0, 0.93, 1.07), (3.0, 2.5, 3.5)])
def test_the_gaps_of_gamma_arrivals_vary_by_their_cv(cv: float, low: float, high: float) -> None:
    gaps = np.diff(pacing.arrivals("gamma", 5000, 1000.0, cv, np.random.default_rng(2)))
    assert low <= gaps.std() / gaps.mean() <= high
    assert gaps.mean() == pytest.approx(0.2, rel=0.1)


def test_interleaved_bursts_hit_all_targets_at_once() -> None:
    load = Load("burst", "interleaved", (burst_stage(Burst(2, S), 5, None),), burst=Burst(2, S))
    # prompts 0 1 | 2 3 | 4, each to three targets
    assert due(load, 3) == [0] * 6 + [S] * 6 + [2 * S] * 3
    assert pacing.length_ns(load) == 3 * S


@given(size=st.integers(1, 20), every_ns=st.integers(1, 10**11), duration_ns=st.integers(1, 10**12))
@MODEST
def test_bursts_within_a_duration_begin_within_it(size: int, every_ns: int, duration_ns: int) -> None:
    prompts = Burst(size, every_ns).prompts(duration_ns)
    bursts = prompts // size
    assert prompts % size == 0
    assert (bursts - 1) * every_ns < duration_ns <= bursts * every_ns or bursts == 1


@given(values=st.lists(st.integers(1, 1000), min_size=1, max_size=12, unique=True), seed=st.integers(0, 50))
@MODEST
def test_a_sweep_visits_each_level_once_and_the_lowest_first_last_and_between(values: list[int], seed: int) -> None:
    stages = tuple(level_stage("rate", value, 4, None) for value in sorted(values))
    load = Load("poisson", "interleaved", stages, sweep=Sweep("rate", None, 8))
    levels = [stage.level for stage in pacing.in_order(load, seed).stages]
    anchors = 1 if len(values) == 1 else 2 if len(values) == 2 else 3
    assert Counter(levels) == {value: anchors if value == min(values) else 1 for value in values}
    assert levels[0] == levels[-1] == min(values)
    if anchors == 3:
        middle = levels.index(min(values), 1)
        assert abs((middle - 1) - (len(levels) - 2 - middle)) <= 1
    assert levels == [stage.level for stage in pacing.in_order(load, seed).stages]


def test_the_order_of_a_sweep_depends_on_the_seed() -> None:
    stages = tuple(level_stage("rate", value, 4, None) for value in range(1, 9))
    load = Load("poisson", "interleaved", stages, sweep=Sweep("rate", None, 8))
    assert len({pacing.in_order(load, seed).stages for seed in range(20)}) > 15


def test_every_level_of_a_sweep_counts_from_its_own_start() -> None:
    stages = (level_stage("rate", 2.0, None, S), level_stage("rate", 4.0, None, S))
    load = Load("constant", "lanes", stages, sweep=Sweep("rate", None, 8))
    assert due(load) == [0, S // 2, 0, S // 4, S // 2, 3 * S // 4]
    assert pacing.length_ns(load) == 2 * S


def test_a_sweep_that_finds_its_own_end_is_counted_by_its_doublings() -> None:
    load = Load("poisson", "interleaved", (level_stage("rate", 2.0, None, S),), sweep=Sweep("rate", "slo", 4))
    assert pacing.most_prompts(load) == 2 + 4 + 8 + 16
    assert pacing.length_ns(load) is None


@pytest.mark.parametrize(
    ("slot", "start", "slots", "window"),
    [
        (0, None, 2, (0, 10)),
        (1, None, 2, (0, 10)),
        (2, None, 2, None),
        # from 0 to 4 in 10: the k-th slot at 2.5·k
        (0, 0, 4, (2, 10)),
        (1, 0, 4, (5, 10)),
        (3, 0, 4, (10, 10)),
        (4, 0, 4, None),
        # from 2 to 4: two are there, the others at 5 and 10
        (1, 2, 4, (0, 10)),
        (2, 2, 4, (5, 10)),
        # from 4 to 2: the last one goes at once, the third at 5
        (3, 4, 2, (0, 0)),
        (2, 4, 2, (0, 5)),
        (1, 4, 2, (0, 10)),
        (4, 4, 2, None),
    ],
)
def test_when_a_slot_is_open(slot: int, start: float | None, slots: int, window: tuple[int, int] | None) -> None:
    assert window_ns(slot, start, slots, 10) == window


@pytest.mark.parametrize(
    ("load", "n_targets", "streams"),
    [
        (open_load(Stage(2.0, None, 10, None)), 3, 24),  # 2/s · 3 targets · 4 s
        (open_load(Stage(1.0, None, None, S, start=5.0)), 1, 20),  # the peak, not the mean
        (Load("concurrent", "interleaved", (Stage(None, 4, 9, None), Stage(None, 7, 9, None))), 3, 7),
        (Load("concurrent", "lanes", (Stage(None, 4, 9, None),)), 3, 12),
        (Load("burst", "lanes", (burst_stage(Burst(30, 60 * S), 30, None),), burst=Burst(30, 60 * S)), 2, 60),
    ],
)
def test_the_concurrency_that_a_load_will_reach(load: Load, n_targets: int, streams: int) -> None:
    assert pacing.peak_streams(load, n_targets) == streams


@pytest.mark.parametrize(
    ("think", "low_ns", "high_ns", "mean_ns"),
    [
        (Think("constant", 5e9, 0), 5e9, 5e9, 5e9),
        (Think("uniform", 1e9, 3e9), 1e9, 3e9, 2e9),
        (Think("exponential", 2e9, 0), 0, math.inf, 2e9),
        # lognormal: mean = median · exp(σ²/2), σ = ln(p90/p50)/1.2816 = 0.5409
        (Think("lognormal", 2e9, 4e9), 0, math.inf, 2e9 * math.exp(0.5409**2 / 2)),
        (Think("exponential", 2e9, 0, min_ns=10**9, max_ns=10**9), 1e9, 1e9, 1e9),
    ],
)
def test_think_times_are_drawn_as_told(think: Think, low_ns: float, high_ns: float, mean_ns: float) -> None:
    drawn = pacing.think_ns(think, 20_000, np.random.default_rng(4))
    assert drawn.min() >= low_ns
    assert drawn.max() <= high_ns
    assert drawn.mean() == pytest.approx(mean_ns, rel=0.04)


def test_the_quantiles_of_lognormal_think_time_are_those_asked_for() -> None:
    drawn = pacing.think_ns(Think("lognormal", 2e9, 4e9), 50_000, np.random.default_rng(4))
    assert np.quantile(drawn, 0.5) == pytest.approx(2e9, rel=0.03)
    assert np.quantile(drawn, 0.9) == pytest.approx(4e9, rel=0.03)


@given(
    turns=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    prompts=st.integers(1, 20),
    n_targets=st.integers(1, 4),
    warmup=st.integers(0, 3),
)
@MODEST
def test_a_plan_of_sessions_holds_every_turn_in_order(turns, prompts, n_targets, warmup) -> None:
    ends = np.cumsum(turns)
    ranges = [range(int(end) - n, int(end)) for n, end in zip(turns, ends, strict=True)]
    targets = [f"t{i}" for i in range(n_targets)]
    drawn: list[int] = []

    def think(n: int) -> np.ndarray:
        drawn.append(n)
        return np.arange(n, dtype=np.int64)

    stream = Stream(prompts, np.arange(prompts * n_targets, dtype=np.int64), (prompts,), (None,))
    cases = [f"c{i}" for i in range(ends[-1])]
    made = build(
        cases, targets, stream, arrangement="interleaved", warmup=warmup, seed=3, sessions=Sessions(ranges, think)
    )
    rows = [made.request(seq) for seq in range(len(made))]
    begin_of = {f"c{r.start}": r for r in ranges}
    measured = [r for r in rows if r.phase == "measure"]
    assert len({r.session_id for r in measured}) == prompts * n_targets
    assert [r.due_ns for r in measured if r.turn == 1] == list(range(prompts * n_targets))
    assert all((r.due_ns is None) == (r.turn != 1) and (r.think_ns is None) == (r.turn == 1) for r in measured)
    assert all(r.case_id in begin_of and r.session_id is None for r in rows if r.phase == "warmup")
    pauses: dict[str, list[int]] = {t: [] for t in targets}
    for seq in [int(s) for s in made.starts(0)]:
        following, session = made.request(seq), begin_of[made.request(seq).case_id]
        for turn, case in enumerate(session, 1):
            assert (following.turn, following.case_id) == (turn, f"c{case}")
            if turn > 1:
                pauses[following.target_id].append(following.think_ns)
            after = made.next_turn(following.seq)
            assert (after is None) == (turn == len(session))
            following = after or following
    for target in targets:  # one pause for each later turn of a prompt, the same at every target
        assert pauses[target] == list(range(drawn[0]))


def test_a_level_added_to_a_plan_goes_on_counting() -> None:
    def level(value: float, prompts: int) -> Stream:
        return Stream(prompts, np.arange(prompts * 2, dtype=np.int64), (prompts,), (value,))

    def plan(stream: Stream, warmup: int, seed: int):
        return build(["x", "y"], ["a", "b"], stream, arrangement="interleaved", warmup=warmup, seed=seed)

    first = plan(level(1.0, 8), 1, 1)
    made = extended(first, plan(level(2.0, 4), 0, 2))
    assert len(made) == 2 + 16 + 8
    for seq in range(len(first)):
        assert made.request(seq) == first.request(seq)
    added = [made.request(seq) for seq in range(len(first), len(made))]
    assert {(r.stage, r.level) for r in added} == {(1, 2.0)}
    assert min(r.block_id for r in added) > max(first.request(s).block_id for s in range(len(first)))
    assert {r.repeat for r in added} == {4, 5}  # 8 prompts over 2 cases were 0 to 3
    assert made.digest != first.digest


def test_a_plan_in_lanes_gives_later_turns_no_due_time() -> None:
    stream = Stream(2, np.array([5, 7], dtype=np.int64), (2,), (None,))
    made = build(["x", "y"], ["a", "b"], stream, arrangement="lanes", warmup=0, seed=1,
                 sessions=Sessions([range(2)], lambda n: np.full(n, 9, dtype=np.int64)))  # fmt: skip
    assert made.due_ns.tolist() == [5, NO_DUE, 5, NO_DUE, 7, NO_DUE, 7, NO_DUE]
