"""Planning a reply: everything that chance decides, decided by the seed before the first byte goes out.

The generator is seeded by (seed, target, prompt key, repeat), so that the order in which requests arrive does not
change what a prompt gets; every number is drawn for every request, so that turning one share up moves nothing else.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from itertools import accumulate

from bench.simulate.answers import Answers, choose, filler, pieces
from bench.simulate.base import Ask, Door, Part, Script, Stop, TargetConfig
from bench.simulate.faults import Fault
from bench.simulate.made import value_for
from bench.simulate.profile import NS_PER_MS, OVERLOADED, Profile, Spread

DEFAULT_OUTPUT_TOKENS = 64
DEFAULT_STALL_MS = 1000.0
REASONING_TOKENS = 24
THOUGHT = "First I look for the sentence that answers this, then I check it against the others. "


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

    case_id, kind, words = _words(profile, answers, key, kind_draw, pick)
    made = random.Random(f"{seed}:{target.id}:{key}:{repeat}:made")
    calls = called(ask, made)
    if ask.schema is not None and case_id is None:
        kind, words = "schema", pieces(json.dumps(value_for(ask.schema, made.getrandbits(32)), ensure_ascii=False))
    if calls:
        kind = "tool"
    thoughts = filler(REASONING_TOKENS, THOUGHT) if ask.thinking else ()
    segments, stop, stop_sequence = _segments(thoughts, words, calls, ask)
    if fault and fault.name == "empty":
        segments, stop, stop_sequence = [], "stop", None
    tokens = tuple(token for _, segment in segments for token in segment)
    reasoning_tokens = sum(len(segment) for part, segment in segments if part == "reasoning")
    arguments = ["".join(segment) for part, segment in segments if part == "tool"]

    ttft_ns = int(profile.ttft_ms.draw_ns(rng, 1)[0] * slowdown)
    gap = Spread("constant", fault.ms, fault.ms) if fault and fault.name == "drip" and fault.ms else profile.gap_ms
    gaps_ns = gap.draw_ns(rng, len(tokens))  # the last one is the time that the end of the reply takes
    if slowdown != 1.0:
        gaps_ns = [int(gap_ns * slowdown) for gap_ns in gaps_ns]
    token_ns = list(accumulate(gaps_ns, initial=ttft_ns))
    if stall_draw < profile.stall_share:
        _pause(token_ns, int(where_draw * len(tokens)), profile.stall_ms.draw_ns(rng, 1)[0])
    events, offsets, parts = _told(segments, token_ns, profile.tokens_per_event, ask)
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
        reasoning="".join(thoughts[:reasoning_tokens]) if ask.thinking == "shown" else "",
        tool_calls=tuple((name, sent) for (name, _), sent in zip(calls, arguments, strict=False)),
        parts=parts,
        reasoning_tokens=reasoning_tokens,
    )


def called(ask: Ask, made: random.Random) -> tuple[tuple[str, str], ...]:
    """The tools that are called, with arguments made from their schemas as JSON.

    A call is forced by the request, or asked for in the prompt: `[[tool]]` for one, `[[parallel]]` for all of them.
    """
    if not ask.tools or ask.tool_choice == "none":
        return ()
    everything = "[[parallel]]" in ask.prompt and ask.parallel
    if ask.tool_choice == "auto" and not everything and not ("[[tool]]" in ask.prompt or "[[parallel]]" in ask.prompt):
        return ()
    chosen = [tool for tool in ask.tools if tool[0] == ask.tool_choice]
    if not chosen:
        chosen = list(ask.tools) if everything else [made.choice(ask.tools)]
    return tuple(
        (name, json.dumps(value_for(schema, made.getrandbits(32)), ensure_ascii=False)) for name, schema in chosen
    )


def _segments(
    thoughts: tuple[str, ...], words: tuple[str, ...], calls: tuple[tuple[str, str], ...], ask: Ask
) -> tuple[list[tuple[Part, tuple[str, ...]]], Stop, str | None]:
    """What is generated, part by part and token by token, within `max_tokens`; and why it ends."""
    left = ask.max_tokens if ask.max_tokens is not None else sys.maxsize
    said: list[tuple[Part, tuple[str, ...]]] = [("reasoning", thoughts[:left])] if thoughts else []
    left -= min(left, len(thoughts))
    if thoughts and not left:
        return said, "length", None
    if not calls:
        tokens, stop, stop_sequence = _limited(words, replace(ask, max_tokens=left))
        return [*said, ("text", tokens)] if tokens else said, stop, stop_sequence
    for _, arguments in calls:
        tokens = pieces(arguments)
        said.append(("tool", tokens[:left]))
        if len(tokens) > left:
            return said, "length", None
        left -= len(tokens)
    return said, "tool", None


def _told(
    segments: list[tuple[Part, tuple[str, ...]]], token_ns: list[int], size: int, ask: Ask
) -> tuple[tuple[str, ...], list[int], tuple[tuple[Part, int], ...]]:
    """Events, their dues, and what they are; thoughts that are not shown take their time and make no event."""
    events: list[str] = []
    offsets: list[int] = []
    parts: list[tuple[Part, int]] = []
    at = 0
    for part, tokens in segments:
        due_ns = token_ns[at : at + len(tokens)]
        at += len(tokens)
        if part == "reasoning" and ask.thinking == "omitted":
            parts.append((part, 0))
            continue
        if part == "tool" and ask.whole_calls and tokens:
            tokens, due_ns = ("".join(tokens),), due_ns[-1:]
        texts, dues_ns = _grouped(tokens, due_ns, size)
        events += texts
        offsets += dues_ns
        parts.append((part, len(texts)))
    return tuple(events), offsets, tuple(parts)


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


def _grouped(tokens: tuple[str, ...], token_ns: list[int], size: int) -> tuple[tuple[str, ...], list[int]]:
    """Events and their dues: the first token alone, then `size` at a time, each event when its last token is due."""
    if size == 1:
        return tokens, token_ns[: len(tokens)]
    bounds = [(0, 1)] + [(n, min(n + size, len(tokens))) for n in range(1, len(tokens), size)] if tokens else []
    return tuple("".join(tokens[a:b]) for a, b in bounds), [token_ns[b - 1] for _, b in bounds]


def _cached(profile: Profile, ask: Ask, draw: float) -> tuple[int, int]:
    """(read, written) tokens of the prompt cache."""
    if profile.cache_hit_share is None or not ask.cacheable_tokens or ask.cacheable_tokens < profile.cache_min_tokens:
        return 0, 0
    return (ask.cacheable_tokens, 0) if draw < profile.cache_hit_share else (0, ask.cacheable_tokens)
