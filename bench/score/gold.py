"""Facts as a workload writes them: six types, each read into one form that can be compared exactly.

{"type": "number", "value": "30", "unit": "calendar days"}      to: the other end of a range
{"type": "money", "value": "1250.00", "currency": "EUR"}        unit_optional: the bare number will do
{"type": "percent", "value": "15"}
{"type": "date", "value": "2026-03-02"}                         or a month, 2026-03; year_optional
{"type": "name", "value": "Lena Okafor", "aliases": ["L. Okafor"]}
{"type": "phrase", "any_of": ["two approvers", "dual approval"]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from bench.score.numerals import readings
from bench.score.text import clean
from bench.score.units import CODES, SMALL, Unit, unit


@dataclass(frozen=True, slots=True)
class Fact:
    """One typed fact. `amounts` are (value,) or, for a range, (value, to), in the unit's base.

    `label` is for reasons.
    """

    type: str
    label: str
    amounts: tuple[Decimal, ...] = ()
    unit: Unit | None = None
    noun: tuple[str, ...] = ()
    currency: str = ""
    day: tuple[int, int, int | None] | None = None
    patterns: tuple[re.Pattern[str], ...] = ()
    negative: bool = False
    """The phrase itself says no ("not covered"), so a negation before it is not looked for."""
    optional: bool = False
    """`unit_optional` or `year_optional`: the bare number, or the date without its year, will do."""


class BadFact(ValueError):
    """A fact that cannot be read; the message says what is wanted."""


def parse(raw: Mapping[str, Any]) -> Fact:
    """The fact as written in a workload, read once. Raises BadFact with what would be right."""
    try:
        return _parsed(json.dumps(raw))
    except (TypeError, RecursionError):  # something that no JSON can hold: BadFact says what
        return _parse(raw)


@lru_cache(maxsize=32768)
def _parsed(raw: str) -> Fact:
    return _parse(json.loads(raw))


def _parse(raw: Mapping[str, Any]) -> Fact:
    if not isinstance(raw, Mapping):
        raise BadFact(f'got {raw!r}; want an object, e.g. {{"type": "number", "value": "30", "unit": "calendar days"}}')
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise BadFact(f"type: got {kind!r}; want one of {', '.join(_KEYS)}")
    if unknown := set(raw) - _KEYS[kind] - {"type"}:
        raise BadFact(f"got {', '.join(sorted(unknown))}; a {kind} fact has {', '.join(sorted(_KEYS[kind]))}")
    return _PARSERS[kind](raw)


_KEYS = {
    "number": {"value", "to", "unit", "unit_optional"},
    "money": {"value", "to", "currency", "unit_optional"},
    "percent": {"value", "to", "unit_optional"},
    "date": {"value", "year_optional"},
    "name": {"value", "aliases"},
    "phrase": {"any_of"},
}


def _amounts(raw: Mapping[str, Any]) -> tuple[Decimal, ...]:
    if "value" not in raw:
        raise BadFact('value: missing; want a plain decimal in quotes, e.g. "30"')
    found = []
    for key in ("value", "to"):
        if key in raw:
            # a float is refused: 0.1 of YAML is not the decimal 0.1
            text = str(raw[key]) if isinstance(raw[key], (str, int)) and not isinstance(raw[key], bool) else ""
            if not re.fullmatch(r"-?\d+(?:\.\d+)?", text):
                raise BadFact(f'{key}: got {raw[key]!r}; want a plain decimal in quotes, e.g. "1250.00"')
            found.append(Decimal(text))
    return tuple(found)


def _label(raw: Mapping[str, Any]) -> str:
    parts = [
        str(raw.get("value")),
        f"to {raw['to']}" if "to" in raw else "",
        str(raw.get("unit") or raw.get("currency") or ""),
    ]
    return " ".join(p for p in parts if p) + ("%" if raw["type"] == "percent" else "")


def _number(raw: Mapping[str, Any]) -> Fact:
    name = str(raw.get("unit") or "")
    known = unit(name) if name else None
    factor = known.factor if known else Decimal(1)
    noun = () if known else tuple(stem(w) for w in re.findall(r"[\w']+", clean(name).lower()))
    return Fact(
        "number",
        _label(raw),
        tuple(a * factor for a in _amounts(raw)),
        known,
        noun,
        optional=bool(raw.get("unit_optional")),
    )


def _money(raw: Mapping[str, Any]) -> Fact:
    currency = str(raw.get("currency", "")).upper()
    if currency not in CODES:
        raise BadFact(f"currency: got {raw.get('currency')!r}; want a code such as EUR, one of {', '.join(CODES)}")
    return Fact("money", _label(raw), _amounts(raw), currency=currency, optional=bool(raw.get("unit_optional")))


def _percent(raw: Mapping[str, Any]) -> Fact:
    return Fact("percent", _label(raw), _amounts(raw), optional=bool(raw.get("unit_optional")))


def _date(raw: Mapping[str, Any]) -> Fact:
    text = str(raw.get("value", ""))
    match = re.fullmatch(r"(\d{4})-(\d\d)(?:-(\d\d))?", text)
    try:
        if match is None:
            raise ValueError
        parts = (int(match[1]), int(match[2]), int(match[3]) if match[3] else None)
        date(parts[0], parts[1], parts[2] or 1)
    except ValueError:
        raise BadFact(f"value: got {text!r}; want a date such as 2026-03-02, or a month such as 2026-03") from None
    return Fact("date", text, day=parts, optional=bool(raw.get("year_optional")))


def _name(raw: Mapping[str, Any]) -> Fact:
    aliases = raw.get("aliases", ())
    names = [
        raw.get("value"),
        *(aliases if isinstance(aliases, Sequence) and not isinstance(aliases, str) else (None,)),
    ]
    if not all(isinstance(n, str) and re.search(r"\w", n) for n in names):
        raise BadFact('want "value": "Lena Okafor", and "aliases" a list of strings')
    return Fact("name", str(names[0]), patterns=tuple(_name_pattern(str(n)) for n in names))


def _name_pattern(name: str) -> re.Pattern[str]:
    words = [re.escape(w.rstrip(".")) for w in re.split(r"[\s-]+", clean(name).strip()) if w.strip(".")]
    plain = r"\.?[\s-]{0,2}".join(words)
    if len(words) == 2 and all(w.isalpha() for w in words):
        plain = rf"(?:{plain}|{words[1]},\s{words[0]})"
    return re.compile(rf"(?<![\w])(?<!\w[-/])(?<!\d[.,]){plain}(?:'s|(?<=s)')?(?![\w])(?![-/]\w|[.,]\d)", re.IGNORECASE)


def _phrase(raw: Mapping[str, Any]) -> Fact:
    phrases = raw.get("any_of")
    if (
        not isinstance(phrases, Sequence)
        or isinstance(phrases, str)
        or not phrases
        or not all(isinstance(p, str) for p in phrases)
    ):
        raise BadFact('any_of: want a list of strings, e.g. ["two approvers", "dual approval"]')
    for phrase in phrases:
        if not re.search(r"\w", phrase) or (re.fullmatch(r"[\d.,' ]+", phrase) and readings(phrase)):
            raise BadFact(f"any_of: got {phrase!r}; want a number, money or percent fact for a plain number")
    negative = any(re.search(r"\b(?:no|not|never|without|none|cannot)\b|n't\b", p, re.IGNORECASE) for p in phrases)
    return Fact("phrase", " / ".join(phrases), patterns=tuple(_phrase_pattern(p) for p in phrases), negative=negative)


_DIGIT = {str(value): word for word, value in SMALL.items()}


def _phrase_pattern(phrase: str) -> re.Pattern[str]:
    words = []
    for word in re.split(r"[\s-]+", clean(phrase).strip().lower()):
        other = _DIGIT.get(word) or (str(SMALL[word]) if word in SMALL else None)
        words.append(f"(?:{re.escape(word)}|{other})" if other else re.escape(word))
    body = r"[\s-]+".join(words)
    return re.compile(rf"(?<!\w)(?<!\w-)(?<!\d[.,]){body}(?!\w|[.,]\d)", re.IGNORECASE)


_PARSERS: dict[str, Callable[[Mapping[str, Any]], Fact]] = {
    "number": _number,
    "money": _money,
    "percent": _percent,
    "date": _date,
    "name": _name,
    "phrase": _phrase,
}


def stem(word: str) -> str:
    """Singular of an English noun, well enough to hold `sites` equal to `site`."""
    word = word.removesuffix("'s").removesuffix("'")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(?:[sx]|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
