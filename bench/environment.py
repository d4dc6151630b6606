"""Variables of the environment that change a run without a word in any file: what they do, and what may be written down.

Values are recorded only where they hold no secret: names of regions, profiles and projects, and switches. Addresses may
carry credentials, and headers often are some: of those, and of keys, the name alone is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Variable:
    """What a variable does. `doors`: whom it concerns, empty for all. `kind` decides what of its value is written down.

    `plain`: the value. `address`: scheme, host and port. `secret`: nothing. `warn` is whether it can lead a run astray;
    the rest is the ordinary way of saying where to go.
    """

    does: str
    kind: str = "plain"
    doors: tuple[str, ...] = ()
    warn: bool = True


_CLAUDE = ("anthropic", "bedrock", "bedrock-mantle", "claude-aws", "claude-gcp", "foundry", "vertex")
_OPENAI = ("openai", "azure-openai", "openai-bedrock", "openai-vertex")
_AWS = ("bedrock", "bedrock-mantle", "claude-aws", "openai-bedrock")
_GOOGLE = ("vertex", "vertex-grpc", "gemini-vertex", "openai-vertex", "claude-gcp")
_ELSEWHERE = "sends requests to another address"


def _elsewhere(*doors: str) -> Variable:
    return Variable(_ELSEWHERE, "address", doors)


VARIABLES: Mapping[str, Variable] = {
    "ANTHROPIC_BASE_URL": _elsewhere("anthropic"),
    "ANTHROPIC_BEDROCK_BASE_URL": _elsewhere("bedrock"),
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": _elsewhere("bedrock-mantle"),
    "ANTHROPIC_VERTEX_BASE_URL": _elsewhere("vertex"),
    "ANTHROPIC_FOUNDRY_BASE_URL": _elsewhere("foundry"),
    "ANTHROPIC_AWS_BASE_URL": _elsewhere("claude-aws"),
    "ANTHROPIC_GOOGLE_CLOUD_BASE_URL": _elsewhere("claude-gcp"),
    "OPENAI_BASE_URL": _elsewhere("openai"),
    "AWS_BEDROCK_BASE_URL": _elsewhere("openai-bedrock"),
    "AWS_ENDPOINT_URL": _elsewhere(*_AWS),
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": _elsewhere("bedrock"),
    "GOOGLE_VERTEX_BASE_URL": _elsewhere("gemini-vertex"),
    "ANTHROPIC_CUSTOM_HEADERS": Variable("adds headers to every request", "secret", _CLAUDE),
    "OPENAI_CUSTOM_HEADERS": Variable("adds headers to every request", "secret", _OPENAI),
    "ANTHROPIC_OPEN_TELEMETRY": Variable("traces requests, which costs time in the client", doors=_CLAUDE),
    "ANTHROPIC_LOG": Variable("makes the SDK log requests", doors=_CLAUDE),
    "OPENAI_LOG": Variable("makes the SDK log requests", doors=_OPENAI),
    "OPENAI_ORG_ID": Variable("bills another organisation, whose limits hold", "secret", ("openai",)),
    "OPENAI_PROJECT_ID": Variable("bills another project, whose limits hold", "secret", ("openai",)),
    "OPENAI_API_VERSION": Variable("chooses the API version", doors=("azure-openai",)),
    "AWS_BEARER_TOKEN_BEDROCK": Variable("is used instead of the AWS keys and profile", "secret", _AWS),
    "AWS_RETRY_MODE": Variable("sets the SDK's retries, which bench keeps off", doors=_AWS, warn=False),
    "AWS_PROFILE": Variable("chooses the AWS account", doors=_AWS, warn=False),
    "AWS_REGION": Variable("is the region of targets without one", doors=_AWS, warn=False),
    "AWS_DEFAULT_REGION": Variable("is the region of targets without one", doors=_AWS, warn=False),
    "CLOUD_ML_REGION": Variable("is the region of targets without one", doors=_GOOGLE, warn=False),
    "GOOGLE_CLOUD_PROJECT": Variable("is the project of targets without one", doors=_GOOGLE, warn=False),
    "GOOGLE_CLOUD_LOCATION": Variable("is the region of targets without one", doors=("gemini-vertex",), warn=False),
    "GOOGLE_CLOUD_QUOTA_PROJECT": Variable("bills another project, whose limits hold", doors=_GOOGLE),
    "GOOGLE_API_KEY": Variable("is a key that this door leaves aside", "secret", ("gemini-vertex",), warn=False),
    "GEMINI_API_KEY": Variable("is a key that this door leaves aside", "secret", ("gemini-vertex",), warn=False),
    "GOOGLE_GENAI_USE_VERTEXAI": Variable(
        "chooses the service, which bench says itself", doors=("gemini-vertex",), warn=False
    ),
    "GOOGLE_GENAI_USE_ENTERPRISE": Variable(
        "chooses the service, which bench says itself", doors=("gemini-vertex",), warn=False
    ),
    "GOOGLE_GENAI_CLIENT_MODE": Variable("lets the SDK replay recordings", doors=("gemini-vertex",)),
    "GOOGLE_GENAI_HTTP_CLIENT": Variable("chooses the SDK's HTTP client", doors=("gemini-vertex",)),
    "GOOGLE_GENAI_API_VERSION": Variable("chooses the API version", doors=("gemini-vertex",)),
    "HTTP_PROXY": Variable("sends plain requests through a proxy", "address"),
    "HTTPS_PROXY": Variable("sends requests through a proxy, whose time is measured as the provider's", "address"),
    "ALL_PROXY": Variable("sends requests through a proxy, whose time is measured as the provider's", "address"),
    "NO_PROXY": Variable("names hosts that are reached without a proxy", warn=False),
    "SSL_CERT_FILE": Variable("changes whose certificates are believed", warn=False),
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": Variable(
        "changes whose certificates are believed", doors=("vertex-grpc",), warn=False
    ),
    "DEFER_PYDANTIC_BUILD": Variable("makes the SDK build its models early", doors=_CLAUDE, warn=False),
}
"""Read in the sources of anthropic 2.12, openai 3.54, botocore 1.44 and google-genai 3.4."""

_EITHER_CASE = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""The lower-case name is read first."""


