"""The error tree and the exit codes.

BenchError            anything a user can mend; printed as one message, never as a traceback
├── ConfigError       what was asked is not valid: every problem at once, each with file and line      exit 2
├── CannotRun         nothing could be measured: no target ready, nothing reached, folder not writable exit 3
└── BudgetReached     the spending limit stopped the run; what was measured is kept                    exit 5
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

EXIT_OK = 0
EXIT_AGAINST = 1
"""The verdict is against: a regression, a breach, not equal."""
EXIT_USAGE = 2
EXIT_CANNOT_RUN = 3
EXIT_INCONCLUSIVE = 4
EXIT_BUDGET = 5
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
"""Whoever read the output went away before its end (128 + SIGPIPE, as of any program that a closed pipe ends)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in what the user wrote, and what would be right.

    `where` is `file:line`, or the id of a target; `path` is the dotted key; `want` says what is allowed, with an example.
    """

    where: str
    path: str
    got: str
    want: str

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.where, self.path) if part)
        if not self.got:
            return f"{head}: {self.want}"
        return f"{head}: got {self.got}; want {self.want}"


class BenchError(Exception):
    """Something the user can mend. `hint` is the next step, on a line of its own."""

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(BenchError):
    """What was asked is not valid. Carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem], hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems), hint)


def all_of(*readers: Callable[[], Any]) -> list[Any]:
    """What each of these reads. ConfigError carries the problems of all of them, and the first next step."""
    found: list[Any] = []
    problems: list[Problem] = []
    hints: list[str] = []
    for read in readers:
        try:
            found.append(read())
        except ConfigError as error:
            problems += error.problems
            hints += [error.hint] if error.hint else []
    if problems:
        raise ConfigError(problems, hints[0] if hints else None)
    return found


class CannotRun(BenchError):
    """Nothing could be measured, or the instrument itself was not fit to measure."""

    exit_code = EXIT_CANNOT_RUN


class BudgetReached(BenchError):
    """The spending limit was reached; everything measured until then is kept."""

    exit_code = EXIT_BUDGET
