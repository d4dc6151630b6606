"""Amounts on the command line."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from bench.errors import ConfigError, Problem


def dollars(text: str, flag: str = "--max-usd") -> Decimal:
    """`5` or `$5.00` as an amount above 0. Raises ConfigError."""
    try:
        amount = Decimal(text.lstrip("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        raise ConfigError([Problem("command line", flag, text, "an amount above 0, e.g. 5.00")])
    return amount
