"""The registry of models: ids and settings per door, and what it says about the end of a model."""

from datetime import date, timedelta

import pytest

from bench import registry
from bench.errors import ConfigError

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("model", "door", "region", "model_id"),
    [
        ("claude-sonnet-4-5", "anthropic", None, "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5", "bedrock", "us-east-1", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5", "bedrock", "eu-west-3", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5", "bedrock", "ap-northeast-1", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5", "bedrock", "ap-southeast-2", "au.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5", "bedrock", "us-gov-west-1", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5", "bedrock", "ap-south-1", None),  # no apac profile of this model
        ("claude-sonnet-5-5", "bedrock", "ap-south-1", "apac.anthropic.claude-sonnet-5-5"),
        ("claude-sonnet-5-5", "bedrock", "sa-east-1", None),
        ("claude-opus-4-1", "bedrock", "us-gov-west-1", None),  # us does not hold us-gov
        ("claude-sonnet-4-5", "vertex", "global", "claude-sonnet-4-5@20250929"),
        ("claude-opus-4-1", "vertex", "us-east5", "claude-opus-4-1@20250805"),
        ("claude-haiku-4-5", "vertex-grpc", "global", "claude-haiku-4-5@20251001"),
        ("gemini-3.5-flash", "gemini-vertex", "global", "gemini-3.5-flash"),
        ("gemini-3.5-flash", "vertex-grpc", "global", "gemini-3.5-flash"),
        ("claude-haiku-4-5", "bedrock-mantle", "us-east-1", "anthropic.claude-haiku-4-5"),
        ("claude-haiku-4-5", "foundry", None, "claude-haiku-4-5"),
        ("claude-haiku-5-5", "claude-aws", "us-east-1", "claude-haiku-5-5"),
        ("claude-opus-5-5", "claude-gcp", "global", "claude-opus-5-5"),
        ("claude-opus-4-5", "anthropic", None, "claude-opus-4-5-20251101"),
        ("my-own-model", "openai-compatible", None, "my-own-model"),
    ],
)
def test_a_logical_model_has_its_id_at_every_door(model, door, region, model_id):
    entry = registry.lookup(model, door)
    assert entry is not None
    assert registry.model_id(entry, region) == model_id


def test_what_is_not_known_is_none():
    assert registry.lookup("claude-sonnet-4-5", "bedrock-mantle") is None
    assert registry.lookup("no-such-model", "anthropic") is None
    assert registry.lookup("claude-sonnet-4-5", "no-such-door") is None


def test_every_place_of_every_model_is_complete():
    for model in [name for name in registry.models() if name.startswith("claude-")]:
        for door in ("anthropic", "bedrock", "vertex", "foundry", "openai-compatible"):
            entry = registry.lookup(model, door)
            assert entry is not None, (model, door)
            assert ("{profile}" in entry.model_id) == bool(entry.profiles) == (door == "bedrock")
            assert (entry.api_version is None) == (door == "openai-compatible")
            assert entry.context_tokens is not None
            assert entry.max_output_tokens is not None
            assert entry.max_output_tokens < entry.context_tokens
            assert "seed" not in entry.accepts


def test_a_gemini_model_is_asked_in_its_own_language_at_both_doors():
    for model in (name for name in registry.models() if name.startswith("gemini-")):
        over_http, over_grpc = (registry.lookup(model, door) for door in ("gemini-vertex", "vertex-grpc"))
        assert over_http is not None
        assert over_grpc is not None
        assert over_http.model_id == over_grpc.model_id == model
        assert over_http.end_of_life == over_grpc.end_of_life
        assert (over_http.dialect, over_grpc.dialect) == (None, "gemini")  # the door's first, and named
        assert "seed" in over_http.accepts
        assert over_http.max_output_tokens is not None
        assert registry.lookup(model, "vertex") is None


def test_models_that_take_temperature_are_pinned_to_a_version_that_does():
    for model in registry.models():
        for door in registry.doors():
            entry = registry.lookup(model, door)
            if entry is not None and entry.accepts and entry.api_version is not None:
                assert not registry.refused_by_api_version(entry.api_version), (model, door)


def test_a_gateway_cannot_give_a_model_settings_it_does_not_take():
    known = registry.lookup("claude-sonnet-5-5", "openai-compatible")
    unknown = registry.lookup("llama-4-70b", "openai-compatible")
    assert known is not None
    assert unknown is not None
    assert known.accepts == frozenset()
    assert unknown.accepts == frozenset(registry.SAMPLING)


@pytest.mark.parametrize(
    ("model_id", "profile"),
    [
        ("us.anthropic.claude-sonnet-5-5", "us"),
        ("us-gov.anthropic.claude-sonnet-5-5", "us-gov"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "global"),
        ("anthropic.claude-sonnet-5-5", "in-region"),
        ("openai.gpt-oss-120b-1:0", "in-region"),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", None),
        ("claude", None),
    ],
)
def test_the_profile_is_read_from_the_bedrock_id(model_id, profile):
    assert registry.bedrock_profile(model_id) == profile


