"""What ran where, with which versions and digests, and how well our own instrument did: from the manifests of the runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bench.metrics import UNKNOWN
from bench.report.document import Block, Column, Entry, Grid, GridRow
from bench.report.grids import count, pairs, words

Manifest = Mapping[str, Any]


def blocks(manifests: Sequence[Manifest]) -> tuple[Block, ...]:
    made = (_runs(manifests), _targets(manifests), _instrument(manifests), _files(manifests), _packages(manifests[-1]))
    return tuple(grid for grid in made if grid.rows)


def identity(manifests: Sequence[Manifest]) -> str:
    """The run's id, or how many there are, and the beginning of the digest of the rows."""
    found = [str(((m.get("files") or {}).get("requests.parquet") or {}).get("sha256") or "") for m in manifests]
    who = str(manifests[0].get("run_id") or "") if len(manifests) == 1 else f"{len(manifests)} runs"
    if not all(found):
        return f"run {who}" if len(manifests) == 1 else who
    one = found[0] if len(found) == 1 else hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
    return f"{'run ' if len(manifests) == 1 else ''}{who} · rows sha256 {one[:16]}"


def _runs(manifests: Sequence[Manifest]) -> Grid:
    facts = [_run(m) for m in manifests]
    if len(facts) == 1:
        return pairs("run", "What ran", facts[0])
    keys = [key for key in facts[0] if key != "run"]
    columns = (Column("run", "name"), *(Column(key) for key in keys))
    rows = tuple(GridRow((Entry(one["run"]), *(words(one.get(key, "")) for key in keys))) for one in facts)
    return Grid("run", "What ran", columns, rows)


def _run(m: Manifest) -> dict[str, str]:
    workload, plan, load = (m.get(key) or {} for key in ("workload", "plan", "load"))
    return {
        "run": str(m.get("run_id") or ""),
        "started (UTC)": str(m.get("started") or "")[:19].replace("T", " "),
        "came to its end": "yes" if m.get("complete") is True else "no",
        "workload": str(workload.get("title") or workload.get("name") or ""),
        "workload digest": str(workload.get("digest") or ""),
        "load": _load(load),
        "seed": _text(m.get("seed")),
        "plan digest": str(plan.get("digest") or ""),
        "price book sha256": str(m.get("price_book_sha256") or ""),
        "spent": "" if m.get("spent_usd") is None else f"${Decimal(str(m['spent_usd'])):,.4f}",
        "campaign": str((m.get("campaign") or {}).get("name") or "") if isinstance(m.get("campaign"), Mapping) else "",
        "labels": ", ".join(f"{k}={v}" for k, v in (m.get("labels") or {}).items()),
        "bench": f"{m.get('bench_version') or UNKNOWN}, method {m.get('method_version') or UNKNOWN}",
        "command": str(m.get("command") or ""),
        "folder": str(m.get("run_folder") or ""),
    }


def _load(load: Mapping[str, Any]) -> str:
    stages = load.get("stages") or []
    said = []
    for stage in stages:
        rate, slots, n = stage.get("rate_per_s"), stage.get("concurrency"), stage.get("requests")
        how = f"{rate:g}/s" if rate else f"{slots} in flight" if slots else ""
        said.append(", ".join(part for part in (how, f"{n:,} requests" if n else "") if part))
    return f"{load['pattern']}: {'; '.join(said)}" if load.get("pattern") else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _targets(manifests: Sequence[Manifest]) -> Grid:
    about = {one["id"]: one for m in manifests for one in m.get("targets") or []}
    columns = tuple(Column(header, "name" if header == "target" else "text") for header in (
        "target", "door", "model", "model id", "region", "dialect", "host", "api version"))  # fmt: skip
    rows = []
    for name, one in about.items():
        route = one.get("route") or {}
        given = [name, one.get("provider"), one.get("model"), one.get("model_id"), one.get("region"), one.get("dialect"),
                 route.get("host"), one.get("api_version")]  # fmt: skip
        rows.append(GridRow(tuple(words(_text(value)) for value in given), name))
    return Grid("targets", "Who answered", columns, tuple(rows))


def _instrument(manifests: Sequence[Manifest]) -> Grid:
    """How well we measure: read off a loopback server of known timing before the run, and off ourselves while it ran."""
    headers = ("run", "streams", "TTFT read late, p50 ms", "at p99, ms", "sent late, p99 ms", "loop lag, p99 ms", "cores",
               "CPU share", "stamps", "clock in step", "host")  # fmt: skip
    columns = tuple(Column(h, "name" if h == "run" else "text" if h in ("stamps", "clock in step", "host") else "number")
                    for h in headers)  # fmt: skip
    rows = []
    for m in manifests:
        calibration, instrument, host = (m.get(key) or {} for key in ("calibration", "instrument", "host"))
        lag = (instrument.get("lag_ns") or {}).get("p99")
        rows.append(GridRow((
            Entry(str(m.get("run_id") or "")), count(calibration.get("streams")), _number(calibration.get("ttft_error_p50_ms")),
            _number(calibration.get("ttft_error_p99_ms")), _number((instrument.get("lateness_ms") or {}).get("p99")),
            _number(None if lag is None else lag / 1e6), count(host.get("cores_allowed") or host.get("cores")),
            _number(instrument.get("cpu_share")), words(_text((instrument.get("stamps") or {}).get("source"))),
            words(_SYNCHRONISED.get(str(host.get("ntp_synchronised")), "")), words(_host(host)),
        )))  # fmt: skip
    return Grid("instrument", "Our own instrument", columns, tuple(rows))


_SYNCHRONISED = {"True": "yes", "False": "no"}


def _host(host: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (_text(host.get("platform")), f"Python {host.get('python') or UNKNOWN}") if part)


def _number(value: float | None) -> Entry:
    return Entry(UNKNOWN) if value is None else Entry(f"{value:.2g}", float(value))


def _files(manifests: Sequence[Manifest]) -> Grid:
    columns = (
        Column("run", "name"),
        Column("file"),
        Column("rows", "number"),
        Column("bytes", "number"),
        Column("sha256"),
    )
    rows = tuple(
        GridRow((Entry(str(m.get("run_id") or "")), Entry(name), count(said.get("rows")), count(said.get("bytes")),
                 words(_text(said.get("sha256")))))
        for m in manifests for name, said in sorted((m.get("files") or {}).items())
    )  # fmt: skip
    return Grid("files", "Stored files and their digests", columns, rows, folded=True)


def _packages(manifest: Manifest) -> Grid:
    return pairs(
        "packages", "Versions of the libraries that took part", (manifest.get("host") or {}).get("packages") or {}
    )
