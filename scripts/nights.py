"""How often does the gate cry wolf, and how soon does it see? Thousands of simulated histories, judged by the code that judges real ones.

A night asks each target 500 requests. Log latency is night level + noise: levels differ from night to night by 5 %, noise within the night
has a standard deviation of 0.45 for TTFT and 0.15 for TPOT, and 2 % of first tokens come 4.5 times later. The levels of TTFT and TPOT of a
night hang together (correlation 0.5); targets and nights do not. E2E is TTFT plus as many tokens as the reply has. One request in 500
fails; four questions in five are answered right 98 times in a hundred, the others 30 times; cost follows the tokens.

28 quiet nights are the history. Then come either quiet nights, of which the share is counted in which anything at all is called, or nights
with one target changed, of which the share is counted in which that target is called by the first, second and third night.

    scripts/nights [--histories 4000] [--write]
"""

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.nightly.gate import LEAST_SD
from bench.stats.limits import Walk, alphas, walk_counts, walk_values
from bench.stats.nightly import GATED, GATED_BY_NAME

PAGE = Path(__file__).resolve().parent.parent / "docs" / "nightly.md"
BEGIN, END = "<!-- nights:begin -->", "<!-- nights:end -->"
REQUESTS, HISTORY, QUIET, CHANGED = 500, 28, 10, 3
NIGHT_SD = 0.05
FAMILIES = (1, 2, 5)
CHUNK = 400

Series = Mapping[str, np.ndarray]
"""By figure: histories x nights. Counts and standard errors are beside them, as `NAME.se`."""


@dataclass(frozen=True)
class Change:
    """What becomes of a target: factors on its durations, shares of failed and wrong, cost."""

    name: str
    ttft: float = 1.0
    tpot: float = 1.0
    failed: float = 0.002
    right: float = 0.0
    tail: float = 0.02
    cost: float = 1.0
    figure: str | None = None
    """The row that must see it; None: any row of the target."""


CHANGES = (
    Change("TTFT +20 %, nothing else (row TTFT p50)", ttft=1.2, figure="ttft_p50_ms"),
    Change("every duration +20 % (any row)", ttft=1.2, tpot=1.2),
    Change("every duration +10 % (any row)", ttft=1.1, tpot=1.1),
    Change("slow tail 2 % to 8 % of requests (any row)", tail=0.08),
    Change("failed 0.2 % to 2 %", failed=0.02, figure="failed_share"),
    Change("quality -6 points", right=-0.06, figure="quality"),
    Change("cost +10 %", cost=1.1, figure="usd_per_1k"),
)
NONE = Change("none")


