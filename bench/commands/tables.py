"""From the names of runs to their table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import tabulate
from bench.errors import BenchError, CannotRun, ConfigError, Problem
from bench.stats.table import Table, build
from bench.store import runs
from bench.store.columns import stored_rows
from bench.store.find import find_runs, left_out
from bench.store.journal import journals
from bench.store.recorded import CRASHED, MANIFEST

if TYPE_CHECKING:
    from bench.campaigns.campaign import Campaign, Log
    from bench.stats.mix import Mix
    from bench.stats.pool import Difference, Source

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `bench compare` was asked about its runs, one field per flag."""

    baseline: str | None = None
    pool: bool = False
    by: str | None = None
    weights: Path | None = None
    force: bool = False
    approx: bool = False


def table_of(ref: str, baseline: str | None, out: Path) -> Table:
    """The table of a stored run. Rows that are not those the run wrote are one warning line."""
    return table_of_runs([opened(runs.find_run(ref, out), warn)], Wanted(baseline=baseline), warn)


@dataclass(frozen=True, slots=True)
class Named:
    """What a user named, opened: runs, or a campaign (with its log) and those of its runs that are not under way."""

    runs: Sequence[runs.Run]
    campaign: tuple[Campaign, Log] | None = None

    def table(self, wanted: Wanted, say: Say) -> Table:
        """The table of the runs; under that of a campaign stands what is missing of it."""
        if self.campaign is None:
            return table_of_runs(self.runs, wanted, say)
        from bench.campaigns.campaign import gaps

        campaign, log = self.campaign
        table = table_of_runs(self.runs, replace(wanted, pool=True), say)
        alarms, notes = gaps(campaign, log)
        left = sum(not log.of(block).settled for block in campaign.blocks)
        partial = [
            *([table.partial] if table.partial else []),
            *([f"{left} of {len(campaign.blocks)} blocks are to come"] if left else []),
        ]
        return replace(
            table, title=f"{table.title} (campaign {campaign.name})", alarms=(*alarms, *table.alarms),
            notes=(*notes, *table.notes), partial="; ".join(partial) or None,
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        """Where its report belongs: the campaign's folder, or the last run's."""
        return in_order(self.runs)[-1].path if self.campaign is None else self.campaign[0].folder


def named(refs: Sequence[str] | None, campaign: str | None, out: Path, say: Say) -> Named:
    """Opens the runs that are named, or the campaign; one of the two."""
    if bool(refs) == bool(campaign):
        got = "both" if refs else "neither runs nor a campaign"
        raise ConfigError(
            [Problem("command line", "RUN, --campaign", got, "one of them, e.g. latest or --campaign week")]
        )
    return of_campaign(campaign, out, say) if campaign else Named(opened_all(refs or (), out, say))


def of_campaign(name: str, out: Path, say: Say) -> Named:
    """A campaign, over or not, and its runs."""
    from bench.campaigns import campaign as campaigns

    campaign = campaigns.opened(name, out)
    log = campaigns.read_log(campaign)
    ran = [fate.run_id for block in campaign.blocks if (fate := log.of(block)).run_id and fate.settled]
    if not ran:
        raise CannotRun(
            f"campaign {name}: no block of it has run", f"what became of them: bench plan --campaign {name}"
        )
    return Named(opened_all([runs.find_run(run or "", out) for run in ran], out, say), (campaign, log))


def warn(text: str) -> None:
    print(text, file=sys.stderr)


def opened_all(refs: Sequence[str | Path], out: Path, say: Say) -> list[runs.Run]:
    """The runs that are named. Among several, one that cannot be read is left out, and that is said."""
    folders = find_runs(refs, out)
    found = []
    for folder in folders:
        try:
            found.append(opened(folder, say))
        except BenchError as error:
            if len(folders) == 1:
                raise
            say(left_out(folder, error))
            last = error
    if not found:
        raise last
    return found


def opened(folder: Path, say: Say) -> runs.Run:
    """The run; one that crashed gets its tables from its journal first, and the reader is told."""
    crashed = not (folder / MANIFEST).exists()
    run = runs.recover(folder) if crashed and journals(folder) else runs.open_run(folder)
    if run.manifest.get("stopped") == CRASHED:
        again = runs.resume_command(run.manifest, folder)
        say(f"The run crashed; its rows come from its journal, without scores. To go on: {again}")
    if changed := runs.verify_digests(run):
        for path in sorted(folder.glob("*.parquet")):
            stored_rows(folder, path.stem)  # one that is cut off is not merely changed: it cannot be read
        say(f"Warning: changed since the run wrote them: {', '.join(changed)}")
    return run


def table_of_runs(found: Sequence[runs.Run], wanted: Wanted, say: Say) -> Table:
    """One run: its targets. Several: each target over the runs side by side, or all blocks pooled."""
    from bench.stats import pool

    chosen = in_order(found)
    if len(chosen) < len(found):
        say(f"{len(found) - len(chosen)} given more than once: a run counts once.")
    manifests = [run.manifest for run in chosen]
    unlike = pool.differences(manifests) if len(chosen) > 1 else []
    if unlike and not wanted.force:
        raise ConfigError(
            [_unlike(one) for one in unlike], "To compare them all the same, with this under the table: --force"
        )
    if len(chosen) > 1 and not wanted.pool and (wanted.by or wanted.weights):
        flag = "--by" if wanted.by else "--weights"
        raise ConfigError([Problem("command line", flag, f"{len(chosen)} runs side by side", "one run, or --pool")])
    table = _table(chosen, wanted)
    if unlike:
        forced = tuple(f"unlike, and compared all the same (--force): {one}" for one in unlike)
        table = replace(table, alarms=(*table.alarms, *forced))
    return table


def in_order(found: Sequence[runs.Run]) -> list[runs.Run]:
    """Each run once, in the order of their start."""
    distinct = {str(run.manifest.get("run_id") or run.path): run for run in found}
    return sorted(distinct.values(), key=lambda run: (run.manifest.get("started_unix_ns") or 0, str(run.path)))


def _unlike(one: Difference) -> Problem:
    values = "; ".join(f"{value} ({', '.join(who)})" for value, who in one.values)
    return Problem("these runs are unlike", one.what, values, "one value for all of them")


def _table(chosen: Sequence[runs.Run], wanted: Wanted) -> Table:
    from bench.stats import beside, mix, pool, slices

    weights = None if wanted.weights is None else mix.load_mix(wanted.weights)
    if (rows := sum(stored_rows(run.path, "requests") for run in chosen)) > tabulate.IN_MEMORY_ROWS or wanted.approx:
        return _large(chosen, wanted, weights, rows)
    together = wanted.pool and (len(chosen) > 1 or bool(chosen[0].manifest.get("campaign")))
    if len(chosen) == 1 and weights is None and wanted.by is None and not together:
        return tabulate.of_run(chosen[0], wanted.baseline)
    sources = [_source(run) for run in chosen]
    if len(sources) > 1 and not wanted.pool:
        return beside.beside(sources, wanted.baseline)
    if not together:
        one = sources[0]
        table = build(one.requests, one.attempts, one.scores, one.manifest, wanted.baseline)
    else:
        one = pool.pooled(sources)
        table = pool.pool(sources, wanted.baseline)
    if weights is not None:
        table = mix.weighted(table, one.requests, one.scores, one.manifest, weights, wanted.baseline)
    if wanted.by is not None:
        anchors = slices.anchors_of([run.manifest for run in chosen])
        table = slices.sliced(table, one.requests, one.scores, one.manifest, wanted.by, anchors, wanted.baseline)
    return table


def _large(chosen: Sequence[runs.Run], wanted: Wanted, weights: Mix | None, rows: int) -> Table:
    """Of more rows than fit into data frames: column by column."""
    from bench.stats import pool

    manifests = [run.manifest for run in chosen]
    flags = (("--by", wanted.by), ("--weights", weights), ("runs side by side", len(chosen) > 1 and not wanted.pool))
    asked = [flag for flag, given in flags if given]
    if asked and (wanted.approx or rows > tabulate.EXACT_ROWS):
        want = f"no histograms for these: at most {tabulate.EXACT_ROWS:,} rows and no --approx, here are {rows:,}"
        raise ConfigError([Problem("command line", flag, "", want) for flag in asked])
    if len(chosen) > 1 and not wanted.pool:
        return tabulate.beside(chosen, wanted.baseline)
    together = len(chosen) > 1 or (wanted.pool and bool(manifests[0].get("campaign")))
    facts = pool.manifest_of(manifests) if together else manifests[0]
    table = tabulate.of_columns([run.path for run in chosen], facts, rows, wanted.baseline, wanted.approx)
    if together:
        units, few = pool.of_what(manifests)
        table = replace(
            table, partial=pool.unfinished(manifests), title=f"{table.title}: {len(chosen)} runs pooled",
            alarms=(*table.alarms, *few), notes=(f"{len(chosen)} runs pooled, {units}", *pool.missing(manifests), *table.notes),
        )  # fmt: skip
    if weights is not None:
        table = tabulate.weighted(table, chosen, facts, weights, wanted.baseline)
    return table if wanted.by is None else tabulate.sliced(table, chosen, facts, wanted.by, wanted.baseline)


def _source(run: runs.Run) -> Source:
    from bench.stats.pool import Source
    from bench.stats.table import ATTEMPT_COLUMNS

    facts: Mapping[str, Any] = run.manifest
    return Source(run.requests, run.frame("attempts", ATTEMPT_COLUMNS), run.scores, facts)
