"""A baseline that is kept in git: the figures of chosen nights, what they were measured of, and who accepted them, and why.

One JSON file of a few kilobytes. It holds the figures, not the rows: of each night the id of its run and the digest of its rows,
so that whoever has the runs can check it. Its list of changes only grows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.errors import BenchError, CannotRun, ConfigError, Problem
from bench.nightly.nights import Night, differing
from bench.stats.limits import WINDOW
from bench.stats.nightly import GATED_BY_NAME, NightFigure
from bench.store.disk import atomic

FORMAT = 1


def chosen(nights: Sequence[Night]) -> list[Night]:
    """The newest nights of these, as many as limits are made of. Raises ConfigError where they are unlike or no measurement."""
    problems = [
        Problem(night.run_id, "run", "; ".join(night.invalid) or "it did not come to its end", "a whole, valid run")
        for night in nights if night.invalid or not night.complete
    ]  # fmt: skip
    newest = nights[-1]
    for night in nights[:-1]:
        unlike = differing(night.of_run, newest.of_run)
        for target in newest.of_target:
            if target in night.of_target:
                unlike += [f"{target}: {what}" for what in differing(night.of_target[target], newest.of_target[target])]
        problems += [Problem(night.run_id, "unlike the newest", what, "runs that are alike") for what in unlike]
    if problems:
        raise ConfigError(problems, "Which nights are the norm is yours to say: name them, or move the others away.")
    return list(nights[-WINDOW:])


def made(
    nights: Sequence[Night], at: str, author: str, reason: str, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The content of a baseline file. `before` is what it replaces: its list of changes is carried on, with what it was."""
    newest = nights[-1]
    change: dict[str, Any] = {"at": at, "author": author, "reason": reason, "runs": [night.run_id for night in nights]}
    if before is not None:
        change["was"] = [night["run_id"] for night in before["nights"]]
        change["differs"] = differing(before["of_run"], newest.of_run)
    return {
        "bench_baseline": FORMAT,
        "of_run": dict(newest.of_run),
        "of_target": {target: dict(facts) for target, facts in newest.of_target.items()},
        "nights": [_written(night) for night in nights],
        "changes": [*(before["changes"] if before else []), change],
    }


def _written(night: Night) -> dict[str, Any]:
    return {
        "run_id": night.run_id,
        "date": night.date,
        "started_unix_ns": night.started_unix_ns,
        "rows_sha256": night.rows_sha256,
        "control": dict(night.control),
        "targets": {
            target: {name: _figure(figure) for name, figure in figures.items() if _known(figure)}
            for target, figures in night.figures.items()
        },
    }


def _known(figure: NightFigure) -> bool:
    return figure.value is not None and not math.isinf(figure.value)


def _figure(figure: NightFigure) -> dict[str, Any]:
    given = {"value": _short(figure.value), "se": _short(figure.se), "n": figure.n, "hits": figure.hits}
    return {name: value for name, value in given.items() if value is not None}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"{path}: cannot write: {error.strerror or error}", "name a file in another folder") from error
    with atomic(path) as temporary:
        temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def is_baseline(path: Path) -> bool:
    return path.is_file() and path.suffix == ".json" and path.name != "manifest.json"


def load(path: Path) -> dict[str, Any]:
    """The content of a baseline file. Raises ConfigError with everything that is not as `made` writes it."""
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CannotRun(f"{path}: no such file", f"make it: bench baseline set {path} RUN") from error
    except OSError as error:
        raise BenchError(f"{path}: cannot read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            [Problem(f"{path}:{error.lineno}", "", str(error.msg), "a baseline file, as bench baseline set writes it")]
        ) from error
    problems = list(_problems(content, str(path)))
    if problems:
        raise ConfigError(problems, f"It is made by: bench baseline set {path} RUN")
    found: dict[str, Any] = content
    return found


def _problems(content: Any, where: str) -> list[Problem]:
    if not isinstance(content, dict) or content.get("bench_baseline") != FORMAT:
        got = repr(content.get("bench_baseline")) if isinstance(content, dict) else type(content).__name__
        return [Problem(where, "bench_baseline", got, f"{FORMAT}, the format of this version")]
    wanted = {"of_run": dict, "of_target": dict, "nights": list, "changes": list}
    problems = [Problem(where, key, type(content.get(key)).__name__, f"a {kind.__name__}")
                for key, kind in wanted.items() if not isinstance(content.get(key), kind)]  # fmt: skip
    if problems:
        return problems
    if not content["nights"]:
        problems.append(Problem(where, "nights", "none", "at least one"))
    for n, night in enumerate(content["nights"]):
        path = f"nights[{n}]"
        if not isinstance(night, dict) or not isinstance(night.get("targets"), dict):
            problems.append(Problem(where, path, "something else", "a night: run_id, date, started_unix_ns, targets"))
            continue
        keys = (("run_id", str), ("date", str), ("started_unix_ns", int))
        problems += [
            Problem(where, f"{path}.{key}", repr(night.get(key)), kind.__name__)
            for key, kind in keys
            if not isinstance(night.get(key), kind)
        ]
        for target, figures in night["targets"].items():
            for name, figure in figures.items() if isinstance(figures, dict) else [("", None)]:
                if name not in GATED_BY_NAME or not isinstance(figure, dict) or not _numbers(figure):
                    problems.append(
                        Problem(where, f"{path}.targets.{target}.{name}", repr(figure)[:60], "value, se, n, hits")
                    )
    return problems


def _numbers(figure: Mapping[str, Any]) -> bool:
    values = [figure.get("value"), figure.get("n"), *(figure[key] for key in ("se", "hits") if key in figure)]
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and v >= 0 for v in values)


def nights_of(content: Mapping[str, Any], path: Path) -> list[Night]:
    """The nights that a baseline file holds."""
    return [
        Night(
            run_id=night["run_id"], date=night["date"], started_unix_ns=night["started_unix_ns"], folder=path,
            simulated=content["of_run"].get("simulated or real") == "simulated", complete=True, invalid=(),
            of_run=content["of_run"], of_target=content["of_target"],
            figures={
                target: {name: NightFigure(figure["value"], figure.get("se"), int(figure["n"]), figure.get("hits"))
                         for name, figure in figures.items()}
                for target, figures in night["targets"].items()
            },
            control=night.get("control") or {}, bounds={}, rows_sha256=night.get("rows_sha256"),
        )
        for night in content["nights"]
    ]  # fmt: skip
