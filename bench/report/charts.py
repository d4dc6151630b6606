"""The charts of a report, from curves and from the table's own cells: aggregates with the words to show beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bench import report
from bench.metrics import UNKNOWN, figure, plural
from bench.report import grids
from bench.report.axes import linear, log, names
from bench.report.document import Block, Chart, Column, Entry, Grid, GridRow, Note, Point, Prose, Series
from bench.stats.curves import EVERY_VALUE, FIRST_TRY, RETRIED, STALLS_MS, Curves, Reading
from bench.stats.types import Cell, Table

SHOWN = (0.50, 0.75, 0.90, 0.95, 0.99)
"""Quantiles that stand in the tables beside curves."""
DISTINCT = 8
"""Looks that can be told apart; further targets stay in the background, named in the tables."""

Styles = Mapping[str, int | None]


def styles(table: Table) -> dict[str, int | None]:
    """A look for each target. Where there are too many: the baseline, and those with the fastest first token."""
    order = [row.target for row in table.rows]
    if len(order) > DISTINCT:
        speed = {row.target: _speed(row.cells.get("ttft_p50_ms"), row.cells.get("e2e_p50_ms")) for row in table.rows}
        first = [order[0], *sorted(order[1:], key=lambda target: speed[target])][:DISTINCT]
        chosen = [target for target in order if target in first]
    else:
        chosen = order
    return {target: chosen.index(target) if target in chosen else None for target in order}


def _speed(*cells: Cell | None) -> tuple[float, ...]:
    return tuple(math.inf if cell is None or cell.value is None else cell.value for cell in cells)


def distribution(curves: Sequence[Curves], kind: str, styles: Styles) -> Block:
    """The share of requests that had come within a time, per target, with the interval of every quantile."""
    picked, title, verb, why = _KINDS[kind]
    series, rows, missing = [], [], []
    for one in curves:
        found = picked(one)
        few = bool(found) and found[0].n <= EVERY_VALUE
        points = tuple(
            Point(r.value, r.p, f"{one.target}, p{r.p * 100:.3g}: {_ms(r)}", x_low=r.low, x_high=r.high)
            for r in found
            if math.isfinite(r.value) and r.value > 0 and (not few or math.isclose(r.p * r.n, round(r.p * r.n)))
        )
        if points:
            series.append(
                Series(one.target, "step" if few else "line", points, one.target, styles.get(one.target), True)
            )
        else:
            missing.append(one.target)
        rows.append(_quantiles(one.target, found))
    if not series:
        return Prose((f"{title}: nothing to draw. {why}.",))
    columns = (Column("target", "name"), Column("n", "number"),
               *(Column(f"p{p * 100:g}", "figure", "ms", "ms", quantile=p) for p in SHOWN))  # fmt: skip
    ends = [v for one in series for p in one.points for v in (p.x, p.x_low, p.x_high) if v]
    notes = [Note(f"a curve that ends below 100 % {verb}")] if kind != "gap" and _unfinished(curves, picked) else []
    notes += [Note(f"not drawn: {', '.join(missing)}. {why}")] if missing else []
    better = "steadier" if kind == "gap" else "faster"
    summary = (
        f"The further left, the {better}. {_extremes(curves, picked)}The band is the 95 % interval of each quantile; it runs to "
        "the edge where the data bound nothing."
    )
    return Chart(f"{kind}-distribution", title, summary, log("ms, logarithmic", ends),
                 linear("share of requests", [0, 1], percent=True), tuple(series),
                 Grid(f"{kind}-quantiles", f"{title}: quantiles, ms", columns, tuple(rows)), tuple(notes))  # fmt: skip


_KINDS: Mapping[str, tuple[Callable[[Curves], tuple[Reading, ...]], str, str, str]] = {
    "ttft": (lambda c: c.ttft, "Time to first token", "did not get a first token from every request: the rest failed",
             "No first token was timed: nothing was streamed, or no request succeeded"),
    "e2e": (lambda c: c.e2e, "Time to the end of the response", "did not finish every request: the rest failed",
            "No request succeeded"),
    "gap": (lambda c: c.gap, "Longest gap between tokens of a reply", "", "No gaps are known"),
}  # fmt: skip


def _extremes(curves: Sequence[Curves], picked: Callable[[Curves], tuple[Reading, ...]]) -> str:
    """Who is first and who is last at the median, for readers who do not see the curves."""
    medians = [(r.value, c.target, r) for c in curves for r in picked(c) if r.p == 0.5 and math.isfinite(r.value)]
    if len(medians) < 2:
        return ""
    (_, first, at_first), (_, last, at_last) = min(medians, key=lambda m: m[0]), max(medians, key=lambda m: m[0])
    return f"At the median, from {_ms(at_first)} at {first} to {_ms(at_last)} at {last}. "


def _unfinished(curves: Iterable[Curves], picked: Callable[[Curves], tuple[Reading, ...]]) -> bool:
    return any(found and math.isinf(found[-1].value) and found[0].value < math.inf for found in map(picked, curves))


def _ms(r: Reading) -> str:
    shown = figure(r.value, r.low, r.high, "ms")
    return f"{shown.text} ms ({shown.interval})" if shown.interval else f"{shown.text} ms"


def _quantiles(target: str, found: Sequence[Reading]) -> GridRow:
    at = {r.p: r for r in found}
    shown = [grids.reading(r.value, r.low, r.high, "ms") if (r := at.get(p)) else Entry(UNKNOWN) for p in SHOWN]
    return GridRow((Entry(target), grids.count(found[0].n if found else 0), *shown), target)


def over_time(curves: Sequence[Curves], styles: Styles) -> Block:
    """Medians of neighbouring blocks, and where requests failed."""
    known = [m.median_ms for c in curves for m in c.course if m.median_ms and math.isfinite(m.median_ms)]
    last_s = max((m.at_s for c in curves for m in c.course), default=0.0)
    if not known:
        return Prose(("Over time: nothing to draw. No request succeeded.",))
    of, unit, factor = _time_unit(last_s)
    y = log("ms, logarithmic", known)
    what = "TTFT" if any(c.ttft for c in curves) else "E2E"
    series, rows = [], []
    for one in curves:
        course = one.course
        good = [m for m in course if m.median_ms and math.isfinite(m.median_ms)]
        said = {m: _moment(one.target, m.at_s / factor, unit, m.median_ms, m.n, m.failed) for m in course}
        style = styles.get(one.target)
        # Where a median was not drawn, the line must not go on as if nothing had been there.
        line = tuple(Point(m.at_s / factor, m.median_ms or 0.0, said[m], breaks=m.breaks or (i > 0 and course[i - 1] not in good))
                     for i, m in enumerate(course) if m in good)  # fmt: skip
        failed = tuple(Point(m.at_s / factor, m.median_ms if m in good and m.median_ms else y.high, said[m])
                       for m in course if m.failed)  # fmt: skip
        if line:
            series.append(Series(one.target, "line", line, one.target, style))
        if failed:
            series.append(Series(f"{one.target}, failed requests", "cross", failed, one.target, style))
        worst = max(good, key=lambda m: m.median_ms or 0.0, default=None)
        medians = sorted(m.median_ms or 0.0 for m in good)
        rows.append(GridRow((
            Entry(one.target), grids.count(len(course)), _plain_ms(medians[0] if medians else None),
            _plain_ms(medians[(len(medians) - 1) // 2] if medians else None), _plain_ms(medians[-1] if medians else None),
            Entry(UNKNOWN if worst is None else f"{worst.at_s / factor:.1f}", None if worst is None else worst.at_s / factor),
            grids.count(sum(m.failed for m in course)),
        ), one.target))  # fmt: skip
    columns = (Column("target", "name"), Column("points", "number", meaning="Neighbouring blocks drawn as one."),
               *(Column(f"{word} point", "number", "ms", "ms") for word in ("fastest", "middle", "slowest")),
               Column("slowest at", "number", "", unit), Column("failed requests", "number"))  # fmt: skip
    summary = (
        f"The median {what} of neighbouring blocks for {plural(len(curves), 'target')}, over {last_s / factor:.1f} {unit}; "
        "a cross marks blocks in which requests failed, at the top where most of them did."
    )
    x = linear(f"{unit} since the first request", [0, max(last_s / factor, 1e-3)])
    return Chart("over-time", f"{what} over time", summary, x, y, tuple(series),
                 Grid("over-time-figures", f"{what} over time, medians of blocks", columns, tuple(rows)),
                 (Note(f"each point is {of} of one target; a line breaks where the target was not asked"),))  # fmt: skip


def _plain_ms(value: float | None) -> Entry:
    return Entry(figure(value, None, None, "ms").text, value, unit="ms")


def _moment(target: str, at: float, unit: str, median: float | None, n: int, failed: int) -> str:
    shown = figure(median, None, None, "ms").text
    return f"{target}, {at:.1f} {unit}: median {shown} ms of {plural(n, 'request')}" + (
        f", {failed} failed" if failed else ""
    )


def _time_unit(last_s: float) -> tuple[str, str, float]:
    for limit, unit, factor in ((180, "seconds", 1.0), (3 * 3600, "minutes", 60.0), (72 * 3600, "hours", 3600.0)):
        if last_s <= limit:
            return "the median of neighbouring blocks", unit, factor
    return "the median of neighbouring blocks", "days", 86_400.0


def cost_quality(table: Table, styles: Styles) -> Block:
    """What a thousand requests cost against the share answered right: the table's own cells."""
    points, missing, rows = [], [], []
    for row in table.rows:
        cost, quality = row.cells["usd_per_1k"], row.cells["quality"]
        rows.append(GridRow((Entry(row.target), *(grids.entry(row.cells[n]) for n in _COST)), row.target))
        if cost.value is None or quality.value is None or not math.isfinite(cost.value):
            missing.append(row.target)
            continue
        said = [report.cell_figure(cell) for cell in (cost, quality)]
        text = (
            f"{row.target}: ${said[0].text} ({said[0].interval}) per 1,000 requests, "
            f"{said[1].text} % right ({said[1].interval})"
        )
        points.append(
            (row.target, Point(cost.value, quality.value, text, cost.low, cost.high, quality.low, quality.high))
        )
    if not points:
        return Prose(("Cost against quality: nothing to draw. No target has both a known price and judged replies.",))
    columns = (Column("target", "name"), *(grids.metric_column(m) for n in _COST for m in table.columns if m.name == n))
    xs = [v for _, p in points for v in (p.x, p.x_low, p.x_high) if v is not None and math.isfinite(v)]
    ys = [v for _, p in points for v in (p.y, p.y_low, p.y_high) if v is not None]
    series = tuple(Series(target, "points", (point,), target, styles.get(target)) for target, point in points)
    notes = (Note(f"not drawn, price or quality unknown: {', '.join(missing)}"),) if missing else ()
    return Chart("cost-quality", "Cost against quality", "Up and to the left is better; the bars are 95 % intervals.",
                 linear("$ per 1,000 requests", xs, margin=True), linear("answered right", ys, percent=True, margin=True), series,
                 Grid("cost-quality-figures", "Cost and quality", columns, tuple(rows)), notes)  # fmt: skip


