"""A reply as scorers read it: one plain form of the text, its sentences, its answer line, and what it disowns.

Everything here is a pure function of the text. `clean` is applied once; all positions afterwards are positions in its
result.
"""

from __future__ import annotations

import re
import unicodedata

Span = tuple[int, int]

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_FRACTIONS = {"½": "5", "¼": "25", "¾": "75", "⅛": "125", "⅕": "2", "⅖": "4", "⅗": "6", "⅘": "8"}
_LETTERS = str.maketrans(
    {
        "ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d",
        "Đ": "D", "‐": "-", "‑": "-", "⁃": "-", "−": "-", "﹣": "-", "‒": "–", "—": "–", "―": "–", "⁄": "/",
        "‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "≠": " not ",
        "【": "[", "】": "]",
    }
)  # fmt: skip


def clean(raw: str) -> str:
    """The text without markup, accents and look-alike characters; case, lines and sentence marks are kept.

    Digits keep their meaning: a raised digit becomes `^n` and never joins the number before it, `2½` becomes `2.5`, and
    struck-out text is gone. NFKC alone would turn `30¹` into 301 and `2½` into `21/2`.
    """
    return _without_markup(raw if raw.isascii() else _plain_letters(raw))


def _plain_letters(raw: str) -> str:
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + m[0].translate(_SUPERSCRIPT), raw)
    text = re.sub(r"(\d) ?([½¼¾⅛⅕⅖⅗⅘])", lambda m: f"{m[1]}.{_FRACTIONS[m[2]]}", text)
    text = re.sub(r"[½¼¾⅛⅕⅖⅗⅘]", lambda m: f"0.{_FRACTIONS[m[0]]}", text)
    text = re.sub(r"[①-⑳]", lambda m: f"[{unicodedata.normalize('NFKC', m[0])}]", text)
    text = unicodedata.normalize("NFKC", text.translate(_LETTERS)).translate(_LETTERS)
    text = unicodedata.normalize("NFD", text)
    return text.translate({ord(c): None for c in set(text) if unicodedata.category(c) in ("Mn", "Cf")})


_MARKUP = (
    ("~<", re.compile(r"~~.*?~~|<(del|s|strike)>.*?</\1>", re.S), " "),
    ("<", re.compile(r"<sup>\s*"), "^"),
    ("<", re.compile(r"<br\s*/?>"), "\n"),
    ("<", re.compile(r"</?(?:b|strong|em|i|u|p|span|code|sup|sub|mark)>"), ""),
    ("\\", re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed)\{([^{}]*)\}"), r"\1"),
    ("\\", re.compile(r"\\[()]"), ""),
    ("$", re.compile(r"(?<![\w$])\$(-?\d[\d.,]*)\$(?![\w$])"), r"\1"),  # a formula, not a price
    ("\\", re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
    *(
        ("*", re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]*[^\s*])\1(?!\*)"), r"\2"),
        ("_", re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])([^_\n]*[^\s_])\1(?!\w)"), r"\2"),
    )
    * 2,  # bold inside italics
)
"""Marks of which a text must have one, what they dress, and what is left of it, in the order of their application."""


def _without_markup(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\t", " ")
    for marks, dress, plain in _MARKUP:
        if any(mark in text for mark in marks):
            text = dress.sub(plain, text)
    return text.replace("`", "")


_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|approx|ca|e\.g|i\.e|incl|excl|max|min|no|nr|art|sec|para|cf|vs|mr|mrs|ms|dr|prof|inc"
    r"|ltd|co|st|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mio|mrd|\d{1,3})$",
    re.IGNORECASE,
)


def sentences(text: str, region: Span | None = None) -> list[Span]:
    """Spans of the sentences in a region. A line end always ends one; the dot of `No. 5` or `L. Okafor` does not."""
    low, high = region or (0, len(text))
    spans, start = [], low
    for mark in re.finditer(r"[.!?][\"')\]]*(?:\s*\[[\d,; –-]+\])*(?=\s)|\n+", text[low:high]):
        at, end = low + mark.start(), low + mark.end()
        if (
            text[at] == "."
            and _ABBREVIATION.search(text[max(start, at - 12) : at])
            and not _starts_sentence(text, at, end)
        ):
            continue
        spans.append((start, end))
        start = end
    spans.append((start, high))
    return [(a, b) for a, b in spans if text[a:b].strip()]


def _starts_sentence(text: str, dot: int, end: int) -> bool:
    """Whether a dot after a number ends a sentence ("after 30. The rest"); in "1. The rest" it marks a list item."""
    line = text[text.rfind("\n", 0, dot) + 1 : dot]
    after = text[end:].lstrip(" ")[:1]
    return line[-1:].isdigit() and not re.fullmatch(r"[\s>*•(-]*\d{1,3}", line) and (after.isupper() or not after)


