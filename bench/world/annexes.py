"""Annexes: what machines print and what lies beside a record. None of it states what a record decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from bench.world.names import SITES
from bench.world.strands import people


def machine_text(rng: random.Random, day: datetime, characters: int) -> list[tuple[str, str]]:
    """(title, text) of exports that together have about so many characters; the kinds follow in a drawn order."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    share = max(900, characters // (1 if characters < 6000 else 2 if characters < 20000 else 3))
    found: list[tuple[str, str]] = []
    while sum(len(text) for _, text in found) + 500 < characters:
        title = kinds[len(found) % len(kinds)]
        room = min(share, characters - sum(len(text) for _, text in found))
        lines: list[str] = []
        size = 0
        for line in KINDS[title](rng, day):
            if size > room:
                break
            lines.append(line)
            size += len(line) + 1
        found.append((title if len(found) < len(kinds) else f"{title}, continued", "\n".join(lines)))
    return found


def _controller(rng: random.Random, day: datetime) -> Iterator[str]:
    at = day.replace(hour=rng.randrange(0, 6), minute=rng.randrange(60))
    lines = [f"halyard-{rng.randrange(1, 30):02d}" for _ in range(5)]
    said = ("photo-eye blocked {} ms", "zone {} released", "drive current {} mA", "queue length {}", "heartbeat ok, age {} ms",
            "retry {} of telegram", "zone {} held by downstream", "parameter set {} loaded")  # fmt: skip
    while True:
        at += timedelta(seconds=rng.randrange(1, 240), milliseconds=rng.randrange(1000))
        level = rng.choices(("INFO", "INFO", "WARN", "DEBUG", "ERROR"), (8, 6, 3, 5, 1))[0]
        text = rng.choice(said).format(rng.randrange(1, 2000))
        yield f"{at.isoformat(timespec='milliseconds')} {rng.choice(lines)} {level:5} {text}"


def _stock(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "posting;part;from;to;pieces;user"
    number = rng.randrange(600000, 900000)
    while True:
        number += rng.randrange(1, 9)
        part = f"{rng.choice(('BR', 'DR', 'GD', 'PN', 'SN'))}-{rng.randrange(1100, 8800)}"
        bins = (f"{rng.choice('ABCDEFGH')}{rng.randrange(1, 40):02d}-{rng.randrange(1, 9)}" for _ in range(2))
        yield f"{number};{part};{next(bins)};{next(bins)};{rng.randrange(1, 60)};u{rng.randrange(100, 999)}"


def _gate(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "time   gate  direction  plate or badge"
    minute = 300
    while True:
        minute += rng.randrange(1, 7)
        plate = f"{''.join(rng.choices('BCDFGHJKLMNPRSTVWX', k=3))} {rng.randrange(100, 9999)}"
        who = rng.choice((plate, f"badge {rng.randrange(10000, 99999)}"))
        yield f"{minute // 60 % 24:02d}:{minute % 60:02d}  {rng.randrange(1, 5)}     {rng.choice(('in ', 'out'))}        {who}"


def _tickets(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "| ticket | opened | state | queue | last change by |"
    yield "|---|---|---|---|---|"
    number = rng.randrange(70000, 90000)
    staff = people(rng, 12)
    while True:
        number += rng.randrange(1, 12)
        opened = (day - timedelta(days=rng.randrange(1, 40))).date().isoformat()
        state = rng.choice(("open", "waiting", "solved", "closed", "reopened"))
        first, _, last = rng.choice(staff).partition(" ")
        queue = rng.choice(("parts", "field", "portal", "invoices"))
        yield f"| T-{number} | {opened} | {state} | {queue} | {first[0]}. {last[:4].lower()} |"


def _sensors(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "station,stamp,humidity,pressure,dust,battery_mv"
    at = day.replace(hour=0, minute=0)
    stations = [f"{site.code}-{rng.randrange(1, 60):02d}" for site in rng.sample(SITES, 4)]
    while True:
        at += timedelta(minutes=rng.choice((5, 5, 10, 15)))
        reading = (rng.randrange(28, 74), rng.randrange(985, 1036), rng.randrange(2, 90), rng.randrange(2710, 3290))
        yield f"{rng.choice(stations)},{at:%Y-%m-%d %H:%M}," + ",".join(map(str, reading))


def _mails(rng: random.Random, day: datetime) -> Iterator[str]:
    at = day.replace(hour=5, minute=0)
    while True:
        at += timedelta(seconds=rng.randrange(2, 400))
        key = f"{rng.randrange(16**10):010X}"
        hop = rng.choice(("relay-a", "relay-b", "scan-1", "scan-2", "store-3"))
        done = rng.choice(
            ("queued", "delivered", "deferred, greylisted", "delivered", "removed", "scanned, nothing found")
        )
        yield f"{at:%b %d %H:%M:%S} {hop} {key}: size={rng.randrange(1800, 96000)} {done}"


KINDS: dict[str, Callable[[random.Random, datetime], Iterator[str]]] = {
    "Controller trace": _controller,
    "Stock postings": _stock,
    "Gate book": _gate,
    "Ticket list": _tickets,
    "Climate stations": _sensors,
    "Mail relay trace": _mails,
}