_COST = ("quality", "usd_per_1k", "usd_per_correct")


def by_length(curves: Sequence[Curves], styles: Styles) -> Block:
    """The median TTFT of requests with prompts of similar length."""
    drawn = [c for c in curves if any(math.isfinite(b.ttft.value) for b in c.bands)]
    if not drawn:
        return Prose(("TTFT against input length: nothing to draw. The prompts are of about one length, their tokens are not "
                      "known, or no first token was timed.",))  # fmt: skip
    bands = max(drawn, key=lambda c: len(c.bands)).bands
    series = tuple(
        Series(c.target, "line", tuple(
            Point(b.tokens, b.ttft.value, f"{c.target}, {_span(b.low_tokens, b.high_tokens)} tokens: {_ms(b.ttft)}, "
                  f"{plural(b.ttft.n, 'request')}", y_low=b.ttft.low, y_high=b.ttft.high)
            for b in c.bands if math.isfinite(b.ttft.value)
        ), c.target, styles.get(c.target))
        for c in drawn
    )  # fmt: skip
    columns = (
        Column("target", "name"),
        *(Column(_span(b.low_tokens, b.high_tokens), "figure", "ms", "tokens") for b in bands),
    )
    rows = tuple(
        GridRow((Entry(c.target), *(_banded(c, b.low_tokens) for b in bands)), c.target) for c in curves if c.bands
    )
    xs = [p.x for s in series for p in s.points]
    ys = [v for s in series for p in s.points for v in (p.y, p.y_low, p.y_high) if v]
    scale = log if max(xs) > 8 * min(xs) else linear
    return Chart("ttft-length", "TTFT against input length",
                 "The median TTFT of requests in bands of prompt length, each with as many requests; bars are 95 % intervals.",
                 scale("tokens of the prompt, cached ones included", xs), log("ms, logarithmic", ys), series,
                 Grid("ttft-length-figures", "TTFT p50 by tokens of the prompt, ms", columns, rows))  # fmt: skip


