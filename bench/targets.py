"""Targets: a model at an address. Loading and checking targets.yaml lives here too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A model at an address, as one row of targets.yaml after defaults were filled in.

    `auth` holds references only (names of environment variables or profiles), never a secret.
    """

    id: str
    model: str
    provider: str
    model_id: str
    dialect: str
    region: str | None = None
    base_url: str | None = None
    service_tier: str | None = None
    sku: str | None = None
    deployment: str | None = None
    workspace: str | None = None
    project: str | None = None
    resource: str | None = None
    api_version: str | None = None
    auth: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    price: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False
