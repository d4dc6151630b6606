"""The user's own price file: what it changes, what it leaves, and what is refused in it."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from bench.errors import ConfigError
from bench.price.book import PriceEntry, Unknown, find
from bench.price.overlay import load_overlay, overlay_of
from bench.price.terms import PricesFile, json_schema
from bench.targets import Target, load_targets

TODAY = date(2026, 11, 22)
FIRST = Target("a", "claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "messages")
HAIKU = Target("h", "claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "messages")
AZURE = Target("z", "gpt-6-sol", "azure-openai", "mine", "chat", sku="GlobalProvisionedManaged")


def mine(text: str):
    return overlay_of("mine.yaml", f"version: 1\n{text}")


def paid(target: Target, text: str, on: date = TODAY) -> PriceEntry:
    found = find(target, on, overlay=mine(text))
    assert isinstance(found, PriceEntry), found
    return found


def rates_of(entry: PriceEntry) -> dict[str, str]:
    return {name: str(rate) for name, rate in entry.rates.items()}


LIST = {"input": "2", "cache_read": "0.10", "cache_write_5m": "2.50", "cache_write_1h": "4", "output": "10"}


def test_the_list_stands_beside_every_price_that_is_paid():
    entry = paid(FIRST, 'discounts: [{off: "0.1", source: c}]')
    listed = entry.list_price
    assert isinstance(listed, PriceEntry)
    assert rates_of(listed) == LIST
    assert (listed.status, entry.status) == ("list", "negotiated")
    plain = find(FIRST, TODAY)
    assert isinstance(plain, PriceEntry)
    assert plain.list_price is plain  # where nothing was agreed, what is paid is the list


def test_a_discount_is_taken_off_the_classes_doors_and_models_it_names():
    text = 'discounts: [{doors: [anthropic], models: ["claude-sonnet-*"], classes: [input, output], off: "0.12", source: c}]'
    # 2 x 0.88 and 10 x 0.88; the cache keeps its list price
    assert rates_of(paid(FIRST, text)) == {**LIST, "input": "1.76", "output": "8.8"}
    assert paid(FIRST, text).note == "12% off: c"
    assert find(HAIKU, TODAY, overlay=mine(text)) is find(HAIKU, TODAY).list_price
    elsewhere = replace(FIRST, provider="claude-aws", region="us-west-2")
    assert find(elsewhere, TODAY, overlay=mine(text)).status == "list"


def test_of_several_discounts_the_first_that_fits_is_taken_and_they_do_not_add_up():
    text = 'discounts:\n  - {classes: [output], off: "0.5", source: one}\n  - {off: "0.1", source: two}\n'
    entry = paid(FIRST, text)
    assert (entry.rates["output"], entry.rates["input"]) == (Decimal(5), Decimal("1.8"))
    assert entry.note == "10% off: two; 50% off: one"


def test_a_discount_holds_in_its_days_only():
    text = 'discounts: [{off: "0.5", valid_from: 2026-11-22, valid_to: 2026-11-30, source: c}]'
    assert [find(FIRST, day, overlay=mine(text)).status for day in (
        date(2026, 11, 21), date(2026, 11, 22), date(2026, 11, 30), date(2026, 12, 1))
    ] == ["list", "negotiated", "negotiated", "list"]  # fmt: skip


def test_a_discount_for_one_tier_leaves_the_others():
    text = 'discounts: [{tiers: [batch], off: "0.5", source: c}]'
    assert find(FIRST, TODAY, overlay=mine(text)).status == "list"
    batch = find(FIRST, TODAY, "batch", overlay=mine(text))
    assert isinstance(batch, PriceEntry)
    assert batch.rates["input"] == Decimal("0.5")  # half of the batch's 1


def test_a_negotiated_rate_stands_above_a_discount_and_what_it_leaves_out_is_discounted():
    text = (
        'discounts: [{off: "0.1", source: two}]\n'
        'rates: [{door: anthropic, model: claude-sonnet-5-5, rates: {input: "1.50"}, source: one}]\n'
    )
    assert rates_of(paid(FIRST, text)) == {
        "input": "1.50", "cache_read": "0.09", "cache_write_5m": "2.25", "cache_write_1h": "3.6", "output": "9",
    }  # fmt: skip


def test_a_discount_reaches_the_long_context_band_and_a_negotiated_rate_holds_at_any_length():
    (band,) = paid(HAIKU, 'discounts: [{off: "0.1", source: c}]').bands
    assert (band.above_input_tokens, band.rates["input"]) == (100_000, Decimal("0.45"))  # 0.50 x 0.9
    flat = 'rates: [{door: anthropic, model: claude-haiku-5-5, rates: {input: "0.09"}, source: c}]'
    (band,) = paid(HAIKU, flat).bands
    assert band.rates["input"] == Decimal("0.09")
    own = (
        'rates:\n  - {door: anthropic, model: claude-haiku-5-5, rates: {input: "0.09"}, source: c,\n'
        '     bands: [{above_input_tokens: 50000, rates: {input: "0.2"}}]}\n'
    )
    (band,) = paid(HAIKU, own).bands
    assert (band.above_input_tokens, band.rates["input"], band.rates["output"]) == (
        50_000,
        Decimal("0.2"),
        Decimal("0.50"),
    )


def test_a_negotiated_rate_fills_what_the_list_does_not_know_if_it_says_enough():
    zone = Target("f", "claude-opus-5-5", "foundry", "mine", "messages", sku="DataZoneStandard")
    assert isinstance(find(zone, TODAY), Unknown)
    some = mine('rates: [{door: foundry, model: claude-opus-5-5, rates: {input: "4"}, source: c}]')
    short = find(zone, TODAY, overlay=some)
    assert isinstance(short, Unknown)
    assert "mine.yaml has no rate for both input and output" in short.reason
    both = mine('rates: [{door: foundry, model: claude-opus-5-5, rates: {input: "4", output: "20"}, source: c}]')
    found = find(zone, TODAY, overlay=both)
    assert isinstance(found, PriceEntry)
    assert found.rates == {"input": Decimal(4), "output": Decimal(20)}
    assert isinstance(found.list_price, Unknown)


def test_a_gateways_model_may_be_priced_though_no_registry_has_it():
    gateway = Target("g", "llama-9", "openai-compatible", "llama-9", "chat")
    text = 'rates: [{door: openai-compatible, model: llama-9, rates: {input: "1", output: "2"}, source: c}]'
    assert rates_of(paid(gateway, text)) == {"input": "1", "output": "2"}


def test_the_targets_own_terms_stand_above_the_file():
    own = replace(FIRST, price={"input": "1", "output": "4"})
    entry = paid(own, 'discounts: [{off: "0.5", source: c}]')
    assert rates_of(entry) == {"input": "1", "output": "4"}
    assert isinstance(entry.list_price, PriceEntry)
    assert rates_of(entry.list_price) == LIST


def test_capacity_is_paid_by_the_hour_and_gives_no_price_per_token():
    overlay = mine(
        'currency: {code: EUR, usd: "1.10", on: 2026-11-20, source: ECB}\n'
        'capacity: [{door: azure-openai, models: ["gpt-6-*"], scopes: [globalstandard], unit: PTU, units: 50,\n'
        '            per_unit_hour: "0.90", term: month, source: r}]\n'
    )
    (bought,) = overlay.capacity("azure-openai", "gpt-6-sol", "globalstandard", TODAY)
    assert (bought.usd_per_unit_hour, bought.usd_per_hour, bought.term) == (Decimal("0.99"), Decimal("49.5"), "month")
    assert overlay.capacity("azure-openai", "gpt-6-sol", "standard", TODAY) == ()
    assert overlay.capacity("azure-openai", "gpt-5", None, TODAY) == ()
    found = find(AZURE, TODAY, overlay=overlay)
    assert isinstance(found, Unknown)
    assert "is paid by the hour and not by the token" in found.reason


def test_committed_spend_is_in_dollars_and_in_its_days():
    overlay = mine(
        'commitments: [{name: edp, doors: [bedrock], amount: "500000", period: year, valid_to: 2026-12-31, source: c}]'
    )
    (one,) = overlay.commitments(TODAY)
    assert (one.name, one.amount_usd, one.period) == ("edp", Decimal(500000), "year")
    assert overlay.commitments(date(2027, 1, 1)) == ()


WRONG = """\
version: 1
currency: {code: euro, usd: "0", on: 2026-11-20, source: ECB}
discounts:
  - {doors: [bedrok], models: ["claud-*"], off: "0.12", source: c}
  - {off: 0.12, source: c}
  - {off: "1", source: c}
  - {off: "0.1"}
  - {off: "0.1", classes: [inputs], source: c}
