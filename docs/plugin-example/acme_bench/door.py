"""A door to Acme's cloud, which speaks OpenAI's chat API under its own address and header."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench.errors import Problem
from bench.providers.door import to_json
from bench.providers.faults import read_fault
from bench.record import Exchange, Fault, Reply
from bench.targets import Target

KEY = "ACME_API_KEY"
ADDRESS = "https://api.acme.example/v1"


class Acme:
    name = "acme"
    dialects = frozenset({"chat"})

    def check(self, target: Target) -> list[Problem]:
        """Everything that would keep the target from running, each with what to do. No network."""
        found = []
        if target.dialect not in self.dialects:
            found.append(Problem(target.id, "dialect", target.dialect, "chat, which is what acme speaks"))
        variable = target.auth.get("env", KEY)
        if not os.environ.get(variable):
            found.append(Problem(target.id, "auth.env", f"{variable}, which is not set", f"export {variable}=..."))
        if target.region is not None:
            found.append(Problem(target.id, "region", target.region, "none: acme has one region"))
        return found

    async def prepare(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx2.Request:
        """The request with its key. It is bench that sends it."""
        key = os.environ.get(target.auth.get("env", KEY), "")
        return httpx2.Request(
            "POST",
            self._address(target),
            headers={"content-type": "application/json", "x-acme-key": key, **(headers or {})},
            content=to_json(body),
        )

    def fault(self, status: int | None, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
        """Why a reply is not ok. bench knows the words of the usual vendors; add your own before it."""
        return read_fault(status, headers, body)

    def client_stack(self, target: Target) -> str:
        return "acme-bench 1.0.0"

    def route(self, target: Target) -> dict[str, str | None]:
        parts = urlsplit(self._address(target))
        key = target.auth.get("env", KEY)
        return {"host": parts.netloc, "path": parts.path, "api_version": None, "auth": f"key in {key}"}

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        return "unknown"

    async def close(self) -> None:
        pass

    @staticmethod
    def _address(target: Target) -> str:
        return (target.base_url or ADDRESS).rstrip("/") + "/chat/completions"
