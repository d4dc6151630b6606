"""Costs at every door, worked by hand from the rates of its price list: amounts in millionths of a dollar in the comments."""

from datetime import date
from decimal import Decimal

import pytest

from bench import registry
from bench.price.book import PriceEntry, Unknown, find
from bench.price.cost import cost
from bench.record import Usage
from bench.targets import Target

TODAY = date(2026, 11, 22)


def at(door: str, model: str, region: str | None = None, **more) -> Target:
    """A target with the id that the registry gives it."""
    entry = registry.lookup(model, door)
    assert entry is not None
    model_id = more.pop("model_id", None) or registry.model_id(entry, region)
    return Target("t", model, door, model_id, entry.dialect or "messages", region=region, **more)


def used(i=0, o=0, read=0, w5=0, w1=0, thought=None) -> Usage:
    return Usage(i, read, w5, w1, o, thought, "provider")


ZONE = {"sku": "DataZoneStandard"}
GLOBAL = {"sku": "GlobalStandard"}

WORKED = [
    # OpenAI: gpt-6.1-sol 2 / 10, cached 0.10, a write for half an hour 2.50, for twelve hours 5
    (at("openai", "gpt-6.1-sol"), None, used(1000, 500), "0.007"),  # 2000 + 5000
    (at("openai", "gpt-6.1-sol"), None, used(1000, 500, read=4000), "0.0074"),  # + 4000 x 0.10 = 400
    (at("openai", "gpt-6.1-sol"), None, used(w5=1000, w1=1000), "0.0075"),  # 2500 + 5000
    (at("openai", "gpt-6.1-sol", service_tier="flex"), None, used(1000, 500), "0.0035"),  # 1000 + 2500
    (at("openai", "gpt-6.1-sol", service_tier="priority"), None, used(1000, 500), "0.014"),  # 4000 + 10000
    (at("openai", "gpt-6.1-sol", service_tier="fast"), None, used(1000, 500), "0.014"),  # another word for priority
    (at("openai", "gpt-6.1-sol"), "batch", used(1000, 500), "0.0035"),  # half
    (at("openai", "gpt-6.1-sol", "eu"), None, used(1000, 500), "0.0077"),  # residency: 2200 + 5500
    (at("openai", "gpt-5", "eu"), None, used(1000, 500), "0.00625"),  # released before the uplift: 1250 + 5000
    (at("openai", "gpt-5-nano"), None, used(1, 1), "0.00000045"),  # 0.05 + 0.40
    (at("openai", "gpt-5.6-sol"), None, used(100, 100), "0.0024"),  # 400 + 2000: the price since 2026-08-21
    # the bound of the long context: gpt-5.4 2.50 / 15, above 272,000 5 / 22.50
    (at("openai", "gpt-5.4"), None, used(272_000, 100), "0.6815"),  # 680000 + 1500
    (at("openai", "gpt-5.4"), None, used(272_001, 100), "1.362255"),  # 1360005 + 2250
    (at("openai", "gpt-5.4"), None, used(1, 0, read=272_000), "0.136005"),  # 5 + 272000 x 0.50 = 136000
    # Azure: the kind of deployment and its zone
    (at("azure-openai", "gpt-6.1-sol", **GLOBAL), None, used(1000, 500), "0.007"),  # 2000 + 5000
    (at("azure-openai", "gpt-6.1-sol", "eastus2", **ZONE), None, used(1000, 500), "0.0077"),  # US: + 10 %
    (at("azure-openai", "gpt-6.1-sol", "swedencentral", **ZONE), None, used(1000, 500), "0.0084"),  # EU: 2400 + 6000
    (at("azure-openai", "gpt-5", "eu", **ZONE), None, used(1000, 500), "0.006875"),  # EU: 1375 + 5500
    (at("azure-openai", "gpt-5", **GLOBAL, service_tier="priority"), None, used(1000, 500), "0.0125"),  # 2500 + 10000
    (at("azure-openai", "gpt-5", sku="GlobalBatch"), None, used(1000, 500), "0.003125"),  # 625 + 2500
    (at("azure-openai", "gpt-5.4", "us", sku="DataZoneBatch"), None, used(1000, 500), "0.0055"),  # 1375 + 4125
    # OpenAI's models on Bedrock: in a region and by the us profile 10 % above global
    (at("openai-bedrock", "gpt-6-astra", "us-east-1"), None, used(1000, 500), "0.0385"),  # 11000 + 27500
    (
        at("openai-bedrock", "gpt-6-astra", "us-east-1", model_id="global.openai.gpt-6-astra"),
        None, used(1000, 500), "0.035",
    ),  # 10000 + 25000
    (
        at("openai-bedrock", "gpt-oss-120b", "us-west-2", model_id="openai.gpt-oss-120b-1:0", service_tier="flex"),
        None, used(1000, 500), "0.000225",
    ),  # 75 + 150
    (at("openai-bedrock", "gpt-oss-20b", "us-west-2", service_tier="priority"), None, used(1000, 500), "0.000385"),
    # 122.5 + 262.5
    (at("openai-bedrock", "gpt-oss-120b", "us-gov-west-1"), None, used(1000, 500), "0.00054"),  # 180 + 360
    # and on Vertex
    (at("openai-vertex", "gpt-oss-120b", "global"), None, used(1000, 500), "0.00027"),  # 90 + 180
    (at("openai-vertex", "gpt-oss-20b", "global"), None, used(1000, 500, read=1000), "0.000202"),  # 70 + 7 + 125
    # Gemini: thoughts are in the output count already; 3.8-flash 0.75 / 3.75 until the end of 2026
    (at("gemini-vertex", "gemini-3.8-flash", "global"), None, used(1000, 800, thought=300), "0.00375"),  # 750 + 3000
    (at("gemini-vertex", "gemini-3.8-flash", "us-central1"), None, used(1000, 800), "0.004125"),  # 825 + 3300
    (at("vertex-grpc", "gemini-3.8-flash", "global"), None, used(1000, 800), "0.00375"),  # the same over gRPC
    (at("gemini-vertex", "gemini-3.8-flash", "global"), "ON_DEMAND_FLEX", used(1000, 800), "0.001875"),  # 375 + 1500
    (at("gemini-vertex", "gemini-3.8-flash", "global"), "ON_DEMAND_PRIORITY", used(1000, 800), "0.00675"),  # x 1.8
    (at("gemini-vertex", "gemini-2.5-pro", "global"), None, used(200_000, 10, read=0), "0.2501"),  # 250000 + 100
    (at("gemini-vertex", "gemini-2.5-pro", "global"), None, used(1, 10, read=200_000), "0.0501525"),  # 2.5+50000+150
    (at("gemini-vertex", "gemini-2.5-flash", "global"), None, used(1000, 100, read=9000), "0.00082"),  # 300+270+250
    # Claude: Anthropic's batch, and its own service at Google
    (at("anthropic", "claude-haiku-5-5"), "batch", used(100_001, 1000), "0.02625025"),  # 100001 x .25 + 1000 x 1.25
    (at("claude-gcp", "claude-opus-5-5", "global"), None, used(1000, 1000), "0.024"),  # 4000 + 20000
    (
        at("claude-gcp", "claude-opus-5-5", "global", params={"extra_body": {"inference_geo": "us"}}),
        None, used(1000, 1000), "0.0264",
    ),  # 4400 + 22000
    (at("claude-aws", "claude-sonnet-5-5", "us-west-2"), "batch/us", used(1000, 500), "0.00385"),  # 1100 + 2750
    (at("bedrock", "claude-sonnet-4-5", "eu-west-1"), "batch", used(1000, 500), "0.005775"),  # 1650 + 4125
]  # fmt: skip


