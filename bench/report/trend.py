"""A history as text for a terminal, and as plain data: a sparkline for each figure, and what changed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from bench.metrics import plural
from bench.nightly.trend import Break, LevelChange, Series, Trend
from bench.report import SIMULATED
from bench.report.gate import shown
from bench.report.plain import visible
from bench.stats.nightly import Gated

UNICODE, ASCII = "▁▂▃▄▅▆▇█", "_.-~=+*#"
"""Eight levels, the lowest first."""
GAP, FAILED = " ", "x"
BREAK_UNICODE, BREAK_ASCII = "│", "|"
LEAST_SPAN = 0.10
"""Of a sparkline, relative, or in shares of 1: what moves by less is drawn as nearly flat."""
_FEWEST_COLUMNS = 12
_COLOUR = {True: "31", False: "32", None: "33"}


def text(trend: Trend, width: int, colour: bool = False, plain: bool = False) -> str:
    """Every target with its figures, one line each, and what changed under it; at most `width` wide. `plain`: ASCII alone."""
    lines = [f"SIMULATED: {SIMULATED}."] if trend.simulated else []
    narrow = width < _NARROW
    columns = min(len(trend.dates), max(_FEWEST_COLUMNS, width - _room(narrow)))
    dates = trend.dates[-columns:]
    known = len(trend.dates) - len(trend.gaps)
    lines.append(f"{visible(trend.workload)}: {plural(known, 'night')} from {trend.dates[0]} to {trend.dates[-1]}"
                 + (f"; drawn from {dates[0]}" if columns < len(trend.dates) else ""))  # fmt: skip
    lines.append(_heads(dates, narrow))
    for target in trend.targets:
        mine = [one for one in trend.series if one.target == target]
        lines += ["", _bold(visible(target)[:width], colour)]
        lines += [_line(one, dates, trend, plain, narrow) for one in mine]
        lines += _told(mine, [b for b in trend.breaks if b.target == target], width, colour)
    lines += ["", *_notes(trend, plain)]
    if trend.simulated:
        lines.append(f"SIMULATED: {SIMULATED}.")
    wrapped = [part for line in lines for part in _wrapped(line, width)]
    made = "\n".join(wrapped) + "\n"
    return made.translate({ord("–"): "-", ord("…"): "."}).encode("ascii", "replace").decode() if plain else made


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width or "\x1b" in line:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent="  " if line.startswith("  ") else "") or [line]


_LABEL, _NUMBER = 16, 12
_NARROW = 80
"""Below this the medians are left out: the sparkline needs the room."""


def _room(narrow: bool) -> int:
    """Columns of a line beside its sparkline: label, the median, the newest."""
    return 2 + _LABEL + (1 if narrow else 2) * (_NUMBER + 1)


def _heads(dates: Sequence[str], narrow: bool) -> str:
    first, last = (f"{date.fromisoformat(day):%-d %b}" for day in (dates[0], dates[-1]))
    over = f"{first:<{len(dates) - len(last)}}{last}" if len(dates) > len(first) + len(last) else " " * len(dates)
    return "  " + " " * _LABEL + ("" if narrow else f"{'median':>{_NUMBER}} ") + f"{over}{'newest':>{_NUMBER + 1}}"


def _line(one: Series, dates: Sequence[str], trend: Trend, plain: bool, narrow: bool) -> str:
    drawn = sparkline(one, dates, [b.date for b in trend.breaks if b.target == one.target], plain)
    newest = one.values[-1]
    late = "" if newest.date == trend.dates[-1] else "*"
    middle = sorted(value.value for value in one.values)[len(one.values) // 2]
    usual = "" if narrow else f"{shown(middle, one.figure.unit):>{_NUMBER}} "
    return f"  {one.figure.label:<{_LABEL}}{usual}{drawn}{shown(newest.value, one.figure.unit) + late:>{_NUMBER + 1}}"


def sparkline(one: Series, dates: Sequence[str], breaks: Sequence[str], plain: bool = False) -> str:
    """One sign for each date: eight levels between the least and the greatest value shown, a space for a gap, x for a percentile
    that is a failed request. A date on which a break lies has the break instead, since what follows is another series."""
    levels, cut = (ASCII, BREAK_ASCII) if plain else (UNICODE, BREAK_UNICODE)
    at = one.by_date
    here = [_scaled(one.figure, at[day].value) for day in dates if day in at and math.isfinite(at[day].value)]
    low, high = (min(here), max(here)) if here else (0.0, 0.0)
    least = math.log1p(LEAST_SPAN) if one.figure.scale == "log" else LEAST_SPAN
    if high - low < least:
        low -= (least - (high - low)) / 2
        if one.figure.scale != "log":
            low = max(0.0, low)
        high = low + least
    made = ""
    for day in dates:
        if day in breaks:
            made += cut
        elif day not in at:
            made += GAP
        elif not math.isfinite(at[day].value):
            made += FAILED
        else:
            share = (_scaled(one.figure, at[day].value) - low) / (high - low)
            made += levels[min(len(levels) - 1, max(0, int(share * len(levels))))]
    return made


def _scaled(figure: Gated, value: float) -> float:
    return math.log(value) if figure.scale == "log" and value > 0 else value


def _told(mine: Sequence[Series], breaks: Sequence[Break], width: int, colour: bool) -> Iterator[str]:
    """What changed, by date: new levels, and breaks."""
    said = [
        (found.date, change_words(one.figure, found), _COLOUR[found.worse]) for one in mine for found in one.changes
    ]
    said += [(cut.date, f"break: {visible('; '.join(cut.differs))}", "") for cut in breaks]
    for day, words, paint in sorted(said, key=lambda one: one[0]):
        yield from _hanging(f"{day}  {words}", width, paint if colour else "")


def together(breaks: Sequence[Break]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """The targets of breaks, by date and what differs: a new workload breaks the series of every target."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in breaks:
        found.setdefault((one.date, one.differs), []).append(one.target)
    return found


