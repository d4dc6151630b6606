"""Credentials that outlive their tokens: renewed ahead of their end, in the background, while the present one is used.

A token endpoint takes tens of milliseconds, and seconds on a bad day. Asked when the token has ended, it holds up the
request at hand and, as requests are built one after the other, those of every other target behind it. So a renewal is
started when a part of the token's life is left, and nobody waits for it. Where it fails it is tried again, and only
when the token has ended for good the requests of that one target fail, at once and with the cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench import redact
from bench.errors import CannotRun

LEAD_SHARE, LONGEST_LEAD_S = 0.4, 300.0
"""A token is renewed when this share of its life is left, at most five minutes."""
MARGIN_SHARE, LONGEST_MARGIN_S = 0.1, 10.0
"""It is not put into a request any more when so much is left: the request is built up to two seconds before it goes."""
RETRY_S = 5.0
"""Between two tries of a renewal that fails; a tenth of the token's life where that is shorter."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential with its end in Unix time, None where it has none; `renew_s` is when its issuer wants it renewed."""

    value: Any = field(repr=False)
    expires_s: float | None = None
    renew_s: float | None = None


class SignInFailed(CannotRun):
    """A credential has ended, or never came, and could not be renewed."""


class Renewal:
    """Keeps one credential in force. `fetch` asks its issuer; `door`, `what` and `fix` are for the words of a failure."""

    def __init__(self, fetch: Callable[[], Awaitable[Issued]], door: str, what: str, fix: str) -> None:
        self._fetch, self._door, self._what, self._fix = fetch, door, what, fix
        self._issued: Issued | None = None
        self._renew_s = self._end_s = float("inf")
        self._again_s = 0.0
        self._failed: SignInFailed | None = None
        self._task: asyncio.Task[None] | None = None

    async def value(self) -> Any:
        """The credential in force. Waits for its issuer only when there is none, and none was refused a moment ago.

        Raises SignInFailed.
        """
        if not self._usable() and self._failed is None:
            await asyncio.shield(self._renewing())
        elif _now_s() >= max(self._again_s, 0.0 if not self._usable() else self._renew_s):
            self._renewing()
        if self._issued is None or not self._usable():
            raise self._failed or self._failure("it has ended already")
        return self._issued.value

    async def close(self) -> None:
        """Ends a renewal that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _usable(self) -> bool:
        return self._issued is not None and _now_s() < self._end_s

    def _renewing(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.ensure_future(self._renew())
        return self._task

    async def _renew(self) -> None:
        began_s = _now_s()
        try:
            issued = await self._fetch()
            if issued.expires_s is not None and issued.expires_s <= _now_s():
                raise ValueError("the credential that was issued has ended already")
        except Exception as error:
            self._failed = self._failure(error)
            self._again_s = _now_s() + RETRY_S
            if self._issued is not None and self._end_s > began_s:
                self._again_s = _now_s() + min(RETRY_S, (self._end_s - began_s) / 4)
        else:
            self._issued, self._failed = issued, None
            redact.learn(*([issued.value] if isinstance(issued.value, str) else map(str, issued.value)))
            self._renew_s = self._end_s = float("inf")
            if issued.expires_s is not None:
                life_s = issued.expires_s - began_s
                self._end_s = issued.expires_s - min(LONGEST_MARGIN_S, MARGIN_SHARE * life_s)
                self._renew_s = issued.expires_s - min(LONGEST_LEAD_S, LEAD_SHARE * life_s)
            if issued.renew_s is not None:
                self._renew_s = min(self._renew_s, max(issued.renew_s, began_s + 1.0))
            self._again_s = 0.0
        finally:
            self._task = None

    def _failure(self, cause: Exception | str) -> SignInFailed:
        why = cause if isinstance(cause, str) else f"{type(cause).__name__}: {_line(cause)}"
        verb = "could not be had" if self._issued is None else "ended and could not be renewed"
        return SignInFailed(f"{self._door}: the {self._what} {verb}: {why}", self._fix)


# ------------------------------------------------------------------------------------------------ the clouds' own objects


def of_aws(credentials: Any, door: str) -> Renewal:
    """Keeps botocore's credentials fresh, whatever chain they came from. The value is their frozen form."""

    async def fetch() -> Issued:
        frozen = await asyncio.to_thread(credentials.get_frozen_credentials)
        end = getattr(credentials, "_expiry_time", None)
        return Issued(frozen, None if end is None else end.timestamp())

    fix = "sign in again (aws sso login, or new keys for the profile), then look with: bench doctor"
    return Renewal(fetch, door, "AWS session", fix)


def of_google(credentials: Any, refresh: Callable[[Any], None], door: str) -> Renewal:
    """Keeps google-auth's credentials fresh. The value is the access token."""

    async def fetch() -> Issued:
        await asyncio.to_thread(refresh, credentials)
        end = credentials.expiry  # without a zone, and meant as UTC
        return Issued(credentials.token, None if end is None else end.replace(tzinfo=UTC).timestamp())

    fix = "gcloud auth application-default login, or a valid file in GOOGLE_APPLICATION_CREDENTIALS; then: bench doctor"
    return Renewal(fetch, door, "Google access token", fix)


def of_entra(credential: Any, scope: str, door: str) -> Renewal:
    """Keeps a token of azure-identity fresh. The value is the token."""

    async def fetch() -> Issued:
        found = await credential.get_token_info(scope)
        return Issued(found.token, float(found.expires_on), found.refresh_on)

    fix = "az login, or check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; then: bench doctor"
    return Renewal(fetch, door, "Entra token", fix)


def _line(error: Exception) -> str:
    """The first line of what an error says, short: the rest may be an issuer's whole reply."""
    said = str(error).strip().splitlines()
    return redact.clean(said[0])[:300] if said else "no reason given"


def _now_s() -> float:
    return datetime.now(UTC).timestamp()
