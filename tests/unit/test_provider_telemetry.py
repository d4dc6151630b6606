"""Rate limits as the vendors document their headers: Anthropic, OpenAI, Azure, the drafts of the standard."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import record
from bench.providers import telemetry
from bench.providers.headers import ALLOWED_HEADERS
from bench.stats import proof
from tests.unit.stats_example import frame

DATE = ("Date", "Sat, 21 Nov 2026 12:00:00 GMT")  # 1795262400 in Unix time
EXAMPLES: list[tuple[str, list[tuple[str, str]], dict[str, Any]]] = [
    (
        "Anthropic: each kind apart, resets as RFC 3339 times",
        [
            DATE,
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "400000"),
            ("anthropic-ratelimit-input-tokens-remaining", "16000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T12:00:57.5+00:00"),
            ("anthropic-ratelimit-output-tokens-limit", "80000"),
            ("anthropic-ratelimit-output-tokens-remaining", "80000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-21T11:59:59Z"),  # past: nothing to wait for
            ("anthropic-ratelimit-tokens-limit", "480000"),
            ("anthropic-ratelimit-tokens-remaining", "96000"),
        ],
        {
            "limit_requests": 1000, "remaining_requests": 999, "reset_requests_s": 1.0,
            "limit_input_tokens": 400000, "remaining_input_tokens": 16000, "reset_input_tokens_s": 57.5,
            "limit_output_tokens": 80000, "remaining_output_tokens": 80000, "reset_output_tokens_s": 0.0,
            "limit_tokens": 480000, "remaining_tokens": 96000,
        },
    ),
    (
        "Anthropic without a date: a time that cannot be read against anything is not known",
        [("anthropic-ratelimit-requests-remaining", "9"), ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:01Z")],
        {"remaining_requests": 9},
    ),
    (
        "OpenAI: resets as durations",
        [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-requests", "1m2.5s"),  # 60 + 2.5
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        {
            "limit_requests": 60, "remaining_requests": 59, "reset_requests_s": 62.5,
            "limit_tokens": 150000, "remaining_tokens": 149984, "reset_tokens_s": 360.0,
        },
    ),
    ("milliseconds", [("x-ratelimit-remaining-tokens", "1"), ("x-ratelimit-reset-tokens", "120ms")],
     {"remaining_tokens": 1, "reset_tokens_s": 0.12}),
    ("hours", [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "7h12m3s")],
     {"remaining_requests": 0, "reset_requests_s": 25923.0}),  # 7 × 3600 + 12 × 60 + 3
    ("Azure: what is left, without the limit", [("x-ratelimit-remaining-requests", "49"), ("x-ratelimit-remaining-tokens", "48000")],
     {"remaining_requests": 49, "remaining_tokens": 48000}),
    ("Azure, provisioned: utilisation in per cent", [("azure-openai-deployment-utilization", "42.5%")], {"utilisation_share": 0.425}),
    ("without its sign a figure could be either", [("azure-openai-deployment-utilization", "0.5")], {}),
    ("Azure: milliseconds before seconds", [("retry-after", "2"), ("retry-after-ms", "1250")], {"retry_after_s": 1.25}),
    ("seconds", [("Retry-After", "20")], {"retry_after_s": 20.0}),
    ("an HTTP date", [DATE, ("retry-after", "Sat, 21 Nov 2026 12:01:30 GMT")], {"retry_after_s": 90.0}),
    ("a date that is past", [DATE, ("retry-after", "Sat, 21 Nov 2026 11:00:00 GMT")], {"retry_after_s": 0.0}),
    ("OpenRouter: Unix time in milliseconds", [DATE, ("x-ratelimit-limit", "20"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795262410000")],
     {"limit_requests": 20, "remaining_requests": 0, "reset_requests_s": 10.0}),
    ("draft 3: seconds", [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "50"), ("ratelimit-reset", "30")],
     {"limit_requests": 100, "remaining_requests": 50, "reset_requests_s": 30.0}),
    ("draft 7: one field", [("ratelimit", "limit=100, remaining=50, reset=5")], {"limit_requests": 100, "remaining_requests": 50, "reset_requests_s": 5.0}),
    ("draft 8: structured", [("ratelimit", '"default";r=50;t=30'), ("ratelimit-policy", '"default";q=100;w=60')],
     {"limit_requests": 100, "remaining_requests": 50, "reset_requests_s": 30.0}),
    ("Bedrock and Vertex say nothing", [("x-amzn-requestid", "a"), ("x-amzn-bedrock-input-token-count", "25")], {}),
    ("rubbish", [("x-ratelimit-remaining-tokens", "many"), ("x-ratelimit-reset-tokens", "soon"), ("retry-after", "-3")], {}),
    ("more than a column holds", [("x-ratelimit-remaining-tokens", "9" * 30)], {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headers", "want"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_the_documented_examples_are_read(name: str, headers: list[tuple[str, str]], want: dict[str, Any]) -> None:
    got = {key: value for key, value in telemetry.read(headers).items() if value is not None}
    assert got == pytest.approx(want)
    assert {key for key, _ in headers} - {"Date", "Retry-After"} <= ALLOWED_HEADERS, "what is read is kept, too"


def test_every_column_is_stored_and_typed() -> None:
    stored = {column.name: column.kind for column in record.ATTEMPTS}
    kinds = {name: "float64" if name.endswith(("_s", "_share")) else "int64" for name in telemetry.COLUMNS}
    assert kinds.items() <= stored.items()


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [*sorted(h for h in ALLOWED_HEADERS if "ratelimit" in h or "retry" in h or "util" in h), "date"]
            ),
            st.text(max_size=12)
            | st.from_regex(r"[0-9]{0,25}(\.[0-9]+)?(ms|s|m|h|%)?([;,][a-z]=[0-9]+)?", fullmatch=True)
            | st.datetimes().map(lambda at: at.isoformat() + "Z"),
        ),
        max_size=6,
    )
)
def test_no_header_breaks_the_reading(headers: list[tuple[str, str]]) -> None:
    for name, value in telemetry.read(headers).items():
        assert value is None or value >= 0, name
        assert value is None or name.endswith(("_s", "_share")) or (isinstance(value, int) and value < 2**63)
        assert value is None or value < float("inf")


def attempts(*rows: dict[str, Any]) -> pd.DataFrame:
    return frame(
        "attempts", [{"run_id": "r", "seq": n, "attempt": 1, "target": "a", **row} for n, row in enumerate(rows)]
    )


def test_a_target_that_came_near_a_limit_is_named_with_what_was_left() -> None:
    near = attempts(
        {"limit_input_tokens": 400000, "remaining_input_tokens": 40000},  # 10 %
        {"limit_input_tokens": 400000, "remaining_input_tokens": 16000},  # 4 %: the least
        {"limit_requests": 1000, "remaining_requests": 500},  # 50 %: no word of it
        {"utilisation_share": 0.93},
        {},
    )
    assert proof.near_limits(["a", "b"], near) == [
        "a came within 10% of a limit of the provider: 16,000 of 400,000 input tokens left at the least; "
        "93% of the deployment in use"
    ]
    far = attempts({"limit_tokens": 100, "remaining_tokens": 11, "utilisation_share": 0.89}, {"remaining_tokens": 0})
    assert proof.near_limits(["a"], far) == []
    assert proof.near_limits(["a"], attempts()) == []
    assert proof.near_limits(["a"], far.drop(columns=["limit_tokens", "utilisation_share"])) == []


def test_replies_of_strangers_raise_the_alarm() -> None:
    wrong = {"fault_code": "identity_contradicted", "identity": "a: the message id msg_01 is one of B, not of A"}
    assert proof.strangers(["a"], attempts({}, wrong, wrong)) == [
        "a: 2 attempts answered by somebody else, or by another model, than asked; they count as failures: "
        "the message id msg_01 is one of B, not of A"
    ]
    assert proof.strangers(["a"], attempts({"fault_code": "x"})) == []
