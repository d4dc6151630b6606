"""YAML that people write: plain data, the line of every key, and every mistake at once."""

from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from bench import yamlfile
from bench.errors import EXIT_USAGE, ConfigError


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="the item's name", examples=["first"])
    count: int = Field(1, gt=0, examples=[4])
    wait: yamlfile.Duration = 0
    kind: Literal["open", "closed"] = "open"
    either: int | str = 1


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: int
    items: list[Item]


def refused(text: str) -> list[str]:
    """The problems of a file, as printed."""
    with pytest.raises(ConfigError) as caught:
        yamlfile.check(File, yamlfile.loads(text, "f.yaml"))
    return str(caught.value).splitlines()


def test_a_good_file_becomes_the_model_and_knows_its_lines():
    loaded = yamlfile.loads("version: 1\nitems:\n  - name: a\n    wait: 90s\n  - {name: b, count: 2}\n", "f.yaml")
    model = yamlfile.check(File, loaded)
    assert [item.name for item in model.items] == ["a", "b"]
    assert model.items[0].wait == 90_000_000_000
    assert loaded.line(("items", 0, "wait")) == 4
    assert loaded.line(("items", 1, "count")) == 5
    assert loaded.line(("items", 0, "not there")) == 3  # the nearest parent


def test_data_is_of_plain_types():
    text = "a: 0x1F\nb: 1_000\nc: 1.50\nd: 'x'\ne: true\nf: ~\ng: |\n  t\nh: 2026-11-30\ni: \"q\"\nj: [1, {k: no}]\n"
    data = yamlfile.loads(text, "f.yaml").data
    assert data == {
        "a": 31, "b": 1000, "c": 1.5, "d": "x", "e": True, "f": None, "g": "t\n", "h": date(2026, 11, 30), "i": "q",
        "j": [1, {"k": "no"}],
    }  # fmt: skip
    assert [type(value) for value in data.values()] == [int, int, float, str, bool, type(None), str, date, str, list]
    assert type(data) is dict
    assert type(data["j"]) is list


def test_every_mistake_is_told_at_once_with_its_line_key_and_what_would_be_right():
    text = (
        "version: x\n"  # 1
        "items:\n"  # 2
        "  - nmae: a\n"  # 3
        "    count: -1\n"  # 4
        "    wait: 90\n"  # 5
        "    kind: opne\n"  # 6
        "  - just text\n"  # 7
        "  - name: [1]\n"  # 8
        "    either: {}\n"  # 9
        "extra: 1\n"  # 10
    )
    assert refused(text) == [
        'f.yaml:1: version: got "x"; want a whole number',
        "f.yaml:3: items[0].name: got nothing; want the item's name, e.g. first",
        "f.yaml:3: items[0].nmae: got an unknown key; want name",
        "f.yaml:4: items[0].count: got -1; want greater than 0, e.g. 4",
        "f.yaml:5: items[0].wait: got 90; want a duration with a unit: 90s for seconds or 90ms for milliseconds, "
        "e.g. 90s",
        'f.yaml:6: items[0].kind: got "opne"; want open or closed; perhaps open, e.g. open',
        'f.yaml:7: items[1]: got "just text"; want a mapping',
        "f.yaml:8: items[2].name: got a list; want text, e.g. first",
        "f.yaml:9: items[2].either: got a mapping; want a whole number or text, e.g. 1",
        "f.yaml:10: extra: got an unknown key; want one of version, items",
    ]


