"""What the look-alikes refuse, and in whose words."""

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta

import anthropic
import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.simulate import launch
from tests.sim.test_simulator import CHAT, CLAUDE, ID_HEADER, MODELS, ask, chat_client, message_fields, raw, target

NEW = "2026-10-21"


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    targets = [target(door) for door in MODELS]
    limited = {"ttft_ms": {"constant": 1}, "gap_ms": {"constant": 1}, "output_tokens": 2, "limits": {"rpm": 2}}
    targets.append({**target("anthropic", limited), "id": "limited"})
    targets.append({**target("openai", {**limited, "limits": {"rpm": 100, "itpm": 5}}), "id": "limited-openai"})
    targets.append({**target("bedrock"), "id": "plain-id", "model_id": "us.anthropic.claude-sonnet-4-7"})
    session = {"access_key": "AK", "secret_key": "SK", "session_token": "ST", "region": "eu-west-1"}
    targets.append({**target("bedrock"), "id": "session", "credentials": session})
    with launch({"seed": 7, "targets": targets, "truth": str(folder / "truth.parquet")}) as running:
        yield running


def error_of(door, seen):
    """(code or type, message) of a vendor's error body."""
    body = json.loads(seen.body)
    if door == "bedrock":
        return seen.headers["x-amzn-errortype"].partition(":")[0], body["message"]
    error = body["error"]
    return error.get("status") or error.get("type") or error.get("code"), error["message"]


@pytest.mark.parametrize(
    ("door", "status", "code"),
    [
        ("anthropic", 401, "authentication_error"),
        ("bedrock", 403, "AccessDeniedException"),
        ("vertex", 401, "UNAUTHENTICATED"),
        ("foundry", 401, "401"),
        ("openai-compatible", 401, "AuthenticationError"),
        ("openai", 401, "invalid_request_error"),
    ],
)
def test_a_wrong_key_is_refused_in_the_vendors_words(clouds, door, status, code):
    path, headers, body = ask(door)
    name = "x-api-key" if "x-api-key" in headers else "authorization"
    wrong = {**headers, name: "wrong" if name == "x-api-key" else "Bearer wrong"}
    seen = raw(clouds.ports[door], path, wrong, body)
    assert (seen.status, error_of(door, seen)[0]) == (status, code)
    assert seen.headers[ID_HEADER[door]]
    missing = {k: v for k, v in headers.items() if k != name}
    assert raw(clouds.ports[door], path, missing, body).status == status


@pytest.mark.parametrize(
    ("door", "status", "code"),
    [
        ("anthropic", 404, "not_found_error"),
        ("bedrock", 400, "ValidationException"),
        ("vertex", 404, "NOT_FOUND"),
        ("foundry", 404, "DeploymentNotFound"),
        ("openai-compatible", 404, "NotFoundError"),
        ("openai", 404, "invalid_request_error"),
    ],
)
def test_an_unknown_model_is_refused_in_the_vendors_words(clouds, door, status, code):
    path, headers, body = ask(door)
    body = {**body, "model": "no-such-model"} if "model" in body else body
    seen = raw(clouds.ports[door], path.replace(MODELS[door], "no-such-model"), headers, body)
    assert (seen.status, error_of(door, seen)[0]) == (status, code)


BAD = [
    ("missing max_tokens", lambda b: b.pop("max_tokens"), "max_tokens"),
    ("negative max_tokens", lambda b: b.update(max_tokens=-1), "max_tokens"),
    ("no messages", lambda b: b.update(messages=[]), "messages"),
    ("a system role", lambda b: b.update(messages=[{"role": "system", "content": "x"}]), "role"),
    ("an assistant first", lambda b: b.update(messages=[{"role": "assistant", "content": "x"}]), "first message"),
    ("empty text", lambda b: b.update(messages=[{"role": "user", "content": ""}]), "non-empty"),
    ("an unknown field", lambda b: b.update(seed=7), "seed: Extra inputs are not permitted"),
    ("a temperature above 1", lambda b: b.update(temperature=1.5), "temperature"),
]


@pytest.mark.parametrize("door", CLAUDE)
def test_bodies_that_the_messages_wire_does_not_allow(clouds, door):
    for name, spoil, words in BAD:
        path, headers, body = ask(door)
        spoil(body)
        seen = raw(clouds.ports[door], path, headers, body)
        code, message = error_of(door, seen)
        assert seen.status == 400, name
        assert code == ("ValidationException" if door == "bedrock" else "invalid_request_error"), name
        assert words in message, name