def _span(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"


def _banded(curves: Curves, low: float) -> Entry:
    found = min(curves.bands, key=lambda b: abs(b.low_tokens - low))
    return grids.reading(found.ttft.value, found.ttft.low, found.ttft.high, "ms")


def gaps(curves: Sequence[Curves], styles: Styles) -> Block:
    """The longest gap of every successful reply, and how many replies stalled."""
    made = distribution(curves, "gap", styles)
    if not isinstance(made, Chart):
        return made
    more = tuple(Column(f"gap ≥ {limit:,.0f} ms", "number", "share", "%", meaning="Share of replies that stalled so long.")
                 for limit in STALLS_MS)  # fmt: skip
    by_target = {c.target: c.stalls for c in curves}
    rows = tuple(
        GridRow(
            (*row.entries, *(_share(over, by_target[row.target].n) for over in by_target[row.target].over)), row.target
        )
        for row in made.data.rows
    )
    data = replace(made.data, columns=(*made.data.columns, *more), rows=rows)
    note = Note("of successful replies; gaps inside one read of the socket are unknown and left out")
    return replace(made, data=data, notes=(*made.notes, note))


def _share(part: int, whole: int) -> Entry:
    if not whole:
        return Entry(UNKNOWN)
    return Entry(
        f"{100 * part / whole:.1f}" if part else "0", part / whole, unit="share", under=f"{part:,} of {whole:,}"
    )


def outcomes(curves: Sequence[Curves]) -> Block:
    """What did not go well at the first try, by kind."""
    kinds = list(dict.fromkeys(kind for c in curves for kind in c.outcomes))
    trouble = [kind for kind in kinds if kind != FIRST_TRY]
    asked = [c for c in curves if sum(c.outcomes.values())]
    if not asked:
        return Prose(("Retries and errors: nothing was measured.",))
    if not trouble:
        return Prose(
            (f"Retries and errors: none. All {sum(c.ok for c in curves):,} requests were answered at the first try.",)
        )
    order = sorted(trouble, key=lambda kind: kind != RETRIED)
    failures = [kind for kind in order if kind != RETRIED]
    series = []
    ends = dict.fromkeys((c.target for c in asked), 0.0)
    for kind in order:
        style = _RETRIED_LOOK if kind == RETRIED else _FAULT_LOOKS[failures.index(kind) % len(_FAULT_LOOKS)]
        bars = []
        for place, c in enumerate(asked):
            n, of = c.outcomes.get(kind, 0), sum(c.outcomes.values())
            if n:
                begin = ends[c.target]
                ends[c.target] = begin + n / of
                bars.append(Point(ends[c.target], float(place), f"{c.target}: {n:,} of {of:,} {kind} ({100 * n / of:.1f} %)",
                                  begin, ends[c.target]))  # fmt: skip
        series.append(Series(kind, "bar", tuple(bars), "", style))
    shown = [FIRST_TRY, *order]
    columns = (Column("target", "name"), Column("requests", "number"), *(Column(kind, "number") for kind in shown),
               Column("attempts", "number", meaning="Tries on the wire, for all requests together."),
               Column("retried after"))  # fmt: skip
    rows = tuple(
        GridRow((Entry(c.target), grids.count(sum(c.outcomes.values())), *(grids.count(c.outcomes.get(k, 0)) for k in shown),
                 grids.count(c.attempts), Entry(", ".join(f"{n:,} {w}" for w, n in c.first_faults.items()))), c.target)
        for c in curves
    )  # fmt: skip
    return Chart("outcomes", "Retries and errors by kind",
                 "The share of requests that were not answered at the first try, by how they ended; all others were.",
                 linear("share of requests", [0, max(ends.values())], percent=True),
                 names("", [c.target for c in asked]), tuple(series),
                 Grid("outcomes-figures", "How requests ended", columns, rows))  # fmt: skip


_RETRIED_LOOK, _FAULT_LOOKS = 5, (1, 3, 4, 7, 0, 2, 6)
"""Failures in the stronger colours."""
_LEVELS = (("achieved_per_s", "level-throughput", "Throughput by level", "requests per second that came back"),
           ("ttft_p95_ms", "level-ttft", "TTFT p95 by level", "ms, logarithmic"),
           ("e2e_p95_ms", "level-e2e", "E2E p95 by level", "ms, logarithmic"))  # fmt: skip


def levels(table: Table, styles: Styles) -> list[Chart]:
    """What each target did at each level of a sweep: the table's own cells."""
    made = []
    ordered = report.levels_in_order(table)
    for name, chart_id, title, label in _LEVELS:
        series = []
        for target in dict.fromkeys(one.target for one in ordered):
            points = []
            for one in sorted((o for o in ordered if o.target == target), key=lambda o: o.level):
                cell = one.cells[name]
                if cell.value is not None and math.isfinite(cell.value) and cell.value > 0:
                    shown = report.cell_figure(cell)
                    text = f"{target} at {one.level:g}: {shown.text}" + (
                        f" ({shown.interval})" if shown.interval else ""
                    )
                    points.append(Point(one.level, cell.value, text, y_low=cell.low, y_high=cell.high))
            if points:
                series.append(Series(target, "line", tuple(points), target, styles.get(target)))
        if series:
            xs = [p.x for s in series for p in s.points]
            ys = [v for s in series for p in s.points for v in (p.y, p.y_low, p.y_high) if v and math.isfinite(v)]
            y = linear(label, [0, *ys]) if name == "achieved_per_s" else log(label, ys)
            data = Grid(f"{chart_id}-figures", title, (Column("target", "name"), Column("level", "number"),
                        Column(title, "figure", ordered[0].cells[name].unit)), tuple(
                GridRow((Entry(one.target), Entry(f"{one.level:g}", one.level), grids.entry(one.cells[name])), one.target)
                for one in ordered))  # fmt: skip
            made.append(Chart(chart_id, title, f"{title} for {plural(len(series), 'target')}; bars are 95 % intervals.",
                              linear("level: requests per second offered, or in flight", xs, margin=True), y,
                              tuple(series), data))  # fmt: skip
    return made
