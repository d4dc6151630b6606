"""About how many tokens a text is, without a tokenizer: for sizes, claims of shape and price estimates, never for a bill.

Vocabularies of today give an everyday English word one token, a long or foreign one more, a number one for every three digits
and each run of other signs one. That makes prose 4.1 to 4.8 characters a token and logs, tables and JSON 2 to 3, which a
constant number of characters a token misses by a factor of two. Held against o200k on third-party text the rule is within 10 %
(`tests/unit/test_tokens.py`); other vocabularies differ among themselves by more than that.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d{1,3}")
_MARKS = re.compile(r"(?:[^\w\s]|_)+")
_BREAKS = re.compile(r"\s*\n\s*|[^\S\n]{2,}")
EVERYDAY, LONG = 7, 10
"""Letters up to which a word is one token, and from which it falls into pieces."""


@lru_cache(maxsize=8192)
def tokens(text: str) -> float:
    """The estimate for one text. An empty text has none. Texts are remembered, as every target of a run asks for the same."""
    words = sum(map(_of_word, _WORDS.findall(text)))
    marks = sum(max(1.0, len(run) / 3) for run in _MARKS.findall(text))
    return words + len(_DIGITS.findall(text)) + marks + len(_BREAKS.findall(text))


@lru_cache(maxsize=65536)
def _of_word(word: str) -> float:
    length = len(word)
    if length > 2 and word.isupper():
        return max(1.0, length / 2.6)
    pieces = 1.0 if length <= EVERYDAY else 1.1 if length <= LONG else 1.1 + (length - LONG) / 6
    return pieces if word.isascii() else pieces + 0.6
