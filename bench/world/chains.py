"""Drafts of two hops: a record names something, a policy rules on it, and code derives the answer (`rules`)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from bench.world import names, rules
from bench.world.corpus import World
from bench.world.draft import Draft, Value, required, value_of
from bench.world.entities import PRICE_BOOKS, TODAY, Asset, Employee
from bench.world.ledger import GROUP, Fact
from bench.world.render import Passage
from bench.world.values import group_digits, long_date, spoken

T = TypeVar("T")


def chains(world: World) -> list[Draft]:
    """All two-hop drafts of a world, rules taking turns."""
    lists = [
        list(rule(world, random.Random(f"{world.seed}:chain:{rule.__name__}")))
        for rule in (_warranty, _approval, _notice, _response, _restocking, _price, _hold, _loan)
    ]
    drafts: list[Draft] = []
    while any(lists):
        drafts += [queue.pop(0) for queue in lists if queue]
    return drafts


def _fact(world: World, key: str, on: date = TODAY, site: str = GROUP) -> Fact:
    return required(world, key, on, site)


def _draft(
    world: World,
    name: str,
    texts: tuple[str, str],
    needs: tuple[Fact, ...],
    gold: Value,
    rejects: Iterable[Value],
    why: str,
    shown: tuple[Passage, ...] = (),
    site: str | None = None,
    on: date = TODAY,
    traps: tuple[str, ...] = (),
) -> Draft:
    """A two-hop draft: `needs[0]` stands in the record, `needs[-1]` in the policy."""
    record, rule = world.home(needs[0]), world.home(needs[-1])
    return Draft(
        id=f"chain-{name}",
        kind="multi",
        ask=texts[0],
        box=texts[1],
        needs=needs,
        gold=(gold,),
        rejects=tuple(dict.fromkeys(value for value in rejects if value != gold)),
        why=why,
        source_doc=rule.doc_id,
        cluster=needs[-1].subject,
        shown=shown,
        cited={"record": record.passage_id, "rule": rule.passage_id},
        on=on,
        site=site,
        traps=traps,
    )


def _pick(rng: random.Random, pool: Iterable[T]) -> T:
    return rng.choice(list(pool))


def _warranty(world: World, rng: random.Random) -> Iterator[Draft]:
    new_terms = date(2025, 2, 1)

    def terms(asset: Asset) -> tuple[Fact, Fact]:
        return (
            _fact(world, "warranty.from_delivery.months", asset.delivered),
            _fact(world, "warranty.from_commissioning.months", asset.delivered),
        )

    def ends(asset: Asset) -> tuple[date, date | None]:
        by_delivery, by_commissioning = (int(fact.value) for fact in terms(asset))
        signed = asset.commissioned
        return (
            rules.add_months(asset.delivered, by_delivery),
            rules.add_months(signed, by_commissioning) if signed else None,
        )

    def late(asset: Asset) -> bool:
        first, second = ends(asset)
        return second is not None and second > first

    cases = [
        ([a for a in world.records.assets if a.delivered >= new_terms and late(a)], True,
         "Until what date is {s} at {c} under warranty?", "{s} warranty end date"),
        ([a for a in world.records.assets if a.delivered < new_terms and late(a)], True,
         "{c} asks until when their {m} {s} is, or was, under warranty. What do I tell them?", "warranty {s} {c} ends"),
        ([a for a in world.records.assets if a.delivered >= new_terms and a.commissioned and not late(a)], False,
         "Fault on {s}. Which day is the last one of its warranty?", "last warranty day {s}"),
        ([a for a in world.records.assets if a.commissioned is None], False,
         "We never signed a protocol for {s}. When does its warranty end?", "warranty {s} no commissioning protocol"),
    ]  # fmt: skip
    for number, (pool, trap, ask, box) in enumerate(cases, start=1):
        asset = _pick(rng, pool or world.records.assets)
        months, signed_months = terms(asset)
        delivered = _fact(world, f"asset:{asset.serial}.delivered.date")
        first, second = ends(asset)
        end = rules.warranty_end(asset.delivered, asset.commissioned, int(months.value), int(signed_months.value))
        needs: tuple[Fact, ...] = (delivered, signed_months, months)
        why = (
            f"The register gives {long_date(asset.delivered)} as the delivery of {asset.serial} {{record}}. The terms that"
            f" govern a delivery on that day count {spoken(*value_of(months))} from it {{rule}}. "
        )
        if asset.commissioned and second:
            needs = (delivered, _fact(world, f"asset:{asset.serial}.commissioned.date"), signed_months, months)
            why += (
                f"They also count {spoken(*value_of(signed_months))} from the signed commissioning, which was on"
                f" {long_date(asset.commissioned)} {{record}}, and let the later date win. That is the end counted from"
                f" {'commissioning' if second > first else 'delivery'}."
            )
        else:
            why += "No commissioning protocol is on file, so there is no second date to compare and delivery alone decides."
        rivals = [f for f in world.ledger.editions("warranty", "from_delivery") if f is not months]
        wrong = [first, *([second] if second else [])]
        wrong += [rules.add_months(asset.delivered, int(rival.value)) for rival in rivals]
        fill = {"s": asset.serial, "c": asset.customer, "m": asset.machine}
        yield _draft(
            world,
            f"warranty-{number}",
            (ask.format(**fill), box.format(**fill)),
            needs,
            (end.isoformat(), "date"),
            [(day.isoformat(), "date") for day in wrong if day != end],
            why,
            shown=tuple(world.home(rival) for rival in rivals) if trap else (),
            traps=("superseded",) if trap else (),
        )


def _approval(world: World, rng: random.Random) -> Iterator[Draft]:
    limits = {level: _fact(world, f"purchasing.{level}.eur") for level in ("owner", "site", "region")}
    owner, site_limit, region = (Decimal(limits[level].value) for level in ("owner", "site", "region"))
    plain = [site for site in names.SITES if site.code not in names.ANNEX_SITES]
    rng.shuffle(plain)
    cases = [
        ("site", owner, site_limit, "We need pallet racking in {t} for {a} net. Who signs the request? Name please.",
         "approver purchase request {t} {a}"),
        ("region", site_limit, region, "A request over {a} for conveyor refurbishment in {t}: which person approves it?",
         "who approves {a} {t} conveyor refurbishment"),
        ("site", owner, site_limit, "{t} wants to order cleaning services for {a} in total. Who has to approve that?",
         "{t} cleaning contract {a} approval name"),
    ]  # fmt: skip
    for number, ((level, low, high, ask, box), site) in enumerate(zip(cases, plain, strict=False), start=1):
        amount = Decimal(int(low) + (int(high) - int(low)) * rng.randrange(25, 75) // 100 // 10 * 10)
        lead, director = (
            _fact(world, f"site:{site.code}.lead.name"),
            _fact(world, f"region:{site.country}.director.name"),
        )
        holder, other = (lead, director) if level == "site" else (director, lead)
        role = rules.approver(amount, owner, site_limit, region)
        fill = {"t": site.town, "a": f"EUR {group_digits(str(amount))}"}
        yield _draft(
            world,
            f"approval-{number}",
            (ask.format(**fill), box.format(**fill)),
            (holder, limits["owner"], limits["site"], limits["region"]),
            value_of(holder),
            [value_of(other), value_of(_fact(world, f"site:{site.code}.deputy.name"))],
            f"Under the approval table, an order of that value lies in the band of the {role} {{rule}}, since it is above the"
            f" limit of the level below and within this one. The directory names the person who holds that function for"
            f" {site.town} {{record}}. A deputy would act only during a marked absence, and none is marked.",
            site=site.code,
        )
    annex = _fact(world, "purchasing.site.eur", site="POZ")
    amount = Decimal((int(site_limit) + int(annex.value)) // 200 * 100)
    lead, director = _fact(world, "site:POZ.lead.name"), _fact(world, "region:Poland.director.name")
    yield _draft(
        world,
        "approval-4",
        (
            f"Poznań needs drives and other electronic components for EUR {group_digits(str(amount))}. Whose approval?",
            f"electronic components poznań EUR {group_digits(str(amount))} approver name",
        ),
        (lead, annex),
        value_of(lead),
        [value_of(director), value_of(_fact(world, "site:POZ.deputy.name"))],
        "For electronic components the Poznań annex lets the site lead sign up to an amount of its own {rule}, and this"
        " request stays below it; the group table would have sent it one level up. The directory names the holder of that"
        " function for Poznań {record}.",
        shown=(world.home(limits["site"]),),
        site="POZ",
        traps=("annex",),
    )


def _notice(world: World, rng: random.Random) -> Iterator[Draft]:
    middle, long = _fact(world, "leave.tenure_mid.years"), _fact(world, "leave.tenure_long.years")
    periods = {band: _fact(world, f"leave.notice_{band}.weeks") for band in ("short", "mid", "long")}

    def years(person: Employee) -> int:
        return rules.completed_years(person.started, TODAY)

    def clear(person: Employee) -> bool:
        """Not within a month of an anniversary, and past any probation."""
        since = (TODAY - person.started).days % 365.25
        return 30 < since < 335 and (TODAY - person.started).days > 420

    def band(person: Employee) -> str:
        return rules.notice_band(years(person), int(middle.value), int(long.value))

    staff = [p for p in world.records.employees if p.site not in names.ANNEX_SITES and clear(p)]
    asks = [
        ("long", "{n} in {t} hands in a letter of resignation today. How many weeks of notice apply?",
         "notice period {n} {t}"),
        ("mid", "If {n} resigned today, how long would we still have them?", "{n} resignation weeks notice"),
        ("short", "How many weeks' notice does {n} owe us after a resignation received today?", "resignation {n} notice weeks"),
    ]  # fmt: skip
    for number, (wanted, ask, box) in enumerate(asks, start=1):
        person = _pick(rng, [p for p in staff if band(p) == wanted] or staff)
        period = periods[band(person)]
        fill = {"n": person.name, "t": _town(person.site)}
        yield _draft(
            world,
            f"notice-{number}",
            (ask.format(**fill), box.format(**fill)),
            (_fact(world, f"employee:{person.name}.started.date"), middle, long, period),
            value_of(period),
            [value_of(f) for f in periods.values()],
            f"The people register has {person.name} starting on {long_date(person.started)} {{record}}, which makes"
            f" {years(person)} completed years today. The leave policy sorts notice by completed service on the day the letter"
            f" is received, and that length of service falls into the {wanted if wanted != 'mid' else 'middle'} band"
            " {rule}. No annex exists for that site that would change it.",
            site=person.site,
        )
    dortmund = [p for p in world.records.employees if p.site == "DTM" and 2 <= years(p) < 10 and clear(p)]
    dortmund = dortmund or [p for p in world.records.employees if p.site == "DTM" and 2 <= years(p) < 10]
    if dortmund:
        person = _pick(rng, dortmund)
        annex = _fact(world, "leave.notice_mid.weeks", site="DTM")
        yield _draft(
            world,
            "notice-4",
            (
                f"{person.name} at Dortmund wants to leave and gives notice today. How many weeks is it?",
                f"dortmund notice period {person.name}",
            ),
            (_fact(world, f"employee:{person.name}.started.date"), annex),
            value_of(annex),
            [value_of(f) for f in periods.values()],
            f"{person.name} started on {long_date(person.started)} {{record}} and has {years(person)} completed years, which"
            " lies between two and ten. For people employed at Dortmund the works agreement sets the period for that span"
            " and takes precedence over the group rule {rule}, so the bands of the group policy are not used here.",
            shown=(world.home(periods["mid"]),),
            site="DTM",
            traps=("annex",),
        )


def _response(world: World, rng: random.Random) -> Iterator[Draft]:
    cases = [
        ("Plus", datetime(2026, 3, 7, 22, 40), True, "Stoppage at {c}, logged on {d} local. How soon must we respond?",
         "response time stoppage {c} {d}"),
        ("Prime", datetime(2026, 3, 11, 10, 15), True, "{c} logged a stoppage on {d}. By when do they get a response?",
         "{c} stoppage {d} response target"),
        ("Essential", datetime(2026, 3, 15, 8, 30), False, "The sorter at {c} stopped, case logged {d}. Our response target?",
         "response target {c} logged {d}"),
        ("Prime", datetime(2026, 3, 12, 23, 5), False, "What response time do we owe {c} for a priority 1 logged on {d}?",
         "{c} priority 1 {d} response"),
    ]  # fmt: skip
    used: set[str] = set()
    for number, (tier, logged, trap, ask, box) in enumerate(cases, start=1):
        free = [c for c in world.records.contracts if c.number not in used]
        contract = _pick(rng, [c for c in free if c.tier == tier] or free)
        used.add(contract.number)
        predicate = rules.response_predicate(contract.tier, logged)
        units = {"rtc_day": "minutes", "prime_day": "minutes", "prime_night": "minutes"}
        target = _fact(world, f"service.{predicate}.{units.get(predicate, 'hours')}")
        rivals = [
            fact
            for fact in world.ledger.facts
            if fact.subject == "service" and fact.predicate.endswith(("_day", "_night")) and fact.holds_on(TODAY)
        ]
        older = [f for f in world.ledger.editions("service", "prime_day") if not f.holds_on(TODAY)]
        when = f"{logged:%A} {logged.day} {logged:%B} at {logged:%H:%M}"
        moment = "inside" if rules.in_service_hours(logged) else "outside"
        fill = {"c": contract.customer, "d": when}
        yield _draft(
            world,
            f"response-{number}",
            (ask.format(**fill), box.format(**fill)),
            (_fact(world, f"contract:{contract.number}.tier.code"), target),
            value_of(target),
            [value_of(f) for f in rivals],
            f"According to the front sheets {contract.customer} has a {contract.tier} contract, {contract.number} {{record}}."
            f" The case was logged on {when}, which is {moment} the service hours that the schedule defines"
            " {rule}, so the figure comes from that tier's row and that column.",
            shown=tuple(world.home(f) for f in older) if trap else (),
            traps=("superseded",) if trap else (),
        )


def _restocking(world: World, rng: random.Random) -> Iterator[Draft]:
    early, window = _fact(world, "returns.early.cdays"), _fact(world, "returns.window.cdays")
    fees = {band: _fact(world, f"returns.fee_{band}.pct") for band in ("early", "sealed", "opened")}
    cases = [
        ("early", False, "Which restocking fee, in per cent, applies to {r}?", "{r} restocking fee"),
        ("opened", True, "What percentage do we deduct on {r}?", "deduction {r} percent"),
        ("sealed", False, "{r} is being credited today. How much is the restocking fee in per cent?", "restocking percent {r}"),
    ]  # fmt: skip
    for number, (wanted, trap, ask, box) in enumerate(cases, start=1):
        pool = []
        for record in world.records.returns:
            age = (record.scanned - record.delivered).days
            if rules.restocking_band(record.sealed, age, int(early.value), int(window.value)) == wanted:
                pool.append(record)
        record = _pick(rng, pool)
        age = (record.scanned - record.delivered).days
        older = [
            f for f in world.ledger.editions("returns", "fee_opened") if f.valid_to and f.valid_to < record.delivered
        ]
        cells = [_fact(world, f"return:{record.rma}.{c}") for c in ("delivered.date", "scanned.date", "tape.code")]
        state = "whole" if record.sealed else "cut"
        yield _draft(
            world,
            f"restocking-{number}",
            (ask.format(r=record.rma), box.format(r=record.rma)),
            (*cells, early, fees[wanted]),
            value_of(fees[wanted]),
            [value_of(f) for f in fees.values()] + [value_of(f) for f in older],
            f"The bench log shows delivery on {long_date(record.delivered)}, the scan at Ghent on {long_date(record.scanned)},"
            f" {age} days later, and the tape {state} {{record}}. The policy in force for that delivery puts such a"
            f" return into the {dict(early='early', opened='broken-seal', sealed='later sealed')[wanted]} case {{rule}}.",
            shown=tuple(world.home(f) for f in older) if trap else (),
            traps=("superseded",) if trap else (),
        )


def _price(world: World, rng: random.Random) -> Iterator[Draft]:
    floors = [_fact(world, f"pricing.break{n}.pieces") for n in (1, 2)]
    discounts = [_fact(world, f"pricing.disc{n}.pct") for n in (1, 2)]
    breaks = {int(floor.value): Decimal(off.value) for floor, off in zip(floors, discounts, strict=True)}
    low, high = sorted(breaks)
    parts = [part for part in world.records.parts if not part.net_only]
    rng.shuffle(parts)
    november = date(2025, 11, 20)
    cases = [
        (TODAY, 2, rng.randrange(low + 2, high - 4), False,
         "Customer without a contract orders {q} of {p} today. Net unit price in euro after quantity discount?",
         "{p} unit price {q} pcs euro"),
        (november, 1, high + rng.randrange(3, 30), True,
         "For an order of {q} {p} on 20 November 2025, no contract: what did one piece cost in EUR after discount?",
         "{p} price {q} pcs order 20 november 2025 EUR"),
        (TODAY, 2, high + rng.randrange(3, 30), True,
         "What does one {p} cost in euro today if somebody without a contract takes {q}?", "{p} {q} pieces price each EUR"),
    ]  # fmt: skip
    for number, ((day, book, pieces, trap, ask, box), part) in enumerate(zip(cases, parts, strict=False), start=1):
        listed = _fact(world, f"part:{part.number}.list.eur", day)
        price = part.prices[book]
        off = rules.quantity_discount(pieces, breaks)
        net = rules.net_price(price, off)
        rivals = [
            f for f in world.ledger.editions(f"part:{part.number}", "list") if f.unit == "eur" and f is not listed
        ]
        rivals = [f for f in rivals if f.valid_from >= PRICE_BOOKS[1]]
        wrong = [price, *(rules.net_price(price, d) for d in breaks.values() if d != off)]
        wrong += [rules.net_price(Decimal(rival.value), off) for rival in rivals]
        fill = {"q": pieces, "p": part.number}
        yield _draft(
            world,
            f"price-{number}",
            (ask.format(**fill), box.format(**fill)),
            (listed, *floors, *discounts),
            (str(net), "eur"),
            [(f"{amount:.2f}", "eur") for amount in wrong],
            f"The price book valid on {long_date(day)} is the one of {PRICE_BOOKS[book].year}; it has {part.number}, without a K,"
            f" at EUR {price:.2f} list {{record}}. A line of {pieces} pieces reaches the {'second' if pieces >= high else 'first'}"
            f" quantity step, which takes {off} % off the list price {{rule}}. No contract means no further discount.",
            shown=tuple(world.home(f) for f in rivals) if trap else (),
            on=day,
            traps=("superseded", *(("past-date",) if day < TODAY else ())) if trap else (),
        )


def _hold(world: World, rng: random.Random) -> Iterator[Draft]:
    days, reminder = _fact(world, "credit.hold.cdays"), _fact(world, "credit.reminder.cdays")
    invoice = _pick(rng, [i for i in world.records.invoices if i.due > TODAY - timedelta(days=25)])
    due = _fact(world, f"invoice:{invoice.number}.due.date")
    rivals = [f for f in world.ledger.editions("credit", "hold") if f is not days]
    yield _draft(
        world,
        "hold-1",
        (
            f"{invoice.customer} still hasn't paid {invoice.number}. On what date does the account go on hold?",
            f"{invoice.number} unpaid hold date",
        ),
        (due, days),
        (rules.hold_date(invoice.due, int(days.value)).isoformat(), "date"),
        [(rules.hold_date(invoice.due, int(f.value)).isoformat(), "date") for f in (reminder, *rivals)]
        + [value_of(due)],
        f"The open items list the invoice as due on {long_date(invoice.due)} and undisputed {{record}}. Credit policy places"
        f" the account on hold {spoken(*value_of(days))} after the due date {{rule}}; counting from the due date gives the"
        " day in the answer.",
        shown=tuple(world.home(f) for f in rivals),
        traps=("superseded",),
    )


def _loan(world: World, rng: random.Random) -> Iterator[Draft]:
    free = _fact(world, "loaner.free.cdays")
    overdue = _fact(world, "loaner.overdue.cdays")
    loan = _pick(rng, [item for item in world.records.loans if item.contract])
    dispatched = _fact(world, f"loan:{loan.number}.dispatched.date")
    covered = _fact(world, f"loan:{loan.number}.contract.code")
    yield _draft(
        world,
        "loan-1",
        (f"Which is the last day that loan {loan.number} is free of charge?", f"{loan.number} free loan until date"),
        (dispatched, covered, free),
        (rules.last_free_day(loan.dispatched, int(free.value)).isoformat(), "date"),
        [
            (rules.last_free_day(loan.dispatched, int(free.value) + extra).isoformat(), "date")
            for extra in (-1, int(overdue.value))
        ],
        f"The pool log shows the unit leaving on {long_date(loan.dispatched)} to a customer with a running contract, and no"
        f" extension {{record}}. Contract customers have {spoken(*value_of(free))} from dispatch, the dispatch day being day"
        " zero {rule}, so the last free day is that many days after dispatch.",
    )


def _town(code: str) -> str:
    return next(site.town for site in names.SITES if site.code == code)
