"""What a Converse body must look like, after the Bedrock API reference and the refusals that its users report."""

from __future__ import annotations

import binascii
import re
import sys
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from bench.simulate.base import Ask, Json
from bench.simulate.doors.messages import NO_SAMPLING
from bench.simulate.doors.reading import Unreadable, json_chars, tokens_of, whole_number

# fmt: off
FIELDS = frozenset((
    "messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "serviceTier",
    "performanceConfig", "outputConfig", "requestMetadata", "guardrailConfig", "promptVariables",
    "additionalModelResponseFieldPaths",
))
BLOCKS = frozenset((
    "text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint",
    "reasoningContent", "citationsContent", "searchResult",
))
# fmt: on
SETTINGS = frozenset(("maxTokens", "temperature", "topP", "stopSequences"))
TIERS = ("priority", "default", "flex", "reserved")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
IMAGES = ("png", "jpeg", "gif", "webp")
LEAST_THINKING_TOKENS = 1024
MOST_CACHE_POINTS = 4
ONE_OF_TWO = re.compile(r"-4-[15](\D|$)")
"""Models of the 4.1 and 4.5 lines take temperature or topP, not both."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read_converse(body: Json, model: str, operation: str) -> Ask:
    """Checks the body as Converse does. Raises Unreadable."""
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"#: extraneous key [{field}] is not permitted")
    settings = _settings(body, model)
    tools, choice = _tools(body.get("toolConfig"))
    thinks = _thinks(body, model, settings, choice)
    prompt = _Prompt()
    prompt.tools(body)
    if body.get("system"):
        prompt.blocks(body["system"], "system")
    _messages(body.get("messages"), prompt)
    if prompt.uses_tools and not tools:
        raise Unreadable("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    return Ask(
        prompt=prompt.last_user,
        stream=operation == "converse-stream",
        input_tokens=tokens_of(prompt.chars),
        max_tokens=settings.get("maxTokens"),
        cacheable_tokens=tokens_of(prompt.marked_chars),
        cache_ttl=prompt.ttl,
        stop=tuple(settings.get("stopSequences") or ()),
        wire=operation,
        tools=tools,
        tool_choice=choice,
        schema=_schema(body),
        thinks=thinks,
        echo=_echo(body),
    )


def _mapping(value: Any, path: str) -> Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{path}: want an object")
    return value


def _settings(body: Json, model: str) -> Json:
    settings = _mapping(body.get("inferenceConfig"), "inferenceConfig")
    if not set(settings) <= SETTINGS:
        raise Unreadable("inferenceConfig: want maxTokens, temperature, topP, stopSequences")
    if "maxTokens" in settings and not whole_number(settings["maxTokens"], 1):
        raise Unreadable("inferenceConfig.maxTokens: must be at least 1")
    sampling = {"temperature", "topP"} & set(settings)
    if NO_SAMPLING.search(model) and sampling:
        raise Unreadable("inferenceConfig: This model does not support temperature and topP")
    if ONE_OF_TWO.search(model) and len(sampling) == 2:
        raise Unreadable("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    for key in sampling:
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise Unreadable(f"inferenceConfig.{key}: must be a number from 0 to 1")
    stops = settings.get("stopSequences") or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop.strip() for stop in stops):
        raise Unreadable("inferenceConfig.stopSequences: each stop sequence must contain non-whitespace")
    return settings


def _tools(config: Any) -> tuple[tuple[tuple[str, Mapping[str, Any]], ...], str]:
    """The tools with their schemas, and the choice: auto, required or a name."""
    if config is None:
        return (), "auto"
    config = _mapping(config, "toolConfig")
    found: list[tuple[str, Mapping[str, Any]]] = []
    for n, tool in enumerate(config.get("tools") or ()):
        if not isinstance(tool, dict) or len(tool) != 1:
            raise Unreadable(f"toolConfig.tools.{n}: want one of toolSpec, systemTool, cachePoint")
        if "toolSpec" not in tool:
            continue
        spec = _mapping(tool["toolSpec"], f"toolConfig.tools.{n}.toolSpec")
        schema = _mapping(spec.get("inputSchema"), "inputSchema").get("json")
        if not isinstance(spec.get("name"), str) or not _NAME.fullmatch(spec["name"]):
            raise Unreadable(f"toolConfig.tools.{n}.toolSpec.name: must match [a-zA-Z0-9_-]+")
        if spec["name"] in [name for name, _ in found]:
            raise Unreadable(f"The tool name {spec['name']} is already defined at toolConfig.tools")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Unreadable(
                f"The value at toolConfig.tools.{n}.toolSpec.inputSchema.json.type must be one of the following: object."
            )
        found.append((spec["name"], schema))
    if not found:
        raise Unreadable("toolConfig.tools: must have at least one tool")
    choice = _mapping(config.get("toolChoice", {"auto": {}}), "toolConfig.toolChoice")
    if len(choice) != 1 or not set(choice) <= {"auto", "any", "tool"}:
        raise Unreadable("toolConfig.toolChoice: want one of auto, any, tool")
    if "tool" not in choice:
        return tuple(found), "auto" if "auto" in choice else "required"
    name = _mapping(choice["tool"], "toolConfig.toolChoice.tool").get("name")
    if name not in [each for each, _ in found]:
        raise Unreadable(f"The tool {name} of toolConfig.toolChoice is not defined in toolConfig.tools")
    return tuple(found), str(name)


def _thinks(body: Json, model: str, settings: Json, choice: str) -> bool:
    fields = _mapping(body.get("additionalModelRequestFields"), "additionalModelRequestFields")
    if "top_k" in fields and NO_SAMPLING.search(model):
        raise Unreadable("top_k: This parameter is not supported for this model")
    thinking = _mapping(fields.get("thinking"), "thinking")
    kind = thinking.get("type", "disabled")
    if kind not in ("enabled", "disabled", "adaptive"):
        raise Unreadable("thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'")
    if kind == "disabled":
        return False
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not whole_number(budget, LEAST_THINKING_TOKENS):
            raise Unreadable(f"thinking.enabled.budget_tokens: Input should be at least {LEAST_THINKING_TOKENS}")
        if budget >= settings.get("maxTokens", sys.maxsize):
            raise Unreadable("`max_tokens` must be greater than `thinking.budget_tokens`")
        if settings.get("temperature", 1) != 1 or "top_k" in fields:
            raise Unreadable("`temperature` may only be set to 1, and `top_k` must be unset, when thinking is enabled.")
    if choice != "auto":
        raise Unreadable("Thinking may not be enabled when tool_choice forces tool use.")
    return True


def _schema(body: Json) -> Mapping[str, Any] | None:
    output = _mapping(body.get("outputConfig"), "outputConfig")
    if not set(output) <= {"textFormat", "effort"}:
        raise Unreadable("outputConfig: want textFormat, effort")
    if "effort" in output and output["effort"] not in EFFORTS:
        raise Unreadable(f"outputConfig.effort: must be one of {', '.join(EFFORTS)}")
    if "textFormat" not in output:
        return None
    text = _mapping(output["textFormat"], "outputConfig.textFormat")
    given = _mapping(_mapping(text.get("structure"), "structure").get("jsonSchema"), "jsonSchema").get("schema")
    try:
        schema = orjson.loads(given) if isinstance(given, str) else None
    except orjson.JSONDecodeError:
        schema = None
    if text.get("type") != "json_schema" or not isinstance(schema, dict):
        raise Unreadable("outputConfig.textFormat.structure.jsonSchema.schema: must be a JSON schema, as a string")
    return schema


def _echo(body: Json) -> Json:
    """What the reply says back of the lane: the tier (`default` when none was asked for) and the latency."""
    tier = _mapping(body.get("serviceTier"), "serviceTier").get("type", "default")
    if tier not in TIERS:
        raise Unreadable(f"serviceTier.type: must be one of {', '.join(TIERS)}")
    said: Json = {"serviceTier": {"type": tier}}
    if "performanceConfig" in body:
        latency = _mapping(body["performanceConfig"], "performanceConfig").get("latency", "standard")
        if latency not in ("standard", "optimized"):
            raise Unreadable("performanceConfig.latency: must be one of standard, optimized")
        said["performanceConfig"] = {"latency": latency}
    return said


class _Prompt:
    """Walks the prompt in the order in which it is cached (tools, system, messages), counting characters."""

    def __init__(self) -> None:
        self.chars = self.marked_chars = self.points = 0
        self.last_user = ""
        self.ttl: Literal["5m", "1h"] = "5m"
        self.uses_tools = False

    def tools(self, body: Json) -> None:
        for n, tool in enumerate(_mapping(body.get("toolConfig"), "toolConfig").get("tools") or ()):
            if "cachePoint" in tool:
                self.mark(tool["cachePoint"], f"toolConfig.tools.{n}")
            else:
                self.chars += json_chars(tool)

    def mark(self, point: Any, path: str) -> None:
        if not isinstance(point, dict) or point.get("type") != "default" or point.get("ttl", "5m") not in ("5m", "1h"):
            raise Unreadable(f"{path}.cachePoint: want type default, and ttl 5m or 1h")
        self.points += 1
        if self.points > MOST_CACHE_POINTS:
            raise Unreadable(f"A maximum of {MOST_CACHE_POINTS} cache points may be provided. Found {self.points}.")
        self.marked_chars = self.chars
        self.ttl = "1h" if point.get("ttl") == "1h" else "5m"

    def blocks(self, blocks: Any, path: str) -> str:
        """Counts a list of blocks; returns its text parts, joined."""
        if not isinstance(blocks, list) or not all(isinstance(block, dict) and len(block) == 1 for block in blocks):
            raise Unreadable(f"{path}: want a list of blocks, each with one member")
        texts = []
        for n, block in enumerate(blocks):
            ((kind, inner),) = block.items()
            if kind not in BLOCKS:
                raise Unreadable(f"{path}.{n}: extraneous key [{kind}] is not permitted")
            if kind == "text":
                if not isinstance(inner, str) or not inner.strip():
                    raise Unreadable(f"The text field in the ContentBlock object at {path}.{n} is blank")
                texts.append(inner)
                self.chars += len(inner)
            elif kind == "cachePoint":
                self.mark(inner, f"{path}.{n}")
            else:
                if kind == "image":
                    _image(inner, f"{path}.{n}.image")
                self.uses_tools = self.uses_tools or kind in ("toolUse", "toolResult")
                self.chars += json_chars(block)
        return "".join(texts)


def _image(image: Any, path: str) -> None:
    image = _mapping(image, path)
    source = _mapping(image.get("source"), f"{path}.source")
    if image.get("format") not in IMAGES:
        raise Unreadable(f"{path}.format: must be one of {', '.join(IMAGES)}")
    try:
        data = b64decode(str(source.get("bytes", "")), validate=True)
    except binascii.Error:
        data = b""
    if not data and "s3Location" not in source:
        raise Unreadable(f"{path}.source: want bytes in base64, or an s3Location")


def _messages(messages: Any, prompt: _Prompt) -> None:
    if not isinstance(messages, list) or not messages:
        raise Unreadable("messages: A conversation must have at least one message")
    before: Json = {}
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise Unreadable(f"messages.{n}.role: must be user or assistant")
        if n == 0 and message["role"] != "user":
            raise Unreadable("A conversation must start with a user message")
        if message["role"] == before.get("role"):
            raise Unreadable("A conversation must alternate between user and assistant roles")
        if not message.get("content"):
            raise Unreadable(f"The content field in the Message object at messages.{n} is empty")
        text = prompt.blocks(message["content"], f"messages.{n}.content")
        if message["role"] == "user":
            prompt.last_user = text
            _answered(_ids(before.get("content", []), "toolUse"), _ids(message["content"], "toolResult"), n)
        before = message


def _ids(content: list[Json], kind: str) -> list[str]:
    return [_mapping(block[kind], kind).get("toolUseId", "") for block in content if kind in block]


def _answered(called: list[str], answered: list[str], n: int) -> None:
    """Every call of a tool is answered by the turn after it, and nothing else is."""
    missing = [call for call in called if call not in answered]
    if missing:
        raise Unreadable(
            f"Expected toolResult blocks at messages.{n}.content for the following Ids: {', '.join(missing)}"
        )
    if len(answered) > len(called):
        raise Unreadable(
            f"The number of toolResult blocks at messages.{n}.content exceeds the number of toolUse blocks of previous turn."
        )
