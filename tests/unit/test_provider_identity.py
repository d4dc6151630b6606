"""Who answered: every door's marks, what speaks against a label, and what says nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import registry
from bench.engine.send import Lane, Policy, send
from bench.providers import get, identity, names
from bench.record import Connection, Exchange, Reply, Request
from bench.targets import Target
from bench.wire.message import Outgoing

SONNET = "claude-sonnet-4-5-20250929"


def target(door: str, **facts: Any) -> Target:
    return Target(
        **{
            "id": "t",
            "model": "claude-sonnet-4-5",
            "provider": door,
            "model_id": SONNET,
            "dialect": "messages",
            **facts,
        }
    )


def exchange(*headers: tuple[str, str]) -> Exchange:
    return Exchange(0, 1, 2, 200, headers, (), Connection(True, address="192.0.2.1:443", tls_version="TLSv1.3"))


def told(one: Target, message_id: str | None = None, model: str | None = None, *headers: tuple[str, str], **said: Any):
    return identity.identify(one, exchange(*headers), Reply(message_id=message_id, served_model=model, **said))


FIRST, BEDROCK, VERTEX, CHAT, RESPONSES = "msg_01AbC", "msg_bdrk_01AbC", "msg_vrtx_01AbC", "chatcmpl-9", "resp_68"
BY_ID = [
    # door, and the verdict on an id of: first-party, bedrock, vertex, chat, responses, no mark at all
    ("anthropic", "yes", "no", "no", "no", "no", "?"),
    ("claude-aws", "yes", "no", "no", "no", "no", "?"),
    ("claude-gcp", "yes", "no", "no", "no", "no", "?"),
    ("foundry", "yes", "no", "no", "no", "no", "?"),
    ("bedrock", "no", "yes", "no", "no", "no", "?"),
    ("bedrock-mantle", "?", "?", "no", "no", "no", "?"),
    ("vertex", "no", "no", "yes", "no", "no", "?"),
    ("vertex-grpc", "no", "no", "yes", "no", "no", "?"),
    ("gemini-vertex", "no", "no", "no", "no", "no", "?"),
    ("openai", "no", "no", "no", "?", "?", "?"),
    ("azure-openai", "no", "no", "no", "?", "?", "?"),
    ("openai-bedrock", "no", "no", "no", "?", "?", "?"),
    ("openai-vertex", "no", "no", "no", "?", "?", "?"),
    ("openai-compatible", "?", "?", "?", "?", "?", "?"),
    ("a third party's", "?", "?", "?", "?", "?", "?"),
]
WORDS = {"yes": "consistent", "no": "contradicted", "?": "unknown"}


@pytest.mark.parametrize("row", BY_ID, ids=lambda row: row[0])
def test_an_id_speaks_for_its_operator_and_against_every_other_label(row: tuple[str, ...]) -> None:
    door, *verdicts = row
    for message_id, verdict in zip((FIRST, BEDROCK, VERTEX, CHAT, RESPONSES, "aXyZ123"), verdicts, strict=True):
        found = told(target(door), message_id)
        assert found.region_proof == WORDS[verdict], message_id
        assert (found.contradiction is not None) == (verdict == "no")


def test_every_door_of_the_registry_and_of_the_providers_is_in_the_table() -> None:
    assert set(registry.doors()) | set(names()) <= set(identity.DOORS)
    assert {row[0] for row in BY_ID} - {"a third party's"} == set(identity.DOORS)


BY_MODEL = [
    # id asked for, logical model, deployment, model in the reply -> does it contradict
    (SONNET, "claude-sonnet-4-5", None, SONNET, False),
    ("claude-sonnet-4-5", "claude-sonnet-4-5", None, SONNET, False),  # a snapshot of the alias
    (SONNET, "claude-sonnet-4-5", None, "claude-sonnet-4-5", False),  # the alias of the snapshot
    (
        SONNET,
        "claude-sonnet-4-5",
        None,
        "claude-sonnet-4-5-20260101",
        True,
    ),  # another snapshot than the dated one asked for
    ("claude-sonnet-4-5", "claude-sonnet-4-5", None, "claude-haiku-4-5-20251001", True),
    ("claude-sonnet-4-5", "claude-sonnet-4-5", None, "claude-sonnet-4-6", True),
    ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5", None, SONNET, False),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", None, SONNET, False),
    ("us.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5", None, "claude-sonnet-5-5", False),
    ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "claude-sonnet-4-5", None, SONNET, False),
    (
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
        "claude-sonnet-4-5",
        None,
        "claude-opus-4-5",
        True,
    ),
    ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "ours", None, "claude-opus-4-5", False),
    ("claude-sonnet-4-5", "claude-sonnet-4-5", "prod", SONNET, False),
    ("claude-sonnet-4-5", "claude-sonnet-4-5", "prod", "claude-haiku-4-5", True),
    ("claude-sonnet-4-5", "claude-sonnet-4-5", "prod", "prod", False),  # some echo the deployment
    ("claude-fast", "claude-sonnet-4-5", None, SONNET, False),  # a gateway's own name for the model
    ("gpt-5", "gpt-5", None, "gpt-5-2025-08-07", False),
    ("gpt-5", "gpt-5", None, "gpt-5-mini-2025-08-07", True),
    ("gpt-5-2025-08-07", "gpt-5", None, "gpt-5-2025-10-01", True),
    ("openai.gpt-oss-120b-1:0", "gpt-oss-120b", None, "gpt-oss-120b", False),
    ("openai/gpt-oss-120b-maas", "gpt-oss-120b", None, "openai/gpt-oss-120b-maas", False),
    ("gemini-2.5-flash", "gemini-2.5-flash", None, "gemini-2.5-flash-001", False),
    ("gemini-2.5-flash", "gemini-2.5-flash", None, "gemini-2.5-flash-lite", True),
    ("gemini-2.5-flash", "gemini-2.5-flash", None, "models/gemini-2.5-flash", False),
    ("Qwen/Qwen3-8B", "qwen3-8b", None, "claude-sonnet-4-5", False),  # a line that is not known cannot be compared
    ("claude-sonnet-4-5", "claude-sonnet-4-5", None, None, False),
]


@pytest.mark.parametrize(("model_id", "model", "deployment", "served", "wrong"), BY_MODEL)
def test_another_model_contradicts_and_a_snapshot_of_the_alias_does_not(
    model_id: str, model: str, deployment: str | None, served: str | None, wrong: bool
) -> None:
    found = told(target("openai-compatible", model=model, model_id=model_id, deployment=deployment), "x", served)
    assert (found.contradiction is not None) == wrong
    assert found.region_proof == ("contradicted" if wrong else "unknown")


def test_a_contradiction_is_said_in_one_plain_sentence() -> None:
    found = told(target("vertex"), FIRST, "claude-haiku-4-5-20251001")
    assert found.verdict == (
        "t: the message id msg_01AbC is one of Anthropic's own service, not of vertex, and the model "
        "claude-haiku-4-5-20251001 answered, not claude-sonnet-4-5-20250929; check its base_url, and what stands in between"
    )
    assert len(told(target("vertex"), "msg_" + "x" * 10_000).verdict) < 250


PLACES = [
    # door, facts of the target, headers, geography in the reply -> proof
    ("foundry", {"region": "westeurope"}, (("X-MS-Region", "West Europe"),), None, "consistent"),
    ("foundry", {"region": "westeurope"}, (("x-ms-region", "East US 2"),), None, "contradicted"),
    ("azure-openai", {"region": "eastus2"}, (("x-ms-region", "Sweden Central"),), None, "contradicted"),
    ("anthropic", {"params": {"extra_body": {"inference_geo": "us"}}}, (), "us", "consistent"),
    ("anthropic", {"params": {"extra_body": {"inference_geo": "us"}}}, (), "global", "contradicted"),
    ("anthropic", {}, (), "global", "consistent"),
]


@pytest.mark.parametrize(("door", "facts", "headers", "geo", "want"), PLACES)
def test_a_place_other_than_asked_contradicts_and_stays_an_ok_row(
    door: str, facts: dict[str, Any], headers: Any, geo: str | None, want: str
) -> None:
    message_id = CHAT if door == "azure-openai" else FIRST
    one = target(door, **facts)
    found = told(one, message_id, None, *headers, inference_geo=geo)
    assert found.region_proof == want
    assert identity.contradicted(one, exchange(*headers), Reply(message_id=message_id)) is None


def test_tier_spill_over_scope_and_the_connection_are_read() -> None:
    bedrock = told(target("bedrock", model_id="eu.anthropic.claude-sonnet-5-5"), None, None,
                   ("X-Amzn-Bedrock-Service-Tier", "flex"), ("x-amzn-requestid", "a"), ("request-id", "b"))  # fmt: skip
    assert (bedrock.served_lane, bedrock.profile_scope, bedrock.request_id) == ("flex", "eu", "a")
    spilled = told(target("azure-openai"), CHAT, None, ("x-ms-spillover-from-deployment", "ptu-1"),
                   ("x-request-id", "x"), ("apim-request-id", "y"), served_lane="default", fingerprint="fp_1")  # fmt: skip
    assert (spilled.served_lane, spilled.spilled_from) == ("default/spillover", "ptu-1")
    assert (spilled.request_id, spilled.fingerprint) == ("y", "fp_1")
    gemini = told(target("gemini-vertex"), "aXyZ123", None, served_lane="PROVISIONED_THROUGHPUT")
    assert (gemini.served_lane, gemini.request_id, gemini.profile_scope) == ("PROVISIONED_THROUGHPUT", None, None)
    assert (gemini.address, gemini.tls_version) == ("192.0.2.1:443", "TLSv1.3")


class _Wire:
    async def exchange(self, prepared: Outgoing, deadline_ns: int) -> Exchange:
        return exchange()


def test_a_reply_from_somebody_else_is_a_failure_that_is_not_tried_again() -> None:
    one = target("vertex")
    reply = Reply(text="30 days", complete=True, stop_reason="stop", message_id=FIRST)
    lane = Lane(one, get("vertex"), lambda _: reply, lambda _: {})

    async def sleep(_: float) -> None:
        raise AssertionError("a wait before another try")

    request = Request(0, 0, "c", "t", 0, "measure", None)
    done = asyncio.run(send(lane, request, Outgoing(("http", "x", 1), b""), _Wire(), Policy(10**9, 3), sleep))
    assert len(done.attempts) == 1
    fault = done.final.fault
    assert fault is not None
    assert (fault.outcome, fault.code, fault.retryable) == ("server", "identity_contradicted", False)
    assert "Anthropic's own service, not of vertex" in fault.message


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    door=st.sampled_from([*identity.DOORS, "other"]),
    message_id=st.none() | st.text(max_size=20),
    model=st.none() | st.text(max_size=20) | st.from_regex(r"(claude|gpt)-[a-z0-9:@/.-]{0,20}", fullmatch=True),
    headers=st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=3),
)
def test_any_reply_has_a_verdict(door: str, message_id: str | None, model: str | None, headers: Any) -> None:
    found = told(target(door), message_id, model, *headers)
    assert (found.contradiction is None) or found.region_proof == "contradicted"
    assert found.verdict
