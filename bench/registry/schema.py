"""The form of models.yaml. Strict: an unknown key in the registry is an error, as it is in a user's file."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

Sampling = Literal["temperature", "top_p", "top_k", "seed"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Door(Strict):
    dialects: tuple[str, ...]
    needs: tuple[str, ...] = ()
    region: str | None = None
    reports: tuple[Literal["cache_read", "cache_write_5m", "cache_write_1h"], ...] = ()
    any_model: bool = False
    ids_of: str | None = None


class ApiVersion(Strict):
    refuses: tuple[Sampling, ...]


class End(Strict):
    day: date | None = None
    status: Literal["retired", "announced", "listed"]
    source: str
    profiles: tuple[str, ...] = ()


class Place(Strict):
    model_id: str
    dialect: str | None = None
    profiles: tuple[str, ...] = ()
    api_version: str | None = None
    max_output_tokens: int | None = None
    end_of_life: tuple[End, ...] = ()


class Model(Strict):
    accepts: tuple[Sampling, ...]
    accepts_at_effort_none: tuple[Sampling, ...] = ()
    not_together: tuple[tuple[Sampling, Sampling], ...] = ()
    thinking: Literal["budget", "adaptive"] | None = None
    thinking_always_on: bool = False
    thinking_hidden: bool = False
    efforts: tuple[str, ...] = ()
    forced_tool_choice: bool = True
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    doors: dict[str, Place]


class File(Strict):
    version: Literal[1]
    checked: date
    sources: dict[str, str]
    doors: dict[str, Door]
    api_versions: dict[str, ApiVersion]
    models: dict[str, Model]
