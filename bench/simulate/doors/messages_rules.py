"""What a body of Claude's Messages wire must look like, and what the models refuse: the 400s, in Anthropic's words.

Which model takes what is told by its name; of a name that tells nothing (a deployment's) everything is taken.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Literal

from bench.simulate.base import Ask, Json
from bench.simulate.doors.messages import FIELDS, NEW_VERSION, NO_SAMPLING, SAMPLING
from bench.simulate.doors.reading import Unreadable, json_chars, tokens_of, whole_number

BUDGET_MIN = 1024
CACHE_MARKS = 4
EFFORTS = ("low", "medium", "high", "xhigh", "max")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
GEOGRAPHIES = ("global", "us")
_NAME = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(\d+)(?:-(\d{1,2})(?!\d))?")
_ALWAYS_THINKS = {("opus", 5, 5), ("sonnet", 5, 5), ("fable", 5, 1)}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_BETA = re.compile(r"[a-z0-9-]+-\d{4}-\d{2}-\d{2}")


def beta_problem(betas: list[Any]) -> str | None:
    """What is said of names that no beta has: they all end in a date."""
    unknown = [str(beta) for beta in betas if not isinstance(beta, str) or not _BETA.fullmatch(beta)]
    if not unknown:
        return None
    names = ", ".join(f"`{name}`" for name in unknown)
    return f"Unexpected value(s) {names} for the `anthropic-beta` header. Please consult our documentation"


def read_messages(body: Json, version: str, model: str, wire: str = "", *, names_geo: bool = False) -> Ask:
    """Checks the body as the Messages API does. Raises Unreadable."""
    for field in ("max_tokens", "messages"):
        if field not in body:
            raise Unreadable(f"{field}: Field required")
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"{field}: Extra inputs are not permitted")
    if not whole_number(body["max_tokens"], 0):
        raise Unreadable("max_tokens: Input should be a valid integer of at least 0")
    stream = body.get("stream", False)
    if not isinstance(stream, bool):
        raise Unreadable("stream: Input should be a valid boolean")
    stops = body.get("stop_sequences") or []
    if not isinstance(stops, list) or not all(isinstance(s, str) and s.strip() for s in stops):
        raise Unreadable("stop_sequences: each stop sequence must contain non-whitespace")
    family = _family(model)
    _check_sampling(body, version, model, family)
    prompt = _Prompt()
    prompt.tools(body.get("tools"))
    prompt.system(body.get("system"))
    prompt.messages(body["messages"])
    if isinstance(body.get("cache_control"), dict):
        prompt.mark(body["cache_control"])
    if body["messages"][-1]["role"] == "assistant" and family and family[1:] >= (4, 6):
        text = "This model does not support assistant message prefill. The conversation must end with a user message."
        raise Unreadable(text)
    thinking = _thinking(body, family)
    choice, parallel = _tool_choice(body, prompt.named, family, thinks=bool(thinking))
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise Unreadable("service_tier: Input should be 'auto' or 'standard_only'")
    geo = _geo(body.get("inference_geo"), family) if names_geo else None
    return Ask(
        prompt=prompt.last_user,
        stream=stream,
        input_tokens=tokens_of(prompt.chars),
        max_tokens=body["max_tokens"],
        cacheable_tokens=tokens_of(prompt.marked_chars),
        cache_ttl=prompt.ttl,
        stop=tuple(stops),
        wire=wire,
        tools=tuple(prompt.named.items()),
        tool_choice="none" if choice == "auto" and prompt.answered else choice,
        parallel=parallel,
        schema=_output_schema(body.get("output_config"), family),
        thinks=thinking == "shown",
        hides=thinking == "omitted",
        echo={key: value for key, value in (("inference_geo", geo), ("speed", body.get("speed"))) if value},
    )


Family = tuple[str, int, int]


def _family(model: str) -> Family | None:
    """(line, major, minor) of a model, from its id in whatever form."""
    found = _NAME.search(model)
    return (found[1], int(found[2]), int(found[3] or 0)) if found else None


def _check_sampling(body: Json, version: str, model: str, family: Family | None) -> None:
    for field in SAMPLING:
        if field in body and (version == NEW_VERSION or NO_SAMPLING.search(model)):
            raise Unreadable(f"{field}: This parameter is not supported for this model and API version.")
    temperature = body.get("temperature")
    if temperature is not None and (
        isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 1
    ):
        raise Unreadable("temperature: Input should be a number from 0 to 1")
    both = temperature is not None and body.get("top_p") is not None
    if both and family and family[1:] >= (4, 1):
        raise Unreadable("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _thinking(body: Json, family: Family | None) -> Literal["", "shown", "omitted"]:
    thinking = body.get("thinking")
    if thinking is None:
        return ""
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise Unreadable("thinking.type: Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'")
    if kind == "disabled":
        if family in _ALWAYS_THINKS:
            raise Unreadable("thinking.type: `disabled` is not supported for this model.")
        return ""
    known = {"type", "display"} | ({"budget_tokens"} if kind == "enabled" else set())
    for field in thinking:
        if field not in known:
            raise Unreadable(f"thinking.{kind}.{field}: Extra inputs are not permitted")
    if kind == "adaptive" and family and family[1:] < (4, 6):
        raise Unreadable("adaptive thinking is not supported on this model")
    if kind == "enabled":
        if family and family[1:] >= (4, 7):
            text = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and'
            raise Unreadable(f'{text} "output_config.effort" to control thinking behavior.')
        budget = thinking.get("budget_tokens")
        if not whole_number(budget, BUDGET_MIN):
            raise Unreadable(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {BUDGET_MIN}")
        if budget >= body["max_tokens"]:
            raise Unreadable("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if thinking.get("display") not in (None, "summarized", "omitted"):
        raise Unreadable("thinking.display: Input should be 'summarized' or 'omitted'")
    if body.get("temperature") not in (None, 1, 1.0):
        raise Unreadable("`temperature` may only be set to 1 when thinking is enabled.")
    if body.get("top_k") is not None:
        raise Unreadable("`top_k` must be unset when thinking is enabled.")
    return "omitted" if thinking.get("display") == "omitted" else "shown"


def _tool_choice(body: Json, tools: dict[str, Json], family: Family | None, *, thinks: bool) -> tuple[str, bool]:
    """(auto, none, required or a name; whether several may be called at once)."""
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", True
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in ("auto", "any", "tool", "none"):
        raise Unreadable("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if not body.get("tools"):
        raise Unreadable("tool_choice: tool_choice may only be specified while providing tools.")
    if kind in ("any", "tool"):
        if thinks:
            raise Unreadable("Thinking may not be enabled when tool_choice forces tool use.")
        if family in _ALWAYS_THINKS:
            raise Unreadable(f"tool_choice.type: `{kind}` is not supported for this model, which always thinks.")
    name = choice.get("name")
    if kind == "tool" and name not in tools:
        raise Unreadable(f"tool_choice: Tool '{name}' not found in provided tools")
    called = str(name) if kind == "tool" else "required" if kind == "any" else str(kind)
    return called, not choice.get("disable_parallel_tool_use", False)


def _output_schema(config: Any, family: Family | None) -> Json | None:
    if config is None:
        return None
    if not isinstance(config, dict) or not set(config) <= {"effort", "format"}:
        raise Unreadable("output_config: Extra inputs are not permitted")
    effort = config.get("effort")
    if effort is not None:
        if family and family[1:] < (4, 6) and family != ("opus", 4, 5):
            raise Unreadable("This model does not support the effort parameter.")
        if effort not in (EFFORTS[:3] if family == ("opus", 4, 5) else EFFORTS):
            raise Unreadable(f"output_config.effort: Input should be {', '.join(EFFORTS)}")
    form = config.get("format")
    if form is None:
        return None
    schema = form.get("schema") if isinstance(form, dict) and form.get("type") == "json_schema" else None
    if not isinstance(schema, dict):
        raise Unreadable("output_config.format: Input should be {'type': 'json_schema', 'schema': ...}")
    _closed(schema)
    return schema


def _closed(schema: Any) -> None:
    """Every object of an output's schema says that it holds nothing else."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            text = "For 'object' type, 'additionalProperties' must be explicitly set to false"
            raise Unreadable(f"output_config.format.schema: {text}")
        for part in schema.values():
            _closed(part)
    elif isinstance(schema, list):
        for part in schema:
            _closed(part)


