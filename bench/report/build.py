"""From a finished table and the runs behind it to a report's document: every format is rendered from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bench import report
from bench.metrics import METRICS, plural
from bench.report import charts, grids, provenance, words
from bench.report.document import (
    Block,
    Chart,
    Document,
    Note,
    Notes,
    Prose,
    Section,
    Terms,
    Watermark,
)
from bench.report.plain import cleaned
from bench.stats.beside import named
from bench.stats.curves import Curves, curves
from bench.stats.pool import manifest_of
from bench.stats.types import Table
from bench.store.columns import Columns

DRAWN_ROWS = 20_000_000
"""Above this, charts would need more memory than the histograms that made the table: they are left out, and that is said."""


class StoredRun(Protocol):
    """A run on disk, as bench.store.runs.Run is one."""

    @property
    def path(self) -> Path: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


def document(table: Table, runs: Sequence[StoredRun], pooled: bool = False) -> Document:
    """The report of a table. `runs` are those the table was made of, in the order of their start; charts are read from
    their rows. `pooled` says that several runs stand together in each row, instead of side by side."""
    manifests = [run.manifest for run in runs]
    beside = len(runs) > 1 and not pooled
    drawn = _curves(runs, pooled)
    looks = charts.styles(table)
    marks = tuple(
        Watermark("SIMULATED" if word == "SIMULATED" else "PARTIAL", meaning) for word, meaning in report.banners(table)
    )
    verdict, answers = _verdict(table, beside)
    made = Document(
        title=table.title or "A run without a title",
        question=_question(table, len(runs), beside),
        verdict=verdict,
        answers=answers,
        watermarks=marks,
        counts=_counts(table, drawn),
        front=tuple(_front(table)),
        sections=tuple(section for section in _sections(table, drawn, looks, manifests) if section.blocks),
        targets=tuple(row.target for row in table.rows),
        styles=looks,
        run_id=table.run_id,
        identity=provenance.identity(manifests),
        table=table,
    )
    return cleaned(_stamped(made), frozenset({"table"}))


def _stamped(made: Document) -> Document:
    """The watermark on every chart: each may be cut out and passed on by itself."""

    def stamp(block: Block) -> Block:
        return replace(block, watermark=made.watermark) if isinstance(block, Chart) else block

    sections = tuple(replace(one, blocks=tuple(map(stamp, one.blocks))) for one in made.sections)
    return replace(made, front=tuple(map(stamp, made.front)), sections=sections)


# ---------------------------------------------------------------- what was asked, and the answer


def _question(table: Table, runs: int, beside: bool) -> str:
    targets = [row.target for row in table.rows]
    if beside:
        return f"Has anything changed between these {runs} runs?"
    over = f", over {runs} runs" if runs > 1 else ""
    models = list(dict.fromkeys(row.model for row in table.rows if row.model))
    model = models[0] if len(models) == 1 else "each model"
    if len(targets) == 1:
        return f"{model} at {targets[0]}{over}: how fast, how reliable, how good, at what price, and how sure is that?"
    if not targets:
        return "How fast, how reliable, how good, at what price?"
    which = "which is the fastest, the most reliable, the best for its price, and how sure is that?"
    return f"{model} at {len(targets)} targets{over}: {which}"


def _verdict(table: Table, beside: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The sentence at the top, and what stands under it."""
    if beside:
        proven = list(
            dict.fromkeys(c.target for c in table.comparisons if c.primary and grids.tone_of(c) in ("good", "bad"))
        )
        said = (
            f"A change is proven for {', '.join(proven)}"
            if proven
            else "No change is proven, which does not prove that there is none"
        )
        return f"{said}.", table.answers
    first = [answer for about, answer in table.answers if about.startswith("which cloud")]
    rest = tuple(pair for pair in table.answers if not pair[0].startswith("which cloud"))
    if not first:
        return "Nothing was measured.", rest
    return " ".join(f"{_sentence(answer)}." for answer in first), rest


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counts(table: Table, drawn: Sequence[Curves] | None) -> str:
    if drawn is None:
        return f"{sum(row.n for row in table.rows):,} requests counted."
    total = {
        name: sum(getattr(c.rows, name) for c in drawn)
        for name in ("stored", "counted", "warmup", "spoiled", "bugs", "impossible")
    }
    said = [f"{plural(total['stored'], 'request')} stored, {total['counted']:,} counted",
            f"left out: {total['warmup']:,} of the warm-up, {total['spoiled']:,} spoiled ({words.SPOILED})"]  # fmt: skip
    if total["bugs"]:
        said.append(f"{total['bugs']:,} that ended in a bug of bench itself")
    if total["impossible"]:
        said.append(f"{total['impossible']:,} with impossible stamps")
    return f"{said[0]}; {', '.join(said[1:])}."


