"""Units, currencies and number words, as tables. Only exact conversions.

A month is not thirty days, a day is not 24 hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a family, `factor` times the family's base. Amounts compare only inside one family."""

    family: str
    factor: Decimal


# family | factor | symbols, case-sensitive | words, singular, any case
_TABLE = """
calendar | 1    | d        | day, calendar day
calendar | 7    | wk wks   | week, calendar week
calendar | 14   |          | fortnight
month    | 1    | mo mos   | month, calendar month
month    | 3    |          | quarter, calendar quarter
month    | 6    |          | half-year, half year
month    | 12   | y yr yrs | year, calendar year
working  | 1    |          | working day, business day, workday, work day
fiscal quarter | 1 |       | fiscal quarter, financial quarter
fiscal quarter | 4 |       | fiscal year, financial year
clock    | 0.001 | ms      | millisecond, msec
clock    | 1    | s sec secs | second
clock    | 60   | min mins | minute
clock    | 3600 | h hr hrs | hour
working hour | 1 |         | working hour, business hour, office hour
mass     | 0.001 | mg      | milligram, milligramme
mass     | 1    | g        | gram, gramme
mass     | 1000 | kg kgs   | kilogram, kilogramme, kilo
mass     | 1000000 | t     | tonne, metric ton
mass lb  | 1    | lb lbs   |
length   | 1    | mm       | millimetre, millimeter
length   | 10   | cm       | centimetre, centimeter
length   | 1000 | m        | metre, meter
length   | 1000000 | km    | kilometre, kilometer
length in | 1   |          | inch
length in | 12  | ft       | foot
area     | 1    | m2 m^2 sqm | square metre, square meter
volume   | 1    | ml mL    | millilitre, milliliter
volume   | 10   | cl       | centilitre, centiliter
volume   | 1000 | l L      | litre, liter
volume   | 1000000 | m3 m^3 | cubic metre, cubic meter
voltage  | 0.001 | mV      | millivolt
voltage  | 1    | V        | volt
voltage  | 1000 | kV       | kilovolt
current  | 0.001 | mA      | milliampere, milliamp
current  | 1    | A        | ampere, amp
charge   | 0.001 | mAh     | milliampere-hour
charge   | 1    | Ah       | ampere-hour, amp-hour
power    | 1    | W        | watt
power    | 1000 | kW       | kilowatt
power    | 1000000 | MW    | megawatt
energy   | 1    | Wh       | watt-hour
energy   | 1000 | kWh      | kilowatt-hour, kilowatt hour
energy   | 1000000 | MWh   | megawatt-hour, megawatt hour
frequency | 1   | Hz       | hertz
frequency | 1000 | kHz     | kilohertz
frequency | 1000000 | MHz  | megahertz
frequency | 1000000000 | GHz | gigahertz
data     | 1    | B        | byte
data     | 1000 | kB KB    | kilobyte
data     | 1000000 | MB    | megabyte
data     | 1000000000 | GB | gigabyte
data     | 1000000000000 | TB | terabyte
data     | 1024 | KiB      | kibibyte
data     | 1048576 | MiB   | mebibyte
data     | 1073741824 | GiB | gibibyte
data     | 1099511627776 | TiB | tebibyte
data rate | 1   | Mbit/s Mbps Mb/s | megabit per second
data rate | 1000 | Gbit/s Gbps Gb/s | gigabit per second
celsius  | 1    | °C degC  | degree celsius, degree centigrade
fahrenheit | 1  | °F degF  | degree fahrenheit
angle    | 1    | °        | degree
pressure | 1    | Pa       | pascal
pressure | 1000 | kPa      | kilopascal
pressure | 100  | mbar     | millibar
pressure | 100000 | bar    |
force    | 1    | N        | newton
force    | 1000 | kN       | kilonewton
torque   | 1    | Nm N·m   | newton-metre, newton metre, newton-meter, newton meter
speed m/s | 1   | m/s      | metre per second, meter per second
speed km/h | 1  | km/h kph | kilometre per hour, kilometer per hour
rotation | 1    | rpm      | revolution per minute
loudness | 1    | dB dB(A) dBA | decibel
percentage point | 1 | pp   | percentage point, percent point
"""


def _plural(word: str) -> str:
    head, sep, tail = word.partition(" per ")
    if head in ("foot", "inch"):
        return {"foot": "feet", "inch": "inches"}[head] + sep + tail
    if head.startswith("degree "):
        return "degrees " + head[7:]
    return head + "s" + sep + tail


def _read(table: str) -> tuple[dict[str, Unit], dict[str, Unit]]:
    symbols: dict[str, Unit] = {}
    words: dict[str, Unit] = {}
    for line in table.strip().splitlines():
        family, factor, short, long = (part.strip() for part in line.split("|"))
        unit = Unit(family, Decimal(factor))
        symbols.update(dict.fromkeys(short.split(), unit))
        for word in filter(None, (w.strip() for w in long.split(","))):
            words[word] = words[_plural(word)] = unit
    return symbols, words


