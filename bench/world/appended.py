"""Tables that people append to what they write: price lists, controller logs, installed machines, measurements."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, time, timedelta
from decimal import Decimal

from bench.world.ledger import Ledger
from bench.world.paper import price, table
from bench.world.sheet import Part, Sheet

_SOURCES = {
    "lift-2": ("state RUN", "state IDLE", "state HOLD", "position lost", "position found", "reset by operator"),
    "aisle-07": (
        "telegram late, 41 ms",
        "telegram late, 118 ms",
        "retry 1 of 3",
        "retry 2 of 3",
        "state RUN",
        "state HOLD",
    ),
    "aisle-08": (
        "telegram late, 38 ms",
        "telegram late, 127 ms",
        "retry 1 of 3",
        "retry 2 of 3",
        "state RUN",
        "state HOLD",
    ),
    "gate-1": ("door open", "door closed", "photo-eye blocked", "photo-eye clear"),
    "gate-2": ("door open", "door closed", "photo-eye blocked", "photo-eye clear", "reset by operator"),
    "merge-3": ("state RUN", "state IDLE", "photo-eye blocked", "photo-eye clear", "retry 1 of 3"),
    "sorter": ("state RUN", "state IDLE", "state HOLD", "reset by operator"),
    "charger-4": ("battery 94 %", "battery 81 %", "battery 62 %", "battery 58 %", "contact made", "contact released"),
    "scanner-11": ("code read", "code read", "no code", "telegram late, 44 ms", "retry 1 of 3"),
}
"""What each part of a line has to say in its controller's log."""
QUANTITIES = {
    "bearing temperature": ("drive", "°C", (5, 10), (65, 80)),
    "belt slip": ("belt", "mm", (0, 0), (4, 8)),
    "rail joint gap": ("joint", "mm", (1, 2), (5, 8)),
    "brake path": ("run", "mm", (40, 80), (160, 260)),
    "insulation loss": ("motor", "µA", (0, 0), (20, 60)),
    "vibration peak": ("drive", "mm/s", (0, 0), (7, 14)),
    "fork play": ("fork", "mm", (0, 0), (3, 6)),
    "door force": ("door", "N", (30, 50), (120, 150)),
    "chain stretch": ("chain", "mm", (0, 0), (8, 14)),
    "cabinet temperature": ("cabinet", "°C", (5, 8), (38, 48)),
    "filter pressure drop": ("filter", "Pa", (20, 40), (180, 250)),
    "wheel wear": ("wheel", "mm", (0, 0), (5, 9)),
    "cable sag": ("span", "mm", (10, 20), (60, 90)),
    "noise at one metre": ("post", "dB", (40, 45), (72, 80)),
    "bolt torque": ("bolt", "Nm", (20, 40), (60, 90)),
}
"""What is measured: where, in which unit, and between which whole numbers its lower and its upper limit lie."""


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
        source = sheet.rng.choice(list(_SOURCES))
        said = sheet.rng.choice(_SOURCES[source])
        lines.append(f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {source:<11} {said}")
    return "--- log of an earlier test of the line controller, in universal time ---\n" + "\n".join(lines)


def assets(sheet: Sheet, rows: int, ledger: Ledger) -> str:
    """An appendix of machines and where they stand."""
    lines = [["serial", "town", "hall", "in service since"]]
    for serial in sheet.rng.sample(list(sheet.stock.serials), rows):
        since = sheet.today - timedelta(days=sheet.rng.randint(200, 2500))
        lines.append([serial, sheet.rng.choice(sheet.stock.towns), f"{sheet.rng.randint(1, 9)}", since.isoformat()])
    return "APPENDIX: MACHINES\n\n" + table(lines, 1)


def points(sheet: Sheet, rows: int, text: str, only: str = "") -> str:
    """Measurements with their limits, of one quantity or of several. How many lie outside agrees with the result in the text."""
    low, high = {"failed": (2, 4), "passed_with_remarks": (1, 2)}.get(
        (re.search(r"result=(\w+)", text) or [""] * 2)[1], (0, 0)
    )
    odd = set(sheet.rng.sample(range(rows), sheet.rng.randint(low, high)))
    measured = [only] if only else sheet.rng.sample(list(QUANTITIES), 7)
    limits = {name: tuple(sheet.rng.randint(*span) for span in QUANTITIES[name][2:]) for name in measured}
    seen: Counter[str] = Counter()
    lines = [["Point", "What", "Unit", "Least", "Most", "Measured"]]
    found = 0
    for n in range(rows):
        what = sheet.rng.choice(measured)
        seen[what] += 1
        least, most = limits[what]
        code = f"M{n + 1:03d}"
        value = Decimal(sheet.rng.randint(least * 10 + 4, most * 10 - 4)) / 10
        cells = [code, str(least), str(most), sheet.number(value, 1)]
        if n in odd:
            under = least > 1 and sheet.rng.random() < 0.3
            value = (
                Decimal(least) - Decimal(sheet.rng.randint(1, 9)) / 10
                if under
                else Decimal(most) + Decimal(sheet.rng.randint(1, most * 2)) / 10
            )
            path = f"deviations.{found}"
            found += 1
            limit, place = (least, 1) if under else (most, 2)
            cells[0] = sheet.cell(f"{path}.point", code)
            cells[place] = sheet.cell(f"{path}.limit", limit)
            cells[3] = sheet.cell(f"{path}.measured", value, sheet.number(value, 1))
        where, unit, *_ = QUANTITIES[what]
        lines.append([cells[0], f"{what}, {where} {seen[what]}", unit, *cells[1:]])
    return table(lines, sheet.rng.choice((0, 1)), frozenset((3, 4, 5)))


APPENDED = {"prices": prices, "log": log, "assets": assets}
