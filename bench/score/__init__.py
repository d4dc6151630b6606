"""Scorers: how good. Pure functions of the case and the reply; nothing here reads a clock or the network.

A scorer of another package is found by its entry point in the group `bench.scorers`: a callable `(name, **options) ->
Scorer`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from bench import plugins
from bench.errors import CannotRun, ConfigError, Problem
from bench.record import Case, Reply, Score
from bench.score.base import Scorer

SCORERS: Mapping[str, str] = {
    "facts": "bench.score.facts:Facts",
    "citations": "bench.score.citations:Citations",
    "abstention": "bench.score.abstention:Abstention",
    "label": "bench.score.label:Label",
    "exact": "bench.score.plain:Exact",
    "contains": "bench.score.plain:Contains",
    "regex": "bench.score.plain:Regex",
    "choice": "bench.score.plain:Choice",
    "number": "bench.score.plain:Number",
    "json_schema": "bench.score.json_schema:JsonSchema",
    "field_f1": "bench.score.field_f1:FieldF1",
    "fact_recall": "bench.score.recall:FactRecall",
    "decoys": "bench.score.decoys:Decoys",
    "numeric_fidelity": "bench.score.fidelity:NumericFidelity",
    "rouge_l": "bench.score.rouge:RougeL",
    "word_count": "bench.score.word_count:WordCount",
}
"""Types of scorers and where they are: a scorer's module is imported when a workload names it."""

_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "target": ("a key of the case's expectation, e.g. gold", lambda v: isinstance(v, str) and bool(v)),
    "rejects": ("a key of the case's expectation, e.g. rejects", lambda v: isinstance(v, str) and bool(v)),
    "day_first": ("true or false", lambda v: v is None or isinstance(v, bool)),
    "min_recall": (
        "a number from 0 to 1, e.g. 1.0",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1,
    ),
    "at_least": (
        "a number from 0 to 1, e.g. 0.7",
        lambda v: v is None or (isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1),
    ),
    "tolerance": (
        "a share from 0 to 1, e.g. 0.1",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1,
    ),
    "max_extra": ("a whole number from 0, e.g. 2", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0),
    "types": ("a key of the case's expectation, e.g. types", lambda v: isinstance(v, str) and bool(v)),
    "fenced": ("true or false", lambda v: isinstance(v, bool)),
    "formats": ("true or false", lambda v: isinstance(v, bool)),
}


def get(scorer_type: str, name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The scorer of that type under the name it has in the workload.

    Raises ConfigError with every problem of its options.
    """
    options = options or {}
    if scorer_type in SCORERS:
        module, _, attribute = SCORERS[scorer_type].partition(":")
        ours: Callable[..., Scorer] = getattr(import_module(module), attribute)
        _check(ours, name, options)
        return ours(name, **options)
    if scorer_type not in names():
        raise ConfigError([Problem(f"scorer {name}", "type", repr(scorer_type), f"one of {', '.join(names())}")])
    try:
        factory = plugins.load(plugins.SCORERS, scorer_type)
        try:
            scorer: Scorer = factory(name, **options)
        except Exception as error:  # foreign code: whatever it raises is told to the user, not thrown at them
            raise plugins.failed(plugins.SCORERS, scorer_type, error) from error
    except CannotRun as error:
        want = f"one that loads; {error.message}"
        raise ConfigError([Problem(f"scorer {name}", "type", repr(scorer_type), want)], error.hint) from error
    return scorer


def names() -> list[str]:
    """Every type of scorer there is: ours, and those that are installed beside us."""
    return sorted({*SCORERS, *plugins.names(plugins.SCORERS)})


def _check(factory: Callable[..., Scorer], name: str, options: Mapping[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(factory) if f.init and f.name != "name"]  # type: ignore[arg-type]
    checks = {**_CHECKS, **getattr(factory, "OPTIONS", {})}
    problems = []
    for key, value in options.items():
        if key not in known:
            problems.append(Problem(f"scorer {name}", key, repr(value), f"one of the options {', '.join(known)}"))
        elif not checks[key][1](value):
            problems.append(Problem(f"scorer {name}", key, repr(value), checks[key][0]))
    missing = [key for key in getattr(factory, "REQUIRED", ()) if key not in options]
    problems += [Problem(f"scorer {name}", key, "nothing", checks[key][0]) for key in missing]
    if problems:
        raise ConfigError(problems)


def score_all(case: Case, reply: Reply, scorers: Sequence[Scorer]) -> list[Score]:
    """One score per scorer, in order.

    A scorer that breaks yields None with the reason, so that it cannot take the others with it.
    """
    scores = []
    for scorer in scorers:
        try:
            scores.append(scorer.score(case, reply))
        except Exception as error:  # a scorer may be foreign code
            scores.append(
                Score(scorer.name, scorer.version, None, f"the scorer failed: {type(error).__name__}: {error}")
            )
    return scores


def correct(scores: Sequence[Score], required: set[str]) -> bool | None:
    """Whether every required scorer that can judge gives full marks.

    None when none can, or when a required score is missing.
    """
    by_name = {score.scorer: score.value for score in scores}
    if not required or not required <= by_name.keys():
        return None
    values = [by_name[name] for name in required]
    judged = [v for v in values if v is not None]
    return all(v >= 1.0 for v in judged) if judged else None