SYMBOLS, WORDS = _read(_TABLE)


def _either(names: list[str]) -> str:
    return "|".join(
        re.escape(n).replace(r"\ ", r"[ -]").replace(r"\-", "[ -]?") for n in sorted(names, key=len, reverse=True)
    )


_WHOLE = r"(?:(?:full|whole|consecutive|complete|entire|successive)[ -]+){0,2}"
_UNIT_WORD = re.compile(rf"{_WHOLE}({_either(list(WORDS))})(?:'s?)?(?![\w/^]|-\d)", re.IGNORECASE)
_UNIT_SYMBOL = re.compile(rf"({'|'.join(re.escape(s) for s in sorted(SYMBOLS, key=len, reverse=True))})(?![\w/^°]|-\d)")
_LOOSE = {re.sub(r"[ -]", "", word): unit for word, unit in WORDS.items()}


def unit_at(text: str, pos: int) -> tuple[Unit, int] | None:
    """The unit that stands at `pos` and where it ends."""
    if match := _UNIT_WORD.match(text, pos):
        return _LOOSE[re.sub(r"[ -]", "", match[1].lower())], match.end()
    if match := _UNIT_SYMBOL.match(text, pos):
        return SYMBOLS[match[1]], match.end()
    return None


def unit(name: str) -> Unit | None:
    """The unit of that name or symbol, or None for a plain noun such as "sites"."""
    found = unit_at(name.strip(), 0)
    return found[0] if found and found[1] == len(name.strip()) else None


# code | signs and short forms | words. `kr` alone is one of three currencies; a bare dollar sign is read as US dollars.
_CURRENCIES = """
EUR | €             | euro, euros
USD | $, us$        | dollar, dollars, us dollar, us dollars, u.s. dollars
GBP | £             | pound, pounds, pound sterling, pounds sterling, british pounds
CHF | fr., sfr      | swiss franc, swiss francs
DKK | kr, kr.       | krone, kroner, danish krone, danish kroner
NOK | kr, kr.       | krone, kroner, norwegian krone, norwegian kroner
SEK | kr, kr.       | krona, kronor, swedish krona, swedish kronor
PLN | zl            | zloty, zlotys, polish zloty
CZK | kc            | czech koruna, czech crowns
JPY | ¥             | yen
CNY | ¥             | yuan
INR | ₹             | rupee, rupees
AUD | a$, au$       | australian dollar, australian dollars
CAD | c$, ca$       | canadian dollar, canadian dollars
NZD | nz$           |
SGD | s$            |
HKD | hk$           |
BRL | r$            |
HUF | ft.           | forint
"""
_OTHER_CODES = "AED BGN ILS ISK KRW MXN RON THB TRY ZAR"


def _read_currencies(table: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {code.lower(): frozenset({code}) for code in _OTHER_CODES.split()}
    for line in table.strip().splitlines():
        code, signs, words = (part.strip() for part in line.split("|"))
        for name in filter(None, (n.strip() for n in f"{code.lower()}, {signs}, {words}".split(","))):
            found[name] = found.get(name, frozenset()) | {code}
    return found


CURRENCY = _read_currencies(_CURRENCIES)
CODES = tuple(sorted({code for codes in CURRENCY.values() for code in codes}))

_NAMES = "|".join(re.escape(n) for n in sorted(CURRENCY, key=len, reverse=True) if n not in ("try", "ron"))
_MONEY = rf"{_NAMES}|(?-i:TRY|RON)"  # in small letters, one is a verb and one a name
CURRENCY_AFTER = re.compile(rf" {{0,40}}-?\(?({_MONEY})(?![^\W\d])", re.IGNORECASE)
_BACKWARDS = "|".join(re.escape(n[::-1]) for n in sorted(CURRENCY, key=len, reverse=True) if n not in ("try", "ron"))
_MONEY_BACKWARDS = re.compile(rf"\n? ?({_BACKWARDS}|(?-i:YRT|NOR))(?![^\W_])", re.IGNORECASE)


def currency_before(text: str) -> tuple[str, int] | None:
    """The currency's name or sign at the end of a text, a blank after it or none, and where it begins.

    The text is read backwards: one place to try instead of as many as there are characters.
    """
    match = _MONEY_BACKWARDS.match(text[::-1])
    return (match[1][::-1], len(text) - match.end()) if match else None


SCALES = {
    "k": 10**3, "m": 10**6, "b": 10**9, "mn": 10**6, "mln": 10**6, "mio": 10**6, "bn": 10**9,
    "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
}  # fmt: skip

_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: value for value, word in enumerate(_SMALL.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
BIG = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
