"""`bench price show` and `bench price diff`, as a person and as a program read them."""

import json
import socket

import pytest

from bench.cli import main

DAY = ("--on", "2026-11-22")


@pytest.fixture
def asked(capsys, monkeypatch):
    """Runs `bench price ...` on a terminal of some width: (code, output, errors)."""

    def ask(*words: str, width: int = 100) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        code = main(["price", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


def widest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize("width", [100, 99, 80, 60, 44])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-5.4", "gemini-3.8-flash"])
def test_no_line_is_wider_than_the_terminal(asked, model, width):
    for verb in ("show", "diff"):
        code, out, _ = asked(verb, model, *DAY, width=width)
        assert code == 0
        assert widest(out) <= width


def test_every_price_of_a_model_is_shown_with_its_place_classes_band_day_and_status(asked):
    _, out, _ = asked("show", "claude-haiku-5-5", "--door", "bedrock", *DAY)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "bedrock tier input read wr 5m wr 1h output since status" in lines
    assert "global default 0.10 0.01 0.125 0.20 0.50 2026-11-21 list [1]" in lines
    assert "above 100,000 0.50 0.05 0.625 1.00 2.50" in lines
    assert any(line.startswith("in-region default – 2026-11-21 unknown") for line in lines)
    assert "litellm 1.109.1 says 0.10 / 0.50, genai-prices 0.2.3 says 0.11 / 0.55" in " ".join(lines)
    assert "anthropic" not in out.split("[1]")[0]


def test_every_door_of_a_model_is_shown_and_one_that_sells_as_another_says_so(asked):
    _, out, _ = asked("show", "claude-sonnet-5-5", *DAY)
    heads = [line.split()[0] for line in out.splitlines() if line and line[0].isalpha()]
    assert heads[1:] == [
        "anthropic", "bedrock", "bedrock-mantle", "claude-aws", "vertex", "vertex-grpc", "claude-gcp", "foundry",
    ]  # fmt: skip
    assert "vertex-grpc  as vertex\n" in out
    _, alone, _ = asked("show", "claude-sonnet-5-5", "--door", "vertex-grpc", *DAY)
    assert "as vertex" not in alone
    assert "regional" in alone


def test_a_price_that_is_announced_is_shown_with_its_first_day(asked):
    _, out, _ = asked("show", "gemini-3.8-flash", "--door", "gemini-vertex", *DAY)
    assert "2027-01-01" in out
    _, later, _ = asked("show", "gemini-3.8-flash", "--door", "gemini-vertex", "--on", "2027-02-01")
    assert "0.75 " not in later.split("\n\n")[1].splitlines()[1]
    assert "1.50" in later


def test_of_days_before_the_first_source_nothing_is_claimed(asked):
    _, out, _ = asked("show", "claude-sonnet-5-5", "--door", "vertex", "--on", "2026-01-01")
    assert "Nothing is known of days before 2026-11-21, when the sources were first read." in out


def test_a_model_that_is_gone_at_a_door_says_since_when(asked):
    _, out, _ = asked("show", "claude-opus-4-1", *DAY)
    assert "claude-opus-4-1 was retired at anthropic on 2026-08-05" in " ".join(out.split())


def test_the_json_has_every_rate_as_text_and_says_what_is_unknown(asked):
    _, out, _ = asked("show", "claude-opus-5-5", "--json", *DAY)
    found = json.loads(out, parse_float=lambda text: pytest.fail(f"a float: {text}"))
    assert (found["model"], found["on"], found["unit"]) == ("claude-opus-5-5", "2026-11-22", "USD per million tokens")
    doors = {at["door"]: at["prices"] for at in found["doors"]}
    (fast,) = [row for row in doors["anthropic"] if (row["scope"], row["tier"]) == ("global", "fast")]
    assert fast["rates"]["output"] == "40"
    assert fast["effective"] is None
    (vague,) = [row for row in doors["vertex"] if (row["scope"], row["tier"]) == ("global", "batch")]
    assert (vague["status"], vague["rates"]) == ("unknown", None)
    assert "litellm 1.109.1 says 2.50 / 12.50" in vague["note"]


TERMS = """\
version: 1
currency: {code: EUR, usd: "1.10", on: 2026-11-20, source: ECB reference rate}
discounts: [{doors: [bedrock], off: "0.1", source: contract 4711}]
rates: [{door: foundry, model: claude-opus-5-5, scopes: [datazonestandard], rates: {input: "4", output: "20"}, source: c}]
commitments: [{name: the agreement, doors: [bedrock], amount: "500000", period: year, source: contract 4711}]
capacity: [{door: vertex, models: ["claude-opus-*"], unit: GSU, units: 5, per_unit_hour: "2", term: week, source: c 2}]
"""


@pytest.mark.parametrize("width", [100, 60])
def test_your_own_prices_stand_below_the_list_with_their_paper(asked, tmp_path, width):
    path = tmp_path / "prices.yaml"
    path.write_text(TERMS, encoding="utf-8")
    _, out, _ = asked("show", "claude-opus-5-5", "--prices", str(path), *DAY, width=width)
    assert widest(out) <= width
    told = " ".join(out.split())
    for said in (
        "3.60",  # 4 less 10 %: Bedrock, global
        "10% off: contract 4711",
        "4.40",  # 4 EUR at 1.10: the data zone, which the list does not know
        "capacity: 5 GSU for claude-opus-* at 2.20 USD an hour each, 11.00 in all, by the week (c 2)",
        "Committed: the agreement, 550,000.00 USD a year at bedrock (contract 4711)",
        "1 EUR = 1.10 USD on 2026-11-20 (ECB reference rate)",
    ):
        assert said in told, said
    code, text, _ = asked("show", "claude-opus-5-5", "--prices", str(path), "--json", *DAY)
    assert code == 0
    data = json.loads(text)
    (row,) = [
        row for at in data["doors"] if at["door"] == "bedrock" for row in at["prices"]
        if (row["scope"], row["tier"]) == ("global", "default")
    ]  # fmt: skip
    assert (row["rates"]["input"], row["effective"]["rates"]["input"]) == ("4", "3.6")
    assert data["commitments"][0]["amount_usd"] == "550000"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "claude-sonnet-55"), "MODEL: got claude-sonnet-55; want claude-sonnet-5-5"),
        (("show", "gpt-5", "--door", "azure"), "--door: got azure; want one of openai, azure-openai"),
        (("show", "gpt-5", "--door", "bedrock"), "--door: got bedrock; want one of openai, azure-openai"),
        (("show", "gpt-5", "--on", "tomorrow"), "--on: got tomorrow; want a day, e.g. 2026-11-21"),
        (("show", "gpt-5", "--prices", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("diff", "gpt-55"), "MODEL: got gpt-55; want gpt-5.5"),
        (("diff", "--on", "2026-13-01"), "--on: got 2026-13-01"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(asked, words, said):
    code, out, err = asked(*words)
    assert (code, out) == (2, "")
    assert said in err


def test_all_mistakes_are_told_at_once(asked):
    code, _, err = asked("show", "claude-sonnet-55", "--on", "x", "--prices", "nowhere.yaml")
    assert code == 2
    assert len(err.strip().splitlines()) == 3


def test_the_diff_ends_with_0_and_prints_both_figures_with_their_sources(asked, monkeypatch):
    def refused(*_args, **_more):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    code, out, err = asked("diff", "claude-sonnet-4-5", *DAY)
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert "anthropic claude-sonnet-4-5, global, tier default above 200,000 input tokens: input 3.00 | 6.00" in told
    assert "book: genai-prices 0.2.3 (which cites www.anthropic.com/pricing) and litellm 1.109.1" in told
    assert "checked 2026-11-22 other: genai-prices 0.2.3, anthropic, entry claude-sonnet-4-5" in told
    assert "litellm 1.109.1 says 3 / 15, genai-prices 0.2.3 says 3.30 / 16.50" in told
    assert "no price of azure for it and takes that of anthropic (foundry: claude-sonnet-4-5)" in told
    assert "vertex claude-sonnet-4-5: default (global)" in told


def test_the_diff_as_json_has_every_price_and_its_verdict(asked):
    _, out, _ = asked("diff", "gemini-2.5-flash", "--json", *DAY)
    found = json.loads(out)
    assert found["other"] == "genai-prices 0.2.3"
    verdicts = {(row["scope"], row["tier"]): row["verdict"] for row in found["prices"]}
    assert verdicts["global", "default"] == "agree"
    assert verdicts["global", "flex"] == "only ours"
    assert verdicts["regional", "batch"] == "neither"
