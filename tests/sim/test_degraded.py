"""A workload with cache marks, sent to Claude's API and to servers that cache by themselves: it runs, and it is said."""

MARKS = "cache: {prompt_caching: explicit, breakpoints: [system], ttl: 1h}\nload:"


def test_cache_marks_that_a_server_does_not_know_are_left_out_and_said(place, clouds) -> None:
    clouds(anthropic={}, foundry={}, openai_compatible={})
    path = place.workload()
    path.write_text(path.read_text().replace("load:", MARKS, 1))
    done = place.bench("run", "small.yaml", "--no-calibrate", "--out", "results")
    assert done.code == 0, done.err
    told = {about["id"]: about for about in done.manifest["targets"]}
    assert told["anthropic"]["params"]["cache_breakpoints"] == ["system"]
    assert "cache_breakpoints" not in told["openai-compatible"]["params"]
    words = " ".join(done.out.split())
    for sentence in ("openai-compatible: cache_breakpoints: not sent", "openai-compatible: cache_ttl: not sent"):
        assert sentence in words
    assert "anthropic: cache_breakpoints" not in words
    assert 'params.cache_breakpoints differs: ["system"] (anthropic, foundry); not given (openai-compatible)' in words
    assert {row["outcome"] for row in done.rows()} == {"ok"}


def test_other_settings_are_still_the_same_for_all_or_refused(place, clouds) -> None:
    clouds(anthropic={}, openai_compatible={})
    path = place.workload()
    path.write_text(path.read_text().replace("load:", MARKS, 1))
    targets = place.folder / "targets.yaml"
    targets.write_text(
        targets.read_text().replace('"id": "anthropic"', '"params": {"max_tokens": 32}, "id": "anthropic"')
    )
    done = place.bench("run", "small.yaml", "--no-calibrate", "--out", "results")
    assert done.code == 2
    assert "params.max_tokens" in done.err
    assert "cache" not in done.err
