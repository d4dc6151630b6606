"""The same model on different clouds: how fast, how reliable, how good, at what price, and how sure are we?

    run = bench.open_run("latest")                 # run.requests, run.attempts, run.scores: DataFrames; run.manifest
    table = bench.compare(run)                     # the cells that the terminal prints
    run = bench.run("workloads/rag.yaml", simulate=True)

docs/python.md shows them at work. Nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import compare, open_run, run

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "open_run", "run"]


def __getattr__(name: str) -> Any:
    if name in ("compare", "open_run", "run"):
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
