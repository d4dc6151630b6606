"""GitHub Actions: lines that become annotations of a job, and a fence for what must not become one.

A line that begins with `::` is a command to the runner. Values are escaped by its rules; text that is not ours to trust is
printed between `::stop-commands::TOKEN` and `::TOKEN::`, where the runner obeys nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.metrics import plural
from bench.nightly.gate import GateResult, GateRow
from bench.report.ci import outcome, sentence
from bench.report.plain import visible

MOST = 9
"""Lines of one level: a step shows ten annotations of each, and drops further ones silently. The last says how many more."""

_IN_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_DATA, ":": "%3A", ",": "%2C"}


def render(result: GateResult) -> str:
    """One line for each target that is called (error) or to be watched (warning), at most ten of each."""
    lines: list[str] = []
    if result.verdict == "invalid":
        return command("error", f"bench gate: {result.run_id} is no measurement", result.sentence) + "\n"
    for level, wanted in (("error", ("failed",)), ("warning", ("skipped",))):
        targets: dict[str, list[GateRow]] = {}
        for row in result.rows:
            if outcome(row, result) in wanted and row.verdict != "learning":
                targets.setdefault(row.target, []).append(row)
        lines += _level(level, targets, result)
    return "".join(f"{line}\n" for line in lines)


def _level(level: str, targets: dict[str, list[GateRow]], result: GateResult) -> Iterator[str]:
    mark = "SIMULATED " if result.simulated else ""
    for target, rows in list(targets.items())[:MOST]:
        words = ", ".join(dict.fromkeys(row.verdict for row in rows))
        yield command(level, f"{mark}bench gate: {target}: {words}", "\n".join(sentence(row) for row in rows))
    if (more := len(targets) - MOST) > 0:
        yield command(level, f"{mark}bench gate", f"{plural(more, 'more target')}: see the summary")


def command(level: str, title: str, message: str) -> str:
    """A workflow command: `level` is error, warning or notice."""
    return f"::{level} title={_escaped(title, _IN_PROPERTY)}::{_escaped(message, _IN_DATA)}"


def fenced(text: str, token: str) -> str:
    """Text in which the runner obeys nothing. `token` must not be guessable by who wrote the text."""
    return f"::stop-commands::{token}\n{text}{'' if text.endswith(chr(10)) else chr(10)}::{token}::\n"


def _escaped(text: str, rules: dict[str, str]) -> str:
    return "".join(rules.get(letter, letter) for letter in visible(text))
