"""Drafts of several hops: a record names something, a policy rules on it, and code derives the answer (`rules`)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from bench.world import names, rules
from bench.world.corpus import World
from bench.world.draft import Draft, required, value_of
from bench.world.duties import due, stoppage
from bench.world.entities import PRICE_BOOKS
from bench.world.hops import draft, pick, some
from bench.world.ledger import Fact
from bench.world.records import TODAY, Asset, Employee
from bench.world.values import long_date, spoken, written

RESPONSE_UNITS = {"rtc_day": "minutes", "prime_day": "minutes", "prime_night": "minutes"}
BAND_WORDS = {
    "short": "short",
    "mid": "middle",
    "long": "long",
    "early": "early",
    "sealed": "later sealed",
    "opened": "broken-seal",
}


def chains(world: World) -> list[Draft]:
    """All drafts of several hops of a world, rules taking turns."""
    lists = [
        list(rule(world, random.Random(f"{world.seed}:chain:{rule.__name__}")))
        for rule in (_warranty, _approval, _notice, _response, _restocking, _price, _hold, _loan, due, stoppage)
    ]
    drafts: list[Draft] = []
    while any(lists):
        drafts += [queue.pop(0) for queue in lists if queue]
    return drafts


def _warranty(world: World, rng: random.Random) -> Iterator[Draft]:
    new_terms = date(2025, 2, 1)

    def terms(asset: Asset) -> list[Fact]:
        keys = ("warranty.from_delivery.months", "warranty.from_commissioning.months")
        return [required(world, key, asset.delivered) for key in keys]

    def ends(asset: Asset) -> list[date]:
        starts = [day for day in (asset.delivered, asset.commissioned) if day]
        return [
            rules.add_months(day, int(fact.value)) for day, fact in zip(starts, terms(asset), strict=False)
        ]  # one end without a protocol

    def late(asset: Asset) -> bool:
        return len(ends(asset)) == 2 and ends(asset)[1] > ends(asset)[0]

    everything = world.records.assets
    signed = [asset for asset in everything if asset.commissioned]
    pools = (
        ([a for a in signed if a.delivered >= new_terms and late(a)], True),
        ([a for a in signed if a.delivered < new_terms and late(a)], True),
        ([a for a in signed if a.delivered >= new_terms and not late(a)], False),
        ([a for a in everything if not a.commissioned], False),
    )
    taken: set[str] = set()
    for number, (pool, trap) in enumerate(pools * 4, start=1):
        asset = pick(rng, [a for a in pool if a.serial not in taken], [a for a in signed if a.serial not in taken])
        taken.add(asset.serial)
        months, signed_months = terms(asset)
        record = [required(world, f"asset:{asset.serial}.delivered.date")]
        if asset.commissioned:
            record.append(required(world, f"asset:{asset.serial}.commissioned.date"))
        end = rules.warranty_end(asset.delivered, asset.commissioned, int(months.value), int(signed_months.value))
        rivals = [f for f in world.ledger.editions("warranty", "from_delivery") if f is not months]
        false_ends = [*ends(asset), *(rules.add_months(asset.delivered, int(f.value)) for f in rivals)]
        yield draft(
            world,
            f"warranty-{number}",
            "warranty-two-dates" if asset.commissioned else "warranty-one-date",
            {
                "serial": asset.serial,
                "customer": asset.customer,
                "machine": asset.machine,
                "delivered": long_date(asset.delivered),
                "signed": long_date(asset.commissioned or asset.delivered),
                "months": spoken(*value_of(months)),
                "signed_months": spoken(*value_of(signed_months)),
                "winner": "commissioning" if late(asset) else "delivery",
            },
            needs=[*record, signed_months, months],
            gold=(end.isoformat(), "date"),
            rejects=[(day.isoformat(), "date") for day in false_ends],
            shown=rivals if trap else (),
            traps=("superseded",) if trap else (),
            on=asset.delivered,
            words=f"warranty-{number % 3 + 1}" if asset.commissioned else f"warranty-{4 + number // 4 % 2}",
        )


def _approval(world: World, rng: random.Random) -> Iterator[Draft]:
    limits = [required(world, f"purchasing.{level}.eur") for level in ("owner", "site", "region")]
    owner, site_limit, region = (Decimal(limit.value) for limit in limits)
    towns = list(names.PLAIN_SITES)
    rng.shuffle(towns)
    by_country = {site.country: site for site in towns}
    cases = [(owner, site_limit, site) for site in towns[:6]]
    cases += [(site_limit, region, site) for site in list(by_country.values())[:5]]
    for number, (low, high, site) in enumerate(cases, start=1):
        amount = (low + (high - low) * rng.randrange(25, 75) / 100) // 10 * 10
        role = rules.approver(amount, owner, site_limit, region)
        lead = required(world, f"site:{site.code}.lead.name")
        director = required(world, f"region:{site.country}.director.name")
        holder = lead if role == "site lead" else director
        yield draft(
            world,
            f"approval-{number}",
            "approval-why-group",
            {"town": site.town, "amount": written(str(amount), "eur"), "role": role},
            needs=[holder, *limits],
            gold=value_of(holder),
            rejects=[value_of(f) for f in (lead, director, required(world, f"site:{site.code}.deputy.name"))],
            site=site.code,
            words=f"approval-{number % 6 + 1}",
        )
    annex = required(world, "purchasing.site.eur", site="POZ")
    amount = (site_limit + Decimal(annex.value)) // 200 * 100
    lead = required(world, "site:POZ.lead.name")
    others = (required(world, "region:Poland.director.name"), required(world, "site:POZ.deputy.name"))
    yield draft(
        world,
        "approval-annex",
        "approval-why-annex",
        {"town": names.BY_CODE["POZ"].town, "amount": written(str(amount), "eur")},
        needs=[lead, annex],
        gold=value_of(lead),
        rejects=[value_of(f) for f in others],
        shown=[limits[1]],
        site="POZ",
        traps=("annex",),
    )


def _notice(world: World, rng: random.Random) -> Iterator[Draft]:
    tenures = [required(world, f"leave.tenure_{band}.years") for band in ("mid", "long")]
    middle, long = (int(tenure.value) for tenure in tenures)
    periods = {band: required(world, f"leave.notice_{band}.weeks") for band in ("short", "mid", "long")}

    def years(person: Employee) -> int:
        return rules.completed_years(person.started, TODAY)

    def clear(person: Employee) -> bool:
        """Not within a month of an anniversary, and past any probation."""
        days = (TODAY - person.started).days
        return 30 < days % 365.25 < 335 and days > 420

    def fill(person: Employee) -> dict[str, Any]:
        return {
            "name": person.name,
            "town": names.BY_CODE[person.site].town,
            "started": long_date(person.started),
            "years": years(person),
            "band": BAND_WORDS[rules.notice_band(years(person), middle, long)],
        }

    staff = [p for p in world.records.employees if p.site not in names.ANNEX_SITES and clear(p)]
    taken: set[str] = set()
    for number, wanted in enumerate(("long", "mid", "short") * 4, start=1):
        free = [p for p in staff if p.name not in taken]
        person = pick(rng, [p for p in free if rules.notice_band(years(p), middle, long) == wanted], free)
        taken.add(person.name)
        period = periods[rules.notice_band(years(person), middle, long)]
        yield draft(
            world,
            f"notice-{number}",
            "notice-why-group",
            fill(person),
            needs=[required(world, f"employee:{person.name}.started.date"), *tenures, period],
            gold=value_of(period),
            rejects=[value_of(f) for f in periods.values()],
            site=person.site,
            words=f"notice-{number % 4 + 1}",
        )
    dortmund = [p for p in world.records.employees if p.site == "DTM" and 2 <= years(p) < 10]
    if dortmund:  # a seed may have nobody of that tenure there
        person = pick(rng, filter(clear, dortmund), dortmund)
        annex = required(world, "leave.notice_mid.weeks", site="DTM")
        yield draft(
            world,
            "notice-annex",
            "notice-why-annex",
            fill(person),
            needs=[required(world, f"employee:{person.name}.started.date"), annex],
            gold=value_of(annex),
            rejects=[value_of(f) for f in periods.values()],
            shown=[periods["mid"]],
            site="DTM",
            traps=("annex",),
        )


def _response(world: World, rng: random.Random) -> Iterator[Draft]:
    cases = (
        ("Plus", "2026-03-07 22:40", True),
        ("Prime", "2026-03-11 10:15", True),
        ("Essential", "2026-03-15 08:30", False),
        ("Prime", "2026-03-12 23:05", False),
        ("Essential", "2026-03-10 09:20", True),
        ("Plus", "2026-03-13 13:35", False),
        ("Prime", "2026-03-14 11:50", False),
        ("Essential", "2026-03-09 20:15", False),
        ("Plus", "2026-03-05 05:40", True),
        ("Prime", "2026-03-06 19:30", True),
        ("Essential", "2026-03-04 14:00", False),
        ("Plus", "2026-03-08 16:25", False),
    )
    columns = [f for f in world.ledger.facts if f.subject == "service" and f.predicate.endswith(("_day", "_night"))]
    older = [f for f in world.ledger.editions("service", "prime_day") if not f.holds_on(TODAY)]
    free = list(world.records.contracts)
    for number, (tier, stamp, trap) in enumerate(cases, start=1):
        logged = datetime.fromisoformat(stamp)
        contract = pick(rng, [c for c in free if c.tier == tier], free)
        free.remove(contract)
        predicate = rules.response_predicate(contract.tier, logged)
        target = required(world, f"service.{predicate}.{RESPONSE_UNITS.get(predicate, 'hours')}")
        yield draft(
            world,
            f"response-{number}",
            "response-why",
            {
                "customer": contract.customer,
                "number": contract.number,
                "tier": contract.tier,
                "when": f"{logged:%A} {logged.day} {logged:%B} at {logged:%H:%M}",
                "moment": "inside" if rules.in_service_hours(logged) else "outside",
            },
            needs=[required(world, f"contract:{contract.number}.tier.code"), target],
            gold=value_of(target),
            rejects=[value_of(f) for f in columns if f.holds_on(TODAY)],
            shown=older if trap else (),
            traps=("superseded",) if trap else (),
            words=f"response-{number % 4 + 1}",
        )


def _restocking(world: World, rng: random.Random) -> Iterator[Draft]:
    early, window = required(world, "returns.early.cdays"), required(world, "returns.window.cdays")
    fees = {band: required(world, f"returns.fee_{band}.pct") for band in ("early", "sealed", "opened")}
    older = [f for f in world.ledger.editions("returns", "fee_opened") if f.valid_to and f.valid_to < TODAY]
    taken: set[str] = set()
    for number, wanted in enumerate(("early", "opened", "sealed") * 4, start=1):
        ages = {r: (r.scanned - r.delivered).days for r in world.records.returns if r.rma not in taken}
        bands = {
            r: rules.restocking_band(r.sealed, age, int(early.value), int(window.value)) for r, age in ages.items()
        }
        record = pick(rng, [r for r, band in bands.items() if band == wanted], bands)
        taken.add(record.rma)
        fee = fees[bands[record] or wanted]
        cells = [
            required(world, f"return:{record.rma}.{cell}") for cell in ("delivered.date", "scanned.date", "tape.code")
        ]
        yield draft(
            world,
            f"restocking-{number}",
            "restocking-why",
            {
                "rma": record.rma,
                "delivered": long_date(record.delivered),
                "scanned": long_date(record.scanned),
                "age": ages[record],
                "state": "whole" if record.sealed else "cut",
                "band": BAND_WORDS[bands[record] or wanted],
            },
            needs=[*cells, early, fee],
            gold=value_of(fee),
            rejects=[value_of(f) for f in [*fees.values(), *older]],
            shown=older if wanted == "opened" else (),
            traps=("superseded",) if wanted == "opened" else (),
        )


def _price(world: World, rng: random.Random) -> Iterator[Draft]:
    floors = [required(world, f"pricing.break{n}.pieces") for n in (1, 2)]
    discounts = [required(world, f"pricing.disc{n}.pct") for n in (1, 2)]
    breaks = {int(floor.value): Decimal(off.value) for floor, off in zip(floors, discounts, strict=True)}
    low, high = sorted(breaks)
    parts = [part for part in world.records.parts if not part.net_only]
    rng.shuffle(parts)
    cases = ((TODAY, False, False), (date(2025, 11, 20), True, True), (TODAY, True, True)) * 4
    for number, ((day, many, trap), part) in enumerate(zip(cases, parts, strict=False), start=1):
        pieces = high + rng.randrange(3, 30) if many else rng.randrange(low + 2, high - 4)
        listed = required(world, f"part:{part.number}.list_eur.eur", day)
        off = rules.quantity_discount(pieces, breaks)
        editions = world.ledger.editions(f"part:{part.number}", "list_eur")
        rivals = [f for f in editions if f is not listed and f.valid_from >= PRICE_BOOKS[1]]
        false_prices = [listed.value, *(str(rules.net_price(Decimal(f.value), off)) for f in rivals)]
        false_prices += [str(rules.net_price(Decimal(listed.value), percent)) for percent in breaks.values()]
        net = rules.net_price(Decimal(listed.value), off)
        yield draft(
            world,
            f"price-{number}",
            "price-why",
            {
                "part": part.number,
                "pieces": pieces,
                "day": long_date(day),
                "book": listed.valid_from.year,
                "listed": written(listed.value, "eur", "cents"),
                "step": "second" if pieces >= high else "first",
                "off": off,
            },
            needs=[listed, *floors, *discounts],
            gold=(str(net), "eur"),
            rejects=[(f"{Decimal(price):.2f}", "eur") for price in false_prices],
            shown=rivals if trap else (),
            traps=("superseded", *(("past-date",) if day < TODAY else ())) if trap else (),
            on=day,
            words=f"price-{(number - 1) % 3 + 1}",
        )


def _hold(world: World, rng: random.Random) -> Iterator[Draft]:
    days, reminder = required(world, "credit.hold.cdays"), required(world, "credit.reminder.cdays")
    recent = [i for i in world.records.invoices if i.due > TODAY - timedelta(days=25)]
    rivals = [f for f in world.ledger.editions("credit", "hold") if f is not days]
    for number, invoice in enumerate(some(rng, recent, 8), start=1):
        yield draft(
            world,
            f"hold-{number}",
            "hold-why",
            {
                "customer": invoice.customer,
                "invoice": invoice.number,
                "due": long_date(invoice.due),
                "days": spoken(*value_of(days)),
            },
            needs=[required(world, f"invoice:{invoice.number}.due.date"), days],
            gold=(rules.hold_date(invoice.due, int(days.value)).isoformat(), "date"),
            rejects=[(rules.hold_date(invoice.due, int(f.value)).isoformat(), "date") for f in (reminder, *rivals)],
            shown=rivals,
            traps=("superseded",),
            words=f"hold-{number % 3 + 1}",
        )


def _loan(world: World, rng: random.Random) -> Iterator[Draft]:
    free, overdue = required(world, "loaner.free.cdays"), required(world, "loaner.overdue.cdays")
    false_days = (int(free.value) - 1, int(free.value) + int(overdue.value))
    for number, loan in enumerate(some(rng, [item for item in world.records.loans if item.contract], 7), start=1):
        cells = [required(world, f"loan:{loan.number}.{cell}") for cell in ("dispatched.date", "contract.code")]
        yield draft(
            world,
            f"loan-{number}",
            "loan-why",
            {
                "loan": loan.number,
                "customer": loan.customer,
                "dispatched": long_date(loan.dispatched),
                "days": spoken(*value_of(free)),
            },
            needs=[*cells, free],
            gold=(rules.last_free_day(loan.dispatched, int(free.value)).isoformat(), "date"),
            rejects=[(rules.last_free_day(loan.dispatched, count).isoformat(), "date") for count in false_days],
        )
