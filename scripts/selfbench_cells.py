"""One run of bench over a wire and under a load, held against what the server knows and against bare clients."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from selfbench_place import HERE, MODEL_ID, Place, compiled_server, look_alike

from bench import simulate

PACED = {"ttft_ms": {"uniform": [175, 225]}, "gap_ms": {"constant": 10}, "output_tokens": 128}
FAST = {"ttft_ms": {"constant": 0}, "gap_ms": {"constant": 0}, "output_tokens": 100}


@dataclass(frozen=True)
class Load:
    """So many streams at once, or an open loop of `rate` requests per second. `compiled`: the server in C answers."""

    streams: int
    requests: int
    profile: dict[str, object]
    rate: int | None = None
    compiled: bool = False


LOADS = {
    "1": Load(1, 8, PACED),
    "50": Load(50, 200, PACED),
    "200": Load(200, 800, PACED),
    "1000": Load(1000, 2500, PACED),
    "64 fast": Load(64, 2000, FAST),
    "64 fast, C server": Load(64, 10_000, FAST, compiled=True),
    "130/s open": Load(200, 800, PACED, 130),
    "million": Load(64, 1_000_000, {**FAST, "output_tokens": 128}, compiled=True),
}
LONG = ("million",)
"""Only where it is asked for: it takes a quarter of an hour and 6 GB of disk."""
WIRES = {
    # name: (door, AWS event stream?, TLS?)
    "sse": ("openai-compatible", False),
    "aws": ("bedrock", False),
    "sse tls": ("openai-compatible", True),
    "aws tls": ("bedrock", True),
}
PLAIN = "sse"
"""What the other wires are held against."""
Round = dict[str, dict[str, float | None]]
"""The figures of one run over each wire."""
RAMP_MS_PER_STREAM, LONGEST_RAMP_MS = 3, 2000
"""As the closed loop of bench ramps its first wave."""
MOST_BARE_REQUESTS = 20_000
"""The bare clients cost the same from the first request to the last."""
MEMORY_EVERY_S = 0.05

WORKLOAD = """\
version: 1
name: selfbench
dataset: {type: inline, items: [{id: one, prompt: "Count upwards."}]}
messages: [{role: user, content: "{{ prompt }}"}]
generation: {max_tokens: 256, stream: true}
cache: {salt: none}
load: {pattern: %s, stages: [{%s, requests: %d}], max_in_flight: 5000, timeout: 60s, retries: 0}
"""


def cells(load: str, wires: list[str], workers: int, place: Place, bare: list[str], share: float) -> Round:
    """One run of bench over each of these wires, all of one door, and one of each bare client, against one server."""
    what = LOADS[load]
    requests = max(what.streams, round(what.requests * share))
    door = WIRES[wires[0]][0]
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    truth = None if what.compiled else folder / "truth.parquet"
    if what.rate:
        pattern, stage = "constant", f"rate: {what.rate}"
    else:
        pattern, stage = "concurrent", f"concurrency: {what.streams}"
    (folder / "workload.yaml").write_text(WORKLOAD % (pattern, stage, requests))
    (folder / "request").write_bytes(bare_request(door))
    process: dict[str, dict[str, float]] = {}
    serving = compiled_server if what.compiled else look_alike
    with serving(door, what.profile, folder, place) as ports:
        told = {}
        if what.rate is None and workers == 1:
            told = yardsticks(ports["yardstick"], what.streams, min(requests, MOST_BARE_REQUESTS), place, folder, bare)
        for wire in wires:
            scheme, name = ("https", "tls") if WIRES[wire][1] else ("http", "plain")
            row = target_row(door, f"{scheme}://127.0.0.1:{ports[name]}")
            (folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": [row]}))
            process[wire] = run_bench(folder, wire, workers, place)
    found = {}
    for wire in wires:
        run = next((folder / "results").glob(f"date=*/run={name_of(wire)}"))
        of_process = {**process[wire], "cpu_s_per_1000_process": process[wire].pop("cpu_s") / requests * 1000}
        one = {**figures(run, truth), **of_process, **told}
        for name in ("python", "c"):
            yard = one.get(f"yardstick_{name}_cpu_s_per_1000")
            one[f"ratio_{name}"] = one["cpu_s_per_1000_load"] / yard if yard else None
        found[wire] = one
    shutil.rmtree(folder)
    return found


def wires_of(load: str, door: str, asked: list[str]) -> list[str]:
    """Those of the wires that go through this door and that the load's server speaks."""
    return [wire for wire in asked if WIRES[wire][0] == door and (wire == PLAIN or not LOADS[load].compiled)]


