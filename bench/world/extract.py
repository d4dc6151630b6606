"""Workload `extract`: documents to be turned into records, with exact gold from the ledger of what each document states."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from bench.world import appended, bills, misread, names, shipments
from bench.world.backoffice import back_office, catalogue
from bench.world.blots import scanned
from bench.world.corpus import World, world
from bench.world.forms import record, response_format, types
from bench.world.paper import Plan
from bench.world.records import TODAY
from bench.world.sheet import Sheet, Stated, Stock
from bench.world.values import load_yaml

DEFAULTS: dict[str, Any] = {"items": 300}
KINDS = {
    "invoice": ("notes", "invoice"),
    "order": ("notes", "order"),
    "delivery_note": ("notes", "delivery_note"),
    "statement": ("notes", "statement"),
    "email_order": ("emails", ""),
    "contract": ("contracts", ""),
    "incident": ("incidents", ""),
    "inspection": ("inspections", ""),
    "profile": ("profiles", ""),
}
"""Kinds of documents, and where their written text is: each piece makes one document."""
TITLES = {"delivery_note": "delivery note", "email_order": "e-mail with an order", "incident": "incident report",
          "inspection": "inspection report", "profile": "staff profile", "order": "purchase order",
          "statement": "statement of account"}  # fmt: skip
PRINTED = {
    "invoice": bills.invoice,
    "order": bills.order,
    "delivery_note": shipments.delivery_note,
    "statement": shipments.statement,
}
TRAPS = {
    "invoice": (
        "dates",
        "foreign",
        "sum_wrong",
        "two_currencies",
        "struck",
        "absent",
        "ocr",
        "second_party",
        "corrected",
    ),
    "order": (
        "dates",
        "foreign",
        "sum_wrong",
        "two_currencies",
        "struck",
        "absent",
        "ocr",
        "second_party",
        "corrected",
    ),
    "delivery_note": ("dates", "absent", "second_party", "units", "struck", "ocr"),
    "statement": ("dates", "foreign", "absent", "second_party", "two_currencies", "sum_wrong", "ocr"),
}
ROWS = {
    "invoice": ((0.30, 2, 4), (0.35, 5, 9), (0.25, 10, 15), (0.10, 18, 30)),
    "order": ((0.30, 2, 4), (0.40, 5, 9), (0.20, 11, 17), (0.10, 20, 28)),
    "delivery_note": ((0.20, 5, 12), (0.40, 22, 50), (0.30, 70, 120), (0.10, 170, 220)),
    "statement": ((0.15, 8, 14), (0.40, 25, 50), (0.30, 64, 100), (0.15, 150, 210)),
}
"""Share of documents, and between how many lines they have."""
LONG_ROWS = 60
POINTS, LONG_POINTS = (12, 40), (80, 160)
APPENDED = {"email_order": (0.40, ("prices", "log"), 20, 90), "incident": (0.50, ("log",), 20, 80)}
"""Share of documents of a kind to which a table is appended that nobody asked for, which ones, and how long."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before it is written: its kind, and the written piece that it is made around."""

    kind: str
    name: str
    text: str
    traps: tuple[str, ...] = ()
    attach: str = ""

    @property
    def id(self) -> str:
        return f"extract-{self.kind.replace('_', '-')}-{self.name}"


