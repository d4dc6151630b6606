"""What the schema allows and this version cannot run, and names that mean nothing: told at once, with their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.errors import ConfigError, Problem
from bench.load import problems as load_problems
from bench.workload.items import problem_at
from bench.workload.schema import InsertSpec, ScoringSpec, WorkloadSpec
from bench.yamlfile import Loaded


def not_runnable(spec: WorkloadSpec, loaded: Loaded) -> Iterator[Problem]:
    """What the schema knows and this version cannot run yet."""
    from bench import score, world

    def problem(path: str, got: str, want: str) -> Problem:
        return problem_at(loaded, path, got, want)

    if spec.environment is not None:
        yield problem(
            "environment", spec.environment.name, "a workload without an environment; this version runs single replies"
        )
    yield from load_problems(spec.load, spec.slo is not None and spec.slo.can_be_checked, problem)
    if spec.dataset.type == "trace":
        yield problem("dataset.type", "trace", "generator, file or inline")
    if spec.dataset.type == "generator" and spec.dataset.generator not in world.generators():
        yield problem("dataset.generator", str(spec.dataset.generator), f"one of {', '.join(world.generators())}")
    if spec.dataset.type == "file" and spec.dataset.format not in ("auto", "jsonl", "csv"):
        yield problem("dataset.format", spec.dataset.format, "jsonl or csv")
    if spec.messages is None and spec.dataset.type != "inline":
        yield problem("messages", "nothing", "the messages to send, e.g. [{role: user, content: '{{ question }}'}]")
    yield from _session_problems(spec, problem)
    if spec.dataset.reorder is not None and spec.load.unit == "session":
        yield problem("dataset.reorder", "sessions", "requests of their own; a session is not asked twice")
    if spec.scoring is not None:
        for at, scorer in enumerate(spec.scoring.scorers):
            if scorer.type not in score.names():
                yield problem(f"scoring.scorers.{at}.type", scorer.type, f"one of {', '.join(score.names())}")
                continue
            try:
                score.get(scorer.type, scorer.name, scorer.options)
            except ConfigError as error:
                for wrong in error.problems:
                    yield problem(f"scoring.scorers.{at}.{wrong.path}", wrong.got, wrong.want)
        yield from _verdict_problems(spec.scoring, problem)


OWN_FIGURES = ("quality", "quality_answered", "weighted", "label_macro_f1", "label_invalid_share")
"""What `pass` can name beside the scorers: the share right, the mean by weight, and the figures of labels."""


def _verdict_problems(scoring: ScoringSpec, problem: Callable[[str, str, str], Problem]) -> Iterator[Problem]:
    """What `scoring` says that no run of this version does, and bars that name nothing."""
    if scoring.mode == "separate":
        yield problem("scoring.mode", "separate", "inline (the replies that are timed are scored) or off")
    if scoring.epochs != 1:
        yield problem(
            "scoring.epochs", str(scoring.epochs), "1; more requests of the same items: load.stages, requests"
        )
    if scoring.judge is not None:
        yield problem("scoring.judge", "a judge", "scorers; this version has no judge")
    names = [one.name for one in scoring.scorers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield problem("scoring.scorers", f"{twice[0]} more than once", "a name of its own for every scorer")
    known = f"one of {', '.join((*names, *OWN_FIGURES))}"
    for at, one in enumerate(scoring.scorers):
        if not one.weight > 0:
            yield problem(f"scoring.scorers.{at}.weight", f"{one.weight:g}", "a number above 0, e.g. 0.5")
    if (total := scoring.aggregate) is not None:
        if total.metric not in (None, "weighted", *names):
            yield problem("scoring.aggregate.metric", str(total.metric), f"one of {', '.join((*names, 'weighted'))}")
        if total.reducer not in ("mean", ["mean"]):
            yield problem("scoring.aggregate.reducer", str(total.reducer), "mean")
        if total.ci != 0.95:
            yield problem("scoring.aggregate.ci", f"{total.ci:g}", "0.95, the level of every interval")
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


def _session_problems(spec: WorkloadSpec, problem: Callable[[str, str, str], Problem]) -> Iterator[Problem]:
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
