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
from bench.preflight import Job, Ready
from bench.record import Case
from bench.targets import Target
from bench.workload import last_user_text

PREFIXES = ("ANTHROPIC_", "OPENAI_", "AWS_", "AZURE_", "GOOGLE_", "GEMINI_", "CLOUD_ML_", "VERTEX_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
REGION = "us-east-1"


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
        "model_id": target.model_id,
        "profile": dict(profile or simulate.default_profile(target.provider)),
        "credentials": _accepted(target),
    }


def _accepted(target: Target) -> dict[str, str]:
    """What the look-alike takes. AWS signatures name a region, so it must know the target's."""
    given = simulate.default_credentials(target.provider)
    return {**given, "region": target.region} if "region" in given and target.region else given


def _moved(target: Target, port: int) -> Target:
    """The target at its look-alike's address, with references to made-up credentials."""
    here = f"http://127.0.0.1:{port}"
    paths = {"vertex": "/v1", "foundry": "/anthropic/", "openai-compatible": "/v1"}
    auth = {} if target.provider == "bedrock" else {"env": _variable(target.provider)}
    return replace(
        target,
        base_url=here + paths.get(target.provider, ""),
        auth=auth,
        project=target.project or ("simulated" if target.provider == "vertex" else None),
        resource=None,
        simulated=True,
    )


def _variable(provider: str) -> str:
    return "BENCH_SIMULATED_" + provider.upper().replace("-", "_")


def _credentials(doors: Set[str]) -> dict[str, str]:
    made_up = {"AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    for door in sorted(doors):
        given = simulate.default_credentials(door)
        if door == "bedrock":
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
