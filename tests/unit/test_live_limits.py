"""The live tests cannot run away: nothing is sent without a known price, above the limit, or by scripts/test."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bench.record import Case, Params
from bench.targets import Target
from bench.testing.ask import most_usd
from tests.live.conftest import Purse

ROOT = Path(__file__).parent.parent.parent
PRICED = Target("t", "m", "openai-compatible", "m", "chat", price={"input": "2.00", "output": "10.00"})
CASE = Case("c", ({"role": "user", "content": "Say yes."},))


def test_the_most_that_a_request_may_cost_counts_every_byte_as_a_token() -> None:
    # {'role': 'user', 'content': 'Say yes.'} has 39 characters; 500 for templates: 539 × 2.00 + 16 × 10.00 per million
    assert most_usd(PRICED, Params(max_tokens=16), CASE) == Decimal("0.001238")
    unknown = Target("t", "m", "openai-compatible", "m", "chat")
    assert most_usd(unknown, Params(max_tokens=16), CASE) is None


def test_the_purse_is_emptied_before_each_send_and_refuses_what_it_cannot_pay() -> None:
    purse = Purse(Decimal("0.003"))
    for _ in range(2):
        purse.take(PRICED, Params(max_tokens=16), CASE)
    assert purse.left_usd == Decimal("0.003") - 2 * Decimal("0.001238")
    with pytest.raises(pytest.skip.Exception, match=r"BENCH_LIVE_MAX_USD=0\.003"):
        purse.take(PRICED, Params(max_tokens=16), CASE)
    with pytest.raises(pytest.skip.Exception, match="knows no price"):
        Purse(Decimal(9)).take(Target("t", "m", "openai-compatible", "m", "chat"), Params(), CASE)


def live(*arguments: str, **env: str) -> str:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "400", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 5), done.stdout
    return done.stdout


def test_without_credentials_every_live_test_is_skipped_and_says_which_variable_is_missing() -> None:
    said = live("tests/live")
    assert "passed" not in said
    assert "failed" not in said
    for variable in ("ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID"):
        assert variable in said


def test_with_a_limit_of_nothing_nothing_is_sent() -> None:
    proxy = "http://127.0.0.1:9"  # were anything sent, it would be refused, and the test would fail
    said = live(
        "tests/live", "-k", "anthropic", ANTHROPIC_API_KEY="k", BENCH_LIVE_MAX_USD="0.000001", HTTPS_PROXY=proxy
    )  # fmt: skip
    assert "of BENCH_LIVE_MAX_USD=0.000001 are left" in said


def test_the_whole_suite_leaves_the_live_tests_out() -> None:
    # the other folders and files are left out because collecting them takes half a minute; of `tests` all the same
    others = [
        f"--ignore={path}" for path in (ROOT / "tests").iterdir() if path.name not in ("live", "unit", "conftest.py")
    ]
    said = live("--collect-only", "-q", "tests", *others, "--ignore-glob=*/unit/test_[!l]*")
    assert "tests/live" not in said
    assert "tests/unit/test_live_limits.py" in said
    assert "tests/live" in live("--collect-only", "-q", "tests/live")
