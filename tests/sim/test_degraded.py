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


EVERYWHERE = """\
version: 1
targets:
  - {id: converse, model: claude-sonnet-4-5, provider: bedrock, dialect: converse, region: us-east-1, price: {input: 1, output: 1}}
  - {id: gateway, model: claude-sonnet-4-5, provider: openai-compatible, base_url: "http://localhost:1/v1", price: {input: 1, output: 1}}
  - {id: gemini-http, model: gemini-3.5-flash, provider: gemini-vertex, region: global, price: {input: 1, output: 1}}
  - {id: gemini-grpc, model: gemini-3.5-flash, provider: vertex-grpc, region: global, price: {input: 1, output: 1}}
"""


def run_with_marks(place, pair: str):
    (place.folder / "targets.yaml").write_text(EVERYWHERE)
    path = place.workload()
    path.write_text(path.read_text().replace("load:", MARKS, 1))
    done = place.bench("run", "small.yaml", "--no-calibrate", "--out", "results", "--simulate", "--only", pair)
    assert done.code == 0, done.err
    return done, " ".join(done.out.split()), {about["id"]: about["params"] for about in done.manifest["targets"]}


def test_converse_carries_cache_marks_and_says_nothing_of_them(place) -> None:
    done, words, params = run_with_marks(place, "converse,gateway")
    assert (params["converse"]["cache_breakpoints"], params["converse"]["cache_ttl"]) == (["system"], "1h")
    assert "cache_breakpoints" not in params["gateway"]
    for setting in ("cache_breakpoints", "cache_ttl"):
        assert f"gateway: {setting}: not sent" in words
        assert f"converse: {setting}" not in words
    assert {row["dialect"] for row in done.rows()} == {"converse", "chat"}


def test_gemini_leaves_cache_marks_out_over_http_and_grpc_and_says_so_under_the_table(place) -> None:
    _, words, params = run_with_marks(place, "gemini-http,gemini-grpc")
    for target in ("gemini-http", "gemini-grpc"):
        assert not {"cache_breakpoints", "cache_ttl"} & set(params[target])
    note = "gemini-http, gemini-grpc: cache_breakpoints and cache_ttl: not sent; Gemini caches prefixes by itself"
    assert words.index("against gemini-http") < words.index(note)
