"""Gemini on Vertex AI: `:generateContent` and `:streamGenerateContent?alt=sse` of one of Google's models.

Shapes follow Google's public API reference of `v1` and its proto files. Like the real one, it takes field names in camel
and in snake case, and refuses names that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from bench.simulate.base import Arguments, Ask, Headers, Json, Received, Refused, Render, Script, TargetConfig, Thought
from bench.simulate.doors.reading import Unreadable, base59, bearer, json_chars, json_object, tokens_of, whole_number
from bench.simulate.doors.vertex import GOOGLE, google_error

_PATH = re.compile(
    r"/v1(?:beta1)?/projects/([^/]+)/locations/([^/]+)/publishers/google/models/([^/:]+)"
    r":(generateContent|streamGenerateContent)"
)
STOPS = {"stop": "STOP", "length": "MAX_TOKENS", "stop_sequence": "STOP", "tool": "STOP"}
TRAFFIC: Mapping[str, str] = {
    "priority": "ON_DEMAND_PRIORITY",
    "flex": "ON_DEMAND_FLEX",
    "dedicated": "PROVISIONED_THROUGHPUT",
}
# fmt: off
FIELDS: Mapping[str, frozenset[str]] = {
    "": frozenset((
        "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels",
        "cachedContent", "modelArmorConfig",
    )),
    "generationConfig": frozenset((
        "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "responseMimeType",
        "responseSchema", "responseJsonSchema", "thinkingConfig", "presencePenalty", "frequencyPenalty",
        "responseLogprobs", "logprobs", "responseModalities", "mediaResolution", "audioTimestamp", "routingConfig",
        "speechConfig", "imageConfig",
    )),
    "thinkingConfig": frozenset(("includeThoughts", "thinkingBudget", "thinkingLevel")),
    "contents": frozenset(("role", "parts")),
    "parts": frozenset((
        "text", "inlineData", "fileData", "functionCall", "functionResponse", "thought", "thoughtSignature",
    )),
    "tools": frozenset(("functionDeclarations",)),
    "functionDeclarations": frozenset((
        "name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema",
    )),
    "functionCallingConfig": frozenset(("mode", "allowedFunctionNames")),
}
# fmt: on
KINDS_OF_PART = ("text", "inlineData", "fileData", "functionCall", "functionResponse")


def fields_of(value: Any, where: str) -> Json:
    """An object with its names in camel case. Raises Unreadable for a name that the message does not have."""
    if not isinstance(value, dict):
        raise Unreadable(f"Invalid value at '{where or 'request'}': expected an object")
    plain = {re.sub(r"_(\w)", lambda hit: hit[1].upper(), name): inner for name, inner in value.items()}
    for name in plain:
        if name not in FIELDS[where]:
            raise Unreadable(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where or 'request'}': Cannot find field."
            )
    return plain


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise Unreadable(f"* GenerateContentRequest.{where}: {where} is not specified")
    return value


class _Prompt:
    """Walks the request, counting characters."""

    def __init__(self) -> None:
        self.chars = 0
        self.last_user = ""

    def content(self, value: Any, system: bool = False) -> None:
        content = fields_of(value, "contents")
        role = content.get("role", "user")
        if role not in ("user", "model"):
            raise Unreadable("Please use a valid role: user, model.")
        texts = [self._part(part, role) for part in _listed(content.get("parts"), "contents.parts")]
        if role == "user" and not system:
            self.last_user = "".join(texts)

    def _part(self, value: Any, role: str) -> str:
        part = fields_of(value, "parts")
        given = [kind for kind in KINDS_OF_PART if kind in part]
        if len(given) != 1:
            raise Unreadable("Unable to submit request because it must have one data field in a part.")
        kind = given[0]
        if kind == "text":
            text = part["text"]
            if not isinstance(text, str) or not text:
                raise Unreadable("Unable to submit request because it must have a text parameter.")
            self.chars += len(text)
            return text
        inner = part[kind]
        if not isinstance(inner, dict):
            raise Unreadable(f"Invalid value at '{kind}': expected an object")
        if kind == "functionCall" and role != "model":
            raise Unreadable("Please ensure that function call turns come from the model.")
        if kind.startswith("function") and not isinstance(inner.get("name"), str):
            raise Unreadable(f"* GenerateContentRequest.contents.parts.{kind}.name: Name cannot be empty.")
        if kind == "functionResponse" and not isinstance(inner.get("response"), dict):
            raise Unreadable("Invalid value at 'function_response.response': expected an object")
        self.chars += json_chars(inner)
        return ""


def read_tools(body: Json) -> tuple[tuple[tuple[str, Json], ...], str]:
    """(name, JSON schema of the arguments) of every function, and the choice: auto, none, any, or a name."""
    tools: list[tuple[str, Json]] = []
    for tool in body.get("tools") or ():
        for one in _listed(fields_of(tool, "tools").get("functionDeclarations"), "tools"):
            declared = fields_of(one, "functionDeclarations")
            if not isinstance(declared.get("name"), str):
                raise Unreadable("* GenerateContentRequest.tools.function_declarations.name: Name cannot be empty.")
            schema = declared.get("parametersJsonSchema") or lowered(declared.get("parameters") or {})
            tools.append((declared["name"], schema))
    chosen = body.get("toolConfig") or {}
    if not isinstance(chosen, dict):
        raise Unreadable("Invalid value at 'tool_config': expected an object")
    how = chosen.get("functionCallingConfig", chosen.get("function_calling_config")) or {}
    config = fields_of(how, "functionCallingConfig")
    mode, allowed = config.get("mode", "AUTO"), config.get("allowedFunctionNames") or []
    if mode not in ("AUTO", "NONE", "ANY", "MODE_UNSPECIFIED"):
        raise Unreadable(f"Invalid value at 'tool_config.function_calling_config.mode': \"{mode}\"")
    names = [name for name, _ in tools]
    if mode == "ANY" and not tools:
        raise Unreadable("Function calling config is set without function_declarations.")
    if any(name not in names for name in allowed):
        raise Unreadable("Allowed function names must be among the function_declarations.")
    if allowed and mode != "ANY":
        raise Unreadable("Allowed function names may only be set when the mode is ANY.")
    if mode == "ANY":
        return tuple(tools), str(allowed[0]) if len(allowed) == 1 else "any"
    return tuple(tools), "none" if mode == "NONE" else "auto"


def lowered(schema: Any) -> Any:
    """Google's own form of a schema, with its types in capitals, as JSON schema."""
    if isinstance(schema, list):
        return [lowered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else lowered(value)
        for key, value in schema.items()
    }


