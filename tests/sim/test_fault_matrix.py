"""Every wire against every fault: what it is called, what is kept of it, and what is not made up.

One process of look-alikes serves all. The prompt asks for the fault; expectations are by fault, with the vendors' own codes.
"""

import asyncio
import json
import math
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow.parquet as pq
import pytest
import uvloop

from bench import dialects, providers, simulate
from bench.engine.send import Done, Lane, Policy, prepare, send
from bench.record import Case, Params, Request, Usage
from bench.simulate.answers import prompt_key
from bench.simulate.faults import FAULTS
from bench.targets import load_targets
from bench.wire.clock import Alarm, now_ns
from bench.wire.http import Wire
from tests.sim.conftest import DOORS, MODEL_IDS

WIRES = ("anthropic", "vertex", "foundry", "bedrock", "openai-compatible")
TOKENS = 8
PROFILE = {"ttft_ms": {"constant": 4}, "gap_ms": {"constant": 1}, "output_tokens": TOKENS, "markers": True}
STORM = {**PROFILE, "throttle": {"share": 0.6, "retry_after_s": 0.01}}
MODEL = "claude-sonnet-5-5"

WHOLE = "This text stands in for the reply"
PARTS = ["This", " text", " stan", "ds", " in", " for", " the", " reply"]
assert "".join(PARTS) == WHOLE


@dataclass(frozen=True)
class Want:
    """`code`: as it is, or a name in CODES. `events`: content events kept, of eight. `usage`: both counts, input alone
    (which only Claude's wires tell at the start), or nothing."""

    outcome: str = "ok"
    code: str | None = None
    events: int = TOKENS
    usage: str = "both"
    text: str | None = None


OK = Want()


def refused(outcome: str, code: str | None) -> Want:
    return Want(outcome, code, events=0, usage="none")


def broken(outcome: str, code: str, events: int) -> Want:
    return Want(outcome, code, events, usage="input")


NOTHING_AT_ALL = refused("truncated", "no_terminal_event")
HALF_A_BODY = refused("truncated", "closed")
TOO_LONG = refused("transport", "protocol")
SILENT = refused("timeout", "timeout")
EMPTY = Want("server", "empty_reply", events=0)
# Bytes that are no field of an event are skipped, as the standard of event streams says: one token of eight is missing.
# AWS frames have checksums: there the rest is beyond reading.
LINE_SKIPPED = Want(events=7, text="This stands in for the reply")

CODES = {
    "400": ("invalid_request_error",) * 3 + ("ValidationException", "BadRequestError"),
    "401": ("authentication_error", "UNAUTHENTICATED", None, "UnrecognizedClientException", "AuthenticationError"),
    "403": ("permission_error", "PERMISSION_DENIED", None, "AccessDeniedException", "PermissionDeniedError"),
    "404": ("not_found_error", "NOT_FOUND", "DeploymentNotFound", "ResourceNotFoundException", "NotFoundError"),
    "429": ("rate_limit_error", "RESOURCE_EXHAUSTED", "RateLimitReached", "ThrottlingException", "RateLimitError"),
    "500": ("api_error", "INTERNAL", "api_error", "InternalServerException", "InternalServerError"),
    "503": ("api_error", "UNAVAILABLE", "ServiceUnavailable", "ServiceUnavailableException", "ServiceUnavailableError"),
    "529": ("overloaded_error",) * 3 + ("ServiceUnavailableException", "InternalServerError"),
    "overloaded": ("overloaded_error",) * 3 + ("serviceUnavailableException", "ServiceUnavailableError"),
    "throttled": ("rate_limit_error",) * 3 + ("throttlingException", "RateLimitError"),
    "server": ("api_error",) * 3 + ("internalServerException", "InternalServerError"),
    "overloaded as a status": ("overloaded_error",) * 3 + ("ServiceUnavailableException", "ServiceUnavailableError"),
}
"""In the order of WIRES. None: that vendor's body has no code for it."""