@pytest.mark.parametrize(
    ("profile", "region", "holds"),
    [
        ("us", "us-west-2", True),
        ("us", "us-gov-west-1", False),
        ("us", "eu-west-1", False),
        ("us", "ca-central-1", True),  # nothing is known against it
        ("jp", "ap-southeast-2", False),
        ("apac", "ap-southeast-2", True),
        ("global", "sa-east-1", True),
        ("in-region", "eu-west-1", True),
    ],
)
def test_a_profile_is_refused_only_where_it_is_known_not_to_reach(profile, region, holds):
    assert registry.profile_holds(profile, region) is holds


def retired(model, door, on, model_id=""):
    entry = registry.lookup(model, door)
    assert entry is not None
    return registry.retired(entry, on, model_id), registry.ending(entry, on, model_id)


def test_a_retired_model_is_refused_with_day_and_source():
    gone, warning = retired("claude-opus-4-1", "anthropic", TODAY)
    assert gone is not None
    assert "was retired at anthropic on 2026-08-05" in gone
    assert "platform.claude.com" in gone
    assert "checked 2026-11-21" in gone
    assert warning is None


def test_a_model_that_is_gone_without_a_known_day_is_refused():
    gone, _ = retired("claude-opus-4-1", "foundry", TODAY)
    assert gone is not None
    assert "no longer offered at foundry" in gone


def test_the_same_model_can_live_on_at_another_door():
    gone, warning = retired("claude-opus-4-1", "bedrock", TODAY, "us.anthropic.claude-opus-4-1-20250805-v1:0")
    assert (gone, warning) == (None, None)


def test_an_announced_day_warns_before_and_refuses_from_that_day_on():
    last = date(2026, 11, 30)
    assert retired("claude-sonnet-4-5", "anthropic", last - timedelta(days=31)) == (None, None)
    gone, warning = retired("claude-sonnet-4-5", "anthropic", TODAY)
    assert gone is None
    assert warning is not None
    assert "ends on 2026-11-30, in 9 days" in warning
    gone, warning = retired("claude-sonnet-4-5", "anthropic", last)
    assert gone is not None
    assert warning is None


def test_a_third_partys_day_that_passed_is_a_warning_to_verify_and_no_refusal():
    gone, warning = retired("claude-sonnet-4-5", "vertex", TODAY)
    assert gone is None
    assert warning is not None
    assert "listed to end on 2026-09-29, which is past: verify by calling" in warning


def test_an_end_of_one_inference_profile_does_not_touch_the_others():
    eu = retired("claude-haiku-4-5", "bedrock", TODAY, "eu.anthropic.claude-haiku-4-5-20251001-v1:0")
    us = retired("claude-haiku-4-5", "bedrock", TODAY, "us.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert eu[1] is not None
    assert "2026-10-15" in eu[1]
    assert us == (None, None)


def test_an_unknown_key_in_the_registry_is_an_error():
    from bench import yamlfile
    from bench.registry.schema import File

    doors = "doors: {x: {dialekts: []}}"
    text = f"version: 1\nchecked: 2026-11-21\nsources: {{}}\napi_versions: {{}}\nmodels: {{}}\n{doors}\n"
    loaded = yamlfile.loads(text, "models.yaml")
    with pytest.raises(ConfigError, match=r"doors\.x\.dialekts: got an unknown key; want dialects"):
        yamlfile.check(File, loaded)


@pytest.mark.parametrize(
    ("model", "door", "model_id"),
    [
        ("gpt-6.1-sol", "openai", "gpt-6.1-sol"),
        ("gpt-6.1-sol", "azure-openai", "gpt-6.1-sol"),
        ("gpt-6.1-sol", "openai-bedrock", "openai.gpt-6.1-sol"),
        ("gpt-6.1-sol", "openai-vertex", None),
        ("gpt-5", "openai-bedrock", None),
        ("gpt-oss-20b", "openai-bedrock", "openai.gpt-oss-20b"),
        ("gpt-oss-20b", "openai-vertex", "openai/gpt-oss-20b-maas"),
        ("gpt-oss-20b", "openai", None),
        ("gpt-oss-20b", "openai-compatible", "gpt-oss-20b"),
    ],
)
def test_openais_models_at_their_doors(model, door, model_id):
    entry = registry.lookup(model, door)
    assert (entry.model_id if entry else None) == model_id


def test_the_end_of_gpt_5_differs_by_door():
    on = date(2026, 12, 11)
    assert "2026-12-11" in registry.retired(registry.lookup("gpt-5", "openai"), on)
    assert registry.retired(registry.lookup("gpt-5", "azure-openai"), on) is None
    assert "verify by calling" in registry.ending(registry.lookup("gpt-oss-20b", "openai-vertex"), on)
