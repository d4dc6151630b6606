"""A chart as SVG: drawn on the server, so that it needs no program to be seen, and small, since it is made of aggregates.

In a page (`keys` given) colours come from the page's style sheet, each target's marks are one group that the page can hide, and
points carry their words. By itself (`keys` None) a drawing holds its own colours and its legend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from bench.report import looks
from bench.report.document import Axis, Chart, Point, Series

WIDE, NARROW = 640, 360
_TEXT = 12
_LETTER = 6.4
"""The usual width of a letter at that size."""
_LONGEST_NAME = 26
_ROW = 18
_BAR = 14


@dataclass(frozen=True, slots=True)
class _Plot:
    """The rectangle that the axes enclose, in units of the drawing."""

    chart: Chart
    left: float
    top: float
    right: float
    bottom: float
    dodge: float = 0.0
    """How far apart marks of the same x are drawn, so that their intervals can be seen."""

    def at(self, point: Point, style: int | None) -> float:
        return self.x(point.x) + (0.0 if style is None else self.dodge * (style % 8 - 3.5))

    def x(self, value: float | None, edge: float = 0.0) -> float:
        """Where a value lies; an end that is not bounded lies at `edge`."""
        return edge if value is None else self.left + _share(self.chart.x, value) * (self.right - self.left)

    def y(self, value: float | None, edge: float = 0.0) -> float:
        if value is None:
            return edge
        share = _share(self.chart.y, value)
        down = share if self.chart.y.scale == "names" else 1 - share
        return self.top + down * (self.bottom - self.top)


def _share(axis: Axis, value: float) -> float:
    if axis.scale == "log":
        if value <= 0:
            return 0.0
        at = math.log(value / axis.low) / math.log(axis.high / axis.low)
    else:
        at = (value - axis.low) / (axis.high - axis.low)
    return min(max(at, -0.02), 1.02)


def draw(chart: Chart, width: int = WIDE, keys: Mapping[str, str] | None = None) -> str:
    """The drawing. `keys` are short names of the targets for a page's program; without them it stands by itself."""
    names = chart.y.scale == "names"
    left = 14 + _LETTER * max((min(len(text), _LONGEST_NAME) for _, text in chart.y.ticks), default=0)
    title = 0 if keys is not None else _ROW + 6
    legend = _legend(chart, width, keys, title)
    top = 10 + legend.height + (14 if chart.y.label else 0)
    inner = (_ROW + 4) * len(chart.y.ticks) if names else (260 if width >= WIDE else 240)
    plot = _Plot(chart, left, top, width - 22, top + inner, _dodge(chart))
    height = plot.bottom + 44
    size = "w" if width >= WIDE else "n"
    clip = f"{chart.id}-{size}-clip"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_n(height)}" class="{size}" role="img" '
        f'aria-label="{_safe(f"{chart.title}. {chart.summary}")}"'
    )
    if keys is None:
        head += f' width="{width}" height="{_n(height)}"><style>{_own_style()}</style>'
        head += '<rect width="100%" height="100%" class="paper"/>'
    else:
        head += f' data-top="{_n(plot.y(1.0))}" data-bottom="{_n(plot.y(0.0))}">' if chart.y.scale == "linear" else ">"
    parts = [
        head,
        f'<clipPath id="{clip}"><rect x="{_n(left)}" y="{_n(top - 5)}" width="{_n(plot.right - left)}" '
        f'height="{_n(inner + 10)}"/></clipPath>',
        "" if keys is not None else f'<text class="title" x="14" y="{_ROW}">{_safe(chart.title)}</text>',
        _axes(plot),
        _watermark(chart, plot),
        f'<g clip-path="url(#{clip})">',
        *(_series(one, plot, keys, size == "w") for one in _in_layers(chart.series)),
        "</g>",
        _labels(plot, keys),
        legend.drawn,
        "</svg>",
    ]
    return "".join(parts)


def _dodge(chart: Chart) -> float:
    apart = all(one.mark == "line" and not one.band for one in chart.series) and any(
        p.y_low is not None for one in chart.series for p in one.points
    )
    return 2.5 if apart else 0.0


