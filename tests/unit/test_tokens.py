"""The estimate of tokens, held against what o200k counts of third-party text."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from bench.doctor import probe_of
from bench.targets import Target
from bench.tokens import tokens

FOREIGN = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("the sky", 2),
        ("Colour only.", 3),  # two words and a full stop
        ("2026", 2),  # 202 and 6
        ("12:30", 3),
        ("a\n\nb", 3),  # a break is one
        ("returned", 1.1),  # eight letters
        ("uninterruptible", 1.1 + 5 / 6),  # fifteen
        ("Łódź", 1.6),
        ("GMBH", 4 / 2.6),
        ("~~~~~~", 2),
    ],
)
def test_a_text_has_about_as_many_tokens(text, expected):
    assert tokens(text) == pytest.approx(expected)


def test_the_question_of_the_doctor_is_priced_by_this_rule():
    target = Target("a", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", "messages")
    # Five words, a full stop and 20 for what stands around them, at $3 a million, and one token of reply at $15.
    assert probe_of(target, date(2026, 11, 21)).usd_most == Decimal("0.000078") + Decimal("0.000015")


def test_machine_text_is_dense_and_prose_is_not():
    prose = "The warranty ends on the later of two dates, and the register has both of them."
    log = "2026-02-26T08:06:13.412+00:00 halyard-03 INFO  zone 41 released"
    assert 4.0 <= len(prose) / tokens(prose) <= 5.2
    assert 1.8 <= len(log) / tokens(log) <= 2.8


def strings(value, key):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            else:
                yield from strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, key)


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="the third-party files are not here")
@pytest.mark.parametrize(
    ("name", "characters_a_token"),
    [("meetings", 4.13), ("passages", 4.84), ("tools", 2.78), ("users", 4.43)],
)
def test_the_estimate_is_within_ten_per_cent_of_what_was_counted(name, characters_a_token):
    """Characters a token by o200k of four kinds of text, counted over whole files."""
    if name == "meetings":
        meetings = [
            json.loads(line) for line in (FOREIGN / "datasets/qmsum_test_first8.jsonl").read_text("utf-8").splitlines()
        ]
        text = "\n".join(f"{turn['speaker']}: {turn['content']}" for m in meetings for turn in m["meeting_transcripts"])
    elif name == "passages":
        rows = [
            json.loads(line)
            for line in (FOREIGN / "datasets/mtrag_un_reference_60.jsonl").read_text("utf-8").splitlines()
        ]
        text = "\n".join(strings(rows, "text"))
    else:
        runs = json.loads((FOREIGN / "logs/taubench_gpt4o_airline_first10tasks.json").read_text("utf-8"))
        role = {"tools": "tool", "users": "user"}[name]
        text = "\n".join(
            m["content"] for run in runs for m in run["traj"] if m.get("role") == role and m.get("content")
        )
    assert len(text) / tokens(text) == pytest.approx(characters_a_token, rel=0.10)
