"""A private copy of a generated workload, from the seed to the table: no model has seen it, and nobody takes it for the public one."""

import hashlib
from pathlib import Path

from bench.workload import load_workload

PUBLIC = """\
version: 1
name: sorted
title: Messages sorted
dataset: {type: generator, generator: calderholt.classify, seed: 20260101, params: {items: 30}, limit: 8}
messages: [{role: user, content: "{{ message }}"}]
load: {pattern: concurrent, stages: [{concurrency: 4, requests: 8}]}
scoring:
  scorers: [{name: word, type: regex, pattern: "[a-z]", required: true}]
  aggregate: {metric: word, reducer: mean}
  pass: [{metric: word, min: 0.5}, {metric: word, vs: baseline, margin: 0.03}]
"""


def test_a_private_copy_runs_is_the_same_for_its_seed_and_is_never_compared_in_silence(place, clouds):
    (place.folder / "sorted.yaml").write_text(PUBLIC)
    for folder, seed in (("one", 7), ("again", 7), ("other", 8)):
        done = place.bench("workload", "render", "sorted.yaml", "--seed", str(seed), "--out", folder)
        assert done.code == 0, done.err
    data = {folder: Path(folder, "data/sorted-private.jsonl").read_bytes() for folder in ("one", "again", "other")}
    assert data["one"] == data["again"] != data["other"]
    assert Path("one/sorted-private.yaml").read_bytes() == Path("again/sorted-private.yaml").read_bytes()
    public, private = load_workload(Path("sorted.yaml")), load_workload(Path("one/sorted-private.yaml"))
    assert not {case.messages[-1]["content"] for case in public.cases} & {c.messages[-1]["content"] for c in private.cases}  # fmt: skip

    clouds(anthropic={}, foundry={})
    run = ("run", "--no-calibrate", "--out", "results", "--run-id")
    done = place.bench(*run, "private", "one/sorted-private.yaml")
    assert done.code == 0, done.err
    assert "Messages sorted · private copy" in done.out
    about = done.manifest["workload"]
    assert about["dataset"] == {
        "split": "private", "seed": 7, "generator": "calderholt.classify", "sha256": hashlib.sha256(data["one"]).hexdigest(),
    }  # fmt: skip
    assert about["digest"] == private.digest != public.digest
    assert about["aggregate"]["metric"] == "word"
    assert "bar word at least 50 %" in " ".join(done.out.split())
    metrics = {row["metric"] for row in done.rows("summary")}
    assert {"score:word", "refused_share", "output_length", "bar:word at least 50 %"} <= metrics

    assert place.bench(*run, "public", "sorted.yaml").code == 0
    both = place.bench("compare", "private", "public", "--out", "results")
    said = both.out + both.err
    assert "items" in said
    assert "private" in said
    assert place.bench("compare", "private", "public", "--pool", "--out", "results").code == 2
    again = place.bench("score", "private", "--workload", "one/sorted-private.yaml")
    assert again.code == 0, again.err
    assert "bar word at least 50 %" in " ".join(again.out.split())
    assert place.bench("score", "private", "--workload", "sorted.yaml").code == 2