def _hanging(said: str, width: int, paint: str) -> Iterator[str]:
    for line in textwrap.wrap(said, width, initial_indent="  ", subsequent_indent=" " * 14):
        yield f"\x1b[{paint}m{line}\x1b[0m" if paint else line


def change_words(figure: Gated, found: LevelChange) -> str:
    """A change of level in words: which figure, from what to what, by how much, and its interval."""
    word = "moved" if found.worse is None else "worse" if found.worse else "better"
    unit, (size, interval) = figure.unit, change_size(figure, found)
    return (f"{figure.label} {word}: {shown(found.before, unit)} before, {shown(found.after, unit)} since, "
            f"{size} (95 %: {interval})")  # fmt: skip


def change_size(figure: Gated, found: LevelChange) -> tuple[str, str]:
    """How large a change is, signed, and its 95 % interval."""
    points = figure.unit == "share"
    digits, sign = (1, "points") if points else (0, "%")
    size, low, high = (f"{100 * x:+.{digits}f}" for x in (found.size, found.low, found.high))
    return f"{size} {sign}", f"{low} to {high} {sign}"


def _notes(trend: Trend, plain: bool) -> list[str]:
    levels, cut = (ASCII, BREAK_ASCII) if plain else (UNICODE, BREAK_UNICODE)
    said = [
        f"One sign a date, from least ({levels[0]}) to most ({levels[-1]}). Space: a gap. "
        f"{cut} from here on nights are unlike those before. {FAILED} a percentile that is a failed request.",
    ]
    if any(one.values[-1].date != trend.dates[-1] for one in trend.series):
        said.append("* not known of the newest night: the value of the last one that has it.")
    said.append("A change of level needs five nights on both sides; newer ones are the gate's to call.")
    if trend.gaps:
        days = list(trend.gaps.items())
        said.append(f"{plural(len(days), 'gap')}: " + "; ".join(f"{day} {visible(why)}" for day, why in days[-5:])
                    + (f"; and {len(days) - 5} before" if len(days) > 5 else ""))  # fmt: skip
    return [*said, *map(visible, trend.notes)]


def _bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text


def nights_text(trend: Trend, width: int, plain: bool = False) -> str:
    """One figure night by night: a line for each date, a column for each target; for `--metric`."""
    figure = trend.series[0].figure
    names = [visible(name) for name in trend.targets]
    wide = max(_NUMBER, min(26, (width - 12) // max(1, len(names)) - 2))
    lines = [f"SIMULATED: {SIMULATED}."] if trend.simulated else []
    lines += [
        f"{figure.label}, night by night",
        "",
        f"{'date':<12}" + "".join(f"{_cut(name, wide):>{wide + 2}}" for name in names),
    ]
    at = {one.target: one.by_date for one in trend.series}
    changed = {(one.target, change.date) for one in trend.series for change in one.changes}
    broken = {(b.target, b.date) for b in trend.breaks}
    for day in trend.dates:
        cells = []
        for target in trend.targets:
            value = at.get(target, {}).get(day)
            mark = BREAK_ASCII if (target, day) in broken else "*" if (target, day) in changed else ""
            cells.append(mark + ("" if value is None else shown(value.value, figure.unit)))
        lines.append(f"{day:<12}" + "".join(f"{cell:>{wide + 2}}" for cell in cells))
        if day in trend.gaps:
            lines[-1] = f"{day:<12}  gap: {visible(trend.gaps[day])}"
    lines += ["", "* a new level begins; | unlike the night before it."]
    for target in trend.targets:
        told = list(_told([one for one in trend.series if one.target == target], [b for b in trend.breaks if b.target == target],
                          width, False))  # fmt: skip
        lines += [visible(target), *told] if told else []
    made = "\n".join(line[:width].rstrip() for line in lines) + "\n"
    return made.translate({ord("–"): "-", ord("…"): "."}).encode("ascii", "replace").decode() if plain else made


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def as_dict(trend: Trend) -> dict[str, Any]:
    """The history as plain data. A percentile that is a failed request is written as the word `fails`."""
    made = asdict(trend)
    for one, given in zip(made["series"], trend.series, strict=True):
        one["figure"] = {"name": given.figure.name, "label": given.figure.label, "unit": given.figure.unit}
        for value in one["values"]:
            value["value"] = "fails" if math.isinf(value["value"]) else value["value"]
    return made
