"""The known traps between a reply and its cost, each from the provider's own usage to the sum."""

import ast
import decimal
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from bench import price
from bench.dialects import converse, gemini, messages, openai_api
from bench.price.book import PriceEntry, Unknown, find, load_book
from bench.price.cost import cost
from bench.price.overlay import overlay_of
from bench.record import Usage
from bench.targets import Target

TODAY = date(2026, 11, 22)
SONNET = Target("a", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5-20250929", "messages")
US = Target("b", "claude-sonnet-4-5", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "converse",
            region="us-east-1")  # fmt: skip
GPT = Target("o", "gpt-6.1-sol", "openai", "gpt-6.1-sol", "chat")
GEMINI = Target("g", "gemini-2.5-pro", "gemini-vertex", "gemini-2.5-pro", "gemini", region="global")


def total(target: Target, usage: Usage, lane: str | None = None) -> Decimal | None:
    return cost(usage, find(target, TODAY, lane)).total


def test_cached_tokens_are_outside_the_input_of_claude():
    told = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2048, "output_tokens": 42}
    # 25 x 3 + 2048 x 0.30 + 42 x 15 = 75 + 614.4 + 630; were they inside, the input would be negative
    assert total(SONNET, messages.usage_of(told)) == Decimal("0.0013194")


def test_cached_tokens_are_outside_the_input_of_converse():
    told = {"inputTokens": 25, "cacheReadInputTokens": 2048, "cacheWriteInputTokens": 0, "outputTokens": 42}
    assert total(US, converse.usage_of(told)) == Decimal("0.00145134")  # the same by 1.1


def test_cached_tokens_are_inside_the_input_of_openai():
    told = {
        "prompt_tokens": 5000, "prompt_tokens_details": {"cached_tokens": 4000, "cache_write_tokens": 500},
        "completion_tokens": 100,
    }  # fmt: skip
    # 500 x 2 + 4000 x 0.10 + 500 x 2.50 + 100 x 10 = 1000 + 400 + 1250 + 1000; charged twice it would be 12650
    assert total(GPT, openai_api.usage_of(told)) == Decimal("0.00365")


def test_cached_tokens_are_inside_the_prompt_of_gemini():
    told = {"promptTokenCount": 10_000, "cachedContentTokenCount": 8000, "candidatesTokenCount": 100}
    # 2000 x 1.25 + 8000 x 0.125 + 100 x 10 = 2500 + 1000 + 1000
    assert total(GEMINI, gemini.usage_of(told, final=True)) == Decimal("0.0045")


def test_writes_for_five_minutes_and_for_an_hour_cost_apart():
    told = {
        "input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    }  # fmt: skip
    assert total(SONNET, messages.usage_of(told)) == Decimal("0.000465")  # 60 x 3.75 + 40 x 6 = 225 + 240
    details = [{"ttl": "5m", "inputTokens": 60}, {"ttl": "1h", "inputTokens": 40}]
    said = {"inputTokens": 0, "outputTokens": 0, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 100,
            "cacheDetails": details}  # fmt: skip
    assert total(US, converse.usage_of(said)) == Decimal("0.0005115")  # by 1.1


def test_a_write_that_openai_keeps_for_twelve_hours_costs_twice_one_for_half_an_hour():
    told = {
        "prompt_tokens": 1000,
        "prompt_tokens_details": {
            "cached_tokens": 0, "cache_write_tokens": 1000, "cache_write_tokens_details": {"ttl_12h_tokens": 400},
        },
        "completion_tokens": 0,
    }  # fmt: skip
    assert total(GPT, openai_api.usage_of(told)) == Decimal("0.0035")  # 600 x 2.50 + 400 x 5


def test_the_thoughts_of_gemini_stand_outside_its_candidates_and_are_output():
    told = {"promptTokenCount": 100, "candidatesTokenCount": 50, "thoughtsTokenCount": 450}
    usage = gemini.usage_of(told, final=True)
    assert usage.output_tokens == 500
    assert total(GEMINI, usage) == Decimal("0.005125")  # 100 x 1.25 + 500 x 10


def test_the_reasoning_of_openai_stands_inside_its_output_and_is_not_charged_again():
    told = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens": 500,
            "completion_tokens_details": {"reasoning_tokens": 450}}  # fmt: skip
    assert total(GPT, openai_api.usage_of(told)) == Decimal("0.0052")  # 100 x 2 + 500 x 10


@pytest.mark.parametrize(
    ("fresh", "cached", "wanted"),
    [
        (200_000, 0, "0.25"),  # 200000 x 1.25: the bound itself is below
        (200_001, 0, "0.5000025"),  # 200001 x 2.50: every token, not only the last
        (1, 200_000, "0.0500025"),  # 2.50 + 200000 x 0.25: what is cached counts to the bound
    ],
)
def test_the_whole_prompt_decides_on_the_band_and_the_band_on_every_token(fresh, cached, wanted):
    assert total(GEMINI, Usage(fresh, cached, None, None, 0, None, "provider")) == Decimal(wanted)


