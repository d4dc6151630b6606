"""`bench plan`, short of printing: the designs that could answer a question, what each can tell, and what it costs.

What latencies are like comes from stored runs (how their blocks, hours and days really differed) or from assumptions that
are stated; what a request costs comes from the estimate that `bench run --estimate` prints.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from bench.campaigns import design
from bench.campaigns.design import Figure, Spread
from bench.campaigns.history import METRICS
from bench.conductor import preflight
from bench.conductor.preflight import Job, Options
from bench.engine.pacing import REPLY_GUESS_NS, length_ns, most_prompts
from bench.errors import CannotRun, ConfigError, Problem
from bench.metrics import BY_NAME, PROBABILITY
from bench.plan import PROMPTS_PER_BLOCK
from bench.stats.comparisons import QUANTILES

OTHER_COMPARISONS = 2
"""Quality and cost are in the family that is adjusted together, beside the quantiles."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is wanted: a ratio of `1 + detect` of `metric` that is called with `power`. `max_usd` bounds the designs."""

    metric: str = "ttft_p50_ms"
    detect: float = 0.10
    power: float = 0.8
    max_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One design. `spread` is None when nothing of that kind answers, and `why` says it."""

    name: str
    spread: Spread | None
    runs: int = 1
    length_s: float | None = None
    usd_likely: Decimal | None = None
    usd_most: Decimal | None = None
    half_widths: Mapping[str, float | None] | None = None
    """By metric, the worst target's: (high - low) / 2 as a share of the figure, for any hour of the period."""
    printed_half_width: float | None = None
    """What the run's own table would print for the metric that was asked about."""
    coverage: float | None = None
    """How often that printed interval would hold the percentile of the period."""
    smallest_ratio: float | None = None
    command: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    workload: str
    question: Question
    targets: tuple[str, ...]
    source: str
    figures: tuple[Figure, ...]
    offers: tuple[Offer, ...]
    notes: tuple[str, ...]


def metric_of(name: str) -> str:
    """`ttft_p99` or `ttft_p99_ms` as the name of a metric. Raises ConfigError for one that is no headline quantile."""
    found = name if name in METRICS else f"{name}_ms"
    if found not in METRICS:
        raise ConfigError([Problem("command line", "--metric", name, f"one of {', '.join(METRICS)}")])
    return found


@dataclass(frozen=True, slots=True)
class _Prices:
    """USD per request, all targets together; None when one of them is unknown."""

    likely: Decimal | None
    most: Decimal | None
    warmup: int

    def of(self, spread: Spread, runs: int) -> tuple[Decimal | None, Decimal | None]:
        prompts = spread.requests + runs * self.warmup
        return tuple(None if each is None else each * prompts for each in (self.likely, self.most))  # type: ignore[return-value]


def _prices(job: Job) -> _Prices:
    def each(amounts: Sequence[tuple[Decimal | None, int]]) -> Decimal | None:
        known = [usd / n for usd, n in amounts if usd is not None]
        return sum(known, Decimal(0)) if len(known) == len(amounts) else None

    return _Prices(
        each([(e.usd_likely, e.requests) for e in job.estimate]),
        each([(e.usd_most, e.requests) for e in job.estimate]),
        job.load.warmup_requests,
    )


def job_of(options: Options, today: date) -> Job:
    """The run that would be planned. Credentials are not looked at: nothing is sent."""
    return preflight.prepare(replace(options, simulate=True, limits="off"), today)


def answer(job: Job, question: Question, figures: Sequence[Figure], source: str) -> Answer:
    """What one run as written can tell, and what it would take to answer the question, in three ways."""
    return _Answering(job, question, tuple(figures), source).answer()


