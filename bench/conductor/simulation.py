"""`--simulate`: every target pointed at its own look-alike cloud, with made-up credentials and nothing real within reach."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import redact, simulate
from bench.conductor.preflight import Job, Ready
from bench.record import Case
from bench.targets import Target
from bench.workload import last_user_text

PREFIXES = ("ANTHROPIC_", "OPENAI_", "AWS_", "AZURE_", "GOOGLE_", "GEMINI_", "CLOUD_ML_", "VERTEX_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
REGION = "us-east-1"
SIGNED = ("bedrock", "bedrock-mantle", "claude-aws", "openai-bedrock")
"""Doors that are signed in to with AWS keys, which the SDKs find in the environment."""
ON_GOOGLE = ("vertex", "claude-gcp", "openai-vertex", "gemini-vertex", "vertex-grpc")
WORKSPACE = "wrkspc_simulated"


@contextmanager
def simulated(
    job: Job,
    folder: Path,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
    truth: str = "truth.parquet",
) -> Iterator[tuple[Ready, ...]]:
    """The job's targets, moved to look-alikes that run until the block ends. Their truth is left in the folder."""
    answers = folder / "answers.jsonl"
    _write_answers(job.workload.cases, answers)
    config = {
        "seed": job.options.seed,
        "targets": [_config(r.target, (profiles or {}).get(r.target.id)) for r in job.ready],
        "answers": str(answers),
        "truth": str(folder / truth),
    }
    with _environment(_credentials({r.target.provider for r in job.ready})), simulate.launch(config) as running:
        yield tuple(replace(r, target=_moved(r.target, running.ports[r.target.id])) for r in job.ready)
        running.stop()
    answers.unlink()


def _config(target: Target, profile: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": target.id,
        "door": target.provider,
        "model_id": target.deployment or target.model_id,
        "profile": dict(profile or simulate.default_profile(target.provider)),
        "credentials": _accepted(target),
    }


def _accepted(target: Target) -> dict[str, str]:
    """What the look-alike takes. AWS signatures name a region and Google's paths a location, so it must know the target's."""
    given = simulate.default_credentials(target.provider)
    if target.provider in ON_GOOGLE and target.region:
        given["location"] = target.region
    return {**given, "region": target.region} if "region" in given and target.region else given


def _moved(target: Target, port: int) -> Target:
    """The target at its look-alike's address, with references to made-up credentials."""
    target = _placed(target)
    gcp = f"/v1/projects/{target.project}/locations/{target.region}/workspaces/{target.workspace}/invoke"
    paths = {"vertex": "/v1", "claude-gcp": gcp, "openai-compatible": "/v1"}
    paths |= {"foundry": "/anthropic/", "bedrock-mantle": "/anthropic", "openai": "/v1", "openai-bedrock": "/openai/v1"}
    open_models = "publishers/openai/v1" if target.dialect == "responses" else "endpoints/openapi"
    paths["openai-vertex"] = f"/v1/projects/{target.project}/locations/{target.region}/{open_models}"
    return replace(
        target,
        base_url=f"http://127.0.0.1:{port}" + paths.get(target.provider, ""),
        auth={} if target.provider in SIGNED else {"env": _variable(target.provider)},
        resource=None,
        simulated=True,
    )


def _placed(target: Target) -> Target:
    """The target with a made-up project and workspace where its door wants them and the file names none."""
    project = "simulated" if target.provider in ON_GOOGLE else None
    workspace = WORKSPACE if target.provider in ("claude-aws", "claude-gcp") else None
    return replace(target, project=target.project or project, workspace=target.workspace or workspace)


def _variable(provider: str) -> str:
    return "BENCH_SIMULATED_" + provider.upper().replace("-", "_")


def _credentials(doors: Set[str]) -> dict[str, str]:
    made_up = {"AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    for door in sorted(doors):
        given = simulate.default_credentials(door)
        if door in SIGNED:
            made_up["AWS_ACCESS_KEY_ID"] = given["access_key"]
            made_up["AWS_SECRET_ACCESS_KEY"] = given["secret_key"]
        else:
            made_up[_variable(door)] = next(iter(given.values()))
    return made_up


@contextmanager
def _environment(made_up: Mapping[str, str]) -> Iterator[None]:
    """Hides every real credential, base address and proxy while a simulation runs: it cannot reach a real account."""
    before = dict(os.environ)
    for name, value in before.items():
        if name.startswith(PREFIXES) or name.upper() in PROXIES or redact.secrets_in(name, value):
            del os.environ[name]
    os.environ.update(made_up)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _write_answers(cases: Sequence[Case], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for case in cases:
            if not case.answers:  # the look-alike then says something neutral
                continue
            key = hashlib.sha256(last_user_text(case.messages).encode()).hexdigest()
            line = {"key": key, "case_id": case.id, "answers": {k: list(v) for k, v in case.answers.items()}}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
