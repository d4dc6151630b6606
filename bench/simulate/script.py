"""Planning a reply: everything that chance decides, decided by the seed before the first byte goes out.

The generator is seeded by (seed, target, prompt key, repeat), so that the order in which requests arrive does not
change what a prompt gets; every number is drawn for every request, so that turning one share up moves nothing else.

Clouds that serve one model find the same prompts hard. So a prompt has a difficulty, drawn from (seed, prompt key) and the same
at every target, and a reply is right where its target's accuracy reaches above it: the less accurate target fails wherever the
more accurate one does, and on some prompts more. A share of replies (`own_share`) takes a number of its own instead.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import accumulate
from typing import Any

import orjson

from bench.simulate.answers import Answers, choose, filler, pieces
from bench.simulate.base import Arguments, Ask, Door, Script, Stop, TargetConfig, Thought
from bench.simulate.faults import Fault
from bench.simulate.made import value_for
from bench.simulate.profile import NS_PER_MS, OVERLOADED, Profile, Spread

DEFAULT_OUTPUT_TOKENS = 64
DEFAULT_STALL_MS = 1000.0
THOUGHT_TOKENS = 12
"""Length of reasoning, where it is asked for."""


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

    case_id, kind, parts = _words(profile, answers, key, hardness(seed, key, profile.own_share, kind_draw), pick)
    made_seed = random.Random(f"{seed}:{key}").getrandbits(32)  # the same at every target, as a model's own would be
    calls = calls_for(ask, made_seed)
    if calls:
        kind, parts = "tool", ()
    elif ask.schema is not None and case_id is None:
        kind, parts = "made", pieces(_json(value_for(ask.schema, made_seed)))
    tokens, stop, stop_sequence = _limited(parts, ask, filler(THOUGHT_TOKENS) if ask.thinks or ask.hides else (), calls)
    if fault and fault.name == "empty":
        tokens, stop, stop_sequence = (), "stop", None

    ttft_ns = int(profile.ttft_ms.draw_ns(rng, 1)[0] * slowdown)
    gap = Spread("constant", fault.ms, fault.ms) if fault and fault.name == "drip" and fault.ms else profile.gap_ms
    gaps_ns = gap.draw_ns(rng, len(tokens))  # the last one is the time that the end of the reply takes
    if slowdown != 1.0:
        gaps_ns = [int(gap_ns * slowdown) for gap_ns in gaps_ns]
    token_ns = list(accumulate(gaps_ns, initial=ttft_ns))
    if stall_draw < profile.stall_share:
        _pause(token_ns, int(where_draw * len(tokens)), profile.stall_ms.draw_ns(rng, 1)[0])
    thoughts = [token for token in tokens if isinstance(token, Thought)]
    hidden = len(thoughts) if ask.hides else 0  # they take their time, and are not sent
    events, offsets = _grouped(tokens[hidden:], token_ns[hidden:], profile.tokens_per_event)
    if ask.whole_calls and calls:
        events, offsets = _whole_calls(events, offsets)
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
        reasoning="" if ask.hides else "".join(thoughts),
        tool_calls=_as_sent(calls, tokens),
        reasoning_tokens=len(thoughts),
    )


def hardness(seed: int, key: str, own_share: float, draw: float) -> float:
    """How accurate a target must be to get this prompt right, in 0..1: `draw` says whether chance of its own decides that.

    Uniform over prompts either way, so that shares of right replies are as the profile says.
    """
    if draw < own_share:
        return draw / own_share
    return random.Random(f"{seed}:{key}:hardness").random()


def calls_for(ask: Ask, seed: int) -> tuple[tuple[str, str], ...]:
    """The calls (name, JSON arguments) that the request gets: the tool that is forced, one where any is required or the
    prompt says `[[tool]]`, and all of them where it says `[[parallel]]`; none otherwise.
    """
    several = "[[parallel]]" in ask.prompt
    if not ask.tools or ask.tool_choice == "none":
        return ()
    if ask.tool_choice == "auto" and not several and "[[tool]]" not in ask.prompt:
        return ()
    named = [tool for tool in ask.tools if tool[0] == ask.tool_choice]
    chosen = named or (list(ask.tools) if several and ask.parallel else [ask.tools[seed % len(ask.tools)]])
    return tuple((name, _json(value_for(schema, seed + n))) for n, (name, schema) in enumerate(chosen))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _as_sent(calls: tuple[tuple[str, str], ...], tokens: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The calls as far as their arguments are among these pieces."""
    sent: dict[int, list[str]] = {}
    for token in tokens:
        if isinstance(token, Arguments):
            sent.setdefault(token.call, []).append(token)
    return tuple((calls[n][0], "".join(arguments)) for n, arguments in sent.items())


