"""Planning a reply: everything that chance decides, decided by the seed before the first byte goes out.

The generator is seeded by (seed, target, prompt key, repeat), so that the order in which requests arrive does not
change what a prompt gets; every number is drawn for every request, so that turning one share up moves nothing else.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

import orjson

from bench.simulate.answers import Answers, choose, filler, pieces
from bench.simulate.base import Ask, Door, Piece, Script, Stop, TargetConfig
from bench.simulate.faults import Fault
from bench.simulate.made import value_for
from bench.simulate.profile import NS_PER_MS, OVERLOADED, Profile, Spread

DEFAULT_OUTPUT_TOKENS = 64
DEFAULT_STALL_MS = 1000.0
THINKING_TOKENS = 16
TOOL_MARK, PARALLEL_MARK = "[[tool]]", "[[parallel]]"
"""In a prompt whose request leaves the choice to the model: call a tool; call all of them."""


def plan(
    door: Door,
    target: TargetConfig,
    ask: Ask,
    *,
    key: str,
    repeat: int,
    seed: int,
    answers: Answers,
    wall_s: float,
    slowdown: float = 1.0,
    asked_fault: Fault | None = None,
) -> Script:
    """The reply to an admitted request.

    `slowdown` stretches its times (slow spells); `asked_fault` is taken before a drawn one.
    """
    profile = target.profile
    rng = random.Random(f"{seed}:{target.id}:{key}:{repeat}")
    fault_draw, kind_draw, pick, cache_draw, stall_draw, where_draw = [rng.random() for _ in range(6)]
    id_bits = rng.getrandbits(256)
    fault = asked_fault or _drawn_fault(profile, fault_draw)
    if fault and fault.name == "status" and fault.code == OVERLOADED:
        fault = replace(fault, code=door.fault_refusal(OVERLOADED)[0])

    case_id, kind, parts = _words(profile, answers, key, kind_draw, pick)
    tokens, stop, stop_sequence = _limited(parts, ask)
    reasoning = ""
    calls: tuple[tuple[str, str], ...] = ()
    if ask.tools or ask.schema is not None or ask.thinks:
        made_seed = zlib.crc32(f"{seed}:{key}".encode())  # the same at every look-alike, and each time
        tokens, stop, stop_sequence, reasoning, calls = _blocks(ask, parts, made_seed, own_words=case_id is not None)
    if fault and fault.name == "empty":
        tokens, stop, stop_sequence, reasoning, calls = (), "stop", None, "", ()

    ttft_ns = int(profile.ttft_ms.draw_ns(rng, 1)[0] * slowdown)
    gap = Spread("constant", fault.ms, fault.ms) if fault and fault.name == "drip" and fault.ms else profile.gap_ms
    gaps_ns = gap.draw_ns(rng, len(tokens))  # the last one is the time that the end of the reply takes
    if slowdown != 1.0:
        gaps_ns = [int(gap_ns * slowdown) for gap_ns in gaps_ns]
    token_ns = list(accumulate(gaps_ns, initial=ttft_ns))
    if stall_draw < profile.stall_share:
        _pause(token_ns, int(where_draw * len(tokens)), profile.stall_ms.draw_ns(rng, 1)[0])
    events, offsets = _grouped(tokens, token_ns, profile.tokens_per_event)
    headers_ns, end_ns = int(ttft_ns * profile.headers_share), token_ns[-1]
    if fault and fault.after is None:
        fault = replace(fault, after=int(where_draw * (len(events) + 1)))
    if fault and fault.name == "stall":
        offsets.append(end_ns)
        _pause(offsets, fault.after or 0, int((fault.ms or DEFAULT_STALL_MS) * NS_PER_MS))
        end_ns = offsets.pop()
    if fault and fault.name == "hang" and fault.ms:
        late_ns = int(fault.ms * NS_PER_MS)
        headers_ns, end_ns, offsets = headers_ns + late_ns, end_ns + late_ns, [due + late_ns for due in offsets]

    read, write = _cached(profile, ask, cache_draw)
    return Script(
        case_id=case_id,
        kind=kind,
        events=events,
        offsets_ns=tuple(offsets),
        headers_ns=headers_ns,
        end_ns=end_ns,
        stop=stop,
        stop_sequence=stop_sequence,
        input_tokens=ask.input_tokens - read - write,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=len(tokens),
        served_model=profile.served_model or door.served_model(target.model_id),
        request_id=door.request_id(id_bits & (2**128 - 1)),
        message_id=door.message_id(id_bits >> 128),
        created_s=int(wall_s),
        usage={"usage-twice": "twice", "no-usage": "none"}.get(fault.name, "once") if fault else "once",  # type: ignore[arg-type]
        fault=fault,
        reasoning=reasoning,
        tool_calls=calls,
    )


def _drawn_fault(profile: Profile, draw: float) -> Fault | None:
    for share, fault in profile.faults:
        if draw < share:
            return fault
        draw -= share
    return None


def _words(
    profile: Profile, answers: Answers, key: str, draw: float, pick: float
) -> tuple[str | None, str, tuple[str, ...]]:
    """(case id, kind, pieces) of what is said: an answer of the drawn kind, or filler where the prompt has no entry."""
    entry = answers.get(key)
    if entry is None:
        count = DEFAULT_OUTPUT_TOKENS if profile.output_tokens is None else profile.output_tokens
        return None, "filler", filler(count)
    right, abstain = profile.accuracy, profile.accuracy + profile.abstain_share
    wanted = "right" if draw < right else "abstain" if draw < abstain else "wrong"
    kind, text = choose(entry, wanted, pick)
    return entry.case_id, kind, pieces(text)


def _limited(parts: tuple[str, ...], ask: Ask) -> tuple[tuple[str, ...], Stop, str | None]:
    """The pieces up to the first stop sequence and within `max_tokens`, and why they end."""
    stop: Stop = "stop"
    found = None
    if ask.stop:
        text = "".join(parts)
        hits = [(at, word) for word in ask.stop if (at := text.find(word)) >= 0]
        if hits:
            at, found = min(hits)
            parts, stop = pieces(text[:at]), "stop_sequence"
    if ask.max_tokens is not None and len(parts) > ask.max_tokens:
        return parts[: ask.max_tokens], "length", None
    return parts, stop, found


def _pause(dues: list[int], after: int, pause_ns: int) -> None:
    for n in range(min(after, len(dues) - 1), len(dues)):
        dues[n] += pause_ns


def _blocks(
    ask: Ask, parts: tuple[str, ...], seed: int, *, own_words: bool
) -> tuple[tuple[str, ...], Stop, str | None, str, tuple[tuple[str, str], ...]]:
    """(events, stop, stop sequence, reasoning, tool calls) of a reply that may think, call tools or keep to a schema.

    What is over `max_tokens` is cut; a call that does not fit whole is left out.
    """
    reasoning = filler(THINKING_TOKENS) if ask.thinks else ()
    called = [
        (name, orjson.dumps(value_for(schema, seed + n)).decode()) for n, (name, schema) in enumerate(_chosen(ask))
    ]
    if ask.schema is not None and not own_words:
        parts = pieces(orjson.dumps(value_for(ask.schema, seed)).decode())
    text, stop, stop_sequence = _limited(() if called else parts, replace(ask, max_tokens=None))
    left = sys.maxsize if ask.max_tokens is None else ask.max_tokens
    blocks: list[tuple[str, tuple[str, ...]]] = []
    for kind, words in (("reasoning", reasoning), ("text", text)):
        if len(words) > left:
            stop, stop_sequence, words = "length", None, words[:left]
        left -= len(words)
        blocks += [(kind, words)] if words else []
    kept = []
    for name, arguments in called:
        words = pieces(arguments)
        if stop == "length" or len(words) > left:
            stop = "length"
            break
        left -= len(words)
        kept.append((name, arguments))
        blocks.append(("call", words))
    if kept and stop != "length":
        stop = "tool"
    if [kind for kind, _ in blocks] in ([], ["text"]):
        return text[: sum(len(words) for _, words in blocks)], stop, stop_sequence, "", ()
    events = [
        Piece.of(word, kind, n, at == 0) for n, (kind, words) in enumerate(blocks) for at, word in enumerate(words)
    ]
    said = "".join(word for kind, words in blocks if kind == "reasoning" for word in words)
    return tuple(events), stop, stop_sequence, said, tuple(kept)


def _chosen(ask: Ask) -> list[tuple[str, Mapping[str, Any]]]:
    """The tools that are called: the one that was named, else the first, else all when the prompt asks for that."""
    if ask.tool_choice.startswith("tool:"):
        return [tool for tool in ask.tools if tool[0] == ask.tool_choice.removeprefix("tool:")]
    parallel = PARALLEL_MARK in ask.prompt
    if ask.tool_choice == "none" or (ask.tool_choice == "auto" and not parallel and TOOL_MARK not in ask.prompt):
        return []
    return list(ask.tools if parallel else ask.tools[:1])


def _grouped(tokens: tuple[str, ...], token_ns: list[int], size: int) -> tuple[tuple[str, ...], list[int]]:
    """Events and their dues: the first token alone, then `size` at a time (fewer at the end of a block), each event when
    its last token is due.
    """
    if size == 1:
        return tokens, token_ns[: len(tokens)]
    events: list[str] = []
    dues_ns = []
    start = 0
    while start < len(tokens):
        end = min(start + size, len(tokens)) if start else 1
        end = next((n for n in range(start + 1, end) if getattr(tokens[n], "first", False)), end)
        text, head = "".join(tokens[start:end]), tokens[start]
        events.append(Piece.of(text, head.kind, head.block, head.first) if isinstance(head, Piece) else text)
        dues_ns.append(token_ns[end - 1])
        start = end
    return tuple(events), dues_ns


def _cached(profile: Profile, ask: Ask, draw: float) -> tuple[int, int]:
    """(read, written) tokens of the prompt cache."""
    if profile.cache_hit_share is None or not ask.cacheable_tokens or ask.cacheable_tokens < profile.cache_min_tokens:
        return 0, 0
    return (ask.cacheable_tokens, 0) if draw < profile.cache_hit_share else (0, ask.cacheable_tokens)
