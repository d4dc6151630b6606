"""What a scanner does to paper: letters and digits that look alike are taken for each other.

Words lose letters to digits; amounts, quantities and dates lose digits to letters, and still mean one thing only, since
nothing but digits can stand there. Names and codes come through whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from bench.world.sheet import MARKED

LETTERS = {"0": "O", "1": "l", "5": "S", "8": "B"}
DIGITS = {"o": "0", "l": "1", "I": "l", "O": "0"}
WORD_SHARE, VALUE_SHARE = 0.06, 0.25
_WORD = re.compile(r"(?<![\w-])[A-Za-z]{5,}(?![\w-])")


def scanned(marked: str, noted: Sequence[tuple[str, Any]], rng: random.Random) -> str:
    """A marked text as a scanner reads it; at least one value suffers."""
    values = [match for match in MARKED.finditer(marked) if _suffers(match[2], noted[int(match[1])][1])]
    hit = {match.start() for match in values if rng.random() < VALUE_SHARE}
    if values and not hit:
        hit = {rng.choice(values).start()}
    parts: list[str] = []
    at = 0
    for match in MARKED.finditer(marked):
        parts.append(_words(marked[at : match.start()], rng))
        parts.append(_digit_lost(match[0], match[2], rng) if match.start() in hit else match[0])
        at = match.end()
    return "".join([*parts, _words(marked[at:], rng)])


def _suffers(shown: str, value: Any) -> bool:
    """Whether a value consists of digits that a letter could stand for."""
    number = isinstance(value, (int, float, dict)) and not isinstance(value, bool)
    day = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None
    return (number or day) and sum(c in LETTERS for c in shown) >= 1 and sum(c.isdigit() for c in shown) >= 2


def _digit_lost(whole: str, shown: str, rng: random.Random) -> str:
    places = [n for n, c in enumerate(shown) if c in LETTERS]
    n = rng.choice(places)
    return whole.replace(f"\ue001{shown}\ue002", f"\ue001{shown[:n]}{LETTERS[shown[n]]}{shown[n + 1 :]}\ue002")


def _words(text: str, rng: random.Random) -> str:
    def slip(match: re.Match[str]) -> str:
        word = match[0]
        places = [n for n, c in enumerate(word) if c in DIGITS]
        if not places or rng.random() >= WORD_SHARE or word.isupper():
            return word
        n = rng.choice(places)
        return word[:n] + DIGITS[word[n]] + word[n + 1 :]

    return _WORD.sub(slip, text)