def _geo(asked: Any, family: Family | None) -> str | None:
    """What the reply names as the place of inference: models before 4.6 do not know it."""
    takes = family is None or family[1:] >= (4, 6)
    if asked is None:
        return None if family is None else "global" if takes else "not_available"
    if asked not in GEOGRAPHIES or not takes:
        raise Unreadable(
            "inference_geo: This parameter is not supported for this model" if not takes else "inference_geo"
        )
    return str(asked)


class _Prompt:
    """Walks the prompt in the order in which it is cached (tools, system, messages), counting characters."""

    def __init__(self) -> None:
        self.chars = self.marked_chars = self.marks = 0
        self.ttl: Literal["5m", "1h"] = "5m"
        self.last_user = ""
        self.answered = False
        """Whether the last turn brings results of tools, which the model then tells instead of calling again."""
        self.named: dict[str, Json] = {}

    def mark(self, control: Any) -> None:
        if not isinstance(control, dict) or control.get("type") != "ephemeral" or control.get("ttl") not in _TTLS:
            raise Unreadable("cache_control: Input should be {'type': 'ephemeral', 'ttl': '5m' or '1h'}")
        ttl: Literal["5m", "1h"] = "1h" if control.get("ttl") == "1h" else "5m"
        if self.marks and ttl == "1h" and self.ttl == "5m":
            raise Unreadable("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")
        self.marks += 1
        if self.marks > CACHE_MARKS:
            text = f"A maximum of {CACHE_MARKS} blocks with cache_control may be provided. Found {self.marks}."
            raise Unreadable(text)
        self.marked_chars = self.chars
        self.ttl = ttl

    def tools(self, tools: Any) -> None:
        if tools is None:
            return
        if not isinstance(tools, list) or not all(
            isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in tools
        ):
            raise Unreadable("tools: Input should be a valid list of tools, each with a name")
        for n, tool in enumerate(tools):
            if tool.get("type", "custom") == "custom":
                self._custom(n, tool)
            self.chars += json_chars({k: v for k, v in tool.items() if k != "cache_control"})
            if tool.get("cache_control") is not None:
                self.mark(tool["cache_control"])

    def _custom(self, n: int, tool: Json) -> None:
        if not _TOOL_NAME.fullmatch(tool["name"]):
            raise Unreadable(f"tools.{n}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Unreadable(f"tools.{n}.custom.input_schema.type: Field required")
        if tool["name"] in self.named:
            raise Unreadable("tools: Tool names must be unique.")
        self.named[tool["name"]] = schema

    def system(self, system: Any) -> None:
        if system is not None:
            self._content(system, "system")

    def messages(self, messages: Any) -> None:
        if not isinstance(messages, list) or not messages:
            raise Unreadable("messages: at least one message is required")
        asked: list[str] = []  # calls of the turn before, which this one has to answer
        for n, message in enumerate(messages):
            if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
                raise Unreadable(f"messages.{n}.role: Input should be 'user' or 'assistant'")
            if n == 0 and message["role"] != "user":
                raise Unreadable('messages: first message must use the "user" role')
            content = message.get("content")
            text = self._content(content, f"messages.{n}.content")
            if message["role"] == "user" and text:
                self.last_user = text
            blocks = content if isinstance(content, list) else []
            self._answered(n, asked, [b.get("tool_use_id") for b in blocks if b["type"] == "tool_result"])
            self.answered = any(block["type"] == "tool_result" for block in blocks)
            asked = [str(block.get("id")) for block in blocks if block["type"] == "tool_use"]
        self._answered(len(messages), asked, [])

    @staticmethod
    def _answered(n: int, asked: list[str], given: list[Any]) -> None:
        """Every result has its call in the turn before, and every call its result in the next."""
        for call in given:
            if call not in asked:
                text = f"messages.{n}.content: unexpected `tool_use_id` found in `tool_result` blocks: {call}."
                raise Unreadable(
                    f"{text} Each `tool_result` block must have a corresponding `tool_use` block before it."
                )
        missing = [call for call in asked if call not in given]
        if missing:
            text = f"messages.{n - 1}: `tool_use` ids were found without `tool_result` blocks immediately after"
            raise Unreadable(f"{text}: {', '.join(missing)}.")

    def _content(self, content: Any, path: str) -> str:
        """Counts a content; returns its text parts, joined."""
        if isinstance(content, str):
            if not content:
                raise Unreadable(f"{path}: text content must be non-empty")
            self.chars += len(content)
            return content
        if not isinstance(content, list) or not content:
            raise Unreadable(f"{path}: Input should be a valid string or a non-empty list of content blocks")
        texts = []
        for n, block in enumerate(content):
            if not isinstance(block, dict) or not isinstance(block.get("type"), str):
                raise Unreadable(f"{path}.{n}.type: Field required")
            if block["type"] == "text":
                if not isinstance(block.get("text"), str) or not block["text"]:
                    raise Unreadable(f"{path}.{n}.text: text content blocks must be non-empty")
                texts.append(block["text"])
                self.chars += len(block["text"])
            else:
                if block["type"] == "image":
                    _check_image(block.get("source"), f"{path}.{n}.image.source")
                self.chars += json_chars({k: v for k, v in block.items() if k != "cache_control"})
            if block.get("cache_control") is not None:
                self.mark(block["cache_control"])
        return "".join(texts)


_TTLS = (None, "5m", "1h")


def _check_image(source: Any, path: str) -> None:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "url":
        if not str(source.get("url", "")).startswith("https://"):
            raise Unreadable(f"{path}.url.url: Only HTTPS URLs are supported.")
    elif kind == "base64":
        if source.get("media_type") not in MEDIA_TYPES:
            raise Unreadable(f"{path}.base64.media_type: Input should be {', '.join(MEDIA_TYPES)}")
        try:
            b64decode(str(source.get("data")), validate=True)
        except ValueError:
            raise Unreadable(f"{path}.base64.data: The image is not valid base64") from None
    elif kind != "file":
        raise Unreadable(f"{path}: Input should be of type 'base64', 'url' or 'file'")
