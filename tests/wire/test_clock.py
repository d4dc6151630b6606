"""The clock, precise waiting, and the watch on ourselves."""

import asyncio
import gc
import sys
import time

import pytest
import uvloop

from bench.wire import clock
from bench.wire.clock import Alarm, Anchor, WallShift, clock_facts, now_ns, wall_shift_ns
from bench.wire.lag import LagMonitor

MS = 1_000_000
RUNNERS = [uvloop.run, asyncio.run]


def test_an_anchor_tells_stamps_as_wall_time():
    anchor = Anchor(monotonic_ns=1_000, wall_ns=1_700_000_000_123_456_789)
    assert anchor.offset(3_500) == 2_500
    assert anchor.wall_iso(1_000) == "2023-11-14T22:13:20.123456Z"
    assert anchor.wall_iso(1_000 + 876_543_211) == "2023-11-14T22:13:21.000000Z"  # 123,456,789 + 876,543,211 = 1 s


def test_an_anchor_taken_now_agrees_with_both_clocks():
    before, wall_before = now_ns(), time.time_ns()
    anchor = Anchor.take()
    after, wall_after = now_ns(), time.time_ns()
    assert before <= anchor.monotonic_ns <= after
    assert wall_before - MS <= anchor.wall_ns <= wall_after + MS


def test_the_shift_is_steady_until_the_wall_clock_is_stepped(monkeypatch):
    shift = WallShift()
    first = shift.ns
    for _ in range(200):
        assert abs(shift.read() - first) <= 20_000
    assert shift.steps == 0
    real = time.time_ns
    monkeypatch.setattr(clock.time, "time_ns", lambda: real() + 2_000 * MS)
    assert abs(shift.read() - first - 2_000 * MS) <= MS
    assert shift.steps == 1


def test_the_shift_takes_the_narrowest_bracket(monkeypatch):
    moments = iter([0, 900, 1_000, 1_100, 2_000, 2_600])  # brackets of 900, 100 and 600 ns
    walls = iter([10_000, 11_050, 12_000])
    monkeypatch.setattr(clock, "now_ns", lambda: next(moments))
    monkeypatch.setattr(clock.time, "time_ns", lambda: next(walls))
    assert wall_shift_ns(3) == (10_000, 100)  # 11,050 − (1,000 + 1,100) ÷ 2


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize("kernel", [True, False])
def test_an_alarm_wakes_in_order_and_never_early(run, kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(clock.sys, "platform", "other")
    elif sys.platform != "linux":
        pytest.skip("timerfd is Linux")
    woken: list[tuple[int, int]] = []

    async def main() -> None:
        alarm = Alarm()
        base = now_ns()
        dues = [base + offset * MS for offset in (12, 3, 7, 7, 1)]
        handles = [alarm.call_at(due, lambda due=due: woken.append((due, now_ns()))) for due in dues]
        cancelled = alarm.call_at(base + 5 * MS, lambda: woken.append((0, 0)))
        cancelled.cancel()
        assert await alarm.until(base + 14 * MS) >= base + 14 * MS
        assert await alarm.until(base) >= base  # past: at once
        assert len(handles) == len(woken)
        alarm.close()

    run(main())
    assert [due for due, _ in woken] == sorted(due for due, _ in woken)
    assert all(now >= due for due, now in woken)


def test_an_alarm_that_raises_does_not_stop_the_others():
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context["exception"]))
        alarm = Alarm()
        alarm.call_at(now_ns() + MS, lambda: 1 / 0)
        await alarm.until(now_ns() + 3 * MS)
        alarm.close()

    seen: list[BaseException] = []
    uvloop.run(main())
    assert [type(trouble) for trouble in seen] == [ZeroDivisionError]


def test_a_cancelled_wait_leaves_nothing_behind():
    async def main() -> None:
        alarm = Alarm()
        task = asyncio.create_task(alarm.until(now_ns() + 5 * MS))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await alarm.until(now_ns() + 8 * MS)
        alarm.close()
        alarm.close()

    uvloop.run(main())