def read_generate(body: Json, stream: bool, traffic: str) -> Ask:
    """Checks the body as the API does. Raises Unreadable."""
    body = fields_of(body, "")
    prompt = _Prompt()
    if "systemInstruction" in body:
        prompt.content(body["systemInstruction"], system=True)
    for content in _listed(body.get("contents"), "contents"):
        prompt.content(content)
    config = fields_of(body.get("generationConfig") or {}, "generationConfig")
    _check_numbers(config)
    thinking = fields_of(config.get("thinkingConfig") or {}, "thinkingConfig")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise Unreadable("You can only set only one of thinking budget and thinking level.")
    schema = config.get("responseJsonSchema") or lowered(config.get("responseSchema"))
    if schema and config.get("responseMimeType") != "application/json":
        raise Unreadable("response_schema is only supported with the mime type application/json")
    stops = config.get("stopSequences") or []
    if not isinstance(stops, list) or len(stops) > 5 or not all(isinstance(stop, str) and stop for stop in stops):
        raise Unreadable("Invalid value at 'generation_config.stop_sequences': at most 5 strings")
    tools, choice = read_tools(body)
    if tools:
        prompt.chars += json_chars(body["tools"])
    input_tokens = tokens_of(prompt.chars)
    off = thinking.get("thinkingBudget") == 0 or not thinking
    return Ask(
        prompt=prompt.last_user,
        stream=stream,
        input_tokens=input_tokens,
        max_tokens=config.get("maxOutputTokens"),
        cacheable_tokens=input_tokens,
        stop=tuple(stops),
        wire=traffic,
        tools=tools,
        tool_choice=choice,
        schema=schema,
        thinks=not off and bool(thinking.get("includeThoughts")),
        hides=not off and not thinking.get("includeThoughts"),
        whole_calls=True,
    )


def _check_numbers(config: Json) -> None:
    for name, low, high in (("temperature", 0, 2), ("topP", 0, 1), ("topK", 1, 1000)):
        value = config.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high
        ):
            raise Unreadable(
                f"Unable to submit request because it has a {name} value of {value}, which is out of range."
            )
    if "maxOutputTokens" in config and not whole_number(config["maxOutputTokens"], 1):
        raise Unreadable("Unable to submit request because it has a maxOutputTokens value that is out of range.")
    if config.get("candidateCount") not in (None, 1):
        raise Unreadable("This look-alike gives one candidate only.")
    if "seed" in config and not whole_number(config["seed"], -(2**31)):
        raise Unreadable("Invalid value at 'generation_config.seed' (TYPE_INT32)")


