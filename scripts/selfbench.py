"""How wrong is bench, and what does it cost? The whole program against look-alikes that wrote down when every token left.

The look-alike runs on one core, `bench run` on another: all of it, from the YAML to the table. Errors are differences between
what requests.parquet and chunks.parquet say and the server's own stamps, request by request. In the same minute, on the same
core and against the same server, a bare epoll client reads the same replies and drops them, in Python and (where there is a
compiler) in C: seconds of CPU differ between machines, and with what else runs on them; the ratio to that yardstick much less.

The look-alike is in Python, so where tokens come without a delay it is what limits all of them. A server in C (where there is a
compiler) writes the look-alike's own bytes faster than any client here reads them; it notes no times, so it shows cost alone.
"""

import argparse
import datetime
import ipaddress
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench import simulate

HERE = Path(__file__).parent
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
QUICK = ("200", "1000", "64 fast", "64 fast, C server")
QUICK_SHARED = ("200", "openai-compatible")
"""Where `--quick` tries several workers."""
MODEL_ID = "us.anthropic.claude-sonnet-5-5"
PLAIN = "sse"
"""What the other wires are held against."""
Round = dict[str, dict[str, float | None]]
"""The figures of one run over each wire."""
RAMP_MS_PER_STREAM, LONGEST_RAMP_MS = 3, 2000
"""As the closed loop of bench ramps its first wave."""
MOST_BARE_REQUESTS = 20_000
"""The bare clients cost the same from the first request to the last."""
LONGEST_S = 3600
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


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, the cores of server and client, the certificates, and the C yardstick if any.

    One process of the client has `client_core`; several share all cores but the server's.
    """

    folder: Path
    server_core: int
    client_core: int
    client_cores: frozenset[int]
    authority: Path
    certificate: Path
    key: Path
    compiled: Path | None
    compiled_server: Path | None


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


@contextmanager
def look_alike(door: str, profile: dict[str, object], folder: Path, place: Place) -> Iterator[dict[str, int]]:
    """The look-alike of a door, plain and over TLS, and one that takes a bare client; its truth is written at the end."""
    target = {"door": door, "model_id": MODEL_ID, "profile": profile}
    tls = {"tls": {"cert": str(place.certificate), "key": str(place.key)}}
    config = {"seed": 1, "truth": str(folder / "truth.parquet"), "targets": [
        {**target, "id": "plain"}, {**target, **tls, "id": "tls"},
        {**target, "id": "yardstick", "credentials": plain_credentials(door)},
    ]}  # fmt: skip
    with simulate.launch(config) as running:
        os.sched_setaffinity(running.pid, {place.server_core})
        yield running.ports
        running.stop()


@contextmanager
def compiled_server(door: str, profile: dict[str, object], folder: Path, place: Place) -> Iterator[dict[str, int]]:
    """The server in C, which gives every request the reply that the look-alike gave to one."""
    with look_alike(door, profile, folder, place) as ports, socket.create_connection(
        ("127.0.0.1", ports["yardstick"])
    ) as sock:  # fmt: skip
        sock.sendall((folder / "request").read_bytes())
        reply = b""
        while not reply.endswith(b"0\r\n\r\n"):
            reply += sock.recv(1 << 16)
    (folder / "reply").write_bytes(reply)
    command = [str(place.compiled_server), str(folder / "reply"), str(LONGEST_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        os.sched_setaffinity(running.pid, {place.server_core})
        port = int(running.stdout.readline())
        yield {"plain": port, "yardstick": port}
        running.stdin.close()


def wires_of(load: str, door: str, asked: list[str]) -> list[str]:
    """Those of the wires that go through this door and that the load's server speaks."""
    return [wire for wire in asked if WIRES[wire][0] == door and (wire == PLAIN or not LOADS[load].compiled)]


def name_of(wire: str) -> str:
    """A run's name."""
    return wire.replace(" ", "-")


def plain_credentials(door: str) -> dict[str, str]:
    """Such that a bare client can present them without signing."""
    return {"region": "us-east-1", "token": "k"} if door == "bedrock" else {"api_key": "k"}


def target_row(door: str, address: str) -> dict[str, object]:
    row = {"id": "t", "model": "claude-sonnet-5-5", "provider": door, "model_id": MODEL_ID}
    if door == "bedrock":
        return {**row, "region": "us-east-1", "dialect": "messages", "base_url": address}
    return {**row, "base_url": f"{address}/v1", "auth": {"env": "SELFBENCH_KEY"}}


def run_bench(folder: Path, wire: str, workers: int, place: Place) -> dict[str, float]:
    """`bench run` in the folder; gives the CPU seconds of it and everything that it started, and its memory by phase."""
    command = [
        sys.executable, "-m", "bench", "run", "workload.yaml", "--targets", "targets.yaml", "--only", "t", "--out", "results",
        "--run-id", name_of(wire), "--no-calibrate", "--json", "--workers", str(workers),
    ]  # fmt: skip
    said = simulate.default_credentials("bedrock")
    environment = {
        **os.environ, "PYTHONPATH": str(HERE.parent), "SSL_CERT_FILE": str(place.authority),
        "SELFBENCH_KEY": simulate.default_credentials("openai-compatible")["api_key"],
        "AWS_ACCESS_KEY_ID": said["access_key"], "AWS_SECRET_ACCESS_KEY": said["secret_key"],
    }  # fmt: skip
    cores = {place.client_core} if workers == 1 else place.client_cores
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
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
                peaks[phase] = max(peaks.get(phase, 0), resident * resource.getpagesize() / 2**20)
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


