"""Credentials by reference: a target names an environment variable or a profile, never a secret."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from bench.errors import Problem
from bench.targets import Target


def env(*names: str) -> str | None:
    """The value of the first of these variables that is set and not empty."""
    return next((value for value in map(os.environ.get, names) if value), None)


def named(target: Target) -> str | None:
    """The value of the variable that `auth: {env: NAME}` names, or None."""
    return os.environ.get(target.auth["env"]) or None if "env" in target.auth else None


def reference_problems(target: Target, allowed: tuple[str, ...]) -> list[Problem]:
    """Unknown kinds of reference, and a named variable that is not set."""
    found = []
    for kind in target.auth:
        if kind not in allowed:
            want = ", ".join(f"{{{each}: NAME}}" for each in allowed)
            found.append(Problem(target.id, f"auth.{kind}", kind, want))
    if "env" in allowed and "env" in target.auth and named(target) is None:
        variable = target.auth["env"]
        found.append(Problem(target.id, "auth.env", f"{variable}, which is not set", f"export {variable}=..."))
    return found


def tier_problems(target: Target, allowed: tuple[str, ...]) -> list[Problem]:
    if target.service_tier is None or target.service_tier in allowed:
        return []
    want = f"one of {', '.join(allowed)}" if allowed else "none: this door has no tiers"
    return [Problem(target.id, "service_tier", target.service_tier, want)]


def sections(*paths: str) -> set[str]:
    """Names of the sections of INI files that exist; a file that cannot be read has none."""
    found: set[str] = set()
    for path in paths:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(Path(path).expanduser(), encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        found.update(name.removeprefix("profile ").strip() for name in parser.sections())
    return found


def machine_says(path: str, word: str) -> bool:
    """Whether the firmware names a cloud, which then lends credentials to its machines without any file."""
    try:
        return word.lower() in Path(path).read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
