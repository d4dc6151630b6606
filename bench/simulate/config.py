"""What a simulator process is told: which look-alikes, with which behaviour, credentials and answers."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, Problem
from bench.simulate.base import TargetConfig
from bench.simulate.profile import parse_profile

_AWS_KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "simulated-secret-key", "region": "us-east-1"}
CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "anthropic": {"api_key": "simulated-anthropic-key"},
    "bedrock": {**_AWS_KEYS, "token": "simulated-bedrock-token"},
    "vertex": {"token": "simulated-google-token"},
    "foundry": {"api_key": "simulated-foundry-key"},
    "openai-compatible": {"api_key": "simulated-compatible-key"},
    "openai": {"api_key": "simulated-openai-key"},
    "azure-openai": {"api_key": "simulated-azure-key"},
    "openai-bedrock": _AWS_KEYS,
    "openai-vertex": {"token": "simulated-google-token"},
    "bedrock-mantle": _AWS_KEYS,
    "claude-aws": _AWS_KEYS,
    "claude-gcp": {"token": "simulated-google-token"},
    "gemini-vertex": {"token": "simulated-google-token"},
    "vertex-grpc": {"token": "simulated-google-token"},
}
"""Credentials that a look-alike takes when its configuration names none: invented, and good nowhere else."""

_AWS = ("region", "access_key", "secret_key")
KEYS: Mapping[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "anthropic": ((("api_key",),), ()),
    "bedrock": ((_AWS, ("region", "token")), ("session_token",)),
    "vertex": ((("token",),), ("project", "location")),
    "foundry": ((("api_key",), ("token",)), ()),
    "openai-compatible": (((),), ("api_key",)),
    "openai": ((("api_key",),), ()),
    "azure-openai": ((("api_key",), ("token",)), ()),
    "openai-bedrock": ((_AWS, ("region", "token")), ("session_token",)),
    "openai-vertex": ((("token",),), ("project", "location")),
    "bedrock-mantle": ((_AWS, ("region", "token")), ("session_token",)),
    "claude-aws": ((_AWS, ("api_key",)), ("session_token", "workspace")),
    "claude-gcp": ((("token",),), ("project", "location", "workspace")),
    "gemini-vertex": ((("token",),), ("project", "location")),
    "vertex-grpc": ((("token",),), ("project", "location")),
}
"""Door -> (sets of credentials of which one must be whole, further credentials it knows)."""

DOORS = tuple(KEYS)


@dataclass(frozen=True, slots=True)
class Config:
    seed: int
    targets: tuple[TargetConfig, ...]
    answers: Path | None
    truth: Path | None
    port: int | None


def default_credentials(door: str) -> dict[str, str]:
    """The invented credentials that a look-alike of this door takes unless told otherwise. Raises KeyError."""
    return dict(CREDENTIALS[door])


def default_profile(door: str) -> dict[str, Any]:
    """The shipped profile of a door, as plain data that may be changed. Its figures are invented. Raises KeyError."""
    profile: dict[str, Any] = deepcopy(_shipped_profiles()[door])
    return profile


@lru_cache(maxsize=1)
def _shipped_profiles() -> dict[str, Any]:
    from ruamel.yaml import YAML

    shipped: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_name("profiles.yaml"))["profiles"]
    return shipped


def parse_config(data: Any, where: str = "simulate") -> Config:
    """The configuration from plain data. Raises ConfigError with every problem.

    {"seed": 7, "targets": [{"id", "door", "model_id", "profile": {...}, "credentials": {...}, "tls": {"cert", "key"}}],
     "answers": path or null, "truth": path or null, "port": first port or null}
    An absent profile is the door's shipped one; absent credentials are the door's invented ones.
    """
    problems: list[Problem] = []
    if not isinstance(data, Mapping):
        raise ConfigError([Problem(where, "", type(data).__name__, "a mapping with seed and targets")])
    _check_keys(data, ("seed", "targets", "answers", "truth", "port"), where, "", problems)
    seed, port = data.get("seed", 0), data.get("port")
    if not isinstance(seed, int) or isinstance(seed, bool):
        problems.append(Problem(where, "seed", repr(seed), "a whole number, e.g. 7"))
    rows = data.get("targets")
    if not isinstance(rows, list) or not rows:
        problems.append(Problem(where, "targets", repr(rows), "a list of at least one target"))
        rows = []
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 < port <= 65536 - len(rows)):
        problems.append(Problem(where, "port", repr(port), "the first of the ports, e.g. 8800"))
    paths = {}
    for key in ("answers", "truth"):
        value = data.get(key)
        if value is not None and not isinstance(value, str | Path):
            problems.append(Problem(where, key, repr(value), "a path"))
        paths[key] = Path(value) if isinstance(value, str | Path) else None
    targets = [target for n, row in enumerate(rows) if (target := _target(row, where, f"targets[{n}]", problems))]
    ids = [target.id for target in targets]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    problems += [Problem(where, "targets", repr(name), "an id of its own for every target") for name in repeated]
    if problems:
        raise ConfigError(problems)
    return Config(seed, tuple(targets), paths["answers"], paths["truth"], port)


def _check_keys(
    data: Mapping[Any, Any], known: tuple[str, ...], where: str, prefix: str, problems: list[Problem]
) -> None:
    want = f"no such key; want {', '.join(known)}"
    problems += [Problem(where, f"{prefix}{key}", repr(data[key]), want) for key in data if key not in known]


def _target(row: Any, where: str, path: str, problems: list[Problem]) -> TargetConfig | None:
    if not isinstance(row, Mapping):
        problems.append(Problem(where, path, repr(row), "a mapping with id, door and model_id"))
        return None
    before = len(problems)
    _check_keys(row, ("id", "door", "model_id", "profile", "credentials", "tls"), where, f"{path}.", problems)
    problems += [
        Problem(where, f"{path}.{key}", repr(row.get(key)), "a word")
        for key in ("id", "door", "model_id")
        if not isinstance(row.get(key), str) or not row[key]
    ]
    door = row.get("door")
    if isinstance(door, str) and door not in DOORS:
        problems.append(Problem(where, f"{path}.door", repr(door), f"one of {', '.join(DOORS)}"))
    if len(problems) > before:
        return None
    given = row.get("profile")
    profile = parse_profile(default_profile(str(door)) if given is None else given, where, problems, f"{path}.profile")
    credentials = row.get("credentials")
    credentials = default_credentials(str(door)) if credentials is None else credentials
    _check_credentials(credentials, str(door), where, f"{path}.credentials", problems)
    tls = row.get("tls")
    if tls is not None and (not isinstance(tls, Mapping) or set(tls) != {"cert", "key"}):
        problems.append(Problem(where, f"{path}.tls", repr(tls), '{"cert": "cert.pem", "key": "key.pem"}'))
    if len(problems) > before:
        return None
    cert, key_file = (str(tls["cert"]), str(tls["key"])) if tls else (None, None)
    return TargetConfig(row["id"], str(door), row["model_id"], profile, dict(credentials), cert, key_file)


def _check_credentials(credentials: Any, door: str, where: str, path: str, problems: list[Problem]) -> None:
    sets, more = KEYS[door]
    want = " or ".join("{" + ", ".join(names) + "}" for names in sets if names) or "{} or {api_key}"
    if not isinstance(credentials, Mapping) or not all(isinstance(v, str) and v for v in credentials.values()):
        problems.append(Problem(where, path, "something that is no mapping of words", want))
    elif not any(set(names) <= set(credentials) for names in sets) or set(credentials) - {
        n for names in sets for n in names
    } - set(more):
        problems.append(Problem(where, path, "{" + ", ".join(sorted(credentials)) + "}", want))
