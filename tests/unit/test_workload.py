"""Workload files: what they mean once they are read."""

import json
from pathlib import Path

import pytest

from bench import workload
from bench.errors import ConfigError
from bench.record import Params
from bench.workload import GenerationSpec, Workload, load_workload

REFERENCE = Path(__file__).parent.parent.parent.parent / "shared" / "reference" / "workload-examples"
SHIPPED = sorted((Path(__file__).parent.parent.parent / "workloads").glob("*.yaml"))

HEAD = """\
version: 1
name: t
dataset: {type: inline, items: [{id: a, question: "2+2?", target: "4", metadata: {kind: x}}, {id: b, question: "3+3?", target: "6", metadata: {kind: y}}]}
"""
MESSAGES = 'messages: [{role: user, content: "{{ question }}"}]\n'
LOAD = "load: {pattern: concurrent, stages: [{concurrency: 2, requests: 4}]}\n"


def made(folder: Path, text: str) -> Workload:
    path = folder / "w.yaml"
    path.write_text(text)
    return load_workload(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        made(folder, text)
    return caught.value.message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_workload_loads(path: Path) -> None:
    loaded = load_workload(path)
    assert len(loaded.cases) >= 90
    assert len({case.id for case in loaded.cases}) == len(loaded.cases)
    assert all(case.messages[-1]["role"] == "user" for case in loaded.cases)


@pytest.mark.skipif(not REFERENCE.exists(), reason="no examples beside this checkout")
@pytest.mark.parametrize("name", ["rag.yaml", "agent.yaml"])
def test_the_schema_takes_a_file_of_the_full_language(name: str) -> None:
    from bench.yamlfile import check, load

    assert check(workload.WorkloadSpec, load(REFERENCE / name)).version == 1


def test_messages_are_rendered_from_the_items(tmp_path: Path) -> None:
    loaded = made(tmp_path, HEAD + MESSAGES + LOAD)
    assert [case.messages for case in loaded.cases] == [
        ({"role": "user", "content": "2+2?"},),
        ({"role": "user", "content": "3+3?"},),
    ]
    assert [case.expected for case in loaded.cases] == [{"target": "4"}, {"target": "6"}]


def test_history_is_inserted_where_it_is_asked_for(tmp_path: Path) -> None:
    text = """\
version: 1
name: t
dataset:
  type: inline
  items:
    - {id: a, question: "And now?", history: [{role: user, content: "Hi"}, {role: assistant, content: "Hello"}]}
    - {id: b, question: "Who?"}
messages: [{role: system, content: "Be brief."}, {insert: history}, {role: user, content: "{{ question }}"}]
"""
    loaded = made(tmp_path, text + LOAD)
    assert [[m["role"] for m in case.messages] for case in loaded.cases] == [
        ["system", "user", "assistant", "user"],
        ["system", "user"],
    ]


def test_a_file_beside_the_workload_may_hold_a_message(tmp_path: Path) -> None:
    (tmp_path / "system.md").write_text("You know {{ question }}.\n")
    text = HEAD + "messages: [{role: system, content: {file: system.md}}, {role: user, content: hi}]\n" + LOAD
    assert made(tmp_path, text).cases[0].messages[0]["content"] == "You know 2+2?."


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("items.jsonl", '{"id": "a", "q": "one"}\n\n{"id": "b", "q": "two"}\n'),
        ("items.csv", "id,q\na,one\nb,two\n"),
    ],
)
def test_items_come_from_files_and_fields_are_renamed(tmp_path: Path, name: str, data: str) -> None:
    (tmp_path / name).write_text(data)
    text = f"version: 1\nname: t\ndataset: {{type: file, path: {name}, fields: {{question: q}}}}\n" + MESSAGES + LOAD
    assert [c.messages[0]["content"] for c in made(tmp_path, text).cases] == ["one", "two"]


