"""The verdicts of a gate as CI services read them, and what a hostile name can do in each form: nothing."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from bench.commands import ci as ci_command
from bench.nightly.gate import GateResult, GateRow, concluded, judge
from bench.report import ci
from bench.report.ci import code_quality, github, junit, openmetrics, summary
from bench.stats.nightly import GATED, NightFigure
from tests.unit.night_example import history, night

HOSTILE = '"><b>&\r\n::error::x\x1b[2J|`]]>\u202e\\{}%0A'
MANY = "abcdefghijklmno"


def result(strict: bool = False, **changes: object) -> GateResult:
    """Night 28 of two targets: whatever changes of target a, and a steady b."""
    tonight = night(28, {"a": dict(changes), "b": {}})
    return concluded(tonight, judge(tonight, history(28)), ("a note",), "history in results", strict)


BAD = result(ttft_p50_ms=1.4, output_tokens=0.5)


def hostile(of: GateResult = BAD) -> GateResult:
    rows = tuple(
        replace(
            row,
            target=row.target.replace("a", HOSTILE),
            label=HOSTILE if row.metric == "quality" else row.label,
            reason=row.reason and f"{row.reason} {HOSTILE}",
        )
        for row in of.rows
    )
    return replace(
        of, rows=rows, notes=(HOSTILE,), run_id=HOSTILE, sentence=f"{of.sentence} {HOSTILE}", baseline=HOSTILE
    )


# ------------------------------------------------------------------ JUnit


COUNTS = {"tests", "failures", "errors", "skipped", "time", "name"}
FORM = {  # element: attributes that it must have, attributes that it may have, children that it may have
    "testsuites": (COUNTS, COUNTS, {"testsuite"}),
    "testsuite": (COUNTS, COUNTS, {"properties", "testcase"}),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"classname", "name", "time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"message", "type"}, {"message", "type"}, set()),
    "error": ({"message", "type"}, {"message", "type"}, set()),
    "skipped": ({"message"}, {"message"}, set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip


def suites(of: GateResult) -> ET.Element:
    """The parsed XML, after every element of it was found to be as the common form has it, and every count to be true."""
    root = ET.fromstring(junit.render(of).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may, children = FORM[element.tag]
        assert must <= set(element.attrib) <= may
        assert {child.tag for child in element} <= children
        if element.tag in ("testsuites", "testsuite"):
            cases = list(element.iter("testcase"))
            assert int(element.get("tests")) == len(cases)
            for attribute, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(element.get(attribute)) == sum(case.find(child) is not None for case in cases)
    return root


def test_junit_has_a_suite_for_each_target_and_a_case_for_each_figure():
    root = suites(BAD)
    assert [suite.get("name") for suite in root] == ["a", "b"]
    assert {case.get("name") for case in root.iter("testcase")} == {gated.label for gated in GATED}
    failures = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert [(case.get("classname"), case.get("name")) for case in failures] == [("a", "TTFT p50")]
    assert failures[0].find("failure").get("message").startswith("regression: TTFT p50 840 ms, expected 600 ms (+40 %)")


@pytest.mark.parametrize(
    ("strict", "element"),
    [(False, "skipped"), (True, "failure")],
)
def test_what_cannot_be_told_is_skipped_and_fails_only_where_the_exit_code_does(strict, element):
    watched = result(strict, output_tokens=0.5)
    case = next(case for case in suites(watched).iter("testcase") if len(case) and case[0].tag != "system-out")
    assert case[0].tag == element
    assert case[0].get("message").startswith("suspect: output tokens")


def test_a_run_that_is_no_measurement_is_an_error_in_every_case():
    tonight = replace(night(28), complete=False)
    root = suites(concluded(tonight, judge(tonight, history(28)), (), "history", strict=False))
    assert root.get("errors") == root.get("tests")


# ------------------------------------------------------------------ GitHub


def test_annotations_are_one_line_for_each_target_and_level():
    lines = github.render(BAD).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "::error title=bench gate%3A a%3A regression::TTFT p50 840 ms, expected 600 ms (+40 %25)"
    )
    assert lines[1].startswith("::warning title=bench gate%3A a%3A suspect::output tokens")


def test_no_more_annotations_than_a_step_shows():
    tonight = night(28, {target: {"ttft_p50_ms": 1.9} for target in MANY})
    before = [night(n, {target: {} for target in MANY}) for n in range(28)]
    many = concluded(tonight, judge(tonight, dict.fromkeys(MANY, before)), (), "history", strict=False)
    lines = github.render(many).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "::error title=bench gate::6 more targets: see the summary"


def test_a_quiet_or_a_learning_night_annotates_nothing():
    assert github.render(result()) == ""
    tonight = night(3)
    assert github.render(concluded(tonight, judge(tonight, history(3)), (), "history", strict=False)) == ""


def test_a_hostile_name_is_no_command_and_ends_no_line_of_one():
    for line in github.render(hostile()).splitlines():
        found = re.fullmatch(r"::(error|warning) title=([^:,\r\n]*)::(.*)", line)
        assert found, line
        assert "\x1b" not in line
    assert github.command("error", "a:b,c%\n", "x%0A\r\n:,") == "::error title=a%3Ab%2Cc%25%0A::x%250A�%0A:,"


def test_text_in_the_fence_commands_nothing():
    assert github.fenced("::error::x\n", "t0ken") == "::stop-commands::t0ken\n::error::x\n::t0ken::\n"


# ------------------------------------------------------------------ Markdown


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def test_the_summary_has_the_verdict_what_is_called_and_every_figure():
    text = summary.render(BAD)
    assert text.startswith("## ✖ Regression\n\nWorse than promised, a: TTFT p50 (+40%).")
    assert "| a | TTFT p50 | ✖&nbsp;regression | 840&nbsp;ms | 600&nbsp;ms | \\+40&nbsp;% | at most" in text
    assert "16 of 18 figures ok. Run `night-28` of 2026-10-29, against history in results." in text
    assert "✖ regression, ⚠ suspect; no sign: ok." in text


def test_every_line_of_a_table_has_as_many_columns_even_with_hostile_names():
    tables: list[list[str]] = [[]]
    for line in summary.render(hostile()).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    assert [len(table) for table in tables if table] == [4, 4]  # head, rule, two rows; head, rule, two targets
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) <= 1


def test_a_hostile_name_opens_no_tag_in_the_summary():
    tags = Tags()
    tags.feed(re.sub(r"`[^\n]*`", "", summary.render(hostile())))
    assert set(tags.found) == {"details", "summary", "br", "sub"}


def test_a_summary_that_github_would_not_show_is_shortened():
    row = BAD.rows[0]
    many = replace(BAD, rows=tuple(replace(row, target=f"target-{n:06d}", verdict="ok") for n in range(30_000)))
    text = summary.render(many)
    assert len(text.encode()) < summary.MOST_BYTES
    assert "it is in gate.json" in text


# ------------------------------------------------------------------ GitLab


def test_code_quality_has_the_documented_fields_and_fingerprints_that_stay():
    found = json.loads(code_quality.render(BAD))
    assert [(one["check_name"], one["severity"]) for one in found] == [
        ("bench-gate/ttft_p50_ms", "major"), ("bench-gate/output_tokens", "minor")]  # fmt: skip
    for one in found:
        assert set(one) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert one["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert one["location"]["lines"]["begin"] >= 1
        assert not one["location"]["path"].startswith(("/", "./"))
    again = json.loads(code_quality.render(result(ttft_p50_ms=1.9)))
    assert again[0]["fingerprint"] == found[0]["fingerprint"]
    assert len({one["fingerprint"] for one in found}) == 2


def test_a_quiet_night_has_no_finding():
    assert json.loads(code_quality.render(result())) == []


SAMPLE = re.compile(r'([a-z][a-z0-9_]*)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (-?[0-9.e+-]+|\+Inf)')


def samples(text: str) -> dict[tuple[str, str], str]:
    """Every sample, after each line was found to be of the OpenMetrics text format."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    found, typed = {}, []
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            typed.append(line.split()[2])
            assert line.split()[3] == "gauge"
        elif not line.startswith("# HELP "):
            parsed = SAMPLE.fullmatch(line)
            assert parsed, line
            assert parsed[1] == typed[-1]
            found[parsed[1], parsed[2]] = parsed[3]
    assert len(typed) == len(set(typed))
    return found


