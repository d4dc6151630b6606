"""targets.yaml: what a good file becomes, and how every mistake in a bad one is told."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from bench import registry
from bench.errors import ConfigError
from bench.record import Params
from bench.targets import Settings, Target, TargetRow, json_schema, load_targets

ROOT = Path(__file__).parents[2]


def load(tmp_path: Path, rows: str, **how) -> list[Target]:
    path = tmp_path / "targets.yaml"
    path.write_text("version: 1\ntargets:\n" + rows, encoding="utf-8")
    return load_targets(path, **how)


def refused(tmp_path: Path, rows: str, **how) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, rows, **how)
    return [line.replace(str(tmp_path) + "/", "") for line in str(caught.value).splitlines()]


def test_the_file_of_all_doors_to_claude_holds_one_model_at_each_of_them():
    targets = load_targets(ROOT / "targets-claude.yaml")
    doors = [name for name, door in registry.doors().items() if door.dialects[0] == "messages"]
    assert {target.provider for target in targets} == {*doors, "openai-compatible"}
    assert [t.id for t in targets if t.dialect == "converse"] == ["converse-us-east-1"]
    assert {target.model for target in targets} == {"claude-sonnet-5-5"}
    assert {target.api_version for target in targets if target.dialect == "messages"} == {"2026-10-21"}


@pytest.mark.parametrize("name", ["targets-gpt.yaml", "targets-gemini.yaml"])
def test_the_other_files_hold_one_model_too(name: str):
    targets = load_targets(ROOT / name)
    assert len({target.model for target in targets}) == 1
    assert all(registry.lookup(target.model, target.provider) for target in targets)


def test_the_file_that_ships_holds_one_model_at_five_doors():
    targets = load_targets(ROOT / "targets.yaml")
    assert [target.provider for target in targets] == ["anthropic", "bedrock", "vertex", "foundry", "openai-compatible"]
    assert {target.model for target in targets} == {"claude-sonnet-5-5"}
    assert [target.model_id for target in targets][1:3] == ["us.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5"]


def test_what_a_row_leaves_out_comes_from_the_registry(tmp_path):
    rows = (
        "  - {id: a, model: claude-sonnet-4-5, provider: anthropic}\n"
        "  - {id: b, model: claude-sonnet-4-5, provider: bedrock, region: eu-west-1}\n"
        "  - {id: c, model: claude-sonnet-4-5, provider: bedrock, region: eu-west-1, dialect: messages}\n"
        "  - {id: d, model: claude-sonnet-4-5, provider: vertex, region: global}\n"
        "  - {id: e, model: claude-haiku-5-5, provider: claude-gcp}\n"
        "  - {id: f, model: my-llama, provider: openai-compatible, base_url: 'http://localhost:8000/v1'}\n"
    )
    told = [(t.model_id, t.dialect, t.api_version, t.region) for t in load(tmp_path, rows)]
    assert told == [
        ("claude-sonnet-4-5-20250929", "messages", "2023-06-01", None),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "messages", "bedrock-2023-05-31", "eu-west-1"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "messages", "bedrock-2023-05-31", "eu-west-1"),
        ("claude-sonnet-4-5@20250929", "messages", "vertex-2023-10-16", "global"),
        ("claude-haiku-5-5", "messages", "2026-10-21", "global"),
        ("my-llama", "chat", None, None),
    ]


def test_what_a_row_says_stands(tmp_path):
    rows = """
  - id: everything
    model: claude-sonnet-5-5
    provider: foundry
    model_id: my-id
    region: eastus2
    dialect: messages
    base_url: https://example.com/anthropic
    service_tier: standard
    sku: GlobalStandard
    deployment: my-deployment
    workspace: w
    project: p
    resource: r
    api_version: 2023-06-01          # a date to YAML, text to us
    auth: {env: MY_KEY}
    limits: {rpm: 1000, itpm: 400000, otpm: 80000}
    price: {book: list, discount: 0.12}
    params: {temperature: null, max_tokens: 64, extra_body: {a: 1}}
