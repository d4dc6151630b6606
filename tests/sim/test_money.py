"""What whole runs cost: item by item, again by the same book, and never beyond a limit."""

import json
from datetime import date
from decimal import Decimal

import pytest

from bench.commands.reprice import reprice
from bench.money.repricing import reprice as priced
from bench.price.book import load_book
from bench.price.cost import ITEM_COLUMNS

D = Decimal
PARTS = tuple(ITEM_COLUMNS.values())


def faults(name: str, share: float, **more: object) -> dict[str, object]:
    return {"faults": [{"name": name, "share": share, **more}]}


@pytest.fixture
def troubled(place, clouds):
    """A run with refusals, streams that break, and tries that were made again."""
    clouds(anthropic=faults("error", 0.5, after=3, kind="overloaded"), foundry=faults("status", 0.4, code=529))
    done = place.run(requests=12, retries=1)
    assert done.code == 0, done.err
    return done


def test_every_request_is_itemised_tried_and_priced_again_to_the_last_digit(troubled, capsys) -> None:
    rows, tries = troubled.rows(), troubled.rows("attempts")
    for row in rows:
        mine = [t for t in tries if t["seq"] == row["seq"]]
        assert row["attempts"] == len(mine)
        assert (row["cost_usd"], row["price_book"]) == (mine[-1]["cost_usd"], mine[-1]["price_book"])
        if row["outcome"] == "ok":
            assert row["cost_usd"] == sum(row[part] for part in PARTS)
            assert row["cost_output_usd"] == 12 * D("0.00001")  # 12 tokens at 10 USD a million
        unknown = [t for t in mine if t["cost_usd"] is None]
        assert row["unpriced_attempts"] == sum(t["may_be_billed"] for t in unknown)
        if len(mine) == 1:
            assert row["cost_retries_usd"] == 0
    broken = [t for t in tries if t["target"] == "anthropic" and t["outcome"] != "ok"]
    assert broken  # it had begun to write: input is told, output never is
    assert {(t["may_be_billed"], t["cost_usd"], t["output_tokens"]) for t in broken} == {(True, None, None)}
    assert all(t["input_tokens"] for t in broken)
    away = [t for t in tries if t["target"] == "foundry" and t["outcome"] != "ok"]
    assert away
    assert {(t["may_be_billed"], t["cost_usd"]) for t in away} == {(False, None)}
    assert D(troubled.manifest["spent_usd"]) == sum(t["cost_usd"] or 0 for t in tries)

    found = priced(troubled.run, load_book())
    assert (found.same_book, found.changed) == (True, 0)
    for one in found.targets:
        of_target = [r for r in rows if r["target"] == one.target]
        assert one.requests == 12
        assert one.new.total == one.old.total == sum(r["cost_usd"] or 0 for r in of_target)
        assert one.new.parts == one.old.parts
        assert one.new.unpriced == sum(r["cost_usd"] is None for r in of_target)
        last = {r["seq"]: r["attempts"] for r in of_target}
        earlier = [t for t in tries if t["attempt"] < last.get(t["seq"], 0)]
        assert one.retried == len(earlier)
        assert one.unpriced_retries == sum(t["may_be_billed"] and t["cost_usd"] is None for t in earlier)

    capsys.readouterr()
    assert reprice(str(troubled.run), results=troubled.folder) == 0
    said = capsys.readouterr().out
    assert "every amount is the run's to the last digit" in said
    assert max(map(len, said.splitlines()[:12])) <= 100
    assert reprice(str(troubled.run), as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["new"] for one in told["targets"]] == [one["old"] for one in told["targets"]]
    assert {entry["id"] for entry in told["entries"]} == {r["price_book"] for r in rows if r["price_book"]}

    before = priced(troubled.run, load_book(), date(2020, 1, 1))  # the book had no prices then
    assert {(one.new.total, one.new.unpriced) for one in before.targets} == {(None, 12)}


def counted(done, most: Decimal) -> Decimal:
    """What the limit must have counted: known costs, and the most for every try that may be on the bill without one."""
    tries = done.rows("attempts")
    return sum(t["cost_usd"] if t["cost_usd"] is not None else most * t["may_be_billed"] for t in tries)


def most_of(place) -> Decimal:
    done = place.run("--estimate", "--json", requests=40, retries=2)
    return max(D(target["usd_dearest"]) for target in json.loads(done.out)["targets"])


def test_a_limit_counts_tries_whose_cost_nobody_told(place, clouds) -> None:
    clouds(anthropic=faults("cut", 1.0, after=3), foundry=faults("cut", 1.0, after=3))
    most = most_of(place)
    limit = 10 * most
    done = place.run("--max-usd", str(limit), requests=40, retries=2)
    assert done.code == 5
    assert "higher --max-usd" in done.err
    assert done.manifest["stopped"] == f"the limit of ${limit} would be passed"
    tries = done.rows("attempts")
    assert {t["cost_usd"] for t in tries} == {None}
    assert len(tries) == 10  # first tries and retries alike, and not one more
    assert any(row["attempts"] > 1 for row in done.rows())
    assert counted(done, most) <= limit
    assert D(done.manifest["spent_usd"]) == 0  # what is known

    again = place.bench(
        "run", "small.yaml", "--no-calibrate", "--out", "results", "--resume", "latest", "--max-usd", str(limit)
    )
    assert again.code == 5  # what may have been spent stays spent
    assert len(again.rows("attempts")) == 10


def test_what_is_turned_away_costs_nothing_and_does_not_end_a_run(place, clouds) -> None:
    clouds(anthropic=faults("status", 1.0, code=429), foundry={})
    most = most_of(place)
    done = place.run(
        "--max-usd", str(8 * most), requests=8
    )  # eight of foundry cost less than the most, and 429s nothing
    assert done.code == 0, done.err
    assert len(done.rows()) == 16


def test_a_limit_below_one_request_ends_the_run_with_what_it_has(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--max-usd", "0.000001")
    assert done.code == 5
    assert "would be passed" in done.manifest["stopped"]
    assert done.rows() == []


def test_a_limit_over_a_price_that_nobody_knows_is_refused(place, clouds) -> None:
    clouds(anthropic={}, openai_compatible={})
    done = place.run("--max-usd", "5")
    assert done.code == 2
    assert "openai-compatible: price: got unknown; want" in done.err
    assert "input: 2.00" in done.err
