"""Killing `bench run` at random moments, again and again, and holding what it left against what the look-alikes saw.

A nursery process has everything imported and forks a child for each start of the program, so a start costs what the program
does and not what Python's imports do. The child is the whole program, from its arguments to its exit status. It is killed
with SIGKILL after a random time, continued with `--resume`, killed again, and so on until a start reaches its end by itself.
"""

import contextlib
import hashlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from bench.store import runs
from bench.store.recorded import recorded

ROOT = Path(__file__).parent.parent.parent
QUESTION = "How many days?"
WORKLOAD = """\
version: 1
name: kill
dataset: {type: inline, items: [{id: one, question: "%s", expected: {gold: [{type: number, value: "30"}]}}]}
messages: [{role: user, content: "{{ question }}"}]
generation: {max_tokens: 64, stream: true}
cache: {salt: request}
load: {pattern: %s, stages: [{%s, requests: %d}], warmup: {requests: 1}, timeout: 5s, retries: 0}
scoring:
  scorers:
    - {name: answer, type: facts, target: gold, required: true}
"""
LOADS = (("concurrent", "concurrency: 8", 120), ("poisson", "rate: 100", 120))
"""Pattern, size and prompts of the plans that are killed in turn: a closed and an open loop of a second or so."""
KEPT_S = 0.5
"""What finished longer than this before a kill must be on the disk: half of the second that is promised."""
LATEST_S = 1.6
"""Kills fall between the start and here: into the preparation, the load, the writing of tables, and beyond the end."""

PRELOADED = (
    "anthropic", "pandas", "uvloop", "ruamel.yaml", "jinja2", "scipy", "tenacity", "rich.table",
    "bench.cli", "bench.commands.run", "bench.conductor.runner", "bench.tabulate", "bench.report.terminal", "bench.commands.output",
    "bench.providers.anthropic", "bench.providers.foundry", "bench.score.facts", "bench.dialects.messages",
)  # fmt: skip