"""
    assert load(tmp_path, rows) == [
        Target(
            id="everything", model="claude-sonnet-5-5", provider="foundry", model_id="my-id", dialect="messages",
            region="eastus2", base_url="https://example.com/anthropic", service_tier="standard", sku="GlobalStandard",
            deployment="my-deployment", workspace="w", project="p", resource="r", api_version="2023-06-01",
            auth={"env": "MY_KEY"}, limits={"rpm": 1000, "itpm": 400000, "otpm": 80000},
            price={"book": "list", "discount": "0.12"},
            params={"temperature": None, "max_tokens": 64, "extra_body": {"a": 1}},
        )
    ]  # fmt: skip


def test_every_mistake_of_every_row_is_told_at_once(tmp_path):
    rows = """  - id: a
    model: claude-sonnet-5-5
    provider: bedrok
  - id: a
    model: claude-sonnet-5-5
    provider: vertex
    price: {input: 3, book: list}
  - id: b b
    model: claude-sonnet-5-5
    provider: anthropic
    regoin: global
    limits: {rpm: -1}
  - {id: c, model: claude-sonnet-5-5, provider: bedrock, region: sa-east-1}
  - {id: d, model: claude-sonnet-5-5, provider: bedrock, region: eu-west-1, model_id: us.anthropic.claude-sonnet-5-5}
  - {id: e, model: claude-sonet-5-5, provider: anthropic, dialect: converse}