def test_metrics_have_tonight_what_was_expected_and_the_calls():
    found = samples(openmetrics.render(BAD))
    assert float(found["bench_ttft_p50_ms", 'target="a"']) == pytest.approx(840)
    assert float(found["bench_ttft_p50_ms_expected", 'target="a"']) == pytest.approx(600, rel=0.01)
    called = {labels for (name, labels), value in found.items() if name == "bench_gate_regression" and value == "1"}
    assert called == {'target="a",figure="ttft_p50_ms"'}


def test_a_figure_that_is_a_failed_request_is_infinite_and_one_that_is_not_known_is_left_out():
    tonight = night(28)
    tonight.figures["a"]["ttft_p50_ms"] = NightFigure(float("inf"), None, 500)
    tonight.figures["b"]["ttft_p50_ms"] = NightFigure(None, None, 0)
    found = samples(openmetrics.render(concluded(tonight, judge(tonight, history(28)), (), "", strict=False)))
    assert found["bench_ttft_p50_ms", 'target="a"'] == "+Inf"
    assert ("bench_ttft_p50_ms", 'target="b"') not in found


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("of", [BAD, hostile(), result(), replace(BAD, rows=()), replace(hostile(), verdict="invalid")])
def test_every_form_can_be_read_whatever_stands_in_it(of):
    suites(of)
    samples(openmetrics.render(of))
    made = ci.files(of)
    assert json.loads(made["gate.json"])["run_id"] == of.run_id
    assert isinstance(json.loads(made["code-quality.json"]), list)
    for name, text in made.items():
        text.encode()  # no half of a surrogate pair
        assert name == "gate.json" or not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_simulated_figures_say_so_in_every_form():
    simulated = replace(BAD, simulated=True)
    assert {
        name for name, text in ci.files(simulated).items() if not re.search("SIMULATED|simulated.{0,4}true", text)
    } == set()
    assert all("SIMULATED" in line for line in github.render(simulated).splitlines())


