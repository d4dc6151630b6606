"""What people see while a run goes on, on standard error.

In a terminal the display is drawn by a process of its own, fed through a pipe: drawing takes milliseconds, and the loop that
measures must not pay them. Elsewhere there is a plain line now and then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any

from bench.redact import harmless

PLAIN_EVERY = 20
"""Snapshots come twice a second; outside a terminal one in this many is printed."""


class Progress:
    def __init__(self, painter: IO[str] | None) -> None:
        self._painter = painter
        self._count = 0

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Progress]:
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield cls(None)
            return
        child = subprocess.Popen(
            [sys.executable, "-m", "bench.commands.progress"],
            stdin=subprocess.PIPE,
            text=True,
            env=harmless(os.environ),
        )
        assert child.stdin is not None
        try:
            yield cls(child.stdin)
        finally:
            try:
                child.stdin.close()
            except BrokenPipeError:
                pass
            child.wait()

    def show(self, message: Mapping[str, Any]) -> None:
        if self._painter is not None:
            try:
                self._painter.write(json.dumps(message) + "\n")
                self._painter.flush()
            except (BrokenPipeError, ValueError):
                self._painter = None
            return
        if "say" in message:
            print(message["say"], file=sys.stderr, flush=True)
            return
        self._count += 1
        if self._count % PLAIN_EVERY == 0:
            print(plain_line(message), file=sys.stderr, flush=True)


def plain_line(message: Mapping[str, Any]) -> str:
    parts = []
    for name, lamp in message["targets"].items():
        failed = f", {lamp['failed']} failed" if lamp["failed"] else ""
        parts.append(f"{name} {lamp['done']}/{lamp['planned']}{failed}")
    return f"{_clock(message.get('elapsed_s'))} " + " | ".join(parts)


def _clock(seconds: float | None) -> str:
    return "--:--" if seconds is None else f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def _drawn(message: Mapping[str, Any]) -> Any:
    from rich.table import Table

    left = message.get("left_s")
    title = f"{_clock(message.get('elapsed_s'))} elapsed" + (
        "" if left is None else f", about {_clock(max(0.0, left))} left"
    )
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("target", no_wrap=True, overflow="ellipsis", max_width=28)
    for name in ("done", "in flight", "failed", "retries", "TTFT p50", "p99 so far", "spent"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, lamp in message["targets"].items():
        table.add_row(
            name,
            f"{lamp['done']}/{lamp['planned']}",
            str(lamp["in_flight"]),
            f"[red]{lamp['failed']}[/red]" if lamp["failed"] else "0",
            str(lamp["retries"]),
            _ms(lamp["ttft_p50_ms"]),
            _ms(lamp["ttft_p99_ms"]),
            f"${Decimal(str(lamp['spent_usd'])):.2f}",
        )
    return table


def paint(lines: Iterator[str]) -> None:
    """Draws every snapshot until the lines end. Ctrl-C belongs to the process that measures."""
    from rich.console import Console
    from rich.live import Live

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for line in lines:
            message = json.loads(line)
            if "say" in message:
                console.print(message["say"], markup=False, highlight=False)
            else:
                live.update(_drawn(message), refresh=True)


if __name__ == "__main__":
    paint(iter(sys.stdin.readline, ""))