def test_a_profile_a_region_and_a_geography_cost_more_than_global():
    usage = Usage(1_000_000, 0, 0, 0, 0, None, "provider")
    places = [
        (US, replace(US, model_id=US.model_id.replace("us.", "global."))),
        (replace(GEMINI, model="gemini-3.8-flash", model_id="gemini-3.8-flash", region="us-central1"),
         replace(GEMINI, model="gemini-3.8-flash", model_id="gemini-3.8-flash")),
        (replace(GPT, region="us"), GPT),
    ]  # fmt: skip
    for near, everywhere in places:
        dear, cheap = total(near, usage), total(everywhere, usage)
        assert dear is not None
        assert cheap is not None
        assert dear == cheap * Decimal("1.1"), near.provider


def test_a_reply_that_says_it_was_served_in_a_lower_tier_is_charged_by_that():
    asked = replace(GPT, service_tier="priority")
    usage = Usage(1000, 0, 0, 0, 100, None, "provider")
    assert total(asked, usage) == Decimal("0.006")  # 4000 + 2000
    assert total(asked, usage, "default") == Decimal("0.003")  # 2000 + 1000
    assert total(replace(GEMINI, service_tier="priority"), usage, "ON_DEMAND") == Decimal("0.00225")  # 1250 + 1000
    assert isinstance(find(US, TODAY, "default/optimized"), Unknown)  # a latency of its own, and no price of it


def test_a_batch_costs_half_and_what_a_batch_is_not_priced_for_is_unknown():
    usage = Usage(1000, 0, 0, 0, 100, None, "provider")
    assert total(SONNET, usage, "batch") == total(SONNET, usage) / 2
    cached = replace(usage, cache_read_tokens=10)
    assert total(US, usage, "batch") == Decimal("0.002475")  # 1650 + 825
    assert total(US, cached, "batch") is None  # the list has no rate for cached tokens of a batch there


def test_an_amount_in_another_currency_is_converted_by_the_stated_rate_and_says_so():
    text = (
        'version: 1\ncurrency: {code: EUR, usd: "1.0850", on: 2026-11-20, source: ECB reference rate}\n'
        'rates:\n  - {door: anthropic, model: claude-sonnet-4-5, rates: {input: "2.50", output: "12"}, source: c}\n'
    )
    found = find(SONNET, TODAY, overlay=overlay_of("mine.yaml", text))
    assert isinstance(found, PriceEntry)
    assert (found.rates["input"], found.rates["output"]) == (Decimal("2.7125"), Decimal("13.02"))  # x 1.085
    assert found.rates["cache_read"] == Decimal("0.30")  # not agreed: the list, which is in USD already
    assert "1 EUR = 1.0850 USD on 2026-11-20 (ECB reference rate)" in found.note


def test_no_float_is_in_any_sum_from_the_file_to_the_total():
    """The context refuses every operation that mixes a float with a Decimal."""
    text = (
        'version: 1\ncurrency: {code: EUR, usd: "1.0850", on: 2026-11-20, source: s}\n'
        'discounts: [{off: "0.07", source: s}]\nrates:\n'
        '  - {door: openai, model: gpt-5, rates: {input: "1.1", output: "9"}, source: s}\n'
    )
    usage = Usage(1234, 567, 89, 12, 3456, None, "provider")
    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        overlay = overlay_of("floats.yaml", text)
        for entry in load_book().entries:
            listed = Unknown(entry.note) if entry.status == "unknown" else entry
            for one in (listed, overlay.effective(listed, entry.door, entry.model, entry.scope, entry.tier, TODAY)):
                if isinstance(one, PriceEntry):
                    rates = [*one.rates.values(), *(rate for band in one.bands for rate in band.rates.values())]
                    assert all(type(rate) is Decimal for rate in rates), one.id
                    found = cost(usage, one)
                    assert found.total is None or type(found.total) is Decimal
                    assert all(type(item.amount) is Decimal for item in found.items)


BENCH = Path(price.__file__).parent.parent
EXACT = [
    *sorted(BENCH.glob("price/*.py")),
    *(
        BENCH / name
        for name in (
            "money/repricing.py",
            "money/tco.py",
            "money/offer.py",
            "commands/money.py",
            "commands/reprice.py",
            "commands/tco.py",
        )
    ),
]
MONEY = re.compile(r"(^|_)(usd|cost|price|rate|rates|amount|dollars|spent)(_|$)")
ESTIMATED = (
    "stats",
    "report",
    "measured_use",
)  # intervals of money are statistics: there amounts become floats on their way in


@pytest.mark.parametrize("path", EXACT, ids=lambda path: path.name)
def test_what_holds_and_applies_a_price_has_no_float(path):
    """No literal and no conversion."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Constant) and type(node.value) is float), node.lineno
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")


def named_money(node: ast.expr) -> bool:
    names = [
        n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)
    ]
    keys = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return any(MONEY.search(name) for name in (*names, *keys))


def test_nowhere_outside_the_statistics_is_an_amount_made_a_float():
    found = [
        f"{path.relative_to(BENCH)}:{node.lineno}"
        for path in sorted(BENCH.rglob("*.py"))
        if path.relative_to(BENCH).parts[0].removesuffix(".py") not in (*ESTIMATED, "world", "simulate")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "float"
        and any(named_money(argument) for argument in node.args)
    ]
    assert found == []
    assert named_money(ast.parse("one['cost_usd']", mode="eval").body)  # it does see one
