"""Watching ourselves: how late the event loop runs, how long the garbage collector stops it, how busy our core is.

A loop that is late reads late and sends late. These figures say when a number is ours and not the server's.
"""

from __future__ import annotations

import asyncio
import gc
from array import array
from bisect import bisect_left, bisect_right
from typing import Any

from bench.wire.clock import _KernelTimer, _LoopTimer, cpu_ns, now_ns, precise_timer

_BLOCK = 64
"""Samples per block of the coarse maxima: a long request looks at blocks, not at every sample."""


BEAT_NS = 10_000_000
"""Time between two samples. A block that begins just after one is seen shorter than it was by up to this much."""


class LagMonitor:
    """Samples the loop's lag on a steady beat: the time between when the beat was due and when the loop came to it.

    A beat that the loop missed altogether counts from when it was first due, so a block of 50 ms reads as about 50 ms.
    Cost: one timer event per beat, about 5 µs of work; where the loop would else have slept, also one wake-up of the
    process, which some machines take 60 µs for (0.6 % of a core at the default 10 ms).
    """

    def __init__(self, interval_ms: float = BEAT_NS / 1e6, cpu_every: int = 10) -> None:
        self._interval_ns = round(interval_ms * 1e6)
        self._cpu_every = cpu_every
        self._due_ns = array("q")  # of each sample: when the loop should have come
        self._at_ns = array("q")  # and when it came
        self._lag_ns = array("q")
        self._block_max_ns = array("q")
        self._cpu_at_ns = array("q")
        self._cpu_ns = array("q")
        self._gc_started_ns = 0
        self._gc_pauses_ns = array("q")
        self._next_ns = 0
        self._timer: _KernelTimer | _LoopTimer | None = None

    def start(self) -> None:
        """Begin sampling in the running loop."""
        if self._timer is not None:
            return
        self._timer = precise_timer(asyncio.get_running_loop(), self._beat)
        self._next_ns = now_ns() + self._interval_ns
        self._timer.set(self._next_ns, self._interval_ns)
        self._sample_cpu(now_ns())
        gc.callbacks.append(self._on_gc)

    def stop(self) -> None:
        """End sampling; what was sampled can still be asked for."""
        if self._timer is None:
            return
        self._timer.close()
        self._timer = None
        self._sample_cpu(now_ns())
        gc.callbacks.remove(self._on_gc)

    def _beat(self) -> None:
        now, due = now_ns(), self._next_ns
        if now < due:  # a beat that a busy loop answered already
            return
        lag = now - due
        if len(self._lag_ns) % _BLOCK == 0:
            self._block_max_ns.append(lag)
        elif lag > self._block_max_ns[-1]:
            self._block_max_ns[-1] = lag
        self._due_ns.append(due)
        self._at_ns.append(now)
        self._lag_ns.append(lag)
        self._next_ns = due + (lag // self._interval_ns + 1) * self._interval_ns
        if len(self._lag_ns) % self._cpu_every == 0:
            self._sample_cpu(now)

    def _sample_cpu(self, now: int) -> None:
        self._cpu_at_ns.append(now)
        self._cpu_ns.append(cpu_ns())

    def _on_gc(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_started_ns = now_ns()
        elif self._gc_started_ns:
            self._gc_pauses_ns.append(now_ns() - self._gc_started_ns)
            self._gc_started_ns = 0

    def max_between(self, start_ns: int, end_ns: int) -> int:
        """The largest lag that touched the time from `start_ns` to `end_ns`, in ns; 0 when no beat fell into it.

        A beat that is overdue at this very moment counts with the lateness it has reached.
        """
        low = bisect_left(self._at_ns, start_ns)
        high = bisect_right(self._due_ns, end_ns)
        worst = 0
        if self._timer is not None and self._next_ns <= end_ns:
            worst = max(0, now_ns() - self._next_ns)
        if low >= high:
            return worst
        first, last = -(-low // _BLOCK), high // _BLOCK  # whole blocks inside
        if first >= last:
            return max(worst, *self._lag_ns[low:high])
        edges = self._lag_ns[low : first * _BLOCK] + self._lag_ns[last * _BLOCK : high]
        return max(worst, *self._block_max_ns[first:last], *edges)

    def quantiles(self) -> dict[str, int | None]:
        """Lag over the whole time in ns: p50, p90, p99, max, and the number of samples. `None` without samples."""
        ranked = sorted(self._lag_ns)
        n = len(ranked)

        def at(q: float) -> int | None:
            return ranked[min(n - 1, int(q * n))] if n else None

        return {"p50": at(0.50), "p90": at(0.90), "p99": at(0.99), "max": at(1.0), "n": n}

    def gc_pauses(self) -> dict[str, int]:
        """Stops by the garbage collector: how many, their sum and the longest, in ns."""
        return {
            "n": len(self._gc_pauses_ns),
            "total_ns": sum(self._gc_pauses_ns),
            "max_ns": max(self._gc_pauses_ns, default=0),
        }

    def cpu_share(self, start_ns: int | None = None, end_ns: int | None = None) -> float | None:
        """CPU time of this process ÷ time, 1.0 being one core, over the samples from `start_ns` to `end_ns`.

        `None` when fewer than two samples (about 0.1 s apart) fall into that time.
        """
        low = 0 if start_ns is None else max(0, bisect_right(self._cpu_at_ns, start_ns) - 1)
        high = len(self._cpu_at_ns) if end_ns is None else bisect_right(self._cpu_at_ns, end_ns)
        if high - low < 2:
            return None
        spent = self._cpu_ns[high - 1] - self._cpu_ns[low]
        return spent / max(1, self._cpu_at_ns[high - 1] - self._cpu_at_ns[low])

    def cpu_share_max(self) -> float | None:
        """The largest CPU share between two neighbouring samples; `None` when there are fewer than two."""
        at, spent = self._cpu_at_ns, self._cpu_ns
        shares = [
            (spent[i] - spent[i - 1]) / (at[i] - at[i - 1])
            for i in range(1, len(at))
            if at[i] - at[i - 1] >= self._interval_ns  # the last sample may follow its neighbour closely
        ]
        return max(shares, default=None)

    def facts(self) -> dict[str, Any]:
        """All of it, for the manifest."""
        return {
            "interval_ns": self._interval_ns,
            "lag_ns": self.quantiles(),
            "gc": self.gc_pauses(),
            "cpu_share": self.cpu_share(),
            "cpu_share_max": self.cpu_share_max(),
        }