def name_of(wire: str) -> str:
    """A run's name."""
    return wire.replace(" ", "-")


def target_row(door: str, address: str) -> dict[str, object]:
    row = {"id": "t", "model": "claude-sonnet-5-5", "provider": door, "model_id": MODEL_ID}
    if door == "bedrock":
        return {**row, "region": "us-east-1", "dialect": "messages", "base_url": address}
    base = address if door == "anthropic" else f"{address}/v1"
    return {**row, "base_url": base, "auth": {"env": "SELFBENCH_KEY"}}


def command(run: str, workers: int) -> list[str]:
    """`bench run` of the workload and the target in the present folder."""
    return [
        sys.executable, "-m", "bench", "run", "workload.yaml", "--targets", "targets.yaml", "--only", "t", "--out", "results",
        "--run-id", run, "--no-calibrate", "--json", "--workers", str(workers),
    ]  # fmt: skip


def environment(door: str, place: Place) -> dict[str, str]:
    """That of `bench run`, with the credentials that the look-alike of the door asks for."""
    said = simulate.default_credentials("bedrock")
    return {
        **os.environ, "PYTHONPATH": str(HERE.parent), "SSL_CERT_FILE": str(place.authority),
        "SELFBENCH_KEY": simulate.default_credentials(door).get("api_key", ""),
        "AWS_ACCESS_KEY_ID": said["access_key"], "AWS_SECRET_ACCESS_KEY": said["secret_key"],
    }  # fmt: skip


def run_bench(folder: Path, wire: str, workers: int, place: Place) -> dict[str, float]:
    """`bench run` in the folder; gives the CPU seconds of it and everything that it started, and its memory by phase."""
    cores = {place.client_core} if workers == 1 else place.client_cores
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command(name_of(wire), workers), cwd=folder, env=environment(WIRES[wire][0], place), stdout=subprocess.DEVNULL,
            stderr=stderr,
        )  # fmt: skip
        os.sched_setaffinity(process.pid, cores)
        peaks: dict[str, float] = {}
        watching = threading.Thread(target=watch_memory, args=(process.pid, folder, name_of(wire), peaks))
        watching.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watching.join()
        if process.returncode not in (0, 3):  # 3: the machine could not keep the plan, which the figures show
            stderr.seek(0)
            sys.exit(f"bench run ended with {process.returncode}\n{stderr.read().decode()}")
    return {"cpu_s": used.ru_utime + used.ru_stime, **peaks}


def watch_memory(pid: int, folder: Path, run: str, peaks: dict[str, float]) -> None:
    """The most memory that a process was seen with, in MB, while its journal became Parquet, and after that."""
    while True:
        time.sleep(MEMORY_EVERY_S)
        try:
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:  # it has ended
            return
        for name, phase in (("requests.parquet", "rss_mb_table"), (".requests.parquet.tmp", "rss_mb_parquet")):
            if next(folder.glob(f"results/date=*/run={run}/{name}"), None) is not None:
                peaks[phase] = max(peaks.get(phase, 0), resident * resource.getpagesize() / 1e6)
                break