# ---------------------------------------------------------------- what is shown


def _front(table: Table) -> Iterator[Block]:
    yield grids.figures(table, "comparison", "Every target: value and 95 % interval")
    if table.alarms:
        yield Notes(tuple(Note(text, tone="alarm") for text in table.alarms))
    yield from grids.compared(table, "against")


def _sections(
    table: Table, drawn: Sequence[Curves] | None, looks: charts.Styles, manifests: Sequence[Mapping[str, Any]]
) -> Iterator[Section]:
    if table.levels:
        yield Section("levels", "Levels of load", (grids.levels(table), *charts.levels(table, looks)))
    if drawn is None:
        yield Section("speed", "Speed", (Prose((f"More than {DRAWN_ROWS:,} rows: no charts.",)),))
    else:
        speed = (charts.distribution(drawn, "ttft", looks), charts.distribution(drawn, "e2e", looks),
                 charts.over_time(drawn, looks), charts.by_length(drawn, looks), charts.gaps(drawn, looks))  # fmt: skip
        yield Section("speed", "Speed", speed)
        yield Section("reliability", "Reliability", (charts.outcomes(drawn),))
    books = {one.target: one.books for one in drawn or ()}
    money = (charts.cost_quality(table, looks), *grids.cost(table, books), *grids.scorers(table))
    yield Section("price", "Price and quality", money)
    yield Section("slices", f"Slices by {table.sliced_by}", tuple(grids.slices(table)))
    yield Section("notes", "What a reader must know", tuple(_notes(table)))
    yield Section("method", "How it was measured", (Prose(words.method(table, manifests[-1])),))
    yield Section("limits", "What it does not say", (Notes(tuple(Note(text) for text in words.limits(table))),))
    yield Section("provenance", "What ran, where, with which versions", provenance.blocks(manifests))
    yield Section("every-figure", "Every figure", (grids.everything(table),))
    yield Section("words", "Words", (Terms((*_figures(table), *words.TERMS)),))


def _figures(table: Table) -> list[tuple[str, str]]:
    """What every figure of the report is, those of the first screen first."""
    there = {name for row in table.rows for name in row.cells}
    rest = [m for m in METRICS if m.name in there and m not in table.columns]
    return [(m.label, m.definition) for m in (*table.columns, *rest)]


def _notes(table: Table) -> Iterator[Notes]:
    found = [Note(text) for text in table.notes]
    found += [
        Note(text, label=label) for label, text in (("next", table.hint), ("instrument", table.instrument)) if text
    ]
    if found:
        yield Notes(tuple(found))


# ---------------------------------------------------------------- curves


def _curves(runs: Sequence[StoredRun], pooled: bool) -> tuple[Curves, ...] | None:
    stored = Columns(tuple(run.path for run in runs), "requests")
    if stored.rows > DRAWN_ROWS:
        return None
    if pooled or len(runs) == 1:
        # One run of a campaign has the unit of the pool, too: it bounds nothing, on the chart as in the table.
        facts = manifest_of([run.manifest for run in runs]) if pooled else runs[0].manifest
        return curves(stored, facts, [_zero_ns(run.manifest) for run in runs])
    made = [
        replace(one, target=named(one.target, str(run.manifest.get("run_id") or "")))
        for run in runs
        for one in curves(Columns((run.path,), "requests"), run.manifest, [_zero_ns(run.manifest)])
    ]
    # As in the table: the runs of one target next to each other.
    places = {name: i for i, name in enumerate(dict.fromkeys(one.target.rpartition(" @")[0] for one in made))}
    return tuple(sorted(made, key=lambda one: places[one.target.rpartition(" @")[0]]))


def _zero_ns(manifest: Mapping[str, Any]) -> int:
    """The wall time of a run's zero."""
    return int((manifest.get("anchor") or {}).get("wall_ns") or manifest.get("started_unix_ns") or 0)