def test_a_missing_key_is_told_at_its_parent():
    assert refused("version: 1\n") == ["f.yaml:1: items: got nothing; want a value: this key is required"]
    assert refused("version: 1\nitems:\n  - count: 2\n")[0].startswith("f.yaml:3: items[0].name: got nothing")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 'the key "a" twice'),
        ("a:\n  b: 1\n  b: 1\n", 3, 'the key "b" twice'),
        ("a: [1\nb: 2\n", 2, "broken YAML"),
        ("a:\n\t- b\n", 2, "spaces, not tabs"),
        ("a: b: c\n", 1, "broken YAML"),
        ("a: *nowhere\n", 1, "broken YAML"),
        ("--- 1\n--- 2\n", 2, "broken YAML"),
        ("ok: 1\nbad: \x01\n", 2, "U+0001"),
        ("a: 2026-99-99\n", 1, "cannot be read"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("a: !mine x\n", 1, "tag"),
        ("x: 1\n1: b\n", 2, "the key 1"),
        ("&loop [*loop]\n", 1, "contains itself"),
        ("a: " + "[" * 1000, 1, "nested too deeply"),
    ],
)
def test_broken_yaml_is_one_message_with_file_and_line(text, line, said):
    with pytest.raises(ConfigError) as caught:
        yamlfile.loads(text, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml:{line}:")
    assert said in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE


def test_aliases_that_multiply_are_stopped(monkeypatch):
    monkeypatch.setattr(yamlfile, "MAX_NODES", 1000)
    text = (
        "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: &d [*c, *c, *c, *c]\ne: [*d, *d, *d]\n"
    )
    with pytest.raises(ConfigError, match="more than 1,000 values"):  # 3 x 256 leaves and their lists
        yamlfile.loads(text, "f.yaml")


def test_merged_keys_keep_the_line_of_the_mapping_they_came_into():
    loaded = yamlfile.loads("base: &base {name: a}\nitems:\n  - <<: *base\n    count: 2\n", "f.yaml")
    assert loaded.data["items"] == [{"count": 2, "name": "a"}]
    assert loaded.line(("items", 0, "name")) == 3


def test_a_file_that_is_not_there_or_not_text_is_a_message(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        yamlfile.load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        yamlfile.load(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: got the byte 0xe9; want UTF-8"):
        yamlfile.load(latin)


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\n")
    assert yamlfile.load(path).data == {"version": 1}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("90s", 90 * 10**9),
        ("250ms", 250 * 10**6),
        ("5m", 5 * 60 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("0s", 0),
        ("1us", 1000),
        ("1µs", 1000),
        ("7ns", 7),
        (" 0.000000001s ", 1),
        ("0.1s", 100_000_000),  # exact: a float would give 100000000.00000001
    ],
)
def test_durations_are_exact_nanoseconds(text, ns):
    assert yamlfile.parse_duration_ns(text) == ns


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (90, "90s for seconds or 90ms for milliseconds"),
        (1.5, "1.5s for seconds"),
        ("90", "90s for seconds"),
        ("5min", "perhaps 5m"),
        ("5 sec", "perhaps 5s"),
        ("2hours", "perhaps 2h"),
        ("10msec", "perhaps 10ms"),
        ("-1s", "units"),
        ("1e3s", "units"),
        ("fast", "units"),
        ("", "units"),
        (True, "units"),
        (None, "units"),
        ("0.5ns", "whole nanoseconds"),
        ("3000000h", "292 years"),
    ],
)
def test_a_duration_that_is_none_says_what_was_wanted(value, said):
    with pytest.raises(ValueError, match=said):
        yamlfile.parse_duration_ns(value)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:- \n\t[]{}&*!|>'\"#%@,?~<0123.\x00é"), max_size=40))
def test_any_text_is_data_or_a_message_and_never_a_crash(text):
    problems = []
    try:
        loaded = yamlfile.loads(text, "f.yaml")
    except ConfigError as error:
        problems = list(error.problems)
    else:
        assert all(1 <= line <= text.count("\n") + 1 for line in loaded.lines.values())
        problems = yamlfile.validate(File, loaded)[1]
    assert problems  # no such text is a valid file
    assert all(problem.where.startswith("f.yaml:") for problem in problems)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(list(yamlfile.UNITS_NS)))
def test_a_whole_number_of_units_is_that_many_of_them(number, unit):
    ns = number * yamlfile.UNITS_NS[unit]
    if ns < 2**63:
        assert yamlfile.parse_duration_ns(f"{number}{unit}") == ns


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-abc",
        "sk-proj-abc",
        "AKIAIOSFODNN7EXAMPLE",
        "ya29.a0AfH6SMB",
        "AIzaSyA1234567890abcdefghijklmnopqrs",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx",
        "ghp_0123456789abcdef",
        "Bearer abc",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",  # the shape of an AWS secret
        "0123456789abcdef0123456789abcdef",  # 32 hex digits: the shape of an Azure key
        "https://user:password@gateway.example.com/v1",
        "https://gateway.example.com/v1?key=0123456789abcdef0123456789abcdef",
    ],
)
def test_values_in_the_form_of_secrets_are_seen(text):
    assert yamlfile.looks_like_secret(text)
    assert "not shown" in yamlfile.shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "nvidia/Llama-3_1-Nemotron-Ultra-253B-v1",
        "claude-sonnet-4-5@20250929",
        "https://bedrock-runtime.us-east-1.amazonaws.com/anthropic",
        "https://claude.googleapis.com/v1/projects/my-project-123456/locations/global/workspaces/wrkspc_01/invoke/",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "http://localhost:4000/v1",
        "",
    ],
)
def test_ids_addresses_and_names_are_no_secrets(text):
    assert not yamlfile.looks_like_secret(text)


def test_a_literal_under_a_secret_name_is_a_problem_and_is_not_printed():
    text = "a: {api_key: hunter2}\nmax_tokens: 5\nb: {headers: {Authorization: 'x y'}}\nc: {token: 7}\n"
    text += "prompt_cache_key: bench\n"
    problems = yamlfile.secrets(yamlfile.loads(text, "f.yaml"))
    assert [problem.path for problem in problems] == ["a.api_key", "b.headers.Authorization", "c.token"]
    assert "hunter2" not in "".join(map(str, problems))
