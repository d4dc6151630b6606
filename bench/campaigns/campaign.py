"""A campaign: one workload run again and again at times that were drawn, written down and hashed before the first request.

    results/campaigns/NAME/campaign.json     the plan: every block's start and seed, what is run, the digest of it all
    results/campaigns/NAME/log.jsonl         what became of each block: begun, ended, cut, missed, failed; only appended to

Starts are a stratified random draw: the days of the period share the blocks evenly, each day is cut into as many equal
strata as it has blocks, and each stratum holds one start, uniform in it. Every block is a run of its own. A block that
cannot start within `grace` of its time is missed: it is never moved.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from bench.conductor.preflight import Options
from bench.errors import CannotRun, ConfigError, Problem
from bench.store.disk import atomic, locked, next_step
from bench.wire.calendar import utc
from bench.yamlfile import parse_duration_ns

FOLDER, PLAN, LOG = "campaigns", "campaign.json", "log.jsonl"
SCHEMA = 1
DAY_NS = 86_400 * 10**9
GRACE_NS = 15 * 60 * 10**9
"""How late a block may start, unless --grace says: one block that runs over, one round of a timer."""
MOST_BLOCKS = 10_000
_MOST_REASONS = 6
"""Reasons for missing blocks that are listed; `bench plan --campaign` has them all."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_NOT_KEPT = ("run_id", "resume", "seed", "max_usd", "campaign", "out", "command")
"""Options that belong to one run, or to the campaign itself."""


@dataclass(frozen=True, slots=True)
class Block:
    """One planned run: its number from 1, its stratum, its start within it, and the seed of its own plan."""

    n: int
    from_ns: int
    to_ns: int
    start_ns: int
    seed: int


