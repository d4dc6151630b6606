"""One look-alike at work: what becomes of each request, its counters, its minute of rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from time import monotonic_ns

from bench.simulate.answers import Answers, prompt_key
from bench.simulate.base import Ask, Door, Headers, Received, Refused, Script, TargetConfig
from bench.simulate.deliver import Delivery, deliver, refusal
from bench.simulate.faults import Fault, FaultError, marked_fault
from bench.simulate.script import plan
from bench.simulate.truth import Row

WINDOW_NS = 60_000_000_000
NOT_OVER_GRPC = ("close", "reset", "huge-headers", "bad-crc", "one-byte")


class Lane:
    """Answers requests to one target, one after the other as they come."""

    def __init__(self, target: TargetConfig, door: Door, seed: int, answers: Answers) -> None:
        self.target, self.door, self.seed, self.answers = target, door, seed, answers
        self.repeats: dict[str, int] = {}
        self.refusals = 0
        self.started_ns = monotonic_ns()
        self.limits: Mapping[str, int] = dict(target.profile.limits)
        self.window = -1
        self.used = {"rpm": 0, "itpm": 0, "otpm": 0}

    def answer(self, received: Received | Refused, row: Row) -> Delivery:
        """What becomes of a request; fills in its row."""
        try:
            ask, script, headers = self.planned(received, row)
        except Refused as refused:
            return self._refuse(refused, row)
        delivery = deliver(self.door, ask, script, headers)
        row.status = delivery.status
        return delivery

    def planned(self, received: Received | Refused, row: Row) -> tuple[Ask, Script, Headers]:
        """What was asked, what is said to it, and the headers of every kind of reply; fills in the row. Raises Refused."""
        if isinstance(received, Refused):
            raise received
        ask = self.door.admit(received, self.target)
        row.stream = ask.stream
        row.key = key = prompt_key(ask.prompt)
        asked = self._asked_fault(ask)
        row.repeat = self.repeats.get(key, 0)
        self.repeats[key] = row.repeat + 1
        limit_headers = self._spend(ask, row.arrived_ns, received.wall_s)
        script = plan(
            self.door,
            self.target,
            ask,
            key=key,
            repeat=row.repeat,
            seed=self.seed,
            answers=self.answers,
            wall_s=received.wall_s,
            slowdown=self._slowdown(row.arrived_ns),
            asked_fault=asked,
        )
        row.script, row.request_id = script, script.request_id
        row.fault = str(script.fault) if script.fault else None
        self.used["otpm"] += script.output_tokens
        return ask, script, self.door.id_headers(script.request_id) + limit_headers

    def _asked_fault(self, ask: Ask) -> Fault | None:
        """The fault that a mark in the prompt asks for, where the profile obeys marks. Raises Refused."""
        if not self.target.profile.markers:
            return None
        try:
            fault = marked_fault(ask.prompt)
            if fault and fault.name == "bad-crc" and not (self.target.door == "bedrock" and ask.stream):
                raise FaultError("bad-crc needs an AWS event stream")
            if fault and fault.name in NOT_OVER_GRPC and self.target.door == "vertex-grpc":
                raise FaultError(f"{fault.name} is not for gRPC: the connection is the library's")
        except FaultError as error:
            status, code, _ = self.door.fault_refusal(400)
            raise Refused(status, code, str(error)) from None
        return fault

    def _refuse(self, refused: Refused, row: Row) -> Delivery:
        self.note_refusal(refused, row)
        headers, body = self.door.refusal(refused.status, refused.code, refused.message, row.request_id)
        return refusal(refused.status, self.door.id_headers(row.request_id) + headers + list(refused.headers), body)

    def note_refusal(self, refused: Refused, row: Row) -> None:
        self.refusals += 1
        bits = Random(f"{self.seed}:{self.target.id}:refused:{self.refusals}").getrandbits(128)
        row.request_id = self.door.request_id(bits)
        row.status, row.fault = refused.status, f"refused {refused.code or refused.status}"

    def _slowdown(self, now_ns: int) -> float:
        profile = self.target.profile
        if not profile.spell_period_s:
            return 1.0
        at_s = (now_ns - self.started_ns) / 1e9 % profile.spell_period_s
        return profile.spell_factor if at_s < profile.spell_duration_s else 1.0

    def _spend(self, ask: Ask, now_ns: int, wall_s: float) -> Headers:
        """Counts the request against its minute; the headers tell what is left. Raises Refused when it is too much."""
        if not self.limits:
            return []
        window, into_ns = divmod(now_ns - self.started_ns, WINDOW_NS)
        if window != self.window:
            self.window, self.used = window, dict.fromkeys(self.used, 0)
        cost = {"rpm": 1, "itpm": ask.input_tokens, "otpm": 0}
        over = any(self.used[key] + cost[key] > limit for key, limit in self.limits.items())
        if not over:
            self.used = {key: used + cost[key] for key, used in self.used.items()}
        reset_s = (WINDOW_NS - into_ns) / 1e9
        left = {key: (limit, max(0, limit - self.used[key])) for key, limit in self.limits.items()}
        headers = self.door.limit_headers(left, reset_s, wall_s)
        if over:
            status, code, message = self.door.fault_refusal(429)
            raise Refused(status, code, message, [("retry-after", str(int(reset_s) + 1)), *headers])
        return headers