# ---------------------------------------------------------------- the place


def prepared(folder: Path) -> Place:
    cores = sorted(os.sched_getaffinity(0))
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    programs = [None if compiler is None else folder / name for name in ("yardstick", "yardstick_server")]
    for program in programs:
        if compiler and program:
            subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / f"{program.name}.c")], check=True)
    return Place(folder, cores[0], cores[-1], frozenset(cores[1:] or cores), *certificates(folder), *programs)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it for 127.0.0.1 with its key: made now, good for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    today, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)

    def name(words: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, words)])

    def signed(subject: str, key, signer, extension: x509.ExtensionType) -> bytes:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = x509.CertificateBuilder(name("selfbench CA"), name(subject), key.public_key(), x509.random_serial_number(),
                                          today - day, today + day)  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=key is signer, path_length=None), critical=True)
        builder = builder.add_extension(identifier, critical=False).add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    paths = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    identity = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    paths[0].write_bytes(signed("selfbench CA", authority, authority, identity))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    paths[1].write_bytes(signed("127.0.0.1", own, authority, address))
    paths[2].write_bytes(own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return paths


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, clock source {source}, Python {platform.python_version()}"


# ---------------------------------------------------------------- the table


COLUMNS = (
    ("streams", 18), ("wire", 8), ("workers", 8), ("runs", 5), ("CPU s/1k", 9), ("process", 8), ("x Python", 9), ("x C", 7),
    ("x plain", 8), ("C s/1k", 7), ("replies/s", 10), ("x C's", 6),
    ("TTFT err p50/p99 ms", 20), ("gap err p50/p99 ms", 19), ("late p99", 9), ("1 read", 7), ("core", 5), ("MB", 5), ("Parquet", 8), ("table", 6),
)  # fmt: skip


def head() -> str:
    return "".join(f"{title:>{width}}" for title, width in COLUMNS)


def values(load: str, wire: str, workers: int, row: dict[str, float | None]) -> tuple[str, ...]:
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
    return "".join(f"{v:>{width}}" for v, (_, width) in zip(values(load, wire, workers, row), COLUMNS, strict=True))


def commit() -> str:
    found = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "?"


def markdown(out: list[dict[str, object]], repeat: int) -> str:
    """The table for docs/selfbench.md."""
    rows = [[title for title, _ in COLUMNS], ["---"] * len(COLUMNS)]
    rows += [list(values(str(c["load"]), str(c["wire"]), int(c["workers"]), c)) for c in out]
    about = f"{machine()}; {datetime.datetime.now(datetime.UTC).date()}, commit {commit()}, medians of {repeat}."
    return about + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each cell; the median is printed")
    parser.add_argument("--load", action="append", choices=LOADS, help="streams, or the name of a load")
    parser.add_argument("--wire", action="append", choices=WIRES)
    parser.add_argument("--workers", action="append", type=int, help="processes that send; 1 and 2, if not given")
    parser.add_argument(
        "--bare", action="append", choices=("python", "c"), help="the bare clients to hold it against; both"
    )
    parser.add_argument("--requests-share", type=float, default=1.0, help="share of each load's requests that is sent")
    parser.add_argument("--quick", action="store_true",
                        help="the main table in a few minutes: 200, 1,000 and 64 fast streams over every wire, half the "
                        "requests, held against C; two workers at 200 streams")  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, help="begin no round of cells after so many; rounds go through all cells"
    )
    parser.add_argument("--markdown", action="store_true", help="the table for docs/selfbench.md, at the end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    share, bare = options.requests_share, options.bare or ["python", "c"]
    if options.quick:
        share, bare = share / 2, options.bare or ["c"]
    asked = options.load or (QUICK if options.quick else [load for load in LOADS if load not in LONG])
    if not options.json:
        print(f"{machine()}; medians of up to {options.repeat}", flush=True)
    rounds: list[dict[tuple[str, str, int], dict[str, float | None]]] = []
    began = os.times().elapsed
    with tempfile.TemporaryDirectory() as folder:
        place = prepared(Path(folder))
        if place.compiled_server is None and (left_out := [load for load in asked if LOADS[load].compiled]):
            print(f"No compiler (cc, gcc, clang): without {', '.join(left_out)}, and without C.", file=sys.stderr)
            asked = [load for load in asked if load not in left_out]
        kinds = [
            (load, wires, workers)
            for workers in options.workers or (1, 2)
            for load in asked
            for door in dict.fromkeys(door for door, _ in WIRES.values())
            if workers <= LOADS[load].streams and not (options.quick and workers > 1 and (load, door) != QUICK_SHARED)
            if (wires := wires_of(load, door, options.wire or list(WIRES)))
        ]
        for n in range(options.repeat):
            if rounds and options.minutes and os.times().elapsed - began > 60 * options.minutes:
                break
            rounds.append({})
            for load, wires, workers in kinds:
                found = cells(load, wires, workers, place, bare, share)
                rounds[-1] |= {(load, wire, workers): one for wire, one in found.items()}
            if sys.stderr.isatty():
                print(f"round {n + 1} of {options.repeat}", file=sys.stderr, flush=True)
    out = table(rounds)
    if options.json:
        print(json.dumps({"machine": machine(), "load_average": os.getloadavg(), "cells": out}, indent=1))
        return
    print(head())
    for row in out:
        print(line(row["load"], row["wire"], row["workers"], row))
    print(f"{os.times().elapsed - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if options.markdown:
        print(markdown(out, len(rounds)))


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


if __name__ == "__main__":
    main()
