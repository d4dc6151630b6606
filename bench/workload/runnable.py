"""What the schema allows and this version cannot run, and names that mean nothing: told at once, with their lines."""

from __future__ import annotations

from collections.abc import Iterator

from bench.errors import ConfigError, Problem
from bench.load import Say
from bench.load import checks as load_checks
from bench.partial import Checks
from bench.workload.items import problem_at
from bench.workload.schema import InsertSpec, ScorerSpec, ScoringSpec, WorkloadSpec
from bench.yamlfile import Loaded


def meaning(spec: WorkloadSpec, loaded: Loaded) -> Checks:
    """What the schema allows and means nothing, contradicts something else, or is not run by this version."""

    def problem(path: str, got: str, want: str) -> Problem:
        return problem_at(loaded, path, got, want)

    yield _environment_problems(spec, problem)
    yield _load_problems(spec, problem)
    yield _messages_problems(spec, problem)
    yield _session_problems(spec, problem)
    yield _reorder_problems(spec, problem)
    if spec.scoring is not None:
        yield _scorer_problems(spec.scoring, problem)
        yield _mode_problems(spec.scoring, problem)
        yield _aggregate_problems(spec.scoring, problem)
        yield _pass_problems(spec.scoring, problem)


def _environment_problems(spec: WorkloadSpec, problem: Say) -> Iterator[Problem]:
    if spec.environment is not None:
        want = "a workload without an environment; this version runs single replies"
        yield problem("environment", spec.environment.name, want)


def _load_problems(spec: WorkloadSpec, problem: Say) -> Checks:
    yield load_checks(spec.load, lambda: spec.slo is not None and spec.slo.can_be_checked, problem)


def _messages_problems(spec: WorkloadSpec, problem: Say) -> Iterator[Problem]:
    if spec.messages is None and spec.dataset.type != "inline":
        yield problem("messages", "nothing", "the messages to send, e.g. [{role: user, content: '{{ question }}'}]")


def _reorder_problems(spec: WorkloadSpec, problem: Say) -> Iterator[Problem]:
    if spec.dataset.reorder is not None and spec.load.unit == "session":
        yield problem("dataset.reorder", "sessions", "requests of their own; a session is not asked twice")


def _scorer_problems(scoring: ScoringSpec, problem: Say) -> Checks:
    names = [one.name for one in scoring.scorers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield problem("scoring.scorers", f"{twice[0]} more than once", "a name of its own for every scorer")
    for at, scorer in enumerate(scoring.scorers):
        yield _options_problems(scorer, f"scoring.scorers.{at}", problem)
        yield _weight_problems(scorer, f"scoring.scorers.{at}", problem)


def _weight_problems(scorer: ScorerSpec, where: str, problem: Say) -> Iterator[Problem]:
    if not scorer.weight > 0:
        yield problem(f"{where}.weight", f"{scorer.weight:g}", "a number above 0, e.g. 0.5")


def _options_problems(scorer: ScorerSpec, where: str, problem: Say) -> Iterator[Problem]:
    from bench import score

    if scorer.type not in score.names():
        yield problem(f"{where}.type", scorer.type, f"one of {', '.join(score.names())}")
        return
    try:
        score.get(scorer.type, scorer.name, scorer.options)
    except ConfigError as error:
        for wrong in error.problems:
            yield problem(f"{where}.{wrong.path}", wrong.got, wrong.want)


OWN_FIGURES = ("quality", "quality_answered", "weighted", "label_macro_f1", "label_invalid_share")
"""What `pass` can name beside the scorers: the share right, the mean by weight, and the figures of labels."""


def _mode_problems(scoring: ScoringSpec, problem: Say) -> Iterator[Problem]:
    if scoring.mode == "separate":
        yield problem("scoring.mode", "separate", "inline (the replies that are timed are scored) or off")
    if scoring.epochs != 1:
        yield problem(
            "scoring.epochs", str(scoring.epochs), "1; more requests of the same items: load.stages, requests"
        )
    if scoring.judge is not None:
        yield problem("scoring.judge", "a judge", "scorers; this version has no judge")


def _aggregate_problems(scoring: ScoringSpec, problem: Say) -> Iterator[Problem]:
    names = [one.name for one in scoring.scorers]
    if (total := scoring.aggregate) is not None:
        if total.metric not in (None, "weighted", *names):
            yield problem("scoring.aggregate.metric", str(total.metric), f"one of {', '.join((*names, 'weighted'))}")
        if total.reducer not in ("mean", ["mean"]):
            yield problem("scoring.aggregate.reducer", str(total.reducer), "mean")
        if total.ci != 0.95:
            yield problem("scoring.aggregate.ci", f"{total.ci:g}", "0.95, the level of every interval")


def _pass_problems(scoring: ScoringSpec, problem: Say) -> Iterator[Problem]:
    """Bars that name nothing, or are none."""
    names = [one.name for one in scoring.scorers]
    known = f"one of {', '.join((*names, *OWN_FIGURES))}"
    for at, bar in enumerate(scoring.passes):
        where = f"scoring.pass.{at}"
        if bar.metric not in (*names, *OWN_FIGURES):
            yield problem(f"{where}.metric", bar.metric, known)
        if bar.min is None and bar.max is None and bar.margin is None:
            yield problem(where, "no bar", "min, max, or vs: baseline with a margin")
        if (bar.vs is None) != (bar.margin is None) or bar.vs not in (None, "baseline"):
            yield problem(
                where, f"vs {bar.vs}, margin {bar.margin}", "vs: baseline together with margin: 0.03, in shares of 1"
            )
        if bar.vs is not None and bar.metric not in (*names, "quality", "weighted"):
            yield problem(
                f"{where}.metric", bar.metric, f"one of {', '.join((*names, 'quality', 'weighted'))} beside vs"
            )


def _session_problems(spec: WorkloadSpec, problem: Say) -> Iterator[Problem]:
    inserts = [
        at
        for at, message in enumerate(spec.messages or ())
        if isinstance(message, InsertSpec) and message.insert == "session"
    ]
    if spec.load.unit != "session":
        for at in inserts:
            yield problem(f"messages.{at}.insert", "session", "history or messages; sessions need load.unit: session")
    elif spec.messages is not None and inserts != [len(spec.messages) - 1]:
        yield problem(
            "messages", "no session at the end", "{insert: session} as the last of the messages, and only there"
        )
