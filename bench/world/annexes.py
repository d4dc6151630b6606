"""Annexes: what machines print and what lies beside a record. None of it states what a record decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from bench.tokens import tokens
from bench.world.names import SITES
from bench.world.strands import people


def machine_text(rng: random.Random, day: datetime, size: int) -> list[tuple[str, str]]:
    """(title, text) of exports that together have about `size` tokens; the kinds follow in a drawn order."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    share = max(300, size // (1 if size < 2200 else 2 if size < 7500 else 3))
    found: list[tuple[str, str]] = []
    left = float(size)
    while left > 160:
        title = kinds[len(found) % len(kinds)]
        room = min(share, left)
        lines: list[str] = []
        for line in KINDS[title](rng, day):
            lines.append(line)
            room -= tokens(line) + 1
            left -= tokens(line) + 1
            if room <= 0:
                break
        found.append((title if len(found) < len(kinds) else f"{title}, continued", "\n".join(lines)))
    return found


def _controller(rng: random.Random, day: datetime) -> Iterator[str]:
    """What the line controllers of a hall said: a level belongs to a message, zones go up to 64, a telegram is tried thrice."""
    at = day.replace(hour=rng.randrange(0, 6), minute=rng.randrange(60))
    lines = [f"halyard-{number:02d}" for number in sorted(rng.sample(range(1, 30), 5))]
    said = (
        (9, "INFO ", "zone {} released", 1, 64),
        (6, "INFO ", "zone {} held by downstream", 1, 64),
        (6, "DEBUG", "heartbeat ok, age {} ms", 35, 240),
        (5, "INFO ", "drive current {} mA", 420, 1450),
        (5, "INFO ", "queue length {}", 0, 18),
        (3, "WARN ", "photo-eye blocked {} ms", 800, 5200),
        (2, "WARN ", "retry {} of telegram", 1, 3),
        (1, "INFO ", "parameter set {} loaded", 1, 12),
        (1, "ERROR", "zone {} jammed, reset asked for", 1, 64),
    )
    while True:
        at += timedelta(seconds=rng.randrange(1, 240), milliseconds=rng.randrange(1000))
        _, level, text, low, high = rng.choices(said, [weight for weight, *_ in said])[0]
        yield f"{at.isoformat(timespec='milliseconds')} {rng.choice(lines)} {level} {text.format(rng.randint(low, high))}"


