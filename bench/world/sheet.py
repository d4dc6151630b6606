"""A sheet of paper that keeps book: every value written on it as a fact is noted with its place.

Prose has slots. `{{path|maker|form}}` draws a value, writes it and notes it as the field's; `{{path||form}}` writes it once more;
`{{path=value|words}}` states a value by other words. A path that begins with `~` is a decoy: written, and noted nowhere.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from bench.world.values import MONTHS, long_date

SLOT = re.compile(r"\{\{([^{}|]+)(?:\|([^{}|]*))?(?:\|([^{}|]*))?\}\}")
OPEN, SEP, CLOSE = "\ue000", "\ue001", "\ue002"
MARKED = re.compile(f"{OPEN}(\\d+){SEP}([^{CLOSE}]*){CLOSE}")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
         "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stated:
    """A field's value as one document states it; `start` and `end` are its place in the text."""

    path: str
    value: Any
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stock:
    """What a world has to be named in documents. Customers and suppliers come with trade and country: `wine FR`, `carrier DK`."""

    parts: Sequence[tuple[str, str]]
    people: Sequence[str]
    customers: Mapping[str, str]
    suppliers: Mapping[str, str]
    towns: Sequence[str]
    serials: Sequence[str]


@dataclass
class Sheet:
    """A document while it is written. `comma` is the decimal mark of its amounts."""

    stock: Stock
    rng: random.Random
    today: date
    comma: str = "."
    noted: list[tuple[str, Any]] = field(default_factory=list)
    drawn: dict[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def cell(self, path: str, value: Any, shown: str = "") -> str:
        """The value as text, marked as the statement of a field. Decoys are only text."""
        text = shown or self.written(value)
        if path.startswith("~"):
            return text
        self.noted.append((path, plain(value)))
        return f"{OPEN}{len(self.noted) - 1}{SEP}{text}{CLOSE}"

    def finish(self, text: str) -> tuple[str, list[Stated]]:
        """The text without marks, and where each statement stands."""
        parts: list[str] = []
        found: list[Stated] = []
        at = length = 0
        for match in MARKED.finditer(text):
            parts += [text[at : match.start()], match[2]]
            length += match.start() - at
            path, value = self.noted[int(match[1])]
            found.append(Stated(path, value, length, length + len(match[2])))
            length += len(match[2])
            at = match.end()
        parts.append(text[at:])
        return "".join(parts), found

    def fill(self, text: str) -> str:
        """Prose with its slots filled, still marked."""
        filled = SLOT.sub(self._slot, text)
        if "{{" in filled:
            raise ValueError(f"a slot that is not understood: {filled[filled.index('{{') :][:60]}")
        return filled

    def _slot(self, match: re.Match[str]) -> str:
        path, maker, shape = match[1], match[2] or "", match[3] or ""
        if "=" in path:
            path, _, raw = path.partition("=")
            value: Any = {"true": True, "false": False}.get(raw, int(raw) if raw.lstrip("-").isdigit() else raw)
            return self.cell(path, value, maker)
        if maker:
            self.drawn[path] = self.draw(maker)
        if path not in self.drawn:
            raise ValueError(f"{path}: mentioned before it was drawn")
        return self.cell(path, self.drawn[path], self.written(self.drawn[path], shape))

    def draw(self, maker: str) -> Any:
        """A value that this document has not used yet."""
        name, *given = maker.split(" ")
        for _ in range(400):
            value = MAKERS[name](self, given)
            mark = f"{type(value).__name__}:{value}"
            if mark not in self.taken:
                self.taken.add(mark)
                return value
        raise ValueError(f"{maker}: no further value")

    def written(self, value: Any, shape: str = "") -> str:
        """A value as it stands on the sheet."""
        if isinstance(value, date):
            return in_days(value, shape)
        if isinstance(value, Money):
            amount = self.number(value.amount, 2)
            if shape == "bare":
                return amount
            if shape == "sign":
                return {"EUR": "€", "GBP": "£"}.get(value.currency, value.currency + " ") + amount
            return f"{amount} {value.currency}" if shape == "after" else f"{value.currency} {amount}"
        if isinstance(value, Quantity):
            unit = value.unit[:-1] if value.value == 1 and value.unit.endswith("s") else value.unit
            text = WORDS[int(value.value)] if shape == "words" else self.number(value.value)
            return f"{text}-{unit.rstrip('s')}" if shape == "hyphen" else f"{text} {unit}"
        if isinstance(value, Part):
            return {"named": f"{value.name} {value.number}", "after": f"{value.number} ({value.name})"}.get(
                shape, value.number
            )
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return (
                WORDS[int(value)]
                if shape == "words"
                else str(value)
                if shape == "bare"
                else self.number(Decimal(value))
            )
        if shape == "last":
            return str(value).partition(" ")[2]
        return str(value).partition(" ")[0] if shape == "first" else str(value)

    def number(self, value: Decimal, places: int | None = None) -> str:
        """An amount with this sheet's marks: 1,250.50 or 1.250,50."""
        text = f"{value:,.{places}f}" if places is not None else f"{value:,f}"
        return text if self.comma == "." else text.translate(str.maketrans(",.", ".,"))


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Part:
    number: str
    name: str


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Money):
        return {"amount": _json_number(value.amount), "currency": value.currency}
    if isinstance(value, Quantity):
        return {"value": _json_number(value.value), "unit": value.unit}
    if isinstance(value, Part):
        return value.number
    if isinstance(value, date):
        return value.isoformat()
    return _json_number(value) if isinstance(value, Decimal) else value


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def in_days(day: date, shape: str = "") -> str:
    """A date in one of the forms that people write."""
    month = MONTHS[day.month - 1]
    forms = {
        "iso": day.isoformat(),
        "dots": day.strftime("%d.%m.%Y"),
        "slash": day.strftime("%d/%m/%Y"),
        "short": f"{day.day} {month[:3]} {day.year}",
        "month_first": f"{month} {day.day}, {day.year}",
    }
    return forms.get(shape) or long_date(day)