_OWN_STYLE = (
    "text{font:12px sans-serif;fill:#222}.tick{fill:#555}.grid{stroke:#ddd}.axis{stroke:#777}.paper{fill:#fff}"
    ".title{font-size:14px;font-weight:700}.watermark{font-size:44px;font-weight:700;fill:#000;fill-opacity:.1}"
    ".long{font-size:30px}polyline{fill:none;stroke-width:2}.band{stroke:none;fill-opacity:.13}.range{stroke-width:1.3}"
    ".cross{stroke-width:1.8;fill:none}"
)


def _own_style() -> str:
    """For a drawing that stands by itself; plain enough for any program that reads SVG."""
    rules = [_OWN_STYLE]
    for name, colour, dash in (*zip(map("k{}".format, range(len(looks.LIGHT))), looks.LIGHT, looks.DASHES, strict=True),
                               ("kr", looks.REST_LIGHT, "")):  # fmt: skip
        stroked = ",".join(f".{name} {kind}" for kind in ("polyline", ".range", ".cross"))
        filled = ",".join(f".{name} {kind}" for kind in (".band", ".dot", ".bar"))
        rules.append(f"{stroked}{{stroke:{colour}}}{filled}{{fill:{colour}}}")
        rules += [f".{name} polyline{{stroke-dasharray:{dash}}}"] if dash else []
    return "".join(rules)


# ---------------------------------------------------------------- around the plot


@dataclass(frozen=True, slots=True)
class _Legend:
    drawn: str
    height: float


def _legend(chart: Chart, width: int, keys: Mapping[str, str] | None, top: float) -> _Legend:
    """Samples with names, as many rows as they need; those in the background share one sample."""
    shown = [one for one in chart.series if one.mark != "cross"]
    items = [(one.name, _look(one.style), one.target, one.mark) for one in shown if one.style is not None]
    rest = sum(one.style is None for one in shown)
    if rest:
        items.append((f"{rest} others", "kr", "", shown[-1].mark))
    x, y, drawn = 14.0, top + 16.0, []
    for name, look, target, mark in items:
        text = _short(name)
        wide = 30 + _LETTER * len(text) + 12
        if x + wide > width and x > 14:
            x, y = 14.0, y + _ROW
        key = f' data-t="{keys[target]}"' if keys and target in keys else ""
        drawn.append(
            f'<g class="{look}"{key}>{_sample(look, mark, x, y - 4)}<text x="{_n(x + 28)}" y="{_n(y)}">{_safe(text)}</text></g>'
        )
        x += wide
    return _Legend(f'<g class="legend" aria-hidden="true">{"".join(drawn)}</g>', y + 6)


def _sample(look: str, mark: str, x: float, y: float) -> str:
    if mark == "bar":
        return f'<rect class="bar" x="{_n(x + 6)}" y="{_n(y - 5)}" width="14" height="10"/>'
    dot = f'<path class="dot" transform="translate({_n(x + 12)} {_n(y)})" d="{_marker(look)}"/>'
    return dot if mark == "points" else f'<polyline points="{_n(x)},{_n(y)} {_n(x + 24)},{_n(y)}"/>{dot}'


