"""What values are to each other: parts of one amount, ends of a range, alternatives."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from bench.score.units import Unit

Kind = Literal["number", "money", "percent"]


@dataclass(frozen=True, slots=True)
class Value:
    """An amount in the text. `amounts` has several members where digits read differently by locale (`1.250`).

    `top` is the other end when this is a range; `rivals` are the values offered beside it with "or"; `noun` is the
    run of words after the number when it has no known unit.
    """

    kind: Kind
    amounts: frozenset[Decimal]
    start: int
    end: int
    unit: Unit | None = None
    currencies: frozenset[str] = frozenset()
    noun: str = ""
    top: frozenset[Decimal] | None = None
    rivals: tuple[Value, ...] = ()


_TIMES = ("month", "calendar", "working", "clock")


def compounds(text: str, found: list[Value]) -> list[Value]:
    """`1 hour 30 minutes` is 90 minutes, and neither 1 hour nor 30 minutes.

    `1 year and 10 days` is neither of its parts.
    """
    out: list[Value] = []
    for value in found:
        last = out[-1] if out else None
        if last and last.unit and value.unit and last.unit.family in _TIMES and value.unit.family in _TIMES:
            joined = re.fullmatch(r",?(?: and)? ?", text[last.end : value.start])
            smaller = (_TIMES.index(value.unit.family), -value.unit.factor) > (
                _TIMES.index(last.unit.family),
                -last.unit.factor,
            )
            if joined and smaller and "working" not in (last.unit.family, value.unit.family):
                out.pop()
                same = last.unit.family == value.unit.family
                total = (
                    {a * last.unit.factor + b * value.unit.factor for a in last.amounts for b in value.amounts}
                    if same
                    else ()
                )
                base = Unit(value.unit.family if same else "compound", Decimal(1))
                out.append(Value("number", frozenset(total), last.start, value.end, unit=base))
                continue
        out.append(value)
    return out


def _alike(a: Value, b: Value) -> bool:
    """Whether `a`, which may lack its unit ("10 to 20 days"), can be of one kind with `b`."""
    if a.kind == b.kind:
        return a.kind != "number" or not a.unit or not b.unit or a.unit.family == b.unit.family
    return (a.kind == "number" and not a.unit and not a.noun) or (b.kind == "number" and not b.unit and not b.noun)


_MOVED = re.compile(
    r"\b(?:up|down|raised|increased|extended|lengthened|changed|reduced|lowered|cut|shortened|moved|amended|went|rose"
    r"|fell|dropped)\b(?: \w+){0,3} from $",
    re.I,
)


def ranges(text: str, found: list[Value]) -> list[Value]:
    """`10–20 days`, `between 10 and 20 days` become one range. "Raised from 10 to 20 days" is a change.

    Both ends stay values.
    """
    out: list[Value] = []
    for value in found:
        last = out[-1] if out else None
        if last and last.top is None and _alike(last, value):
            between, before = text[last.end : value.start], text[max(0, last.start - 60) : last.start]
            dash = re.fullmatch(r" ?(?:-|–|\.\.\.?) ?| (?:to|through|up to|and up to) ", between)
            pair = re.fullmatch(r" and ", between) and re.search(r"\bbetween $", before, re.I)
            if (dash or pair) and not _MOVED.search(before):
                out[-1] = replace(_with_kind(last, value), end=value.end, top=_scaled(value), noun=value.noun)
                continue
        out.append(value)
    return out


def _scaled(value: Value) -> frozenset[Decimal]:
    return frozenset(a * value.unit.factor for a in value.amounts) if value.unit else value.amounts


def _with_kind(a: Value, b: Value) -> Value:
    """`a` with the unit or currency that only `b` shows, its amounts in base units."""
    if a.kind == "number" and not a.unit:
        unit = b.unit
        amounts = frozenset(x * unit.factor for x in a.amounts) if unit else a.amounts
        return replace(
            a,
            kind=b.kind,
            amounts=amounts,
            unit=Unit(unit.family, Decimal(1)) if unit else None,
            currencies=b.currencies,
        )
    return replace(a, amounts=_scaled(a), unit=Unit(a.unit.family, Decimal(1)) if a.unit else None)


def rivals(text: str, found: list[Value]) -> list[Value]:
    """Marks values offered side by side: "14 or 30 days", "14, 30 or 45 days".

    Each then states itself only if all are right.
    """
    groups: list[list[Value]] = []
    for value in found:
        last = groups[-1][-1] if groups else None
        link = text[last.end : value.start] if last else ""
        if (
            last
            and _alike(last, value)
            and re.fullmatch(
                r",?\s+(?:or|vs\.?|versus|alternatively)(?: (?:even|maybe|perhaps|possibly|rather|else))? |,\s+", link
            )
        ):
            groups[-1].append(value)
        else:
            groups.append([value])
    out: list[Value] = []
    for group in groups:
        joined = len(group) > 1 and re.search(
            r"\b(?:or|vs|versus|alternatively)\b", text[group[0].end : group[-1].start]
        )
        if not joined:
            out.extend(group)
            continue
        dressed = [_with_kind(v, group[-1]) for v in group]
        out.extend(replace(v, rivals=tuple(dressed[:i] + dressed[i + 1 :])) for i, v in enumerate(dressed))
    return out
