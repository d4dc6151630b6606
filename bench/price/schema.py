"""The form of the price book's files. Rates are text, never floats: `"0.1"` is a tenth, 0.1 is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from bench.targets import TOKEN_CLASSES

RATE_CLASSES = (*TOKEN_CLASSES, "reasoning")
"""What a rate may be given for. `reasoning` only where thoughts have a price of their own: `output` then means the rest."""


def _rate(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise ValueError(f'text in quotes, so that no digit is lost: "{value}"')
    whole, _, places = value.partition(".")
    if not (whole + (places or "0")).isascii() or not (whole + (places or "0")).isdigit() or len(places) > 6:
        raise ValueError("USD per million tokens, with at most six decimal places")
    return Decimal(value)


Rate = Annotated[Decimal, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ['"2.00"']})]
Word = Annotated[str, StringConstraints(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rates(_Strict):
    """USD per million tokens. A class that is not given has no known price."""

    input: Rate
    cache_read: Rate | None = None
    cache_write_5m: Rate | None = None
    cache_write_1h: Rate | None = None
    output: Rate
    reasoning: Rate | None = None

    def known(self) -> dict[str, Decimal]:
        return {name: rate for name in RATE_CLASSES if (rate := getattr(self, name)) is not None}


class BandRow(_Strict):
    """Rates for every token of a request whose input is above the bound."""

    above_input_tokens: int = Field(gt=0)
    rates: Rates


class Row(_Strict):
    """One price, in one or more scopes and tiers."""

    model: Word
    scopes: tuple[Word, ...] = Field(min_length=1)
    tier: Word | tuple[Word, ...] = "default"
    rates: Rates | None = None
    bands: tuple[BandRow, ...] = ()
    valid_from: date
    valid_to: date | None = None
    checked: date
    source: Word
    status: Literal["list", "estimate", "unknown"]
    note: str = ""

    @property
    def tiers(self) -> tuple[str, ...]:
        return (self.tier,) if isinstance(self.tier, str) else self.tier

    def mistakes(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Keys that contradict each other: (path, got, want)."""
        if self.status == "unknown" and self.rates is not None:
            yield ("rates",), "rates", "no rates where the price is unknown"
        if self.status != "unknown" and self.rates is None:
            yield ("rates",), "nothing", "rates, or status: unknown"
        if self.status != "list" and not self.note:
            yield ("note",), "nothing", f"a sentence that says why the status is {self.status}"
        if self.valid_to is not None and self.valid_to < self.valid_from:
            yield ("valid_to",), str(self.valid_to), f"a day from {self.valid_from} on"
        bounds = [band.above_input_tokens for band in self.bands]
        if bounds != sorted(set(bounds)):
            yield ("bands",), str(bounds), "bounds that rise"


class BookFile(_Strict):
    """Prices of one door. Append; never change or delete an entry: close it with valid_to."""

    version: Literal[1]
    door: Word
    sources: dict[str, Word]
    entries: tuple[Row, ...]