MATRIX = {
    # fault: (streamed, not streamed)
    "drip ms=1": (OK, OK),
    "status code=400": (refused("bad_request", "400"), refused("bad_request", "400")),
    "status code=401": (refused("auth", "401"), refused("auth", "401")),
    "status code=403": (refused("auth", "403"), refused("auth", "403")),
    "status code=404": (refused("bad_request", "404"), refused("bad_request", "404")),
    "status code=429 retry_after_s=0.01": (refused("throttled", "429"), refused("throttled", "429")),
    "status code=500": (refused("server", "500"), refused("server", "500")),
    "status code=502": (refused("server", None), refused("server", None)),
    "status code=503": (refused("overloaded", "503"), refused("overloaded", "503")),
    "status code=529": (refused("overloaded", "529"), refused("overloaded", "529")),
    "error after=0 kind=overloaded": (broken("overloaded", "overloaded", 0), refused("overloaded", "overloaded as a status")),
    "error after=3 kind=overloaded": (broken("overloaded", "overloaded", 3), refused("overloaded", "overloaded as a status")),
    "error after=3 kind=throttled": (broken("throttled", "throttled", 3), refused("throttled", "429")),
    "error after=3 kind=server": (broken("server", "server", 3), refused("server", "500")),
    "cut after=0": (broken("truncated", "no_terminal_event", 0), HALF_A_BODY),
    "cut after=3": (broken("truncated", "no_terminal_event", 3), HALF_A_BODY),
    "cut after=999": (broken("truncated", "no_terminal_event", 8), HALF_A_BODY),
    "close after=0": (broken("truncated", "closed", 0), HALF_A_BODY),
    "close after=3": (broken("truncated", "closed", 3), HALF_A_BODY),
    "reset after=0": (broken("truncated", "reset", 0), refused("truncated", "reset")),
    "reset after=3": (broken("truncated", "reset", 3), refused("truncated", "reset")),
    "hang": (SILENT, SILENT),
    "hang ms=20": (OK, OK),
    "stall after=3 ms=20": (OK, OK),
    "rubbish after=2": (LINE_SKIPPED, refused("server", "event_stream_broken")),
    "empty": (EMPTY, EMPTY),
    "blank": (NOTHING_AT_ALL, NOTHING_AT_ALL),
    "usage-twice": (OK, OK),
    "no-usage": (Want(usage="none"), Want(usage="none")),
    "huge-headers": (OK, OK),
    "huge-headers bytes=600000": (TOO_LONG, TOO_LONG),
    "one-byte": (OK, OK),
    "one-chunk": (OK, OK),
    "bad-crc after=3": (None, None),
}  # fmt: skip
ONLY_HERE = {
    ("bad-crc after=3", "bedrock", True): broken("server", "event_stream_broken", 2),
    ("rubbish after=2", "bedrock", True): broken("server", "event_stream_broken", 1),
    ("rubbish after=2", "openai-compatible", False): NOTHING_AT_ALL,
    ("status code=529", "openai-compatible", True): refused("server", "529"),  # an OpenAI server has no such status
    ("status code=529", "openai-compatible", False): refused("server", "529"),
}


def cases():
    for fault, wants in MATRIX.items():
        for door in DOORS:
            for stream, common in zip((True, False), wants, strict=True):
                want = ONLY_HERE.get((fault, door, stream), common)
                if want is not None:
                    yield pytest.param(
                        door, fault, stream, want, id=f"{door}-{fault}-{'stream' if stream else 'whole'}"
                    )


def test_every_fault_of_the_simulator_is_in_the_matrix() -> None:
    assert {words.split()[0] for words in MATRIX} == set(FAULTS)


class House:
    """The look-alikes, a lane to each, and one wire on one loop for all tests of the module."""

    def __init__(self, folder, runner: asyncio.Runner) -> None:
        self.runner, self.folder = runner, folder
        self.truth = folder / "truth.parquet"
        config = {"seed": 7, "truth": str(self.truth), "targets": [
            {"id": name, "door": door, "model_id": MODEL_IDS.get(door, MODEL), "profile": profile}
            for door in DOORS for name, profile in ((door, PROFILE), (f"stormy-{door}", STORM))
        ]}  # fmt: skip
        self.running = simulate.launch(config)
        self.lanes = {name: self._lane(name) for target in config["targets"] for name in [target["id"]]}
        self.wire, self.alarm = runner.run(self._wire()), Alarm()

    async def _wire(self) -> Wire:
        return Wire(environ={})

    def _lane(self, name: str):
        door = name.removeprefix("stormy-")
        path, more = DOORS[door]
        row = {"id": name, "model": MODEL, "provider": door, **more,
               "base_url": f"http://127.0.0.1:{self.running.ports[name]}{path}"}  # fmt: skip
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps({"version": 1, "targets": [row]}))
        (target,) = load_targets(file, None, providers.names())
        return target, providers.get(door), dialects.get(target.dialect)

    async def send(self, name: str, prompt: str, *, stream: bool, retries: int = 0, timeout_s: float = 10) -> Done:
        target, provider, dialect = self.lanes[name]
        case = Case(id="c", messages=({"role": "user", "content": prompt},))
        body = dialect.encode(case, replace(Params(), max_tokens=64, stream=stream), target)
        lane = Lane(target, provider, dialect.decode, lambda request: body)
        request = Request(0, 0, "c", target.id, 0, "measure", None)
        policy = Policy(round(timeout_s * 1e9), retries)
        return await send(lane, request, await prepare(lane, request), self.wire, policy, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await self.alarm.until(now_ns() + round(seconds * 1e9))

    def close(self) -> None:
        async def end() -> None:
            self.alarm.close()
            await self.wire.aclose()
            for _, provider, _ in self.lanes.values():
                await provider.close()

        self.runner.run(end())
        self.running.stop()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = House(tmp_path_factory.mktemp("matrix"), runner)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def house(built, monkeypatch):
    for door in DOORS:
        given = simulate.default_credentials(door)
        if door == "bedrock":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["access_key"])
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["secret_key"])
        else:
            monkeypatch.setenv("KEY_" + door.upper().replace("-", "_"), next(iter(given.values())))
    return built


