"""Total cost: the best number of units against brute force, amounts worked by hand, and files with every kind of mistake."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import CannotRun, ConfigError
from bench.money import tco
from bench.money.measured_use import capacity_of
from bench.money.offer import load_demand, load_offer
from bench.money.tco import Demand, Input, Situation, Use, best, breakeven, committed, plan
from bench.stats.types import Cell, Level

D = Decimal
ROOT = Path(__file__).parent.parent.parent

# Four hours; a unit serves 100 an hour for 6 USD, a request costs 0.10 on demand: a full unit would save 10 USD an hour.
FOUR = Situation(Demand((50, 150, 250, 350)), D("0.10"), D(6), D(100))


def test_a_plan_is_units_and_what_spills_over_worked_by_hand():
    assert plan(FOUR, 0).total_usd == D("80")  # 800 requests at 0.10
    two = plan(FOUR, 2)
    assert two.units_usd == 48  # 2 units x 4 hours x 6
    assert two.overflow_requests == 200  # 0 + 0 + 50 + 150
    assert two.overflow_usd == D("20")
    assert two.total_usd == D("68")
    assert two.utilisation == D("0.75")  # 600 of 800


def test_a_unit_breaks_even_where_its_price_is_that_of_the_work_it_does():
    assert breakeven(FOUR) == D("0.6")  # 6 / (100 x 0.10)
    assert breakeven(replace(FOUR, per_unit=D(80))) == D("0.75")  # measured a fifth below the claim: a quarter more
    assert breakeven(replace(FOUR, peak=D("1.25"))) == D("0.75")  # peaks take as much


def test_the_best_number_is_the_quantile_of_the_critical_ratio():
    # 1 - 0.6 = 0.4 of the hours: the second of four, 150 requests, between 1 and 2 units: 24 + 45 = 69, 48 + 20 = 68; 3 units: 72 + 5 = 77
    assert [plan(FOUR, n).total_usd for n in (1, 2, 3)] == [69, 68, 77]
    assert best(FOUR).units == 2
    assert best(replace(FOUR, unit_hour_usd=D(11))).units == 0  # dearer than what it could ever serve


def test_what_is_shed_costs_its_loss_and_not_the_price_on_demand():
    shed = replace(FOUR, shed_usd=D("0.50"))
    assert breakeven(shed) == D("0.12")  # 6 / (100 x 0.50)
    assert best(shed).units == 4  # 24 x 4 = 96; three units 72 + 50 x 0.50 = 97
    assert plan(shed, 3).overflow_usd == D("25.0")


def test_what_can_wait_is_batched_and_does_not_fill_units():
    half = replace(FOUR, batched=D("0.5"), batch_usd=D("0.05"))
    found = plan(half, 1)
    assert found.batch_usd == D("20")  # 400 x 0.05
    assert found.overflow_requests == 100  # 25, 75, 125, 175 over 100: 0 + 0 + 25 + 75
    assert found.total_usd == D("54")  # 24 + 10 + 20


counts = st.lists(st.integers(0, 2000), min_size=1, max_size=40).filter(any)
amounts = st.decimals("0.01", "50", places=2)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    counts,
    amounts,
    amounts,
    st.integers(1, 500),
    st.integers(0, 5),
    st.integers(1, 3),
    st.decimals("0.5", "2", places=2),
)
def test_the_newsvendor_finds_what_trying_every_number_finds(hourly, price, request, per_unit, least, step, factor):
    at = Situation(
        Demand(tuple(hourly)), request / 100, price, D(per_unit), factor=factor, least_units=least, step=step,
    )  # fmt: skip
    enough = int(max(hourly) * factor / per_unit) + least + 2 * step
    fewest = -(-least // step) * step
    tried = [plan(at, n) for n in (0, *range(fewest, enough + step, step))]
    assert best(at).total_usd == min(one.total_usd for one in tried)


def test_a_commitment_is_paid_whether_it_is_used_or_not():
    # 1,000 of usage at list is forecast, 800 is committed for 10 % off
    rows = committed(D(1000), D(800), D("0.1"))
    assert [row.list_usd for row in rows] == [500, 750, 1000, 1250]
    assert [row.paid_usd for row in rows] == [800, 800, 900, 1125]  # the discounted usage, at least 800
    assert [row.breakage_usd for row in rows] == [350, 125, 0, 0]  # 800 - 450, 800 - 675
    assert [row.effective_discount for row in rows] == [D("-0.6"), 1 - D(800) / 750, D("0.1"), D("0.1")]


def one(value, low=None, high=None, origin="stated"):
    return Input(D(value), None if low is None else D(low), None if high is None else D(high), "", origin, "")


# 1,000 uncached and 1,000 cached tokens at 2 and 0.2 (0.0022 USD), where all uncached would be 0.004; 100 out at 10 (0.001)
USED = Use(
    one("0.0032", "0.0031", "0.0033", "measured"), D("0.0022"), D("0.001"), D("0.004"),
    one("0.5", "0.25", "0.75", "measured"), one("100", "80", "120", "measured"), D(2000),
)  # fmt: skip


def test_the_cost_of_a_request_moves_with_its_length_and_its_cache_hits():
    assert USED.at_cached(D("0.5")) == D("0.0032")
    assert USED.at_cached(D(0)) == D("0.005")  # 0.004 + 0.001
    assert USED.at_cached(D("0.25")) == D("0.0041")  # half of the saving of 0.0018 is gone
    assert USED.at_output(D(120)) == D("0.0034")


def test_the_answer_has_savings_energy_and_a_tornado_in_order():
    inputs = {
        "unit_hour_usd": one("0.1"), "capacity_per_s": one("0.02", "0.01", "0.03", "measured"), "claimed_per_s": one("0.04"),
        "demand": one("1", "0.5", "2"), "batch_share": one("0.25"), "batch_discount": one("0.5"),
        "wh_per_output_token": one("0.001", "0.0005", "0.002", "assumed"), "gco2_per_kwh": one("400", "100", "800", "assumed"),
    }  # fmt: skip
    found = tco.answer(
        Demand((100, 300)), USED, inputs, target="t", name="n", unit="u", least_units=1, step=1,
        commitment=(D("1"), D("0.1")), egress_usd_per_gb=D("0.1"),
    )  # fmt: skip
    assert found.on_demand.total_usd == D("1.12")  # 300 live x 0.0032 + 100 in a batch x 0.0016
    assert found.batch_saves_usd == D("0.16")
    assert found.cache_saves_usd == D("0.72")  # 400 x (0.004 - 0.0022)
    assert found.egress_usd == D("0.00008")  # 400 x 2,000 bytes = 0.0008 GB
    assert found.breakeven == D("0.1") / (72 * D("0.0032"))  # 72 an hour: 0.434
    assert found.claimed is not None
    assert found.claimed[0] == D("0.1") / (144 * D("0.0032"))  # the claim halves it
    assert found.energy is not None
    assert found.energy.kwh == (D("0.02"), D("0.04"), D("0.08"))  # 40,000 tokens
    assert found.energy.kg_co2 == (D("0.002"), D("0.016"), D("0.064"))
    assert {swing.name for swing in found.swings} == {
        "capacity_per_s", "demand", "output tokens", "cache hit share", "cost of a request",
    }  # fmt: skip
    assert [swing.usd for swing in found.swings] == sorted((swing.usd for swing in found.swings), reverse=True)
    assert found.swings[0].name == "demand"


def test_what_failed_is_asked_again_so_that_the_success_share_moves_the_answer():
    use = replace(USED, success=one("0.8", "0.5", "1", "measured"))
    found = tco.answer(
        Demand((100, 300)), use, {"unit_hour_usd": one("9"), "capacity_per_s": one("0.02")},
        target="t", name="n", unit="u", least_units=1, step=1,
    )  # fmt: skip
    assert found.best.units == 0  # 72 an hour at 0.0032 are not worth 9
    assert found.best.total_usd == D("1.28")  # 400 x 0.0032
    assert found.success_usd == D("0.004")  # 1.28 over 320
    (swing,) = [swing for swing in found.swings if swing.name == "success share"]
    assert swing.low.total_usd == D("2.048")  # 320 that succeed need 640 at a half
    assert swing.high.total_usd == D("1.024")  # and 320 where none fails


def test_what_is_shed_did_not_succeed():
    use = replace(USED, success=one("0.5", origin="measured"))
    found = tco.answer(
        Demand((100, 100)), use, {"unit_hour_usd": one("0.1"), "capacity_per_s": one("0.02")},
        target="t", name="n", unit="u", least_units=1, step=1, shed_usd=D("0.001"),
    )  # fmt: skip
    assert found.best.units == 0  # 72 an hour are worth 0.072 then
    assert found.best.overflow_requests == 200
    assert found.success_usd is None  # nothing was served


def level(at, met, goodput, settled=True):
    cells = {"goodput_per_s": Cell(goodput, goodput - 1, goodput + 1, 100, None, "", "requests/s")}
    cells["achieved_per_s"] = cells["goodput_per_s"]
    return Level("a", int(at), at, 100, 12, cells, met, settled)


def test_capacity_is_the_goodput_of_the_highest_level_below_which_none_failed():
    swept = [level(2.0, True, 2), level(8.0, True, 5), level(4.0, True, 4), level(6.0, False, 4.5)]
    found = capacity_of(swept, "a", D(2))
    assert (found.value, found.low, found.high) == (
        2,
        D("1.5"),
        D("2.5"),
    )  # level 4: 4 a second over two units; 8 was luck
    assert found.origin == "measured"
    assert "6 did not" in found.words
    assert "no level failed" in capacity_of(swept[:1], "a", D(1)).words
    assert "leave it open" in capacity_of([level(2.0, True, 2, settled=False)], "a", D(1)).words


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ([], "no sweep"),
        ([level(2.0, None, 2)], "no sweep under a slo"),
        ([level(2.0, False, 2)], "no level of the sweep met"),
    ],
)
def test_a_capacity_that_nobody_measured_is_refused(levels, why):
    with pytest.raises(CannotRun, match=why):
        capacity_of(levels, "a", D(1))


def problems(load, path, text):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path)
    return [str(problem).replace(f"{path.parent}/", "") for problem in raised.value.problems]


HEAD = "hour,requests\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,n\n", ["d.csv:1: got time,n; want the head hour,requests"]),
        ("", ["d.csv:1: got nothing; want the head hour,requests"]),
        (HEAD, ["d.csv: requests: got no demand at all; want hours with requests"]),
        (HEAD + "2026-11-01T00:00Z,0\n", ["d.csv: requests: got no demand at all; want hours with requests"]),
        (HEAD + "2026-11-01T00:00Z,-1\n", ["d.csv:2: requests: got -1; want a whole number, 0 or more"]),
        (HEAD + "2026-11-01T00:00Z,1.5\n", ["d.csv:2: requests: got 1.5; want a whole number, 0 or more"]),
        (HEAD + "2026-11-01T00:00Z\n", ["d.csv:2: got 1 cells; want two: hour,requests"]),
        (HEAD + "2026-11-01T00:00,5\n",
         ["d.csv:2: hour: got 2026-11-01T00:00; want a full hour in UTC, e.g. 2026-11-01T00:00Z"]),
        (HEAD + "noon,x\n", ["d.csv:2: hour: got noon; want an hour in UTC, e.g. 2026-11-01T00:00Z",
                             "d.csv:2: requests: got x; want a whole number, 0 or more"]),
        (HEAD + "2026-11-01T00:00Z,1\n2026-11-01T02:00Z,1\n2026-11-01T03:00Z,1\n",
         ["d.csv:3: hour: got 2026-11-01T02:00Z; want the hour after the one before: 2026-11-01T01:00Z"]),
    ],
)  # fmt: skip
def test_every_mistake_in_a_demand_file_is_named_with_its_line(tmp_path, text, said):
    assert problems(load_demand, tmp_path / "d.csv", text) == said


OFFER = """\
version: 1
name: an offer
target: a
provisioned: {unit: u, usd_per_unit_hour: "2"}
capacity: {stated_per_s: "1"}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OFFER.replace('"2"', '"-2"'), "o.yaml:4: provisioned.usd_per_unit_hour"),
        (OFFER.replace('"2"', "two"), "o.yaml:4: provisioned.usd_per_unit_hour"),
        (OFFER.replace("stated_per_s", "states"), "o.yaml:5: capacity.states"),
        (OFFER.replace('{stated_per_s: "1"}', "{}"), "o.yaml:5: capacity: got nothing; want measured_on"),
        (OFFER.replace('"1"', '"0"'), "o.yaml:5: capacity.stated_per_s: got 0; want a number above 0"),
        (OFFER + "overflow: shed\n", "o.yaml:6: overflow: got shed; want shed together with shed_usd"),
        (
            OFFER + 'peak: {low: "2", value: "1", high: "3"}\n',
            "o.yaml:6: peak: got 2 to 3 around 1; want low ≤ value ≤ high",
        ),
        (OFFER + 'peak: "0.5"\n', "o.yaml:6: peak: got 0.5; want 1 (an even hour) or more"),
        (OFFER + 'batch: {share: "1", discount: "0.5"}\n', "o.yaml:6: batch.share: got 1; want a share below 1"),
        (OFFER + "discount: 1\n", "o.yaml:6: discount"),
        ("version: 2\n", "o.yaml:1: version"),
    ],
)
def test_every_mistake_in_a_contract_is_named_with_its_line(tmp_path, text, said):
    assert any(line.startswith(said) for line in problems(load_offer, tmp_path / "o.yaml", text))