def generate(seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a seed. `params` override `DEFAULTS`."""
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"params: got {', '.join(unknown)}; want only {', '.join(DEFAULTS)}")
    here = world(seed)
    return [_item(here, draft) for draft in _select(seed, {**DEFAULTS, **params}["items"])]


@lru_cache(maxsize=1)
def drafts() -> dict[str, tuple[Draft, ...]]:
    """Every document that can be made, by kind."""
    made = {}
    for kind, (bank, section) in KINDS.items():
        pieces: Any = load_yaml(f"bank/extract/{bank}.yaml")
        if section:
            made[kind] = tuple(Draft(kind, f"{n:03d}", text) for n, text in enumerate(pieces[section], start=1))
        else:
            made[kind] = tuple(Draft(kind, p["id"], p["text"], tuple(p["traps"]), p.get("attach", "")) for p in pieces)
    return made


def _select(seed: int, total: int) -> list[Draft]:
    """The drafts of a set: each kind in an order of its own, in the proportions of the whole."""
    pools = drafts()
    most = sum(map(len, pools.values()))
    if not 1 <= total <= most:
        raise ValueError(f"items: got {total}; want 1 to {most}, since each written piece is used once")
    ranked: list[tuple[float, int, Draft]] = []
    for number, (kind, pool) in enumerate(pools.items()):
        mixed = list(pool)
        random.Random(f"{seed}:extract:order:{kind}").shuffle(mixed)
        ranked += [((place + 0.5) / len(mixed), number, draft) for place, draft in enumerate(mixed)]
    chosen = [draft for _, _, draft in sorted(ranked, key=lambda entry: entry[:2])[:total]]
    return sorted(chosen, key=lambda draft: random.Random(f"{seed}:extract:place:{draft.id}").random())


@lru_cache(maxsize=4)
def _stock(seed: int) -> Stock:
    """What this world has to be named in documents: its parts and machines, its customers, and firms and people beside them."""
    rng = random.Random(f"{seed}:extract:stock")
    mixed_up = (" set", " pair", " kit", "cable")  # a piece of them, or a metre?
    firsts, lasts = names.hand_list("first"), names.hand_list("last")
    people = sorted({f"{rng.choice(firsts)} {rng.choice(lasts)}" for _ in range(500)})
    return Stock(
        parts=[part for part in catalogue(seed) if not any(word in part[1] for word in mixed_up)],
        people=people,
        customers=load_yaml("names.yaml")["customers"],
        suppliers=load_yaml("bank/extract/parties.yaml")["suppliers"],
        towns=[site.town for site in names.SITES],
        serials=[str(row["serial"]) for row in back_office(seed)["machine"]],
    )


def _item(here: World, draft: Draft) -> dict[str, Any]:
    text, stated, traps = written(here, draft)
    gold = record(draft.kind, {one.path: one.value for one in stated})
    rng = random.Random(f"{here.seed}:{draft.id}:answers")
    return {
        "id": draft.id,
        "title": TITLES.get(draft.kind, draft.kind),
        "document": text,
        "response_format": response_format(draft.kind),
        "metadata": {
            "kind": draft.kind,
            "traps": sorted(traps),
            "tier": tier(traps),
            "source_doc": draft.id,
            "cluster": draft.id,
            "fields": len(stated),
        },
        "expected": {"gold": gold, "types": types(draft.kind)},
        "answers": {
            "right": misread.right(gold),
            "wrong": misread.wrong(draft.kind, gold, rng),
            "abstain": [rng.choice(misread.REFUSALS)],
        },
    }


def tier(traps: Sequence[str]) -> str:
    """Difficulty by structure, before any model has run: how many things there are to trip over."""
    return ("easy", "easy", "medium", "medium", "hard")[min(len(traps), 4)]


def written(here: World, draft: Draft) -> tuple[str, list[Stated], list[str]]:
    """A document, what it states and where, and the traps in it."""
    rng = random.Random(f"{here.seed}:{draft.id}")
    sheet = Sheet(_stock(here.seed), rng, TODAY - timedelta(days=rng.randint(3, 190)))
    if draft.kind in PRINTED:
        plan = _plan(draft.kind, rng)
        traps = set(plan.traps) | ({"long"} if plan.rows > LONG_ROWS else set())
        sheet.comma = "," if "foreign" in traps else "."
        text = PRINTED[draft.kind](sheet, plan, here.ledger, draft.text)
    else:
        traps = set(draft.traps)
        if "|money" in draft.text and rng.random() < 0.35:
            traps.add("foreign")
            sheet.comma = ","
        text = _prose(sheet, here, draft)
        if text.count("\n") > LONG_ROWS:
            traps.add("long")
        if rng.random() < 0.2 and draft.kind != "email_order":
            traps.add("ocr")
    if "ocr" in traps:
        text = scanned(text, sheet.noted, rng)
    plain, stated = sheet.finish(text.strip() + "\n")
    return plain, stated, sorted(traps)


def _plan(kind: str, rng: random.Random) -> Plan:
    _, low, high = rng.choices(ROWS[kind], [share for share, _, _ in ROWS[kind]])[0]
    count = rng.choices((0, 1, 2, 3, 4, 5), (1, 2, 3, 3, 3, 2))[0]
    return Plan(frozenset(rng.sample(TRAPS[kind], count)), rng.randint(low, high), rng.randrange(4))


def _prose(sheet: Sheet, here: World, draft: Draft) -> str:
    text = sheet.fill(draft.text)
    if asked := re.search(r"\[\[points(?:: (.+?))?\]\]", text):
        rows = sheet.rng.randint(*(LONG_POINTS if "long" in draft.traps else POINTS))
        text = text.replace(asked[0], appended.points(sheet, rows, draft.text, asked[1] or ""))
    name, _, rows_text = draft.attach.partition(" ")
    share, tables, low, high = APPENDED.get(draft.kind, (0.0, (), 0, 0))
    if not name and sheet.rng.random() < share:
        name, rows_text = sheet.rng.choice(tables), str(sheet.rng.randint(low, high))
    return text + "\n\n" + appended.APPENDED[name](sheet, int(rows_text), here.ledger) if name else text


def describe(item: Mapping[str, Any]) -> str:
    """One item as plain text, for readers."""
    import json

    facts = item["metadata"]
    head = f"== {item['id']}  {facts['tier']}  {', '.join(facts['traps'])}"
    return "\n".join(
        [head, item["document"], "Gold: " + json.dumps(item["expected"]["gold"], ensure_ascii=False, indent=1)]
    )
