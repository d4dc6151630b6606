"""The table of selfbench: medians of the rounds, for the terminal and for Markdown."""

import datetime
import statistics

from selfbench_cells import PLAIN
from selfbench_place import commit, machine

COLUMNS = (
    ("streams", 18), ("wire", 8), ("workers", 8), ("runs", 5), ("CPU s/1k", 9), ("process", 8), ("x Python", 9), ("x C", 7),
    ("x plain", 8), ("C s/1k", 7), ("replies/s", 10), ("x C's", 6),
    ("TTFT err p50/p99 ms", 20), ("gap err p50/p99 ms", 19), ("late p99", 9), ("1 read", 7), ("core", 5), ("MB", 5), ("Parquet", 8), ("table", 6),
)  # fmt: skip


def table(rounds: list[dict[tuple[str, str, int], dict[str, float | None]]]) -> list[dict]:
    """The median of every figure of every cell, and of its ratios to the plain wire and to C in the same round."""
    out = []
    for load, wire, workers in rounds[0]:
        runs = [found[load, wire, workers] for found in rounds]
        for run, found in zip(runs, rounds, strict=True):
            plain, c = found.get((load, PLAIN, workers)), run.get("yardstick_c_replies_per_s")
            run["ratio_plain"] = run["cpu_s_per_1000_load"] / plain["cpu_s_per_1000_load"] if plain else None
            run["replies_ratio_c"] = run["replies_per_s"] / c if c else None
        medians = {key: median([run.get(key) for run in runs]) for key in runs[0]}
        out.append({"load": load, "wire": wire, "workers": workers, "n": len(runs), **medians, "runs": runs})
    return out


def median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def head() -> str:
    """The titles, right-aligned, for the terminal."""
    return "".join(f"{title:>{width}}" for title, width in COLUMNS)


def values(load: str, wire: str, workers: int, row: dict[str, float | None]) -> tuple[str, ...]:
    """What stands under `COLUMNS` for one cell; `-` where a figure is not known."""

    def number(name: str, form: str) -> str:
        return "-" if row.get(name) is None else format(row[name], form)

    return (
        load, wire, str(workers), number("n", ".0f"), number("cpu_s_per_1000_load", ".2f"),
        number("cpu_s_per_1000_process", ".2f"), number("ratio_python", ".2f"), number("ratio_c", ".2f"),
        number("ratio_plain", ".2f"), number("yardstick_c_cpu_s_per_1000", ".2f"), number("replies_per_s", ".0f"),
        number("replies_ratio_c", ".2f"),
        f"{number('ttft_error_p50_ms', '.3f')} / {number('ttft_error_p99_ms', '.2f')}",
        f"{number('gap_error_p50_ms', '.3f')} / {number('gap_error_p99_ms', '.2f')}", number("lateness_p99_ms", ".2f"),
        number("same_read_share", ".1%"), number("core_share", ".0%"), number("rss_mb", ".0f"),
        number("rss_mb_parquet", ".0f"), number("rss_mb_table", ".0f"),
    )  # fmt: skip


def line(load: str, wire: str, workers: int, row: dict[str, float | None]) -> str:
    """One cell for the terminal."""
    return "".join(f"{v:>{width}}" for v, (_, width) in zip(values(load, wire, workers, row), COLUMNS, strict=True))


def markdown(out: list[dict[str, object]], repeat: int) -> str:
    """The table for docs/selfbench.md."""
    rows = [[title for title, _ in COLUMNS], ["---"] * len(COLUMNS)]
    rows += [list(values(str(c["load"]), str(c["wire"]), int(c["workers"]), c)) for c in out]
    about = f"{machine()}; {datetime.datetime.now(datetime.UTC).date()}, commit {commit()}, medians of {repeat}."
    return about + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)
