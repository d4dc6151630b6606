"""Scorers for data sets with a plain answer: the whole text, a part of it, a pattern, a letter of a list, a number.

Each reads `expected.<target>`: a text, or a list of texts of which any one will do (`contains` can ask for all).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from bench.record import Case, Reply, Score
from bench.score.numerals import readings
from bench.score.text import answer_lines, clean

Checks = Mapping[str, tuple[str, Callable[[Any], bool]]]


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return isinstance(value, str) and bool(value)


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


_BOOL = ("true or false", _is_bool)


def _wanted(case: Case, target: str) -> list[str]:
    """The texts that will do; empty when the case names none."""
    value = case.expected.get(target)
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(v) for v in values if v is not None and not isinstance(v, (dict, bool)) and str(v).strip()]


_PLAIN = str.maketrans("‘’“”‐‑−", "''\"\"---")


def _folded(text: str, ignore_case: bool) -> str:
    """One blank for any run of blanks, composed letters, plain quotes and hyphens; lower case when asked."""
    text = " ".join(unicodedata.normalize("NFKC", text).translate(_PLAIN).split())
    return text.casefold() if ignore_case else text


def _no_gold(name: str, version: str, target: str, want: str) -> Score:
    return Score(name, version, None, f"expected.{target}: want {want}")


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(f"{text[:57]}..." if len(text) > 60 else text)


@dataclass(slots=True)
class Exact:
    """1 when the reply is the gold text: blanks, quotes around it and a full stop at its end do not count, nor do capitals
    unless `ignore_case` is false."""

    name: str
    target: str = "target"
    ignore_case: bool = True
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Checks] = {"ignore_case": _BOOL}

    def score(self, case: Case, reply: Reply) -> Score:
        wanted = _wanted(case, self.target)
        if not wanted:
            return _no_gold(self.name, self.version, self.target, "a text, or a list of texts")
        said = self._bare(reply.text)
        right = said in {self._bare(text) for text in wanted}
        return Score(self.name, self.version, float(right), f"said {_shown(reply.text)}")

    def _bare(self, text: str) -> str:
        folded = _folded(text, self.ignore_case).strip("\"'`*")
        return folded.removesuffix(".").strip("\"'`* ")


@dataclass(slots=True)
class Contains:
    """1 when the reply contains a gold text (`all: true`: every one) as whole words (`words: false`: anywhere)."""

    name: str
    target: str = "target"
    all: bool = False
    ignore_case: bool = True
    words: bool = True
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Checks] = {"all": _BOOL, "ignore_case": _BOOL, "words": _BOOL}

    def score(self, case: Case, reply: Reply) -> Score:
        wanted = _wanted(case, self.target)
        if not wanted:
            return _no_gold(self.name, self.version, self.target, "a text, or a list of texts")
        said = _folded(reply.text, self.ignore_case)
        missing = [text for text in wanted if not self._holds(said, _folded(text, self.ignore_case))]
        right = not missing if self.all else len(missing) < len(wanted)
        return Score(self.name, self.version, float(right), "" if right else f"not in the reply: {', '.join(missing)}")

    def _holds(self, said: str, text: str) -> bool:
        if not self.words:
            return text in said
        return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said) is not None


@dataclass(slots=True)
class Regex:
    """1 when a pattern is found in the reply (`full: true`: matches all of it). `pattern` for every case, else the case's own."""

    name: str
    target: str = "target"
    pattern: str | None = None
    ignore_case: bool = False
    full: bool = False
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Checks] = {
        "pattern": ("a regular expression, e.g. '^\\d+$'", _is_pattern),
        "ignore_case": _BOOL,
        "full": _BOOL,
    }

    def score(self, case: Case, reply: Reply) -> Score:
        patterns = [self.pattern] if self.pattern is not None else _wanted(case, self.target)
        if not patterns or not all(map(_is_pattern, patterns)):
            return _no_gold(self.name, self.version, self.target, "a regular expression, or a list of them")
        flags = re.MULTILINE | (re.IGNORECASE if self.ignore_case else 0)
        text = reply.text.strip()
        found = any(
            (re.fullmatch(pattern, text, flags) if self.full else re.search(pattern, text, flags))
            for pattern in patterns
        )
        return Score(self.name, self.version, float(found), "" if found else f"said {_shown(text)}")


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(slots=True)
class Choice:
    """1 when the reply chooses the gold letter: `B`, `(B)`, `B. Paris`, `Answer: B`, `The answer is B.`; two letters are none.

    The gold is a letter, or a number from 0. `choices` is how many letters there are (4: A to D).
    """

    name: str
    target: str = "target"
    choices: int = 4
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Checks] = {
        "choices": (
            "a whole number from 2 to 26",
            lambda v: isinstance(v, int) and not isinstance(v, bool) and 2 <= v <= 26,
        )
    }

    def score(self, case: Case, reply: Reply) -> Score:
        letters = _LETTERS[: self.choices]
        gold = _letter(case.expected.get(self.target), letters)
        if gold is None:
            want = f"a letter of {letters[0]} to {letters[-1]}, or a number from 0 to {self.choices - 1}"
            return _no_gold(self.name, self.version, self.target, want)
        chosen = chosen_letters(reply.text, letters)
        if len(chosen) != 1:
            what = f"chose {' and '.join(sorted(chosen))}" if chosen else f"no letter in {_shown(reply.text)}"
            return Score(self.name, self.version, 0.0, what)
        (letter,) = chosen
        return Score(self.name, self.version, float(letter == gold), f"chose {letter}; gold {gold}")


