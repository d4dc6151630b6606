"""One cheap request per door and feature, to the real clouds: `pytest tests/live`. Without credentials, skipped with what is missing.

The targets are those of the shipped targets.yaml, or of the file that BENCH_LIVE_TARGETS names.
"""

import os
from pathlib import Path

import pytest

from bench import dialects, providers
from bench.record import Case, Params
from bench.registry.settings import effective_params
from bench.targets import Target, load_targets

pytestmark = pytest.mark.live

TARGETS = Path(os.environ.get("BENCH_LIVE_TARGETS") or Path(__file__).parent.parent.parent / "targets.yaml")
CASE = Case("live", ({"role": "user", "content": "Say yes."},))
TOOL = {
    "type": "function",
    "function": {
        "name": "say",
        "description": "Says a word.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}
FEATURES: dict[str, Params] = {
    "stream": Params(max_tokens=16),
    "plain": Params(max_tokens=16, stream=False),
    "tool": Params(max_tokens=128, tools=(TOOL,)),
}


def ready(target: Target, params: Params) -> Params:
    """The settings that the target takes; skips when something is missing, and says what."""
    problems = providers.get(target.provider).check(target)
    if problems:
        pytest.skip("; ".join(map(str, problems)))
    params, wrong, _ = effective_params(params, target)
    unsupported = dialects.get(target.dialect).unsupported(params)
    if wrong or unsupported:
        pytest.skip("; ".join([*map(str, wrong), *unsupported]))
    return params


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("target", load_targets(TARGETS, doors=providers.names()), ids=lambda t: t.id)
def test_a_real_cloud_answers_in_the_words_that_we_read(target: Target, feature: str, ask_live) -> None:
    params = ready(target, FEATURES[feature])
    attempt = ask_live(target, params, CASE)
    assert attempt.fault is None, attempt.fault
    reply = attempt.reply
    assert reply.complete
    assert reply.stop_reason in ("stop", "length", "tool")
    assert reply.usage.output_tokens
    if feature == "plain":
        assert reply.first_token_ns is None
    else:
        assert attempt.exchange.sent_ns < (reply.first_token_ns or 0) <= attempt.exchange.end_ns
    if feature != "tool":
        assert reply.text or reply.stop_reason == "length"


@pytest.mark.parametrize("target", load_targets(TARGETS, doors=providers.names()), ids=lambda t: t.id)
def test_a_real_cloud_says_that_a_model_does_not_exist(target: Target, ask_live) -> None:
    import dataclasses

    if target.deployment:
        target = dataclasses.replace(target, deployment="no-such-deployment")
    params = ready(target, FEATURES["stream"])
    unknown = dataclasses.replace(
        target, model_id=target.model_id + "-does-not-exist", price={"input": "100", "output": "100"}
    )
    attempt = ask_live(unknown, params, CASE)
    assert attempt.fault is not None
    assert attempt.fault.outcome in ("bad_request", "auth")
    assert not attempt.fault.retryable
