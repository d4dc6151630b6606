"""The contract of a dialect: which wire language is spoken. Pure functions: no I/O, no SDK, no clock."""

from __future__ import annotations

from typing import Any, Protocol

from bench.record import Case, Exchange, Params, Reply
from bench.targets import Target


class Dialect(Protocol):
    name: str

    def encode(self, case: Case, params: Params, target: Target) -> dict[str, Any]:
        """The request body, as the JSON object of this dialect, made before the run."""
        ...

    def unsupported(self, params: Params) -> list[str]:
        """Every setting that this dialect cannot carry, each with what to do; `encode` refuses them."""
        ...

    def degraded(self, params: Params) -> list[str]:
        """Every setting that `encode` leaves out, since the server has its own way: `name: what, and what it means`.

        Such a target runs beside others; what is said stands under the table. All else belongs in `unsupported`.
        """
        ...

    def decode(self, exchange: Exchange) -> Reply:
        """What the exchange said, with the arrival times of its content. Keeps what a cut stream gave; never raises."""
        ...
