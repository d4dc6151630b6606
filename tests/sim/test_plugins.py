"""The example of docs/plugins.md, installed as a package and run: a door, a scorer and a data set of somebody else."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import __version__
from bench.testing.golden import GOLDENS, load_golden

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "docs/plugin-example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as pip installs it. Nothing is downloaded."""
    source = tmp_path_factory.mktemp("source") / "plugin-example"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-warn-script-location", "--target", str(target), str(source)],
        check=True,
        capture_output=True,
    )
    return target


def python(site: Path, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


class Cloud(BaseHTTPRequestHandler):
    """Acme's cloud: one answer, for the right key."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        type(self).seen.append(dict(self.headers))
        good = self.headers["x-acme-key"] == "acme-key"
        golden = load_golden(GOLDENS / "wires/chat/text.golden")
        body = golden.body if good else b'{"error":{"message":"who?","code":"invalid_api_key"}}'
        self.send_response(200 if good else 401)
        self.send_header("content-type", golden.content_type if good else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[str]:
    Cloud.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_run_goes_through_the_installed_door_scorer_and_data_set(site: Path, cloud: str, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    shutil.copy(EXAMPLE / "workload.yaml", tmp_path)
    row = (EXAMPLE / "targets.yaml").read_text()
    (tmp_path / "targets.yaml").write_text(row.replace("dialect: chat", f'dialect: chat, base_url: "{cloud}"'))
    run = ["-m", "bench", "run", "workload.yaml", "--only", "acme", "--no-calibrate", "--out", "results"]
    done = python(site, tmp_path, *run, ACME_API_KEY="acme-key")
    assert done.returncode == 0, done.stderr
    assert "acme-key" not in done.stdout + done.stderr
    (folder,) = (tmp_path / "results").glob("date=*/run=*")
    rows = pq.read_table(folder / "requests.parquet", partitioning=None).to_pylist()
    assert [r["outcome"] for r in rows] == ["ok"] * 4
    assert {r["provider"] for r in rows} == {"acme"}
    # 17 uncached, 5 read (at the input price: none of its own is set), 42 out
    assert all(r["input_tokens"] == 17 and r["output_tokens"] == 42 for r in rows)
    assert {r["client_stack"] for r in rows} == {"acme-bench 1.0.0; bench " + __version__}
    scores = pq.read_table(folder / "scores.parquet", partitioning=None).to_pylist()
    assert {(s["scorer_type"], s["value"], s["reason"]) for s in scores} == {("acme.brief", 1.0, "5 words")}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "acme-key" not in json.dumps(manifest)
    assert len(Cloud.seen) == 4


def test_a_wrong_key_is_told_by_the_installed_door(site: Path, cloud: str, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "workload.yaml", tmp_path)
    row = (EXAMPLE / "targets.yaml").read_text()
    (tmp_path / "targets.yaml").write_text(row.replace("dialect: chat", f'dialect: chat, base_url: "{cloud}"'))
    run = ["-m", "bench", "run", "workload.yaml", "--only", "acme", "--no-calibrate", "--out", "results"]
    missing = python(site, tmp_path, *run)
    assert missing.returncode == 3
    assert "export ACME_API_KEY=..." in missing.stderr
    assert Cloud.seen == []
    wrong = python(site, tmp_path, *run, ACME_API_KEY="another")
    assert wrong.returncode == 3
    assert "auth" in wrong.stdout + wrong.stderr


def test_the_installed_door_passes_the_conformance_suite(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "bench.testing", "acme", "--json")
    assert done.returncode == 0, done.stdout
    states = {row["check"]: row["state"] for row in json.loads(done.stdout)}
    assert len(states) >= 25
    assert set(states.values()) == {"pass", "n/a"}
    tests = python(site, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"))
    assert tests.returncode == 0, tests.stdout
    assert tests.stdout.startswith(".")


def test_the_sample_door_is_short(site: Path) -> None:
    assert len((EXAMPLE / "acme_bench/door.py").read_text().splitlines()) < 100


def test_a_scorer_with_a_wrong_option_stops_before_anything_is_sent(site: Path, cloud: str, tmp_path: Path) -> None:
    text = (EXAMPLE / "workload.yaml").read_text().replace("words: 5", "wrods: 5")
    (tmp_path / "workload.yaml").write_text(text)
    shutil.copy(EXAMPLE / "targets.yaml", tmp_path)
    done = python(site, tmp_path, "-m", "bench", "run", "workload.yaml", "--only", "acme", ACME_API_KEY="k")
    assert done.returncode == 2
    assert "acme-bench 1.0.0, acme_bench.more:Brief" in done.stderr
    assert "wrods" in done.stderr
    assert "workload.yaml:11" in done.stderr
    assert Cloud.seen == []
