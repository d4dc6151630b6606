"""How machines print: tables and heads in four layouts, dates in one form or two, prices from the price books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from bench.world.backoffice import list_price
from bench.world.ledger import Ledger
from bench.world.sheet import MARKED, Part, Sheet
from bench.world.values import load_yaml

CENT = Decimal("0.01")
DATE_FORMS = ("dots", "iso", "short", "slash", "long", "month_first")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a printed document is to be like, fixed before a word of it is written."""

    traps: frozenset[str]
    rows: int
    layout: int


def day_forms(sheet: Sheet, plan: Plan) -> tuple[str, str]:
    """How the document writes its first date and the others: one form, or two where that is the trap."""
    first, second = sheet.rng.sample(DATE_FORMS, 2)
    return (first, second) if "dates" in plan.traps else ("dots" if first == "slash" else first,) * 2


def table(rows: Sequence[Sequence[str]], layout: int, right: frozenset[int] = frozenset()) -> str:
    """A table as programs print it: with bars, in columns, with semicolons, or with tabs of dots. Row 0 is the head."""
    if layout == 2:
        return "\n".join(";".join(row) for row in rows)
    widths = [max(seen(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            " " * (widths[n] - seen(cell)) + cell if n in right else cell + " " * (widths[n] - seen(cell))
            for n, cell in enumerate(row)
        ]
        lines.append(("| " + " | ".join(cells) + " |") if layout == 0 else "  ".join(cells).rstrip())
    if layout in (0, 1):
        rule = (
            "|-" + "-|-".join("-" * width for width in widths) + "-|"
            if layout == 0
            else "-" * (sum(widths) + 2 * len(widths) - 2)
        )
        lines.insert(1, rule)
    return "\n".join(lines)


def seen(text: str) -> int:
    return len(MARKED.sub(r"\2", text))


def labels(pairs: Sequence[tuple[str, str]], layout: int) -> str:
    """The head of a form: label and value on a line."""
    pairs = [(label, value) for label, value in pairs if value]
    if layout == 1:
        return "\n".join(f"{label + ' ':.<26} {value}" for label, value in pairs)
    if layout == 2:
        return "   ".join(f"{label}: {value}" for label, value in pairs)
    return "\n".join(f"{label}: {value}" for label, value in pairs)


def country(sheet: Sheet, firm: str) -> str:
    """The country of a customer, a supplier or a house of the group, in two letters."""
    houses: Mapping[str, str] = load_yaml("bank/extract/parties.yaml")["houses"]
    return houses.get(firm) or (sheet.stock.suppliers.get(firm) or sheet.stock.customers[firm]).split()[1]


def address(sheet: Sheet, firm: str) -> str:
    """Street and town, in the firm's own country."""
    where: Mapping[str, Any] = load_yaml("bank/extract/parties.yaml")["countries"][country(sheet, firm)]
    return f"{sheet.rng.choice(where['streets'])}, {sheet.rng.choice(where['towns'])}"


def trading_pair(sheet: Sheet, *, ours: bool) -> tuple[str, str]:
    """(seller, buyer) of one country, whose tax the paper then bears; the seller is a house of the group where it is `ours`."""
    houses: Mapping[str, str] = load_yaml("bank/extract/parties.yaml")["houses"]
    if ours:
        seller = sheet.rng.choice(list(houses))
        return seller, sheet.rng.choice([c for c in sheet.stock.customers if country(sheet, c) == houses[seller]])
    makers = [firm for firm, about in sheet.stock.suppliers.items() if about.startswith("parts ")]
    seller = sheet.rng.choice(makers)
    return seller, sheet.rng.choice([house for house, land in houses.items() if land == country(sheet, seller)])


def price(ledger: Ledger, part: Part, currency: str, day: date) -> Decimal:
    """The list price of a part on a day."""
    return list_price(ledger, part.number, currency, day)


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def misprint(amount: Decimal, sheet: Sheet) -> Decimal:
    """An amount that a careless sum would give: off by a round sum, never equal."""
    return amount + sheet.rng.choice((-1, 1)) * sheet.rng.choice(
        (Decimal(9), Decimal(27), Decimal(90), Decimal(100), Decimal("0.90"))
    )


def struck_out(row: Sequence[str]) -> list[str]:
    return [f"~~{cell}~~" if cell else cell for cell in row]