_ANSWER_LINE = re.compile(
    r"^[ >*#\-•]*(?:the |my )?(?:final |short |direct )?answer[ *_]*(?:\s*\([^)\n]*\))?(?: is)?[ *_]*:[ *_]*(.*)$",
    re.I | re.M,
)
_ANSWER_HEADING = re.compile(r"^ *#+ *(?:final |short |direct )?answer[ *_]*$", re.I | re.M)


def answer_lines(text: str) -> list[Span]:
    """Spans of what stands after `Answer:`, in order.

    A line that is empty or ends in a colon (`Answer: both of these:`) takes the block below it.
    """
    spans = []
    for match in sorted([*_ANSWER_LINE.finditer(text), *_ANSWER_HEADING.finditer(text)], key=lambda m: m.start()):
        start = match.start(1) if match.re is _ANSWER_LINE else match.end()
        end = match.end()
        if not text[start:end].strip() or text[start:end].rstrip().endswith(":"):
            block = re.compile(r"\s*(?:[^\n]*\S[^\n]*(?:\n|$))+").match(text, end)
            end = block.end() if block else end
        spans.append((start, end))
    return spans


_FILLER = (
    r"(?:(?:the|a|an|in|on|by|for|with|within|at|be|being|of|to|about|approximately|around|approx\.?|only|now|still|is|was"
    r"|as)\s+){0,3}"
)
_CHANGE = (
    r"(?:(?:raised|increased|extended|lengthened|changed|reduced|lowered|cut|shortened|moved|amended|went|rose|fell"
    r"|dropped)\s+(?:\w+\s+){0,2}|up\s+|down\s+)from"
)
_OLD = r"(?:old|older|previous|former|prior|earlier|superseded|outdated|expired|withdrawn)"
_DISOWNED_BEFORE = re.compile(
    rf"(?:\b(?:not|never|nor|neither|(?:is|was|are|were)n't|no\s+longer|instead\s+of|rather\s+than|as\s+opposed\s+to"
    rf"|unlike|previously|formerly|"
    rf"originally|used\s+to\s+be|{_CHANGE}|replac(?:es|ed|ing)|supersed(?:es|ed|ing))\s+{_FILLER}"
    rf"|\b{_OLD}\s+(?:[\w'-]+\s+){{0,4}})[\"'(]?$",
    re.IGNORECASE,
)
_KEPT_BEFORE = re.compile(
    r"\bnot\s+(?:only|just)\s+" + _FILLER + r"$|\b(?:not|never|no)\s+(?:later|more|less|fewer|before|after|until)\b",
    re.I,
)
_DISOWNED_AFTER = re.compile(
    rf"^[\"')]*\s*(?:\(\s*(?:the\s+)?(?:{_OLD}|not\s+valid|no\s+longer)\b|(?:(?:which|that|and)\s+)?(?:(?:is|was|are"
    rf"|were|has\s+been|have\s+been)\s+)?"
    rf"(?:no\s+longer|not\s+(?:valid|correct|applicable|in\s+force)|incorrect|wrong|outdated|superseded|withdrawn"
    rf"|obsolete)\b|"
    rf"(?:do|does|did)\s*(?:not|n't)\s+apply\b|(?:is|was|are|were)\s+(?:the|an?)\s+{_OLD}\b)",
    re.IGNORECASE,
)


def disowned(text: str, start: int, end: int) -> bool:
    """Whether a value is named only to be put aside: "not 14 days", "previously 14 days", "14 days (superseded)".

    Only words next to the value count, so "not later than 30 days" and "not only 30 days" still state 30 days.
    """
    before = text[max(0, start - 80) : start]
    before = before[before.rfind("\n") + 1 :]
    if _DISOWNED_AFTER.match(text[end : end + 60]):
        return True
    return bool(_DISOWNED_BEFORE.search(before)) and not _KEPT_BEFORE.search(before)


_NEGATION = re.compile(r"\b(?:no|not|never|without|cannot|neither|nor|none)\b|n't\b", re.IGNORECASE)


def negated(text: str, start: int) -> bool:
    """Whether a phrase stands under an odd number of negations in its clause ("no dual approval", not "cannot go
    without").
    """
    clause = re.split(r"[.;:!?\n|()–]|,\s|\b(?:but|because|since|whereas|while)\b", text[max(0, start - 120) : start])[
        -1
    ]
    clause = re.sub(r"\bnot\s+(?:only|just)\b|\bno\s+(?:later|more|less|fewer)\b", " ", clause, flags=re.I)
    return len(_NEGATION.findall(clause)) % 2 == 1