def draw(blocks: int, begins_ns: int, length_ns: int, seed: int) -> tuple[Block, ...]:
    """The starts of the blocks, in order; wall time. A pure function of its arguments.

    A period of whole days shares the blocks out over them as evenly as can be, the odd ones to days that are drawn; any
    other period is one stretch.
    """
    rng = random.Random(f"{seed}:campaign")
    days = length_ns // DAY_NS if length_ns % DAY_NS == 0 else 1
    if blocks < days:
        days = 1
    counts = [blocks // days] * days
    for day in rng.sample(range(days), blocks % days):
        counts[day] += 1
    made: list[Block] = []
    for day, count in enumerate(counts):
        first, last = begins_ns + length_ns * day // days, begins_ns + length_ns * (day + 1) // days
        for i in range(count):
            low, high = first + (last - first) * i // count, first + (last - first) * (i + 1) // count
            n = len(made) + 1
            made.append(Block(n, low, high, rng.randrange(low, max(low + 1, high)), _seed(seed, n)))
    return tuple(made)


def _seed(seed: int, block: int) -> int:
    """Each block has its own: the same seed would ask the same cases in the same order every time."""
    return int.from_bytes(hashlib.sha256(f"{seed}:block:{block}".encode()).digest()[:4], "big")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A published campaign. `facts` is the whole of campaign.json."""

    folder: Path
    facts: Mapping[str, Any]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def results(self) -> Path:
        return self.folder.parent.parent

    @property
    def grace_ns(self) -> int:
        return int(self.facts["grace_ns"])

    @property
    def limit_usd(self) -> Decimal | None:
        limit = self.facts["max_usd"]
        return None if limit is None else Decimal(limit)

    @property
    def simulated(self) -> bool:
        return bool(self.facts["simulated"])

    def run_id(self, block: Block) -> str:
        name = f"{self.name}-b{block.n:0{len(str(len(self.blocks)))}d}"
        return f"simulated-{name}" if self.simulated and not name.startswith("simulated-") else name

    def options(self, block: Block, late_ns: int, left_usd: Decimal | None) -> Options:
        """What `bench run` is asked for this block."""
        base = options_of(self.facts["options"], self.results)
        named = {
            "name": self.name,
            "digest": self.facts["digest"],
            "block": block.n,
            "blocks": len(self.blocks),
            "due": utc(block.start_ns),
            "due_unix_ns": block.start_ns,
            "late_ms": late_ns // 10**6,
        }
        command = f"{self.facts['block_command']} --seed {block.seed}"
        own = self.facts["run_max_usd"]
        limits = [limit for limit in (left_usd, None if own is None else Decimal(own)) if limit is not None]
        return dataclasses.replace(
            base,
            run_id=self.run_id(block),
            seed=block.seed,
            max_usd=min(limits, default=None),
            campaign=named,
            command=command,
        )


def options_of(kept: Mapping[str, Any], results: Path) -> Options:
    made = {
        **kept,
        "workload": Path(kept["workload"]),
        "targets": None if kept["targets"] is None else Path(kept["targets"]),
        "only": tuple(kept["only"]),
        "labels": tuple((key, value) for key, value in kept["labels"]),
    }
    return Options(**made, out=results)


def kept_options(options: Options) -> dict[str, Any]:
    """The options that every block shares, as they stand in campaign.json."""
    kept = {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name not in _NOT_KEPT}
    plain: dict[str, Any] = orjson.loads(orjson.dumps(kept, default=str))
    return plain


def period_ns(text: str, flag: str) -> int:
    """`7d`, `36h`, `90s` as nanoseconds. Raises ConfigError."""
    try:
        days = re.fullmatch(r"\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*d\s*", text)
        ns = int(Decimal(days[1]) * DAY_NS) if days else parse_duration_ns(text)
    except ValueError:
        ns = 0
    if not 0 < ns <= 366 * DAY_NS:
        raise ConfigError([Problem("command line", flag, text, "a time of up to 366 days, e.g. 7d or 36h")])
    return ns


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        want = "letters, digits, dots, dashes and underscores, at most 60, e.g. week-48"
        raise ConfigError([Problem("command line", "--campaign", name, want)])


def publish(facts: Mapping[str, Any], blocks: Sequence[Block], folder: Path) -> Campaign:
    """Writes the plan with its digest. Raises CannotRun when the name is taken or the disk refuses."""
    told = {
        **facts,
        "schema_version": SCHEMA,
        "blocks": [
            {**dataclasses.asdict(block), "start": utc(block.start_ns)} for block in blocks
        ],
    }  # fmt: skip
    plain: dict[str, Any] = orjson.loads(orjson.dumps(told, default=str))
    plain["digest"] = digest(plain)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise CannotRun(
            f"{folder}: that campaign exists",
            f"go on with it: bench run --campaign {folder.name} --resume; or give another name",
        ) from error
    except OSError as error:
        raise CannotRun(f"{folder}: cannot write: {error.strerror or error}", next_step(error)) from error
    (folder / LOG).touch()
    with atomic(folder / PLAN) as temporary:
        temporary.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return opened(folder.name, folder.parent.parent)


def digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of the plan without its digest: keys sorted, no spaces."""
    rest = {key: value for key, value in facts.items() if key != "digest"}
    return hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def folder_of(name: str, results: Path) -> Path:
    return results / FOLDER / name


def opened(name: str, results: Path) -> Campaign:
    """A published campaign. Raises CannotRun when there is none, or when it is not what was published."""
    check_name(name)
    folder = folder_of(name, results)
    try:
        facts = orjson.loads((folder / PLAN).read_bytes())
        blocks = tuple(Block(**{f.name: one[f.name] for f in dataclasses.fields(Block)}) for one in facts["blocks"])
    except FileNotFoundError as error:
        there = sorted(path.parent.name for path in results.glob(f"{FOLDER}/*/{PLAN}"))
        hint = f"there are: {', '.join(there)}" if there else "begin one: bench run WORKLOAD --blocks 48 --over 7d"
        raise CannotRun(f"{results}: no campaign {name!r}", hint) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotRun(
            f"{folder / PLAN}: cannot read: {error}", "restore the file, or begin another campaign"
        ) from error
    if facts.get("schema_version", 0) > SCHEMA:
        raise CannotRun(f"{folder / PLAN}: written by a newer bench", "upgrade bench: pip install --upgrade bench")
    if digest(facts) != facts.get("digest"):
        raise CannotRun(
            f"{folder / PLAN}: changed since it was published", "restore the file, or begin another campaign"
        )
    return Campaign(folder, facts, blocks)


@contextmanager
def conducting(campaign: Campaign) -> Iterator[None]:
    """Held by the one process that carries the campaign out. Raises CannotRun when another one does."""
    with locked(campaign.folder / PLAN):
        yield


# the log -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a block. `state`: to come, begun, done (its plan was sent to the end), cut, missed or failed."""

    state: str = "to come"
    reason: str = ""
    run_id: str | None = None
    spent_usd: Decimal = Decimal(0)
    late_ms: int | None = None
    invalid: bool = False
    at: str = ""

    @property
    def settled(self) -> bool:
        return self.state not in ("to come", "begun")


@dataclass(frozen=True, slots=True)
class Log:
    """Every block's fate, by number."""

    fates: Mapping[int, Fate] = field(default_factory=dict)

    def of(self, block: Block) -> Fate:
        return self.fates.get(block.n, Fate())

    def count(self, state: str) -> int:
        return sum(fate.state == state for fate in self.fates.values())

    @property
    def spent_usd(self) -> Decimal:
        return sum((fate.spent_usd for fate in self.fates.values()), Decimal(0))

    def run_ids(self) -> list[str]:
        """Runs that were begun, in the order of their blocks."""
        return [fate.run_id for _, fate in sorted(self.fates.items()) if fate.run_id is not None]


def append(campaign: Campaign, block: Block, fate: Fate) -> None:
    """One line, on the disk when this returns; a line that a crash tore off is closed first. Raises CannotRun."""
    line = orjson.dumps({"block": block.n, **dataclasses.asdict(fate)}, default=str, option=orjson.OPT_APPEND_NEWLINE)
    path = campaign.folder / LOG
    try:
        before = path.read_bytes() if path.exists() else b""
        torn = before and not before.endswith(b"\n")
        with path.open("ab") as file:
            file.write(b"\n" + line if torn else line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CannotRun(f"{path}: cannot write: {error.strerror or error}", next_step(error)) from error


def read_log(campaign: Campaign) -> Log:
    """The last word on every block. A line that a crash tore off says nothing."""
    fates: dict[int, Fate] = {}
    path = campaign.folder / LOG
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            said = orjson.loads(line)
            number = said.pop("block")
            fates[number] = Fate(**{**said, "spent_usd": Decimal(said["spent_usd"])})
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return Log(fates)


def words(campaign: Campaign, log: Log, limit_usd: Decimal | None) -> str:
    """The status in one line, for people."""
    parts = [f"{log.count('done')} of {len(campaign.blocks)} blocks done"]
    parts += [f"{n} {state}" for state in ("cut", "missed", "failed") if (n := log.count(state))]
    spent = f"${log.spent_usd:.2f} spent" + ("" if limit_usd is None else f" of ${limit_usd}")
    return ", ".join([*parts, spent])


def gaps(campaign: Campaign, log: Log) -> tuple[list[str], list[str]]:
    """What a table of the campaign's runs must say of the others: (what puts its figures in doubt, what is missing and why)."""
    begun = [block for block in campaign.blocks if log.of(block).state == "begun"]
    to_come = sum(log.of(block).state == "to come" for block in campaign.blocks)
    alarms, notes = [], [
        f"campaign {campaign.name}, published {campaign.facts['published']}, sha256 {campaign.facts['digest']}: "
        + words(campaign, log, None)
        + (f", {len(begun)} under way and not in the table" if begun else "")
        + (f", {to_come} to come" if to_come else "")
    ]  # fmt: skip
    if begun or to_come:
        alarms.append(
            "the campaign is not over: verdicts that are looked at before its end err more often than they say"
        )
    fates = [(block.n, log.of(block)) for block in campaign.blocks]
    lost = [(n, fate) for n, fate in fates if fate.state in ("missed", "failed")]
    if lost:
        alarms.append(
            f"{len(lost)} of {len(campaign.blocks)} blocks are missing: the figures are of the other times, and too kind if what "
            "stopped a block has to do with a target"
        )
    for word in ("cut", "missed", "failed"):
        notes += [
            f"{word}: {told}"
            for told in [_listed([(n, fate.reason) for n, fate in fates if fate.state == word])]
            if told
        ]
    invalid = _listed([(n, fate.reason) for n, fate in fates if fate.invalid])
    return alarms, notes + ([f"ran, but not validly: {invalid}"] if invalid else [])


def _listed(blocks: Sequence[tuple[int, str]]) -> str:
    """Blocks by their reason; of many reasons the first ones."""
    by_reason: dict[str, list[int]] = {}
    for n, reason in blocks:
        by_reason.setdefault(reason, []).append(n)
    said = [
        f"block {', '.join(map(str, numbers))}{f' ({reason})' if reason else ''}"
        for reason, numbers in by_reason.items()
    ]
    return "; ".join(said[:_MOST_REASONS]) + (
        f"; and {len(said) - _MOST_REASONS} more" if len(said) > _MOST_REASONS else ""
    )
