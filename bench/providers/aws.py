"""Signing in to AWS: where credentials come from, and Signature Version 4 on a request that an SDK has built.

SigV4 covers the body, so every request is signed anew. The anthropic SDK hops to a worker thread and looks its session
up for that; here the headers that the SDK built are signed in place (see `sigv4`): the same signature at a fraction of the
price.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench.errors import Problem
from bench.providers import auth, renewal
from bench.providers.door import Opened, Template
from bench.providers.sigv4 import Unsigned, signed
from bench.targets import Target

BEDROCK_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105  (the name of a variable)
NOT_SIGNED = frozenset({"connection", "authorization", "x-amz-date", "x-amz-security-token"})
"""What the SDK leaves out of a signature because proxies strip it, and what the signer writes itself."""


def sign(request: Unsigned, credentials: Any, region: str | None, service: str) -> dict[str, str]:
    """The SigV4 headers of a request that carries everything else already."""
    return signed(request, credentials, region, service)


async def written(
    opened: Opened, template: Template, content: bytes, service: str, left_out: frozenset[str] = NOT_SIGNED
) -> dict[str, str]:
    """The signature of the template with this body, when the target signs. `left_out` are not covered."""
    if opened.renewal is None:
        return {}
    credentials = await opened.renewal.value()
    headers = {name: value for name, value in template.plain.items() if name not in left_out}
    if "content-length" in headers:
        headers["content-length"] = str(len(content))
    unsigned = Unsigned(template.request.method, template.url, headers, content)
    return sign(unsigned, credentials, region(opened.target), service)


async def sign_in(opened: Opened, door: str) -> Any:
    """botocore's credentials for the target, kept fresh from now on; None when its chain finds none."""
    found = await asyncio.to_thread(credentials, profile(opened.target), region(opened.target))
    opened.renewal = None if found is None else renewal.of_aws(found, door)
    return found


def region(target: Target) -> str | None:
    return target.region or auth.env("AWS_REGION", "AWS_DEFAULT_REGION")


def profile(target: Target) -> str | None:
    return target.auth.get("profile") or (auth.named(target) if target.auth.get("env") == "AWS_PROFILE" else None)


def token(target: Target, variables: tuple[str, ...]) -> str | None:
    """The key sent as bearer, when that is how this target signs in. `{env: AWS_PROFILE}` names a profile."""
    if target.auth:
        return auth.named(target) if target.auth.get("env", "AWS_PROFILE") != "AWS_PROFILE" else None
    return auth.env(*variables)


def how(target: Target, variables: tuple[str, ...]) -> str:
    """The kind of sign-in, for the record."""
    if token(target, variables) is not None:
        found = next((name for name in variables if auth.env(name)), variables[0])
        return f"bearer token in {target.auth.get('env', found)}"
    if profile(target) is not None:
        return f"SigV4, profile {profile(target)}"
    return f"SigV4, {found_chain() or 'default chain'}"


def region_problems(target: Target) -> list[Problem]:
    if region(target) is not None:
        return []
    return [Problem(target.id, "region", "none", "a region, e.g. us-east-1, or export AWS_REGION=...")]


def profile_problems(target: Target) -> list[Problem]:
    """A named profile that no file of AWS holds."""
    name = profile(target)
    if name is None or name in auth.sections(*files()):
        return []
    want = f"aws configure --profile {name}, or the name of a profile that exists"
    return [Problem(target.id, "auth.profile", f"{name}, which is in no AWS file", want)]


def chain_problems(target: Target, variables: tuple[str, ...]) -> list[Problem]:
    """Nothing to sign in with: no key, no profile, and nothing where the default chain looks."""
    if target.auth or token(target, variables) is not None or found_chain() is not None:
        return []
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    want = f"export AWS_PROFILE=... (after aws configure), {keys}, or {' or '.join(variables)}"
    return [Problem(target.id, "auth", "no AWS credentials", want)]


def credentials(profile: str | None, region: str | None) -> Any:
    import boto3

    return boto3.Session(profile_name=profile, region_name=region).get_credentials()


def files() -> tuple[str, str]:
    return (
        auth.env("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        auth.env("AWS_CONFIG_FILE") or "~/.aws/config",
    )


def found_chain() -> str | None:
    """Where the default chain will find credentials, as far as can be told without asking the network."""
    if auth.env("AWS_ACCESS_KEY_ID") and auth.env("AWS_SECRET_ACCESS_KEY"):
        return "keys in the environment"
    if auth.env("AWS_WEB_IDENTITY_TOKEN_FILE") and auth.env("AWS_ROLE_ARN"):
        return "web identity"
    if auth.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return "container role"
    name = auth.env("AWS_PROFILE") or "default"
    if name in auth.sections(*files()):
        return f"profile {name}"
    return "instance role" if auth.machine_says("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2") else None
