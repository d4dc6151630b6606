"""What stands around a written message: the values of its slots, headers, signatures, quoted mail, the head of a ticket, logs."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from bench.world import names, rules
from bench.world.classify_bank import Written
from bench.world.corpus import World
from bench.world.records import TODAY, Asset
from bench.world.values import load_yaml, long_date

LOG_P50_CHARS, LOG_SPREAD, LOG_MOST_CHARS = 700, 1.05, 6_500
"""Logs have a lognormal length: half are longer than the first figure, in characters; the second is the deviation of its log."""
CLEAR_DAYS = 20
"""A warranty that decides ends at least so long before or after the day of the ticket."""


KINDS = (
    (r"\bsorter|pouch|chute|\blanes?\b|pusher", ("PL",)),
    (r"\blifts?\b|\btrays?\b", ("CW",)),
    (r"controller|\bline\b", ("HC",)),
    ("", ("TS", "TX", "SL")),
)
"""Which machine a message can be about, by its words; the first that fits. What drives through aisles is a shuttle."""


def warranty_end(world: World, asset: Asset) -> date:
    """By the rules of the world's own warranty policy and the dates of the asset register."""
    periods = [world.ledger.in_force("warranty", name, TODAY) for name in ("from_delivery", "from_commissioning")]
    after_delivery, after_signing = (int(fact.value) for fact in periods if fact is not None)
    return rules.warranty_end(asset.delivered, asset.commissioned, after_delivery, after_signing)


def asset_for(world: World, message: Written, rng: random.Random) -> Asset:
    """A machine of the register; where the warranty decides, one whose warranty clearly runs or has clearly ended."""
    pool = list(world.records.assets)
    if message.warranty:
        sign = 1 if message.warranty == "runs" else -1
        pool = [a for a in pool if sign * (warranty_end(world, a) - TODAY).days >= CLEAR_DAYS]
    kind = next(codes for words, codes in KINDS if re.search(words, f"{message.subject} {message.body}", re.IGNORECASE))
    return rng.choice([asset for asset in pool if asset.serial[:2] in kind] or pool)


def values(world: World, asset: Asset, rng: random.Random) -> dict[str, str]:
    """A value for every slot that a message may have. Names of people are initials and a last name, so that any title fits."""
    records = world.records
    part = rng.choice(records.parts)
    past, future = (TODAY + timedelta(days=sign * rng.randrange(4, 38)) for sign in (-1, 1))
    numbered = [contract.number for contract in records.contracts if contract.customer == asset.customer]
    return {
        "serial": asset.serial,
        "machine": asset.machine.rsplit(" ", 1)[0] if rng.random() < 0.3 else asset.machine,
        "customer": asset.customer,
        "part": part.number,
        "n": str(rng.choice((2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40))),
        "order": f"{rng.randrange(61000, 69999)}/{rng.choice('ABCK')}",
        "invoice": rng.choice(records.invoices).number,
        "rma": rng.choice(records.returns).rma,
        "contract": rng.choice(numbered or [contract.number for contract in records.contracts]),
        "amount": f"{rng.randrange(42, 980) * 10:,}",
        "day": _written_day(past, rng),
        "soon": _written_day(future, rng),
        "person": _person(rng),
        "colleague": rng.choice(names.hand_list("last")),
        "town": rng.choice(names.SITES).town,
    }


def _person(rng: random.Random) -> str:
    first = rng.choice(names.hand_list("first"))
    return f"{first[0]}. {rng.choice(names.hand_list('last'))}"


def _written_day(day: date, rng: random.Random) -> str:
    month = long_date(day).split()[1]
    forms = (
        f"{day.day} {month}",
        f"{month} {day.day}",
        f"{day.day} {month[:3]}",
        f"{day.day}/{day.month}",
        long_date(day),
    )
    return rng.choice(forms)


def filled(text: str, fill: Mapping[str, str]) -> str:
    """The text with its slots filled. KeyError for a slot that nobody knows."""
    return re.sub(r"\{(\w+)\}", lambda match: fill[match[1]], text)


def line(message: Written, channel: str, fill: Mapping[str, str], rng: random.Random) -> str:
    """One sentence as it was typed; a contact form sends along what its fields and the browser say."""
    dress = load_yaml("bank/classify-dress.yaml")
    text = filled(message.body, fill)
    if channel != "Contact form":
        return text
    first, last = rng.choice(names.hand_list("first")), rng.choice(names.hand_list("last"))
    head = [f"Name: {first} {last}", f"E-mail: {_slug(first)[:1]}{_slug(last)}@mail.example"]
    back = rng.choice(("no", "yes, mornings", "yes, after 14:00"))
    fields = [
        f"Page: {rng.choice(dress['pages'])}",
        f"Language: {rng.choice(dress['languages'])}",
        f"Form: C-{rng.randrange(1000, 9999)}",
        f"Call back: {back}",
    ]
    return "\n".join([*head, *fields[: rng.randrange(1, 5)], f"Message: {text}"])


