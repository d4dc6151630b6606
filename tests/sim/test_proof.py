"""Whole runs: a stranger's reply, a token that ends in mid-run, and what the doctor finds before and over the network."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.compute_engine import _metadata

from tests.sim.conftest import Place
from tests.unit.token_endpoints import Endpoint, serving


def test_another_model_than_asked_is_a_failure_with_an_alarm(place: Place, clouds: Callable[..., Any]) -> None:
    clouds(anthropic={"served_model": "claude-haiku-4-5-20251001"}, foundry={})
    done = place.run(requests=4)
    rows = {(row["target"], row["outcome"], row["fault_code"]) for row in done.rows()}
    assert rows == {("anthropic", "server", "identity_contradicted"), ("foundry", "ok", None)}
    assert {row["region_proof"] for row in done.rows() if row["target"] == "anthropic"} == {"contradicted"}
    assert "by another model, than asked" in " ".join(done.out.split())
    said = {row["identity"] for row in done.rows("attempts") if row["target"] == "anthropic"}
    assert said == {
        "anthropic: the model claude-haiku-4-5-20251001 answered, not claude-sonnet-5-5; "
        "check its base_url, and what stands in between"
    }


def test_a_token_that_ends_in_mid_run_fails_its_own_target_and_the_others_go_on(
    place: Place, clouds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds(anthropic={}, vertex={})
    listed = json.loads((place.folder / "targets.yaml").read_text())
    del listed["targets"][1]["auth"]
    (place.folder / "targets.yaml").write_text(json.dumps(listed))
    issuer = Endpoint(life_s=2, value="simulated-google-token")
    token, issued = issuer.token, 0

    def first_then_closed(way: str) -> str:
        nonlocal issued
        issued += 1
        issuer.refusing = True  # from the next request on
        return token(way)

    issuer.token = first_then_closed  # type: ignore[method-assign]
    with serving(issuer) as url:
        host = url.removeprefix("http://")
        monkeypatch.setenv("GCE_METADATA_HOST", host)
        monkeypatch.setenv("GCE_METADATA_IP", host)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)  # read when the module is imported, and never again
        done = place.run("--request-rate", "10", "--requests", "60", requests=60)
    assert issued == 1
    by_target: dict[str, list[str]] = {"anthropic": [], "vertex": []}
    for row in done.rows():
        by_target[row["target"]].append(row["outcome"])
    assert set(by_target["anthropic"]) == {"ok"}
    assert set(by_target["vertex"]) == {"ok", "auth"}
    (message,) = {row["fault_message"] for row in done.rows("attempts") if row["fault_code"] == "sign_in_failed"}
    assert message.startswith("vertex: vertex: the Google access token ended and could not be renewed: ")
    assert "the account was closed" in message
    assert message.endswith("then: bench doctor")
    assert done.manifest["complete"]


def test_the_doctor_probes_what_is_ready_and_says_what_is_missing(place: Place, clouds: Callable[..., Any]) -> None:
    clouds(anthropic={}, openai_compatible={}, foundry={"throttle": {"share": 1.0}})
    quiet = place.bench("doctor")
    assert quiet.code == 0
    assert "3 of 3 targets ready." in quiet.out
    assert "probe" not in quiet.out
    asked = place.bench("doctor", "--live")
    assert "Not sent: there is no terminal to ask on. Add --yes to send." in asked.err
    assert "One request of one token to anthropic: at most $0.0000" in asked.err
    assert "answered in" not in asked.out
    live = place.bench("doctor", "--live", "--yes")
    assert live.code == 0
    assert "answered in" in live.out
    assert "model claude-sonnet-5-5" in live.out
    assert "throttled" in live.out
    assert "127.0.0.1" in live.out
    data = json.loads(place.bench("doctor", "--live", "--yes", "--json", "--only", "foundry").out)
    assert [target["ready"] for target in data["targets"]] == [False]


def test_the_doctor_fits_the_page_and_ends_with_3_when_a_run_would(
    place: Place, clouds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds(anthropic={}, foundry={})
    monkeypatch.delenv("KEY_ANTHROPIC")
    monkeypatch.delenv("KEY_FOUNDRY")
    monkeypatch.setenv("HTTPS_PROXY", "http://u:pass-word-1@proxy.example:1")
    for width in ("60", "80", "120"):
        monkeypatch.setenv("COLUMNS", width)
        done = place.bench("doctor")
        assert done.code == 3
        assert max(map(len, done.out.splitlines())) <= int(width)
        assert "pass-word-1" not in done.out
        assert "export KEY_ANTHROPIC=..." in done.out
    assert place.bench("doctor", "--only", "nobody").code == 2
