"""Traps of billing, each from the words on the wire to the amount: what is inside what, which lane served, what nobody said."""

from datetime import date
from decimal import Decimal

import pytest

from bench.dialects import converse, gemini, messages, openai_api
from bench.price.book import PriceEntry, find
from bench.price.cost import cost, itemised, may_be_billed
from bench.record import Usage
from bench.targets import Target

D = Decimal
DAY = date(2026, 1, 1)
PLAIN = PriceEntry("e", "m", "m", "s", "default", {
    "input": D(3), "cache_read": D("0.3"), "cache_write_5m": D("3.75"), "cache_write_1h": D(6), "output": D(15),
}, DAY, None, "made", DAY, "list")  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        # Anthropic: input_tokens is without the cache: 100 x 3 + 2000 x .3 + 40 x 3.75 + 60 x 6 + 10 x 15
        (messages.usage_of({
            "input_tokens": 100, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60}, "output_tokens": 10,
        }), "1560"),
        # Converse: inputTokens is without the cache, written tokens by their ttl: as above
        (converse.usage_of({
            "inputTokens": 100, "cacheReadInputTokens": 2000, "cacheWriteInputTokens": 100, "outputTokens": 10,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 40}, {"ttl": "1h", "inputTokens": 60}],
        }), "1560"),
        # OpenAI: prompt_tokens is with the cache: (2100 - 2000) x 3 + 2000 x .3 + 10 x 15; reasoning is inside the output
        (openai_api.usage_of({
            "prompt_tokens": 2100, "prompt_tokens_details": {"cached_tokens": 2000}, "completion_tokens": 10,
            "completion_tokens_details": {"reasoning_tokens": 8},
        }), "1050"),
        # Gemini: the prompt is with the cache, and thoughts are outside the candidates: 100 x 3 + 2000 x .3 + (10 + 8) x 15
        (gemini.usage_of({
            "promptTokenCount": 2100, "cachedContentTokenCount": 2000, "candidatesTokenCount": 10, "thoughtsTokenCount": 8,
        }, final=True), "1170"),
    ],
)  # fmt: skip
def test_each_wire_counts_the_same_things_elsewhere_and_each_token_is_charged_once(usage, millionths):
    assert cost(usage, PLAIN, caching=False).total == D(millionths) / 10**6


def test_thoughts_outside_the_output_are_a_part_of_its_cost_all_the_same():
    usage = gemini.usage_of({"promptTokenCount": 1, "candidatesTokenCount": 10, "thoughtsTokenCount": 8}, final=True)
    parts = itemised(usage, cost(usage, PLAIN, caching=False))
    assert (parts["cost_output_usd"], parts["cost_reasoning_usd"]) == (D("0.00027"), D("0.00012"))


@pytest.mark.parametrize("missing", ["input_tokens", "output_tokens"])
def test_a_count_that_is_null_makes_the_cost_null_and_never_0(missing):
    usage = Usage(10, 0, 0, 0, 5, 0)
    told = cost(Usage(**{name: None if name == missing else getattr(usage, name) for name in usage.__slots__}), PLAIN)
    assert told.total is None
    assert set(itemised(usage, told).values()) == {None}
    assert cost(Usage(0, 0, 0, 0, 0, 0), PLAIN).total == 0  # while nothing costs nothing


def test_a_tier_that_the_reply_downgrades_is_charged_as_served():
    day, used = date(2026, 11, 21), Usage(1000, 0, 0, 0, 1000, 0)
    asked = Target("t", "claude-opus-5-5", "anthropic", "claude-opus-5-5", "messages", service_tier="priority")
    as_asked, as_served = find(asked, day), find(asked, day, "standard/global")
    assert not isinstance(
        as_asked, PriceEntry
    )  # nobody lists a price of that tier: unknown, not the price of another one
    assert "tier priority" in cost(used, as_asked).reason
    assert cost(used, as_served).total == D("0.024")  # 1000 x 4 + 1000 x 20, the default tier that served it
    assert cost(used, find(asked, day, "standard/us")).total == D(
        "0.0264"
    )  # and the geography that the reply names: + 10 %


@pytest.mark.parametrize(
    ("said", "lane", "usd"),
    [
        ({"service_tier": "standard", "speed": "fast"}, "standard/fast", "0.048"),  # 1000 x 8 + 1000 x 40
        # turned down to the standard speed: 1000 x 4 + 1000 x 20
        ({"service_tier": "standard", "speed": "standard"}, "standard/standard-speed", "0.024"),
        ({"speed": "standard"}, "standard-speed", "0.024"),
        ({"speed": "standard", "inference_geo": "us"}, "standard-speed/us", "0.0264"),  # and in the US: + 10 %
        ({"service_tier": "standard"}, "standard", "0.048"),  # nothing said of the speed: that which was asked for
    ],
)
def test_a_speed_that_the_reply_turns_down_is_charged_as_served(said, lane, usd):
    asked = Target(
        "t", "claude-opus-5-5", "anthropic", "claude-opus-5-5", "messages", params={"extra_body": {"speed": "fast"}}
    )
    assert messages.lane_of(said) == lane
    assert cost(Usage(1000, 0, 0, 0, 1000, 0), find(asked, date(2026, 11, 22), lane)).total == D(usd)


@pytest.mark.parametrize(
    ("outcome", "status", "code", "billed"),
    [
        ("ok", 200, None, True),
        ("truncated", 200, "reset", True),  # the model had begun
        ("timeout", None, "timeout", True),  # nobody knows how far it was
        ("transport", None, "reset", True),
        ("transport", None, "connect", False),  # it never left
        ("transport", None, "dns", False),
        ("auth", None, "sign_in_failed", False),
        ("throttled", 429, "rate_limit_error", False),
        ("overloaded", 529, "overloaded_error", False),
        ("overloaded", 200, "overloaded_error", True),  # told in the middle of a stream
        ("auth", 401, "authentication_error", False),
        ("server", 500, "api_error", True),
        ("filtered", 400, "content_filter", True),
        ("bad_request", 400, "invalid_request_error", True),
        ("refused", 200, "refusal", True),
    ],
)
def test_what_may_be_on_the_bill_although_nobody_said_its_tokens(outcome, status, code, billed):
    assert may_be_billed(outcome, status, code) is billed