def test_a_row_says_what_limits_it():
    row = GateRow("a", "x", "X", "ms", "ok", 1.0, None, None, None, None, None, 0)
    assert ci.limits(row) == ""
    assert ci.limits(replace(row, high=2.0)) == "at most 2 ms"
    assert ci.limits(replace(row, low=0.5)) == "at least 0.5 ms"
    assert ci.sentence(replace(row, low=0.5, high=2.0, nights=1)) == "X 1 ms, 0.5 ms to 2 ms allowed, 1 night"


def test_in_github_actions_the_summary_is_appended_and_errors_are_annotated(tmp_path, monkeypatch, capsys):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ci_command.write(BAD, tmp_path / "new" / "junit.xml", tmp_path / "forms")
    assert path.read_text().startswith("before\n## ✖ Regression")
    assert capsys.readouterr().err.startswith("::error title=")
    assert {file.name for file in (tmp_path / "forms").iterdir()} == {*ci.FORMS, "gate.json"}
    assert (tmp_path / "new" / "junit.xml").read_text() == (tmp_path / "forms" / "junit.xml").read_text()
    assert re.fullmatch(r"::stop-commands::(\w{32})\nx\n::\1::\n", ci_command.fenced("x\n"))


def test_outside_of_github_actions_nothing_of_it_happens(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    ci_command.write(BAD, None, None)
    assert capsys.readouterr().err == ""
    assert ci_command.fenced("x") == "x"