def test_a_broken_line_of_a_data_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "a"}\n{"id": \n[1]\n')
    text = "version: 1\nname: t\ndataset: {type: file, path: items.jsonl}\n" + MESSAGES + LOAD
    said = refused(tmp_path, text)
    assert "items.jsonl:2" in said
    assert "items.jsonl:3" in said


def test_a_data_file_that_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "a", "question": "x"}\n')
    text = f"version: 1\nname: t\ndataset: {{type: file, path: items.jsonl, sha256: {'ab' * 32}}}\n" + MESSAGES + LOAD
    assert "while the file is" in refused(tmp_path, text)


def test_filter_and_limit_choose_among_the_items(tmp_path: Path) -> None:
    text = HEAD.replace("dataset: {type: inline", "dataset: {filter: \"metadata.kind == 'y'\", type: inline")
    assert [c.id for c in made(tmp_path, text + MESSAGES + LOAD).cases] == ["b"]
    text = HEAD.replace("dataset: {type: inline", "dataset: {limit: 1, type: inline")
    assert [c.id for c in made(tmp_path, text + MESSAGES + LOAD).cases] == ["a"]


def test_a_template_cannot_reach_into_the_interpreter(tmp_path: Path) -> None:
    text = HEAD + 'messages: [{role: user, content: "{{ question.__class__.__mro__ }}"}]\n' + LOAD
    assert "messages" in refused(tmp_path, text)


def test_the_digest_covers_what_is_asked_and_not_the_load(tmp_path: Path) -> None:
    first = made(tmp_path, HEAD + MESSAGES + LOAD).digest
    assert made(tmp_path, HEAD + MESSAGES + LOAD.replace("requests: 4", "requests: 9")).digest == first
    assert made(tmp_path, HEAD.replace("3+3?", "3+4?") + MESSAGES + LOAD).digest != first
    assert made(tmp_path, HEAD + MESSAGES + LOAD + "generation: {max_tokens: 7}\n").digest != first


def test_durations_and_defaults_of_the_load(tmp_path: Path) -> None:
    text = "load: {pattern: poisson, stages: [{rate: 2, duration: 1.5m}, {rate: 4, requests: 8}], timeout: 30s}\n"
    load = made(tmp_path, HEAD + MESSAGES + text).load
    assert [(s.rate_per_s, s.duration_ns, s.requests) for s in load.stages] == [(2, 90_000_000_000, None), (4, None, 8)]
    assert load.timeout_ns == 30_000_000_000
    assert made(tmp_path, HEAD + MESSAGES + "load: {pattern: poisson}\n").load.stages[0].requests == 2  # each case once


def test_a_targets_settings_come_from_the_first_pattern_that_fits(tmp_path: Path) -> None:
    text = HEAD + MESSAGES + LOAD + (
        "generation: {max_tokens: 50, temperature: 0}\n"
        "targets:\n  'vllm-*': {generation: {max_tokens: 99, extra_body: {ignore_eos: false}}}\n  '*': {generation: {max_tokens: 7}}\n"
    )  # fmt: skip
    loaded = made(tmp_path, text)
    assert loaded.params_for("vllm-a").max_tokens == 99
    assert loaded.params_for("vllm-a").temperature == 0
    assert loaded.params_for("vllm-a").extra_body == {"ignore_eos": False}
    assert loaded.params_for("other").max_tokens == 7


def test_thinking_and_stop_become_settings() -> None:
    spec = GenerationSpec.model_validate({"stop": ["END"], "thinking": {"effort": "low", "budget_tokens": 9}})
    params = workload.params_of(spec, Params())
    assert (params.stop, params.effort, params.thinking_budget_tokens) == (("END",), "low", 9)


def test_quick_keeps_a_sixth_of_every_kind() -> None:
    loaded = load_workload(SHIPPED[0])
    small = workload.quick(loaded)
    assert len(loaded.cases) / 8 <= len(small.cases) <= len(loaded.cases) / 4
    assert {c.tags["kind"] for c in small.cases} == {c.tags["kind"] for c in loaded.cases}
    assert small.digest != loaded.digest