def test_a_contract_of_plain_numbers_has_no_ranges(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text(OFFER, encoding="utf-8")
    offer = load_offer(path).offer
    assert offer.provisioned.usd_per_unit_hour.low == offer.provisioned.usd_per_unit_hour.value == 2
    assert offer.capacity.stated_per_s is not None


def test_both_files_are_checked_before_anything_else(tmp_path, monkeypatch, capsys):
    from bench.cli import main

    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("x\n", encoding="utf-8")
    Path("o.yaml").write_text("version: 2\n", encoding="utf-8")
    assert main(["tco", "nothing", "--demand", "d.csv", "--contract", "o.yaml"]) == 2
    said = capsys.readouterr().err
    assert "d.csv:1" in said
    assert "o.yaml:1" in said


def test_the_target_of_a_contract_must_be_one_of_the_run(tmp_path, monkeypatch, capsys):
    from bench.cli import main

    monkeypatch.chdir(ROOT)
    path = tmp_path / "o.yaml"
    path.write_text(OFFER, encoding="utf-8")
    command = ["tco", "docs/example", "--demand", "docs/tco/demand.csv", "--contract", str(path)]
    assert main(command) == 3
    assert "no target a" in capsys.readouterr().err
    path.write_text(OFFER.replace("target: a", "target: gateway"), encoding="utf-8")
    assert main(command) == 3
    assert "its cost is not known" in capsys.readouterr().err
    path.write_text(OFFER.replace("target: a", "target: foundry").replace('stated_per_s: "1"', "measured_on: foundry"))
    assert main(command) == 3
    assert "no sweep under a slo" in capsys.readouterr().err


def test_the_answer_is_told_as_json_with_money_as_text(monkeypatch, capsys):
    from bench.cli import main

    monkeypatch.chdir(ROOT)
    assert (
        main(["tco", "docs/example", "--demand", "docs/tco/demand.csv", "--contract", "docs/tco/offer.yaml", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["simulated"] is True
    assert isinstance(found["best"]["total_usd"], str)
    request = found["inputs"]["request_usd"]
    assert request["origin"] == "measured"
    assert D(request["low"]) < D(request["value"]) < D(request["high"])
    assert found["inputs"]["capacity_per_s"]["origin"] == "stated"


TERMS = 'version: 1\ndiscounts: [{doors: [bedrock], off: "0.10", source: contract 4711}]\n'


def test_the_request_of_a_run_is_priced_anew_by_your_own_prices(tmp_path, monkeypatch):
    from bench.commands.tco import answered, text

    monkeypatch.chdir(ROOT)
    path = tmp_path / "prices.yaml"
    path.write_text(TERMS, encoding="utf-8")
    files = ("docs/example", Path("docs/tco/demand.csv"), Path("docs/tco/offer.yaml"))
    listed, paid = answered(*files), answered(*files, prices=path)
    before, after = listed.inputs["request_usd"], paid.inputs["request_usd"]
    assert after.value == before.value * D("0.9")
    assert "priced anew" in after.words
    assert after.low is not None
    assert after.high is not None
    assert after.low < after.value < after.high
    assert abs(after.low / after.value - before.low / before.value) < D(
        "0.01"
    )  # the same requests, as uneven as before
    assert paid.on_demand.total_usd == listed.on_demand.total_usd * D("0.9")
    assert (listed.cache_saves_usd, paid.cache_saves_usd) == (0, 0)  # nothing was read from a cache
    names = {swing.name for swing in paid.swings}
    assert {"output tokens", "success share"} <= names
    for width in (100, 60, 40):
        assert all(len(line) <= width for line in text(paid, width).splitlines())


def test_by_the_same_book_a_request_costs_what_it_did(monkeypatch):
    from bench.money.measured_use import use_of
    from bench.price.book import load_book

    monkeypatch.chdir(ROOT)
    then, anew = (
        use_of(Path("docs/example"), "foundry")[0],
        use_of(Path("docs/example"), "foundry", book=load_book())[0],
    )
    assert anew.request_usd.value == then.request_usd.value
    assert then.success is not None
    assert then.success.low < then.success.value < then.success.high < 1


def test_mistakes_of_all_four_files_come_together(tmp_path, monkeypatch, capsys):
    from bench.cli import main

    monkeypatch.chdir(tmp_path)
    for name, words in {"d.csv": "x", "o.yaml": "version: 2", "b.yaml": "version: 2", "p.yaml": "version: 2"}.items():
        Path(name).write_text(f"{words}\n", encoding="utf-8")
    asked = ["tco", "nothing", "--demand", "d.csv", "--contract", "o.yaml", "--book", "b.yaml", "--prices", "p.yaml"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    for name in ("d.csv:1", "o.yaml:1", "b.yaml:1", "p.yaml:1"):
        assert name in said