rates:
  - {door: anthropic, model: claude-sonnet-5-5, rates: {}, source: c}
commitments:
  - {name: n, doors: [bedrock], amount: "1e6", period: decade, source: c}
capacity:
  - {door: azure-openai, models: [gpt-5], unit: PTU, units: 0, per_unit_hour: "1", term: month, source: c}
extra: 1
"""


def test_everything_wrong_in_form_is_told_at_once_with_its_line(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(WRONG, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_overlay(path)
    told = str(caught.value).replace(str(tmp_path), "")
    for said in (
        "prices.yaml:2: currency.code",
        "prices.yaml:2: currency.usd",
        'prices.yaml:5: discounts[1].off: got 0.12; want text in quotes, so that no digit is lost: "0.12"',
        'prices.yaml:6: discounts[2].off: got "1"; want a part of the price, above 0 and below 1',
        "prices.yaml:7: discounts[3].source",
        "prices.yaml:8: discounts[4].classes[0]",
        "prices.yaml:12: commitments[0].amount",
        "prices.yaml:12: commitments[0].period",
        "prices.yaml:14: capacity[0].units",
        "prices.yaml:15: extra",
    ):
        assert said in told, (said, told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('discounts: [{doors: [bedrok], off: "0.1", source: c}]', 'doors: got "bedrok"; want bedrock'),
        ('discounts: [{models: ["claud-*"], off: "0.1", source: c}]', 'models: got "claud-*"; want'),
        ('rates: [{door: openai, model: gpt-55, rates: {input: "1"}, source: c}]', 'model: got "gpt-55"; want gpt-5.5'),
        ("rates: [{door: openai, model: gpt-5, rates: {}, source: c}]", "got no rate; want at least one"),
        (
            'discounts: [{off: "0.1", valid_from: 2026-02-01, valid_to: 2026-01-01, source: c}]',
            "valid_to: got 2026-01-01; want a day from 2026-02-01 on",
        ),
        (
            'rates:\n  - {door: openai, model: gpt-5, rates: {input: "1"}, source: c}\n'
            '  - {door: openai, model: gpt-5, scopes: [us], rates: {input: "2"}, source: c}',
            "rates[1]: got the same price on days that rates[0] holds",
        ),
        (
            'rates: [{door: openai, model: gpt-5, rates: {input: "1"}, source: c, bands: '
            '[{above_input_tokens: 2, rates: {input: "1"}}, {above_input_tokens: 1, rates: {input: "1"}}]}]',
            "want bounds that rise",
        ),
        ('capacity: [{door: "azure*", models: [gpt-5], unit: PTU, units: 1, per_unit_hour: "1", term: month, source: c}]',
         'capacity[0].door: got "azure*"; want one of anthropic'),
    ],
)  # fmt: skip
def test_what_contradicts_itself_or_fits_nothing_is_refused(text, said):
    with pytest.raises(ConfigError) as caught:
        mine(text)
    assert said in str(caught.value)


def test_the_same_price_on_days_apart_is_no_contradiction():
    text = (
        'rates:\n  - {door: anthropic, model: claude-sonnet-5-5, rates: {input: "1"}, valid_to: 2026-11-30, source: c}\n'
        '  - {door: anthropic, model: claude-sonnet-5-5, rates: {input: "2.5"}, valid_from: 2026-12-01, source: c}\n'
    )
    assert paid(FIRST, text).rates["input"] == Decimal(1)
    assert paid(FIRST, text, date(2026, 12, 1)).rates["input"] == Decimal("2.5")


def test_targets_name_their_price_file_and_every_target_carries_it(tmp_path):
    (tmp_path / "prices.yaml").write_text('version: 1\ndiscounts: [{off: "0.5", source: c}]\n', encoding="utf-8")
    listed = tmp_path / "targets.yaml"
    row = "  - {id: a, model: claude-sonnet-5-5, provider: anthropic}\n"
    listed.write_text(f"version: 1\nprices: prices.yaml\ntargets:\n{row}", encoding="utf-8")
    (target,) = load_targets(listed)
    found = find(target, TODAY)
    assert isinstance(found, PriceEntry)
    assert found.rates["input"] == Decimal(1)
    (tmp_path / "prices.yaml").write_text("version: 1\n", encoding="utf-8")
    assert find(target, TODAY).rates["input"] == Decimal(1)  # as it was when the run began
    assert "discounts" not in repr(target)


def test_a_price_file_that_is_not_there_is_a_problem_of_the_line_that_names_it(tmp_path):
    listed = tmp_path / "targets.yaml"
    row = "  - {id: a, model: claude-sonnet-5-5, provider: anthropic}\n"
    listed.write_text(f"version: 1\nprices: nowhere.yaml\ntargets:\n{row}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"targets\.yaml:2: prices: nowhere\.yaml cannot be read"):
        load_targets(listed)


def test_the_json_schema_knows_every_key():
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["properties"]) == set(PricesFile.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Discount"]["properties"]["off"]["type"] == "string"
