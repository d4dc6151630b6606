"""What a run says about ourselves, and when it refuses to be a measurement."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from bench.conductor import instrument

ROOT = Path(__file__).parent.parent.parent


def test_the_manifest_says_what_our_instrument_did(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--request-rate", "60", "--requests", "12")
    own, host = done.manifest["instrument"], done.manifest["host"]
    assert own["lag_ns"]["n"] > 0
    assert own["lag_ns"]["p50"] <= own["lag_ns"]["p99"] <= own["lag_ns"]["max"]
    assert own["gc"] == {"n": 0, "total_ns": 0, "max_ns": 0}  # it rests while we measure
    assert 0 < own["cpu_s"] < own["wall_s"] * 2
    assert own["lateness_ms"]["n"] == 24
    assert own["lateness_ms"]["p50"] <= own["lateness_ms"]["p99"] <= own["lateness_ms"]["max"]
    assert own["rss_mb"] > 10
    if sys.platform == "linux":
        assert own["stamps"] == {"source": "kernel", "wall_clock_steps": 0, "unusable": 0}
        assert own["suspended_s"] < 1
        assert host["clock_source"]
    assert {"cpu_governor", "ntp_synchronised", "load_average_1m", "wall_shift_error_ns", "cores_allowed"} <= set(host)
    assert done.manifest["calibration"] is None
    assert "not calibrated: our own error is not known" in done.out
    assert "of a core" in done.out


def test_a_run_that_calibrates_first_says_at_how_many_streams(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    place.workload()
    done = place.bench("run", "small.yaml", "--out", "results", "--concurrency", "3")
    assert done.code == 0, done.err
    assert done.manifest["calibration"]["streams"] == 3
    assert done.manifest["calibration"]["failed"] == 0
    assert "calibrated on loopback at 3 streams: reads TTFT" in " ".join(done.out.split())


def test_a_plan_that_could_not_be_kept_makes_the_run_invalid(place, clouds) -> None:
    # 60 requests within 1.5 s; the process stands still for 0.3 s of them, so about 12 are up to 300 ms late
    running = clouds(anthropic={}, foundry={})
    place.workload(requests=30)
    idle = _sockets(running.pid)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "small.yaml", "--no-calibrate", "--out", "results",
         "--request-rate", "20", "--requests", "30"],
        cwd=place.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None and _sockets(running.pid) == idle:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    run = next((place.folder / "results").glob("date=*/run=*"))
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["exit_status"] == 3
    (why,) = manifest["invalid"]
    assert "we sent late: lateness p99" in why
    assert manifest["instrument"]["lateness_ms"]["max"] > 100
    assert manifest["instrument"]["lag_ns"]["max"] > 100e6
    assert "sent" in out
    assert why in err


def _sockets(pid: int) -> int:
    """Sockets that a process holds: more than before once a client is connected to it."""
    fds = Path(f"/proc/{pid}/fd")
    return sum(os.readlink(fd).startswith("socket:") for fd in fds.iterdir() if fd.is_symlink())


ROWS = pd.DataFrame(
    {"outcome": ["ok"] * 4, "phase": ["measure"] * 4, "ttft_ms": [500.0] * 4, "lateness_ms": [1.0, 2.0, 3.0, 9.0]}
)


@pytest.mark.parametrize(
    ("own", "rows", "why"),
    [
        ({"suspended_s": 0.9}, {}, None),
        ({"suspended_s": 1.1}, {}, "suspended for 1.1 s"),
        ({"suspended_s": None}, {}, None),
        ({}, {"lateness_ms": [1.0, 2.0, 3.0, 10.5]}, "lateness p99 10.5 ms is above 10.0 ms"),
        ({}, {"lateness_ms": [1.0, 2.0, 3.0, 19.0], "ttft_ms": [2000.0] * 4}, None),  # 1 % of 2 s is 20 ms
        ({}, {"lateness_ms": [None] * 4}, None),  # a closed loop: nothing was due
        ({}, {"phase": ["warmup"] * 4, "lateness_ms": [99.0] * 4}, None),
        ({}, {"outcome": ["server"] * 4}, "no request was answered"),
    ],
)  # fmt: skip
def test_what_makes_a_run_no_measurement(own, rows, why) -> None:
    requests = ROWS.assign(**rows)
    found = instrument.faults(requests, [{"instrument": own}], Path("run"))
    if why is None:
        assert found == []
    else:
        assert len(found) == 1
        assert why in found[0]


def test_lateness_is_told_by_order_statistics() -> None:
    assert instrument.lateness_ms(ROWS) == {"p50": 2.0, "p90": 9.0, "p99": 9.0, "max": 9.0, "n": 4}
