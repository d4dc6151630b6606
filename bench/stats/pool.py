"""Several runs: whether they are alike enough to stand together, and their rows as those of one.

Pairs are made inside a run, where both targets saw the same minutes. What one independent draw is depends on what the runs
are: a run of a campaign is one, since all its requests share an hour; of other runs each is, once they are enough to tell
how runs differ, and below that every block of every run, which makes a table of these runs and of nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.metrics import METHOD_VERSION, plural
from bench.stats import pauses
from bench.stats.measured import OF_RUNS, Measured, codes, floats, select
from bench.stats.quantiles import quantile
from bench.stats.special import t_inflation
from bench.stats.table import build
from bench.stats.types import Table

if TYPE_CHECKING:
    import pandas as pd

OF_TARGET = ("model", "model_id", "provider", "dialect", "region", "service_tier", "sku", "deployment", "api_version")
"""Facts of a target that must be alike; its `params` must be, too."""
FREE_OF_LOAD = frozenset({"budget_usd", "requests", "duration_ns", "warmup_requests", "max_in_flight"})
"""How long a load lasts changes how sure a figure is, not what it is of."""
ENOUGH_RUNS = 5
"""Runs from which on each counts as one block of the pool. Student's t of four differences is the last that leaves an interval of
use, and it covers (docs/method.md); of fewer runs nobody can tell how runs differ."""
RUNS_VARY_LIMIT = 3.0
"""How many times the variance between runs may exceed what blocks promise before it is said."""


@dataclass(frozen=True, eq=False)
class Source:
    """The rows and the manifest of one run."""

    requests: pd.DataFrame
    attempts: pd.DataFrame
    scores: pd.DataFrame
    manifest: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.manifest.get("run_id") or "")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not alike: what it is, and which runs have which value."""

    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        return f"{self.what} differs: " + "; ".join(f"{value} ({_some(who)})" for value, who in self.values)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def differences(manifests: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """What makes these runs unlike each other; empty when they may stand together. A target counts where a run has it."""
    runs = {str(m.get("run_id") or n): m for n, m in enumerate(manifests)}
    found = list(_differ({run: dict(_of_run(m)) for run, m in runs.items()}, ""))
    for target in dict.fromkeys(about["id"] for m in manifests for about in m.get("targets") or []):
        facts = {
            run: _of_target(about)
            for run, m in runs.items()
            for about in m.get("targets") or []
            if about["id"] == target
        }
        found += _differ(facts, f"{target}: ")
    return found


def facts_of_run(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What must be alike of two runs as a whole, in words."""
    return dict(_of_run(manifest))


def facts_of_target(about: Mapping[str, Any]) -> dict[str, str]:
    """What must be alike of a target in two runs, in words."""
    return _of_target(about)


def _of_run(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    workload = manifest.get("workload") or {}
    yield "simulated or real", "simulated" if manifest.get("simulated") else "real"
    yield "method version", str(manifest.get("method_version") or "not stated")
    yield "workload", f"{workload.get('name') or 'unnamed'} {str(workload.get('digest') or 'without digest')[:12]}"
    yield "items", (workload.get("dataset") or {}).get("split") or "public"
    yield from _flat("load", _shape(manifest.get("load") or {}))


def _shape(load: Any) -> Any:
    if isinstance(load, Mapping):
        return {key: _shape(value) for key, value in load.items() if key not in FREE_OF_LOAD}
    return [_shape(value) for value in load] if isinstance(load, list | tuple) else load


def _of_target(about: Mapping[str, Any]) -> dict[str, str]:
    facts = {key.replace("_", " "): str(about[key]) for key in OF_TARGET if about.get(key) not in (None, "")}
    return facts | dict(_flat("params", about.get("params") or {}))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(f"{path}.{key}", value[key])
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _flat(f"{path}[{n}]", inner)
    elif value is not None:
        yield path, str(value)


def _differ(facts: Mapping[str, Mapping[str, str]], of_whom: str) -> Iterator[Difference]:
    for key in dict.fromkeys(key for known in facts.values() for key in known):
        values: dict[str, list[str]] = {}
        for run, known in facts.items():
            values.setdefault(known.get(key, "not given"), []).append(run)
        if len(values) > 1:
            yield Difference(of_whom + key, tuple((value, tuple(who)) for value, who in values.items()))


def in_order(sources: Sequence[Source]) -> list[Source]:
    """By the time they began. A run that is given twice (or a copy of it) counts once."""
    by_id = {source.run_id or str(n): source for n, source in enumerate(sources)}
    return sorted(by_id.values(), key=lambda s: (s.manifest.get("started_unix_ns") or 0, s.run_id))


def pooled(sources: Sequence[Source]) -> Source:
    """The rows of several runs as one source; `requests` of a run that was continued are closed up."""
    rows = [pauses.closed_up(source.requests, source.manifest) for source in sources]
    return Source(
        _stacked(rows),
        _stacked([s.attempts for s in sources]),
        _stacked([s.scores for s in sources]),
        manifest_of([s.manifest for s in sources]),
    )


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One below the other. A column that is empty in one frame takes its type from the others."""
    import pandas as pd

    full = [frame for frame in frames if len(frame)]
    if len(full) <= 1:
        return full[0] if full else frames[0]
    known = [frame.dropna(axis="columns", how="all") for frame in full]
    made: pd.DataFrame = pd.concat(known, ignore_index=True)
    return made.reindex(columns=list(full[0].columns))


def manifest_of(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `build` reads of a manifest, for all of them together."""
    targets: dict[str, Mapping[str, Any]] = {}
    for manifest in manifests:
        for about in manifest.get("targets") or []:
            targets.setdefault(about["id"], about)
    last = manifests[-1]
    clusters = {case: source for m in manifests for case, source in (m.get("clusters") or {}).items()}
    tags = {case: values for m in manifests for case, values in (m.get("tags") or {}).items()}
    calibrations = [m.get("calibration") or {} for m in manifests]
    known = [c for c in calibrations if c.get("ttft_error_p99_ms") is not None]
    worst = max(known, key=lambda c: c["ttft_error_p99_ms"]) if len(known) == len(manifests) else None
    return {
        "run_id": f"{len(manifests)} runs",
        "method_version": METHOD_VERSION,
        "simulated": any(m.get("simulated") for m in manifests),
        "complete": all(m.get("complete") for m in manifests),
        "seed": manifests[0].get("seed"),
        "sessions_cut": dict(sum((Counter(m.get("sessions_cut") or {}) for m in manifests), Counter())),
        "targets": list(targets.values()),
        "workload": last.get("workload") or {},
        "scorers": last.get("scorers") or [],
        "clusters": clusters,
        "tags": tags,
        "load": last.get("load") or {},
        "calibration": worst,
        "environment": {k: v for m in manifests for k, v in _mapping(m.get("environment")).items()},
        "margins": last.get("margins") or {},
        "segments_of_runs": [m.get("segments") or [] for m in manifests],
        OF_RUNS: unit(manifests),
    }


def unit(manifests: Sequence[Mapping[str, Any]]) -> str:
    """What varies independently in a pool of these runs: "run" or "block"."""
    planned = all(m.get("campaign") for m in manifests)
    return "run" if planned or len(manifests) >= ENOUGH_RUNS else "block"


def of_what(manifests: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """What the unit of the pool is, in words for a note; and the alarm that is due where runs are too few."""
    count = len(manifests)
    if unit(manifests) == "run":
        of = "intervals are for the time the runs were spread over"
        return f"each run counts as one block, since its requests share an hour: {of}", []
    return "blocks of all runs count as blocks", [
        f"{plural(count, 'run')} pooled, too few to tell how runs differ: intervals and verdicts are of these runs, not of the "
        f"time around them; from {ENOUGH_RUNS} runs on each counts as one block"
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def pool(sources: Sequence[Source], baseline: str | None = None) -> Table:
    """One table of several runs: figures and comparisons over the blocks of all of them."""
    together = pooled(sources)
    table = build(together.requests, together.attempts, together.scores, together.manifest, baseline)
    targets = select(together.requests, together.scores, together.manifest).targets
    units, few = of_what([s.manifest for s in sources])
    notes = [
        _what(sources, together.requests, units),
        *missing([s.manifest for s in sources]),
        *_prices(together.requests),
    ]
    notes += [note for source in sources for note in pauses.notes(source.requests, source.manifest)]
    return replace(
        table,
        title=f"{table.title}: {plural(len(sources), 'run')} pooled",
        alarms=(*table.alarms, *few, *run_to_run(targets)),
        notes=(*notes, *table.notes),
        levels=(),
        partial=unfinished([s.manifest for s in sources]),
        run_folder=", ".join(str(s.manifest.get("run_folder") or s.run_id) for s in sources),
    )


def _what(sources: Sequence[Source], requests: pd.DataFrame, units: str) -> str:
    rows = requests["run_id"].value_counts(sort=False)
    each = ", ".join(f"{s.run_id} ({int(rows.get(s.run_id, 0)):,} requests)" for s in sources[:8])
    more = f" and {len(sources) - 8} more" if len(sources) > 8 else ""
    return f"{plural(len(sources), 'run')} pooled, {units}: {each}{more}"


def missing(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Targets that some of the runs did not have."""
    have: dict[str, list[str]] = {}
    for manifest in manifests:
        for about in manifest.get("targets") or []:
            have.setdefault(about["id"], []).append(str(manifest.get("run_id") or ""))
    return [
        f"{target} is in {len(runs)} of {len(manifests)} runs ({_some(runs)}): its figures are of other times than the rest"
        for target, runs in have.items()
        if len(runs) < len(manifests)
    ]


def _prices(requests: pd.DataFrame) -> list[str]:
    """Targets whose rows were priced by more than one entry of the price book."""
    notes = []
    for target, books in requests.groupby("target", sort=False)["price_book"]:
        names = [str(name) for name in books.dropna().unique()]
        if len(names) > 1:
            notes.append(f"{target} was priced by {len(names)} entries of the price book: {', '.join(names)}")
    return notes


def unfinished(manifests: Sequence[Mapping[str, Any]]) -> str | None:
    """Which runs did not come to their end."""
    names = [str(m.get("run_id")) for m in manifests if not m.get("complete")]
    return f"{len(names)} of {plural(len(manifests), 'run')} did not end: {_some(names)}" if names else None


def run_to_run(targets: Sequence[Measured]) -> list[str]:
    """Targets whose median varies from run to run by more than their blocks promise: then intervals over blocks are too
    narrow, and more runs are worth more than more requests."""
    said = []
    for measured in targets:
        frame = measured.frame[measured.frame["e2e"].notna()]
        if len(frame) == 0 or frame["run"].nunique() < 3:
            continue
        values, runs = floats(frame, "e2e"), codes(frame, "run")
        by_run, by_block = quantile(values, runs, 0.5), quantile(values, codes(frame, "block"), 0.5)
        if np.isinf(by_run.estimate):
            continue
        times = by_run.design_effect / by_block.design_effect
        if times > RUNS_VARY_LIMIT * t_inflation(0.95, by_run.blocks):
            said.append(f"{measured.target}: runs differ more than their blocks promise (variance of the E2E median "
                        f"{times:.0f} times that); intervals are of these runs, not of the runs to come")  # fmt: skip
    return said
