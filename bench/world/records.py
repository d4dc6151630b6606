"""Records of the world, and the registers that list them.

Every cell that can be asked for is a slot, so registers go through the same renderer as prose and land in the same
ledger. Records carry Python values for the derived rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bench.world.ledger import GROUP, fact_id
from bench.world.render import Source
from bench.world.values import load_yaml

TODAY = date(2026, 3, 16)
DRAWN = date(2026, 3, 13)


@dataclass(frozen=True, slots=True)
class Asset:
    serial: str
    machine: str
    customer: str
    delivered: date
    commissioned: date | None


@dataclass(frozen=True, slots=True)
class Employee:
    name: str
    site: str
    job: str
    started: date


@dataclass(frozen=True, slots=True)
class Contract:
    number: str
    customer: str
    tier: str


@dataclass(frozen=True, slots=True)
class Part:
    number: str
    name: str
    net_only: bool


@dataclass(frozen=True, slots=True)
class Return:
    rma: str
    delivered: date
    scanned: date
    sealed: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    number: str
    customer: str
    due: date


@dataclass(frozen=True, slots=True)
class Loan:
    number: str
    customer: str
    dispatched: date
    contract: bool


@dataclass(frozen=True, slots=True)
class Duty:
    """Something repeated at an interval: a tool's calibration or a person's certificate. `kind` as in `duties`."""

    name: str
    kind: str
    last: date


@dataclass(slots=True)
class Records:
    """All records of a seed, the registers that list them, and the values of their slots by fact id."""

    people: dict[str, str] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    employees: list[Employee] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    duties: list[Duty] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def cell(self, key: str, value: object, form: str = "", day: date = DRAWN) -> str:
        """A slot for one cell; its value is noted."""
        self.values[fact_id(key, day, GROUP)] = str(value)
        return "{{f:" + f"{key}@{day.isoformat()}" + (f"|{form}" if form else "") + "}}"

    def publish(
        self,
        doc_id: str,
        kind: str,
        rows: list[list[str]],
        fill: dict[str, Any],
        *,
        day: date = DRAWN,
        supersedes: str | None = None,
    ) -> None:
        """A register of some rows, in the words of `registers.yaml`."""
        form = load_yaml("registers.yaml")[kind]
        lines = [form["columns"], ["---"] * len(form["columns"]), *rows]
        parts = [form["head"].format(**fill), "\n".join("| " + " | ".join(line) + " |" for line in lines)]
        parts += [form["foot"]] if "foot" in form else []
        title = form["title"].format(**fill)
        self.sources.append(
            Source(doc_id, title, "register", "", day, supersedes, GROUP, "machine", "\n\n".join(parts) + "\n")
        )