def test_a_thousand_waits_are_all_kept():
    async def main() -> int:
        alarm = Alarm()
        base = now_ns()
        waits = [alarm.until(base + (i * 37 % 1000) * 20_000) for i in range(1000)]  # over 20 ms, in no order
        late = [woke - base for woke in await asyncio.gather(*waits)]
        alarm.close()
        return sum(1 for i, offset in enumerate(late) if offset >= (i * 37 % 1000) * 20_000)

    assert uvloop.run(main()) == 1000


def test_clock_facts_name_the_clock_and_the_cores():
    facts = clock_facts()
    assert "monotonic" in facts["clock"].lower()
    assert facts["cores"] >= facts["cores_allowed"] >= 1
    assert facts["wall_shift_error_ns"] < MS
    assert set(facts) >= {"clock_source", "cpu_governor", "ntp_synchronised", "load_average_1m"}


@pytest.mark.parametrize("run", RUNNERS)
def test_a_blocked_loop_is_seen_with_its_length_where_it_happened(run):
    async def main() -> None:
        lag = LagMonitor(interval_ms=2)
        lag.start()
        lag.start()  # once is enough
        await asyncio.sleep(0.02)
        quiet_end = now_ns()
        blocked_start = now_ns()
        time.sleep(0.04)
        blocked_end = now_ns()
        # asked before the loop came to its next beat: the beat that is overdue counts
        assert lag.max_between(blocked_start, blocked_end) >= 30 * MS
        await asyncio.sleep(0.02)
        assert lag.max_between(blocked_start, blocked_end) >= 30 * MS
        assert lag.max_between(blocked_end + 5 * MS, now_ns()) < lag.max_between(blocked_start, blocked_end)
        assert lag.max_between(0, quiet_end - 4 * MS) < lag.quantiles()["max"]
        lag.stop()
        lag.stop()
        quantiles = lag.quantiles()
        assert quantiles["p50"] <= quantiles["p90"] <= quantiles["p99"] <= quantiles["max"]
        assert quantiles["max"] >= 30 * MS
        assert 5 <= quantiles["n"] <= 40  # 80 ms of beats of 2 ms, less those missed while blocked

    run(main())


def test_the_largest_lag_over_many_samples_is_what_every_sample_says():
    lag = LagMonitor(interval_ms=1)
    lag._next_ns = MS
    values = [(i * 7919) % 1000 for i in range(1000)]  # lags in ns, of beats 1 ms apart

    def beat_at(now: int) -> None:
        clock_before = lag_module.now_ns
        lag_module.now_ns = lambda: now
        try:
            lag._beat()
        finally:
            lag_module.now_ns = clock_before

    from bench.wire import lag as lag_module

    for i, value in enumerate(values):
        beat_at((i + 1) * MS + value)
    for low, high in ((0, 1000), (3, 7), (10, 500), (63, 65), (64, 128), (1, 999)):
        # beats low to high−1: those that came at or after the start, and were due by the end
        assert lag.max_between((low + 1) * MS, high * MS) == max(values[low:high])


def test_collections_of_garbage_are_counted_while_it_watches():
    async def main() -> None:
        lag = LagMonitor()
        lag.start()
        gc.collect()
        lag.stop()
        counted = lag.gc_pauses()
        gc.collect()
        assert counted["n"] >= 1
        assert counted["total_ns"] >= counted["max_ns"] > 0
        assert lag.gc_pauses() == counted

    uvloop.run(main())


def test_the_share_of_a_core_tells_work_from_rest():
    async def main() -> None:
        lag = LagMonitor(interval_ms=2, cpu_every=2)
        lag.start()
        await asyncio.sleep(0.05)
        rest_end = now_ns()
        began = time.process_time()
        while time.process_time() - began < 0.04:
            await asyncio.sleep(0)
        lag.stop()
        rest, work = lag.cpu_share(None, rest_end), lag.cpu_share(rest_end)
        assert 0 <= rest < work <= 1.2
        assert lag.cpu_share_max() >= work / 2
        assert LagMonitor().cpu_share() is None
        assert set(lag.facts()) == {"interval_ns", "lag_ns", "gc", "cpu_share", "cpu_share_max"}

    uvloop.run(main())


def test_without_samples_nothing_is_claimed():
    lag = LagMonitor()
    assert lag.max_between(0, now_ns()) == 0
    assert lag.quantiles() == {"p50": None, "p90": None, "p99": None, "max": None, "n": 0}