@pytest.mark.parametrize("door", MODELS)
def test_a_body_that_is_no_json_object_is_refused(clouds, door):
    path, headers, _ = ask(door)
    assert raw(clouds.ports[door], path, headers, b"{").status == 400
    assert raw(clouds.ports[door], path, headers, b"[]").status == 400


@pytest.mark.parametrize("door", MODELS)
def test_another_path_is_not_found(clouds, door):
    _, headers, body = ask(door)
    assert raw(clouds.ports[door], "/v2/else", headers, body).status == 404


@pytest.mark.parametrize("door", ["anthropic", "foundry"])
def test_the_version_header_is_required_known_and_decides_on_temperature(clouds, door):
    path, headers, body = ask(door, temperature=0)
    port = clouds.ports[door]
    without = {k: v for k, v in headers.items() if k != "anthropic-version"}
    assert raw(port, path, without, body).status == 400
    assert raw(port, path, {**headers, "anthropic-version": "2020-01-01"}, body).status == 400
    assert raw(port, path, headers, body).status == 200  # 2023-06-01 takes temperature
    seen = raw(port, path, {**headers, "anthropic-version": NEW}, body)
    assert (seen.status, error_of(door, seen)[0]) == (400, "invalid_request_error")
    assert "temperature" in error_of(door, seen)[1]


def test_vertex_takes_its_version_in_the_body_and_wants_method_and_stream_to_agree(clouds):
    port = clouds.ports["vertex"]
    path, headers, body = ask("vertex", temperature=0)
    assert raw(port, path, headers, body).status == 200
    assert raw(port, path, headers, {**body, "anthropic_version": NEW}).status == 400
    assert raw(port, path, headers, {k: v for k, v in body.items() if k != "anthropic_version"}).status == 400
    assert raw(port, path, headers, {**body, "stream": False}).status == 400
    assert raw(port, path, headers, {**body, "model": MODELS["vertex"]}).status == 400


def test_bedrock_refuses_the_new_version_for_models_with_a_version_in_their_id(clouds):
    path, headers, body = ask("bedrock", anthropic_version=NEW)
    seen = raw(clouds.ports["bedrock"], path, headers, body)
    assert (seen.status, error_of("bedrock", seen)[0]) == (400, "ValidationException")
    plain = path.replace(MODELS["bedrock"], "us.anthropic.claude-sonnet-4-7")
    assert raw(clouds.ports["plain-id"], plain, headers, body).status == 200
    assert raw(clouds.ports["plain-id"], plain, headers, {**body, "temperature": 0}).status == 400


def test_bedrock_refuses_model_and_stream_in_the_body(clouds):
    path, headers, body = ask("bedrock")
    assert raw(clouds.ports["bedrock"], path, headers, {**body, "stream": True}).status == 400
    assert raw(clouds.ports["bedrock"], path, headers, {**body, "model": "x"}).status == 400


def test_openai_refuses_unknown_fields_where_a_compatible_server_lets_them_pass(clouds):
    for door, status in (("openai", 400), ("openai-compatible", 200)):
        path, headers, body = ask(door, ignore_eos=True)
        assert raw(clouds.ports[door], path, headers, body).status == status


@pytest.mark.parametrize("door", CHAT)
def test_chat_bodies_that_are_not_allowed(clouds, door):
    for fields in ({"messages": []}, {"max_tokens": 0}, {"stream": False, "stream_options": {"include_usage": True}}):
        path, headers, body = ask(door)
        assert raw(clouds.ports[door], path, headers, {**body, **fields}).status == 400, fields


def signed(clouds, name="bedrock", *, region="us-east-1", service="bedrock", at=None, token=None, keys=None):
    """(path, headers, body) signed by botocore."""
    path, _, body = ask("bedrock")
    data = json.dumps(body).encode()
    url = f"http://127.0.0.1:{clouds.ports[name]}{path}"
    request = AWSRequest("POST", url, data=data, headers={"content-type": "application/json", "x-note": " a  b "})
    signer = SigV4Auth(Credentials(*(keys or ("AKIDEXAMPLE", "simulated-secret-key")), token), service, region)
    if at is None:
        signer.add_auth(request)
        headers = dict(request.headers.items())
    else:
        request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        signer._inject_signature_to_request(request, signature)
        headers = dict(request.headers.items())
    return path, headers, data


def test_a_good_signature_passes(clouds):
    assert raw(clouds.ports["bedrock"], *signed(clouds)).status == 200
    keys = ("AK", "SK")
    seen = raw(clouds.ports["session"], *signed(clouds, "session", region="eu-west-1", token="ST", keys=keys))
    assert seen.status == 200