def recorded(environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Every such variable that is set, by its name as it is set, with its value where that is harmless, else None."""
    environ = os.environ if environ is None else environ
    return {name: _harmless(environ[name], about.kind) for name, about in _set(environ)}


def warnings(doors: frozenset[str], environ: Mapping[str, str | None] | None = None) -> list[str]:
    """One sentence for each variable that is set and can lead a run over these doors astray.

    `environ` may be what `recorded` gave for an earlier run.
    """
    environ = os.environ if environ is None else environ
    found = []
    for name, about in _set(environ):
        concerned = [door for door in about.doors if door in doors]
        if about.warn and (concerned or not about.doors):
            value = _harmless(environ[name], about.kind)
            shown = f"{name}={value}" if value is not None else f"{name} (value not shown)"
            whom = f" (for {', '.join(concerned)})" if concerned else ""
            found.append(f"{shown} is set in the environment: it {about.does}{whom}; unset it if that is not meant")
    return found


def _set(environ: Mapping[str, str | None]) -> list[tuple[str, Variable]]:
    names = [(name, about) for name, about in VARIABLES.items()]
    names += [(name.lower(), VARIABLES[name]) for name in _EITHER_CASE]
    return [(name, about) for name, about in names if environ.get(name, "") != ""]


def _harmless(value: str | None, kind: str) -> str | None:
    """What may be written down of a value: of an address neither user, path nor query, where keys hide."""
    if kind == "secret" or value is None:
        return None
    if kind == "plain":
        return value if len(value) <= 200 else None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else None