@pytest.mark.parametrize(("target", "lane", "usage", "total"), WORKED)
def test_a_cost_is_what_a_person_works_out(target, lane, usage, total):
    entry = find(target, TODAY, lane)
    assert isinstance(entry, PriceEntry), entry
    found = cost(usage, entry)
    assert found.total == Decimal(total), found
    assert sum((item.amount for item in found.items), Decimal(0)) == found.total


def test_the_worked_examples_are_of_many_doors_models_places_and_tiers():
    entries = [find(target, TODAY, lane) for target, lane, _, _ in WORKED]
    assert len({(e.door, e.model, e.scope, e.tier) for e in entries if isinstance(e, PriceEntry)}) >= 25
    everywhere = {name for name, door in registry.doors().items() if not door.any_model}
    elsewhere = {"vertex", "bedrock-mantle", "foundry"}  # worked in test_price_cost
    assert {target.provider for target, _, _, _ in WORKED} == everywhere - elsewhere


def test_a_price_that_is_announced_holds_from_its_day_on():
    target = at("gemini-vertex", "gemini-3.8-flash", "global")
    last, first = (find(target, day) for day in (date(2026, 12, 31), date(2027, 1, 1)))
    assert isinstance(last, PriceEntry)
    assert isinstance(first, PriceEntry)
    assert (last.rates["input"], first.rates["input"]) == (Decimal("0.75"), Decimal("1.50"))
    assert cost(used(1000, 800), first).total == Decimal("0.0075")  # 1500 + 6000


def test_a_price_cut_holds_from_the_day_that_its_source_states():
    target = at("openai", "gpt-5.6-sol")
    assert isinstance(find(target, date(2026, 8, 21)), PriceEntry)
    before = find(target, date(2026, 8, 20))
    assert isinstance(before, Unknown)
    assert "on 2026-08-20 (its first is of 2026-08-21)" in before.reason


def test_at_bedrocks_in_region_scope_the_disputed_price_of_claude_stays_unknown():
    target = at("bedrock", "claude-opus-5-5", "us-east-1", model_id="anthropic.claude-opus-5-5")
    found = find(target, TODAY)
    assert isinstance(found, Unknown)
    assert "the sources disagree" in found.reason
