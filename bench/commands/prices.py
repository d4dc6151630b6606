"""`bench price`: what every door asks for a model, what another list says of it, and what an old run costs by a book."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bench.commands import reprice
from bench.commands.output import columns_of_terminal
from bench.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bench.price.overlay import Overlay

HELP = "Look at prices, or price a stored run again: bench price RUN."


class _Verbs(TyperGroup):
    """Verbs, and `bench price RUN`: a first word that is no verb names a run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        named = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if named else ["run", *args])


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Verbs)


@app.callback()
def _prices() -> None:
    """Look at prices, or price a stored run again: bench price RUN."""


def show(
    model: Annotated[str, typer.Argument(help="A model of the registry, e.g. claude-sonnet-5-5.")],
    door: Annotated[str | None, typer.Option(help="Only this door, e.g. bedrock.")] = None,
    on: Annotated[str | None, typer.Option(help="The day, e.g. 2026-11-21. Default: today.", metavar="DATE")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your own prices, shown beside the list (docs/prices.md).", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same for other programs.")] = False,
) -> int:
    """Print every door's price of a model. By scope, tier, token class and long-context band, with dates, source and status."""
    from bench.commands import price_tables
    from bench.price import book, listing
    from bench.price.overlay import load_overlay

    problems = [*_model_problems(model), *_door_problems(door, model)]
    day = _day(on, problems)
    overlay: Overlay | None = None
    try:
        overlay = load_overlay(prices) if prices is not None else None
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    found = listing.listed(book.load_book(), model, day, door, overlay)
    _tell(listing.as_data(found), price_tables.shown(found, columns_of_terminal()), as_json)
    return 0


def diff(
    model: Annotated[str | None, typer.Argument(help="Only this model. Default: every model of the registry.")] = None,
    on: Annotated[str | None, typer.Option(help="The day, e.g. 2026-11-21. Default: today.", metavar="DATE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same for other programs.")] = False,
) -> int:
    """Compare the price book with genai-prices, another list. Nothing is fetched, and no difference is hidden."""
    from bench.commands import price_tables
    from bench.price import book, second_opinion

    problems = _model_problems(model)
    day = _day(on, problems)
    if problems:
        raise ConfigError(problems)
    rows = second_opinion.compare(book.load_book(), day, model)
    name = f"genai-prices {second_opinion.version()}"
    data = {"on": day.isoformat(), "other": name, "prices": [second_opinion.as_data(row) for row in rows]}
    _tell(data, price_tables.compared(rows, name, day, columns_of_terminal()), as_json)
    return 0


app.command("show")(show)
app.command("diff")(diff)
app.command("run", hidden=True)(reprice.reprice)


def _model_problems(model: str | None) -> list[Problem]:
    from bench import registry, yamlfile

    if model is None or model in registry.models():
        return []
    want = yamlfile.closest(model, registry.models()) or f"one of {', '.join(registry.models())}"
    return [Problem("command line", "MODEL", model, want)]


def _door_problems(door: str | None, model: str) -> list[Problem]:
    from bench import registry, yamlfile

    doors = [name for name, about in registry.doors().items() if not about.any_model]
    if door is None or (door in doors and (registry.lookup(model, door) or model not in registry.models())):
        return []
    having = [name for name in doors if registry.lookup(model, name)] or doors
    return [Problem("command line", "--door", door, yamlfile.closest(door, having) or f"one of {', '.join(having)}")]


def _day(on: str | None, problems: list[Problem]) -> date:
    from bench.wire.clock import today

    if on is None:
        return today()
    try:
        return date.fromisoformat(on)
    except ValueError:
        problems.append(Problem("command line", "--on", on, "a day, e.g. 2026-11-21"))
        return today()


def _tell(data: Any, text: str, as_json: bool) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False) if as_json else text)