"""
    assert refused(tmp_path, rows) == [
        'targets.yaml:5: targets[0].provider: got "bedrok"; want bedrock',
        'targets.yaml:6: targets[1].id: got "a" again; want an id of its own for every target',
        "targets.yaml:6: targets[1].region: got nothing; want region, which vertex cannot do without, "
        "e.g. region: us-east-1",
        "targets.yaml:9: targets[1].price: got both kinds of terms; want either {book: list, discount: 0.12} or "
        "{input: 2.00, output: 10.00}",
        'targets.yaml:10: targets[2].id: got "b b"; want label of the row: letters, digits, . _ -, '
        "e.g. bedrock-us-east-1",
        "targets.yaml:13: targets[2].regoin: got an unknown key; want region",
        "targets.yaml:14: targets[2].limits.rpm: got -1; want greater than 0, e.g. 1000",
        "targets.yaml:15: targets[3].model_id: got nothing; want a model_id: no inference profile of claude-sonnet-5-5 "
        "(us, eu, jp, au, apac, us-gov, global) belongs to sa-east-1, e.g. global.anthropic.claude-sonnet-5-5",
        'targets.yaml:16: targets[4].model_id: got "us.anthropic.claude-sonnet-5-5" in eu-west-1; want a region that '
        "the inference profile us holds",
        'targets.yaml:17: targets[5].dialect: got "converse"; want one of messages',
        "targets.yaml:17: targets[5].model_id: got nothing; want a model_id, as the model claude-sonet-5-5 is not in "
        "the registry (perhaps model: claude-sonnet-5-5)",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "auth: {env: sk-ant-api03-SECRET}",
        "auth: {key: hunter2-SECRET}",
        "api_key: hunter2-SECRET",
        "auth: {env: AKIAIOSFODNN7SECRET}",
        "params: {extra_headers: {authorization: Bearer SECRET}}",
        "params: {extra_headers: {x-api-key: SECRET}}",
        "params: {extra_body: {deep: [{token: SECRET}]}}",
        "base_url: https://me:SECRET@example.com/v1",
        "workspace: 0123456789abcdef0123456789abcdefSECRET",
        "auth: sk-ant-SECRET",
    ],
)
def test_a_secret_in_the_file_is_an_error_that_does_not_repeat_it(tmp_path, line):
    said = refused(tmp_path, f"  - {{id: a, model: claude-sonnet-5-5, provider: anthropic, {line}}}\n")
    assert any("references only" in problem for problem in said)
    assert "SECRET" not in "\n".join(said)


def test_credentials_are_named_in_one_way(tmp_path):
    said = refused(tmp_path, "  - {id: a, model: claude-sonnet-5-5, provider: anthropic, auth: {env: A, profile: b}}\n")
    assert said == [
        "targets.yaml:3: targets[0].auth: got env and profile; want one of them, e.g. auth: {profile: benchmarks}"
    ]


@pytest.mark.parametrize(
    ("price", "stored"),
    [
        ('{input: "2.00", output: "10.00"}', {"input": "2.00", "output": "10.00"}),
        ("{input: 2, output: 10, cache_read: 0.2}", {"input": "2", "cache_read": "0.2", "output": "10"}),
        ("{discount: 0.3}", {"discount": "0.3"}),
        ("{book: list}", {"book": "list"}),
    ],
)
def test_price_terms_are_kept_as_exact_text(tmp_path, price, stored):
    row = f"  - {{id: a, model: claude-sonnet-5-5, provider: anthropic, price: {price}}}\n"
    assert load(tmp_path, row)[0].price == stored


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("{discount: 12}", "below 1"),
        ("{discount: -0.1}", "not negative"),
        ("{discount: much}", "a decimal number"),
        ("{discount: .nan}", "a decimal number"),
        ("{input: 2}", "at least input and output"),
        ("{input: 2, output: true}", "a decimal number"),
        ("{input: 0.0000001, output: 1}", "six decimal places"),
        ("{book: mine}", "list"),
        ("{input: 1, output: 2, discount: 0.1}", "either"),
    ],
)
def test_price_terms_that_cannot_be_meant_are_refused(tmp_path, price, said):
    (problem,) = refused(tmp_path, f"  - {{id: a, model: claude-sonnet-5-5, provider: anthropic, price: {price}}}\n")
    assert said in problem


def test_only_picks_rows_in_the_order_asked_for(tmp_path):
    rows = "".join(f"  - {{id: {name}, model: claude-sonnet-5-5, provider: anthropic}}\n" for name in ("a", "b", "c"))
    assert [target.id for target in load(tmp_path, rows, only=["c", "a", "c"])] == ["c", "a"]
    with pytest.raises(ConfigError, match='--only: got "d"; want one of a, b, c'):
        load(tmp_path, rows, only=["d"])


def test_a_door_of_a_third_party_must_be_told_everything(tmp_path):
    row = "  - {id: a, model: m, provider: acme"
    assert "want one of anthropic" in refused(tmp_path, row + "}\n")[0]
    assert len(refused(tmp_path, row + "}\n", doors=["acme"])) == 2  # model_id and dialect
    (target,) = load(tmp_path, row + ", model_id: m-1, dialect: chat}\n", doors=["acme"])
    assert (target.provider, target.model_id, target.dialect) == ("acme", "m-1", "chat")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "want a mapping"),
        ("version: 1\ntargets: []\n", "at least 1"),
        ("version: 2\ntargets: [{id: a, model: claude-sonnet-5-5, provider: anthropic}]\n", "version: got 2; want 1"),
        ("version: 1\ntargets: {a: 1}\n", "targets: got a mapping; want a list"),
        ("version: 1\ntargets: [1, null]\n", "targets[1]: got nothing; want a mapping"),
        ("[1]\n", "want a mapping"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, said):
    path = tmp_path / "targets.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_targets(path)
    assert said in str(caught.value)


def test_settings_have_the_names_and_meaning_of_the_workloads():
    assert set(Settings.model_fields) <= {field.name for field in fields(Params)}


def test_every_key_of_a_row_reaches_the_target():
    assert set(TargetRow.model_fields) == {field.name for field in fields(Target)} - {"simulated", "prices"}


def test_the_json_schema_is_plain_json_and_knows_every_key():
    schema = json.loads(json.dumps(json_schema()))
    row = schema["$defs"]["TargetRow"]
    assert set(row["properties"]) == set(TargetRow.model_fields)
    assert row["additionalProperties"] is False
    assert sorted(row["required"]) == ["id", "model", "provider"]
