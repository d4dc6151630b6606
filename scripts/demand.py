"""Writes docs/tco/demand.csv: four weeks of made-up hourly demand with a day, a week, a trend and noise, from a fixed seed."""

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

PATH = Path(__file__).parent.parent / "docs" / "tco" / "demand.csv"
WEEKS = 4
MEAN = 9000
"""Requests of a mean hour."""


def page() -> str:
    rng = random.Random(7)
    first = datetime(2026, 10, 5, tzinfo=UTC)  # a Monday
    rows = ["hour,requests"]
    for n in range(WEEKS * 7 * 24):
        hour = first + timedelta(hours=n)
        day = 1 + 0.9 * math.sin((hour.hour - 8) / 24 * 2 * math.pi)
        week = 0.35 if hour.weekday() >= 5 else 1.0
        trend = 1 + 0.1 * n / (WEEKS * 7 * 24)
        rows.append(f"{hour:%Y-%m-%dT%H:%MZ},{round(MEAN * day * week * trend * rng.lognormvariate(0, 0.15))}")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
