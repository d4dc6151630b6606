"""Units, typed values and their written forms, and the seeded draw of what each slot says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

CURRENCIES = ("eur", "dkk", "gbp")

UNITS: dict[str, str] = {
    "cdays": "calendar days",
    "wdays": "working days",
    "days": "days",
    "weeks": "weeks",
    "months": "months",
    "years": "years",
    "hours": "hours",
    "whours": "working hours",
    "shours": "service hours",
    "rhours": "running hours",
    "minutes": "minutes",
    "seconds": "seconds",
    "ms": "milliseconds",
    "mm": "millimetres",
    "nights": "nights",
    "cycles": "cycles",
    "pieces": "pieces",
    "units": "units",
    "people": "people",
    "visitors": "visitors",
    "apprentices": "apprentices",
    "displays": "displays",
    "shuttles": "shuttles",
    "characters": "characters",
    "megabytes": "megabytes",
    "rows": "rows",
    "users": "users",
    "calls": "calls",
    "zones": "zones",
    "rules": "rules",
    "kg": "kg",
    "km": "km",
    "kmh": "km/h",
    "metres": "metres",
    "volts": "volts",
    "millivolts": "millivolts",
    "newtonmetres": "newton metres",
    "celsius": "degrees Celsius",
    "decibels": "decibels",
    "count": "",
    "times": "",
    "ordinal": "",
}
"""Units of numbers as the documents write them; the other units are pct, the currencies, date and the texts."""

COUNTED = frozenset(("cycles", "pieces", "units", "people", "visitors", "apprentices", "displays", "shuttles", "users", "calls",
                     "zones", "rows", "rules", "nights", "characters"))  # fmt: skip
"""Things that are counted: the question names them, so an answer may leave them out."""

TEXTS = ("name", "phrase", "clock", "monthday", "version", "code")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip


@cache
def load_yaml(name: str) -> Any:
    """A YAML file of this package."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load((files("bench.world") / name).read_text(encoding="utf-8"))


def draw(fact_ids: Iterable[str], seed: int) -> dict[str, str]:
    """A value for each fact id: all editions and sites of one key get different ones."""
    choices: Mapping[str, list[Any]] = load_yaml("values.yaml")
    by_key: dict[str, list[str]] = {}
    for fid in sorted(fact_ids):
        by_key.setdefault(fid.split("@")[0], []).append(fid)
    drawn: dict[str, str] = {}
    for key, fids in sorted(by_key.items()):
        rng = random.Random(f"{seed}:value:{key}")
        taken: set[str] = set()
        for fid in fids:
            scope = fid.partition("#")[2]
            of_site = choices.get(f"{key}#{scope}") if scope else None
            pool = choices.get(fid) or of_site or choices[key]
            free = [str(value) for value in pool if str(value) not in taken]
            if not free:
                raise ValueError(f"values.yaml: {key}: more editions than values; add values")
            drawn[fid] = rng.choice(free)
            taken.add(drawn[fid])
    return drawn


def group_digits(amount: str) -> str:
    """1250.00 → 1,250; 1250.50 → 1,250.50."""
    number = Decimal(amount)
    whole = number == number.to_integral_value()
    return f"{number:,.0f}" if whole else f"{number:,.2f}"


def long_date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def written(value: str, unit: str, form: str = "") -> str:
    """A value as it stands in running text. `form` picks another way to write a date or an amount."""
    if unit in CURRENCIES:
        amount = group_digits(value)
        return {"bare": amount, "cents": f"{Decimal(value):.2f}"}.get(form, f"{unit.upper()} {amount}")
    if unit == "date":
        day = date.fromisoformat(value)
        return {"iso": value, "dots": day.strftime("%d.%m.%Y"), "slash": day.strftime("%d/%m/%Y")}.get(
            form, long_date(day)
        )
    if unit in ("km", "cycles", "hours", "kg"):
        return group_digits(value)
    return value.split(" / ", maxsplit=1)[0]


def spoken(value: str, unit: str) -> str:
    """A value with its unit, as an answer states it: `30 calendar days`, `EUR 1,250`, `15 %`."""
    if unit == "pct":
        return f"{value} %"
    text = written(value, unit)
    if unit == "ordinal":
        return f"day {text}"
    if value == "1" and UNITS.get(unit, "").endswith("s"):
        return f"{text} {UNITS[unit][:-1]}"
    return f"{text} {UNITS[unit]}".strip() if unit in UNITS else text


def typed(value: str, unit: str) -> dict[str, Any]:
    """The form in which scorers read a fact."""
    if unit == "pct":
        return {"type": "percent", "value": value}
    if unit in CURRENCIES:
        return {"type": "money", "value": f"{Decimal(value):.2f}", "currency": unit.upper()}
    if unit == "date":
        return {"type": "date", "value": value}
    if unit == "name":
        first, _, last = value.partition(" ")
        return {"type": "name", "value": value, "aliases": [f"{first[0]}. {last}"]}
    if unit == "monthday":
        day, month = value.split()
        return {"type": "phrase", "any_of": [value, f"{month} {day}", f"{day} {month[:3]}", f"{month[:3]} {day}"]}
    if unit == "clock":
        hour, minute = value.split(":")
        twelve = f"{int(hour) % 12 or 12}:{minute}"
        half = "pm" if int(hour) >= 12 else "am"
        return {"type": "phrase", "any_of": [value, f"{hour}h{minute}", f"{twelve} {half}", f"{twelve} {half[0]}.m."]}
    if unit in TEXTS:
        return {"type": "phrase", "any_of": value.split(" / ")}
    return {"type": "number", "value": value, "unit": UNITS[unit]} | (
        {"unit_optional": True} if unit in COUNTED else {}
    )