def test_signatures_that_do_not_fit_are_refused(clouds):
    now = datetime.now(UTC)
    bad = "InvalidSignatureException"
    cases = [
        (signed(clouds, region="eu-west-1"), bad, "region"),
        (signed(clouds, service="bedrock-mantle"), bad, "service"),
        (signed(clouds, keys=("AKIDEXAMPLE", "other")), bad, "does not match"),
        (signed(clouds, keys=("OTHER", "simulated-secret-key")), "UnrecognizedClientException", "invalid"),
        (signed(clouds, token="ST"), "UnrecognizedClientException", "invalid"),
        (signed(clouds, at=now - timedelta(minutes=6)), bad, "expired"),
        (signed(clouds, at=now + timedelta(minutes=6)), bad, "not yet current"),
    ]
    path, headers, data = signed(clouds)
    cases += [
        ((path, headers, data.replace(b"harbour", b"airport")), bad, "does not match"),
        ((path, {**headers, "x-note": "other"}, data), bad, "does not match"),
        ((path, {**headers, "X-Amz-Target": "unsigned"}, data), bad, "x-amz-target"),
        ((path, {**headers, "X-Amz-Content-SHA256": "0" * 64}, data), bad, "x-amz-content-sha256"),
        ((path + "?a=b", headers, data), bad, "does not match"),
        ((path, {**headers, "Authorization": "AWS4-HMAC-SHA256 nothing"}, data), "IncompleteSignatureException", "not"),
        ((path, {}, data), "MissingAuthenticationTokenException", "Missing"),
    ]
    assert raw(clouds.ports["bedrock"], *signed(clouds, at=now - timedelta(minutes=4))).status == 200
    for request, code, words in cases:
        seen = raw(clouds.ports["bedrock"], *request)
        assert (seen.status, error_of("bedrock", seen)[0]) == (403, code), words
        assert words in error_of("bedrock", seen)[1]


def test_the_sdks_raise_their_own_errors(clouds):
    async def go():
        port = clouds.ports["anthropic"]
        base = f"http://127.0.0.1:{port}"
        async with anthropic.AsyncAnthropic(api_key="wrong", base_url=base, max_retries=0) as client:
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await client.messages.create(**message_fields("anthropic"))
            assert refused.value.type == "authentication_error"
        async with anthropic.AsyncAnthropicBedrock(
            aws_access_key="AKIDEXAMPLE",
            aws_secret_key="wrong",
            aws_region="us-east-1",
            base_url=f"http://127.0.0.1:{clouds.ports['bedrock']}",
            max_retries=0,
        ) as client:
            with pytest.raises(anthropic.PermissionDeniedError):
                await client.messages.create(**message_fields("bedrock"))
        async with chat_client("openai", clouds.ports["openai"], key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as denied:
                await client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "x"}])
            assert denied.value.code == "invalid_api_key"

    asyncio.run(go())


def test_limits_are_told_and_enforced(clouds):
    request = ask("anthropic")
    replies = [raw(clouds.ports["limited"], *request) for _ in range(3)]
    assert [r.status for r in replies] == [200, 200, 429]  # rpm 2
    assert [r.headers["anthropic-ratelimit-requests-remaining"] for r in replies] == ["1", "0", "0"]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 60
    assert error_of("anthropic", replies[2])[0] == "rate_limit_error"
    seen = raw(clouds.ports["limited-openai"], *ask("openai"))  # the prompt counts 12 tokens, 5 a minute are allowed
    assert (seen.status, json.loads(seen.body)["error"]["code"]) == (429, "rate_limit_exceeded")
    assert seen.headers["x-ratelimit-limit-tokens"] == "5"


def test_refused_requests_have_an_id_of_their_own(clouds):
    path, headers, body = ask("anthropic")
    ids = {raw(clouds.ports["anthropic"], path, headers, {**body, "seed": n}).headers["request-id"] for n in range(5)}
    assert len(ids) == 5


def test_a_request_that_is_too_large_is_refused(clouds):
    path, headers, _ = ask("anthropic")
    huge = b'{"x": "' + b"a" * (32 * 1024 * 1024) + b'"}'
    seen = raw(clouds.ports["anthropic"], path, headers, huge)
    assert (seen.status, error_of("anthropic", seen)[0]) == (413, "request_too_large")


def test_http_1_0_is_refused(clouds):
    with socket.create_connection(("127.0.0.1", clouds.ports["bedrock"]), timeout=3) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 505 ")
