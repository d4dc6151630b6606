"""The form of a user's own price file: discounts, negotiated rates, commitments, capacity by the hour, and their currency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from bench.price.schema import RATE_CLASSES, Word

TokenClass = Literal["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"]
ALL: tuple[TokenClass, ...] = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
Mistake = tuple[tuple[str | int, ...], str, str]


def _number(value: Any, places: int, want: str) -> Decimal:
    if isinstance(value, float | int) and not isinstance(value, bool):
        raise ValueError(f'text in quotes, so that no digit is lost: "{value}"')
    whole, _, rest = value.partition(".") if isinstance(value, str) else ("", "", "")
    digits = whole + (rest or "0")
    if not whole or not digits.isascii() or not digits.isdigit() or len(digits) > 24 or len(rest) > places:
        raise ValueError(want)
    return Decimal(value)


def _amount(value: Any) -> Decimal:
    return _number(value, 6, "an amount of the file's currency, with at most six decimal places")


def _part(value: Any) -> Decimal:
    part = _number(value, 6, "a part of the price, above 0 and below 1")
    if not 0 < part < 1:
        raise ValueError("a part of the price, above 0 and below 1")
    return part


def _factor(value: Any) -> Decimal:
    factor = _number(value, 10, "what one unit of the currency is in USD")
    if factor <= 0:
        raise ValueError("what one unit of the currency is in USD, above 0")
    return factor


def _described(example: str, what: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": what, "examples": [example]})


Amount = Annotated[Decimal, BeforeValidator(_amount), _described("2.00", "an amount of the file's currency")]
Part = Annotated[Decimal, BeforeValidator(_part), _described("0.12", "a part of the price, below 1")]
Factor = Annotated[Decimal, BeforeValidator(_factor), _described("1.0850", "USD for one unit of the currency")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Dated(_Strict):
    """From when to when, and by what paper. Without days, always."""

    valid_from: date | None = Field(default=None, description="first day")
    valid_to: date | None = Field(default=None, description="last day")
    source: Word = Field(description="the paper that says so", examples=["contract 4711"])

    def late(self) -> Iterator[Mistake]:
        if self.valid_from is not None and self.valid_to is not None and self.valid_to < self.valid_from:
            yield ("valid_to",), str(self.valid_to), f"a day from {self.valid_from} on"

    def holds(self, on: date) -> bool:
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


class Currency(_Strict):
    """What the amounts of the file are in. Everything is converted to USD by this one rate, and says so."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(description="ISO 4217", examples=["EUR"])
    usd: Factor
    on: date = Field(description="the day of the rate", examples=["2026-11-20"])
    source: Word = Field(description="whose rate it is", examples=["ECB reference rate"])


class Discount(_Dated):
    """A part off the list price. Of several that fit a price, the first in the file is taken; they do not add up."""

    doors: tuple[Word, ...] = Field(default=("*",), min_length=1, examples=[["bedrock"]])
    models: tuple[Word, ...] = Field(default=("*",), min_length=1, examples=[["claude-*"]])
    classes: tuple[TokenClass, ...] = Field(default=ALL, min_length=1, examples=[["input", "output"]])
    tiers: tuple[Word, ...] = Field(default=("*",), min_length=1, examples=[["default"]])
    off: Part


class AgreedRates(_Strict):
    """The file's currency per million tokens. A class that is not given keeps its list price, less its discount."""

    input: Amount | None = None
    cache_read: Amount | None = None
    cache_write_5m: Amount | None = None
    cache_write_1h: Amount | None = None
    output: Amount | None = None
    reasoning: Amount | None = None

    def known(self) -> dict[str, Decimal]:
        return {name: rate for name in RATE_CLASSES if (rate := getattr(self, name)) is not None}


class AgreedBand(_Strict):
    """Rates for every token of a request whose input is above the bound."""

    above_input_tokens: int = Field(gt=0, examples=[200000])
    rates: AgreedRates


class Agreed(_Dated):
    """A negotiated price. Without scopes it holds in all of them. Without bands, it holds for requests of any length."""

    door: Word = Field(examples=["anthropic"])
    model: Word = Field(examples=["claude-sonnet-5-5"])
    scopes: tuple[Word, ...] = Field(default=("*",), min_length=1, examples=[["global"]])
    tier: Word = Field(default="default", examples=["default"])
    rates: AgreedRates
    bands: tuple[AgreedBand, ...] = ()


class CommitmentRow(_Dated):
    """Spend that was promised: what is not used is lost."""

    name: Word = Field(examples=["private pricing agreement"])
    doors: tuple[Word, ...] = Field(min_length=1, examples=[["bedrock", "bedrock-mantle"]])
    amount: Amount
    period: Literal["month", "year", "term"] = Field(examples=["year"])


class CapacityRow(_Dated):
    """Throughput that is paid by the hour: PTU, GSU, model units, reserved tiers."""

    door: Word = Field(examples=["azure-openai"])
    models: tuple[Word, ...] = Field(min_length=1, examples=[["gpt-6-sol"]])
    scopes: tuple[Word, ...] = Field(default=("*",), min_length=1, examples=[["globalstandard"]])
    unit: Literal["PTU", "GSU", "model unit", "reserved"] = Field(examples=["PTU"])
    units: int = Field(gt=0, examples=[50])
    per_unit_hour: Amount
    term: Literal["hour", "week", "month", "quarter", "half year", "year"] = Field(examples=["month"])


class PricesFile(_Strict):
    """What you pay, where it differs from the list."""

    version: Literal[1] = Field(examples=[1])
    currency: Currency | None = None
    discounts: tuple[Discount, ...] = ()
    rates: tuple[Agreed, ...] = ()
    commitments: tuple[CommitmentRow, ...] = ()
    capacity: tuple[CapacityRow, ...] = ()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a price file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PricesFile.model_json_schema()}