def _letter(value: Any, letters: str) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return letters[value] if 0 <= value < len(letters) else None
    text = str(value or "").strip().upper()
    if text.isdigit():
        return _letter(int(text), letters)
    return text if len(text) == 1 and text in letters else None


def chosen_letters(raw: str, letters: str) -> set[str]:
    """The letters a reply settles on: those of its last `Answer:` line, of "the answer is X", else of a line that begins with
    one."""
    text = clean(raw)
    lines = answer_lines(text)
    mark = rf"[(\[*]*([{letters}])(?![\w'’])"
    if lines:
        start, end = lines[-1]
        return set(re.findall(rf"(?<!\w){mark}", text[start:end]))
    told = re.findall(rf"\b(?:answer|choice|option)\s+(?:is|would be)[:\s]*{mark}", text, re.IGNORECASE)
    if told:
        return {told[-1].upper()}
    # an "A" that begins a sentence is an article: a letter at the start needs a mark after it, or the line to itself
    return set(re.findall(rf"^\W*([{letters}])(?:[).:\]*]+(?=\s|$)|\s*$)", text, re.MULTILINE))


_NUMERAL = re.compile(r"(?<![\w.,])([-−+]?)\s?[€$£]?\s?((?:\d[\d.,' ]*\d|\d|\.\d+))(?![\d])")


@dataclass(slots=True)
class Number:
    """1 when the reply's number is the gold number, within `tolerance` (absolute) or `relative` (a share of the gold).

    The number is the one behind the last `after` mark when that is given (`after: "####"`), else behind the last `Answer:`, else
    the last of the reply. `1,250.50`, `1.250,50` and `1 250.50` are one number.
    """

    name: str
    target: str = "target"
    tolerance: float = 0.0
    relative: float = 0.0
    after: str | None = None
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Checks] = {
        "tolerance": ("a number from 0, e.g. 0.01", _is_amount),
        "relative": ("a share from 0, e.g. 0.05", _is_amount),
        "after": ("the mark before the number, e.g. '####'", lambda v: isinstance(v, str) and bool(v)),
    }

    def score(self, case: Case, reply: Reply) -> Score:
        golds = [_decimal(text, self.after) for text in _wanted(case, self.target)]
        known = [gold for gold in golds if gold is not None]
        if not known:
            return _no_gold(self.name, self.version, self.target, "a number, or a list of numbers")
        said = self._said(reply.text)
        if not said:
            return Score(self.name, self.version, 0.0, f"no number in {_shown(reply.text)}")
        right = any(abs(value - gold) <= self._slack(gold) for value in said for gold in known)
        return Score(self.name, self.version, float(right), f"said {' or '.join(map(str, sorted(said)))}")

    def _slack(self, gold: Decimal) -> Decimal:
        return max(Decimal(str(self.tolerance)), abs(gold) * Decimal(str(self.relative)))

    def _said(self, raw: str) -> set[Decimal]:
        text = clean(raw)
        if self.after is not None:
            if self.after not in text:
                return set()
            return _first(numbers(text.rpartition(self.after)[2]))
        lines = answer_lines(text)
        if lines:
            return _first(numbers(text[slice(*lines[-1])]))
        found = numbers(text)
        return found[-1] if found else set()


def _first(found: Sequence[set[Decimal]]) -> set[Decimal]:
    return found[0] if found else set()


def numbers(text: str) -> list[set[Decimal]]:
    """What each number in digits can mean, in order."""
    found = []
    for sign, literal in _NUMERAL.findall(text):
        values = readings(literal.strip())
        if values:
            found.append({-value if sign in ("-", "−") else value for value in values})
    return found


def _decimal(text: str, after: str | None) -> Decimal | None:
    """A gold number as the data set writes it; of a worked solution the part behind the mark."""
    if after is not None and after in text:
        text = text.rpartition(after)[2]
    try:
        value = Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
