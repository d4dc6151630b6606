"""Do the intervals of bench cover the truth as often as they say? Data of known truth, seeded, counted, printed as Markdown.

Every study draws many samples from a process whose true figure is known by formula, makes the interval that bench makes, and
beside it the interval that most benchmarks make, which takes requests as independent. A cell is the share of samples whose
interval holds the truth; its standard error is sqrt(share (1 - share) / samples).
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # where a test loads this file from elsewhere
from coverage_worlds import MILD, MIXTURE, RATE_PER_S, SEVERE, Paired, Queue, Weeks, stream

from bench.stats import means, shares
from bench.stats.levels import COLUMNS, TEXT_COLUMNS, levels_of
from bench.stats.quantiles import Interval, Quantile, binomial_rank, quantile
from bench.stats.ratios import (
    Resamples,
    bootstrap_p,
    expanded_interval,
    linear_p,
    quantile_ratio,
    quantile_ratio_p,
    resample_blocks,
    sums_ratio,
    sums_ratio_p,
)
from bench.stats.special import normal_quantile
from bench.stats.verdicts import MARGINS, WORDS, Evidence, holm, judge

Z = normal_quantile(0.975)


@dataclass(frozen=True)
class Row:
    """One line of a study: what was simulated, and shares of 1 by the name of the method or of the count."""

    case: str
    samples: int
    shares: dict[str, float]


@dataclass(frozen=True)
class Study:
    title: str
    about: str
    rows: Callable[[int], Iterator[Row]]
    """From the number of samples."""


def covers(interval: Interval, truth: float) -> bool:
    return (interval.low is None or interval.low <= truth) and (interval.high is None or truth <= interval.high)


def blocks_of(n: int, blocks: int) -> np.ndarray:
    return np.arange(n) * blocks // n


def iid_interval(ordered: np.ndarray, p: float) -> Interval:
    """Order statistics for independent requests: the exact ranks, nothing else."""
    n = len(ordered)
    low, high = math.floor(binomial_rank(n, p, 0.025)), binomial_rank(n, p, 0.975)
    upper = n + 1 if math.isinf(high) else math.ceil(high)
    return Interval(float(ordered[low - 1]) if low >= 1 else None, float(ordered[upper - 1]) if upper <= n else None, n)


def bootstrap_interval(ordered: np.ndarray, p: float) -> Interval:
    """The percentile bootstrap of a sample quantile, in closed form: order statistics at beta quantiles of the ranks."""
    n = len(ordered)
    k = math.ceil(n * p - 1e-9)
    ranks = [max(1, min(n, math.ceil(n * shares.beta_quantile(t, k, n - k + 1)))) for t in (0.025, 0.975)]
    return Interval(float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1]), n)


# ---------------------------------------------------------------- the studies


def _quantile_row(
    case: str, samples: int, draw: Callable[[], np.ndarray], codes: np.ndarray, p: float, truth: float
) -> Row:
    counts = dict.fromkeys(("bench", "iid ranks", "bootstrap", "open"), 0)
    for _ in range(samples):
        found = quantile(draw(), codes, p)
        interval = found.interval()
        counts["bench"] += covers(interval, truth)
        counts["open"] += interval.high is None
        counts["iid ranks"] += covers(iid_interval(found.ordered, p), truth)
        counts["bootstrap"] += covers(bootstrap_interval(found.ordered, p), truth)
    return Row(case, samples, {name: count / samples for name, count in counts.items()})


def independent(samples: int, sizes: tuple[int, ...] = (100, 500, 2000, 10_000), blocks: int = 25) -> Iterator[Row]:
    for p in (0.5, 0.9, 0.99):
        for n in sizes:
            rng, codes = stream("independent", p, n), blocks_of(n, blocks)
            yield _quantile_row(f"p{p * 100:g}, n = {n:,}", samples, lambda r=rng, n=n: MIXTURE.draw(r, (n,)), codes, p,
                                MIXTURE.quantile(p))  # fmt: skip


def quantised(samples: int, steps: tuple[float, ...] = (0.001, 0.1)) -> Iterator[Row]:
    """A clock that ticks: latency rounded up to the next tick, and so is the truth."""
    n = 2000
    for step in steps:
        for p in (0.5, 0.99):
            rng, codes = stream("quantised", step, p), blocks_of(n, 25)
            truth = math.ceil(MIXTURE.quantile(p) / step) * step

            def ticks(r: np.random.Generator = rng, s: float = step) -> np.ndarray:
                return np.ceil(MIXTURE.draw(r, (n,)) / s) * s

            yield _quantile_row(
                f"p{p * 100:g}, n = {n:,}, ticks of {step * 1000:g} ms", samples, ticks, codes, p, truth
            )


SCENES = {
    "mild spells, one run in 20 blocks": (MILD, 20, 1),
    "severe spells, one run in 20 blocks": (SEVERE, 20, 1),
    "severe spells, 50 blocks apart": (SEVERE, 50, 50),
}
"""Name: (process, blocks that are counted, stretches that are independent)."""


def dependent(samples: int, scenes: tuple[str, ...] = tuple(SCENES), sizes: tuple[int, ...] = (500, 2000, 10_000),
              ps: tuple[float, ...] = (0.5, 0.9, 0.99)) -> Iterator[Row]:  # fmt: skip
    for scene in scenes:
        process, blocks, stretches = SCENES[scene]
        for p in ps:
            for n in sizes:
                rng = stream("dependent", scene, p, n)
                yield _quantile_row(f"{scene}: p{p * 100:g}, n = {n:,}", samples,
                                    lambda r=rng, pr=process, s=stretches, n=n: pr.draw(r, s, n // s),
                                    blocks_of(n, blocks), p, process.marginal().quantile(p))  # fmt: skip


def _without_blocks(sample: Quantile) -> Quantile:
    """The same sample with every request a block of its own."""
    return changed(sample, design_effect=1.0, blocks=sample.n, block_sums=np.zeros(1))


def ratios(samples: int, cases: tuple[tuple[float, int], ...] = tuple(
        (p, n) for p in (0.5, 0.9, 0.99) for n in (480, 1920, 9600)), blocks: int = 48) -> Iterator[Row]:  # fmt: skip
    process = Paired(1.10, tail_b=0.03)
    for p, n in cases:
        rng, codes, truth = stream("ratio", p, n), blocks_of(n, blocks), math.log(process.truth(p))
        counts = dict.fromkeys(("bench", "no correlation", "iid MOVER", "bench sees it", "open"), 0)
        for _ in range(samples):
            a, b = (quantile(x, codes, p) for x in process.draw(rng, codes))
            ours = quantile_ratio(a, b)
            counts["bench"] += ours.low <= truth <= ours.high
            counts["bench sees it"] += ours.low > 0
            counts["open"] += math.isinf(ours.high) or math.isinf(ours.low)
            apart = quantile_ratio(changed(a, block_sums=np.zeros(1)), b)
            counts["no correlation"] += apart.low <= truth <= apart.high
            naive = quantile_ratio(_without_blocks(a), _without_blocks(b))
            counts["iid MOVER"] += naive.low <= truth <= naive.high
        yield Row(f"p{p * 100:g}, n = {n:,} pairs, true ratio {math.exp(truth):.3f}", samples,
                  {name: count / samples for name, count in counts.items()})  # fmt: skip


def _verdicts(
    rng: np.random.Generator, process: Paired, codes: np.ndarray, targets: int
) -> tuple[list[str], list[bool]]:
    """The words of one campaign: every other target against the first, p50 and p99, adjusted together; and what two intervals
    for independent requests would say of the same ratios."""
    drawn = process.draw(rng, codes, targets)
    evidence, raw, naive = [], [], []
    for p, margin in ((0.5, MARGINS["p50"]), (0.99, MARGINS["p99"])):
        base = quantile(drawn[0], codes, p)
        for other in drawn[1:]:
            mine = quantile(other, codes, p)
            at_95, at_90 = quantile_ratio(base, mine), quantile_ratio(base, mine, 0.90)
            evidence.append(Evidence(at_95.estimate, at_95.low, at_95.high, at_90.low, at_90.high, math.log1p(margin),
                                     base.blocks))  # fmt: skip
            raw.append(quantile_ratio_p(base, mine) if at_95.excludes_equality() else 1.0)
            naive.append(quantile_ratio(_without_blocks(base), _without_blocks(mine)).excludes_equality())
    adjusted = holm(raw)
    words = [
        judge(changed(e, p_holm=p, family=len(raw)), WORDS["latency"]).word
        for e, p in zip(evidence, adjusted, strict=True)
    ]
    return words, naive


def verdicts(samples: int, sizes: tuple[int, ...] = (960, 4800)) -> Iterator[Row]:
    """Five targets that are equal: how often is one called slower, and how often is a campaign spoiled by such a word?"""
    for n in sizes:
        rng, codes = stream("equal", n), blocks_of(n, 48)
        counts = dict.fromkeys(
            ("bench: any false word", "bench: “slower”", "bench: “faster”", "iid: any false word"), 0.0
        )
        for _ in range(samples):
            words, naive = _verdicts(rng, Paired(1.0), codes, 5)
            counts["bench: “slower”"] += sum(w.startswith("slower") for w in words) / len(words)
            counts["bench: “faster”"] += sum(w.startswith("faster") for w in words) / len(words)
            counts["bench: any false word"] += any(w not in {"equivalent", "inconclusive"} for w in words)
            counts["iid: any false word"] += any(naive)
        yield Row(f"five equal targets, n = {n:,} each, 48 blocks, 8 comparisons", samples,
                  {name: count / samples for name, count in counts.items()})  # fmt: skip


def equivalence(samples: int, n: int = 9600) -> Iterator[Row]:
    """A difference of exactly the margin must not be called equivalent; none at all should be, given the data."""
    for factor in (1.05, 1.0):
        rng, codes = stream("margin", factor), blocks_of(n, 480)
        equal = 0
        for _ in range(samples):
            a, b = (quantile(x, codes, 0.5) for x in Paired(factor).draw(rng, codes))
            at_90 = quantile_ratio(a, b, 0.90)
            equal += -math.log(1.05) < at_90.low and at_90.high < math.log(1.05)
        yield Row(
            f"true ratio {factor:g}, n = {n:,} pairs in 480 blocks, margin 5 %",
            samples,
            {"“equivalent”": equal / samples},
        )


def shares_and_quality(samples: int) -> Iterator[Row]:
    for sources, per in ((24, 4), (60, 4), (60, 20)):
        rng, source = stream("share", sources, per), np.repeat(np.arange(sources), per)
        n = len(source)
        wilson = exact = naive = 0
        for _ in range(samples):
            right = (rng.random(n) < rng.beta(4 * 0.85, 4 * 0.15, sources)[source]).astype(float)
            share, effective = float(right.mean()), means.n_eff(right, [source])
            wilson += covers(shares.wilson(share, effective), 0.85)
            exact += covers(shares.clopper_pearson(share, effective), 0.85)
            naive += covers(shares.wilson(share, n), 0.85)
        yield Row(f"share right, {sources} sources of {per}", samples,
                  {"bench": wilson / samples, "bench, exact": exact / samples, "iid": naive / samples})  # fmt: skip
    for sources, per in ((60, 4), (60, 20)):
        rng, source = stream("paired", sources, per), np.repeat(np.arange(sources), per)
        n = len(source)
        tango = resampled = naive = 0
        weights = resample_blocks(sources, seed=5, count=2000)
        for _ in range(samples):
            ability = rng.beta(4 * 0.85, 4 * 0.15, sources)
            # B loses five points on average, much on some sources and nothing on others
            loss = 0.05 * rng.gamma(0.5, 2, sources)
            a, b = (
                (rng.random(n) < chance[source]).astype(float) for chance in (ability, np.maximum(0, ability - loss))
            )
            truth = _mean_loss()
            found = means.paired_difference(a, b, [source])
            tango += covers(found.interval(), truth)
            resampled += covers(_bootstrapped(found.differences, source, weights), truth)
            low, high = found.raw.interval()
            naive += low <= truth <= high
        yield Row(f"difference of quality, {sources} sources of {per}", samples,
                  {"bench": tango / samples, "bench, bootstrap": resampled / samples, "iid": naive / samples})  # fmt: skip


def _bootstrapped(differences: np.ndarray, groups: np.ndarray, weights: Resamples) -> Interval:
    drawn = means.resampled_means(differences, groups, weights)
    return expanded_interval(drawn, float(differences.mean()), weights.blocks)


@lru_cache(maxsize=1)
def _mean_loss() -> float:
    """The mean of max(0, ability − loss) − ability over sources, from four million of them."""
    rng = stream("truth of the loss")
    ability, loss = rng.beta(4 * 0.85, 4 * 0.15, 4_000_000), 0.05 * rng.gamma(0.5, 2, 4_000_000)
    return float((np.maximum(0, ability - loss) - ability).mean())


def sums(samples: int, counts: tuple[int, ...] = (12, 24, 48)) -> Iterator[Row]:
    """Ratios of sums. A block has a mood; how much is right, how long it takes and how many tokens it gives go with it."""
    per = 8
    for blocks in counts:
        rng, weights = stream("sums", blocks), resample_blocks(blocks, seed=1, count=4000)
        hits = dict.fromkeys(("$ per correct", "tokens/s", "goodput"), 0)
        naive = dict.fromkeys(hits, 0)
        for _ in range(samples):
            mood = rng.standard_normal(blocks)
            chance = 1 / (1 + np.exp(-(1.8 + 0.7 * mood)))
            right = rng.random((blocks, per)) < chance[:, None]
            usd = 0.012 * np.exp(0.25 * rng.standard_normal((blocks, per)) - 0.25**2 / 2)
            tokens = np.exp(0.3 * rng.standard_normal((blocks, per)) - 0.3**2 / 2) * 200
            seconds = 10 * np.exp(-0.15 * mood + 0.1 * rng.standard_normal(blocks) - (0.15**2 + 0.1**2) / 2)
            for name, top, bottom, truth in (
                ("$ per correct", usd, right, 0.012 / _mean_chance()),
                ("tokens/s", tokens, np.repeat(seconds[:, None] / per, per, axis=1), 200 * per / 10),
                ("goodput", right, np.repeat(seconds[:, None] / per, per, axis=1), _mean_chance() * per / 10),
            ):
                above, below = top.sum(axis=1).astype(float), bottom.sum(axis=1).astype(float)
                value = float(above.sum() / below.sum())
                hits[name] += covers(expanded_interval(sums_ratio(above, below, weights), value, blocks), truth)
                residual = top - value * bottom
                half = Z * float(residual.std()) * math.sqrt(residual.size) / float(below.sum())
                naive[name] += value - half <= truth <= value + half
        for name in hits:
            yield Row(f"{name}, {blocks} blocks of {per}", samples,
                      {"bench": hits[name] / samples, "iid": naive[name] / samples})  # fmt: skip


def _mean_chance() -> float:
    """The mean of 1 / (1 + e^-(1.8 + 0.7 z)) over a normal z, by the midpoint rule."""
    z = (np.arange(20_000) + 0.5) / 20_000 * 16 - 8
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (16 / 20_000)
    return float((density / (1 + np.exp(-(1.8 + 0.7 * z)))).sum())


def sums_tests(samples: int, counts: tuple[int, ...] = (24, 48)) -> Iterator[Row]:
    """Two equal targets: how often is their cost per correct answer called different at 5 %?"""
    samples *= 4  # cheap, and one share near 5 % wants a small error
    per = 8
    for blocks in counts:
        rng, weights = stream("bootstrap test", blocks), resample_blocks(blocks, seed=2, count=4000)
        counted = dict.fromkeys(("bench", "bootstrap alone", "iid"), 0)
        for _ in range(samples):
            mood = rng.standard_normal(blocks)
            drawn, sums, single = [], [], []
            for _target in "ab":
                chance = 1 / (1 + np.exp(-(1.8 + 0.5 * mood + 0.5 * rng.standard_normal(blocks))))
                right = (rng.random((blocks, per)) < chance[:, None]).astype(float)
                usd = 0.012 * np.exp(0.25 * rng.standard_normal((blocks, per)))
                sums.append((usd.sum(axis=1), right.sum(axis=1)))
                single.append((usd.ravel(), right.ravel()))
                drawn.append(np.log(sums_ratio(*sums[-1], weights)))
            counted["bench"] += sums_ratio_p(sums[0], sums[1], drawn[1] - drawn[0], blocks) <= 0.05
            counted["bootstrap alone"] += bootstrap_p(drawn[1] - drawn[0], blocks) <= 0.05
            counted["iid"] += linear_p(*single) <= 0.05
        yield Row(f"cost per correct of two equal targets, {blocks} blocks of {per}", samples,
                  {name: count / samples for name, count in counted.items()})  # fmt: skip


def campaigns(samples: int, ps: tuple[float, ...] = (0.5, 0.9), scenes: tuple[tuple[int, int, int], ...] = (
        (48, 30, 4), (12, 96, 4), (5, 96, 4))) -> Iterator[Row]:  # fmt: skip
    """Runs over a week: what a run shares, its blocks share too, so they are not independent."""
    process = Weeks(factor=1.1)
    for runs, per_run, per_block in scenes:
        n = runs * per_run
        units = {"a run is one block": np.arange(n) // per_run, "its blocks are": np.arange(n) // per_block}
        for p in ps:
            rng, truth = stream("campaign", runs, p), process.marginal().quantile(p)
            one, ratio = ({**dict.fromkeys((*units, "iid ranks"), 0)} for _ in range(2))
            for _ in range(samples):
                a, b = process.draw(rng, runs, per_run, per_block)
                for name, codes in units.items():
                    qa, qb = quantile(a, codes, p), quantile(b, codes, p)
                    one[name] += covers(qa.interval(), truth)
                    found = quantile_ratio(qa, qb)
                    ratio[name] += found.low <= math.log(process.factor) <= found.high
                one["iid ranks"] += covers(iid_interval(qa.ordered, p), truth)
                naive = quantile_ratio(_without_blocks(qa), _without_blocks(qb))
                ratio["iid ranks"] += naive.low <= math.log(process.factor) <= naive.high
            told = f"{runs} runs of {per_run} in blocks of {per_block}"
            yield Row(f"{told}: p{p * 100:g}", samples, {name: count / samples for name, count in one.items()})
            yield Row(f"{told}: ratio of p{p * 100:g}, truly {process.factor:g}", samples,
                      {name: count / samples for name, count in ratio.items()})  # fmt: skip


def achieved(
    samples: int, scenes: tuple[tuple[float, int], ...] = ((1.5, 20), (0.9, 20), (0.7, 20), (0.7, 40))
) -> Iterator[Row]:
    """The achieved share of a level of an open loop, by the very function that makes it."""
    per = 25
    samples = max(1, samples // 4)  # 2,000 resamples of all stamps for each
    for serves, blocks in scenes:
        rng, process, n = stream("achieved", serves, blocks), Queue(serves), blocks * per
        counts = dict.fromkeys(("bench", "iid", "open"), 0)
        bias = 0.0
        for _ in range(samples):
            due, end, ok = process.draw(rng, blocks, per)
            rows = {name: np.full(n, np.nan) for name in COLUMNS if name not in TEXT_COLUMNS}
            rows |= {
                "target": np.full(n, "t", dtype=object), "phase": np.full(n, "measure", dtype=object),
                "outcome": np.where(ok, "ok", "throttled").astype(object), "spoiled": np.zeros(n, bool),
                "stage": np.zeros(n), "level": np.full(n, RATE_PER_S), "block_id": np.arange(n) // per, "due_ns": due,
                "sent_ns": due, "end_ns": end,
            }  # fmt: skip
            [level] = levels_of(rows, {})
            cell = level.cells["achieved_share"]
            truth = process.truth()
            counts["bench"] += covers(Interval(cell.low, cell.high, 0.0), truth)
            counts["open"] += cell.high is None
            naive = shares.wilson(float(ok.mean()), n)
            counts["iid"] += covers(naive, truth)
            bias += (cell.value - truth) / samples
        yield Row(f"serves {serves:g} of what is offered, {blocks} blocks of {per}, true share {process.truth():.3f}", samples,
                  {name: count / samples for name, count in counts.items()} | {"mean error": bias})  # fmt: skip


STUDIES = (
    Study("Quantiles of independent requests",
          "25 blocks; latency is 85 % around 0.8 s, 13 % around 2 s, 2 % around 12 s. “open” is the share of intervals of bench "
          "without a finite upper end.", independent),
    Study("Quantiles on a clock that ticks",
          "The same latency, rounded up to whole ticks: most values are tied.", quantised),
    Study("Quantiles of requests that share slow spells",
          "AR(1) load of memory 0.7 with slow spells of 10 requests (mild), or 0.9 with spells of 150 (severe).", dependent),
    Study("Ratios of quantiles",
          "Two targets, the same prompts in the same 48 blocks; the second is 10 % slower, with a heavier tail. “sees it” is the "
          "share of intervals wholly above 1, “open” of those with an infinite end.", ratios),
    Study("Verdicts on equal targets",
          "p50 and p99 of four targets against the first, adjusted by Holm. “iid” calls a difference where two intervals for "
          "independent requests, put together by the same formula, exclude 1.", verdicts),
    Study("Equivalence", "Two one-sided tests at 5 %: at a true difference of the margin, at most 5 % may be called equivalent.",
          equivalence),
    Study("Shares and differences of quality", "Answers from one source resemble each other.", shares_and_quality),
    Study("Ratios of sums", "Costs, tokens and times of a block go together.", sums),
    Study("Tests of equal ratios of sums", "How often two equal targets are called different at 5 %.", sums_tests),
    Study("Runs spread over a week",
          "The truth is that of the whole week. Latency goes with the time of day and drifts from hour to hour, and all requests of "
          "a run share both. bench counts a run as one block in a campaign, and from 5 runs on; below that it counts their blocks, "
          "and says that the interval is of these runs alone.", campaigns),
    Study("Achieved share of a level",
          "An open loop against a server that falls behind, or does not; one request in twenty is refused. “iid” is the share that "
          "was answered, which knows nothing of time; “mean error” is of the estimate itself, in points.", achieved),
)  # fmt: skip


def markdown(study: Study, rows: list[Row]) -> str:
    lines = [f"### {study.title}", "", study.about, ""]
    seen: dict[str, None] = {}
    for row in rows:
        seen |= dict.fromkeys(row.shares)
    lines += [f"| simulated | samples | {' | '.join(seen)} |", "|---|---:|" + "---:|" * len(seen)]
    for row in rows:
        cells = (f"{row.shares[name] * 100:.1f} %" if name in row.shares else "" for name in seen)
        lines.append(f"| {row.case} | {row.samples:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


PAGE = Path(__file__).parent.parent / "docs" / "method.md"
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->"


def inserted(page: str, tables: str) -> str:
    """The page with its tables replaced by these."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000, help="samples per line (default 1000)")
    parser.add_argument("--only", default="", help="studies whose title contains this")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/method.md (run all studies)")
    arguments = parser.parse_args()
    tables = []
    for study in STUDIES:
        if arguments.only.lower() in study.title.lower():
            tables.append(markdown(study, list(study.rows(arguments.samples))))
            print(tables[-1], flush=True)
            print(f"done: {study.title}", file=sys.stderr)
    if arguments.write:
        PAGE.write_text(inserted(PAGE.read_text(encoding="utf-8"), "\n".join(tables)), encoding="utf-8")


if __name__ == "__main__":
    main()
