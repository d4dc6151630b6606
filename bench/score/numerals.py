"""Numerals: what a number in digits can mean in either locale, and numbers in words."""

from __future__ import annotations

import re
from decimal import Decimal

from bench.score.units import BIG, SMALL, TENS


def readings(literal: str, *, money: bool = False, scaled: bool = False) -> frozenset[Decimal]:
    """What a number in digits can mean; empty when it is not one number (`1.2.3`, `007`).

    Both locales are read. `1,250` is a thousand, because a decimal comma before exactly three digits is rare; `1.250`
    can be either, except in money (two decimals) and before `000`, where it is a thousand. `1.250 million` keeps
    both.
    """
    marks = re.findall(r"[.,' ]", literal)
    groups = re.split(r"[.,' ]", literal)
    if literal.startswith("."):
        return frozenset({Decimal("0" + literal)})
    if len(groups[0]) > 2 and groups[0].startswith("0"):
        return frozenset()
    if not marks:
        return frozenset({Decimal(literal)})
    whole = Decimal("".join(groups))
    grouped = len(groups[0]) <= 3 and not groups[0].startswith("0") and all(len(g) == 3 for g in groups[1:])
    indian = len(groups) > 2 and len(groups[0]) <= 2 and len(groups[-1]) == 3 and all(len(g) == 2 for g in groups[1:-1])
    if len(set(marks)) == 1 and (len(marks) > 1 or marks[0] in "' "):
        return frozenset({whole} if grouped or (indian and marks[0] == ",") else ())
    decimal = Decimal("".join(groups[:-1]) + "." + groups[-1])
    if len(marks) == 1:
        if not grouped:
            return frozenset({decimal})
        if marks[0] == "," and not scaled:
            return frozenset({whole})
        if (money and not scaled) or groups[-1] == "000":
            return frozenset({whole})
        return frozenset({whole, decimal})
    thousands_ok = len(groups[0]) <= 3 and all(len(g) == 3 for g in groups[1:-1])
    if len(set(marks[:-1])) == 1 and marks[-1] in ".," and marks[-1] != marks[0] and thousands_ok:
        return frozenset({decimal})
    return frozenset()


def spell(text: str, pos: int) -> tuple[Decimal, int] | None:
    """The number in words at `pos` and where it ends: "twenty-four", "one hundred and twenty", "two and a half"."""
    total, current, end, last = 0, 0, None, 10**12
    article = re.compile(r"an? (?=hundred|thousand|million|dozen)", re.I).match(text, pos)
    if article:
        current, pos, end, last = 1, article.end(), article.end(), 1
    token = re.compile(r"(and )?([A-Za-z]+)", re.I)
    while match := token.match(text, pos):
        word = match[2].lower()
        if match[1] and (end is None or last < 100):
            break
        if word in SMALL and (end is None or (last >= 20 and not (SMALL[word] > 9 and last < 100) and SMALL[word] > 0)):
            current, last = current + SMALL[word], 1
        elif word in TENS and (end is None or last >= 100):
            current, last = current + TENS[word], TENS[word]
        elif word == "hundred" and end is not None and 0 < current < 100:
            current, last = current * 100, 100
        elif word == "dozen" and end is not None and 0 < current < 100:
            return Decimal(current * 12), match.end()
        elif word in BIG and end is not None and current:
            total, current, last = total + current * BIG[word], 0, BIG[word]
        else:
            break
        end = match.end()
        gap = re.compile(r"[ -](?=[A-Za-z])").match(text, end)
        if not gap:
            break
        pos = gap.end()
    if end is None:
        return None
    half = re.compile(r" and a half\b", re.I).match(text, end)
    return (Decimal(total + current) + (Decimal("0.5") if half else 0), half.end() if half else end)


_SPELLED = r"[A-Za-z]+(?:[ -][A-Za-z]+){0,6}"
_DIGITS_AFTER = re.compile(r" ?\((\d[\d.,]{0,20})\)")
_WORDS_AFTER = re.compile(rf"(?<![\d.,])(\d[\d.,]{{0,20}}) ?\(({_SPELLED})\)")


def said_once(text: str) -> str:
    """`thirty (30)` and `30 (thirty)` become one number where both say the same. The length stays."""
    return _WORDS_AFTER.sub(_digits_first, _DIGITS_AFTER.sub(_words_first, text))


def _words_first(match: re.Match[str]) -> str:
    """`thirty (30)` becomes `thirty     `."""
    before = match.string[max(0, match.start() - 60) : match.start()]
    for word in re.finditer(r"(?<![A-Za-z-])[A-Za-z]", before):
        spelled = spell(before, word.start())
        if spelled and spelled[1] == len(before) and spelled[0] in readings(match[1]):
            return " " * len(match[0])
    return match[0]


def _digits_first(match: re.Match[str]) -> str:
    """`30 (thirty)` becomes `30         `."""
    spelled = spell(match[2], 0)
    same = spelled and spelled[1] == len(match[2]) and spelled[0] in readings(match[1])
    return match[1].ljust(len(match[0])) if same else match[0]
