"""Whole runs at the doors to OpenAI's models, and what their look-alikes refuse."""

import json
from collections import Counter
from typing import Any

import openai
import pytest
from openai.providers import bedrock, vertex

from bench.simulate import default_credentials, launch

SOL = [
    {"id": "openai", "provider": "openai"},
    {"id": "azure", "provider": "azure-openai", "resource": "r1", "deployment": "my-sol"},
    {"id": "azure-dated", "provider": "azure-openai", "resource": "r1", "api_version": "2025-04-01-preview"},
    {"id": "mantle", "provider": "openai-bedrock", "region": "us-west-2"},
    {"id": "runtime", "provider": "openai-bedrock", "region": "us-west-2", "model_id": "us.openai.gpt-6.1-sol"},
    {"id": "gateway", "provider": "openai-compatible", "preset": "litellm", "model_id": "gpt-6.1-sol"},
]
OSS = [
    {"id": "mantle", "provider": "openai-bedrock", "region": "us-east-1"},
    {"id": "vertex", "provider": "openai-vertex", "region": "global"},
    {"id": "vllm", "provider": "openai-compatible", "preset": "vllm", "model_id": "openai/gpt-oss-120b"},
]


@pytest.mark.parametrize(("model", "rows", "dialect"), [
    ("gpt-6.1-sol", SOL, "chat"),
    ("gpt-oss-120b", OSS, "chat"),
    ("gpt-6.1-sol", SOL[:5], "responses"),
    ("gpt-oss-120b", OSS[:2], "responses"),
])  # fmt: skip
def test_one_model_at_all_its_doors_makes_one_table(
    place, monkeypatch: pytest.MonkeyPatch, model: str, rows: list[dict[str, Any]], dialect: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x: y")  # nothing of the shell reaches a simulation
    targets = [{**row, "model": model, "dialect": dialect} for row in rows]
    (place.folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": targets}))
    done = place.run("--simulate", requests=2, retries=2)
    assert done.code == 0, done.err
    found = done.rows()
    assert Counter(r["target"] for r in found) == dict.fromkeys([row["id"] for row in rows], 2)
    assert {r["outcome"] for r in found} == {"ok"}
    assert {r["dialect"] for r in found} == {dialect}
    assert all(r["output_tokens"] and r["input_tokens"] is not None for r in found)
    assert all(r["region_proof"] != "contradicted" for r in found)


def test_a_setting_that_a_preset_does_not_take_keeps_its_target_out(place) -> None:
    row = {"id": "local", "model": "m", "provider": "openai-compatible", "preset": "ollama", "model_id": "m"}
    row["params"] = {"extra_body": {"top_k": 4}}
    (place.folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": [row]}))
    done = place.run("--only", "local", requests=1)
    assert done.code == 3
    assert "local: params.extra_body.top_k" in done.err
    assert "ollama does not take" in done.err


# ------------------------------------------------------------------------------------------------ refusals

NAMES = {
    "openai": "gpt-5.6-sol",
    "azure-openai": "gpt-5",
    "openai-bedrock": "openai.gpt-6.1-sol",
    "openai-vertex": "openai/gpt-oss-120b-maas",
}


@pytest.fixture(scope="module")
def ports():
    profile = {"ttft_ms": {"constant": 1}, "gap_ms": {"constant": 1}, "output_tokens": 4}
    targets = [
        {"id": door, "door": door, "model_id": name, "profile": profile, "credentials": default_credentials(door)}
        for door, name in NAMES.items()
    ]
    with launch({"seed": 7, "targets": targets}) as running:
        yield running.ports


def client(ports: dict[str, int], door: str, **given: Any) -> openai.OpenAI:
    base = f"http://127.0.0.1:{ports[door]}"
    credentials = default_credentials(door)
    common: dict[str, Any] = {"max_retries": 0}
    if door == "openai-bedrock":
        keys = {"access_key_id": credentials["access_key"], "secret_access_key": credentials["secret_key"], **given}
        return openai.OpenAI(provider=bedrock(region="us-east-1", base_url=f"{base}/openai/v1", **keys), **common)
    if door == "openai-vertex":
        token = given.get("token", credentials["token"])
        path = "/v1/projects/p1/locations/global/endpoints/openapi"
        return openai.OpenAI(provider=vertex(base_url=base + path, token_provider=lambda: token), **common)
    path = "/openai/v1" if door == "azure-openai" else "/v1"
    return openai.OpenAI(api_key=given.get("token", credentials["api_key"]), base_url=base + path, **common)


def asked(
    ports: dict[str, int], door: str, given: dict[str, Any] | None = None, **fields: Any
) -> tuple[int, str | None]:
    """(status, code) of a Chat Completions request through the official SDK, on a connection of its own."""
    body = {"model": NAMES[door], "messages": [{"role": "user", "content": "x"}], **fields}
    with client(ports, door, **(given or {})) as sdk:
        try:
            sdk.chat.completions.create(**body)
        except openai.APIStatusError as error:
            inner = error.body if isinstance(error.body, dict) else {}
            return error.status_code, inner.get("status") or error.code
    return 200, None


REFUSALS = [
    # door, fields -> status, code
    ("openai", {"max_completion_tokens": 9, "seed": 7}, 200, None),
    ("openai", {"max_tokens": 9}, 400, "unsupported_parameter"),
    ("openai", {"temperature": 0}, 400, "unsupported_value"),
    ("openai", {"temperature": 1}, 200, None),
    ("openai", {"temperature": 0, "top_p": 0.9, "reasoning_effort": "none"}, 200, None),
    ("openai", {"top_p": 0.9}, 400, "unsupported_parameter"),
    ("openai", {"reasoning_effort": "minimal"}, 400, "unsupported_value"),
    ("openai", {"model": "gpt-9"}, 404, "model_not_found"),
    ("openai", {"extra_body": {"top_k": 4}}, 400, None),
    ("azure-openai", {"reasoning_effort": "minimal"}, 200, None),
    ("azure-openai", {"reasoning_effort": "none"}, 400, "unsupported_value"),
    ("azure-openai", {"max_tokens": 9}, 400, "unsupported_parameter"),
    ("azure-openai", {"model": "no-such-deployment"}, 404, "DeploymentNotFound"),
    ("openai-bedrock", {"reasoning_effort": "max"}, 200, None),
    ("openai-bedrock", {"temperature": 0}, 400, "unsupported_value"),
    ("openai-bedrock", {"model": "openai.gpt-9"}, 404, "model_not_found"),
    ("openai-vertex", {"max_tokens": 9, "temperature": 0, "seed": 7, "extra_body": {"top_k": 4}}, 200, None),
    ("openai-vertex", {"model": "openai/gpt-9-maas"}, 404, "NOT_FOUND"),
]


@pytest.mark.parametrize(("door", "fields", "status", "code"), REFUSALS)
def test_the_look_alikes_are_as_strict_as_the_services(
    ports, door: str, fields: dict[str, Any], status: int, code: str | None
) -> None:
    assert asked(ports, door, **fields) == (status, code)


@pytest.mark.parametrize(("door", "given", "status"), [
    ("openai", {"token": "wrong"}, 401),
    ("azure-openai", {"token": "wrong"}, 401),
    ("openai-bedrock", {"secret_access_key": "wrong"}, 403),
    ("openai-bedrock", {"endpoint": "runtime"}, 403),  # signed for the other service
    ("openai-vertex", {"token": "ya29.wrong"}, 401),
])  # fmt: skip
def test_a_wrong_credential_is_refused(ports, door: str, given: dict[str, Any], status: int) -> None:
    assert asked(ports, door, given)[0] == status


def test_a_responses_request_is_read_as_strictly(ports) -> None:
    with client(ports, "openai") as sdk:
        for fields in ({"temperature": 0}, {"reasoning": {"effort": "minimal"}}, {"extra_body": {"seed": 7}}):
            with pytest.raises(openai.BadRequestError):
                sdk.responses.create(model=NAMES["openai"], input="x", **fields)  # type: ignore[arg-type]
        sdk.responses.create(model=NAMES["openai"], input="x", temperature=0, reasoning={"effort": "none"})