def _axes(plot: _Plot) -> str:
    chart, drawn = plot.chart, []
    fit = max(
        1,
        math.ceil(
            len(chart.x.ticks)
            * (3 + max((len(t) for _, t in chart.x.ticks), default=0))
            * _LETTER
            / (plot.right - plot.left)
        ),
    )
    for i, (value, text) in enumerate(chart.x.ticks):
        x = plot.x(value)
        drawn.append(f'<line class="grid" x1="{_n(x)}" y1="{_n(plot.top)}" x2="{_n(x)}" y2="{_n(plot.bottom)}"/>')
        if i % fit == 0:
            drawn.append(
                f'<text class="tick" x="{_n(x)}" y="{_n(plot.bottom + 16)}" text-anchor="middle">{_safe(text)}</text>'
            )
    for value, text in chart.y.ticks:
        y = plot.y(value)
        if chart.y.scale != "names":
            drawn.append(f'<line class="grid" x1="{_n(plot.left)}" y1="{_n(y)}" x2="{_n(plot.right)}" y2="{_n(y)}"/>')
        drawn.append(
            f'<text class="tick" x="{_n(plot.left - 7)}" y="{_n(y + 4)}" text-anchor="end">{_safe(_short(text))}</text>'
        )
    if chart.y.label:
        drawn.append(f'<text class="tick" x="14" y="{_n(plot.top - 9)}">{_safe(chart.y.label)}</text>')
    drawn.append(
        f'<line class="axis" x1="{_n(plot.left)}" y1="{_n(plot.bottom)}" x2="{_n(plot.right)}" y2="{_n(plot.bottom)}"/>'
    )
    middle = (plot.left + plot.right) / 2
    drawn.append(
        f'<text class="tick" x="{_n(middle)}" y="{_n(plot.bottom + 35)}" text-anchor="middle">{_safe(chart.x.label)}</text>'
    )
    return f'<g aria-hidden="true">{"".join(drawn)}</g>'


def _watermark(chart: Chart, plot: _Plot) -> str:
    if not chart.watermark:
        return ""
    x, y = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2
    # A style sheet gives the size: of one word, or of two.
    look = "watermark long" if " " in chart.watermark else "watermark"
    return (f'<text class="{look}" x="{_n(x)}" y="{_n(y + 14)}" text-anchor="middle" '
            f'transform="rotate(-12 {_n(x)} {_n(y)})">{_safe(chart.watermark)}</text>')  # fmt: skip


def _labels(plot: _Plot, keys: Mapping[str, str] | None) -> str:
    """Names beside single points: there the legend would send the eye away. They move down until none covers another."""
    if not all(one.mark == "points" for one in plot.chart.series):
        return ""
    placed: list[tuple[float, float, float, float]] = []
    drawn = []
    for one in sorted(plot.chart.series, key=lambda s: s.points[0].y, reverse=True):
        if one.style is None:
            continue
        text, x, y = _short(one.name), plot.x(one.points[0].x), plot.y(one.points[0].y)
        wide = _LETTER * len(text)
        left = x + 9 if x + 9 + wide < plot.right else x - 9 - wide
        at = y - 7
        while (
            any(left < ri and left + wide > le and at < bo and at + 13 > to for le, to, ri, bo in placed)
            and at < plot.bottom
        ):
            at += 4
        placed.append((left, at, left + wide, at + 13))
        key = f' data-t="{keys[one.target]}"' if keys and one.target in keys else ""
        drawn.append(f'<text class="label" x="{_n(left)}" y="{_n(at + 4)}"{key}>{_safe(text)}</text>')
    return f'<g aria-hidden="true">{"".join(drawn)}</g>'


# ---------------------------------------------------------------- inside the plot


def _in_layers(series: Sequence[Series]) -> list[Series]:
    """What stays in the background first."""
    return sorted(series, key=lambda one: one.style is not None)


def _series(one: Series, plot: _Plot, keys: Mapping[str, str] | None, told: bool) -> str:
    look = _look(one.style)
    drawn = {"line": _line, "step": _line, "points": _dots, "bar": _bars, "cross": _crosses}[one.mark](one, plot)
    attributes = f' data-t="{keys[one.target]}"' if keys and one.target in keys else ""
    if keys is not None and told:
        middle = one.mark == "bar"
        at = " ".join(
            f"{_n(plot.x((p.x + (p.x_low or 0.0)) / 2) if middle else plot.at(p, one.style))},{_n(plot.y(p.y))}"
            for p in one.points
        )
        attributes += f' data-p="{at}" data-w="{"&#10;".join(_safe(" ".join(p.text.split())) for p in one.points)}"'
    return f'<g class="s {look}"{attributes}>{drawn}</g>'