def _drawn_fault(profile: Profile, draw: float) -> Fault | None:
    for share, fault in profile.faults:
        if draw < share:
            return fault
        draw -= share
    return None


def _words(
    profile: Profile, answers: Answers, key: str, hard: float, pick: float
) -> tuple[str | None, str, tuple[str, ...]]:
    """(case id, kind, pieces) of what is said: an answer of the due kind, or filler where the prompt has no entry."""
    entry = answers.get(key)
    if entry is None:
        count = DEFAULT_OUTPUT_TOKENS if profile.output_tokens is None else profile.output_tokens
        return None, "filler", filler(count)
    right, abstain = profile.accuracy, profile.accuracy + profile.abstain_share
    wanted = "right" if hard < right else "abstain" if hard < abstain else "wrong"
    kind, text = choose(entry, wanted, pick)
    return entry.case_id, kind, pieces(text)


def _limited(
    parts: tuple[str, ...], ask: Ask, thoughts: tuple[str, ...], calls: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, ...], Stop, str | None]:
    """All pieces, the text's up to the first stop sequence, within `max_tokens`; and why they end."""
    stop: Stop = "tool" if calls else "stop"
    found = None
    if ask.stop:
        text = "".join(parts)
        hits = [(at, word) for word in ask.stop if (at := text.find(word)) >= 0]
        if hits:
            at, found = min(hits)
            parts, stop = pieces(text[:at]), "stop_sequence"
    arguments = [Arguments(text, n, at == 0) for n, call in enumerate(calls) for at, text in enumerate(pieces(call[1]))]
    if thoughts or calls:
        parts = (*map(Thought, thoughts), *parts, *arguments)
    if ask.max_tokens is not None and len(parts) > ask.max_tokens:
        return parts[: ask.max_tokens], "length", None
    return parts, stop, found


def _pause(dues: list[int], after: int, pause_ns: int) -> None:
    for n in range(min(after, len(dues) - 1), len(dues)):
        dues[n] += pause_ns


def _grouped(tokens: tuple[str, ...], token_ns: list[int], size: int) -> tuple[tuple[str, ...], list[int]]:
    """Events and their dues: the first token alone, then `size` at a time, each event when its last token is due."""
    if size == 1 or any(type(token) is not str for token in tokens):  # of thoughts and calls, each has its own event
        return tokens, token_ns[: len(tokens)]
    bounds = [(0, 1)] + [(n, min(n + size, len(tokens))) for n in range(1, len(tokens), size)] if tokens else []
    return tuple("".join(tokens[a:b]) for a, b in bounds), [token_ns[b - 1] for _, b in bounds]


def _whole_calls(events: tuple[str, ...], due_ns: list[int]) -> tuple[tuple[str, ...], list[int]]:
    """The same with one event for each call, when its last piece is due."""
    whole: list[str] = []
    dues: list[int] = []
    for event, due in zip(events, due_ns, strict=True):
        if isinstance(event, Arguments) and not event.first and whole:
            event, _ = Arguments(whole.pop() + event, event.call, True), dues.pop()
        whole.append(event)
        dues.append(due)
    return tuple(whole), dues


def _cached(profile: Profile, ask: Ask, draw: float) -> tuple[int, int]:
    """(read, written) tokens of the prompt cache."""
    if profile.cache_hit_share is None or not ask.cacheable_tokens or ask.cacheable_tokens < profile.cache_min_tokens:
        return 0, 0
    return (ask.cacheable_tokens, 0) if draw < profile.cache_hit_share else (0, ask.cacheable_tokens)
