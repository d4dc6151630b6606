"""A month of nights through the real program: runs against look-alikes, each judged by the gate when it has ended.

Every night has a level of its own (5 % from night to night) at every target. From one night on, one target's first token comes
later, and stays late. Runs are dated one day apart; nothing else is made up: plan, wire, rows, statistics and verdicts are the program's.

    scripts/thirty-nights [--nights 30] [--from-night 25] [--shift 1.5] [--requests 60] [--keep DIR]
"""

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.conductor import runner
from bench.conductor.preflight import Options
from bench.nightly.gate import GateResult
from bench.nightly.gating import Wanted, gate
from bench.wire.clock import Anchor

DAY_NS = 86_400 * 10**9
FIRST_NS = 1_790_812_800 * 10**9
"""2026-10-01T00:00:00Z."""
HOUR_NS = 3600 * 10**9
MOST_TRIES = 6
"""A run that is no measurement (this machine was too busy) is made again, as a nightly job would do."""
NIGHT_SD = 0.05
TARGETS = """\
version: 1
targets:
  - {id: steady, model: claude-sonnet-5-5, provider: anthropic}
  - {id: shifty, model: claude-sonnet-5-5, provider: vertex, region: us-east5, project: p1}
"""
WORKLOAD = """\
version: 1
name: nightly
title: A nightly look
dataset:
  type: inline
  items:
    - {id: one, question: "How many days?", answers: {right: ["30 days"], wrong: ["Nobody knows."]}, expected: {gold: [{type: number, value: "30", unit: days}], answerable: true}}
    - {id: two, question: "How many euros?", answers: {right: ["40 euros"], wrong: ["Nobody knows."]}, expected: {gold: [{type: number, value: "40", unit: euros}], answerable: true}}
    - {id: three, question: "Who signs?", answers: {right: ["Lena Okafor signs."], wrong: ["Nobody knows."]}, expected: {gold: [{type: name, value: "Lena Okafor"}], answerable: true}}
    - {id: four, question: "Which site?", answers: {right: ["The site at Aarhus."], wrong: ["Nobody knows."]}, expected: {gold: [{type: name, value: "Aarhus"}], answerable: true}}
messages:
  - {role: user, content: "{{ question }}"}
generation: {max_tokens: 64, stream: true}
load: {pattern: concurrent, stages: [{concurrency: 4, requests: %d}], warmup: {requests: 4}, timeout: 5s, retries: 0}
scoring:
  scorers:
    - {name: answer, type: facts, target: gold, required: true}
"""


@dataclass(frozen=True)
class Month:
    """What is tried: so many nights, and from which one on (counted from 1) the first token of `target` takes `shift` times as long."""

    nights: int = 30
    from_night: int = 25
    shift: float = 1.5
    requests: int = 60
    target: str = "shifty"
    seed: int = 1
    calibrate: bool = True


def profiles(month: Month, night: int) -> dict[str, dict[str, object]]:
    """How the look-alikes behave on a night: fast, with a level of its own; the shift on top."""
    found: dict[str, dict[str, object]] = {}
    for target in ("steady", "shifty"):
        level = math.exp(random.Random(f"{month.seed}:{target}:{night}").gauss(0, NIGHT_SD))
        if target == month.target and night >= month.from_night:
            level *= month.shift
        found[target] = {
            "ttft_ms": {"p50": 150 * level, "p90": 210 * level},
            "gap_ms": {"constant": 5},
            "output_tokens": 8,
        }
    return found


def play(month: Month, folder: Path, say: Callable[[str], None], first: int = 1) -> list[tuple[int, GateResult]]:
    """Runs and judges every night from the `first` on; returns each with its number."""
    told = []
    (folder / "nightly.yaml").write_text(WORKLOAD % month.requests, encoding="utf-8")
    (folder / "targets.yaml").write_text(TARGETS, encoding="utf-8")
    results = folder / "results"
    for night in range(first, month.nights + 1):
        for attempt in range(1, MOST_TRIES + 1):
            name = f"night-{night:02d}-{attempt}"
            options = Options(
                workload=folder / "nightly.yaml", targets=folder / "targets.yaml", simulate=True, out=results,
                run_id=name, seed=month.seed * 1000 + night, calibrate=month.calibrate,
                profiles=profiles(month, night),
            )  # fmt: skip
            wall_ns = FIRST_NS + (night - 1) * DAY_NS + attempt * HOUR_NS
            runner.run(options, lambda _: None, Anchor(Anchor.take().monotonic_ns, wall_ns))
            result = gate(Wanted(f"simulated-{name}", history=results), say)
            say(f"night {night:2d}  {result.verdict:<12} {result.sentence}")
            if result.verdict != "invalid":
                break
        told.append((night, result))
    return told


def wrong(month: Month, told: Sequence[tuple[int, GateResult]]) -> list[str]:
    """What is not as it must be: a regression of another target or of an earlier night, or a shifted night without one."""
    found = []
    for night, result in told:
        called = {row.target for row in result.of("regression")}
        due = {month.target} if night >= month.from_night else set()
        if called != due:
            found.append(f"night {night}: called {sorted(called) or 'nothing'}, due {sorted(due) or 'nothing'}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--from-night", type=int, default=25)
    parser.add_argument("--shift", type=float, default=1.5)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the runs; else they are removed")
    given = parser.parse_args()
    month = Month(given.nights, given.from_night, given.shift, given.requests, seed=given.seed)
    with tempfile.TemporaryDirectory(prefix="thirty-nights-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = wrong(month, play(month, folder, print))
    print("\n".join(found) if found else f"Only {month.target}, and only from night {month.from_night} on.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
