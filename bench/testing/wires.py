"""Checks of a wire: golden bytes in, what they say out. Each gives the reason why it fails, or None."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bench.dialects.base import Dialect
from bench.record import Fault, Reply, ToolCall, Usage
from bench.testing.golden import EVENT_STREAM, STEP_NS, Golden, Wire, replaced

ReadFault = Callable[[int | None, tuple[tuple[str, str], ...], bytes], Fault]

ALWAYS: Mapping[str, Any] = {
    "text": "", "reasoning": "", "tool_calls": [], "usage": {}, "stop_reason": None, "complete": True,
    "content_events": [], "first_text_event": None, "fault": None,
}  # fmt: skip
"""What is compared in every golden, with what holds when it says nothing."""
WHEN_SAID = ("native_stop_reason", "served_model", "served_lane", "message_id")


def says(dialect: Dialect, golden: Golden, read_fault: ReadFault) -> str | None:
    """Whether the body, event by event, means what the golden says: content, counts, stamps and error."""
    reply = dialect.decode(golden.event_by_event())
    found = differences(reply, golden)
    found += _fault_differences(reply, golden, read_fault)
    return _told(golden, found)


def differences(reply: Reply, golden: Golden, stamps: bool = True) -> list[str]:
    """Every field in which a reply is not what the golden says."""
    expect = {**ALWAYS, **golden.expect}
    unknown = sorted(set(expect) - {*ALWAYS, *WHEN_SAID})
    got: dict[str, Any] = {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "tool_calls": [_call(call, want) for call, want in _paired(reply.tool_calls, expect["tool_calls"])],
        "usage": _counts(reply.usage),
        "stop_reason": reply.stop_reason,
        "complete": reply.complete,
        **{key: getattr(reply, key) for key in WHEN_SAID},
    }
    if stamps:
        got["content_events"] = [at // STEP_NS for at in reply.content_ns]
        got["first_text_event"] = None if reply.first_text_ns is None else reply.first_text_ns // STEP_NS
    found = [f"the golden names {key}, which is nothing that a reply has" for key in unknown]
    for key, value in got.items():
        if key in WHEN_SAID and key not in golden.expect:
            continue
        want = expect[key]
        want = _counts(Usage(**{"source": "provider", **want})) if key == "usage" and want else want
        if value != want:
            found.append(f"{key}: got {value!r}; want {want!r}")
    return found


def same_for_every_cut(dialect: Dialect, golden: Golden) -> str | None:
    """Whether the same bytes mean the same in one read, and in a read for each byte."""
    whole = golden.exchange([(STEP_NS, golden.body)])
    single = golden.exchange([(n + 1, golden.body[n : n + 1]) for n in range(len(golden.body))])
    found = []
    for words, exchange in (("in one read", whole), ("byte by byte", single)):
        reply = dialect.decode(exchange)
        found += [f"{words}: {line}" for line in differences(reply, golden, stamps=False)]
        events = len({**ALWAYS, **golden.expect}["content_events"])
        if len(reply.content_ns) != events:
            found.append(f"{words}: {len(reply.content_ns)} content events; want {events}")
        if list(reply.content_ns) != sorted(reply.content_ns):
            found.append(f"{words}: stamps run backwards")
    return _told(golden, found)


def cut_short(dialect: Dialect, golden: Golden) -> str | None:
    """Whether a body that ends at any byte keeps what came, claims no more, and is complete only when it is."""
    full = dialect.decode(golden.cut(len(golden.body)))
    ends = golden.ends()
    last = golden.ends_with if golden.ends_with is not None else len(ends)
    opens = ends[last - 2] if last > 1 else 0
    framed = EVENT_STREAM in golden.content_type
    for size in range(len(golden.body)):
        for failure in (None, "closed"):
            reply = dialect.decode(golden.cut(size, failure))
            why = _cut_differences(reply, full)
            if reply.complete and (size <= opens or (framed and size < ends[last - 1])):
                why = "complete, though its end had not come"
            if not reply.complete and failure is None and size >= ends[last - 1]:
                why = "not complete, though its end had come"
            if why:
                return (
                    f"{golden.name} cut after byte {size}{'' if failure is None else ' by a closed connection'}: {why}"
                )
    return None


def _cut_differences(reply: Reply, full: Reply) -> str | None:
    if not full.text.startswith(reply.text):
        return f"text {reply.text!r} is no beginning of {full.text!r}"
    if not full.reasoning.startswith(reply.reasoning):
        return f"reasoning {reply.reasoning!r} is no beginning of {full.reasoning!r}"
    if len(reply.content_ns) > len(full.content_ns):
        return f"{len(reply.content_ns)} content events, of {len(full.content_ns)} in the whole body"
    for call, whole in zip(reply.tool_calls, full.tool_calls, strict=False):
        if call.name != whole.name or not (whole.arguments.startswith(call.arguments) or call.arguments == "{}"):
            return f"{call} is no beginning of {whole}"
    if len(reply.tool_calls) > len(full.tool_calls):
        return "more tool calls than in the whole body"
    if reply.complete and (reply.text, reply.stop_reason) != (full.text, full.stop_reason):
        return "complete, though something is missing"
    if reply.error_body is not None and full.error_body is None:
        return f"an error that nobody sent: {reply.error_body[:80]!r}"
    return None


def plain_cut_short(dialect: Dialect, golden: Golden) -> str | None:
    """Whether a whole reply that ends at any byte is never called complete, and never raises."""
    for size in range(len(golden.body.rstrip())):
        if dialect.decode(golden.cut(size)).complete:
            return f"{golden.name} cut after byte {size}: complete"
    return None


def stop_reasons(dialect: Dialect, wire: Wire) -> str | None:
    """Whether every reason that the wire gives for the end of a reply is told in our words."""
    table = wire.stop_reasons
    golden = next((g for g in wire.goldens if g.name.endswith("/" + table["golden"])), None)
    if golden is None:
        return f"wire.yaml: stop_reasons names no golden of the wire: {table['golden']}"
    found = []
    for native, want in table["words"].items():
        body = replaced(golden, table["replaces"], table["by"] % native)
        reply = dialect.decode(golden.exchange([(STEP_NS, body)]))
        if reply.stop_reason != want or not reply.complete:
            found.append(f"{native}: got {reply.stop_reason}, complete {reply.complete}; want {want}")
    return _told(golden, found)


def _fault_differences(reply: Reply, golden: Golden, read_fault: ReadFault) -> list[str]:
    want = golden.expect.get("fault")
    if want is None or reply.error_body is None:
        if (want is None) == (reply.error_body is None):
            return []
        return [f"fault: got error body {reply.error_body!r}; want {want!r}"]
    return fault_differences(read_fault(golden.status, golden.headers, reply.error_body), want)


def fault_differences(fault: Fault, want: Mapping[str, Any]) -> list[str]:
    """Every field in which a fault is not what was said of it; what was not said is not compared.

    The vendor's message must be in ours, which may say more.
    """
    unknown = [key for key in want if key not in Fault.__slots__]
    found = [f"the golden names {key}, which is nothing that a fault has" for key in unknown]
    for key, value in want.items():
        if key == "message" and value and value in fault.message:
            continue
        if key not in unknown and getattr(fault, key) != value:
            found.append(f"{key}: got {getattr(fault, key)!r}; want {value!r}")
    return found


def _counts(usage: Usage) -> dict[str, Any]:
    return {key: value for key in Usage.__slots__ if (value := getattr(usage, key)) is not None}


def _paired(got: tuple[ToolCall, ...], want: list[Any]) -> list[tuple[ToolCall, Any]]:
    return [(call, want[n] if n < len(want) else None) for n, call in enumerate(got)]


def _call(call: ToolCall, want: Any) -> dict[str, Any]:
    """A call in the golden's terms: arguments as JSON where the golden has a mapping, the id where it names one."""
    said: dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    if isinstance(want, Mapping):
        said = {key: said[key] for key in said if key in want}
        if isinstance(want.get("arguments"), Mapping):
            try:
                said["arguments"] = json.loads(call.arguments)
            except ValueError:
                pass
    return said


def _told(golden: Golden, found: list[str]) -> str | None:
    return f"{golden.name}: " + "; ".join(found) if found else None
