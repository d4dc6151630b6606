"""docs/prices.md cannot lie: its example is loaded, priced and checked against the schema, its commands are run."""

import json
import re
import shlex
from datetime import date
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from bench import yamlfile
from bench.cli import main
from bench.price.book import PriceEntry, Unknown, find
from bench.price.overlay import load_overlay
from bench.targets import Target

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/prices.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
COMMANDS = re.findall(r"^    (bench price [^#\n]*?)\s*(?:#.*)?$", PAGE, re.MULTILINE)
TODAY = date(2026, 11, 22)


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "prices.yaml").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_does_what_the_page_says(place):
    overlay = load_overlay("prices.yaml")
    first = Target("a", "claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "messages")
    agreed = find(first, TODAY, overlay=overlay)
    assert isinstance(agreed, PriceEntry)
    assert agreed.rates["input"] == Decimal("1.736")  # 1.60 EUR x 1.0850
    assert agreed.rates["output"] == Decimal("8.68")  # 8 EUR x 1.0850
    assert agreed.rates["cache_read"] == Decimal("0.10")  # not agreed: the list
    bedrock = Target("b", "claude-sonnet-5-5", "bedrock", "global.anthropic.claude-sonnet-5-5", "messages")
    less = find(bedrock, TODAY, overlay=overlay)
    assert isinstance(less, PriceEntry)
    assert (less.rates["input"], less.rates["cache_read"]) == (Decimal("1.76"), Decimal("0.10"))  # 2 x 0.88
    assert find(bedrock, date(2027, 1, 1), overlay=overlay) is find(bedrock, date(2027, 1, 1))
    (units,) = overlay.capacity("azure-openai", "gpt-6-sol", "globalstandard", TODAY)
    assert units.usd_per_hour == Decimal("48.825")  # 50 x 0.90 x 1.0850
    (promised,) = overlay.commitments(TODAY)
    assert promised.amount_usd == Decimal(542_500)
    provisioned = Target("z", "gpt-6-sol", "azure-openai", "mine", "chat", sku="GlobalProvisionedManaged")
    assert isinstance(find(provisioned, TODAY, overlay=overlay), Unknown)


def test_the_example_is_valid_by_the_schema_that_editors_use():
    schema = json.loads((ROOT / "workloads/schema/prices.v1.json").read_text(encoding="utf-8"))
    data = json.loads(json.dumps(yamlfile.loads(EXAMPLE, "prices.yaml").data, default=str))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "discount": []}, schema)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_runs(place, capsys, command):
    words = [word for word in shlex.split(command)[1:] if word != "[MODEL]"]
    assert main(words) == 0
    assert capsys.readouterr().out
