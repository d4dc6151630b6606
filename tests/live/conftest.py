"""Requests to real clouds: only by name (`pytest tests/live`), only with credentials, and never above a limit in dollars."""

import asyncio
import os
from collections.abc import Callable
from decimal import Decimal

import pytest

from bench.record import Attempt, Case, Params
from bench.targets import Target
from bench.testing.ask import ask, most_usd

BEFORE = dict(os.environ)
"""The shell's own variables: tests elsewhere run without keys, these cannot."""
DEFAULT_USD = "0.05"


class Purse:
    """What the session may still spend. What a request may cost at most is taken before it is sent and not given back."""

    def __init__(self, limit_usd: Decimal) -> None:
        self.limit_usd = self.left_usd = limit_usd

    def take(self, target: Target, params: Params, case: Case) -> None:
        """Skips the test when the price is unknown or the rest too small."""
        most = most_usd(target, params, case)
        if most is None:
            pytest.skip(f"{target.id}: the price book knows no price, so no limit could be kept")
        if most > self.left_usd:
            pytest.skip(
                f"{target.id}: up to {most:f} USD, and {self.left_usd:f} of BENCH_LIVE_MAX_USD={self.limit_usd} are left"
            )
        self.left_usd -= most


@pytest.fixture(scope="session")
def purse() -> Purse:
    return Purse(Decimal(BEFORE.get("BENCH_LIVE_MAX_USD") or DEFAULT_USD))


@pytest.fixture(autouse=True)
def real_environment(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's credentials again, which the rest of the suite hides."""
    for name, value in BEFORE.items():
        monkeypatch.setenv(name, value)


Asker = Callable[[Target, Params, Case], Attempt]


@pytest.fixture
def ask_live(purse: Purse) -> Asker:
    def asked(target: Target, params: Params, case: Case) -> Attempt:
        purse.take(target, params, case)
        return asyncio.run(ask(target, params, case))

    return asked