def _date(sheet: Sheet, given: list[str]) -> date:
    return sheet.today + timedelta(days=sheet.rng.randint(int(given[0]), int(given[1])))


def _steps(sheet: Sheet, given: list[str]) -> Decimal:
    low, high, step = Decimal(given[0]), Decimal(given[1]), Decimal(given[2] if len(given) > 2 else 1)
    return low + step * sheet.rng.randint(0, int((high - low) / step))


def _code(sheet: Sheet, given: list[str]) -> str:
    """`PO-#####`: a digit for each #, the first of a run never 0."""
    return re.sub(r"#+", lambda run: "".join(str(sheet.rng.randint(0 if n else 1, 9)) for n in range(len(run[0]))),
                  " ".join(given))  # fmt: skip


def _part(sheet: Sheet, given: list[str]) -> Part:
    known = [part for part in sheet.stock.parts if not given or part[0].startswith(given[0])]
    return Part(*sheet.rng.choice(known))


def _firm(sheet: Sheet, firms: Mapping[str, str], trades: list[str]) -> str:
    """Any firm of a list, or one of some trades: `customer wine`, `supplier carrier`."""
    return sheet.rng.choice([name for name, about in firms.items() if not trades or about.split()[0] in trades])


def _serial(sheet: Sheet, given: list[str]) -> str:
    """Any machine, or one of the kinds whose serial numbers begin so: `serial TS TX`."""
    return sheet.rng.choice([serial for serial in sheet.stock.serials if not given or serial[:2] in given])


def _clock(sheet: Sheet, given: list[str]) -> str:
    return f"{sheet.rng.randint(int(given[0]), int(given[1])):02d}:{sheet.rng.randint(0, 59):02d}"


MAKERS: Mapping[str, Callable[[Sheet, list[str]], Any]] = {
    "date": _date,
    "int": lambda sheet, given: int(_steps(sheet, given)),
    "num": _steps,
    "money": lambda sheet, given: Money(_steps(sheet, given[:2] + given[3:]), given[2]),
    "qty": lambda sheet, given: Quantity(_steps(sheet, given[:2] + given[3:]), given[2]),
    "code": _code,
    "part": _part,
    "clock": _clock,
    "pick": lambda sheet, given: sheet.rng.choice(" ".join(given).split("/")),
    "person": lambda sheet, given: sheet.rng.choice(sheet.stock.people),
    "customer": lambda sheet, given: _firm(sheet, sheet.stock.customers, given),
    "supplier": lambda sheet, given: _firm(sheet, sheet.stock.suppliers, given),
    "town": lambda sheet, given: sheet.rng.choice(sheet.stock.towns),
    "serial": _serial,
}
"""What slots can draw: `date -3 10` in days from the document's day, `money 200 900 EUR 0.5`, `serial TS TX`, ..."""