def _line(one: Series, plot: _Plot) -> str:
    drawn = [_band(one, plot)] if one.band and one.style is not None else []
    if one.style is not None:
        drawn += [_range(p, plot, one.style) for p in one.points if not one.band]
    begin = [i for i, p in enumerate(one.points) if i == 0 or p.breaks]
    for first, end in zip(begin, [*begin[1:], len(one.points)], strict=True):
        part = one.points[first:end]
        if len(part) == 1:
            drawn.append(_dot(part[0], plot, one.style))
        path = _steps(part, plot) if one.mark == "step" else [(plot.at(p, one.style), plot.y(p.y)) for p in part]
        drawn.append(f'<polyline points="{_path(path)}"/>')
    if one.style is not None and not one.band and len(one.points) <= 12:
        drawn += [_dot(p, plot, one.style) for p in one.points]
    return "".join(drawn)


def _steps(points: Sequence[Point], plot: _Plot) -> list[tuple[float, float]]:
    """A share that jumps at every value: along, then up."""
    path = [(plot.x(points[0].x), plot.y(plot.chart.y.low))]
    for p in points:
        path += [(plot.x(p.x), path[-1][1]), (plot.x(p.x), plot.y(p.y))]
    return path


def _band(one: Series, plot: _Plot) -> str:
    """Between the ends of every quantile; an open end runs to the edge. Where nothing bounds a quantile from below, the
    band stops: it would be all of the plot."""
    drawn = ""
    for bounded, part in groupby(one.points, key=lambda p: p.x_low is not None):
        kept = list(part)
        if bounded and len(kept) > 1:
            low = [(plot.x(p.x_low), plot.y(p.y)) for p in kept]
            high = [(plot.x(p.x_high, plot.right), plot.y(p.y)) for p in kept]
            drawn += f'<path class="band" d="M{_path([*low, *reversed(high)], " L")}Z"/>'
    return drawn


def _range(p: Point, plot: _Plot, style: int | None) -> str:
    drawn, x, y = "", plot.at(p, style), plot.y(p.y)
    if p.y_low is not None or p.y_high is not None:
        drawn += _rule(x, plot.y(p.y_low, plot.bottom), x, plot.y(p.y_high, plot.top))
    if p.x_low is not None or p.x_high is not None:
        drawn += _rule(plot.x(p.x_low, plot.left), y, plot.x(p.x_high, plot.right), y)
    return drawn


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="range" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _dots(one: Series, plot: _Plot) -> str:
    return "".join(_range(p, plot, one.style) + _dot(p, plot, one.style) for p in one.points)


def _dot(p: Point, plot: _Plot, style: int | None) -> str:
    return f'<path class="dot" transform="translate({_n(plot.at(p, style))} {_n(plot.y(p.y))})" d="{_marker(_look(style))}"/>'


def _crosses(one: Series, plot: _Plot) -> str:
    return "".join(
        f'<path class="cross" transform="translate({_n(plot.x(p.x))} {_n(plot.y(p.y))})" d="M-4-4L4 4M4-4L-4 4"/>'
        for p in one.points
    )


def _bars(one: Series, plot: _Plot) -> str:
    return "".join(
        f'<rect class="bar" x="{_n(plot.x(p.x_low, plot.left))}" y="{_n(plot.y(p.y) - _BAR / 2)}" '
        f'width="{_n(max(1.0, plot.x(p.x_high) - plot.x(p.x_low, plot.left)))}" height="{_BAR}"/>'
        for p in one.points
    )  # fmt: skip


def _look(style: int | None) -> str:
    return "kr" if style is None else f"k{style % len(looks.LIGHT)}"


def _marker(look: str) -> str:
    return looks.MARKERS[0 if look == "kr" else int(look[1:])]


def _path(points: Sequence[tuple[float, float]], between: str = " ") -> str:
    """Coordinates, without repetitions."""
    return between.join(at for at, _ in groupby(f"{_n(x)},{_n(y)}" for x, y in points))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _safe(text: str) -> str:
    return escape(text, quote=True)


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
