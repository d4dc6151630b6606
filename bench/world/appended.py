"""Tables that people append to what they write: price lists, controller logs, installed machines, measurements."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from decimal import Decimal

from bench.world.ledger import Ledger
from bench.world.paper import price, table
from bench.world.sheet import Part, Sheet

_SOURCES = ("lift-2", "aisle-07", "aisle-08", "gate-1", "gate-2", "merge-3", "sorter", "charger-4", "scanner-11")
_EVENTS = (
    *("state RUN", "state IDLE", "state HOLD", "photo-eye blocked", "photo-eye clear", "retry 1 of 3", "retry 2 of 3"),
    *("telegram late, 41 ms", "telegram late, 118 ms", "battery 62 %", "battery 58 %", "door open", "door closed"),
    *("position lost", "position found", "reset by operator"),
)
_POINTS = (
    *(
        "bearing temperature",
        "belt slip",
        "rail joint gap",
        "brake path",
        "insulation loss",
        "vibration peak",
        "fork play",
    ),
    *("door force", "chain stretch", "cabinet temperature", "filter pressure drop", "wheel wear", "cable sag"),
    "noise at one metre",
)
_UNITS = ("°C", "mm", "mm", "mm", "µA", "mm/s", "mm", "N", "mm", "°C", "Pa", "mm", "mm", "dB")


def prices(sheet: Sheet, rows: int, ledger: Ledger) -> str:
    """A price list. Parts that the document orders are in it, as is much else; none of it is an order."""
    chosen = [value for value in sheet.drawn.values() if isinstance(value, Part)]
    rest = [Part(*part) for part in sheet.stock.parts if Part(*part) not in chosen]
    listed = sorted([*chosen, *sheet.rng.sample(rest, rows - len(chosen))], key=lambda part: part.number)
    lines = [["part", "description", "from 1", "from 10", "from 50"]]
    for part in listed:
        each = price(ledger, part, "EUR", sheet.today)
        lines.append(
            [
                part.number,
                part.name,
                *(sheet.number(each * share, 2) for share in (Decimal(1), Decimal("0.94"), Decimal("0.87"))),
            ]
        )
    return "PRICE LIST, EUR, without VAT\n\n" + table(lines, sheet.rng.choice((0, 1)), frozenset((2, 3, 4)))


def log(sheet: Sheet, rows: int, ledger: Ledger) -> str:
    """Lines of a controller's log, on a clock of its own."""
    at = datetime.combine(sheet.today - timedelta(days=sheet.rng.randint(30, 60)), time(5, 10))
    lines = []
    for _ in range(rows):
        at += timedelta(seconds=sheet.rng.randint(1, 340), milliseconds=sheet.rng.randint(0, 999))
        lines.append(
            f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {sheet.rng.choice(_SOURCES):<11} {sheet.rng.choice(_EVENTS)}"
        )
    return "--- log of an earlier test of the line controller, in universal time ---\n" + "\n".join(lines)


def assets(sheet: Sheet, rows: int, ledger: Ledger) -> str:
    """An appendix of machines and where they stand."""
    lines = [["serial", "town", "hall", "in service since"]]
    for serial in sheet.rng.sample(list(sheet.stock.serials), rows):
        since = sheet.today - timedelta(days=sheet.rng.randint(200, 2500))
        lines.append([serial, sheet.rng.choice(sheet.stock.towns), f"{sheet.rng.randint(1, 9)}", since.isoformat()])
    return "APPENDIX: MACHINES\n\n" + table(lines, 1)


def points(sheet: Sheet, rows: int, text: str) -> str:
    """Measurements with their limits. How many lie outside agrees with the result that the text gives."""
    low, high = {"failed": (2, 4), "passed_with_remarks": (1, 2)}.get(
        (re.search(r"result=(\w+)", text) or [""] * 2)[1], (0, 0)
    )
    odd = set(sheet.rng.sample(range(rows), sheet.rng.randint(low, high)))
    lines = [["Point", "What", "Unit", "Least", "Most", "Measured"]]
    found = 0
    for n in range(rows):
        what = sheet.rng.randrange(len(_POINTS))
        least, most = sheet.rng.randint(2, 18), sheet.rng.randint(30, 90)
        code = f"M{n + 1:03d}"
        value = Decimal(sheet.rng.randint(least * 10 + 4, most * 10 - 4)) / 10
        cells = [code, str(least), str(most), sheet.number(value, 1)]
        if n in odd:
            under = sheet.rng.random() < 0.3
            value = (
                Decimal(least) - Decimal(sheet.rng.randint(1, 15)) / 10
                if under
                else Decimal(most) + Decimal(sheet.rng.randint(1, 60)) / 10
            )
            path = f"deviations.{found}"
            found += 1
            limit, place = (least, 1) if under else (most, 2)
            cells[0] = sheet.cell(f"{path}.point", code)
            cells[place] = sheet.cell(f"{path}.limit", limit)
            cells[3] = sheet.cell(f"{path}.measured", value, sheet.number(value, 1))
        lines.append([cells[0], _POINTS[what], _UNITS[what], *cells[1:]])
    return table(lines, sheet.rng.choice((0, 1)), frozenset((3, 4, 5)))


APPENDED = {"prices": prices, "log": log, "assets": assets}
