"""What this machine's look-alikes can do: events per second, CPU share, and how late they are against their own plan.

The load comes from this process, over raw sockets; the look-alikes run in theirs. It ends by itself within some eight
seconds.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import orjson
import uvloop

from bench.simulate.launch import launch

STREAMS = 240
TOKENS = 128
RAMP_S = 1.0
LOAD_S = 5.0
PROFILE = {"ttft_ms": {"uniform": [175, 225]}, "gap_ms": {"constant": 10}, "output_tokens": TOKENS}
TARGETS: list[dict[str, Any]] = [
    {"id": "anthropic", "door": "anthropic", "model_id": "m", "credentials": {"api_key": "k"}, "profile": PROFILE},
    {
        "id": "bedrock",
        "door": "bedrock",
        "model_id": "m",
        "credentials": {"region": "r", "token": "k"},
        "profile": PROFILE,
    },
    {"id": "chat", "door": "openai-compatible", "model_id": "m", "credentials": {"api_key": "k"}, "profile": PROFILE},
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen. Lateness is write less due, ms, over every content event.

    `cpu_share` and `wait_share` (ready to run, but without a core) are of one core's time; None off Linux. With much
    waiting, the lateness is that of a busy machine.
    """

    events: int
    seconds: float
    cpu_share: float | None
    wait_share: float | None
    late_p50_ms: float
    late_p99_ms: float

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    def __str__(self) -> str:
        cpu, waited = ("not known" if share is None else f"{share:.0%}" for share in (self.cpu_share, self.wait_share))
        return (
            f"events/s   {self.events_per_s:,.0f} ({self.events:,} content events in {self.seconds:.1f} s)\n"
            f"CPU        {cpu} of one core; ready but waiting for a core {waited} of the time\n"
            f"lateness   p50 {self.late_p50_ms:.3f} ms, p99 {self.late_p99_ms:.3f} ms (write less due)"
        )


class _Client(asyncio.Protocol):
    """Asks, reads to the end of the reply, asks again."""

    def __init__(self, target: dict[str, Any], number: int, until_s: float) -> None:
        self.target, self.number, self.until_s = target, number, until_s
        self.asked = 0
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.transport.write(_request(self.target, f"stream {self.number}, question {self.asked}"))
        self.asked += 1

    def data_received(self, data: bytes) -> None:
        if not data.endswith(b"\r\n0\r\n\r\n"):
            return
        if monotonic() < self.until_s:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)


def _request(target: dict[str, Any], prompt: str) -> bytes:
    body: dict[str, Any] = {"max_tokens": 4096, "messages": [{"role": "user", "content": prompt}]}
    path, more = "/v1/chat/completions", ""
    if target["door"] == "bedrock":
        path = "/model/m/invoke-with-response-stream"
        body["anthropic_version"] = "bedrock-2023-05-31"
    else:
        body |= {"model": "m", "stream": True}
    if target["door"] == "anthropic":
        path, more = "/v1/messages", "anthropic-version: 2023-06-01\r\n"
    data = orjson.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer k\r\n{more}"
    return f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


async def _load(ports: dict[str, int], streams: int, load_s: float, ramp_s: float) -> None:
    loop = asyncio.get_running_loop()
    until_s = monotonic() + load_s
    clients = []
    for number in range(streams):
        target = TARGETS[number % len(TARGETS)]
        _, client = await loop.create_connection(
            lambda target=target, number=number: _Client(target, number, until_s),  # type: ignore[misc]
            "127.0.0.1",
            ports[target["id"]],
        )
        clients.append(client.gone)
        await asyncio.sleep(ramp_s / streams)
    await asyncio.gather(*clients)


def _scheduled_s(pid: int) -> tuple[float, float] | None:
    """Seconds that a process has run, and waited for a core, so far; None where the kernel does not tell."""
    try:
        ran_ns, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return int(ran_ns) / 1e9, int(waited_ns) / 1e9


def measure(streams: int = STREAMS, load_s: float = LOAD_S, ramp_s: float = RAMP_S) -> Outcome:
    """Drives the load and reads the truth. What is reported was seen between the ramp and the end of asking."""
    import pyarrow.parquet as pq

    marks: list[tuple[float, tuple[float, float] | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.parquet"
        with launch({"seed": 1, "targets": TARGETS, "truth": truth}) as running:

            async def watched() -> None:
                load = asyncio.create_task(_load(running.ports, streams, load_s, ramp_s))
                await asyncio.sleep(ramp_s * 1.5)
                marks.append((monotonic(), _scheduled_s(running.pid)))
                await asyncio.sleep(max(0.1, load_s - ramp_s * 1.5))
                marks.append((monotonic(), _scheduled_s(running.pid)))
                await load

            uvloop.run(watched())
        table = pq.read_table(truth, columns=["token_ns", "late_ns"])
    stamps = table["token_ns"].combine_chunks().flatten().to_numpy()
    late_ms = table["late_ns"].combine_chunks().flatten().to_numpy() / 1e6
    (start_s, before), (end_s, after) = marks
    seconds = end_s - start_s
    cpu, waited = ((after[n] - before[n]) / seconds if before and after else None for n in (0, 1))
    inside = (stamps >= start_s * 1e9) & (stamps < end_s * 1e9)
    p50, p99 = np.percentile(late_ms[inside], [50, 99])
    return Outcome(int(inside.sum()), seconds, cpu, waited, float(p50), float(p99))


def selftest() -> str:
    return str(measure())
