"""The loops, the retry policy, the verdict on an attempt, the figures for the eye."""

import asyncio
import random
from dataclasses import replace

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.conductor.collect import SPOILED_NS, is_spoiled
from bench.engine.live import ACCURACY, Histogram
from bench.engine.loops import Control, closed_loop, open_loop
from bench.engine.send import LONGEST_WAIT_S, Lane, Policy, fault_of, send
from bench.record import Attempt, Connection, Exchange, Fault, Reply, Request
from bench.targets import Target
from bench.wire.clock import Alarm, now_ns

TARGET = Target(id="t", model="m", provider="p", model_id="m", dialect="chat")
OK = Exchange(
    sent_ns=1_000, headers_ns=2_000, end_ns=9_000, status=200, headers=(), pieces=((3_000, b"x"),),
    connection=Connection(reused=True),
)  # fmt: skip
SAID = Reply(text="hello", content_ns=(3_000, 8_000), stop_reason="stop", complete=True)


class Door:
    """A door whose requests are empty and whose faults are told by status."""

    async def prepare(self, target, body, headers=None):
        import httpx2

        return httpx2.Request("POST", "http://127.0.0.1:1/", content=b"{}")

    def fault(self, status, headers, body):
        retry = {429: ("throttled", True), 529: ("overloaded", True), 400: ("bad_request", False)}
        outcome, again = retry.get(status, ("server", True))
        return Fault(outcome, str(status), retry_after_s=0.01 if status == 429 else None, retryable=again)


class Wire:
    """Answers the statuses that it was given, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)

    async def exchange(self, outgoing, deadline_ns):
        return replace(OK, status=self.statuses.pop(0))


def tried(statuses: list[int], retries: int) -> tuple[list[str], list[float]]:
    """Outcomes of the attempts, and what was waited between them."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    lane = Lane(TARGET, Door(), lambda exchange: SAID if exchange.status == 200 else Reply(), lambda request: {})
    request = Request(0, 0, "c", "t", 0, "measure", None)
    done = uvloop.run(send(lane, request, None, Wire(*statuses), Policy(1_000_000, retries), sleep))
    assert [a.n for a in done.attempts] == list(range(1, len(done.attempts) + 1))
    assert [a.wait_ns for a in done.attempts[:-1]] == [round(s * 1e9) for s in waited]
    return [a.fault.outcome if a.fault else "ok" for a in done.attempts], waited


@pytest.mark.parametrize(
    ("statuses", "retries", "outcomes"),
    [
        ([200], 2, ["ok"]),
        ([429, 200], 2, ["throttled", "ok"]),
        ([529, 529, 200], 2, ["overloaded", "overloaded", "ok"]),
        ([529, 529, 529], 2, ["overloaded"] * 3),  # two retries are three tries
        ([429, 200], 0, ["throttled"]),
        ([400, 200], 2, ["bad_request"]),  # another try would not mend it
        ([500, 400], 2, ["server", "bad_request"]),
    ],
)
def test_what_is_tried_again_and_how_often(statuses: list[int], retries: int, outcomes: list[str]) -> None:
    assert tried(statuses, retries)[0] == outcomes


def test_the_wait_that_the_provider_asks_for_is_kept() -> None:
    assert tried([429, 429, 200], 3)[1] == [0.01, 0.01]


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    class Patient(Door):
        def fault(self, status, headers, body):
            return Fault("throttled", "429", retry_after_s=LONGEST_WAIT_S + 1, retryable=True)

    lane = Lane(TARGET, Patient(), lambda exchange: Reply(), lambda request: {})
    request = Request(0, 0, "c", "t", 0, "measure", None)

    async def never(_: float) -> None:
        raise AssertionError

    done = uvloop.run(send(lane, request, None, Wire(429, 429), Policy(1_000_000, 5), never))
    assert len(done.attempts) == 1


@pytest.mark.parametrize(
    ("exchange", "reply", "outcome", "code"),
    [
        (OK, SAID, None, None),
        (OK, replace(SAID, complete=False), "truncated", "no_terminal_event"),
        (OK, replace(SAID, text="", content_ns=()), "server", "empty_reply"),
        (OK, replace(SAID, text="", reasoning="hm"), None, None),
        (OK, replace(SAID, stop_reason="length"), None, None),  # the limit that we set: an answer, though a cut one
        (OK, replace(SAID, stop_reason="filtered", native_stop_reason="refusal"), "filtered", "refusal"),
        (OK, replace(SAID, stop_reason="refused"), "refused", None),
        (OK, replace(SAID, error_body=b"{}"), "server", "200"),
        (replace(OK, status=429), Reply(), "throttled", "429"),
        (replace(OK, failure="timeout"), SAID, "timeout", "timeout"),
        (replace(OK, failure="reset"), SAID, "truncated", "reset"),
        (replace(OK, failure="reset", status=None, pieces=()), Reply(), "transport", "reset"),
        (replace(OK, failure="connect", status=None, pieces=()), Reply(), "transport", "connect"),
        (replace(OK, failure="tls", status=None, pieces=()), Reply(), "transport", "tls"),
    ],
)
def test_a_200_alone_is_not_success(exchange: Exchange, reply: Reply, outcome: str | None, code: str | None) -> None:
    fault = fault_of(Door(), exchange, reply)
    assert (fault.outcome if fault else None) == outcome
    assert (fault.code if fault else None) == code


