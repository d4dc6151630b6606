"""The plan: who is asked what, in which order and when, fixed before the first byte is sent.

Randomised complete blocks over targets: every prompt goes to every target, the order of the targets is permuted per prompt by
Williams squares (each target follows each other target equally often, so that what one leaves behind is shared out evenly).
A pure function of its arguments and the seed; the digest covers every column.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.record import Request

MAX_BLOCKS = 48
PROMPTS_PER_BLOCK = 4
NO_DUE = -1
"""In the `due_ns` column of a plan: sent as soon as there is a free slot."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One schedule of prompts: how many, and when each send is due (`None` in a closed loop).

    Interleaved, `due_ns` holds one time per prompt and target, in order; in lanes, one per prompt, the same for every target.
    """

    prompts: int
    due_ns: NDArray[np.int64] | None


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
    digest: str

    def __len__(self) -> int:
        return len(self.case)

    def request(self, seq: int) -> Request:
        due = int(self.due_ns[seq])
        return Request(
            seq=seq,
            block_id=int(self.block[seq]),
            case_id=self.case_ids[self.case[seq]],
            target_id=self.target_ids[self.target[seq]],
            repeat=int(self.repeat[seq]),
            phase="warmup" if self.warmup[seq] else "measure",
            due_ns=None if due == NO_DUE else due,
        )

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
) -> Plan:
    """The plan of `stream.prompts` prompts to every target, after `warmup` prompts each that are not measured.

    Prompts walk through the cases in seeded permutations, so that every case is sent equally often (±1).
    """
    n_targets = len(target_ids)
    rng = random.Random(f"{seed}:plan")
    prompts = _walk(len(case_ids), stream.prompts, rng)
    orders = np.array(_orders(n_targets, stream.prompts, rng), dtype=np.int16).reshape(stream.prompts, n_targets)
    repeats = np.arange(stream.prompts, dtype=np.int32) // max(1, len(case_ids))

    case = np.repeat(prompts, n_targets)
    target = orders.ravel()
    repeat = np.repeat(repeats, n_targets)
    block = np.repeat(_blocks(stream.prompts), n_targets)
    if stream.due_ns is None:
        due = np.full(len(case), NO_DUE, dtype=np.int64)
    elif arrangement == "lanes":
        due = np.repeat(stream.due_ns, n_targets)
    else:
        due = stream.due_ns.astype(np.int64)

    warm_cases = np.array([rng.randrange(len(case_ids)) for _ in range(warmup)], dtype=np.int32)
    warm_orders = np.array(_orders(n_targets, warmup, rng), dtype=np.int16).reshape(warmup, n_targets).ravel()
    warm = warmup * n_targets
    columns = {
        "block": np.concatenate([np.full(warm, -1, dtype=np.int32), block]),
        "case": np.concatenate([np.repeat(warm_cases, n_targets), case]),
        "target": np.concatenate([warm_orders, target]),
        "repeat": np.concatenate([np.zeros(warm, dtype=np.int32), repeat]),
        "warmup": np.concatenate([np.ones(warm, dtype=np.bool_), np.zeros(len(case), dtype=np.bool_)]),
        "due_ns": np.concatenate([np.full(warm, NO_DUE, dtype=np.int64), due]),
    }
    return Plan(
        case_ids=tuple(case_ids),
        target_ids=tuple(target_ids),
        seed=seed,
        arrangement=arrangement,
        digest=_digest(case_ids, target_ids, seed, arrangement, columns),
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


def _blocks(prompts: int) -> NDArray[np.int32]:
    """Blocks of consecutive prompts: small ones, for independence, but never more than `MAX_BLOCKS`."""
    count = max(1, min(MAX_BLOCKS, prompts // PROMPTS_PER_BLOCK))
    return (np.arange(prompts, dtype=np.int64) * count // max(1, prompts)).astype(np.int32)


def _digest(
    case_ids: Sequence[str], target_ids: Sequence[str], seed: int, arrangement: str, columns: dict[str, NDArray[Any]]
) -> str:
    head = {"cases": list(case_ids), "targets": list(target_ids), "seed": seed, "arrangement": arrangement}
    hasher = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(columns):
        hasher.update(name.encode())
        hasher.update(np.ascontiguousarray(columns[name], dtype=columns[name].dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()