def _stock(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "posting;part;from;to;pieces;user"
    number = rng.randrange(600000, 900000)
    users = [f"u{rng.randrange(100, 999)}" for _ in range(9)]
    while True:
        number += rng.randrange(1, 9)
        part = f"{rng.choice(('BR', 'DR', 'GD', 'PN', 'SN'))}-{rng.randrange(1100, 8800)}"
        bins = (f"{rng.choice('ABCDEFGH')}{rng.randrange(1, 40):02d}-{rng.randrange(1, 9)}" for _ in range(2))
        yield f"{number};{part};{next(bins)};{next(bins)};{rng.randrange(1, 60)};{rng.choice(users)}"


def _gate(rng: random.Random, day: datetime) -> Iterator[str]:
    """Who came and went. Nobody leaves before coming; somebody's badge is seen again, on the way out."""
    yield "date   time   gate  direction  plate or badge"
    midnight = day.replace(hour=0, minute=0)
    minute, within = 300, list[str]()
    while True:
        minute += rng.randrange(1, 5)
        leaves = len(within) > 3 and rng.random() < (0.3 if minute % 1440 < 780 else 0.7)
        if leaves:
            who = within.pop(rng.randrange(len(within)))
        else:
            plate = f"{''.join(rng.choices('BCDFGHJKLMNPRSTVWX', k=3))} {rng.randrange(100, 9999)}"
            who = rng.choice((plate, f"badge {rng.randrange(10000, 99999)}"))
            within.append(who)
        at = midnight + timedelta(minutes=minute)
        yield f"{at:%d/%m  %H:%M}  {rng.randrange(1, 5)}     {'out' if leaves else 'in '}        {who}"


def _tickets(rng: random.Random, day: datetime) -> Iterator[str]:
    yield "| ticket | opened | state | queue | last change by |"
    yield "|---|---|---|---|---|"
    number = rng.randrange(70000, 90000)
    opened = day - timedelta(days=rng.randrange(60, 90))
    staff = people(rng, 12)
    while True:
        number += rng.randrange(1, 12)
        opened = min(opened + timedelta(hours=rng.randrange(0, 9)), day)
        state = rng.choice(("open", "waiting", "solved", "closed", "reopened"))
        first, _, last = rng.choice(staff).partition(" ")
        queue = rng.choice(("parts", "field", "portal", "invoices"))
        yield f"| T-{number} | {opened.date().isoformat()} | {state} | {queue} | {first[0]}. {last[:4].lower()} |"


def _sensors(rng: random.Random, day: datetime) -> Iterator[str]:
    """Four stations that report every quarter of an hour; their readings drift and do not jump."""
    yield "station,stamp,humidity,pressure,dust,battery_mv"
    at = day.replace(hour=0, minute=0)
    stations = [f"{site.code}-{rng.randrange(1, 60):02d}" for site in rng.sample(SITES, 4)]
    pressure = {station: rng.randrange(10_000, 10_240) for station in stations}  # in tenths of a hectopascal
    humidity = {station: rng.randrange(36, 62) for station in stations}
    dust = {station: rng.randrange(8, 40) for station in stations}
    battery = {station: rng.randrange(2900, 3290) for station in stations}
    while True:
        for offset, station in enumerate(stations):
            if rng.random() < 0.04:
                continue  # a report that was lost on the way
            pressure[station] += rng.choice((-2, -1, 0, 0, 1, 2))
            humidity[station] = min(78, max(26, humidity[station] + rng.choice((-1, 0, 0, 1))))
            dust[station] = min(95, max(2, dust[station] + rng.choice((-3, -1, 0, 1, 3))))
            battery[station] -= rng.choice((0, 0, 0, 1))
            reading = f"{humidity[station]},{pressure[station] // 10}.{pressure[station] % 10},{dust[station]},{battery[station]}"
            yield f"{station},{at + timedelta(minutes=offset):%Y-%m-%d %H:%M},{reading}"
        at += timedelta(minutes=15)


def _mails(rng: random.Random, day: datetime) -> Iterator[str]:
    """Each message is queued, scanned and then delivered, put off or removed; several are on their way at once."""
    at = day.replace(hour=5, minute=0)
    waiting: list[tuple[datetime, str]] = []
    while True:
        at += timedelta(seconds=rng.randrange(2, 400))
        yield from _gone_by(waiting, at)
        key, size = f"{rng.randrange(16**10):010X}", rng.randrange(1800, 96000)
        end = rng.choices(("delivered", "deferred, greylisted", "removed"), (8, 2, 1))[0]
        scanned = at + timedelta(seconds=rng.randrange(1, 6))
        done = scanned + timedelta(seconds=rng.randrange(1, 90))
        verdict = "scanned, rejected by policy" if end == "removed" else "scanned, nothing found"
        stages = ((at, f"relay-{rng.choice('ab')}", "queued"), (scanned, f"scan-{rng.choice('12')}", verdict),
                  (done, "store-3", end))  # fmt: skip
        waiting += [(when, f"{when:%b %d %H:%M:%S} {hop} {key}: size={size} {what}") for when, hop, what in stages]


def _gone_by(waiting: list[tuple[datetime, str]], now: datetime) -> Iterator[str]:
    """The lines that were due before now, in order; they are taken from the list."""
    due = sorted(line for line in waiting if line[0] < now)
    waiting[:] = [line for line in waiting if line[0] >= now]
    yield from (text for _, text in due)


KINDS: dict[str, Callable[[random.Random, datetime], Iterator[str]]] = {
    "Controller trace": _controller,
    "Stock postings": _stock,
    "Gate book": _gate,
    "Ticket list": _tickets,
    "Climate stations": _sensors,
    "Mail relay trace": _mails,
}
