"""The look-alike clouds, decoded by the vendors' own SDKs; and the raw tools that the other simulator tests use."""

import asyncio
import hashlib
import json
import socket
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import openai
import pytest

from bench.simulate import default_credentials, launch

QUESTION = "Which colour has the door of the harbour office?"
RIGHT = "The door is grün, like the bollards: 门是绿色的, says the port diary. 🙂 It was painted in May."
WRONG = "It is red."
ABSTAIN = "The text does not say."
MODELS = {
    "anthropic": "claude-sonnet-4-6",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "vertex": "claude-sonnet-4-5@20250929",
    "foundry": "my-deployment",
    "openai-compatible": "org/open-model-8b",
    "openai": "gpt-4.1",
}
SERVED = {**MODELS, "bedrock": "claude-sonnet-4-5-20250929", "vertex": "claude-sonnet-4-5-20250929"}
CLAUDE = ("anthropic", "bedrock", "vertex", "foundry")
CHAT = ("openai-compatible", "openai")
ID_HEADER = {
    "anthropic": "request-id",
    "bedrock": "x-amzn-requestid",
    "vertex": "request-id",
    "foundry": "apim-request-id",
    "openai-compatible": "x-request-id",
    "openai": "x-request-id",
}
FAST = {"ttft_ms": {"constant": 4}, "gap_ms": {"constant": 1}, "markers": True, "output_tokens": 8}


def target(door, profile=FAST, **more):
    return {"id": door, "door": door, "model_id": MODELS[door], "profile": profile, **more}


def write_answers(folder: Path, **kinds) -> str:
    kinds = kinds or {"right": [RIGHT], "wrong": [WRONG], "abstain": [ABSTAIN]}
    row = {"key": hashlib.sha256(QUESTION.encode()).hexdigest(), "case_id": "harbour-1", "answers": kinds}
    path = folder / "answers.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return str(path)


def ask(door, prompt=QUESTION, stream=True, **fields):
    """(path, headers, body) of a valid request, by hand."""
    said = default_credentials(door)
    body = {"max_tokens": 512, "messages": [{"role": "user", "content": prompt}], **fields}
    model = MODELS[door]
    if door in CHAT:
        body |= {"model": model, "stream": stream}
        if stream and "stream_options" not in fields:
            body["stream_options"] = {"include_usage": True}
        return "/v1/chat/completions", {"authorization": f"Bearer {said['api_key']}"}, body
    if door == "bedrock":
        verb = "invoke-with-response-stream" if stream else "invoke"
        body.setdefault("anthropic_version", "bedrock-2023-05-31")
        return f"/model/{model}/{verb}", {"authorization": f"Bearer {said['token']}"}, body
    body["stream"] = stream
    if door == "vertex":
        verb = "streamRawPredict" if stream else "rawPredict"
        body.setdefault("anthropic_version", "vertex-2023-10-16")
        path = f"/v1/projects/p1/locations/global/publishers/anthropic/models/{model}:{verb}"
        return path, {"authorization": f"Bearer {said['token']}"}, body
    body.setdefault("model", model)
    path = "/v1/messages" if door == "anthropic" else "/anthropic/v1/messages"
    return path, {"x-api-key": said["api_key"], "anthropic-version": "2023-06-01"}, body