def told(usage: Usage) -> str:
    known = (usage.input_tokens is not None, usage.output_tokens is not None)
    return {(True, True): "both", (True, False): "input", (False, False): "none"}[known]


@pytest.mark.parametrize(("door", "fault", "stream", "want"), list(cases()))
def test_a_fault_has_its_name_and_what_came_is_kept(house, door: str, fault: str, stream: bool, want: Want) -> None:
    prompt = f"Hello [[fault: {fault}]]"
    sent_ns = now_ns()
    timeout_s = 0.15 if want is SILENT else 10
    (attempt,) = house.runner.run(house.send(door, prompt, stream=stream, timeout_s=timeout_s)).attempts
    exchange, reply, found = attempt.exchange, attempt.reply, attempt.fault

    at = WIRES.index(door)
    code = CODES[want.code][at] if want.code in CODES else want.code
    assert (found.outcome if found else "ok", found.code if found else None) == (want.outcome, code)

    text = want.text if want.text is not None else "".join(PARTS[: want.events])
    assert reply.text == text
    assert len(reply.content_ns) == (want.events if stream else 0)  # without streaming there is no first token to time
    usage = "none" if want.usage == "input" and door == "openai-compatible" else want.usage
    assert told(reply.usage) == usage
    if usage != "none":
        assert reply.usage.input_tokens == math.ceil(
            len(prompt) / 4
        )  # the look-alikes count four characters to a token
    if usage == "both":
        assert reply.usage.output_tokens == (0 if want is EMPTY else TOKENS)
    # one clock, in order, and nothing before it was sent or after it ended
    stamps = [sent_ns, exchange.sent_ns, *reply.content_ns, exchange.end_ns, now_ns()]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("door", DOORS)
def test_a_storm_of_429_costs_tries_and_waits_and_loses_nothing(house, door: str) -> None:
    # 0.6 of the tries are refused; with 5 retries a request fails with 0.6^6 = 4.7 %
    async def storm() -> list[Done]:
        return await asyncio.gather(
            *(house.send(f"stormy-{door}", f"Question {door} {n}", stream=True, retries=5) for n in range(24))
        )

    all_done = house.runner.run(storm())
    finals = Counter(done.final.fault.outcome if done.final.fault else "ok" for done in all_done)
    assert set(finals) <= {"ok", "throttled"}
    assert finals["ok"] >= 18
    tries = [attempt for done in all_done for attempt in done.attempts]
    refusals = [attempt for attempt in tries if attempt.fault is not None]
    assert len(refusals) >= 12
    for done in all_done:
        assert [attempt.n for attempt in done.attempts] == list(range(1, len(done.attempts) + 1))
        assert all(attempt.fault.outcome == "throttled" for attempt in done.attempts[:-1])
        if done.final.fault is None:
            assert done.final.reply.text == WHOLE
        for before, after in zip(done.attempts, done.attempts[1:], strict=False):
            # what the server asked for was waited, and is on record
            assert before.wait_ns == 10_000_000
            assert after.exchange.sent_ns - before.exchange.end_ns >= 10_000_000
    assert all(attempt.fault.retry_after_s == 0.01 for attempt in refusals)


@pytest.mark.parametrize("door", DOORS)
def test_a_storm_that_does_not_end_is_given_up_after_the_last_retry(house, door: str) -> None:
    prompt = "Hello [[fault: status code=429 retry_after_s=0.01]]"
    done = house.runner.run(house.send(door, prompt, stream=True, retries=3))
    assert [attempt.fault.outcome for attempt in done.attempts] == ["throttled"] * 4
    assert [attempt.wait_ns for attempt in done.attempts] == [10_000_000] * 3 + [0]


def test_a_connection_that_was_spoiled_carries_no_later_request(house) -> None:
    """Right after every fault that breaks a connection, a plain request on the same pool is fine."""
    for door in DOORS:
        for fault in ("reset after=3", "close after=0", "hang", "huge-headers bytes=600000", "cut after=3"):
            timeout_s = 0.1 if fault == "hang" else 10
            house.runner.run(house.send(door, f"Hello [[fault: {fault}]]", stream=True, timeout_s=timeout_s))
            after = house.runner.run(house.send(door, "Hello", stream=True))
            assert after.final.fault is None
            assert after.final.reply.text == WHOLE


def test_what_we_recorded_is_what_the_server_saw(house, tmp_path) -> None:
    own = House(tmp_path, house.runner)

    async def storm() -> int:
        done = await asyncio.gather(*(own.send("stormy-vertex", f"Ask {n}", stream=True, retries=4) for n in range(12)))
        return sum(len(one.attempts) for one in done)

    tries = house.runner.run(storm())
    own.close()
    keys = Counter(row["key"] for row in pq.read_table(own.truth).to_pylist())
    assert sum(keys.values()) == sum(keys[prompt_key(f"Ask {n}")] for n in range(12)) == tries > 12
