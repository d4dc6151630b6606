"""Rules that the policies state in words, as code. All are pure; amounts are Decimal, days are dates."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def warranty_end(delivered: date, commissioned: date | None, months_delivery: int, months_commissioning: int) -> date:
    """The later of the two ends; delivery alone decides without a signed commissioning protocol."""
    end = add_months(delivered, months_delivery)
    return max(end, add_months(commissioned, months_commissioning)) if commissioned else end


def approver(amount: Decimal, owner: Decimal, site: Decimal, region: Decimal) -> str:
    """Who approves a purchase request. An amount exactly on a limit stays with the lower level."""
    for limit, level in ((owner, "cost-centre owner"), (site, "site lead"), (region, "regional director")):
        if amount <= limit:
            return level
    return "chief financial officer"


def completed_years(start: date, on: date) -> int:
    return on.year - start.year - ((on.month, on.day) < (start.month, start.day))


def notice_band(years: int, middle_from: int, long_from: int) -> str:
    """Which notice period binds an employee who resigns after probation: short, mid or long."""
    if years < middle_from:
        return "short"
    return "mid" if years < long_from else "long"


def restocking_band(sealed: bool, age_days: int, early_days: int, window_days: int) -> str | None:
    """Which restocking fee applies: early, sealed or opened; None outside the window."""
    if age_days > window_days:
        return None
    if not sealed:
        return "opened"
    return "early" if age_days <= early_days else "sealed"


def in_service_hours(logged: datetime) -> bool:
    """Monday to Friday, 06:00 to 20:00, where the machine stands."""
    return logged.weekday() < 5 and time(6) <= logged.time() < time(20)


def response_predicate(tier: str, logged: datetime) -> str:
    """The predicate of the service schedule that gives a stoppage's response time."""
    if tier == "Round-the-Clock":
        return "rtc_day"
    return f"{tier.lower()}_{'day' if in_service_hours(logged) else 'night'}"


def quantity_discount(pieces: int, breaks: Mapping[int, Decimal]) -> Decimal:
    """Per cent off list price for a line; the highest break that is reached."""
    reached = [floor for floor in breaks if pieces >= floor]
    return breaks[max(reached)] if reached else Decimal(0)


def net_price(list_price: Decimal, discount_percent: Decimal) -> Decimal:
    """A unit price after discount, in cents."""
    return (list_price * (100 - discount_percent) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def hold_date(due: date, days: int) -> date:
    """When an unpaid invoice puts the account on hold."""
    return due + timedelta(days=days)


def last_free_day(dispatched: date, free_days: int) -> date:
    """The last day on which a contract customer's loan costs nothing; the dispatch day is day zero."""
    return dispatched + timedelta(days=free_days)


def next_due(last: date, months: int) -> date:
    """When something that is repeated every so many months is due again."""
    return add_months(last, months)