def requests(n: int, gap_ns: int | None) -> list[Request]:
    return [Request(seq, 0, "c", "t", 0, "measure", None if gap_ns is None else seq * gap_ns) for seq in range(n)]


async def built(request: Request) -> int:
    return request.seq


def test_an_open_loop_never_waits_for_replies() -> None:
    """Twenty sends one millisecond apart, each answered after fifty: all are out before the first answer."""

    async def run() -> tuple[int, int]:
        alarm, control = Alarm(), Control()
        flying = most = 0

        async def fire(request: Request, prepared: int) -> None:
            nonlocal flying, most
            assert prepared == request.seq
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.05)
            flying -= 1

        await open_loop(
            requests(20, 1_000_000), built, fire, start_ns=now_ns(), alarm=alarm, control=control, max_in_flight=50
        )
        await control.drain()
        alarm.close()
        return most, flying

    assert uvloop.run(run()) == (20, 0)


def test_a_plan_that_cannot_be_kept_is_stopped_and_called_invalid() -> None:
    async def run() -> Control:
        alarm, control = Alarm(), Control()
        release = asyncio.Event()

        async def fire(request: Request, prepared: int) -> None:
            await release.wait()

        await open_loop(
            requests(20, 100_000), built, fire, start_ns=now_ns(), alarm=alarm, control=control, max_in_flight=5
        )
        assert len(control.flights) == 5
        release.set()
        await control.drain()
        alarm.close()
        return control

    control = uvloop.run(run())
    assert control.stopping.is_set()
    assert "max_in_flight (5)" in control.invalid[0]


@pytest.mark.parametrize("slots", [1, 3, 7])
def test_a_closed_loop_keeps_its_slots_filled_and_no_more(slots: int) -> None:
    async def run() -> tuple[int, list[int]]:
        alarm, control = Alarm(), Control()
        flying = most = 0
        seen: list[int] = []

        async def fire(request: Request, prepared: int) -> None:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.002 + random.Random(request.seq).random() * 0.003)
            seen.append(request.seq)
            flying -= 1

        await closed_loop(requests(30, None), slots, built, fire, alarm=alarm, control=control)
        await control.drain()
        alarm.close()
        return most, seen

    most, seen = uvloop.run(run())
    assert most == slots
    assert sorted(seen) == list(range(30))


def test_a_stop_lets_what_is_in_flight_finish_and_sends_nothing_more() -> None:
    async def run() -> tuple[int, int]:
        alarm, control = Alarm(), Control()
        started = finished = 0

        async def fire(request: Request, prepared: int) -> None:
            nonlocal started, finished
            started += 1
            if started == 4:
                control.stop("enough")
            await asyncio.sleep(0.01)
            finished += 1

        await closed_loop(requests(100, None), 2, built, fire, alarm=alarm, control=control)
        await control.drain()
        alarm.close()
        return started, finished

    started, finished = uvloop.run(run())
    assert started == finished
    assert started <= 5


def test_an_error_while_building_is_not_swallowed() -> None:
    async def run() -> None:
        alarm, control = Alarm(), Control()

        async def broken(request: Request) -> int:
            raise RuntimeError("no such body")

        async def fire(request: Request, prepared: int) -> None: ...

        try:
            await open_loop(
                requests(3, 1_000), broken, fire, start_ns=now_ns(), alarm=alarm, control=control, max_in_flight=5
            )
        finally:
            alarm.close()

    with pytest.raises(RuntimeError, match="no such body"):
        uvloop.run(run())


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_live_quantile_is_within_its_accuracy(values: list[float], p: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, -(-int(p * 1000) * len(values) // 1000) - 1)]
    assert histogram.quantile(p) == pytest.approx(exact, rel=ACCURACY * 1.001)


@pytest.mark.parametrize(
    ("derived", "lag_ns", "sending_ns", "failure", "spoiled"),
    [
        ({"ttft_ms": 100.0, "lateness_ms": 0.1}, 0, 0, None, False),
        ({"ttft_ms": 100.0, "lateness_ms": 11.0}, 0, 0, None, True),  # 11 ms is above 10 ms and above 2 % of 100 ms
        ({"ttft_ms": 1000.0, "lateness_ms": 11.0}, 0, 0, None, False),  # 2 % of a second are 20 ms
        ({"ttft_ms": 100.0, "lateness_ms": None}, SPOILED_NS + 1, 0, None, True),
        ({"ttft_ms": 100.0, "lateness_ms": None}, SPOILED_NS, 0, None, False),
        ({"ttft_ms": 100.0, "lateness_ms": None}, 0, SPOILED_NS + 1, None, True),
        (
            {"ttft_ms": None, "e2e_ms": 2000.0, "lateness_ms": 30.0},
            0,
            0,
            None,
            False,
        ),  # without a TTFT, 2 % of E2E: 40 ms
        ({"ttft_ms": 100.0, "lateness_ms": 0.0}, 0, 0, "cancelled", True),  # we hung up
    ],
)
def test_when_a_row_is_spoiled(derived, lag_ns: int, sending_ns: int, failure: str | None, spoiled: bool) -> None:
    attempt = Attempt(1, replace(OK, sending_ns=sending_ns, failure=failure), SAID, None)
    assert is_spoiled(derived, lambda start, end: lag_ns, attempt) is spoiled