class GeminiDoor:
    """An OAuth token as bearer. Errors come in Google's envelope; replies have no id but the one in their body."""

    name = "gemini-vertex"

    def request_id(self, bits: int) -> str:
        return base59(bits, 22)

    def message_id(self, bits: int) -> str:
        return base59(bits, 22)

    def served_model(self, model_id: str) -> str:
        return model_id

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])
        found = _PATH.fullmatch(received.path)
        if not found or received.method != "POST":
            raise Refused(404, "NOT_FOUND", f"The requested URL {received.path} was not found on this server.")
        project, location, model, verb = found.groups()
        if project != target.credentials.get("project", project):
            text = f"Permission 'aiplatform.endpoints.predict' denied on project '{project}' (or it may not exist)."
            raise Refused(403, "PERMISSION_DENIED", text)
        if model != target.model_id or location != target.credentials.get("location", location):
            place = f"projects/{project}/locations/{location}/publishers/google/models/{model}"
            text = f"Publisher Model `{place}` was not found or your project does not have access to it."
            raise Refused(404, "NOT_FOUND", text)
        stream = verb == "streamGenerateContent"
        if stream and received.query != "alt=sse":
            raise Refused(400, "INVALID_ARGUMENT", "This look-alike streams with ?alt=sse only.")
        try:
            return read_generate(json_object(received), stream, traffic_of(received.headers))
        except Unreadable as error:
            raise Refused(400, "INVALID_ARGUMENT", str(error)) from None

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        return google_error(status, code, message)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        state, message = GOOGLE.get(status, ("INVALID_ARGUMENT" if status < 500 else "INTERNAL", "Request failed."))
        return status, state, message

    def id_headers(self, request_id: str) -> Headers:
        return []

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        return []

    def headers(self, ask: Ask, script: Script) -> Headers:
        kind = "text/event-stream" if ask.stream else "application/json; charset=UTF-8"
        return [("content-type", kind), ("vary", "Origin"), ("server", "scaffolding on HTTPServer2")]

    # -- the objects of a reply

    def usage(self, ask: Ask, script: Script) -> Json:
        """The prompt holds what was cached, the candidates do not hold the thoughts, and zeros are left out."""
        prompt = script.input_tokens + script.cache_read_tokens
        counts = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": script.output_tokens - script.reasoning_tokens,
            "thoughtsTokenCount": script.reasoning_tokens,
            "cachedContentTokenCount": script.cache_read_tokens,
            "totalTokenCount": prompt + script.output_tokens,
        }
        return {**{name: count for name, count in counts.items() if count}, "trafficType": ask.wire}

    def response(self, ask: Ask, script: Script, parts: list[Json], finish: str | None = None) -> Json:
        candidate: Json = {"content": {"role": "model", "parts": parts}}
        if finish:
            candidate["finishReason"] = finish
        whole = finish and script.usage != "none"
        return {
            "candidates": [candidate],
            "usageMetadata": self.usage(ask, script) if whole else {"trafficType": ask.wire},
            "modelVersion": script.served_model,
            "createTime": datetime.fromtimestamp(script.created_s, UTC).isoformat().replace("+00:00", "Z"),
            "responseId": script.request_id,
        }

    def parts(self, script: Script) -> Callable[[str], Json]:
        """Makes the part of one event after the other."""

        def part(text: str) -> Json:
            if isinstance(text, Thought):
                return {"text": text, "thought": True}
            if isinstance(text, Arguments):
                called, _ = script.tool_calls[text.call]
                try:
                    return {"functionCall": {"name": called, "args": orjson.loads(str(text))}}
                except orjson.JSONDecodeError:  # the limit of tokens cut it off
                    return {"text": ""}
            return {"text": text}

        return part

    def responses(self, ask: Ask, script: Script) -> Callable[[str], Json]:
        part = self.parts(script)
        return lambda text: self.response(ask, script, [part(text)])

    def last(self, ask: Ask, script: Script) -> list[Json]:
        end = self.response(ask, script, [{"text": ""}], STOPS[script.stop])
        return [end, end] if script.usage == "twice" else [end]

    def whole_response(self, ask: Ask, script: Script) -> Json:
        part = self.parts(script)
        parts: list[Json] = []
        for made in [part(text) for text in script.events]:
            joined = parts and "text" in made and "text" in parts[-1] and made.keys() == parts[-1].keys()
            if joined:
                parts[-1] = {**made, "text": parts[-1]["text"] + made["text"]}
            else:
                parts.append(made)
        return self.response(ask, script, parts or [{"text": ""}], STOPS[script.stop])

    # -- as bytes

    def whole(self, ask: Ask, script: Script) -> bytes:
        return orjson.dumps(self.whole_response(ask, script))

    def opening(self, ask: Ask, script: Script) -> bytes:
        """Nothing comes before the first content."""
        return b""

    def content(self, ask: Ask, script: Script) -> Render:
        made = self.responses(ask, script)
        return lambda text: sse(made(text))

    def closing(self, ask: Ask, script: Script) -> bytes:
        return b"".join(sse(response) for response in self.last(ask, script))

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        status = {"overloaded": 503, "throttled": 429, "server": 500}[kind]
        return b"data: %s\r\n\r\n" % google_error(*self.fault_refusal(status))[1]


def sse(response: Json) -> bytes:
    return b"data: %s\r\n\r\n" % orjson.dumps(response)


def traffic_of(headers: Mapping[str, str]) -> str:
    """The pool that serves a request, by the headers that ask for one."""
    shared = headers.get("x-vertex-ai-llm-shared-request-type", "")
    return TRAFFIC.get(shared) or TRAFFIC.get(headers.get("x-vertex-ai-llm-request-type", ""), "ON_DEMAND")
