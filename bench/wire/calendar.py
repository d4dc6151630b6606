"""Wall time for what is planned in hours and days: when it is, and waiting until it is then.

Blocks of a campaign are due at wall times: a machine that slept, or whose clock was set, must not shift them. So the wait
looks at the wall clock again and again, and never trusts one long sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from bench.wire.clock import SECOND_NS

LOOK_EVERY_NS = 15 * SECOND_NS


class Calendar(Protocol):
    """Wall time in nanoseconds since 1970, UTC."""

    def now_ns(self) -> int: ...

    def wait(self, until_ns: int, tick: Callable[[int], None]) -> None:
        """Returns at `until_ns` or soon after, at once when it is past; `tick` is told now and then how long is left."""


class WallCalendar:
    def now_ns(self) -> int:
        return time.time_ns()

    def wait(self, until_ns: int, tick: Callable[[int], None]) -> None:
        while (left_ns := until_ns - time.time_ns()) > 0:
            tick(left_ns)
            time.sleep(min(left_ns, LOOK_EVERY_NS) / SECOND_NS)


def utc(unix_ns: int) -> str:
    """ISO 8601 to the second, with Z."""
    return f"{datetime.fromtimestamp(unix_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%SZ}"