def nursery() -> None:
    """Reads `{"argv": [...], "kill_after_s": s}` lines; runs each in a child; says how it ended and when it was killed."""
    for name in PRELOADED:
        importlib.import_module(name)
    from bench.cli import main

    for line in sys.stdin:
        asked = json.loads(line)
        started_ns = time.monotonic_ns()
        child = os.fork()
        if child == 0:
            log = os.open("child.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            try:
                status = main(asked["argv"])
            except BaseException:
                import traceback

                traceback.print_exc()
                status = 99
            os._exit(status)
        killed_ns = None
        if asked["kill_after_s"] is not None:
            pidfd = os.pidfd_open(child)
            import select

            ended = select.select([pidfd], [], [], asked["kill_after_s"])[0]
            if not ended:
                killed_ns = time.monotonic_ns()
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        said = {
            "started_ns": started_ns,
            "killed_ns": killed_ns if killed else None,
            "status": os.waitstatus_to_exitcode(status),
        }
        print(json.dumps(said), flush=True)


@dataclass
class Kill:
    """One kill, and what the run held after it."""

    started_ns: int
    at_ns: int
    recorded: frozenset[int]
    in_flight: frozenset[int]


@dataclass
class Run:
    name: str
    planned: int
    kills: list[Kill] = field(default_factory=list)
    finished: bool = False


class Campaign:
    """Kills runs in a folder that has targets.yaml, until enough kills have hit."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.runs: list[Run] = []
        self.log = folder / "child.log"

    def go(self, kills: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", "from tests.sim.kill import nursery; nursery()"],
            cwd=self.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.process = process
        try:
            while sum(len(run.kills) for run in self.runs) < kills or not self.runs[-1].finished:
                self._start(kills)
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait()

    def _start(self, kills: int) -> None:
        if not self.runs or self.runs[-1].finished:
            pattern, size, prompts = LOADS[len(self.runs) % len(LOADS)]
            (self.folder / "kill.yaml").write_text(WORKLOAD % (QUESTION, pattern, size, prompts))
            self.runs.append(Run(f"k{len(self.runs)}", 2 * (prompts + 1)))
        run = self.runs[-1]
        named = ["--resume", run.name] if self._begun(run) else ["--run-id", run.name]
        enough = sum(len(r.kills) for r in self.runs) >= kills
        after_s = None if enough else self.random.uniform(0.0, LATEST_S)
        ended = self._ask(["run", "kill.yaml", "--no-calibrate", "--out", "results", *named], after_s)
        if ended["killed_ns"] is None:
            # 3 where the machine was too busy to keep the plan, which is then said: not what is tried here
            assert ended["status"] in (0, 3), self.log.read_text()[-4000:]
            run.finished = True
        else:
            self._observe(run, ended["started_ns"], ended["killed_ns"])

    def _ask(self, argv: list[str], after_s: float | None) -> dict:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"argv": argv, "kill_after_s": after_s}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def path(self, run: Run) -> Path:
        return next((self.folder / "results").glob(f"date=*/run={run.name}"))

    def _begun(self, run: Run) -> bool:
        """Whether there is a run to continue; a kill before the journal's head leaves a folder that holds nothing."""
        for folder in (self.folder / "results").glob(f"date=*/run={run.name}"):
            if (folder / "manifest.json").exists() or recorded(folder).facts.get("plan"):
                return True
            assert not any(kill.recorded for kill in run.kills), f"{run.name}: what was recorded is not found again"
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        return False

    def _observe(self, run: Run, started_ns: int, at_ns: int) -> None:
        with contextlib.suppress(StopIteration):
            path = self.path(run)
            found = recorded(path)
            if (path / "manifest.json").exists() and found.facts["complete"]:
                run.finished = True  # killed after the manifest: nothing is left to do
            run.kills.append(
                Kill(started_ns, at_ns, frozenset(found.seq.tolist()), frozenset(found.in_flight.tolist()))
            )
            return
        run.kills.append(Kill(started_ns, at_ns, frozenset(), frozenset()))

    # --- holding it against the truth

    def check(self, truth: Path) -> dict[str, int]:
        """Everything that was promised, for every run; returns what happened, in numbers."""
        sent = self._sent(truth)
        counts = {
            "kills": 0,
            "runs": len(self.runs),
            "lost": 0,
            "sent_again": 0,
            "after_the_load": 0,
            "kept": 0,
            "oldest_lost_ms": 0,
        }
        for run in self.runs:
            self._check_run(run, sent[run.name], counts)
        return counts

    def _sent(self, truth: Path) -> dict[str, list[dict]]:
        """What arrived at the look-alikes, by run, each with its seq and segment. Warm-ups share their words: left out."""
        known = {}
        for run in self.runs:
            for seq in range(run.planned):
                for segment in range(len(run.kills) + 2):
                    again = f".r{segment}" if segment else ""
                    words = f"[{run.name}.{seq}{again}]\n{QUESTION}"
                    known[hashlib.sha256(words.encode()).hexdigest()] = (run.name, seq, segment)
        found: dict[str, list[dict]] = {run.name: [] for run in self.runs}
        columns = ["key", "request_id", "arrived_ns", "ended_ns", "complete", "token_ns"]
        for row in pq.read_table(truth, columns=columns).to_pylist():
            if row["key"] in known:
                name, seq, segment = known[row["key"]]
                found[name].append({**row, "seq": seq, "segment": segment})
        return found

    def _check_run(self, run: Run, sent: list[dict], counts: dict[str, int]) -> None:
        folder = self.path(run)
        sealed = runs.open_run(folder)
        assert sealed.manifest["complete"] is True
        assert runs.verify_digests(sealed) == []
        rows = pq.read_table(folder / "requests.parquet", partitioning=None).to_pylist()
        for table in ("requests", "attempts", "chunks", "replies", "scores"):
            seqs = pq.read_table(folder / f"{table}.parquet", columns=["seq"], partitioning=None)["seq"].to_pylist()
            assert sorted(seqs) == list(range(run.planned)), (
                f"{run.name}: {table}: a request is missing, or is there twice"
            )
        assert {row["outcome"] for row in rows} == {"ok"}
        self._check_times(sealed.manifest["segments"], rows, {one["request_id"]: one for one in sent})
        for kill in run.kills:
            counts["kills"] += 1
            counts["after_the_load"] += len(kill.recorded) == run.planned
            again = {one["seq"] for one in sent if one["arrived_ns"] > kill.at_ns}
            assert not again & kill.recorded, (
                f"{run.name}: recorded before a kill, and sent again: {again & kill.recorded}"
            )
            mine = [one for one in sent if kill.started_ns < one["arrived_ns"] < kill.at_ns]
            old = [one for one in mine if one["complete"] and one["ended_ns"] < kill.at_ns - KEPT_S * 1e9]
            gone = {one["seq"] for one in old} - kill.recorded
            assert not gone, f"{run.name}: finished long before the kill, and lost: {gone}"
            lost = {one["seq"] for one in mine} - kill.recorded
            known = {one["seq"] for one in mine if one["arrived_ns"] < kill.at_ns - KEPT_S * 1e9}
            assert lost & known <= kill.in_flight, f"{run.name}: lost without a word"
            counts["lost"] += len(lost)
            ages = [(kill.at_ns - one["ended_ns"]) // 10**6 for one in mine if one["complete"] and one["seq"] in lost]
            counts["oldest_lost_ms"] = max([counts["oldest_lost_ms"], *ages])
            counts["kept"] += len(old)
        counts["sent_again"] += len(sent) - len({one["seq"] for one in sent})
        final = {row["seq"]: row["provider_request_id"] for row in rows}
        last: dict[int, dict] = {}
        for one in sorted(sent, key=lambda one: one["arrived_ns"]):
            last[one["seq"]] = one
        assert {seq: one["request_id"] for seq, one in last.items()}.items() <= final.items(), (
            "a row of another request"
        )

    def _check_times(self, segments: list[dict], rows: list[dict], sent: dict[str, dict]) -> None:
        """One time line: segments follow each other, no row crosses from one into another, each is true by its own anchor."""
        begins = [segment["offset_ns"] for segment in segments]
        assert begins == sorted(begins)
        for row in rows:
            n = max(i for i, begin in enumerate(begins) if begin <= row["sent_ns"])
            until = begins[n + 1] if n + 1 < len(begins) else float("inf")
            stamps = [
                row[f"{name}_ns"] for name in ("sent", "headers", "first_byte", "first_token", "last_token", "end")
            ]
            assert stamps == sorted(stamps)
            assert stamps[-1] < until
            if row["due_ns"] is not None:
                assert begins[n] < row["due_ns"] <= row["sent_ns"]
            if row["phase"] == "measure":
                arrived = sent[row["provider_request_id"]]
                assert arrived["segment"] == n
                on_the_clock = row["sent_ns"] - begins[n] + segments[n]["anchor"]["monotonic_ns"]
                assert on_the_clock <= arrived["arrived_ns"]
                assert arrived["token_ns"][0] <= on_the_clock + row["first_token_ns"] - row["sent_ns"]


def main() -> int:
    """The long form: as many kills as asked for, and what came of them."""
    import argparse
    import tempfile
    from contextlib import ExitStack

    from bench import simulate

    parser = argparse.ArgumentParser(prog="scripts/killtest", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    profile = {"ttft_ms": {"constant": 20}, "gap_ms": {"constant": 1}, "output_tokens": 12}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        doors = {"anthropic": "", "foundry": "/anthropic/"}
        given = {door: simulate.default_credentials(door) for door in doors}
        looks = [{"id": door, "door": door, "model_id": "claude-sonnet-5-5", "profile": profile, "credentials": given[door]}
                 for door in doors]  # fmt: skip
        config = {"seed": 1, "truth": str(folder / "truth.parquet"), "targets": looks}
        running = stack.enter_context(simulate.launch(config))
        targets = [
            {"id": door, "model": "claude-sonnet-5-5", "provider": door, "auth": {"env": f"KEY_{door.upper()}"},
             "base_url": f"http://127.0.0.1:{running.ports[door]}{path}",
             **({"sku": "GlobalStandard"} if door == "foundry" else {})}
            for door, path in doors.items()
        ]  # fmt: skip
        (folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": targets}))
        os.environ |= {f"KEY_{door.upper()}": next(iter(given[door].values())) for door in doors}
        campaign = Campaign(folder, options.seed)
        campaign.go(options.kills)
        running.stop()
        print(json.dumps(campaign.check(folder / "truth.parquet")))
    return 0