def bare_request(door: str) -> bytes:
    """The request of a bare client: what bench sends, without its signature."""
    body = {"max_tokens": 256, "messages": [{"role": "user", "content": "Count upwards."}]}
    if door == "bedrock":
        path = f"/model/{MODEL_ID}/invoke-with-response-stream"
        body["anthropic_version"] = "bedrock-2023-05-31"
    else:
        path = "/v1/chat/completions"
        body |= {"model": MODEL_ID, "stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def yardsticks(port: int, streams: int, requests: int, place: Place, folder: Path, bare: list[str]) -> dict[str, float]:
    """What the bare clients cost for such requests in the clear."""
    ramp_ms = min(LONGEST_RAMP_MS, RAMP_MS_PER_STREAM * streams) if streams > 1 else 0
    words = [str(word) for word in (port, streams, requests, ramp_ms, folder / "request")]
    programs = {"python": [sys.executable, str(HERE / "yardstick.py")]}
    if place.compiled is not None:
        programs["c"] = [str(place.compiled)]
    found = {}
    for name, program in programs.items():
        if name not in bare:
            continue
        done = subprocess.run(
            [*program, *words], preexec_fn=lambda: os.sched_setaffinity(0, {place.client_core}), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(f"yardstick in {name}: {done.stderr}")
        cpu_s, wall_s = map(float, done.stdout.split())
        found[f"yardstick_{name}_cpu_s_per_1000"] = cpu_s / requests * 1000
        found[f"yardstick_{name}_replies_per_s"] = requests / wall_s
    return found


def figures(run: Path, truth: Path | None) -> dict[str, float | None]:
    """What the run says of itself, and its errors where the truth is known."""
    manifest = json.loads((run / "manifest.json").read_text())
    columns = ["seq", "outcome", "spoiled", "sent_ns", "end_ns", "same_read_events", "content_events", "lateness_ms"]
    rows = pq.read_table(run / "requests.parquet", columns=columns, partitioning=None)
    n, own = len(rows), manifest["instrument"]
    sent_ns, end_ns, same, content = (rows[name].to_numpy() for name in columns[3:7])
    late = rows["lateness_ms"].drop_null().to_numpy()
    return {
        "requests": n,
        "not_ok": n - rows["outcome"].to_pylist().count("ok"),
        "spoiled_share": rows["spoiled"].to_pylist().count(True) / n,
        "same_read_share": float(same.sum() / max(1, content.sum())),
        "cpu_s_per_1000_load": own["cpu_s"] / n * 1000,
        "core_share": own["cpu_s"] / own["wall_s"],
        "replies_per_s": float(n / (end_ns.max() - sent_ns.min()) * 1e9),
        "lateness_p99_ms": quantile(late, 0.99) if len(late) else None,
        "lag_p99_ms": (own["lag_ns"]["p99"] or 0) / 1e6,
        "rss_mb": own["rss_mb"],
        **(dict.fromkeys(ERRORS) if truth is None else errors(run, truth, manifest["anchor"]["monotonic_ns"])),
    }


ERRORS = tuple(f"{what}_p{p}_ms" for what in ("ttft_error", "token_late", "gap_error") for p in (50, 99))


def errors(run: Path, truth_path: Path, anchor_ns: int) -> dict[str, float | None]:
    """How far our times are from the server's, request by request."""
    columns = ["seq", "outcome", "ttft_ms", "provider_request_id"]
    rows = pq.read_table(run / "requests.parquet", columns=columns, partitioning=None).to_pylist()
    chunks = {r["seq"]: r["content_ns"] for r in pq.read_table(run / "chunks.parquet", partitioning=None).to_pylist()}
    truth = {r["request_id"]: r for r in pq.read_table(truth_path).to_pylist()}
    ttft, tokens = [], []
    for row in rows:
        if row["outcome"] != "ok":
            continue
        true = truth[row["provider_request_id"]]
        ttft.append(row["ttft_ms"] - (true["token_ns"][0] - true["arrived_ns"]) / 1e6)
        content = np.array(chunks[row["seq"]]) + anchor_ns
        if len(content) == len(true["token_ns"]):
            tokens.append((content - np.array(true["token_ns"])) / 1e6)
    gaps = np.abs(np.concatenate([np.diff(t) for t in tokens]))
    samples = (ttft, np.concatenate(tokens), gaps)
    return dict(zip(ERRORS, (quantile(each, p) for each in samples for p in (0.5, 0.99)), strict=True))


def quantile(values, p: float) -> float:
    return float(np.quantile(np.asarray(values), p, method="inverted_cdf"))
