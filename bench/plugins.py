"""What other packages bring: doors, scorers and data sets, found by entry points and loaded when they are named.

[project.entry-points."bench.providers"]   name = "package.module:Class"       a class without arguments
[project.entry-points."bench.scorers"]     name = "package.module:factory"     factory(name, **options) -> Scorer
[project.entry-points."bench.datasets"]    name = "package.module:generate"    generate(seed, params) -> items
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bench.errors import CannotRun

PROVIDERS = "bench.providers"
SCORERS = "bench.scorers"
DATASETS = "bench.datasets"


def names(group: str) -> list[str]:
    """What is installed under that group, in order of the alphabet. Nothing is imported."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """What the entry point names. KeyError when there is none; CannotRun, with the package and what to do, when it
    cannot be loaded or when two packages bring the same name."""
    points = list({point.value: point for point in entry_points(group=group) if point.name == name}.values())
    if not points:
        raise KeyError(name)
    if len(points) > 1:
        who = " and ".join(sorted(package(point) for point in points))
        raise CannotRun(f"{group}: {name} is brought by {who}", hint="Uninstall one of them.")
    try:
        return points[0].load()
    except Exception as error:  # foreign code: whatever it raises is told to the user, not thrown at them
        raise broken(group, name, points[0], error) from error


def failed(group: str, name: str, error: Exception) -> CannotRun:
    """The message for a plug-in that was loaded and then raised."""
    return broken(group, name, next(point for point in entry_points(group=group) if point.name == name), error)


def broken(group: str, name: str, point: EntryPoint, error: Exception) -> CannotRun:
    where = f"{package(point)}, {point.value}"
    return CannotRun(
        f"{group}: {name} ({where}) failed: {type(error).__name__}: {error}",
        hint=f"pip install --upgrade {point.dist.name if point.dist else package(point)}, or tell its authors",
    )


def package(point: EntryPoint) -> str:
    """The package that brings an entry point, with its version where it is known."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value.partition(":")[0]
