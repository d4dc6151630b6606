"""A whole campaign in seconds, against look-alike clouds."""

import json

from bench.store import runs


def test_three_blocks_over_three_seconds_are_three_runs(place) -> None:
    (place.folder / "targets.yaml").write_text(
        json.dumps({"version": 1, "targets": [{"id": "here", "model": "claude-sonnet-5-5", "provider": "anthropic"}]})
    )
    place.workload(requests=4)
    words = ["run", "small.yaml", "--only", "here", "--simulate", "--no-calibrate", "--concurrency", "4"]
    done = place.bench(*words, "--requests", "2", "--blocks", "3", "--over", "3s", "--campaign", "mini", "--json")
    assert done.code == 0, done.err
    published = json.loads((place.folder / "results/campaigns/mini/campaign.json").read_text())
    assert done.err.index(published["digest"]) < done.err.index("Block 1 of 3: done")
    told = json.loads(done.out)
    assert [block["state"] for block in told["blocks"]] == ["done"] * 3
    manifests = [
        runs.open_run(runs.find_run(block["run_id"], place.folder / "results")).manifest for block in told["blocks"]
    ]
    for block, manifest in zip(published["blocks"], manifests, strict=True):
        assert manifest["complete"] is True
        assert manifest["seed"] == block["seed"]
        assert manifest["campaign"]["digest"] == published["digest"]
        assert manifest["campaign"]["block"] == block["n"]
        # never before its time, and what it was late is said
        begun_ns = manifest["started_unix_ns"]
        assert begun_ns >= block["start_ns"]
        assert begun_ns - block["start_ns"] >= manifest["campaign"]["late_ms"] * 10**6
    assert len({manifest["plan"]["digest"] for manifest in manifests}) == 3

    again = place.bench("run", "--campaign", "mini", "--resume")
    assert again.code == 0
    assert "is over: 3 of 3 blocks done" in again.err

    shown = place.bench("plan", "--campaign", "mini")
    assert shown.code == 0, shown.err
    assert "So far, 6 requests per target" in shown.out
    listed = place.bench("plan", "--campaign", "mini", "--runs")
    assert listed.out.split() == [block["run_id"] for block in told["blocks"]]

    learnt = place.bench(
        "plan", "small.yaml", "--only", "here", "--from", ",".join(listed.out.split()), "--detect", "50%"
    )
    assert learnt.code == 0, learnt.err
    assert "From 3 stored runs, SIMULATED" in learnt.out
