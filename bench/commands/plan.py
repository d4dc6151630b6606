"""`bench plan`: what a wanted precision takes, before anything is spent; and how far a campaign has come."""

from __future__ import annotations

import dataclasses
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.grid import UNKNOWN, folded, grid
from bench.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bench.campaigns.planning import Answer, Offer


def plan(
    workload: Annotated[Path | None, typer.Argument(help="The workload file, e.g. workloads/rag.yaml.")] = None,
    targets: Annotated[Path | None, typer.Option(help="The list of targets. Default: targets.yaml here.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Ids of targets, with commas; one alone is allowed.")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option("--from", help="Runs to learn the variation from, with commas or given again.", metavar="RUN"),
    ] = None,
    assume: Annotated[
        str | None, typer.Option(help="What is not known from runs, e.g. p50=800ms,sigma=0.6,rho=0.3.")
    ] = None,
    detect: Annotated[str, typer.Option(help="The difference that must not be missed.")] = "10%",
    metric: Annotated[str, typer.Option(help="The figure it is about: ttft_p50, ttft_p99, e2e_p50, ...")] = "ttft_p50",
    power: Annotated[float, typer.Option(min=0.5, max=0.99, help="How surely it is to be called.")] = 0.8,
    max_usd: Annotated[str | None, typer.Option(help="What may be spent; dearer designs are marked.")] = None,
    campaign: Annotated[
        str | None, typer.Option(help="How far this campaign has come, and what it still needs.", metavar="NAME")
    ] = None,
    list_runs: Annotated[bool, typer.Option("--runs", help="With --campaign: its runs, one id a line.")] = False,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> int:
    """Tell what a precision takes: requests, runs, hours and dollars. Nothing is sent."""
    from bench.campaigns import history as learnt
    from bench.campaigns import planning
    from bench.commands.money import dollars
    from bench.commands.output import columns_of_terminal
    from bench.conductor.preflight import Options
    from bench.store import runs
    from bench.wire.clock import today

    if campaign is not None and workload is not None:
        raise ConfigError(
            [Problem("command line", "WORKLOAD", str(workload), f"nothing: campaign {campaign} says what is run")]
        )
    if workload is None and campaign is None:
        raise ConfigError([Problem("command line", "WORKLOAD", "nothing", "a workload file, e.g. workloads/rag.yaml")])
    question = planning.Question(
        planning.metric_of(metric), _share(detect), power, None if max_usd is None else dollars(max_usd)
    )
    assumed = learnt.assumptions(assume)
    if campaign is not None or workload is None:
        from bench.commands.campaigns import progress

        return progress(campaign or "", out, question, assumed, list_runs, as_json)
    job = planning.job_of(
        Options(workload=workload, targets=targets, only=_parts(only), out=out, command="bench plan"), today()
    )
    refs = _parts(history)
    stored = [runs.open_run(runs.find_run(ref, out)) for ref in refs]
    if stored:
        figures = learnt.history_figures(stored, assumed)
        source = f"{len(stored)} stored run{'s' if len(stored) > 1 else ''}"
        if any(run.manifest.get("simulated") for run in stored):
            source += ", SIMULATED: they say nothing about any vendor"
    else:
        figures, source = learnt.assumed_figures(assumed), "assumptions"
    answer = planning.answer(job, question, figures, source)
    if as_json:
        print(json.dumps(as_dict(answer), indent=1, default=str))
    else:
        for problem in job.skipped:
            print(f"Left out: {problem}", file=sys.stderr)
        print("\n".join(lines(answer, None if stored else assumed, columns_of_terminal())))
    return 0


def _parts(texts: list[str] | None) -> tuple[str, ...]:
    return tuple(part for text in texts or [] for part in text.split(",") if part)


def _share(text: str) -> float:
    """`10%` or `0.1` as a share of 1."""
    try:
        value = float(text.rstrip(" %")) / (100 if text.rstrip().endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0.001 <= value <= 10:
        raise ConfigError([Problem("command line", "--detect", text, "a difference above 0, e.g. 10%")])
    return value


def as_dict(answer: Answer) -> dict[str, Any]:
    figures = [
        {"metric": f.name, "target": f.of, "rho": f.rho, "hour": f.hour, "day": f.day, "pair": f.pair}
        for f in answer.figures
    ]
    return {
        "workload": answer.workload,
        "question": dataclasses.asdict(answer.question),
        "targets": list(answer.targets),
        "source": answer.source,
        "figures": figures,
        "designs": [dataclasses.asdict(offer) for offer in answer.offers],
        "notes": list(answer.notes),
    }


HEAD = ("design", "runs", "requests", "time", "$ likely", "$ at most", "TTFT p50", "TTFT p99", "E2E p50", "calls")


def lines(answer: Answer, assumed: Any, width: int) -> list[str]:
    """The answer for people, at most so many columns wide; but a command stands in one line, to be copied."""
    from bench.metrics import BY_NAME

    question = answer.question
    asked = (
        f"{answer.workload}: to call a difference of {100 * question.detect:.3g} % in {BY_NAME[question.metric].label} between "
        f"two targets with a power of {question.power:g}. Nothing is sent."
    )
    out = [*folded(asked, width), "", *grid(HEAD, [_row(offer) for offer in answer.offers], width), ""]
    told = ["Requests and ± are per target (the worst of them), ± for any hour of the period at 95 %; open: no upper end.",
            "Calls: the smallest ratio that is called with that power, adjusted for all that is compared."]  # fmt: skip
    out += [line for said in told for line in folded(said, width, "  ")]
    for offer in answer.offers:
        if offer.why:
            out += folded(f"{offer.name}: {offer.why}.", width, "  ")
        if offer.command and offer.spread is not None:
            out.append(f"{offer.name}: {offer.command}")
    notes = [line for note in answer.notes for line in folded(note, width, "  ")]
    return [*out, "", *notes, "", *_sources(answer, assumed, width)]


def _row(offer: Offer) -> tuple[str, ...]:
    if offer.spread is None or offer.half_widths is None:
        return (offer.name, *[UNKNOWN] * (len(HEAD) - 1))
    return (
        offer.name,
        f"{offer.runs:,}",
        f"{offer.spread.requests:,}",
        _time(offer.length_s),
        _usd(offer.usd_likely),
        _usd(offer.usd_most),
        *(width(offer.half_widths[name]) for name in ("ttft_p50_ms", "ttft_p99_ms", "e2e_p50_ms")),
        "none" if offer.smallest_ratio is None else f"{offer.smallest_ratio:.2f}",
    )


def width(value: float | None) -> str:
    return "open" if value is None else f"± {100 * value:.{0 if value >= 0.095 else 1}f} %"


def _usd(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.3g} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.3g} d"


def _sources(answer: Answer, assumed: Any, width: int) -> list[str]:
    from bench.campaigns.design import SOURCES

    if assumed is None:
        head = f"From {answer.source}. Correlation of neighbours, within the hour and within the day:"
        told = folded(head, width, "  ")
        told += [
            f"  {f.name:<12} {f.of:<24} {f.rho:.3f}  {f.hour:.3f}  {f.day:.3f}"
            for f in answer.figures
            if f.name == answer.question.metric
        ]
        return told
    told = folded("Assumed, not measured (--from RUN learns it from stored runs, --assume states it):", width, "  ")
    defaults = type(assumed)()
    for name, why in SOURCES.items():
        field = "p50_ms" if name == "p50" else name
        value = getattr(assumed, field)
        shown = f"{value:g}ms" if name == "p50" else f"{value:g}"
        why = why if value == getattr(defaults, field) else "as you say"
        told += folded(f"  {f'{name}={shown}':<16} {why}", width, " " * 19)
    return told