@dataclass(frozen=True, slots=True)
class _Answering:
    job: Job
    question: Question
    figures: tuple[Figure, ...]
    source: str

    def answer(self) -> Answer:
        asked = [f for f in self.figures if f.name == self.question.metric]
        if not asked:
            raise CannotRun(
                f"the runs given with --from do not know {self.question.metric}", "give others, or another --metric"
            )
        written = most_prompts(self.job.load)
        offers = [self._offer("as written", design.one_run(written, self._length_s(written)), 1)]
        offers.append(self._burst())
        offers.append(self._campaign("over 24 h", design.RUNS_OVER_A_DAY, 1))
        offers.append(self._campaign("over 7 d", design.RUNS_OVER_A_WEEK, 7))
        offers += self._affordable()
        return Answer(
            self.job.workload.name,
            self.question,
            tuple(r.target.id for r in self.job.ready),
            self.source,
            self.figures,
            tuple(offers),
            tuple(self._notes(offers)),
        )

    @property
    def family(self) -> int:
        """Comparisons that are adjusted together."""
        return (len(QUANTILES) + OTHER_COMPARISONS) * max(1, len(self.job.ready) - 1)

    def _length_s(self, prompts: int) -> float:
        """How long so many prompts take at the load's pace; in a closed loop, if a reply takes as long as is guessed."""
        load = self.job.load
        whole_ns = length_ns(load)
        if whole_ns is not None and not (load.closed and whole_ns == 0):
            return prompts * whole_ns / 1e9 / most_prompts(load)
        slots = load.stages[0].concurrency or 1
        shared = 1 if load.arrangement == "lanes" else max(1, len(self.job.ready))
        return prompts * shared * REPLY_GUESS_NS / 1e9 / slots

    def _enough(self, spread: Spread) -> bool:
        for figure in self._asked():
            ratio = design.smallest_ratio(spread, figure, self.question.power, self.family)
            if ratio is None or ratio > 1 + self.question.detect:
                return False
        return True

    def _asked(self) -> list[Figure]:
        return [f for f in self.figures if f.name == self.question.metric]

    def _offer(self, name: str, spread: Spread, runs: int, command: str = "", days: int = 0) -> Offer:
        likely, most = _prices(self.job).of(spread, runs)
        asked = self._asked()
        widths = {
            name: self._worst([design.half_width(spread, f) for f in self.figures if f.name == name])
            for name in METRICS
        }
        ratio = self._worst([design.smallest_ratio(spread, f, self.question.power, self.family) for f in asked])
        printed = self._worst([design.half_width(spread, f, design.printed_effect(spread, f)) for f in asked])
        dear = self.question.max_usd is not None and most is not None and most > self.question.max_usd
        return Offer(
            name, spread, runs, days * DAY_S if days else self._length_s(spread.requests), likely, most, widths, printed,
            min(design.coverage(spread, f) for f in asked), ratio if len(self.job.ready) > 1 else None, command,
            f"at most ${most:.2f}, above ${self.question.max_usd}" if dear else "",
        )  # fmt: skip

    @staticmethod
    def _worst(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return max(known) if known and len(known) == len(values) else None

    def _wanted(self) -> str:
        return f"a ratio of {1 + self.question.detect:g} on {BY_NAME[self.question.metric].label}"

    def _burst(self) -> Offer:
        name = "one burst now"
        most = max(1, math.floor(design.LONGEST_BURST_S / self._length_s(1)))

        def enough(n: int) -> bool:
            return self._enough(design.one_run(n, self._length_s(n)))

        n = design.smallest(enough, PROMPTS_PER_BLOCK, min(design.MOST_REQUESTS, most))
        if n is None:
            return Offer(name, None, why=f"no single run of up to {design.LONGEST_BURST_S / 3600:g} h calls {self._wanted()}: "
                         "what its hours share does not average out")  # fmt: skip
        return self._offer(name, design.one_run(n, self._length_s(n)), 1, self._command(n))

    def _campaign(self, name: str, ladder: Sequence[int], days: int) -> Offer:
        if days == 7 and self._is_tail():
            ladder = [runs for runs in ladder if runs >= design.RUNS_FOR_P99]

        def fits(runs: int, spread: Spread) -> bool:
            return self._length_s(spread.requests // runs) * runs <= days * DAY_S

        found = design.fewest_runs(ladder, days, lambda spread: self._enough(spread) and fits(spread.blocks, spread))
        if found is None:
            shared = "what each day shares" if days > 1 else "what the day shares"
            why = (
                f"up to {ladder[-1]} runs do not call {self._wanted()}, or would not fit: {shared} does not average out"
            )
            return Offer(name, None, why=why)
        runs, each = found
        command = self._over(each, runs, "24h" if days == 1 else f"{days}d")
        return self._offer(name, design.campaign(runs, each, days), runs, command, days)

    def _affordable(self) -> list[Offer]:
        """The week that the money pays for, if every reply were as long as allowed."""
        limit, prices = self.question.max_usd, _prices(self.job)
        if limit is None or prices.most is None or prices.most <= 0:
            return []
        runs = design.RUNS_FOR_P99 if self._is_tail() else design.RUNS_OVER_A_WEEK[0]
        each = int(limit / prices.most) // runs - prices.warmup
        name = f"${limit}, 7 d"
        if each < 1:
            return [Offer(name, None, why=f"not one request for each target in each of {runs} runs")]
        return [self._offer(name, design.campaign(runs, each, 7), runs, self._over(each, runs, "7d"), 7)]

    def _is_tail(self) -> bool:
        return PROBABILITY[BY_NAME[self.question.metric].statistic] > 0.9

    def _over(self, requests: int, runs: int, over: str) -> str:
        limit = "" if self.question.max_usd is None else f" --max-usd {self.question.max_usd}"
        return f"{self._command(requests)} --blocks {runs} --over {over} --campaign NAME{limit}"

    def _command(self, requests: int) -> str:
        options = self.job.options
        words = ["bench", "run", str(options.workload)]
        if options.targets is not None:
            words += ["--targets", str(options.targets)]
        words += [word for target in options.only for word in ("--only", target)]
        return shlex.join([*words, "--requests", str(requests)])

    def _notes(self, offers: Sequence[Offer]) -> list[str]:
        notes = []
        burst = next((o for o in offers[:2][::-1] if o.spread is not None), None)
        label = BY_NAME[self.question.metric].label
        if burst is not None and burst.spread is not None and burst.coverage is not None:
            width = burst.printed_half_width
            told = "an open interval" if width is None else f"± {100 * width:.0f} %"
            notes.append(
                f"Blocks of one run are not independent of its hour. {burst.name.capitalize()}, the table would print "
                f"{told} for {label}: true of that hour, and of the whole week {100 * burst.coverage:.0f} % of the time, "
                "not 95 %."
            )
        tail = [f for f in self.figures if f.name == "ttft_p99_ms"]
        if tail:
            notes.append(self._bound(tail))
        notes += [f"Cost not known: {e.target_id}: {e.why_unknown}" for e in self.job.estimate if e.usd_most is None]
        return notes

    def _bound(self, tail: Sequence[Figure]) -> str:
        def over_a_week(n: int) -> Spread:
            return design.campaign(design.RUNS_FOR_P99, max(1, math.ceil(n / design.RUNS_FOR_P99)), 7)

        def now(n: int) -> Spread:
            return design.one_run(n, self._length_s(n))

        words = []
        for what, make in (("in one run", now), (f"in {design.RUNS_FOR_P99} runs over 7 d", over_a_week)):
            counts = [design.requests_to_end(make, figure) for figure in tail]
            known = [n for n in counts if n is not None]
            words.append(f"{max(known):,} {what}" if len(known) == len(counts) else f"no number {what} within reach")
        return (
            f"A p99 has no upper end below this many requests per target: {'; '.join(words)}. A claim about a p99 wants "
            f"{design.RUNS_FOR_P99} runs over 7 days."
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a campaign has come: what its runs so far tell, and how many more of the same size the question takes."""

    spread: Spread | None
    half_widths: Mapping[str, float | None]
    smallest_ratio: float | None
    more_runs: int | None
    """None: not within ten times the runs that there are, or nothing to reckon from."""


def standing(job: Job, question: Question, figures: Sequence[Figure], runs: int, requests: int, days: int) -> Standing:
    """`runs` runs of `requests` in all, per target, on `days` days. Widths only: no target's figure is looked at."""
    if runs < 1 or requests < runs:
        return Standing(None, {}, None, None)
    work = _Answering(job, question, tuple(figures), "")
    each = requests // runs
    spread = design.campaign(runs, each, days)
    offer = work._offer("", spread, runs, days=days)
    a_day = runs / days

    def enough(total: int) -> bool:
        return work._enough(design.campaign(total, each, max(days, math.ceil(total / a_day))))

    needed = design.smallest(enough, runs, 10 * runs)
    return Standing(spread, offer.half_widths or {}, offer.smallest_ratio, None if needed is None else needed - runs)
