"""The second opinion: its fallbacks are rejected, its figures are compared, and where both know a price both charge the same."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import data_snapshot
from genai_prices.data import providers

from bench.price import second_opinion
from bench.price.book import PriceEntry, Unknown, load_book
from bench.price.cost import cost
from bench.price.second_opinion import Opinion, Rejected, as_data, compare, opinion
from bench.record import Usage

TODAY = date(2026, 11, 22)
ROWS = compare(load_book(), TODAY)


@pytest.mark.parametrize(
    ("door", "model", "scope", "tier", "said"),
    [
        # another provider's price
        ("azure-openai", "gpt-5", "globalstandard", "default", "no price of azure for it and takes that of openai"),
        ("foundry", "claude-sonnet-4-5", "globalstandard", "default", "takes that of anthropic"),
        # one price for all places
        ("vertex", "claude-sonnet-4-5", "regional", "default", "takes one price for all"),
        ("anthropic", "claude-opus-5-5", "us", "default", "takes one price for all"),
        ("azure-openai", "gpt-5", "datazonestandard-eu", "default", "takes one price for all"),
        ("openai", "gpt-6.1-sol", "eu", "default", "takes one price for all"),
        # a tier that it does not hold
        ("bedrock", "claude-sonnet-4-5", "global", "batch", "no price of the tier batch here and takes the standard"),
        ("bedrock", "claude-sonnet-4-5", "global", "priority", "takes the standard one"),
        ("gemini-vertex", "gemini-3.8-flash", "global", "flex", "takes the standard one"),
        ("openai", "gpt-5-nano", "global", "priority", "takes the standard one"),
        # another model's entry
        ("vertex", "claude-opus-4-1", "global", "default", "the price of its entry claude-4-opus"),
        # nothing at all
        ("claude-gcp", "claude-sonnet-5-5", "global", "default", "does not know the platform"),
        ("openai-vertex", "gpt-oss-120b", "global", "default", "no entry for openai/gpt-oss-120b-maas at google"),
        ("bedrock", "gpt-5", "global", "default", "the registry has no gpt-5 at bedrock"),
    ],
)
def test_an_answer_that_is_not_of_this_price_is_rejected(door, model, scope, tier, said):
    found = opinion(door, model, scope, tier, TODAY)
    assert isinstance(found, Rejected), found
    assert said in found.reason


def test_what_is_rejected_would_have_been_answered():
    """The library itself gives a figure, and a wrong one, where we refuse: this is what the checks are for."""
    usage = TheirUsage(input_tokens=1_000_000, output_tokens=0)
    bundled = data_snapshot.DataSnapshot(providers=providers, from_auto_update=False)

    def answer(provider: str, reference: str, context: dict[str, str] | None = None) -> Decimal:
        when = datetime(2026, 11, 22, tzinfo=UTC)
        return bundled.calc(usage, reference, provider, None, when, context).total_price

    assert answer("azure", "gpt-5") == answer("openai", "gpt-5") == Decimal("1.25")
    name = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert answer("aws", name, {"processing": "batch"}) == answer("aws", name)
    assert answer("google", "claude-opus-4-1@20250805") == Decimal(15)


def test_a_dated_price_is_taken_for_its_day():
    before, after = (opinion("openai", "gpt-5.6-sol", "global", "default", day) for day in (date(2026, 8, 20), TODAY))
    assert isinstance(before, Opinion)
    assert isinstance(after, Opinion)
    assert (before.rates["input"], after.rates["input"]) == (Decimal(5), Decimal(4))
    assert after.since == date(2026, 8, 21)
    assert isinstance(opinion("openai", "gpt-5", "global", "batch", date(2026, 10, 13)), Rejected)  # from the 14th


def test_sonnet_above_200k_is_a_disagreement_with_both_figures():
    (row,) = [
        row for row in ROWS
        if (row.door, row.model, row.scope, row.tier) == ("anthropic", "claude-sonnet-4-5", "global", "default")
    ]  # fmt: skip
    assert row.verdict == "disagree"
    figures = {(one.token_class, one.above): (one.ours, one.theirs) for one in row.differences}
    assert figures["input", 200_000] == (Decimal(3), Decimal(6))
    assert figures["output", 200_000] == (Decimal(15), Decimal("22.5"))
    assert all(above == 200_000 for _, above in figures)
    assert isinstance(row.theirs, Opinion)
    assert "entry claude-sonnet-4-5" in row.theirs.source


def test_what_the_two_disagree_on_is_known():
    """A new disagreement is for a person to look at: it fails here until they have."""
    apart = {(row.door, row.model, row.scope, row.tier) for row in ROWS if row.verdict == "disagree"}
    assert apart == {
        ("anthropic", "claude-sonnet-4-5", "global", "default"),
        ("anthropic", "claude-sonnet-4-5", "global", "batch"),
        *(("bedrock", "claude-sonnet-4-5", scope, "default") for scope in ("global", "us", "eu", "jp", "au")),
        ("openai-bedrock", "gpt-5.5", "in-region", "default"),
        ("openai-bedrock", "gpt-5.4", "in-region", "default"),
    }


def test_what_only_the_other_has_is_what_the_book_calls_disputed():
    for row in ROWS:
        if row.verdict == "only theirs":
            assert isinstance(row.ours, Unknown)
            assert "the sources disagree" in row.ours.reason, (row.door, row.model, row.scope, row.tier)


def test_there_is_much_to_compare():
    agreed = [row for row in ROWS if row.verdict == "agree"]
    assert len(agreed) > 100
    assert {row.door for row in agreed} == {
        "anthropic", "openai", "bedrock", "bedrock-mantle", "vertex", "openai-bedrock", "gemini-vertex",
    }  # fmt: skip


AGREED = [row for row in ROWS if row.verdict == "agree"]
SIZES = [(1000, 500), (150_000, 10), (250_000, 10), (300_000, 7)]
"""Below and above every bound: 100,000, 200,000 and 272,000."""


@pytest.mark.parametrize("row", AGREED, ids=lambda row: f"{row.door}-{row.model}-{row.scope}-{row.tier}")
def test_where_both_know_a_price_both_charge_the_same(row):
    """The other library's own engine, on its own entry, with cached tokens inside the input as it wants them."""
    asked = second_opinion._asked(row.door, row.model, row.scope)
    provider = second_opinion._providers()[asked.provider]
    entry = next(own for own in provider.models if own.is_match(asked.reference.lower()))
    assert isinstance(row.ours, PriceEntry)
    both = row.ours.rates.keys() & row.theirs.rates.keys()
    for fresh, out in SIZES:
        read, short, long = (7 if name in both else 0 for name in ("cache_read", "cache_write_5m", "cache_write_1h"))
        ours = cost(Usage(fresh, read, short, long, out, None, "provider"), row.ours)
        counts = {"input_tokens": fresh + read + short + long, "output_tokens": out, "cache_read_tokens": read,
                  "cache_write_tokens": short + long, "cache_write_1h_tokens": long}  # fmt: skip
        usage = TheirUsage(**{name: count for name, count in counts.items() if count})
        theirs = entry.calc_price(
            usage, provider, genai_request_timestamp=datetime(2026, 11, 22, 12, tzinfo=UTC),
            price_context=second_opinion._context(row.tier) or None,
        )  # fmt: skip
        assert ours.total == theirs.total_price, (fresh, ours)


