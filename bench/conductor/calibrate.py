"""Measuring ourselves first: the planned load against a loopback server whose truth is known.

The result is the instrument's own error at that load, on this machine, now. It goes into the manifest and under the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import dialects, providers
from bench.engine.loops import Control, closed_loop
from bench.engine.send import Done, Lane, Policy, prepare, send
from bench.record import Case, Params, Request
from bench.targets import Target
from bench.wire.clock import Alarm
from bench.wire.http import Outgoing, Wire

TARGET = "calibration"
TOKENS = 32
GAP_MS = 10.0
TTFT_MS = (150.0, 250.0)
ROUNDS = 3
FEWEST_REQUESTS = 8
KEY_VARIABLE = "BENCH_CALIBRATION_KEY"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a loopback server with known truth was measured as. `*_error_ms` = what we read − what was true."""

    streams: int
    requests: int
    failed: int
    ttft_error_p50_ms: float | None
    ttft_error_p99_ms: float | None
    token_error_p50_ms: float | None
    token_error_p99_ms: float | None
    cpu_s_per_1000_requests: float

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


async def calibrate(
    streams: int, wire: Wire, alarm: Alarm, folder: Path, read_cpu_ns: Callable[[], int]
) -> Calibration:
    """Streams `ROUNDS` waves of known replies at the planned concurrency and compares our stamps with the server's own."""
    from bench import simulate  # a run that does not calibrate has no use for it

    truth_path = folder / "calibration-truth.parquet"
    n = max(FEWEST_REQUESTS, streams * ROUNDS)
    config = {
        "seed": 1,
        "targets": [
            {
                "id": TARGET,
                "door": "openai-compatible",
                "model_id": "calibration",
                "credentials": {"api_key": "calibration"},
                "profile": {
                    "ttft_ms": {"uniform": list(TTFT_MS)},
                    "gap_ms": {"constant": GAP_MS},
                    "output_tokens": TOKENS,
                },
            }
        ],
        "truth": str(truth_path),
    }
    with simulate.launch(config) as running:
        os.environ[KEY_VARIABLE] = "calibration"
        try:
            target = Target(
                id=TARGET,
                model="calibration",
                provider="openai-compatible",
                model_id="calibration",
                dialect="chat",
                base_url=f"http://127.0.0.1:{running.ports[TARGET]}/v1",
                auth={"env": KEY_VARIABLE},
            )
            done, cpu = await _drive(target, n, streams, wire, alarm, read_cpu_ns)
        finally:
            del os.environ[KEY_VARIABLE]
        running.stop()
    found = _compared(done, truth_path, streams, n, cpu)
    truth_path.unlink()
    return found


async def _drive(
    target: Target, n: int, streams: int, wire: Wire, alarm: Alarm, read_cpu_ns: Callable[[], int]
) -> tuple[list[Done], int]:
    dialect = dialects.get(target.dialect)
    provider = providers.get(target.provider)
    case = Case(id="calibration", messages=({"role": "user", "content": "Count."},))
    body = dialect.encode(case, replace(Params(), max_tokens=TOKENS), target)
    lane = Lane(target, provider, dialect.decode, lambda request: body)
    policy = Policy(timeout_ns=20_000_000_000, retries=0)
    control = Control()
    done: list[Done] = []

    async def build(request: Request) -> Outgoing:
        return await prepare(lane, request)

    async def fire(request: Request, prepared: Outgoing) -> None:
        done.append(await send(lane, request, prepared, wire, policy, _no_sleep))

    requests = (Request(seq, 0, case.id, target.id, 0, "measure", None) for seq in range(n))
    before = read_cpu_ns()
    await closed_loop(requests, streams, build, fire, alarm=alarm, control=control)
    await control.drain()
    cpu = read_cpu_ns() - before
    await provider.close()
    return done, cpu


async def _no_sleep(_: float) -> None:
    """Calibration makes one try only: there is nothing to wait for."""


def _compared(done: list[Done], truth_path: Path, streams: int, n: int, cpu_ns: int) -> Calibration:
    import pyarrow.parquet as pq

    columns = pq.read_table(truth_path, columns=["request_id", "arrived_ns", "token_ns"]).to_pydict()
    truth = {
        rid: (a, t) for rid, a, t in zip(columns["request_id"], columns["arrived_ns"], columns["token_ns"], strict=True)
    }
    ttft: list[float] = []
    tokens: list[float] = []
    failed = 0
    for one in done:
        exchange, reply = one.final.exchange, one.final.reply
        known = truth.get(exchange.header("x-request-id") or "")
        if one.final.fault is not None or known is None or len(known[1]) != len(reply.content_ns):
            failed += 1
            continue
        arrived_ns, token_ns = known
        ttft.append(((reply.content_ns[0] - exchange.sent_ns) - (token_ns[0] - arrived_ns)) / 1e6)
        tokens.extend((np.array(reply.content_ns) - np.array(token_ns)) / 1e6)
    return Calibration(
        streams=streams,
        requests=len(done),
        failed=failed + n - len(done),
        ttft_error_p50_ms=_quantile(ttft, 0.5),
        ttft_error_p99_ms=_quantile(ttft, 0.99),
        token_error_p50_ms=_quantile(tokens, 0.5),
        token_error_p99_ms=_quantile(tokens, 0.99),
        cpu_s_per_1000_requests=cpu_ns / 1e9 / max(1, len(done)) * 1000,
    )


def _quantile(values: list[float], p: float) -> float | None:
    """An order statistic of the error; None for none."""
    if not values:
        return None
    return float(np.quantile(np.array(values), p, method="inverted_cdf"))
