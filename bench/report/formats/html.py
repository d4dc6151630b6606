"""One self-contained page: no network, no library; complete without its small program, printed, on a phone and in the dark."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate
from typing import Any

from markupsafe import Markup, escape

from bench.metrics import plural
from bench.report import looks, svg
from bench.report.document import Chart, Document, Entry, Grid, Prose, Section

_SYMBOLS = {"good": "▲", "bad": "▲", "same": "=", "unclear": "?"}
_DOWN = frozenset({"faster", "cheaper", "worse"})


MOST_SLICES = 1000
"""Rows of all tables of slices: forty targets in twelve slices, which keeps the page below three megabytes."""


def render(document: Document) -> bytes:
    document = replace(document, sections=tuple(map(_of_a_size, document.sections)))
    keys = {target: f"t{i}" for i, target in enumerate(document.targets)}
    style = _style(document)
    script = _asset("page.js")
    charted = [i for i, section in enumerate(document.sections) if any(isinstance(b, Chart) for b in section.blocks)]
    end = charted[-1] + 1 if charted else 0
    text = _template().render(
        document=document, keys=keys, looks={target: _look(document, target) for target in document.targets},
        style=Markup(style), style_hash=Markup(_hash(style)), script=Markup(script), script_hash=Markup(_hash(script)),  # noqa: S704 our own files
        targets=_json([{"key": key, "name": target} for target, key in keys.items()]),
        zone=document.sections[:end], rest=document.sections[end:],
        drawn=lambda chart, wide: Markup(svg.draw(chart, svg.WIDE if wide else svg.NARROW, keys)),  # noqa: S704 svg escapes
    )  # fmt: skip
    return str(text).encode()


def _of_a_size(section: Section) -> Section:
    """The section with as many tables of slices as there is room for, and how many there is none for."""
    if section.id != "slices":
        return section
    sizes = accumulate(len(block.rows) if isinstance(block, Grid) else 0 for block in section.blocks)
    kept = [block for block, size in zip(section.blocks, sizes, strict=True) if size <= MOST_SLICES]
    left = len(section.blocks) - len(kept)
    said = f"{plural(left, 'table')} of slices left out for size: the XLSX, CSV and JSON forms have them."
    return replace(section, blocks=(*kept, Prose((said,)))) if left else section


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    loader = DictLoader({"page": _asset("page.html.jinja")})
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    env.tests["chart"] = lambda block: isinstance(block, Chart)
    env.filters["code"] = _code
    env.globals |= {"symbol": _symbol, "kind_of": lambda block: type(block).__name__}
    return env.get_template("page")


def _asset(name: str) -> str:
    return (files("bench.report") / "page" / name).read_text(encoding="utf-8")


def _style(document: Document) -> str:
    """The style sheet, with the colours of the targets and the words of the printed margins."""
    light, dark = looks.css(looks.LIGHT, looks.REST_LIGHT), looks.css(looks.DARK, looks.REST_DARK)
    dashes = "".join(f".k{i} polyline{{stroke-dasharray:{dash}}}" for i, dash in enumerate(looks.DASHES) if dash)
    margins = (
        f'@page{{@bottom-left{{content:"{_plain(document.identity)}";font:7pt sans-serif}}'
        f'@top-center{{content:"{_plain(document.watermark)}";font:bold 10pt sans-serif}}'
        '@bottom-right{content:counter(page) " / " counter(pages);font:7pt sans-serif}}'
    )
    own = f"@media screen{{{light}}}@media screen and (prefers-color-scheme:dark){{{dark}}}@media print{{{light}{margins}}}"
    return _asset("page.css") + own + dashes


def _plain(text: str) -> str:
    """Text that ends no string of a style sheet."""
    return re.sub(r"[^\w .:·@+/-]", "?", text)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _code(text: str) -> Markup:
    """Text in which `words` between backticks are code; everything else is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 escaped before


def _json(value: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704 nothing in it is markup any more


def _look(document: Document, target: str) -> tuple[str, str]:
    style = document.styles.get(target)
    return ("kr", looks.MARKERS[0]) if style is None else (f"k{style}", looks.MARKERS[style])


def _symbol(entry: Entry) -> str:
    stem = entry.words.removesuffix(" (small)")
    return "▼" if stem in _DOWN else _SYMBOLS.get(entry.tone, "")
