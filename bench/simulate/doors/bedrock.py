"""Claude on Bedrock's runtime: InvokeModel and Converse, streamed as AWS event streams, with AWS signatures."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Json, Received, Refused, Render, Script, TargetConfig
from bench.simulate.doors import converse
from bench.simulate.doors.converse_reading import read_converse
from bench.simulate.doors.eventstream import event_headers, exception_headers, frame, padding
from bench.simulate.doors.messages import NEW_VERSION, TEXT_DELTA, MessagesDoor
from bench.simulate.doors.messages_blocks import blocks_of, told
from bench.simulate.doors.messages_rules import beta_problem, read_messages
from bench.simulate.doors.reading import Unreadable, bearer, json_object, uuid_of
from bench.simulate.sigv4 import check_signature

BODY_VERSION = "bedrock-2023-05-31"
_ARN_VERSIONED = re.compile(r"-v\d+(:\d+)?$")
_PATH = re.compile(r"/model/(.+)/(invoke|invoke-with-response-stream|converse|converse-stream)")

_PROFILE = re.compile(r"(us-gov|us|eu|apac|au|jp|global)\.(?=anthropic\.)")
_NEEDS_PROFILE = re.compile(r"anthropic\.claude-(opus|sonnet|haiku|fable|mythos)-\d")
"""Claude 4 and later are offered through inference profiles only."""
NO_ON_DEMAND = (
    "Invocation of model ID {model} with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of "
    "an inference profile that contains this model."
)


def _without_profile(model_id: str) -> str | None:
    found = _PROFILE.match(model_id)
    return model_id[found.end() :] if found else None


_CHUNK = event_headers("chunk")


def chunk(event: bytes) -> bytes:
    """A frame that carries one Anthropic event, with padding beside it."""
    return frame(_CHUNK, b'{"bytes":"%s","p":"%s"}' % (b64encode(event), padding(event)))


def aws_error(code: str, message: str) -> tuple[Headers, bytes]:
    kind = f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return [("content-type", "application/json"), ("x-amzn-errortype", kind)], orjson.dumps({"message": message})


class BedrockDoor(MessagesDoor):
    """`POST /model/{id}/invoke[-with-response-stream]` and `/converse[-stream]`, signed for service `bedrock` or with a
    bearer key.
    """

    name = "bedrock"
    prefix = "msg_bdrk_"
    service = "bedrock"
    faults: Mapping[int, tuple[str, str]] = {
        400: ("ValidationException", "The provided request is not valid."),
        401: ("UnrecognizedClientException", "The security token included in the request is invalid."),
        403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        404: ("ResourceNotFoundException", "The model or inference profile could not be found."),
        408: ("ModelTimeoutException", "The model took too long to answer."),
        424: ("ModelErrorException", "The model could not process the request."),
        429: ("ThrottlingException", "Too many requests, please wait before trying again."),
        500: (
            "InternalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
    }

    def request_id(self, bits: int) -> str:
        return uuid_of(bits)

    def served_model(self, model_id: str) -> str:
        bare = model_id.rpartition("/")[2]
        return _ARN_VERSIONED.sub("", bare.rpartition("anthropic.")[2])

    def id_headers(self, request_id: str) -> Headers:
        return [("x-amzn-requestid", request_id)]

    def authorize(self, received: Received, target: TargetConfig) -> None:
        token = bearer(received)
        if token is not None:
            if token != target.credentials.get("token"):
                raise Refused(403, "AccessDeniedException", "Authentication failed: the API key is not valid.")
            return
        check_signature(received, target.credentials, self.service)

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        self.authorize(received, target)
        found = _PATH.fullmatch(received.path)
        if not found or received.method != "POST":
            raise Refused(404, "UnknownOperationException", "The requested operation is not recognized.")
        model, operation = found.groups()
        if model == _without_profile(target.model_id) or _NEEDS_PROFILE.match(model):
            raise Refused(400, "ValidationException", NO_ON_DEMAND.format(model=model))
        if model != target.model_id:
            raise Refused(400, "ValidationException", "The provided model identifier is invalid.")
        if received.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(415, "ValidationException", "The provided Content-Type is invalid for this model")
        try:
            body = json_object(received)
            if operation in converse.OPERATIONS:
                return read_converse(body, model, operation)
            return self._read_invoke(body, model, operation)
        except Unreadable as error:
            text = f"Malformed input request: {error}, please reformat your input and try again."
            raise Refused(400, "ValidationException", text) from None

    def _read_invoke(self, body: Json, model: str, operation: str) -> Ask:
        for field in ("model", "stream"):
            if field in body:
                raise Unreadable(f"#: extraneous key [{field}] is not permitted")
        version = body.pop("anthropic_version", None)
        if version is None:
            raise Unreadable("anthropic_version: Field required")
        if version not in (BODY_VERSION, NEW_VERSION) or (version == NEW_VERSION and _ARN_VERSIONED.search(model)):
            raise Unreadable("Invalid API version")
        betas = body.pop("anthropic_beta", [])
        if not isinstance(betas, list):
            raise Unreadable("anthropic_beta: Input should be a valid list")
        if beta_problem(betas):
            raise Refused(400, "ValidationException", "invalid beta flag")
        body["stream"] = operation == "invoke-with-response-stream"
        return read_messages(body, version, model, operation)

    def headers(self, ask: Ask, script: Script) -> Headers:
        if ask.stream:
            return [
                ("content-type", "application/vnd.amazon.eventstream"),
                ("x-amzn-bedrock-content-type", "application/json"),
            ]
        headers: Headers = [("content-type", "application/json")]
        if script.usage != "none" and ask.wire == "invoke":
            start = "x-amzn-bedrock"
            headers += [
                (f"{start}-input-token-count", str(script.input_tokens)),
                (f"{start}-output-token-count", str(script.output_tokens)),
                (f"{start}-cache-read-input-token-count", str(script.cache_read_tokens)),
                (f"{start}-cache-write-input-token-count", str(script.cache_write_tokens)),
                (f"{start}-invocation-latency", str(script.end_ns // 1_000_000)),
            ]
        return headers

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        return aws_error(code, message)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        return (status, *self.faults.get(status, self.faults[503] if status > 500 else self.faults[400]))

    def wrap(self, event: Json) -> bytes:
        return chunk(orjson.dumps(event))

    def whole(self, ask: Ask, script: Script) -> bytes:
        return converse.whole(ask, script) if ask.wire in converse.OPERATIONS else super().whole(ask, script)

    def opening(self, ask: Ask, script: Script) -> bytes:
        if ask.wire in converse.OPERATIONS:
            return converse.opening()
        return b"".join(self.wrap(event) for event in self.opening_events(ask, script))

    def content(self, ask: Ask, script: Script) -> Render:
        if ask.wire in converse.OPERATIONS:
            return converse.content(script)
        blocks = blocks_of(script, self.prefix)
        if [block.kind for block in blocks] == ["text"]:
            return lambda text: chunk(b"%s%s}}" % (TEXT_DELTA, orjson.dumps(text)))
        return told(blocks, self.wrap)

    def closing(self, ask: Ask, script: Script) -> bytes:
        if ask.wire in converse.OPERATIONS:
            return converse.closing(ask, script)
        events = self.closing_events(script)
        if script.usage != "none":
            events[-1] = events[-1] | {
                "amazon-bedrock-invocationMetrics": {
                    "inputTokenCount": script.input_tokens,
                    "outputTokenCount": script.output_tokens,
                    "invocationLatency": script.end_ns // 1_000_000,
                    "firstByteLatency": (script.offsets_ns[0] if script.offsets_ns else script.end_ns) // 1_000_000,
                    "cacheReadInputTokenCount": script.cache_read_tokens,
                    "cacheWriteInputTokenCount": script.cache_write_tokens,
                }
            }
        return b"".join(self.wrap(event) for event in events)

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        names = {
            "overloaded": "serviceUnavailableException",
            "throttled": "throttlingException",
            "server": "internalServerException",
        }
        statuses = {"overloaded": 503, "throttled": 429, "server": 500}
        return frame(exception_headers(names[kind]), orjson.dumps({"message": self.faults[statuses[kind]][1]}))