def mail(message: Written, fill: Mapping[str, str], quote: str | None, rng: random.Random) -> str:
    """Header, body, signature, and below them what was written before."""
    first, last = rng.choice(names.hand_list("first")), rng.choice(names.hand_list("last"))
    company = fill["customer"]
    role = rng.choice(load_yaml("bank/classify-dress.yaml")["roles"])
    private = message.heading in ("other", "privacy_request")  # who writes these writes for himself
    host = "mail.example" if private else f"{_slug(company)}.example"
    lines = [
        f"From: {first} {last} <{_slug(first)}.{_slug(last)}@{host}>",
        "To: desk@calderholt.example",
        *([f"Cc: {_slug(rng.choice(names.hand_list('last')))}@{host}"] if rng.random() < 0.4 else []),
        f"Date: Mon, 16 Mar 2026 {rng.randrange(6, 19):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d} +0100",
        f"Message-ID: <{rng.getrandbits(64):016x}.{rng.randrange(10, 99)}@mail.{host}>",
        f"X-Mailer: {rng.choice(load_yaml('bank/classify-dress.yaml')['mailers'])}",
        f"Subject: {filled(message.subject, fill)}",
        "",
        filled(message.body, fill),
        "",
        f"{first} {last}",
    ]
    if not private:
        lines += [f"{role}, {company}", f"ext. {rng.randrange(100, 999)}"]
    if quote is not None:
        head = rng.choice(load_yaml("bank/classify-dress.yaml")["quoted"])
        lines += ["", filled(head, fill), *(f"> {row}" for row in quote.split("\n"))]
    return "\n".join(lines)


def _slug(text: str) -> str:
    table = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "ı": "i", "Ø": "o"})
    plain = unicodedata.normalize("NFD", text.translate(table)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", "-", plain.lower()).strip("-")


def ticket(world: World, message: Written, fill: Mapping[str, str], asset: Asset, rng: random.Random) -> str:
    """Head, note and log. Every head of a customer's ticket shows the warranty, whether it matters or not."""
    number = rng.randrange(210_000, 289_999)
    lines = [f"Ticket T-{number}, opened {TODAY.isoformat()} by {_person(rng)}"]
    if message.heading == "other":
        lines += ["Customer: not identified", "Asset: none"]
    else:
        until = warranty_end(world, asset).isoformat()
        lines += [f"Customer: {asset.customer}", f"Asset: {asset.serial} ({asset.machine}), warranty until {until}"]
    lines += ["Note:", filled(message.body, fill)]
    return "\n".join([*lines, "", log(message.heading, rng)])


def log(heading: str, rng: random.Random) -> str:
    """Machine-written lines of the kind that is attached to such tickets; they tell nothing of the matter."""
    dress: dict[str, Any] = load_yaml("bank/classify-dress.yaml")
    kind = next(kind for kind, headings in dress["log_of"].items() if heading in headings)
    spec = dress["logs"][kind]
    chars = min(LOG_MOST_CHARS, int(LOG_P50_CHARS * math.exp(rng.gauss(0.0, LOG_SPREAD))))
    seconds, seq, count = rng.randrange(3600, 60_000), rng.randrange(100, 9000), rng.randrange(1000, 90_000)
    day = TODAY - timedelta(days=rng.randrange(260, 400))
    lines = [f"--- {spec['title']}"]
    size = len(lines[0])
    while size < chars or len(lines) < 3:
        seconds, seq, count = seconds + rng.randrange(1, 40), seq + 1, count + rng.randrange(1, 9)
        day = min(day + timedelta(days=rng.choice((0, 0, 1, 2))), TODAY - timedelta(days=3))
        made = spec["line"].format(
            clock=f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
            ms=f"{rng.randrange(1000):03d}", axis=rng.randrange(1, 5), count=count, dur=rng.randrange(12, 980),
            cur=f"{rng.randrange(4, 61) / 10:.1f}", queue=rng.randrange(0, 30), seq=seq,
            date=day.isoformat(), serial=f"L{rng.randrange(100, 999)}",
            number=rng.randrange(10_000, 99_999), qty=rng.randrange(1, 60), sum=f"{rng.randrange(900, 99_999) / 100:.2f}",
            store=rng.choice(dress["stores"]), ip=f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
            path=rng.choice(dress["paths"]), bytes=rng.randrange(120, 90_000), hex=f"{rng.getrandbits(32):08x}",
            jit=rng.randrange(1, 40),
        )  # fmt: skip
        lines.append(made)
        size += len(made) + 1
    return "\n".join(lines)
