"""What a door says before it sends: what is missing, where it would go; and afterwards whether it went there."""

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from bench import plugins, providers
from bench.errors import BenchError, CannotRun, Problem
from bench.providers import auth, bedrock, foundry, vertex
from bench.record import Connection, Exchange, Reply
from bench.targets import Target

FACTS: dict[str, dict[str, Any]] = {
    "anthropic": {},
    "bedrock": {"region": "us-east-1"},
    "bedrock-mantle": {"region": "us-east-1", "model_id": "anthropic.claude-sonnet-4-5"},
    "claude-aws": {"region": "us-west-2", "workspace": "wrkspc_1"},
    "vertex": {"region": "us-east5", "project": "p1"},
    "claude-gcp": {"region": "global", "project": "p1", "workspace": "wrkspc_1"},
    "foundry": {"resource": "r1"},
    "openai-compatible": {"dialect": "chat", "base_url": "http://127.0.0.1:8000/v1"},
}


def target(door: str, **facts: Any) -> Target:
    common = {"model": "claude-sonnet-4-5", "model_id": "claude-sonnet-4-5-20250929", "dialect": "messages"}
    return Target(id="t", provider=door, **{**common, **FACTS[door], **facts})


@pytest.fixture(autouse=True)
def on_no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that runs the tests may itself stand in a cloud and have an az."""
    monkeypatch.setattr(auth, "machine_says", lambda path, word: False)
    monkeypatch.setattr(foundry, "which", lambda program: None)


def paths(door: str, **facts: Any) -> list[str]:
    found = providers.get(door).check(target(door, **facts))
    assert all(problem.where == "t" and problem.want for problem in found)
    return [problem.path for problem in found]


MISSING = [
    # nothing in the environment: everything that is missing, at once
    ("anthropic", {}, ["auth"]),
    ("anthropic", {"dialect": "chat", "service_tier": "gold"}, ["dialect", "auth", "service_tier"]),
    ("bedrock", {"region": None}, ["region", "auth"]),
    ("bedrock", {"service_tier": "auto", "auth": {"profile": "nobody"}}, ["service_tier", "auth.profile"]),
    ("vertex", {"region": None, "project": None}, ["region", "project", "auth"]),
    ("vertex", {"base_url": "http://127.0.0.1:1", "auth": {"env": "UNSET"}}, ["auth.env", "base_url"]),
    ("bedrock-mantle", {"region": None, "service_tier": "flex"}, ["service_tier", "region", "auth"]),
    ("bedrock-mantle", {"auth": {"profile": "nobody"}}, ["auth.profile"]),
    ("claude-aws", {"region": None, "workspace": None}, ["region", "auth", "workspace"]),
    ("claude-gcp", {"project": None, "workspace": None}, ["project", "workspace", "auth"]),
    ("claude-gcp", {"auth": {"profile": "p"}}, ["auth.profile"]),
    # ids of another door
    ("bedrock-mantle", {"model_id": "us.anthropic.claude-sonnet-5-5"}, ["auth", "model_id"]),
    ("bedrock-mantle", {"model_id": "anthropic.claude-opus-4-1-20250805-v1:0"}, ["auth", "model_id"]),
    ("bedrock-mantle", {"model_id": "arn:aws:bedrock:us-east-1:1:inference-profile/x"}, ["auth", "model_id"]),
    ("claude-aws", {"model_id": "anthropic.claude-sonnet-5-5"}, ["auth", "model_id"]),
    ("claude-gcp", {"model_id": "claude-sonnet-4-5@20250929"}, ["model_id", "auth"]),
    ("foundry", {"resource": None}, ["resource", "auth"]),
    ("openai-compatible", {"base_url": None}, ["base_url"]),
    ("openai-compatible", {"base_url": "localhost:8000"}, ["base_url"]),
    ("openai-compatible", {"api_version": "v1"}, ["api_version"]),
    ("openai-compatible", {}, []),  # such servers need no key
    *[(door, {"auth": {"env": "UNSET"}}, ["auth.env"]) for door in FACTS],
    *[(door, {"auth": {"key": "K"}}, ["auth.key"]) for door in ("anthropic", "openai-compatible")],
]


@pytest.mark.parametrize(("door", "facts", "want"), MISSING)
def test_everything_that_is_missing_is_named_at_once(door: str, facts: dict[str, Any], want: list[str]) -> None:
    assert paths(door, **facts) == want


ENOUGH: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("anthropic", {}, {"ANTHROPIC_API_KEY": "k"}),
    ("anthropic", {}, {"ANTHROPIC_AUTH_TOKEN": "k"}),
    ("anthropic", {}, {"ANTHROPIC_PROFILE": "p"}),
    ("anthropic", {"auth": {"profile": "p"}}, {}),
    ("anthropic", {"auth": {"env": "K"}, "service_tier": "standard_only"}, {"K": "k"}),
    ("bedrock", {}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}),
    ("bedrock", {}, {"AWS_BEARER_TOKEN_BEDROCK": "b"}),
    ("bedrock", {"region": None, "auth": {"env": "K"}}, {"K": "b", "AWS_REGION": "us-east-1"}),
    ("bedrock", {}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "f", "AWS_ROLE_ARN": "r"}),
    ("bedrock", {}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/"}),
    ("bedrock-mantle", {}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}),
    ("bedrock-mantle", {}, {"AWS_BEARER_TOKEN_BEDROCK": "b"}),
    ("bedrock-mantle", {"region": None}, {"ANTHROPIC_AWS_API_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}),
    ("claude-aws", {}, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}),
    ("claude-aws", {"workspace": None}, {"ANTHROPIC_AWS_API_KEY": "k", "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_2"}),
    ("claude-aws", {"auth": {"env": "K"}, "service_tier": "standard_only"}, {"K": "k"}),
    ("claude-gcp", {"auth": {"env": "K"}}, {"K": "ya29"}),
    (
        "claude-gcp",
        {"region": None, "project": None, "workspace": None},
        {"GCE_METADATA_HOST": "127.0.0.1", "GOOGLE_CLOUD_PROJECT": "p", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "w"},
    ),
    (
        "claude-gcp",  # an address says project and workspace by itself
        {"project": None, "workspace": None, "base_url": "https://gateway.example/claude", "auth": {"env": "K"}},
        {"K": "ya29"},
    ),
    ("vertex", {"auth": {"env": "K"}}, {"K": "ya29"}),
    ("vertex", {}, {"GCE_METADATA_HOST": "127.0.0.1"}),
    (
        "vertex",
        {"region": None, "project": None, "auth": {"env": "K"}},
        {"K": "t", "CLOUD_ML_REGION": "global", "ANTHROPIC_VERTEX_PROJECT_ID": "p"},
    ),
    ("foundry", {}, {"ANTHROPIC_FOUNDRY_API_KEY": "k"}),
    ("foundry", {"resource": None}, {"ANTHROPIC_FOUNDRY_API_KEY": "k", "ANTHROPIC_FOUNDRY_RESOURCE": "r"}),
    ("foundry", {}, {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b", "AZURE_CLIENT_SECRET": "c"}),
    ("foundry", {}, {"IDENTITY_ENDPOINT": "http://localhost/"}),
]


@pytest.mark.parametrize(("door", "facts", "environment"), ENOUGH)
def test_each_usual_way_of_signing_in_is_enough(
    door: str, facts: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paths(door, **facts) == []
    how = providers.get(door).route(target(door, **facts))["auth"]
    assert how
    assert how != "none"


def test_files_of_aws_and_google_are_found_where_their_tools_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ["HOME"])
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[profile lab]\nregion = eu-west-1\n")
    assert paths("bedrock", auth={"profile": "lab"}) == []
    assert paths("bedrock") == ["auth"]
    monkeypatch.setenv("LAB", "lab")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert paths("bedrock") == []
    assert paths("bedrock", auth={"env": "AWS_PROFILE"}) == []
    assert providers.get("bedrock").route(target("bedrock"))["auth"] == "SigV4, profile lab"
    (home / ".config" / "gcloud").mkdir(parents=True)
    (home / ".config" / "gcloud" / "application_default_credentials.json").write_text("{}")
    assert paths("vertex") == []
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "missing.json"))
    assert paths("vertex") == ["auth"]
    (home / ".config" / "anthropic").mkdir()
    (home / ".config" / "anthropic" / "active_config").write_text("work")
    assert paths("anthropic") == []


def test_a_machine_of_the_cloud_lends_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "machine_says", lambda path, word: True)
    for door in ("bedrock", "bedrock-mantle", "claude-aws", "vertex", "claude-gcp", "foundry"):
        assert paths(door) == []


@pytest.mark.parametrize("door", ["bedrock-mantle", "claude-aws"])
def test_a_named_profile_wins_over_a_key_in_the_environment(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(os.environ["HOME"]) / ".aws").mkdir()
    secrets = "[lab]\naws_access_key_id = AKIDLAB\naws_secret_access_key = s\n"
    (Path(os.environ["HOME"]) / ".aws" / "credentials").write_text(secrets)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "b")
    monkeypatch.setenv("ANTHROPIC_AWS_API_KEY", "k")
    one = target(door, auth={"profile": "lab"})
    provider = providers.get(door)
    assert provider.check(one) == []
    assert provider.route(one)["auth"] == "SigV4, profile lab"
    request = asyncio.run(provider.prepare(one, {"model": one.model_id, "messages": []}))
    asyncio.run(provider.close())
    assert "Credential=AKIDLAB/" in request.headers["authorization"]


def test_settings_that_an_sdk_refuses_to_combine_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(os.environ["HOME"]) / ".aws").mkdir()
    (Path(os.environ["HOME"]) / ".aws" / "credentials").write_text("[lab]\naws_access_key_id = a\n")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "b")
    (problem,) = providers.get("bedrock").check(target("bedrock", auth={"profile": "lab"}))
    assert "AWS_BEARER_TOKEN_BEDROCK" in problem.want
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_BASE_URL", "http://127.0.0.1:1/anthropic")
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_API_KEY", "k")
    assert paths("foundry") == ["resource"]


def test_a_broken_aws_file_has_no_profiles(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_bytes(b"no section = 1\n\xff")
    assert auth.sections(str(broken), str(tmp_path / "none")) == set()


def test_a_firmware_file_that_cannot_be_read_names_no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    vendor = tmp_path / "vendor"
    vendor.write_text("Amazon EC2\n")
    assert auth.machine_says(str(vendor), "amazon ec2")
    assert not auth.machine_says(str(vendor), "Google")
    assert not auth.machine_says(str(tmp_path / "none"), "x")


@pytest.mark.parametrize(("door", "package", "extra"), [
    ("anthropic", "anthropic", "anthropic"),
    ("bedrock", "boto3", "bedrock"),
    ("bedrock-mantle", "boto3", "bedrock"),
    ("claude-aws", "boto3", "bedrock"),
    ("vertex", "google.auth", "vertex"),
    ("claude-gcp", "google.auth", "vertex"),
])  # fmt: skip
def test_a_missing_sdk_is_named_with_the_extra_that_brings_it(
    door: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "k")
    provider = providers.get(door)
    found = [problem for problem in provider.check(target(door)) if problem.path == "provider"]
    assert [problem.want for problem in found] == [f"pip install 'bench[{extra}]'"]
    assert package in found[0].got
    with pytest.raises(CannotRun) as raised:
        asyncio.run(provider.prepare(target(door), {"model": "m", "messages": []}))
    assert raised.value.hint == f"pip install 'bench[{extra}]'"


def test_a_request_that_the_sdk_cannot_build_is_a_message_and_not_a_traceback() -> None:
    provider = providers.get("anthropic")
    with pytest.raises(CannotRun, match="t: the anthropic SDK could not prepare a request"):
        asyncio.run(provider.prepare(target("anthropic"), {"model": "m", "messages": []}))
    asyncio.run(provider.close())


ROUTES = [
    ("anthropic", {}, "api.anthropic.com", "/v1/messages"),
    ("bedrock", {}, "bedrock-runtime.us-east-1.amazonaws.com", "/model/{model}/invoke-with-response-stream"),
    ("vertex", {}, "us-east5-aiplatform.googleapis.com",
     "/v1/projects/p1/locations/us-east5/publishers/anthropic/models/{model}:streamRawPredict"),
    ("vertex", {"region": "global"}, "aiplatform.googleapis.com",
     "/v1/projects/p1/locations/global/publishers/anthropic/models/{model}:streamRawPredict"),
    ("vertex", {"region": "eu"}, "aiplatform.eu.rep.googleapis.com",
     "/v1/projects/p1/locations/eu/publishers/anthropic/models/{model}:streamRawPredict"),
    ("vertex", {"region": "us"}, "aiplatform.us.rep.googleapis.com",
     "/v1/projects/p1/locations/us/publishers/anthropic/models/{model}:streamRawPredict"),
    ("bedrock-mantle", {}, "bedrock-mantle.us-east-1.api.aws", "/anthropic/v1/messages"),
    ("claude-aws", {}, "aws-external-anthropic.us-west-2.api.aws", "/v1/messages"),
    ("claude-gcp", {}, "claude.googleapis.com",
     "/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke/v1/messages"),
    ("claude-gcp", {"region": None}, "claude.googleapis.com",
     "/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke/v1/messages"),
    ("foundry", {}, "r1.services.ai.azure.com", "/anthropic/v1/messages"),
    ("openai-compatible", {}, "127.0.0.1:8000", "/v1/chat/completions"),
]  # fmt: skip


@pytest.mark.parametrize(("door", "facts", "host", "path"), ROUTES)
@pytest.mark.parametrize("elsewhere", [None, "http://127.0.0.1:9/base/v1"])
def test_the_route_that_is_recorded_is_the_one_that_is_taken(
    door: str, facts: dict[str, Any], host: str, path: str, elsewhere: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_FOUNDRY_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "TOKEN"):
        monkeypatch.setenv(name, "k")
    one = target(door, **{**facts, "auth": {"env": "TOKEN"}})
    if elsewhere:
        one = replace(one, base_url=elsewhere, resource=None)
    provider = providers.get(door)
    route = provider.route(one)
    if not elsewhere:
        assert (route["host"], route["path"]) == (host, path)
    request = asyncio.run(provider.prepare(one, {"model": one.model_id, "messages": [], "stream": True}))
    asyncio.run(provider.close())
    assert route["host"] == request.url.netloc.decode()
    assert str(route["path"]).replace("{model}", one.model_id) == request.url.path
    assert route["auth"] == ("bearer token in TOKEN" if door == "bedrock" else route["auth"])
    assert "TOKEN" in str(route["auth"])


def test_a_route_through_an_address_in_the_environment_is_recorded_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example/claude")
    provider = providers.get("anthropic")
    one = target("anthropic")
    request = asyncio.run(provider.prepare(one, {"model": "m", "messages": []}))
    asyncio.run(provider.close())
    route = provider.route(one)
    assert (
        (route["host"], route["path"])
        == (request.url.host, request.url.path)
        == ("gateway.example", "/claude/v1/messages")
    )


def exchange(*headers: tuple[str, str]) -> Exchange:
    return Exchange(0, 1, 2, 200, headers, (), Connection(reused=True))


PROOFS = [
    # door, message id, served model, headers -> verdict
    ("anthropic", "msg_01abc", "claude-sonnet-4-5-20250929", (), "consistent"),
    ("anthropic", "msg_bdrk_01", "claude-sonnet-4-5-20250929", (), "contradicted"),
    ("anthropic", "msg_01abc", "claude-haiku-4-5-20251001", (), "contradicted"),
    ("anthropic", "msg_01abc", "claude-sonnet-4-5", (), "consistent"),
    ("anthropic", None, None, (), "unknown"),
    ("bedrock", "msg_bdrk_01abc", "claude-sonnet-4-5-20250929", (), "consistent"),
    ("bedrock", "msg_vrtx_01abc", "claude-sonnet-4-5-20250929", (), "contradicted"),
    ("bedrock", "msg_01abc", "claude-sonnet-4-5-20250929", (), "contradicted"),
    ("bedrock", "msg_vrtx_01abc", None, (), "contradicted"),
    ("bedrock-mantle", "msg_bdrk_01abc", "claude-sonnet-4-5", (), "unknown"),  # which ids it gives is not documented
    ("bedrock-mantle", "msg_vrtx_01abc", "claude-sonnet-4-5", (), "contradicted"),
    ("bedrock-mantle", "msg_bdrk_01abc", "claude-opus-4-5", (), "contradicted"),
    ("claude-aws", "msg_01abc", "claude-sonnet-4-5-20250929", (), "consistent"),
    ("claude-aws", "msg_bdrk_01abc", "claude-sonnet-4-5-20250929", (), "contradicted"),
    ("claude-gcp", "msg_01abc", "claude-sonnet-4-5-20250929", (), "consistent"),
    ("claude-gcp", "msg_vrtx_01abc", "claude-sonnet-4-5-20250929", (), "contradicted"),
    ("vertex", "msg_vrtx_01abc", "claude-sonnet-4-5@20250929", (), "consistent"),
    ("vertex", "msg_vrtx_01abc", "claude-opus-4-5", (), "contradicted"),
    ("foundry", "msg_01abc", "claude-sonnet-4-5", (("x-ms-region", "East US 2"),), "consistent"),
    ("foundry", "msg_01abc", "claude-sonnet-4-5", (("X-MS-Region", "West Europe"),), "contradicted"),
    ("openai-compatible", "chatcmpl-1", "m", (), "unknown"),
]


@pytest.mark.parametrize(("door", "message_id", "model", "headers", "want"), PROOFS)
def test_a_reply_that_speaks_against_its_route_is_found_out(
    door: str, message_id: str | None, model: str | None, headers: tuple[tuple[str, str], ...], want: str
) -> None:
    facts = {"region": "eastus2"} if door == "foundry" else {}
    if door == "bedrock":
        facts = {"model_id": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    reply = Reply(message_id=message_id, served_model=model)
    assert providers.get(door).region_proof(target(door, **facts), exchange(*headers), reply) == want


def test_an_opaque_model_id_is_judged_by_the_logical_model() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    one = target("bedrock", model_id=arn, model="claude-sonnet-4-5")
    provider = providers.get("bedrock")
    right = Reply(message_id="msg_bdrk_1", served_model="claude-sonnet-4-5-20250929")
    wrong = Reply(message_id="msg_bdrk_1", served_model="claude-sonnet-4-6")
    assert provider.region_proof(one, exchange(), right) == "consistent"
    assert provider.region_proof(one, exchange(), wrong) == "contradicted"
    assert provider.region_proof(replace(one, model="our-model"), exchange(), wrong) == "consistent"


@pytest.mark.parametrize("door", FACTS)
def test_the_client_stack_names_the_sdk_and_its_version(door: str) -> None:
    stack = providers.get(door).client_stack(target(door))
    assert re.match(r"no SDK$" if door == "openai-compatible" else r"(anthropic|openai) \d+\.\d+\.\d+", stack)
    assert "not installed" not in stack


def test_an_unknown_door_is_answered_with_the_nearest() -> None:
    with pytest.raises(BenchError, match=", ".join(providers.PROVIDERS)) as raised:
        providers.get("bedrok")
    assert raised.value.hint == "did you mean bedrock?"


def test_third_parties_add_doors_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("elsewhere", "bench.providers.foundry:Foundry", plugins.PROVIDERS),
            EntryPoint("bedrock", "bench.providers.vertex:Vertex", plugins.PROVIDERS),
            EntryPoint("broken", "no.such.module:Door", plugins.PROVIDERS),
        ]
    )
    monkeypatch.setattr(plugins, "entry_points", points.select)
    assert providers.names() == [*providers.PROVIDERS, "broken", "elsewhere"]
    assert isinstance(providers.get("elsewhere"), foundry.Foundry)
    assert isinstance(providers.get("bedrock"), bedrock.Bedrock)
    assert not isinstance(providers.get("bedrock"), vertex.Vertex)
    with pytest.raises(
        CannotRun, match=r"broken \(no\.such\.module, no\.such\.module:Door\) failed: ModuleNotFoundError"
    ):
        providers.get("broken")


def test_naming_and_checking_doors_imports_no_sdk() -> None:
    script = """
import sys
from bench import providers
from bench.targets import Target
for name in providers.PROVIDERS:
    door = providers.get(name)
    target = Target("t", "m", name, "m", "messages")
    door.check(target), door.route(target), door.client_stack(target)
sdks = {"anthropic", "openai", "boto3", "botocore", "azure.identity", "google.auth.transport"}
print(sorted(sdks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_problem_reads_as_one_line() -> None:
    (problem,) = providers.get("anthropic").check(target("anthropic"))
    assert isinstance(problem, Problem)
    assert str(problem) == (
        "t: auth: got no key in the environment; want export ANTHROPIC_API_KEY=..., or auth: {env: NAME}"
    )