def test_a_comparison_is_plain_data_without_floats():
    def walk(value: object) -> None:
        assert not isinstance(value, float)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    for row in ROWS:
        walk(as_data(row))


def test_a_source_that_says_two_lists_agree_is_true_of_every_figure_that_it_stands_for():
    """A figure of one list alone is named in the note, and one that they dispute has a source that does not say so."""
    said = [row for row in ROWS if isinstance(row.ours, PriceEntry) and "which agree;" in row.ours.source]
    compared = [row for row in said if isinstance(row.theirs, Opinion)]
    assert len(compared) > 80
    for row in compared:
        assert row.verdict == "agree", row.ours.id
        assert isinstance(row.ours, PriceEntry)
        assert all(one.token_class in row.ours.note for one in row.differences), row.ours.id
    for row in said:  # where the other list has no price of its own, what they agree on is what ours is derived from
        assert isinstance(row.theirs, Opinion) or row.ours.status == "estimate", row.ours.id


def test_above_200_000_tokens_the_book_says_whose_price_of_sonnet_4_5_it_is():
    (row,) = [
        r for r in ROWS if (r.door, r.model, r.scope, r.tier) == ("bedrock", "claude-sonnet-4-5", "global", "default")
    ]
    assert row.verdict == "disagree"
    assert isinstance(row.ours, PriceEntry)
    assert "agree up to 200,000 input tokens; above them the rates are litellm's alone" in row.ours.source
    (before,) = [
        e
        for e in load_book().at("bedrock", "claude-sonnet-4-5")
        if e.scope == "global" and e.holds(date(2026, 11, 21)) and e.tier == "default"
    ]
    assert before.rates == row.ours.rates  # the price did not change: what is said of it did
    assert before.bands == row.ours.bands
    assert "up to 200,000 input tokens only" in before.note
