"""`bench targets`: what targets.yaml names and what each still lacks; and every door, its models and what it carries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.grid import folded
from bench.commands.output import columns_of_terminal
from bench.errors import ConfigError, Problem

DEFAULT = Path("targets.yaml")


def targets(
    file: Annotated[Path | None, typer.Option("--targets", help="The list of targets (targets.yaml here).")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Ids of targets, with commas.")] = None,
    features: Annotated[bool, typer.Option("--features", help="What each door carries, by its own code.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Every model's id and end at each door.")] = False,
    model: Annotated[str | None, typer.Option(help="Only this logical model, with --features or --models.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same for other programs.")] = False,
) -> int:
    """List the doors, and the targets with what each still lacks. Nothing is sent.

    With --targets or --only the targets alone.
    """
    from bench.wire.clock import today

    _one_thing(file, only, features, models, model)
    if features:
        from bench import portability
        from bench.commands import matrix

        found = portability.matrix(model, today())
        _tell(matrix.data(found), matrix.text(found, columns_of_terminal()), as_json)
        return 0
    from bench.commands import doors

    if models:
        table = doors.models(today(), model)
        _tell(table, doors.models_text(table, columns_of_terminal()), as_json)
        return 0
    listed = _targets(file or DEFAULT, only) if file or only or DEFAULT.exists() else []
    width = columns_of_terminal()
    if file or only:
        _tell(listed, _targets_text(listed, width), as_json)
        return 0
    rows = doors.facts(today())
    parts = [doors.text(rows, width), *([f"{DEFAULT}:", _targets_text(listed, width)] if listed else [])]
    _tell({"doors": rows, "targets": listed}, "\n\n".join(parts), as_json)
    return 0


def _one_thing(file: Path | None, only: list[str] | None, features: bool, models: bool, model: str | None) -> None:
    """ConfigError for flags that do not go together."""
    wrong = []
    if features and models:
        wrong.append(Problem("command line", "--models", "it and --features", "one of the two"))
    if (features or models) and (file or only):
        given = "--targets" if file else "--only"
        wrong.append(
            Problem("command line", given, f"it and {'--features' if features else '--models'}", "one of the two")
        )
    if model is not None and not (features or models):
        wrong.append(Problem("command line", "--model", model, "it with --features or --models"))
    if wrong:
        raise ConfigError(wrong)


def _targets(file: Path, only: list[str] | None) -> list[dict[str, Any]]:
    """The targets of the file, each with what keeps it from running and what should be known."""
    from bench import providers
    from bench.registry.settings import end_of_life
    from bench.targets import load_targets
    from bench.wire.clock import today

    chosen = [part for text in only or [] for part in text.split(",") if part]
    rows = []
    for target in load_targets(file, chosen or None, providers.names()):
        problems = [str(problem) for problem in providers.get(target.provider).check(target)]
        gone, ending = end_of_life(target, today())
        problems += [str(gone)] if gone is not None else []
        facts = ("id", "model", "model_id", "provider", "preset", "region", "dialect")
        rows.append(
            {
                **{key: getattr(target, key) for key in facts},
                "ready": not problems,
                "problems": problems,
                "notes": [*([ending] if ending is not None else []), *providers.told(target)],
            }
        )
    return rows


def _targets_text(rows: list[dict[str, Any]], width: int) -> str:
    """The targets, a paragraph each; what is longer than a line goes on below it, further in."""
    lines: list[str] = []
    for row in rows:
        where = f" in {row['region']}" if row["region"] else ""
        make = f" ({row['preset']})" if row["preset"] else ""
        head = f"{row['id']}: {row['model']} as {row['model_id']} at {row['provider']}{make}{where}, dialect {row['dialect']}"
        lines += folded(head, width, " " * 8)
        lines.append("  ready" if row["ready"] else "  not ready:")
        lines += [line for problem in row["problems"] for line in folded(f"    {problem}", width, " " * 8)]
        lines += [line for note in row["notes"] for line in folded(f"  note: {note}", width, " " * 8)]
    return "\n".join(lines)


def _tell(data: Any, text: str, as_json: bool) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False) if as_json else text)
