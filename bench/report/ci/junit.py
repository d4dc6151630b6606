"""JUnit XML: one suite for each target, one case for each figure, in the form that CI services agree on.

A regression is a failure, a run that is no measurement an error, what cannot be told is skipped with its reason; with --strict
it is a failure, as it is to the exit code. There is no time: a figure takes none.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bench.nightly.gate import GateResult, GateRow
from bench.report.ci import Outcome, outcome, sentence
from bench.report.plain import cleaned

_ELEMENT = {"failed": "failure", "error": "error", "skipped": "skipped"}
_COUNTED = {"failures": "failed", "errors": "error", "skipped": "skipped"}


def render(result: GateResult) -> str:
    made = cleaned(result)
    targets = dict.fromkeys(row.target for row in made.rows)
    name = "bench gate (SIMULATED)" if made.simulated else "bench gate"
    root = ET.Element("testsuites", {"name": name, **_counts([outcome(row, made) for row in made.rows])})
    for target in targets:
        rows = [row for row in made.rows if row.target == target]
        suite = ET.SubElement(root, "testsuite", {"name": target, **_counts([outcome(row, made) for row in rows])})
        facts = ET.SubElement(suite, "properties")
        for key, value in (("run", made.run_id), ("night", made.night), ("baseline", made.baseline),
                           ("verdict", made.verdict), ("simulated", str(made.simulated).lower())):  # fmt: skip
            ET.SubElement(facts, "property", {"name": key, "value": value})
        for row in rows:
            _case(suite, row, outcome(row, made))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(found: list[Outcome]) -> dict[str, str]:
    return {
        "tests": str(len(found)),
        **{name: str(found.count(word)) for name, word in _COUNTED.items()},  # type: ignore[arg-type]
        "time": "0",
    }


def _case(suite: ET.Element, row: GateRow, word: Outcome) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": row.target, "name": row.label, "time": "0"})
    if word == "passed":
        ET.SubElement(case, "system-out").text = f"{row.verdict}: {sentence(row)}"
        return
    told = ET.SubElement(case, _ELEMENT[word], {"message": f"{row.verdict}: {sentence(row)}"})
    if word != "skipped":
        told.set("type", row.verdict)
        told.text = sentence(row)