def test_a_salt_stands_in_front_and_the_question_stays_last() -> None:
    messages = ({"role": "system", "content": "S"}, {"role": "user", "content": "Q"})
    assert workload.salted(messages, "r1")[0]["content"] == "[r1]\nS"
    assert workload.last_user_text(workload.salted(messages, "r1")) == "Q"
    parts = ({"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},)
    assert workload.last_user_text(parts) == "AB"
    assert workload.salted(parts, "r1")[0]["content"][0]["text"] == "[r1]\n"


def test_the_schema_for_editors_refuses_unknown_keys_as_we_do() -> None:
    schema = workload.json_schema()
    assert schema["additionalProperties"] is False
    assert "pass" in json.dumps(schema["$defs"]["ScoringSpec"])
    assert schema["$defs"]["StageSpec"]["properties"]["duration"]["anyOf"][0]["type"] == "string"


LIFETIMES = [("5m", "5m"), ("300s", "5m"), ("1h", "1h"), ("60m", "1h"), ("90s", "90s")]


@pytest.mark.parametrize(("written", "sent"), LIFETIMES)
def test_the_lifetime_of_cached_prefixes_is_told_in_the_words_of_the_apis(
    tmp_path: Path, written: str, sent: str
) -> None:
    cache = f"cache: {{breakpoints: [system], ttl: {written}}}\n"
    params = made(tmp_path, HEAD + MESSAGES + cache + LOAD).params
    assert (params.cache_breakpoints, params.cache_ttl) == (("system",), sent)


FORM = "{type: json_schema, json_schema: {name: sum, schema: {type: object}}}"
ONE_FORM = f"""\
version: 1
name: t
dataset: {{type: inline, items: [{{id: a, question: "2+2?", response_format: {FORM}}}, {{id: b, question: "3+3?"}}]}}
"""


def test_an_item_may_ask_for_a_response_format_of_its_own(tmp_path: Path) -> None:
    loaded = made(tmp_path, ONE_FORM + MESSAGES + LOAD)
    asked = {"type": "json_schema", "json_schema": {"name": "sum", "schema": {"type": "object"}}}
    assert [case.response_format for case in loaded.cases] == [asked, None]
    assert loaded.response_formats == (asked,)
    general = Params(response_format={"type": "text"})
    sent = [workload.params_of_case(general, case).response_format for case in loaded.cases]
    assert sent == [asked, {"type": "text"}]


def test_the_digest_covers_the_response_formats_of_items(tmp_path: Path) -> None:
    other = ONE_FORM.replace("{type: object}", "{type: array}")
    assert made(tmp_path, ONE_FORM + MESSAGES + LOAD).digest != made(tmp_path, other + MESSAGES + LOAD).digest


def test_a_response_format_that_is_none_is_told_with_its_item(tmp_path: Path) -> None:
    said = refused(tmp_path, ONE_FORM.replace(FORM, "json") + MESSAGES + LOAD)
    assert "item a with the response_format 'json'" in said
    assert "want one like {type: json_schema" in said


def test_what_a_dialect_cannot_carry_of_an_items_format_is_found_before_the_run(tmp_path: Path) -> None:
    from bench.conductor.preflight import _unsupported
    from bench.targets import Target

    loaded = made(tmp_path, ONE_FORM.replace("name: sum, schema", "nam: sum, shema") + MESSAGES + LOAD)
    target = Target(id="t", model="m", provider="openai", model_id="m", dialect="chat")
    assert _unsupported(target, Params(), loaded) == [
        "response_format: got json_schema without name or schema; want both, under json_schema"
    ]


# What scoring says


@pytest.mark.parametrize(
    ("scoring", "said"),
    [
        ("aggregate: {metric: anser}", "scoring.aggregate.metric: got anser; want one of answer, cites, weighted"),
        ("aggregate: {reducer: median}", "scoring.aggregate.reducer: got median; want mean"),
        ("aggregate: {ci: 0.9}", "scoring.aggregate.ci: got 0.9; want 0.95"),
        ("pass: [{metric: anser, min: 0.8}]", "scoring.pass[0].metric: got anser; want one of answer, cites, quality"),
        ("pass: [{metric: answer}]", "scoring.pass[0]: got no bar; want min, max, or vs: baseline with a margin"),
        ("pass: [{metric: answer, vs: baseline}]", "scoring.pass[0]: got vs baseline, margin None"),
        ("pass: [{metric: answer, vs: vertex, margin: 0.03}]", "scoring.pass[0]: got vs vertex, margin 0.03"),
        ("pass: [{metric: label_macro_f1, vs: baseline, margin: 0.03}]", "one of answer, cites, quality, weighted beside vs"),
        ("epochs: 4", "scoring.epochs: got 4; want 1"),
        ("mode: separate", "scoring.mode: got separate; want inline"),
        ("judge: {model: m}", "scoring.judge: got a judge; want scorers"),
    ],
)  # fmt: skip
def test_what_scoring_asks_for_is_done_or_refused(tmp_path: Path, scoring: str, said: str) -> None:
    scorers = "scorers: [{name: answer, type: exact}, {name: cites, type: exact, weight: 0.5}]"
    assert said in refused(tmp_path, HEAD + MESSAGES + LOAD + f"scoring:\n  {scorers}\n  {scoring}\n")


def test_scorers_have_names_of_their_own_and_weights_above_nothing(tmp_path: Path) -> None:
    scorers = "scorers: [{name: answer, type: exact}, {name: answer, type: exact, weight: 0}]"
    said = refused(tmp_path, HEAD + MESSAGES + LOAD + f"scoring: {{{scorers}}}\n")
    assert "answer more than once" in said
    assert "scoring.scorers[1].weight: got 0; want a number above 0" in said


# Items asked again with their choices in another order


def test_a_share_of_items_is_asked_again_with_nothing_changed_but_the_order_of_the_list() -> None:
    plain = {case.id: case for case in load_workload(SHIPPED[0].parent / "classify.yaml").cases}
    cases = load_workload(SHIPPED[0].parent / "classify-order.yaml").cases
    assert cases == load_workload(SHIPPED[0].parent / "classify-order.yaml").cases
    again = [case for case in cases if case.tags["label_order"] == "shuffled"]
    assert len(again) == 60  # a tenth of 600
    assert len(cases) == 660
    for case in cases:
        original = plain[case.id.removesuffix("~shuffled")]
        assert case.cluster == original.cluster
        assert case.expected == original.expected
        assert case.messages[1:] == original.messages[1:]
        same = case.messages[0] == original.messages[0]
        assert same is (case.tags["label_order"] != "shuffled")
        lines = [case.messages[0]["content"].split("\n"), original.messages[0]["content"].split("\n")]
        assert sorted(lines[0]) == sorted(lines[1])
        below = lines[0][lines[0].index("# Labels") + 2 :]
        place = next(n for n, line in enumerate(below, 1) if line.startswith(f"- {case.expected['label']}:"))
        low, high = (int(word) for word in case.tags["label_place"].split(" of ")[0].split(" to "))
        assert low <= place <= high
    assert {case.tags["label_place"] for case in again} == {f"{n + 1} to {n + 5} of 25" for n in range(0, 25, 5)}
    assert sum(case.tags["label_order"] == "as written" for case in cases) == 60


def test_a_list_that_is_not_there_is_said(tmp_path: Path) -> None:
    head = HEAD.replace("{type: inline,", '{type: inline, reorder: {under: "# Labels"},')
    assert "dataset.reorder.under: got item a without a list" in refused(tmp_path, head + MESSAGES + LOAD)
