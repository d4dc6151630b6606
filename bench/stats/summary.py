"""The table as rows of summary.parquet."""

from __future__ import annotations

from typing import Any

from bench.stats.notes import needs
from bench.stats.types import Cell, Comparison, Judged, Table


def summary_rows(table: Table, run_id: str) -> list[dict[str, Any]]:
    """One dict per figure and per comparison, with the columns of `record.SUMMARY`."""
    rows = [
        {"run_id": run_id, "target": row.target, "baseline": None, "metric": name, **_figures(cell), "verdict": None,
         "warnings": "; ".join(cell.warnings) or None}
        for row in table.rows for name, cell in row.cells.items()
    ]  # fmt: skip
    return rows + [row for one in table.judged for row in _of_scorers(one, run_id)] + [
        {"run_id": run_id, "target": c.target, "baseline": c.baseline, "metric": c.metric, **_figures(c),
         "verdict": c.verdict, "warnings": _caveats(c) or None}
        for c in table.comparisons
    ]  # fmt: skip


def _of_scorers(one: Judged, run_id: str) -> list[dict[str, Any]]:
    told: list[tuple[str | None, str, Cell]] = [(None, f"score:{name}", cell) for name, cell in one.scorers.items()]
    told += [(one.baseline, f"score:{name}", cell) for name, cell in one.differences.items()]
    told += [(None, f"{name}_share", cell) for name, cell in one.undelivered.items()]
    told += [] if one.length is None else [(one.baseline, "output_length", one.length)]
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, "target": one.target, "baseline": base, "metric": name, **_figures(cell),
         "verdict": None, "warnings": "; ".join(cell.warnings) or None}
        for base, name, cell in told
    ]  # fmt: skip
    return rows + [
        {"run_id": run_id, "target": one.target, "baseline": None, "metric": f"bar:{bar.words}", "unit": "",
         **dict.fromkeys(("value", "low", "high")), "n": 0, **dict.fromkeys(("n_eff", "method")),
         "verdict": bar.verdict, "warnings": None}
        for bar in one.bars
    ]  # fmt: skip


def _figures(x: Cell | Comparison) -> dict[str, Any]:
    return {"unit": x.unit, "value": x.value, "low": x.low, "high": x.high, "n": x.n, "n_eff": x.n_eff,
            "method": x.method or None}  # fmt: skip


def _caveats(c: Comparison) -> str:
    parts = [
        c.reason + needs(c),
        f"p = {c.p_raw:.3g}" if c.p_raw is not None else "",
        f"p after Holm = {c.p_holm:.3g}" if c.p_holm is not None else "",
        f"p outside the margin = {c.p_equivalence:.3g}" if c.p_equivalence is not None else "",
        "" if c.primary else "exploratory",
        f"p after Benjamini-Hochberg = {c.p_bh:.3g}" if c.p_bh is not None else "",
    ]
    return "; ".join(part for part in parts if part)
