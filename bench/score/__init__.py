"""Scorers: how good. Pure functions of the case and the reply; nothing here reads a clock or the network.

A scorer of another package is found by its entry point in the group `bench.scorers`: a callable `(name, **options) ->
Scorer`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import plugins
from bench.errors import CannotRun, ConfigError, Problem
from bench.record import Case, Reply, Score
from bench.score.abstention import Abstention
from bench.score.base import Scorer
from bench.score.citations import Citations
from bench.score.facts import Facts

SCORERS: Mapping[str, Callable[..., Scorer]] = {"facts": Facts, "citations": Citations, "abstention": Abstention}

_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "target": ("a key of the case's expectation, e.g. gold", lambda v: isinstance(v, str) and bool(v)),
    "rejects": ("a key of the case's expectation, e.g. rejects", lambda v: isinstance(v, str) and bool(v)),
    "day_first": ("true or false", lambda v: v is None or isinstance(v, bool)),
    "min_recall": (
        "a number from 0 to 1, e.g. 1.0",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1,
    ),
    "max_extra": ("a whole number from 0, e.g. 2", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0),
}


def get(scorer_type: str, name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The scorer of that type under the name it has in the workload.

    Raises ConfigError with every problem of its options.
    """
    options = options or {}
    if scorer_type in SCORERS:
        factory = SCORERS[scorer_type]
        _check(factory, name, options)
        return factory(name, **options)
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
    problems = []
    for key, value in options.items():
        if key not in known:
            problems.append(Problem(f"scorer {name}", key, repr(value), f"one of the options {', '.join(known)}"))
        elif not _CHECKS[key][1](value):
            problems.append(Problem(f"scorer {name}", key, repr(value), _CHECKS[key][0]))
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