def stream(*names: object) -> np.random.Generator:
    """A generator of its own for every case: leaving one out does not change another."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def series(rng: np.random.Generator, histories: int, nights: int, change: Change, begins: int) -> dict[str, np.ndarray]:
    """Every figure of one target over its nights; the change holds from night `begins` on."""
    shape = (histories, nights)
    names = ["ttft_p50_ms", "ttft_p95_ms", "tpot_p50_ms", "e2e_p50_ms", "usd_per_1k", "quality", "failed_share"]
    made = {name: np.empty(shape) for name in [*names, *(f"{name}.se" for name in names)]}
    levels = rng.normal(0, NIGHT_SD, shape)
    other = 0.5 * levels + np.sqrt(0.75) * rng.normal(0, NIGHT_SD, shape)
    knows = np.where(rng.random((histories, REQUESTS)) < 0.8, 0.98, 0.30)
    dollars = rng.normal(0, 0.01, shape)
    mood = rng.normal(0, 0.003, shape)
    for night in range(nights):
        on = night >= begins
        now = change if on else NONE
        ttft = np.log(600 * now.ttft) + levels[:, night, None] + 0.45 * rng.standard_normal((histories, REQUESTS))
        ttft += 1.5 * (rng.random((histories, REQUESTS)) < now.tail)
        tpot = np.log(13 * now.tpot) + other[:, night, None] + 0.15 * rng.standard_normal((histories, REQUESTS))
        tokens = 170 * np.exp(0.3 * rng.standard_normal((histories, REQUESTS)))
        e2e = np.log(np.exp(ttft) + tokens * np.exp(tpot))
        for name, values, p in (
            ("ttft_p50_ms", ttft, 0.5),
            ("ttft_p95_ms", ttft, 0.95),
            ("tpot_p50_ms", tpot, 0.5),
            ("e2e_p50_ms", e2e, 0.5),
        ):
            made[name][:, night], made[f"{name}.se"][:, night] = quantile(values, p)
        cost = tokens.mean(axis=1) * np.exp(dollars[:, night]) * now.cost
        made["usd_per_1k"][:, night] = np.log(cost)
        made["usd_per_1k.se"][:, night] = tokens.std(axis=1) / tokens.mean(axis=1) / np.sqrt(REQUESTS)
        right = rng.random((histories, REQUESTS)) < knows
        made["quality"][:, night] = right.mean(axis=1) + mood[:, night] + now.right
        made["quality.se"][:, night] = np.sqrt((knows * (1 - knows)).sum(axis=1)) / REQUESTS
        made["failed_share"][:, night] = rng.binomial(REQUESTS, now.failed, histories)
    return made


def quantile(values: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray]:
    """The quantile of every row, and its standard error by the order statistics one standard deviation of rank away."""
    n = values.shape[1]
    k, step = int(np.ceil(n * p)) - 1, int(np.ceil(np.sqrt(n * p * (1 - p))))
    part = np.partition(values, (k - step, k, min(k + step, n - 1)), axis=1)
    return part[:, k], (part[:, min(k + step, n - 1)] - part[:, k - step]) / 2


def walks(made: Series, family: int) -> Iterator[tuple[str, Walk]]:
    """Every gated figure of one target, judged as one of a family of so many targets."""
    for gated in GATED:
        if gated.watched:
            continue
        share = alphas(gated.weight, family)
        if gated.scale == "count":
            yield (
                gated.name,
                walk_counts(made[gated.name], np.full_like(made[gated.name], REQUESTS), share, gated.floor),
            )
        elif gated.scale == "share":
            yield (
                gated.name,
                walk_values(-made[gated.name], made[f"{gated.name}.se"], share, gated.floor, LEAST_SD["share"]),
            )
        else:
            floor = float(np.log1p(gated.floor))
            yield gated.name, walk_values(made[gated.name], made[f"{gated.name}.se"], share, floor, LEAST_SD["log"])


def quiet(histories: int) -> dict[int, tuple[float, float, float]]:
    """By size of family: shares of quiet nights with any regression, with any suspect, and with an alarm of "10 % over last night"."""
    called = {family: [0, 0] for family in FAMILIES}
    naive = dict.fromkeys(FAMILIES, 0)
    for begin in range(0, histories, CHUNK):
        n = min(CHUNK, histories - begin)
        # targets are independent: the nights of the largest family serve the smaller ones
        targets = [
            series(stream("quiet", begin, target), n, HISTORY + QUIET, NONE, HISTORY) for target in range(max(FAMILIES))
        ]
        for family in FAMILIES:
            worse, suspect = np.zeros((n, QUIET), dtype=bool), np.zeros((n, QUIET), dtype=bool)
            louder = np.zeros((n, QUIET), dtype=bool)
            for made in targets[:family]:
                for name, walk in walks(made, family):
                    worse |= walk.worse[:, HISTORY:]
                    suspect |= walk.suspect[:, HISTORY:]
                    if GATED_BY_NAME[name].kind == "latency":
                        louder |= np.diff(made[name], axis=1)[:, HISTORY - 1 :] > np.log(1.1)
            called[family][0] += int(worse.sum())
            called[family][1] += int((suspect & ~worse).sum())
            naive[family] += int(louder.sum())
    nights = histories * QUIET
    return {
        family: (called[family][0] / nights, called[family][1] / nights, naive[family] / nights) for family in FAMILIES
    }


def found(change: Change, histories: int) -> dict[int, tuple[float, ...]]:
    """By size of family: shares of histories in which the change is called by the first, second and third night."""
    counts = {family: np.zeros(CHANGED) for family in FAMILIES}
    for begin in range(0, histories, CHUNK):
        n = min(CHUNK, histories - begin)
        made = series(stream(change.name, begin), n, HISTORY + CHANGED, change, HISTORY)
        for family in FAMILIES:
            seen = np.zeros((n, CHANGED), dtype=bool)
            for name, walk in walks(made, family):
                if change.figure in (None, name):
                    seen |= walk.worse[:, HISTORY:]
            counts[family] += np.logical_or.accumulate(seen, axis=1).sum(axis=0)
    return {family: tuple(float(x) for x in counts[family] / histories) for family in FAMILIES}


def table(histories: int) -> str:
    """The simulated tables as Markdown."""
    heads = [f"{n} target{'s' * (n > 1)}" for n in FAMILIES]
    calm = quiet(histories)
    lines = [
        f"{histories:,} histories each; a share has a standard error of at most {50 / np.sqrt(histories):.1f} points.",
        "",
    ]
    lines += [f"| quiet nights, share with | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for at, name in enumerate(
        ("**any regression** (red)", "a suspect (said, not red)", '"10 % over last night" on any duration')
    ):
        lines.append(f"| {name} | {' | '.join(f'{calm[family][at]:.1%}' for family in FAMILIES)} |")
    lines += [
        "",
        f"| one target changes: called by night 1 / 2 / 3 | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for change in CHANGES:
        shares = found(change, histories)
        cells = [" / ".join(f"{share:.0%}" for share in shares[family]) for family in FAMILIES]
        lines.append(f"| {change.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=4000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/nightly.md")
    given = parser.parse_args()
    made = table(given.histories)
    print(made)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n{made}\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
