"""The price book: exact lookups, dated entries that are only appended, and files that are checked at load."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from bench import registry
from bench.errors import ConfigError
from bench.price.book import Band, Book, PriceEntry, Unknown, canonical, digest, find, load_book
from bench.targets import Target

TODAY = date(2026, 11, 21)
BEDROCK = Target(
    "b", "claude-sonnet-4-5", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "converse", region="us-east-1"
)
FIRST = Target("a", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5-20250929", "messages")
FOUNDRY = Target("f", "claude-sonnet-4-5", "foundry", "my-deployment", "messages", sku="GlobalStandard")

LEDGER = Path(__file__).parent.parent.parent / "bench/price/data/ledger.txt"
"""One line for every entry that was ever in the book: its digest and its id. `scripts/prices.py` adds lines, and only that."""


def book(text: str, tmp_path) -> Book:
    path = tmp_path / "book.yaml"
    path.write_text(text, encoding="utf-8")
    return load_book([path])


ROW = 'valid_from: 2026-01-01, checked: 2026-01-01, source: s, status: list, rates: {input: "1", output: "2"}'


def file_of(*rows: str) -> str:
    return "version: 1\ndoor: anthropic\nsources: {s: somewhere}\nentries:\n" + "".join(
        f"  - {{{row}}}\n" for row in rows
    )


def test_entries_of_the_past_are_never_changed_or_taken_away():
    recorded = dict(reversed(line.split(" ", 1)) for line in LEDGER.read_text(encoding="utf-8").splitlines())
    now = {entry.id: digest(entry)[:32] for entry in load_book().entries}
    assert [name for name in now if name not in recorded] == [], "new entries: run scripts/prices.py"
    changed = [name for name, seal in recorded.items() if now.get(name) != seal]
    assert changed == [], "put them back, close them with valid_to, and append the new price as an entry of its own"


def test_the_first_entries_of_the_ledger_are_those_of_the_first_book():
    """The ledger itself was not written anew: these 94 were sealed by a digest of their own."""
    sealed = sorted(
        json.dumps(canonical(entry), sort_keys=True) for entry in load_book().entries if entry.checked <= TODAY
    )
    assert len(sealed) == 94
    seal = "115f691d1dd5c6ecfc252a4c94ef02a509fa2bb34a8ee3182c6556929c282a4c"
    assert hashlib.sha256("\n".join(sealed).encode()).hexdigest() == seal


def test_a_changed_rate_or_source_or_day_of_checking_changes_the_digest():
    one = load_book().entries[0]
    others = [
        replace(one, rates={**one.rates, "input": one.rates["input"] + Decimal("0.000001")}),
        replace(one, source=one.source + "."),
        replace(one, checked=date(2026, 11, 23)),
        replace(one, status="estimate"),
        replace(one, bands=(Band(1, one.rates),)),
    ]
    assert len({digest(entry) for entry in (one, *others)}) == 6
    assert digest(replace(one, valid_to=TODAY)) == digest(one)  # closing says nothing new of the past


def test_every_entry_has_a_source_a_day_and_sane_rates():
    for entry in load_book().entries:
        assert entry.source, entry.id
        assert entry.checked >= min(entry.valid_from, TODAY), entry.id
        if entry.status != "list":
            assert entry.note, entry.id
        if entry.status == "unknown":
            assert not entry.rates
            continue
        for rates in (entry.rates, *(band.rates for band in entry.bands)):
            assert all(type(rate) is Decimal and rate > 0 for rate in rates.values()), entry.id
            assert rates["input"] < rates["output"], entry.id
            assert rates.get("cache_read", Decimal(0)) < rates["input"] or entry.tier != "default", entry.id
            assert rates.get("cache_write_5m", rates["input"] * 2) > rates["input"], entry.id
            long = rates.get("cache_write_1h")
            assert long in (None, 2 * rates["input"], Decimal("2.5") * rates["input"]), entry.id
        for low, high in pairwise((entry.rates, *(band.rates for band in entry.bands))):
            assert all(high[name] >= rate for name, rate in low.items() if name in high), entry.id


def test_every_model_of_the_registry_has_an_entry_at_every_door_that_has_it():
    """A price, or the reason why there is none: nothing is simply missing."""
    gaps = []
    for model in registry.models():
        for door, about in registry.doors().items():
            at = registry.lookup(model, door)
            gone = at is not None and registry.retired(at, TODAY)
            if at is not None and not about.any_model and not gone and not load_book().at(door, model):
                gaps.append((door, model))
    assert gaps == []


def test_every_inference_profile_of_the_registry_has_an_entry_for_every_tier_of_the_door():
    for model in registry.models():
        at = registry.lookup(model, "bedrock")
        if at is None:
            continue
        have = {(entry.scope, entry.tier) for entry in load_book().at("bedrock", model)}
        wanted = {
            (scope, tier)
            for scope in (*at.profiles, "in-region")
            for tier in ("default", "batch", "priority", "flex", "reserved")
        }
        assert wanted <= have, (model, sorted(wanted - have))


def test_every_current_model_has_a_price_at_every_door_of_the_five():
    places = {
        "anthropic": {},
        "bedrock": {"region": "us-east-1"},
        "vertex": {"region": "global"},
        "foundry": {"sku": "GlobalStandard"},
    }
    for model in [name for name in registry.models() if name.startswith("claude-")]:
        for door, where in places.items():
            entry = registry.lookup(model, door)
            assert entry is not None
            if registry.retired(entry, TODAY):
                continue
            model_id = registry.model_id(entry, where.get("region"))
            assert model_id is not None
            found = find(Target("t", model, door, model_id, "messages", **where), TODAY)
            assert isinstance(found, PriceEntry), (model, door, found)


@pytest.mark.parametrize(
    ("target", "entry_id", "rate"),
    [
        (FIRST, "anthropic/claude-sonnet-4-5/global/default@2026-11-21", "3"),
        (replace(FIRST, model_id="claude-sonnet-4-5"), "anthropic/claude-sonnet-4-5/global/default@2026-11-21", "3"),
        (BEDROCK, "bedrock/claude-sonnet-4-5/us/default@2026-11-21", "3.30"),
        (
            replace(BEDROCK, model_id="global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            "bedrock/claude-sonnet-4-5/global/default@2026-11-21",
            "3",
        ),
        (FOUNDRY, "foundry/claude-sonnet-4-5/globalstandard/default@2026-11-21", "3"),
        (replace(FOUNDRY, sku="Global Standard"), "foundry/claude-sonnet-4-5/globalstandard/default@2026-11-21", "3"),
        (
            Target("v", "claude-sonnet-5-5", "vertex", "claude-sonnet-5-5", "messages", region="us-east5"),
            "vertex/claude-sonnet-5-5/regional/default@2026-11-21",
            "2.20",
        ),
        (
            Target("v", "claude-sonnet-5-5", "vertex-grpc", "claude-sonnet-5-5@default", "messages", region="global"),
            "vertex/claude-sonnet-5-5/global/default@2026-11-21",
            "2",
        ),
        (
            Target(
                "g", "claude-opus-5-5", "anthropic", "claude-opus-5-5", "messages",
                params={"extra_body": {"inference_geo": "us"}},
            ),
            "anthropic/claude-opus-5-5/us/default@2026-11-21",
            "4.40",
        ),
        (
            Target(
                "g", "claude-opus-5-5", "anthropic", "claude-opus-5-5", "messages",
                params={"extra_body": {"speed": "fast"}},
            ),
            "anthropic/claude-opus-5-5/global/fast@2026-11-21",
            "8",
        ),
        (
            Target(
                "m", "claude-opus-5-5", "bedrock-mantle", "anthropic.claude-opus-5-5", "messages",
                region="us-gov-west-1",
            ),
            "bedrock-mantle/claude-opus-5-5/us-gov/default@2026-11-21",
            "4.80",
        ),
    ],
)  # fmt: skip
def test_a_target_is_priced_by_its_own_door_scope_and_tier(target, entry_id, rate):
    found = find(target, TODAY)
    assert isinstance(found, PriceEntry)
    assert (found.id, found.rates["input"]) == (entry_id, Decimal(rate))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (replace(BEDROCK, model_id="anthropic.claude-sonnet-4-5-20250929-v1:0"), "the sources disagree"),
        (replace(BEDROCK, model_id="us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"), "the sources disagree"),
        (replace(BEDROCK, model_id="apac.anthropic.claude-sonnet-4-5-20250929-v1:0"), "no price of .* scope apac"),
        (
            replace(BEDROCK, model_id="arn:aws:bedrock:us-east-1:1:application-inference-profile/x"),
            "does not say which",
        ),
        (replace(BEDROCK, model_id="us.anthropic.claude-opus-4-1-20250805-v1:0"), "is not the id of claude-sonnet-4-5"),
        (replace(BEDROCK, service_tier="priority"), "tier priority: a stored copy of AWS's list"),
        (replace(BEDROCK, service_tier="flex"), "tier flex"),
        (replace(FIRST, model_id="claude-haiku-4-5"), "is not the id of claude-sonnet-4-5 at anthropic"),
        (replace(FIRST, region="us"), "inference_geo does not ask for it"),
        (replace(FIRST, params={"extra_body": {"inference_geo": "us"}}), "scope us"),
        (replace(FOUNDRY, sku=None), "say sku"),
        (replace(FOUNDRY, sku="ProvisionedManaged"), "tier provisioned, is paid by the hour"),
        (
            replace(FOUNDRY, model="claude-sonnet-5-5", sku="DataZoneStandard"),
            "no source states the price of a Data Zone deployment",
        ),
        (
            Target("o", "claude-sonnet-5-5", "openai-compatible", "claude-sonnet-5-5", "chat"),
            "no prices for openai-compatible: state them, e.g. price: {input: 2.00, output: 10.00}",
        ),
        (Target("o", "gpt-5", "openai", "gpt-5", "chat", service_tier="scale"), "bought as capacity"),
        (Target("o", "gpt-5", "openai", "gpt-5", "chat", service_tier="ultrafast"), "it has default, flex, priority"),
        (Target("o", "gpt-5", "azure-openai", "mine", "chat"), "say sku"),
        (Target("o", "gpt-5", "azure-openai", "mine", "chat", sku="DataZoneStandard"), "no region names none"),
        (
            Target("o", "gpt-5", "azure-openai", "mine", "chat", sku="DataZoneStandard", region="uksouth"),
            "the region uksouth names none: say region: us or region: eu",
        ),
        (Target("o", "gpt-5", "azure-openai", "mine", "chat", sku="Standard"), "no source states"),
        (
            Target("o", "gpt-5", "azure-openai", "mine", "chat", sku="GlobalProvisionedManaged"),
            "tier provisioned, is paid by the hour and not by the token: state it as capacity",
        ),
        (
            Target(
                "g",
                "gemini-2.5-pro",
                "gemini-vertex",
                "gemini-2.5-pro",
                "gemini",
                region="global",
                service_tier="dedicated",
            ),
            "tier provisioned",
        ),
        (Target("x", "m", "acme", "m", "chat"), "no prices for acme"),
        (
            Target(
                "c",
                "claude-sonnet-5-5",
                "claude-gcp",
                "claude-sonnet-5-5",
                "messages",
                region="global",
                service_tier="priority",
            ),
            "no source states the price of this tier",
        ),
    ],
)
def test_what_does_not_match_exactly_is_unknown_with_a_reason(target, reason):
    found = find(target, TODAY)
    assert isinstance(found, Unknown)
    assert re.search(reason.replace("{", r"\{"), found.reason), found.reason


def test_nothing_is_claimed_of_days_before_the_sources_were_read():
    found = find(FIRST, date(2026, 11, 20))
    assert isinstance(found, Unknown)
    assert (
        "no price of claude-sonnet-4-5 at anthropic, scope global on 2026-11-20 (its first is of 2026-11-21)"
        in found.reason
    )


def test_the_lane_that_the_reply_names_stands_above_the_one_asked_for():
    asked = replace(BEDROCK, service_tier="priority")
    served = find(asked, TODAY, lane="default")
    assert isinstance(served, PriceEntry)
    assert served.tier == "default"
    assert isinstance(find(BEDROCK, TODAY, lane="priority"), Unknown)
    assert isinstance(find(FIRST, TODAY, lane="standard"), PriceEntry)


SERVED = [
    # the lane that the reply named -> scope and tier that are charged
    ("standard/us", "us", "default"),
    ("standard/global", "global", "default"),
    ("us", "us", "default"),
    ("standard/fast", "global", "fast"),
    ("standard", "global", "default"),
]


@pytest.mark.parametrize(("lane", "scope", "tier"), SERVED)
def test_a_reply_that_names_its_tier_and_its_geography_is_charged_by_both(lane, scope, tier):
    asked = Target("t", "claude-opus-5-5", "anthropic", "claude-opus-5-5", "messages")
    found = find(asked, TODAY, lane=lane)
    assert isinstance(found, PriceEntry)
    assert (found.scope, found.tier) == (scope, tier)


def test_a_discount_is_taken_off_every_rate_and_named():
    found = find(replace(FIRST, price={"book": "list", "discount": "0.12"}), TODAY)
    assert isinstance(found, PriceEntry)
    # 3 x 0.88, 0.3 x 0.88, 3.75 x 0.88, 6 x 0.88, 15 x 0.88
    assert {name: str(rate) for name, rate in found.rates.items()} == {
        "input": "2.64", "cache_read": "0.264", "cache_write_5m": "3.3", "cache_write_1h": "5.28", "output": "13.2",
    }  # fmt: skip
    assert found.id == "anthropic/claude-sonnet-4-5/global/default@2026-11-21 less 12%"
    assert found.status == "negotiated"
    assert found.note.startswith("list price less 0.12")


def test_a_discount_on_an_unknown_price_is_unknown():
    assert isinstance(find(replace(FOUNDRY, sku=None, price={"discount": "0.1"}), TODAY), Unknown)


def test_explicit_terms_are_used_at_any_door_and_on_any_day():
    gateway = Target("gw", "llama", "openai-compatible", "llama", "chat", price={"input": "2.00", "output": "10.00"})
    found = find(gateway, date(2020, 1, 1))
    assert isinstance(found, PriceEntry)
    assert (found.id, found.status) == ("targets.yaml/gw", "negotiated")
    assert found.rates == {"input": Decimal("2.00"), "output": Decimal("10.00")}


def test_a_price_changes_on_its_day_and_yesterday_keeps_its_own(tmp_path):
    old = ROW.replace("checked", "valid_to: 2026-12-31, checked")
    new = ROW.replace("valid_from: 2026-01-01", "valid_from: 2027-01-01").replace('"1"', '"9"')
    own = book(
        file_of(
            f"model: claude-sonnet-4-5, scopes: [global], {old}", f"model: claude-sonnet-4-5, scopes: [global], {new}"
        ),
        tmp_path,
    )
    rates = [
        find(FIRST, day, book=own).rates["input"] for day in (date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1))
    ]
    assert rates == [Decimal(1), Decimal(1), Decimal(9)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [f"model: m, scopes: [a], {ROW}", f"model: m, scopes: [b, a], {ROW}"],
            "days that anthropic/m/a/default@2026-01-01 holds",
        ),
        ([f"model: m, scopes: [a], {ROW}, valid_to: 2025-01-01"], "a day from 2026-01-01 on"),
        ([f"model: m, scopes: [a], {ROW}".replace('"1"', "1")], 'text in quotes, so that no digit is lost: "1"'),
        ([f"model: m, scopes: [a], {ROW}".replace('"1"', "1.5")], "text in quotes"),
        ([f"model: m, scopes: [a], {ROW}".replace('"1"', '"1e3"')], "USD per million tokens"),
        ([f"model: m, scopes: [a], {ROW}".replace('"1"', '"-1"')], "USD per million tokens"),
        ([f"model: m, scopes: [a], {ROW}".replace('"1"', '"0.1234567"')], "at most six decimal places"),
        ([f"model: m, scopes: [a], {ROW}, tear: x"], "want tier"),
        ([f"model: m, scopes: [], {ROW}"], "at least 1"),
        ([f"model: m, scopes: [a], {ROW}".replace("source: s", "source: t")], "one of s"),
        ([f"model: m, scopes: [a], {ROW}".replace("list", "estimate")], "a sentence that says why"),
        ([f"model: m, scopes: [a], {ROW}, note: n".replace("list", "unknown")], "no rates where the price is unknown"),
        (
            ["model: m, scopes: [a], valid_from: 2026-01-01, checked: 2026-01-01, source: s, status: list"],
            "rates, or status: unknown",
        ),
        ([f"model: m, scopes: [a], {ROW}".replace('"1", output', '"1", ouput')], "want output"),
        (
            [f'model: m, scopes: [a], {ROW}, bands: [{{above_input_tokens: 2, rates: {{input: "1", output: "1"}}}}, '
             f'{{above_input_tokens: 1, rates: {{input: "1", output: "1"}}}}]'],
            "bounds that rise",
        ),
    ],
)  # fmt: skip
def test_a_book_that_contradicts_itself_is_refused_with_its_line(rows, said, tmp_path):
    with pytest.raises(ConfigError) as caught:
        book(file_of(*rows), tmp_path)
    assert said in str(caught.value)
    assert f"book.yaml:{4 + len(rows)}:" in str(caught.value)


def test_books_of_several_files_may_not_overlap_either(tmp_path):
    paths = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    for path in paths:
        path.write_text(file_of(f"model: m, scopes: [a], {ROW}"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"two\.yaml:5: entries\[0\]\.valid_from"):
        load_book(paths)


def test_equal_books_have_equal_digests_and_other_rates_another(tmp_path):
    one = book(file_of(f"model: m, scopes: [a], {ROW}"), tmp_path)
    same = book(file_of(f"model: m, scopes: [a], {ROW}"), tmp_path)
    other = book(file_of(f"model: m, scopes: [a], {ROW}".replace('"1"', '"1.01"')), tmp_path)
    assert one.sha256 == same.sha256 != other.sha256
    assert [entry.id for entry in one.for_model("m")] == ["anthropic/m/a/default@2026-01-01"]
    assert one.for_model("n") == ()
