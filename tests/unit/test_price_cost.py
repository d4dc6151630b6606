"""Costs, worked by hand: tokens of each class times the rate of the one entry that holds."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import registry
from bench.price.book import PriceEntry, Unknown, find, load_book
from bench.price.cost import Cost, Item, cost, estimate
from bench.record import Usage
from bench.targets import Target

TODAY = date(2026, 11, 21)


def at(door: str, model: str, region: str | None = None, **more) -> Target:
    """A target with the id that the registry gives it."""
    entry = registry.lookup(model, door)
    assert entry is not None
    model_id = more.pop("model_id", None) or registry.model_id(entry, region)
    return Target("t", model, door, model_id, "messages", region=region, **more)


def used(i=0, o=0, read=0, w5=0, w1=0) -> Usage:
    return Usage(i, read, w5, w1, o, None, "provider")


SONNET, HAIKU, OPUS = "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"
OLD_SONNET, OLD_HAIKU = "claude-sonnet-4-5", "claude-haiku-4-5"
US = {"extra_body": {"inference_geo": "us"}}
FAST = {"extra_body": {"speed": "fast"}}
GLOBAL_45 = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
CACHED = used(25, 42, read=2048, w5=60, w1=40)

WORKED = [
    # the same request at every door; amounts in millionths of a dollar on the left, the total in dollars
    (at("anthropic", SONNET), used(1000, 500), "0.007"),  # 1000 x 2 + 500 x 10 = 7000
    (at("bedrock", SONNET, "us-east-1"), used(1000, 500), "0.0077"),  # 1000 x 2.2 + 500 x 11 = 7700: us profile + 10 %
    (at("bedrock", SONNET, "eu-west-1"), used(1000, 500), "0.0077"),  # the eu profile has the same premium
    (at("bedrock", SONNET, "us-east-1", model_id="global.anthropic.claude-sonnet-5-5"), used(1000, 500), "0.007"),
    (at("bedrock-mantle", SONNET, "us-east-1"), used(1000, 500), "0.0077"),  # regional
    (at("vertex", SONNET, "global"), used(1000, 500), "0.007"),
    (at("vertex", SONNET, "us-east5"), used(1000, 500), "0.0077"),  # a region: + 10 %
    (at("vertex", SONNET, "eu"), used(1000, 500), "0.0077"),  # a multi-region too
    (at("foundry", SONNET, sku="GlobalStandard"), used(1000, 500), "0.007"),
    (at("claude-aws", SONNET, "us-east-1"), used(1000, 500), "0.007"),  # the host's region is no geography
    (at("anthropic", SONNET, params=US), used(1000, 500), "0.0077"),  # inference_geo: us costs 1.1 times
    # every class of tokens
    (at("anthropic", OLD_SONNET), CACHED, "0.0017844"),  # 75 + 2048 x .3 = 614.4 + 225 + 240 + 630 = 1784.4
    (at("bedrock", OLD_SONNET, "us-west-2"), CACHED, "0.00196284"),  # 1784.4 x 1.1 = 1962.84
    (at("bedrock", OLD_SONNET, "us-west-2", model_id=GLOBAL_45), CACHED, "0.0017844"),
    (at("anthropic", SONNET), used(read=1_000_000), "0.1"),  # cache reads at 0.05 of the input rate
    (at("anthropic", OLD_HAIKU), used(read=1_000_000), "0.1"),  # at 0.1 of it
    (at("anthropic", SONNET), used(w5=1_000_000), "2.5"),  # writes at 1.25
    (at("anthropic", SONNET), used(w1=1_000_000), "4"),  # and at 2
    (at("bedrock", OLD_HAIKU, "ap-south-1"), used(w1=1000), "0.0022"),  # apac: 1000 x 2.2
    (at("anthropic", OLD_HAIKU), used(1_000_000, 1_000_000), "6"),  # 1 + 5
    # a request above the bound is repriced whole; the bound itself is below
    (at("anthropic", HAIKU), used(100_000, 1000), "0.0105"),  # 100000 x .1 + 1000 x .5 = 10500
    (at("anthropic", HAIKU), used(100_001, 1000), "0.0525005"),  # 100001 x .5 + 1000 x 2.5 = 52500.5
    (at("anthropic", HAIKU), used(1, read=100_000), "0.0050005"),  # cached input counts: 1 x .5 + 100000 x .05 = 5000.5
    (at("bedrock", HAIKU, "us-east-1"), used(200_000, 10), "0.1100275"),  # 200000 x .55 + 10 x 2.75 = 110027.5
    (at("vertex", OLD_SONNET, "global"), used(200_000, 100), "0.6015"),  # 600000 + 1500
    (at("vertex", OLD_SONNET, "global"), used(200_001, 100), "1.202256"),  # 200001 x 6 + 100 x 22.5 = 1202256
    (at("vertex", OLD_SONNET, "us-east5"), used(1, w5=200_000), "1.6500066"),  # 6.6 + 200000 x 8.25 = 1650006.6
    # the dearer models
    (at("bedrock", "claude-opus-4-1", "eu-west-1"), used(1000, 2000, w5=100), "0.166875"),  # 15000 + 150000 + 1875
    (at("vertex", "claude-opus-4-1", "us-east5"), used(1000, 1000), "0.09"),  # no regional premium: 15000 + 75000
    (at("bedrock", "claude-opus-4-5", "eu-central-1"), used(333, 777), "0.023199"),  # 1831.5 + 21367.5 = 23199
    (at("anthropic", OPUS), used(1000, 1000), "0.024"),  # 4000 + 20000
    (at("anthropic", OPUS, params=FAST), used(1000, 1000), "0.048"),  # the fast lane: 8000 + 40000
    (at("bedrock-mantle", OPUS, "us-gov-west-1"), used(1000, 1000), "0.0288"),  # 4800 + 24000
    # terms of the target's own
    (at("anthropic", SONNET, price={"discount": "0.12"}), used(1000, 500), "0.00616"),  # 1000 x 1.76 + 500 x 8.8
    (at("bedrock", SONNET, "us-east-1", price={"discount": "0.5"}), used(1000, 500), "0.00385"),  # 7700 / 2
    (at("anthropic", HAIKU, price={"discount": "0.1"}), used(200_000), "0.09"),  # bands too: 200000 x .45
    (at("anthropic", SONNET, price={"input": "1", "output": "4"}), used(1000, 500), "0.003"),  # 1000 + 2000
    # the smallest amounts stay exact
    (at("anthropic", HAIKU), used(read=1), "0.00000001"),
    (at("anthropic", HAIKU, price={"discount": "0.333"}), used(read=3), "0.00000002001"),  # 3 x .00667
    (at("anthropic", SONNET), used(), "0"),
]


@pytest.mark.parametrize(("target", "usage", "total"), WORKED)
def test_a_cost_is_what_a_person_works_out(target, usage, total):
    entry = find(target, TODAY)
    assert isinstance(entry, PriceEntry), entry
    found = cost(usage, entry)
    assert found.total == Decimal(total)
    assert found.entry_id == entry.id
    assert sum((item.amount for item in found.items), Decimal(0)) == found.total


def test_there_are_enough_worked_examples_over_all_five_doors():
    assert len(WORKED) >= 25
    assert {target.provider for target, _, _ in WORKED} >= {"anthropic", "bedrock", "vertex", "foundry"}


def test_the_lines_of_the_bill_show_tokens_rate_and_amount():
    found = cost(CACHED, find(at("anthropic", OLD_SONNET), TODAY))
    assert found.items == (
        Item("input", 25, Decimal("3"), Decimal("0.000075")),
        Item("cache_read", 2048, Decimal("0.30"), Decimal("0.0006144")),
        Item("cache_write_5m", 60, Decimal("3.75"), Decimal("0.000225")),
        Item("cache_write_1h", 40, Decimal("6"), Decimal("0.00024")),
        Item("output", 42, Decimal("15"), Decimal("0.00063")),
    )


def test_reasoning_is_part_of_the_output_and_not_charged_twice():
    entry = find(at("anthropic", SONNET), TODAY)
    assert cost(replace(used(10, 100), reasoning_tokens=90), entry) == cost(used(10, 100), entry)


GATEWAY = Target("gw", "llama", "openai-compatible", "llama", "chat", price={"input": "2.00", "output": "10.00"})


@pytest.mark.parametrize(
    ("target", "usage", "reason"),
    [
        (at("anthropic", SONNET), Usage(), "does not say input_tokens, cache_read_tokens"),
        (at("anthropic", SONNET), replace(used(10, 5), input_tokens=None), "does not say input_tokens"),
        (at("anthropic", SONNET), replace(used(10, 5), output_tokens=None), "does not say output_tokens"),
        (at("anthropic", SONNET), replace(used(10, 5), cache_read_tokens=None), "does not say cache_read_tokens"),
        (GATEWAY, Usage(output_tokens=5), "does not say input_tokens"),
        (GATEWAY, used(10, 5, read=1), "targets.yaml/gw has no rate for cache_read"),
        (at("bedrock", "claude-opus-4-1", "us-east-1"), used(10, 5, w1=1), "has no rate for cache_write_1h"),
        (at("foundry", SONNET), used(10, 5), "say sku"),
    ],
)
def test_what_is_not_known_stays_unknown_with_a_reason(target, usage, reason):
    found = cost(usage, find(target, TODAY))
    assert found.total is None
    assert found.items == ()
    assert reason in found.reason


def test_a_cache_count_may_be_absent_where_the_door_reports_none():
    assert cost(Usage(input_tokens=1000, output_tokens=500), find(GATEWAY, TODAY)).total == Decimal("0.007")


def test_a_cache_count_may_be_absent_when_no_caching_was_asked_for():
    entry = find(at("anthropic", SONNET), TODAY)
    plain = Usage(input_tokens=1000, output_tokens=500)
    assert cost(plain, entry).total is None
    assert cost(plain, entry, caching=False).total == Decimal("0.007")
    assert cost(replace(plain, cache_read_tokens=100), entry, caching=False).total == Decimal("0.00701")  # + 100 x .1


def test_an_unknown_price_gives_an_unknown_cost_with_the_same_reason():
    assert cost(used(1, 1), Unknown("because")) == Cost(None, reason="because")
    assert estimate(1, 1, Unknown("because")) == Cost(None, reason="because")


@pytest.mark.parametrize(
    ("target", "tokens", "ttl", "total"),
    [
        (at("anthropic", SONNET), (1000, 1024), None, "0.01224"),  # 1000 x 2 + 1024 x 10
        (at("anthropic", SONNET), (1000, 1024), "5m", "0.01274"),  # 1000 x 2.5 + 10240
        (at("anthropic", SONNET), (1000, 1024), "1h", "0.01424"),  # 1000 x 4 + 10240
        (at("anthropic", HAIKU), (150_000, 100), None, "0.07525"),  # above the bound: 150000 x .5 + 100 x 2.5
        (GATEWAY, (1000, 0), None, "0.002"),
    ],
)
def test_an_estimate_is_the_most_that_a_request_can_cost(target, tokens, ttl, total):
    assert estimate(*tokens, find(target, TODAY), ttl).total == Decimal(total)


def test_an_estimate_without_a_rate_is_unknown():
    found = estimate(10, 10, find(GATEWAY, TODAY), "1h")
    assert found.total is None
    assert "no rate for cache_write_1h" in found.reason


counts = st.integers(0, 20_000)  # two halves stay below every bound of a band
usages = st.builds(used, counts, counts, read=counts, w5=counts, w1=counts)
priced = [entry for entry in load_book().entries if entry.status != "unknown" and "cache_write_1h" in entry.rates]


@settings(derandomize=True, max_examples=150, deadline=None)
@given(usages, usages, st.sampled_from(priced))
def test_a_usage_split_in_two_costs_the_same(one, other, entry):
    names = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
    whole = Usage(**{name: getattr(one, name) + getattr(other, name) for name in names})
    unbanded = replace(entry, bands=())
    halves = [cost(half, unbanded).total for half in (one, other)]
    assert None not in halves
    assert cost(whole, unbanded).total == sum(halves)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(usages, st.sampled_from(priced), st.integers(0, 9999))
def test_a_discount_never_raises_a_cost_and_twelve_places_hold_it(usage, entry, basis_points):
    from bench.price.book import discounted

    full = cost(usage, entry).total
    less = cost(usage, discounted(entry, Decimal(basis_points) / 10_000)).total
    assert full is not None
    assert less is not None
    assert 0 <= less <= full
    assert less == less.quantize(Decimal("1e-12"))