@dataclass
class Seen:
    """A response as a raw socket saw it. `ended`: clean, closed (in the middle), reset, or silent (nothing in time)."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    chunks: list = field(default_factory=list)
    chunk_ns: list = field(default_factory=list)
    ended: str = "clean"
    sent_ns: int = 0
    headers_ns: int = 0
    head_bytes: int = 0

    @property
    def body(self):
        return b"".join(self.chunks)


def send(port, path, headers, body, method="POST", timeout_s=3.0):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(data)}"]
    lines += [f"{k}: {v}" for k, v in {"content-type": "application/json", **headers}.items()]
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
    sock.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)
    return sock


def raw(port, path, headers, body, method="POST", timeout_s=3.0) -> Seen:
    sent_ns = time.monotonic_ns()
    with send(port, path, headers, body, method, timeout_s) as sock, sock.makefile("rb") as file:
        seen = read(file)
    seen.sent_ns = sent_ns
    return seen


def read(file) -> Seen:
    seen = Seen()
    try:
        line = file.readline()
        if not line:
            seen.ended = "closed"
            return seen
        seen.status = int(line.split()[1])
        seen.head_bytes = len(line)
        while (line := file.readline()) not in (b"\r\n", b""):
            seen.head_bytes += len(line)
            name, _, value = line.decode("latin-1").strip().partition(": ")
            seen.headers[name] = value
        seen.headers_ns = time.monotonic_ns()
        if "content-length" in seen.headers:
            size = int(seen.headers["content-length"])
            seen.chunks.append(file.read(size))
            seen.ended = "clean" if len(seen.chunks[0]) == size else "closed"
            return seen
        while True:
            line = file.readline()
            if not line:
                seen.ended = "closed"
                return seen
            size = int(line, 16)
            data = file.read(size)
            file.readline()
            if size == 0:
                return seen
            seen.chunks.append(data)
            seen.chunk_ns.append(time.monotonic_ns())
    except ConnectionResetError:
        seen.ended = "reset"
    except TimeoutError:
        seen.ended = "silent"
    return seen


def events(door, body: bytes) -> list[dict]:
    """The JSON events of a stream, read by other means than those that wrote it."""
    if door == "bedrock":
        from base64 import b64decode

        from botocore.eventstream import EventStreamBuffer

        buffer = EventStreamBuffer()
        buffer.add_data(body)
        found = []
        for message in buffer:
            payload = json.loads(message.payload)
            inner = json.loads(b64decode(payload["bytes"])) if "bytes" in payload else payload
            found.append({**inner, ":headers": dict(message.headers)})
        return found
    lines = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) if line != "[DONE]" else {"type": "[DONE]"} for line in lines]


def text_of(door, found: list[dict]) -> str:
    if door in CHAT:
        return "".join(c["delta"].get("content") or "" for e in found for c in e.get("choices", []))
    return "".join(e["delta"].get("text", "") for e in found if e.get("type") == "content_block_delta")


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    config = {"seed": 7, "targets": [target(door) for door in MODELS], "answers": write_answers(folder)}
    with launch(config) as running:
        yield running


def claude_client(door, port):
    base, said = f"http://127.0.0.1:{port}", default_credentials(door)
    if door == "anthropic":
        return anthropic.AsyncAnthropic(api_key=said["api_key"], base_url=base, max_retries=0)
    if door == "bedrock":
        return anthropic.AsyncAnthropicBedrock(
            aws_access_key=said["access_key"],
            aws_secret_key=said["secret_key"],
            aws_region=said["region"],
            base_url=base,
            max_retries=0,
        )
    if door == "vertex":
        return anthropic.AsyncAnthropicVertex(
            region="us-east5", project_id="p1", access_token=said["token"], base_url=f"{base}/v1", max_retries=0
        )
    return anthropic.AsyncAnthropicFoundry(api_key=said["api_key"], base_url=f"{base}/anthropic/", max_retries=0)


def chat_client(door, port, key=None):
    key = key or default_credentials(door)["api_key"]
    return openai.AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)


def message_fields(door, **fields):
    extra = {"extra_body": {"anthropic_version": "bedrock-2023-05-31"}} if door == "bedrock" else {}
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": MODELS[door], "max_tokens": 512, "messages": messages, **extra, **fields}


# ceil(len(QUESTION) / 4): the question has 48 characters
QUESTION_TOKENS = 12


@pytest.mark.parametrize("door", CLAUDE)
def test_the_sdk_reads_a_streamed_message_as_planned(clouds, door):
    async def go():
        client = claude_client(door, clouds.ports[door])
        async with client, client.messages.stream(**message_fields(door)) as stream:
            return await stream.get_final_message()

    message = asyncio.run(go())
    assert message.content[0].text == RIGHT
    assert message.stop_reason == "end_turn"
    assert message.model == SERVED[door]
    assert message.usage.input_tokens == QUESTION_TOKENS
    assert message.usage.output_tokens > 15
    assert message.usage.service_tier == "standard"
    prefix = {"bedrock": "msg_bdrk_", "vertex": "msg_vrtx_"}.get(door, "msg_01")
    assert message.id.startswith(prefix)


@pytest.mark.parametrize("door", CLAUDE)
def test_the_sdk_reads_a_whole_message_as_planned(clouds, door):
    async def go():
        async with claude_client(door, clouds.ports[door]) as client:
            response = await client.messages.with_raw_response.create(**message_fields(door))
            return response, await response.parse()

    response, message = asyncio.run(go())
    assert (message.content[0].text, message.stop_reason) == (RIGHT, "end_turn")
    assert message.usage.input_tokens == QUESTION_TOKENS
    assert response.headers[ID_HEADER[door]]
    if door == "bedrock":
        assert response.headers["x-amzn-bedrock-output-token-count"] == str(message.usage.output_tokens)


@pytest.mark.parametrize("door", CLAUDE)
def test_max_tokens_cuts_the_message_and_says_so(clouds, door):
    async def go():
        client = claude_client(door, clouds.ports[door])
        async with client, client.messages.stream(**message_fields(door, max_tokens=3)) as stream:
            return await stream.get_final_message()

    message = asyncio.run(go())
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 3
    assert RIGHT.startswith(message.content[0].text)
    assert 3 < len(message.content[0].text) < 30


@pytest.mark.parametrize("door", CHAT)
def test_the_openai_sdk_reads_a_streamed_completion_as_planned(clouds, door):
    async def go():
        async with chat_client(door, clouds.ports[door]) as client:
            stream = await client.chat.completions.create(
                model=MODELS[door],
                messages=[{"role": "user", "content": QUESTION}],
                stream=True,
                stream_options={"include_usage": True},
            )
            return [chunk async for chunk in stream]

    chunks = asyncio.run(go())
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == RIGHT
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert chunks[-1].choices == []
    # role + one per token + finish + usage
    assert usage.completion_tokens == len(chunks) - 3
    assert (usage.prompt_tokens, usage.total_tokens) == (QUESTION_TOKENS, QUESTION_TOKENS + usage.completion_tokens)


@pytest.mark.parametrize("door", CHAT)
def test_the_openai_sdk_reads_a_whole_completion_and_its_limit(clouds, door):
    async def go():
        async with chat_client(door, clouds.ports[door]) as client:
            messages = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
            whole = await client.chat.completions.create(model=MODELS[door], messages=messages)
            cut = await client.chat.completions.create(model=MODELS[door], messages=messages, max_completion_tokens=2)
            return whole, cut

    whole, cut = asyncio.run(go())
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (RIGHT, "stop")
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)


@pytest.mark.parametrize("door", MODELS)
def test_the_last_user_message_and_all_its_text_parts_choose_the_answer(clouds, door):
    parts = [{"type": "text", "text": QUESTION[:10]}, {"type": "text", "text": QUESTION[10:]}]
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": parts},
    ]
    seen = raw(clouds.ports[door], *ask(door, messages=turns))
    assert text_of(door, events(door, seen.body)) == RIGHT


@pytest.mark.parametrize("door", MODELS)
def test_an_unknown_prompt_gets_filler_of_the_planned_length(clouds, door):
    found = events(door, raw(clouds.ports[door], *ask(door, "What else?")).body)
    counts = [e["usage"] for e in found if e.get("usage")]
    key = "completion_tokens" if door in CHAT else "output_tokens"
    assert counts[-1][key] == FAST["output_tokens"]
    assert text_of(door, found).startswith("This text stands in")


@pytest.mark.parametrize("door", CLAUDE)
def test_a_stop_sequence_ends_the_text_before_it(clouds, door):
    found = events(door, raw(clouds.ports[door], *ask(door, stop_sequences=["bollards"])).body)
    assert text_of(door, found) == "The door is grün, like the "
    deltas = [e for e in found if e["type"] == "message_delta"]
    assert deltas[0]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "bollards"}


def test_bedrock_streams_padded_chunks_with_metrics_on_the_last(clouds):
    seen = raw(clouds.ports["bedrock"], *ask("bedrock"))
    assert seen.headers["content-type"] == "application/vnd.amazon.eventstream"
    found = events("bedrock", seen.body)
    assert found[0]["type"] == "message_start"
    assert {e[":headers"][":event-type"] for e in found} == {"chunk"}
    metrics = found[-1]["amazon-bedrock-invocationMetrics"]
    delta = [e for e in found if e["type"] == "content_block_delta"]
    assert metrics["inputTokenCount"] == QUESTION_TOKENS
    assert metrics["outputTokenCount"] == len(delta)
    assert metrics["firstByteLatency"] <= metrics["invocationLatency"]


def test_chat_usage_comes_only_when_asked_for(clouds):
    found = events("openai", raw(clouds.ports["openai"], *ask("openai", stream_options={})).body)
    assert found[-1] == {"type": "[DONE]"}
    assert not any("usage" in e for e in found)


def test_percent_encoded_paths_are_the_same_paths(clouds):
    path, headers, body = ask("bedrock")
    assert raw(clouds.ports["bedrock"], path.replace(":", "%3A"), headers, body).status == 200
    path, headers, body = ask("vertex")
    assert raw(clouds.ports["vertex"], path.replace("@", "%40"), headers, body).status == 200


def test_one_connection_carries_many_requests(clouds):
    port = clouds.ports["anthropic"]
    path, headers, body = ask("anthropic")
    data = json.dumps(body).encode()
    head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    request = f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data
    with socket.create_connection(("127.0.0.1", port), timeout=3) as sock, sock.makefile("rb") as file:
        sock.sendall(request + request)  # the second before the first is answered
        first, second = read(file), read(file)
    assert text_of("anthropic", events("anthropic", first.body)) == RIGHT
    assert text_of("anthropic", events("anthropic", second.body)) == RIGHT
    assert first.headers["request-id"] != second.headers["request-id"]


def test_boto3_signs_and_reads_both_operations(clouds):
    import boto3
    from botocore.config import Config

    said = default_credentials("bedrock")
    client = boto3.client(
        "bedrock-runtime",
        region_name=said["region"],
        endpoint_url=f"http://127.0.0.1:{clouds.ports['bedrock']}",
        aws_access_key_id=said["access_key"],
        aws_secret_access_key=said["secret_key"],
        config=Config(signature_version="v4", retries={"mode": "standard", "total_max_attempts": 1}),
    )
    body = json.dumps(ask("bedrock")[2])
    whole = client.invoke_model(modelId=MODELS["bedrock"], body=body, contentType="application/json")
    assert json.loads(whole["body"].read())["content"][0]["text"] == RIGHT
    stream = client.invoke_model_with_response_stream(
        modelId=MODELS["bedrock"], body=body, contentType="application/json"
    )
    found = [json.loads(item["chunk"]["bytes"]) for item in stream["body"]]
    client.close()
    assert text_of("bedrock", found) == RIGHT
    assert stream["ResponseMetadata"]["RequestId"].count("-") == 4


def converse_client(clouds):
    import boto3
    from botocore.config import Config

    said = default_credentials("bedrock")
    return boto3.client(
        "bedrock-runtime",
        region_name=said["region"],
        endpoint_url=f"http://127.0.0.1:{clouds.ports['bedrock']}",
        aws_access_key_id=said["access_key"],
        aws_secret_access_key=said["secret_key"],
        config=Config(signature_version="v4", retries={"mode": "standard", "total_max_attempts": 1}),
    )


def test_boto3_reads_converse_whole_and_streamed(clouds):
    client = converse_client(clouds)
    asked = {
        "modelId": MODELS["bedrock"],
        "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
        "inferenceConfig": {"maxTokens": 512, "temperature": 0.0},
    }
    whole = client.converse(**asked)
    assert whole["output"]["message"]["content"] == [{"text": RIGHT}]
    assert (whole["stopReason"], whole["usage"]["inputTokens"]) == ("end_turn", QUESTION_TOKENS)
    found = list(client.converse_stream(**asked)["stream"])
    assert [next(iter(e)) for e in found[:2]] == ["messageStart", "contentBlockDelta"]
    assert [next(iter(e)) for e in found[-3:]] == ["contentBlockStop", "messageStop", "metadata"]
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in found if "contentBlockDelta" in e]
    assert "".join(deltas) == RIGHT
    usage = found[-1]["metadata"]["usage"]
    assert (usage["outputTokens"], usage["totalTokens"]) == (len(deltas), len(deltas) + QUESTION_TOKENS)
    short = client.converse(**{**asked, "inferenceConfig": {"maxTokens": 2}})
    assert (short["stopReason"], short["usage"]["outputTokens"]) == ("max_tokens", 2)
    client.close()


def test_converse_has_the_faults_and_the_refusals_of_its_door(clouds):
    from botocore.exceptions import ClientError, EventStreamError

    client = converse_client(clouds)

    def stream(prompt, **more):
        messages = [{"role": "user", "content": [{"text": prompt}]}]
        with closing(client.converse_stream(modelId=MODELS["bedrock"], messages=messages, **more)["stream"]) as events:
            return list(events)  # one that breaks off would keep its socket

    with pytest.raises(EventStreamError) as failed:
        stream("Hello [[fault: error after=2 kind=throttled]]")
    assert failed.value.response["Error"]["Code"] == "throttlingException"
    assert "messageStop" not in {next(iter(e)) for e in stream("Hello [[fault: cut after=2]]")}
    assert "usage" not in stream("Hello [[fault: no-usage]]")[-1]["metadata"]
    with pytest.raises(ClientError, match="is blank") as refused:
        stream(" ")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as throttled:
        stream("Hello [[fault: status code=429]]")
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    client.close()


OTHER_MODELS = {
    "azure-openai": "my-gpt",
    "bedrock-mantle": "anthropic.claude-sonnet-5-5",
    "claude-aws": "claude-sonnet-5-5",
    "claude-gcp": "claude-sonnet-5-5",
}


@pytest.fixture(scope="module")
def other_clouds(tmp_path_factory):
    targets = [{"id": door, "door": door, "model_id": m, "profile": FAST} for door, m in OTHER_MODELS.items()]
    answers = write_answers(tmp_path_factory.mktemp("others"))
    with launch({"seed": 7, "targets": targets, "answers": answers}) as running:
        yield running


def other_client(door, port, *, good=True):
    base, said = f"http://127.0.0.1:{port}", default_credentials(door)
    secret = said.get("secret_key", "") if good else "wrong"
    aws = {"aws_access_key": said.get("access_key"), "aws_secret_key": secret, "aws_region": said.get("region")}
    if door == "bedrock-mantle":
        return anthropic.AsyncAnthropicBedrockMantle(**aws, base_url=f"{base}/anthropic", max_retries=0)
    if door == "claude-aws":
        return anthropic.AsyncAnthropicAWS(**aws, workspace_id="wrkspc_1", base_url=base, max_retries=0)
    place = "/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke"
    return anthropic.AsyncAnthropicGoogleCloud(
        project="p1",
        workspace_id="wrkspc_1",
        token_provider=lambda: said["token"] if good else "wrong",
        base_url=base + place,
        max_retries=0,
    )


@pytest.mark.parametrize("door", ["bedrock-mantle", "claude-aws", "claude-gcp"])
def test_the_sdk_passes_the_gates_of_the_managed_doors(other_clouds, door):
    port = other_clouds.ports[door]
    fields = {
        "model": OTHER_MODELS[door],
        "max_tokens": 512,
        "messages": [{"role": "user", "content": QUESTION}],
    }

    async def good():
        client = other_client(door, port)
        async with client, client.messages.stream(**fields) as stream:
            return await stream.get_final_message()

    async def bad():
        async with other_client(door, port, good=False) as client:
            await client.messages.create(**fields)

    message = asyncio.run(good())
    assert (message.content[0].text, message.model) == (RIGHT, "claude-sonnet-5-5")
    with pytest.raises((anthropic.PermissionDeniedError, anthropic.AuthenticationError)):
        asyncio.run(bad())


def test_the_openai_sdk_reads_both_paths_of_azure(other_clouds):
    base = f"http://127.0.0.1:{other_clouds.ports['azure-openai']}"
    key = default_credentials("azure-openai")["api_key"]

    async def go(client):
        async with client:
            stream = await client.chat.completions.create(
                model="my-gpt", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
            return [chunk async for chunk in stream]

    for client in (
        openai.AsyncOpenAI(api_key=key, base_url=f"{base}/openai/v1/", max_retries=0),
        openai.AsyncAzureOpenAI(azure_endpoint=base, api_version="2025-04-01-preview", api_key=key, max_retries=0),
    ):
        chunks = asyncio.run(go(client))
        assert chunks[0].choices == []  # the filter results come first, without a choice
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == RIGHT
    with pytest.raises(openai.AuthenticationError):
        asyncio.run(go(openai.AsyncOpenAI(api_key="wrong", base_url=f"{base}/openai/v1/", max_retries=0)))
    with pytest.raises(openai.NotFoundError):
        asyncio.run(go(openai.AsyncOpenAI(api_key=key, base_url=f"{base}/v1/", max_retries=0)))
