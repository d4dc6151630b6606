"""What a plan may use, worked by hand: tokens, dollars and minutes as ranges, and what is held back for a single try."""

from datetime import date
from decimal import Decimal

import pytest

from bench.conductor.estimate import of_target
from bench.record import Params
from bench.targets import Target
from bench.workload import load_workload

TODAY = date(2026, 11, 21)
D = Decimal
PRICED = Target("gw", "llama", "openai-compatible", "llama", "chat", price={"input": "2.00", "output": "10.00"})
WORKLOAD = """\
version: 1
name: w
title: t
dataset: {type: inline, items: [{id: a, q: %s}, {id: b, q: %s}]}
messages: [{role: user, content: "{{ q }}"}]
shape: {%s}
generation: {max_tokens: 100}
load: {%s, warmup: {requests: 0}, timeout: 60s, retries: 0}
"""
CLOSED = "pattern: concurrent, stages: [{concurrency: 4, requests: 40}]"
OPEN = "pattern: constant, stages: [{rate: 2, requests: 40}]"


def words(n: int) -> str:
    """As many tokens."""
    return " ".join(["word"] * n)


def made(tmp_path, shape="", load=CLOSED, target=PRICED, first=words(100), second=words(300), **params):
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD % (first, second, shape, load), encoding="utf-8")
    workload = load_workload(path)
    settings = Params(**{"max_tokens": 100, **params})
    return of_target(target, settings, workload, workload.load, 2, TODAY)


def test_tokens_are_a_range_and_dollars_follow_it(tmp_path):
    found = made(tmp_path, "output_tokens: {p50: 20, p99: 40}")
    # 40 requests of 200 words on average, times 0.85, 1 and 1.4
    assert (found.input_tokens_low, found.input_tokens, found.input_tokens_high) == (6800, 8000, 11200)
    # half the p50, the p50, twice the p99; never more than max_tokens
    assert (found.output_tokens_low, found.output_tokens_high, found.output_tokens_most) == (400, 3200, 4000)
    assert found.usd_low == D("0.0176")  # 6800 x 2 + 400 x 10 = 17,600 millionths
    assert found.usd_likely == D("0.024")  # 8000 x 2 + 800 x 10
    assert found.usd_high == D("0.0544")  # 11,200 x 2 + 3200 x 10
    assert found.usd_most == D("0.0624")  # 11,200 x 2 + 4000 x 10
    assert any("twice the p99" in words for words in found.rests_on)


def test_what_is_held_back_is_the_dearest_request_in_dense_text(tmp_path):
    found = made(tmp_path, first="x", second="y" * 900)
    assert found.usd_dearest == D("0.002156")  # (900 + 256) / 2 = 578 tokens x 2, and 100 x 10
    dense = made(tmp_path, first="x", second="ß" * 900)  # two bytes each
    assert dense.usd_dearest == D("0.003056")  # (1800 + 256) / 2 = 1028 tokens x 2 + 1000
    tools = ({"type": "function", "function": {"name": "f"}},)
    assert made(tmp_path, second="y" * 900, tools=tools).usd_dearest > found.usd_dearest


def test_without_a_claim_of_the_workload_only_the_most_is_known(tmp_path):
    found = made(tmp_path)
    assert (found.usd_low, found.usd_likely, found.output_tokens_low) == (None, None, None)
    assert found.usd_high == found.usd_most
    assert any("says nothing" in words for words in found.rests_on)


def test_a_model_that_thinks_may_write_up_to_its_limit(tmp_path):
    thinker = Target("a", "claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "messages")
    claims = "output_tokens: {p50: 20, p99: 40}"
    assert made(tmp_path, claims, target=thinker).output_tokens_high == 4000
    assert made(tmp_path, claims, target=thinker, effort="none").output_tokens_high == 3200


def test_the_minutes_are_the_plans_or_those_of_replies_of_assumed_speed(tmp_path):
    closed = made(tmp_path, "output_tokens: {p50: 20, p99: 40}")
    # two targets share 4 slots: 80 replies of 0.3 + 10 x 0.005 = 0.35 s, or of 3 + 80 x 0.05 = 7 s
    assert (closed.minutes_low, closed.minutes_high) == (round(80 * 0.35 / 4 / 60, 2), round(80 * 7 / 4 / 60, 2))
    opened = made(tmp_path, load=OPEN)
    assert opened.minutes_low == opened.minutes_high == round(20 / 60, 2)


def test_a_band_is_met_request_by_request_and_not_on_average(tmp_path):
    haiku = Target("h", "claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "messages")
    short, long = words(1), words(80_000)  # 2 and 112,000 tokens at 1.4 a word: only one is above 100,000
    found = made(tmp_path, target=haiku, first=short, second=long)
    # twenty of each: 20 x (2 x .1 + 100 x .5) + 20 x (112,000 x .5 + 100 x 2.5) = 1,004 + 1,125,000 millionths
    assert found.usd_most == D("1.126004")


def test_an_unknown_price_leaves_every_amount_unknown_and_says_why(tmp_path):
    found = made(tmp_path, target=Target("gw", "llama", "openai-compatible", "llama", "chat"))
    assert {found.usd_low, found.usd_likely, found.usd_high, found.usd_most, found.usd_dearest} == {None}
    assert "state them" in found.why_unknown
    assert found.input_tokens == 8000


@pytest.mark.parametrize("hit", [True, False])
def test_the_low_end_of_a_cached_prompt_reads_what_all_share(tmp_path, hit):
    rates = {"input": "2.00", "output": "10.00", "cache_read": "0.20", "cache_write_5m": "2.50"}
    cached = Target(
        "gw", "llama", "openai-compatible", "llama", "chat", price=rates if hit else {**rates, "cache_read": None}
    )
    shape = "output_tokens: {p50: 20}, shared_prefix_tokens: 60"
    found = made(tmp_path, shape, target=cached, cache_breakpoints=("system",))
    # 85 and 255 tokens, 60 of each are read: 40 x 60 x .2 + 20 x (25 + 195) x 2 + 40 x 10 x 10
    assert found.usd_low == (D("0.01328") if hit else None)
    # written at the most: 20 x (140 + 420) x 2.5, and 40 x 100 x 10
    assert found.usd_most == D("0.068")
