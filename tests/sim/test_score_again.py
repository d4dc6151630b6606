"""`bench score`: stored replies judged again, with nothing sent and nothing forgotten."""

import hashlib
import json

import pytest

from bench.store import runs


@pytest.fixture
def measured(place, clouds):
    clouds(anthropic={}, foundry={})
    done = place.run(requests=4)
    assert done.code == 0, done.err
    return done


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_scoring_again_gives_the_same_verdicts_and_keeps_the_old_digest(place, clouds, measured):
    before, rows = sha256(measured.run / "scores.parquet"), measured.rows("scores")
    assert len(rows) == 8  # 4 prompts, 2 targets
    done = place.bench("score", "latest")
    assert done.code == 0, done.err
    assert "8 scores from stored replies; nothing was sent" in done.err
    assert "answer (version 1): 0 verdicts changed" in done.err
    assert "anthropic" in done.out
    key = ("seq", "scorer")
    assert sorted(done.rows("scores"), key=lambda r: [r[k] for k in key]) == sorted(
        rows, key=lambda r: [r[k] for k in key]
    )
    (entry,) = done.manifest["history"]
    assert entry["what"] == "scored anew"
    assert entry["before"]["sha256"] == before
    assert entry["versions"] == entry["versions_before"] == {"answer": "1"}
    assert entry["note"] is None
    assert entry["command"] == "bench score latest"
    assert runs.verify_digests(runs.open_run(done.run)) == []
    assert done.manifest["complete"] is True


def test_a_changed_workload_is_refused_without_a_reason_and_scored_with_one(place, clouds, measured):
    old = (place.folder / "small.yaml").read_text()
    (place.folder / "small.yaml").write_text(old.replace("{name: answer, type: facts, target: gold", "{name: answer, type: regex, pattern: stands in"))  # fmt: skip
    before = sha256(measured.run / "scores.parquet")
    refused = place.bench("score", "latest")
    assert refused.code == 2
    assert "while the run was made with" in refused.err
    assert "--force --note" in refused.err
    assert sha256(measured.run / "scores.parquet") == before
    assert place.bench("score", "latest", "--force").code == 2
    done = place.bench("score", "latest", "--force", "--note", "another scorer")
    assert done.code == 0, done.err
    assert "answer (version 1): 8 verdicts changed" in done.err
    assert {row["value"] for row in done.rows("scores")} == {1.0}  # the filler says "This text stands in for ..."
    assert {row["scorer_type"] for row in done.rows("scores")} == {"regex"}
    quality = [row["value"] for row in done.rows("summary") if row["metric"] == "quality" and row["baseline"] is None]
    assert quality == [1.0, 1.0]
    again = place.bench("score", "latest", "--force", "--note", "once more")
    assert [entry["note"] for entry in again.manifest["history"]] == ["another scorer", "once more"]
    assert again.manifest["history"][1]["before"]["sha256"] == done.manifest["files"]["scores.parquet"]["sha256"]
    assert again.manifest["workload"]["digest"] == measured.manifest["workload"]["digest"]


@pytest.mark.parametrize("policy", ["hashed", "none"])
def test_a_run_that_kept_no_text_is_refused_with_what_to_do(place, clouds, policy):
    clouds(anthropic={}, foundry={})
    first = place.run("--replies", policy)
    before = sha256(first.run / "scores.parquet")
    done = place.bench("score", "latest", "--force", "--note", "please")
    assert done.code == 3
    assert f"kept as '{policy}'" in done.err
    assert "--replies full" in done.err
    assert sha256(first.run / "scores.parquet") == before


def test_rows_that_are_not_those_of_the_run_are_not_scored(place, clouds, measured):
    path = measured.run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["replies.parquet"]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    done = place.bench("score", "latest")
    assert done.code == 3
    assert "replies.parquet: differs from its digest" in done.err


def test_a_workload_that_is_gone_is_asked_for(place, clouds, measured):
    (place.folder / "small.yaml").rename(place.folder / "kept.yaml")
    done = place.bench("score", "latest")
    assert done.code == 2
    assert "--workload" in done.err
    assert place.bench("score", "latest", "--workload", "kept.yaml").code == 0


def test_the_quick_part_of_a_workload_is_known_again(place, clouds):
    clouds(anthropic={}, foundry={})
    assert place.run("--quick").code == 0
    done = place.bench("score", "latest")
    assert done.code == 0, done.err
    assert len(done.rows("scores")) == len(done.rows())
