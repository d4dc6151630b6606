"""A history as one self-contained page, drawn by the renderer of reports: a chart for each figure, each with its table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from bench.metrics import plural
from bench.nightly.trend import LevelChange, NightValue, Series, Trend
from bench.report import SIMULATED
from bench.report.axes import linear, log
from bench.report.charts import DISTINCT
from bench.report.document import (
    Axis,
    Chart,
    Column,
    Document,
    Entry,
    Grid,
    GridRow,
    Note,
    Notes,
    Point,
    Prose,
    Section,
    Terms,
    Tone,
    Watermark,
)
from bench.report.document import Series as Drawn
from bench.report.formats import html
from bench.report.gate import shown
from bench.report.plain import cleaned
from bench.report.trend import change_size, change_words, together
from bench.stats.nightly import GATED, Gated
from bench.stats.types import Table

_TICKS = 6
_SECTIONS = (("speed", "Speed", ("latency",)), ("delivery", "Reliability and quality", ("delivery", "quality")),
             ("price", "Price, and what is watched", ("cost", "watch")))  # fmt: skip


def page(trend: Trend) -> bytes:
    return html.render(document(trend))


def document(trend: Trend) -> Document:
    """The trend as a report: what changed first, then every figure over the dates."""
    looks = {target: n if n < DISTINCT else None for n, target in enumerate(trend.targets)}
    marks = (Watermark("SIMULATED", SIMULATED),) if trend.simulated else ()
    known = len(trend.dates) - len(trend.gaps)
    over = f"{plural(known, 'night')}, {trend.dates[0]} to {trend.dates[-1]}"
    gaps = f"; {plural(len(trend.gaps), 'date')} without a valid night" if trend.gaps else ""
    made = Document(
        title=f"{trend.workload}, night by night",
        question=f"Has anything changed at {plural(len(trend.targets), 'target')} over {over}?",
        verdict=_verdict(trend), answers=(), watermarks=marks, counts=f"{over}{gaps}.",
        front=(_newest(trend), _changes(trend)),
        sections=tuple(_sections(trend, looks)),
        targets=trend.targets, styles=looks, run_id="", identity=f"{trend.workload}, {trend.dates[0]} to {trend.dates[-1]}",
        table=Table(trend.workload, "", (), ()),
    )  # fmt: skip
    return cleaned(made, frozenset({"table"}))


def _verdict(trend: Trend) -> str:
    changes = [(found, one) for one in trend.series for found in one.changes]
    worse = sum(found.worse is True for found, _ in changes)
    if not changes:
        return "No change of level is proven, which does not prove that there is none."
    newest, where = max(changes, key=lambda pair: pair[0].date)
    return (f"{plural(len(changes), 'change')} of level, {worse} for the worse. The newest: {newest.date}, {where.target}, "
            f"{change_words(where.figure, newest)}.")  # fmt: skip


def _entry(figure: Gated, value: NightValue | None) -> Entry:
    if value is None:
        return Entry("–")
    ends = (
        ""
        if value.low is None or value.high is None
        else f"{shown(value.low, figure.unit)} to {shown(value.high, figure.unit)}"
    )
    return Entry(shown(value.value, figure.unit), value.value, value.low, value.high, figure.unit, ends)


def _newest(trend: Trend) -> Grid:
    figures = [gated for gated in GATED if any(one.figure == gated for one in trend.series)]
    at = {(one.target, one.figure.name): one for one in trend.series}
    columns = (Column("target", "name"), *(Column(g.label, "figure", g.unit) for g in figures))
    rows = [GridRow((Entry(target), *(_last(at.get((target, g.name)), g, trend) for g in figures)), target)
            for target in trend.targets]  # fmt: skip
    return Grid(
        "newest",
        f"The newest night, {trend.dates[-1]}: value, and two standard errors to each side",
        columns,
        tuple(rows),
    )


def _last(one: Series | None, figure: Gated, trend: Trend) -> Entry:
    return _entry(figure, one.by_date.get(trend.dates[-1]) if one else None)


def _changes(trend: Trend) -> Grid | Notes:
    found = sorted(((change, one) for one in trend.series for change in one.changes),
                   key=lambda pair: (pair[0].date, pair[1].target), reverse=True)  # fmt: skip
    if not found:
        return Notes((Note("No change of level: five nights on both sides are needed to see one."),))
    columns = (Column("date", "name"), Column("target"), Column("figure"), Column("before", "number"), Column("since", "number"),
               Column("change", "verdict", meaning="With its 95 % interval, the date taken as known."))  # fmt: skip
    rows = [GridRow((Entry(change.date), Entry(one.target), Entry(one.figure.label), _level(one.figure, change.before),
                     _level(one.figure, change.after), _size(one.figure, change))) for change, one in found]  # fmt: skip
    return Grid("changes", "Changes of level, the newest first", columns, tuple(rows))


def _level(figure: Gated, value: float) -> Entry:
    return Entry(shown(value, figure.unit), value, unit=figure.unit)


def _size(figure: Gated, change: LevelChange) -> Entry:
    words, tone = _MEANING[change.worse]
    size, interval = change_size(figure, change)
    return Entry(size, change.size, change.low, change.high, "share", interval, words=words, tone=tone)


_MEANING: Mapping[bool | None, tuple[str, Tone]] = {
    True: ("worse", "bad"), False: ("better", "good"), None: ("moved", "unclear"),
}  # fmt: skip


def _sections(trend: Trend, looks: Mapping[str, int | None]) -> Iterator[Section]:
    for name, title, kinds in _SECTIONS:
        found = [g for g in GATED if g.kind in kinds and any(one.figure == g for one in trend.series)]
        if found:
            yield Section(name, title, tuple(_chart(trend, g, looks) for g in found))
    yield Section("notes", "Gaps and breaks", (Notes(tuple(_notes(trend))),))
    yield Section("method", "How to read it", (Prose(_METHOD), Terms(_TERMS)))


_METHOD = (
    "One value for each night: requests of one night share its mood. A gap is a date without a valid night, neither zero nor the "
    "night before. A line breaks where a night is unlike the one before it: in digest, load, region, tier or settings.",
    "A change of level is found by e-divisive: the energy distance of the nights before and after, against the same nights in "
    "shuffled orders, so that all figures of all targets together show a change where there is none at most once in twenty "
    "times. It needs five nights on both sides: the newest are the gate's to judge. The interval is Welch's, with the date "
    "taken as known; a date was chosen because the change is large there, so it flatters.",
)
_TERMS = (
    ("cross", "the first night of a new level"),
    ("gap", "a date without a valid night"),
    ("break", "from here on nights are unlike those before"),
)


def _notes(trend: Trend) -> Iterator[Note]:
    for (day, differs), targets in together(trend.breaks).items():
        who = ", ".join(targets) if len(targets) < len(trend.targets) else "every target"
        yield Note("; ".join(differs), label=f"{day}, {who}: break.", tone="warning")
    for day, why in reversed(list(trend.gaps.items())):
        yield Note(why, label=f"{day}: gap.")
    for text in trend.notes:
        yield Note(text)
    if not (trend.breaks or trend.gaps or trend.notes):
        yield Note("None: every date has a valid night, and all are alike.")


def _chart(trend: Trend, figure: Gated, looks: Mapping[str, int | None]) -> Chart:
    drawn = [one for one in trend.series if one.figure == figure]
    places = {day: n for n, day in enumerate(trend.dates)}
    finite = [
        v.value
        for one in drawn
        for v in one.values
        if math.isfinite(v.value) and (figure.scale != "log" or v.value > 0)
    ]
    y = _axis(figure, finite)
    marks: list[Drawn] = []
    for one in drawn:
        cuts = {b.date for b in trend.breaks if b.target == one.target}
        usable = [v for v in one.values if math.isfinite(v.value) and (figure.scale != "log" or v.value > 0)]
        points = tuple(
            Point(places[v.date], v.value, f"{one.target}, {v.date}: {shown(v.value, figure.unit)}, n {v.n:,}",
                  breaks=n > 0 and (v.date in cuts or places[v.date] - places[usable[n - 1].date] > 1))
            for n, v in enumerate(usable)
        )  # fmt: skip
        if points:
            marks.append(Drawn(one.target, "line", points, one.target, looks[one.target]))
        at = one.by_date
        new = tuple(
            Point(places[c.date], at[c.date].value, f"{one.target}, {c.date}: {change_words(figure, c)}")
            for c in one.changes
        )
        if new:
            marks.append(Drawn(f"{one.target}, new level", "cross", new, one.target, looks[one.target]))
        failed = tuple(Point(places[v.date], y.high, f"{one.target}, {v.date}: a failed request") for v in one.values
                       if not math.isfinite(v.value))  # fmt: skip
        if failed:
            marks.append(Drawn(f"{one.target}, failed", "cross", failed, one.target, looks[one.target]))
    return Chart(
        f"{figure.name.replace('_', '-')}-trend", figure.label, _summary(figure, drawn), _calendar(trend.dates), y, tuple(marks),
        _table(trend, figure, drawn), _chart_notes(trend), "SIMULATED" if trend.simulated else "",
    )  # fmt: skip


def _chart_notes(trend: Trend) -> tuple[Note, ...]:
    """What in this history makes its lines stop."""
    why = [
        word
        for word, there in (("a date has no valid night", trend.gaps), ("nights are unlike those before", trend.breaks))
        if there
    ]
    return (Note(f"a line stops where {', and where '.join(why)}: see below"),) if why else ()


def _axis(figure: Gated, values: Sequence[float]) -> Axis:
    if not values:
        return linear(figure.unit, [0, 1])
    if figure.unit == "share":
        return linear(figure.label, [*values, *([0.05] if max(values) == 0 else [])], percent=True, margin=True)
    if max(values) > 3 * min(values):
        return log(f"{figure.unit}, logarithmic", values)
    return linear(figure.unit, values, margin=True)


def _calendar(dates: Sequence[str]) -> Axis:
    """Dates by the calendar, so that a gap is as wide as it was long."""
    last = max(len(dates) - 1, 1)
    step = max(1, math.ceil(last / _TICKS))
    ticks = tuple((float(n), f"{date.fromisoformat(dates[n]):%-d %b}") for n in range(0, len(dates), step))
    return Axis("night, UTC", "linear", 0.0, float(last), ticks)


def _summary(figure: Gated, drawn: Sequence[Series]) -> str:
    changes = [f"{found.date} at {one.target}" for one in drawn for found in one.changes]
    better = "" if figure.watched else f"{figure.better.capitalize()} is better. "
    told = f"New levels: {', '.join(changes)}." if changes else "No change of level."
    return f"{better}{told}"


def _table(trend: Trend, figure: Gated, drawn: Sequence[Series]) -> Grid:
    at = {one.target: one.by_date for one in drawn}
    columns = (Column("night", "name"), *(Column(one.target, "figure", figure.unit) for one in drawn))
    rows = [GridRow((Entry(day, under="gap" if day in trend.gaps else ""),
                     *(_entry(figure, at[one.target].get(day)) for one in drawn))) for day in trend.dates]  # fmt: skip
    return Grid(f"{figure.name.replace('_', '-')}-nights", f"{figure.label}, night by night", columns, tuple(rows))
