"""The plan: who is asked what, in which order and when, fixed before the first byte is sent.

Randomised complete blocks over targets: every prompt goes to every target, the order of the targets is permuted per prompt by
Williams squares (each target follows each other target equally often, so that what one leaves behind is shared out evenly).
A pure function of its arguments and the seed; the digest covers every column.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.record import Request

MAX_BLOCKS = 48
PROMPTS_PER_BLOCK = 4
NO_DUE = -1
"""In the `due_ns` column of a plan: sent as soon as there is a free slot, or when the turn before has ended."""
NONE = -1
"""In the other columns of a plan: does not apply."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One schedule of prompts: how many, and when each send is due (`None` in a closed loop).

    Interleaved, `due_ns` holds one time per prompt and target, in order; in lanes, one per prompt, the same for every target.
    `stages` are the prompts of each stage (all in one, when empty), `levels` the values that a sweep gives the stages.
    """

    prompts: int
    due_ns: NDArray[np.int64] | None
    stages: tuple[int, ...] = ()
    levels: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Sessions:
    """Cases that follow each other: the turns of each session as indices of the cases, and the pauses between them."""

    turns: Sequence[range]
    think_ns: Callable[[int], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every planned request, as columns of equal length in the order of sending. `seq` is the row number."""

    case_ids: tuple[str, ...]
    target_ids: tuple[str, ...]
    seed: int
    arrangement: str
    block: NDArray[np.int32]
    case: NDArray[np.int32]
    target: NDArray[np.int16]
    repeat: NDArray[np.int32]
    warmup: NDArray[np.bool_]
    due_ns: NDArray[np.int64]
    stage: NDArray[np.int32]
    session: NDArray[np.int32]
    turn: NDArray[np.int32]
    think_ns: NDArray[np.int64]
    levels: tuple[float | None, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.case)

    def request(self, seq: int) -> Request:
        due, stage, session = int(self.due_ns[seq]), int(self.stage[seq]), int(self.session[seq])
        turn, think_ns = int(self.turn[seq]), int(self.think_ns[seq])
        return Request(
            seq=seq,
            block_id=int(self.block[seq]),
            case_id=self.case_ids[self.case[seq]],
            target_id=self.target_ids[self.target[seq]],
            repeat=int(self.repeat[seq]),
            phase="warmup" if self.warmup[seq] else "measure",
            due_ns=None if due == NO_DUE else due,
            stage=None if stage == NONE else stage,
            level=None if stage == NONE else self.levels[stage],
            session_id=None if session == NONE else session,
            turn=None if turn == NONE else turn,
            think_ns=None if think_ns == NONE else think_ns,
        )

    def next_turn(self, seq: int) -> Request | None:
        """The request that follows `seq` in its session; None after the last turn, and outside sessions."""
        after = seq + 1
        if self.session[seq] == NONE or after == len(self) or self.session[after] != self.session[seq]:
            return None
        return self.request(after)

    def starts(self, stage: int) -> NDArray[np.int64]:
        """The requests of a stage that wait for no other one, in order: all but the later turns of sessions."""
        found: NDArray[np.int64] = np.flatnonzero((self.stage == stage) & (self.turn <= 1))
        return found

    def of_stages(self, stages: range) -> NDArray[np.int64]:
        """All requests of some stages that follow each other, in order."""
        found: NDArray[np.int64] = np.flatnonzero((self.stage >= stages.start) & (self.stage < stages.stop))
        return found

    def by_target(self, seqs: NDArray[np.int64]) -> dict[str, int]:
        """How many of these requests go to each target."""
        counts = np.bincount(self.target[seqs], minlength=len(self.target_ids))
        return {target_id: int(n) for target_id, n in zip(self.target_ids, counts, strict=True)}

    def prompt_of(self, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The prompt of each request: one number for all targets of a prompt, and for all turns of a session."""
        session = self.session[seqs].astype(np.int64)
        prompts: NDArray[np.int64] = np.where(session == NONE, seqs, session) // len(self.target_ids)
        return prompts

    def rows(self, run_id: str) -> Iterator[dict[str, Any]]:
        """The rows of schedule.parquet."""
        for seq in range(len(self)):
            request = self.request(seq)
            yield {
                "run_id": run_id,
                "seq": seq,
                "target": request.target_id,
                "block_id": request.block_id,
                "case_id": request.case_id,
                "repeat": request.repeat,
                "phase": request.phase,
                "due_ns": request.due_ns,
                "stage": request.stage,
                "level": request.level,
                "session_id": request.session_id,
                "turn": request.turn,
                "think_ns": request.think_ns,
            }

    def measured(self) -> int:
        return int(np.count_nonzero(~self.warmup))


def build(
    case_ids: Sequence[str],
    target_ids: Sequence[str],
    stream: Stream,
    *,
    arrangement: str,
    warmup: int,
    seed: int,
    sessions: Sessions | None = None,
) -> Plan:
    """The plan of `stream.prompts` prompts to every target, after `warmup` prompts each that are not measured.

    Prompts walk through the cases in seeded permutations, so that every case is sent equally often (±1). With `sessions` a
    prompt is a whole session: its turns stand side by side, with the same pauses for every target.
    """
    n_targets = len(target_ids)
    rng = random.Random(f"{seed}:plan")
    units = len(sessions.turns) if sessions else len(case_ids)
    walk = _walk(units, stream.prompts, rng)
    orders = np.array(_orders(n_targets, stream.prompts, rng), dtype=np.int16).reshape(stream.prompts, n_targets)
    stages = stream.stages or (stream.prompts,)
    levels = stream.levels or (None,) * len(stages)
    if stream.due_ns is None:
        due = np.full(len(walk) * n_targets, NO_DUE, dtype=np.int64)
    elif arrangement == "lanes":
        due = np.repeat(stream.due_ns, n_targets)
    else:
        due = stream.due_ns.astype(np.int64)
    sent: dict[str, NDArray[Any]] = {
        "block": np.repeat(_blocks(stages, levels), n_targets),
        "case": np.repeat(walk, n_targets),
        "target": orders.ravel(),
        "repeat": np.repeat(np.arange(stream.prompts, dtype=np.int32) // max(1, units), n_targets),
        "due_ns": due,
        "stage": np.repeat(np.repeat(np.arange(len(stages), dtype=np.int32), stages), n_targets),
        "session": np.full(len(due), NONE, dtype=np.int32),
        "turn": np.full(len(due), NONE, dtype=np.int32),
        "think_ns": np.full(len(due), NONE, dtype=np.int64),
    }
    if sessions:
        sent = _with_turns(sent, sessions, n_targets)

    first_cases = [turns[0] for turns in sessions.turns] if sessions else list(range(len(case_ids)))
    warm_cases = np.array([first_cases[rng.randrange(units)] for _ in range(warmup)], dtype=np.int32)
    warm_orders = np.array(_orders(n_targets, warmup, rng), dtype=np.int16).reshape(warmup, n_targets).ravel()
    warm: dict[str, NDArray[Any]] = {
        "case": np.repeat(warm_cases, n_targets),
        "target": warm_orders,
        "repeat": np.zeros(len(warm_orders)),
    }
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([warm.get(name, np.full(len(warm_orders), NONE)).astype(values.dtype), values])
        for name, values in sent.items()
    }
    columns["warmup"] = np.arange(len(columns["case"])) < len(warm_orders)
    return Plan(
        case_ids=tuple(case_ids),
        target_ids=tuple(target_ids),
        seed=seed,
        arrangement=arrangement,
        levels=levels,
        digest=_digest(case_ids, target_ids, seed, arrangement, levels, columns),
        **columns,
    )


def _with_turns(sent: dict[str, NDArray[Any]], sessions: Sessions, n_targets: int) -> dict[str, NDArray[Any]]:
    """Every session, so far one row, as its turns: only the first has a due time, each other one a pause before it."""
    first_case = np.array([turns.start for turns in sessions.turns])
    n_turns = np.array([len(turns) for turns in sessions.turns])
    walk = sent["case"]
    of = np.repeat(np.arange(len(walk)), n_turns[walk])  # the session of each turn
    begins = np.cumsum(n_turns[walk]) - n_turns[walk]
    turn = np.arange(len(of)) - begins[of]
    out = {name: values[of] for name, values in sent.items()}
    out["case"] = (first_case[walk][of] + turn).astype(np.int32)
    out["session"] = of.astype(np.int32)
    out["turn"] = (turn + 1).astype(np.int32)
    out["due_ns"] = np.where(turn == 0, out["due_ns"], NO_DUE)
    # One pause for every later turn of a prompt, shared by its targets, so that they are asked alike.
    prompts = walk[::n_targets]
    before = np.cumsum(n_turns[prompts] - 1) - (n_turns[prompts] - 1)
    pauses = sessions.think_ns(int((n_turns[prompts] - 1).sum()))
    at = before[of // n_targets] + turn - 1
    out["think_ns"] = np.where(turn == 0, NONE, pauses[at] if len(pauses) else NONE)
    return out


def extended(plan: Plan, more: Plan) -> Plan:
    """`plan` with the rows of `more` behind its own, as a further stage: a level of a sweep that is added while it runs.

    `more` was built for the same cases and targets, without warm-up. The digest covers all rows.
    """
    names = ("block", "case", "target", "repeat", "warmup", "due_ns", "stage", "session", "turn", "think_ns")
    shift = {
        "stage": len(plan.levels),
        "block": int(plan.block.max(initial=NONE)) + 1,
        "repeat": int(plan.repeat.max(initial=NONE)) + 1,
    }
    columns = {
        name: np.concatenate(
            [(own := getattr(plan, name)), (getattr(more, name) + shift.get(name, 0)).astype(own.dtype)]
        )
        for name in names
    }
    levels = (*plan.levels, *more.levels)
    return Plan(
        case_ids=plan.case_ids,
        target_ids=plan.target_ids,
        seed=plan.seed,
        arrangement=plan.arrangement,
        levels=levels,
        digest=_digest(plan.case_ids, plan.target_ids, plan.seed, plan.arrangement, levels, columns),
        **columns,
    )


def _walk(n_cases: int, n: int, rng: random.Random) -> NDArray[np.int32]:
    """`n` case indices: one seeded permutation of all cases after another."""
    out: list[int] = []
    while len(out) < n:
        order = list(range(n_cases))
        rng.shuffle(order)
        out.extend(order)
    return np.array(out[:n], dtype=np.int32)


def _orders(n_targets: int, n: int, rng: random.Random) -> list[list[int]]:
    """`n` permutations of the targets, drawn from randomly relabelled Williams squares until there are enough."""
    rows: list[list[int]] = []
    while len(rows) < n:
        labels = list(range(n_targets))
        rng.shuffle(labels)
        square = [[labels[i] for i in row] for row in williams(n_targets)]
        rng.shuffle(square)
        rows.extend(square)
    return rows[:n]


def williams(n: int) -> list[list[int]]:
    """A Williams design: rows are orders of `n` treatments in which each follows each other equally often.

    `n` rows for an even `n`, `2n` for an odd one (Williams 1949).
    """
    first = [0]
    low, high = 1, n - 1
    while len(first) < n:
        first.append(low if len(first) % 2 else high)
        low, high = (low + 1, high) if len(first) % 2 == 0 else (low, high - 1)
    square = [[(x + shift) % n for x in first] for shift in range(n)]
    return square if n % 2 == 0 or n == 1 else square + [row[::-1] for row in square]


def _blocks(stages: Sequence[int], levels: Sequence[float | None]) -> NDArray[np.int32]:
    """Blocks of consecutive prompts: small ones, for independence, but never more than `MAX_BLOCKS`.

    In a sweep no block reaches over two levels, and each level has its own.
    """
    parts = stages if any(level is not None for level in levels) else (sum(stages),)
    blocks: list[NDArray[np.int64]] = []
    first = 0
    for prompts in parts:
        count = max(1, min(MAX_BLOCKS, prompts // PROMPTS_PER_BLOCK))
        blocks.append(first + np.arange(prompts, dtype=np.int64) * count // max(1, prompts))
        first += count
    return np.concatenate(blocks).astype(np.int32)


def _digest(
    case_ids: Sequence[str],
    target_ids: Sequence[str],
    seed: int,
    arrangement: str,
    levels: Sequence[float | None],
    columns: dict[str, NDArray[Any]],
) -> str:
    head = {
        "cases": list(case_ids),
        "targets": list(target_ids),
        "seed": seed,
        "arrangement": arrangement,
        "levels": list(levels),
    }
    hasher = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(columns):
        hasher.update(name.encode())
        hasher.update(np.ascontiguousarray(columns[name], dtype=columns[name].dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()
