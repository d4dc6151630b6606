"""A stored run by the user's own prices: list and effective side by side, and whose terms stand above whose."""

import hashlib
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands.reprice import as_dict, text
from bench.errors import ConfigError
from bench.money.repricing import notes, reprice
from bench.price.book import load_book

D = Decimal
EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "example"
TERMS = 'version: 1\ndiscounts: [{doors: [bedrock], off: "0.10", source: contract 4711}]\n'
LISTED = D("3.444969")  # what the example's requests to Bedrock cost


@pytest.fixture
def example(tmp_path):
    """The stored example, whose targets may be given terms of their own."""

    def make(**terms: object) -> Path:
        folder = tmp_path / "date=2026-11-22" / "run=example"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(EXAMPLE, folder)
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for target in facts["targets"]:
            target.update(terms.get(target["id"].replace("-", "_"), {}))
        facts["price_book_sha256"] = load_book().sha256
        (folder / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
        return folder

    return make


def of(found, target):
    return next(one for one in found.targets if one.target == target)


def test_list_and_effective_stand_side_by_side(example):
    found = reprice(example(), load_book(), prices=("mine.yaml", TERMS))
    bedrock = of(found, "bedrock-us-east-1")
    assert bedrock.old.total == LISTED
    assert bedrock.new.total == LISTED * D("0.9")
    assert bedrock.listed is not None
    assert bedrock.listed.total == LISTED
    assert of(found, "anthropic").listed is None  # nothing of it is agreed: the list is what is paid
    assert not found.same_book
    lines = [" ".join(line.split()) for line in text(found).splitlines()]
    assert "at list prices 3.444969" in lines
    assert "list: bedrock/claude-sonnet-5-5/us/default@2026-11-21" in lines
    assert any("10% off: contract 4711" in line for line in lines)
    told = {one["target"]: one for one in as_dict(found)["targets"]}
    assert D(told["bedrock-us-east-1"]["list_usd"]) == LISTED
    assert told["anthropic"]["list_usd"] is None


def test_terms_of_a_target_stand_above_book_and_file_and_the_output_says_so(example):
    folder = example(bedrock_us_east_1={"price": {"discount": "0.5"}}, foundry={"price": {"input": "1", "output": "1"}})
    found = reprice(folder, load_book(), prices=("mine.yaml", TERMS))
    assert of(found, "bedrock-us-east-1").new.total == LISTED / 2  # and not less ten per cent
    foundry = of(found, "foundry")
    assert foundry.new.total == foundry.new.parts["cost_input_usd"] + foundry.new.parts["cost_output_usd"]
    assert foundry.new.parts["cost_input_usd"] == D("2.50968") / 2  # 1 for 2 USD a million
    assert foundry.listed is not None
    assert foundry.listed.total == D("3.12719")
    said = list(notes(found))
    assert (
        "bedrock-us-east-1: its own discount in targets.yaml (0.5) is taken off the book; --prices is not asked" in said
    )
    assert (
        "foundry: charged by its own rates in targets.yaml (input 1, output 1), whatever --book and --prices say"
        in said
    )
    assert all(len(line) <= 60 for line in text(found, 60).splitlines())
    assert " ".join(said[0].split()) in " ".join(text(found, 60).split())


def test_a_run_made_with_a_file_of_prices_asks_for_it_and_knows_it_again(example):
    digest = hashlib.sha256(TERMS.encode()).hexdigest()
    made_with = {"price_file": {"file": "mine.yaml", "sha256": digest}}
    folder = example(
        anthropic=made_with, bedrock_us_east_1=made_with, vertex_global=made_with, foundry=made_with, gateway=made_with
    )
    without = reprice(folder, load_book())
    assert not without.same_book
    assert "anthropic: the run was priced with mine.yaml, which a run does not keep: give it by --prices" in list(
        notes(without)
    )
    again = reprice(folder, load_book(), prices=("elsewhere/mine.yaml", TERMS))
    assert again.same_book
    other = reprice(folder, load_book(), prices=("mine.yaml", TERMS + "\n"))
    assert not other.same_book
    assert any("another text of mine.yaml" in line for line in notes(other))


def test_every_mistake_of_the_command_is_told_at_once(example, tmp_path, capsys):
    book, own = tmp_path / "book.yaml", tmp_path / "own.yaml"
    book.write_text("version: 1\ndoor: anthropic\nsources: {}\nentries: [{model: x}]\n", encoding="utf-8")
    own.write_text('version: 1\ndiscounts: [{doors: [badrock], off: "1.5", source: s}]\n', encoding="utf-8")
    code = main(["price", str(example()), "--book", str(book), "--prices", str(own), "--on", "soon"])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    for words in ("book.yaml:4", "own.yaml:2", "--on: got soon"):
        assert words in said.err, said.err


def test_no_line_is_wider_than_the_terminal(example, capsys, monkeypatch, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(TERMS, encoding="utf-8")
    folder = str(example())
    for width in (100, 80, 60, 40):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["price", folder, "--prices", str(own)]) == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= width
        assert "at list prices" in out


def test_a_price_file_of_prices_that_is_none_is_refused(example):
    with pytest.raises(ConfigError, match="off"):
        reprice(example(), load_book(), prices=("x.yaml", 'version: 1\ndiscounts: [{off: "2", source: s}]\n'))
