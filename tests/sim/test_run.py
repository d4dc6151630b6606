"""Whole runs through the command line: what is asked, sent, stored and said."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from bench.record import TABLES

ROOT = Path(__file__).parent.parent.parent

ALL_DOORS = {"anthropic": {}, "bedrock": {}, "vertex": {}, "foundry": {}, "openai_compatible": {}}


def test_five_doors_side_by_side_make_one_table(place, clouds) -> None:
    clouds(**ALL_DOORS)
    done = place.run(requests=8)
    assert done.code == 0, done.err
    for door in ("anthropic", "bedrock", "vertex", "foundry", "openai-compatible"):
        assert door in done.out
    rows = done.rows()
    assert Counter(r["target"] for r in rows) == dict.fromkeys(
        ["anthropic", "bedrock", "vertex", "foundry", "openai-compatible"], 8
    )
    assert {r["outcome"] for r in rows} == {"ok"}
    for row in rows:
        assert (
            row["sent_ns"]
            < row["headers_ns"]
            <= row["first_byte_ns"]
            <= row["first_token_ns"]
            <= row["last_token_ns"]
            <= row["end_ns"]
        )
        assert row["ttft_ms"] == pytest.approx((row["first_token_ns"] - row["sent_ns"]) / 1e6)
        assert row["output_tokens"] == 12
        assert row["region_proof"] != "contradicted"
        assert not row["simulated"]  # the program was not told that these clouds are look-alikes


def test_every_promised_file_and_column_is_there(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run()
    import pyarrow.parquet as pq

    for table, columns in TABLES.items():
        stored = pq.read_schema(done.run / f"{table}.parquet").names
        assert stored == [c.name for c in columns], table
    manifest = done.manifest
    assert manifest["complete"] is True
    assert manifest["exit_status"] == 0
    assert set(manifest["files"]) == {f"{name}.parquet" for name in TABLES}
    assert not (done.run / "journal.bin").exists()


def test_the_plan_on_disk_is_what_was_sent(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run(requests=8)
    planned = {r["seq"]: (r["target"], r["case_id"], r["repeat"], r["block_id"]) for r in done.rows("schedule")}
    sent = {r["seq"]: (r["target"], r["case_id"], r["repeat"], r["block_id"]) for r in done.rows()}
    assert sent == planned


def test_stored_times_agree_with_what_the_cloud_did(place, clouds) -> None:
    running = clouds(anthropic={}, bedrock={})
    done = place.run(requests=8)
    running.stop()
    import pyarrow.parquet as pq

    truth = {r["request_id"]: r for r in pq.read_table(place.folder / "truth.parquet").to_pylist()}
    anchor = done.manifest["anchor"]["monotonic_ns"]
    for row in done.rows():
        true = truth[row["provider_request_id"]]
        # cause before effect, on one clock: sent, arrived there, first token left, first token seen
        assert row["sent_ns"] + anchor <= true["arrived_ns"] < true["token_ns"][0] <= row["first_token_ns"] + anchor
        assert true["output_tokens"] == row["output_tokens"]
        assert true["input_tokens"] == row["input_tokens"] + (row["cache_read_tokens"] or 0) + (
            (row["cache_write_5m_tokens"] or 0) + (row["cache_write_1h_tokens"] or 0)
        )


def test_an_open_loop_sends_at_its_due_times(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--request-rate", "40", "--requests", "12")
    rows = done.rows()
    assert all(r["due_ns"] is not None for r in rows)
    assert all(r["lateness_ms"] >= 0 for r in rows)
    assert all(r["e2e_due_ms"] >= r["e2e_ms"] for r in rows)


def test_a_throttled_try_is_a_row_and_its_wait_is_counted(place, clouds) -> None:
    half = {"throttle": {"share": 0.5, "retry_after_s": 0.05}}
    clouds(anthropic=half, foundry=half)
    done = place.run(requests=16, retries=4)
    rows = done.rows()
    attempts = done.rows("attempts")
    recovered = [r for r in rows if r["outcome"] == "ok" and r["attempts"] > 1]
    assert recovered
    assert {r["first_attempt_outcome"] for r in recovered} == {"throttled"}
    assert sum(r["attempts"] for r in rows) == len(attempts) > len(rows)
    refused = [a for a in attempts if a["outcome"] == "throttled"]
    assert {a["http_status"] for a in refused} == {429}
    assert all(a["retry_after_s"] == pytest.approx(0.05) for a in refused)
    for row in recovered:
        assert row["retry_wait_ms"] >= 50 * (row["attempts"] - 1)
        assert row["e2e_all_ms"] > row["e2e_ms"] + row["retry_wait_ms"] - 1  # what the caller waited, in all


def test_when_tries_are_used_up_the_last_refusal_stands(place, clouds) -> None:
    clouds(anthropic={"markers": True}, foundry={"markers": True})
    done = place.run(requests=2, retries=2, suffix=" [[fault: status code=429 retry_after_s=0.02]]")
    assert {(r["outcome"], r["attempts"]) for r in done.rows()} == {("throttled", 3)}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("status code=500", "server"),
        ("status code=529", "overloaded"),
        ("status code=401", "auth"),
        ("status code=400", "bad_request"),
        ("status code=502", "server"),
        ("cut after=3", "truncated"),
        ("reset after=3", "truncated"),
        ("close after=3", "truncated"),
        ("error after=3 kind=overloaded", "overloaded"),
        ("rubbish after=2", "ok"),
        ("blank", "truncated"),
        ("empty", "server"),
    ],
)
def test_each_way_to_fail_has_its_name(place, clouds, fault: str, outcome: str) -> None:
    clouds(anthropic={"markers": True}, foundry={"markers": True})
    done = place.run(requests=2, suffix=f" [[fault: {fault}]]")
    rows = done.rows()
    if fault.startswith("rubbish"):
        # rubbish between two events: what stands around it is kept, or the stream is said to be broken; never a crash
        assert {r["outcome"] for r in rows} <= {"ok", "truncated", "server"}
        return
    assert {r["outcome"] for r in rows} == {outcome}
    assert done.code == 3  # nothing was answered
    assert "no request was answered" in done.err


def test_a_hanging_server_ends_at_the_deadline(place, clouds) -> None:
    clouds(anthropic={"markers": True}, foundry={"markers": True})
    done = place.run(requests=1, timeout="300ms", suffix=" [[fault: hang]]")
    rows = done.rows()
    assert {r["outcome"] for r in rows} == {"timeout"}
    # the deadline counts from when the attempt began, so connecting is inside it
    assert all(r["e2e_ms"] > 100 for r in rows)
    assert all(r["ttft_ms"] is None for r in rows)


def test_a_failing_target_does_not_hide_the_others(place, clouds) -> None:
    clouds(anthropic={"error_share": 1.0}, foundry={})
    done = place.run()
    outcomes = {r["target"]: r["outcome"] for r in done.rows()}
    assert outcomes["foundry"] == "ok"
    assert outcomes["anthropic"] != "ok"
    assert done.code == 0


def test_a_closed_port_is_a_transport_failure(place, clouds) -> None:
    running = clouds(anthropic={}, foundry={})
    running.stop()
    done = place.run(requests=2)
    assert {(r["outcome"], r["fault_code"]) for r in done.rows()} == {("transport", "connect")}
    assert done.code == 3


def test_tls_to_a_plain_port_is_a_tls_failure(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    targets = (place.folder / "targets.yaml").read_text().replace("http://", "https://")
    (place.folder / "targets.yaml").write_text(targets)
    done = place.run(requests=1)
    assert {(r["outcome"], r["fault_code"]) for r in done.rows()} == {("transport", "tls")}


def test_the_limit_in_dollars_stops_the_run_and_keeps_what_was_measured(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--max-usd", "0.005", requests=40)
    assert done.code == 5, done.err
    assert 0 < len(done.rows()) < 80
    assert sum(r["cost_usd"] for r in done.rows()) <= 0.005
    assert done.manifest["complete"] is False


def test_a_limit_without_a_known_price_is_refused(place, clouds) -> None:
    clouds(anthropic={}, openai_compatible={})
    done = place.run("--max-usd", "1")
    assert done.code == 2
    assert "openai-compatible" in done.err
    assert "price" in done.err


def test_a_simulated_run_cannot_be_mistaken_for_a_real_one(place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Column, banner, folder: and no real key is in reach while it runs."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-real")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    (place.folder / "targets.yaml").write_text(
        "version: 1\ntargets:\n"
        "  - {id: a, model: claude-sonnet-5-5, provider: anthropic, auth: {env: ANTHROPIC_API_KEY}}\n"
        "  - {id: b, model: claude-sonnet-5-5, provider: bedrock, region: eu-west-1}\n"
    )
    done = place.run("--simulate", "--run-id", "mine", requests=2)
    assert done.code == 0, done.err
    assert {r["simulated"] for r in done.rows()} == {True}
    assert done.run.name == "run=simulated-mine"
    assert done.out.count("SIMULATED") == 2
    assert done.manifest["simulated"] is True
    assert "truth.parquet" in done.manifest["files"]
    reported = place.bench("report", "simulated-mine")
    assert "simulated-report.md" in reported.out
    assert "SIMULATED" in (done.run / "simulated-report.md").read_text()
    assert os.environ["ANTHROPIC_API_KEY"] == "sk-ant-real"


def test_an_estimate_sends_nothing(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--estimate", "--json")
    assert done.code == 0
    assert {row["target_id"] for row in json.loads(done.out)["targets"]} == {"anthropic", "foundry"}
    assert "at most" in place.run("--estimate").out
    assert not (place.folder / "results").exists()


def test_a_run_is_charged_by_the_users_own_prices_and_keeps_no_word_of_them(place, clouds) -> None:
    clouds(anthropic={}, foundry={})

    def rates(done):
        return {(r["target"], r["output_tokens"], r["input_tokens"]): r["cost_usd"] for r in done.rows()}

    listed = rates(place.run("--run-id", "list"))
    terms = 'discounts: [{doors: [anthropic], off: "0.25", source: contract 4711}]'
    (place.folder / "prices.yaml").write_text(f"version: 1\n{terms}\n")
    less = place.run("--run-id", "less", "--prices", "prices.yaml")
    assert less.code == 0, less.err
    paid = rates(less)
    both = listed.keys() & paid.keys()
    assert {target for target, *_ in both} == {"anthropic", "foundry"}
    for key in both:
        assert paid[key] == listed[key] * (Decimal("0.75") if key[0] == "anthropic" else 1)
    assert {r["price_book"] for r in less.rows() if r["target"] == "anthropic"} == {
        "anthropic/claude-sonnet-5-5/global/default@2026-11-21 by prices.yaml"
    }
    told = (less.run / "manifest.json").read_text()
    assert "contract 4711" not in told
    assert less.manifest["targets"][0]["price_file"]["file"] == "prices.yaml"
    assert len(less.manifest["targets"][0]["price_file"]["sha256"]) == 64


def test_a_mistake_in_the_users_own_prices_stops_a_run_before_it_begins(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    (place.folder / "prices.yaml").write_text('version: 1\ndiscounts: [{doors: [antropic], off: "2", source: c}]\n')
    done = place.run("--prices", "prices.yaml")
    assert done.code == 2
    assert 'prices.yaml:2: discounts[0].off: got "2"; want a part of the price, above 0 and below 1' in done.err
    assert not (place.folder / "results").exists()


def test_the_same_seed_makes_the_same_plan(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    digests = {place.run("--seed", "3").manifest["plan"]["digest"] for _ in range(2)}
    assert len(digests) == 1
    assert place.run("--seed", "4").manifest["plan"]["digest"] not in digests


def test_compare_prints_the_same_table_from_the_rows(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    first = place.run("--run-id", "mine")
    again = place.bench("compare", "mine")
    assert again.code == 0
    assert again.out == first.out


def test_changed_rows_are_said(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--run-id", "mine")
    path = done.run / "requests.parquet"
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(path, partitioning=None).slice(0, 3), path)
    again = place.bench("compare", "mine")
    assert "changed since the run wrote them" in again.err


def test_a_report_in_markdown_is_written_beside_the_rows(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--run-id", "mine")
    reported = place.bench("report", "mine", "--format", "md,json")
    assert reported.code == 0
    assert "| **anthropic**" in (done.run / "report.md").read_text()
    assert json.loads((done.run / "report.json").read_text())


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_everything_that_was_measured(place, clouds, stop: signal.Signals) -> None:
    clouds(anthropic={"ttft_ms": {"constant": 30}}, foundry={"ttft_ms": {"constant": 30}})
    place.workload(requests=2000)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "small.yaml", "--no-calibrate", "--out", "results"],
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal_grows = threading.Event()

    def watch() -> None:
        while process.poll() is None:
            for path in (place.folder / "results").glob("date=*/run=*/journal.bin"):
                if path.stat().st_size > 20_000:
                    journal_grows.set()
                    return
            threading.Event().wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    journal_grows.wait(30)
    process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    watcher.join()
    assert process.returncode == 130, err
    assert "PARTIAL" in out
    run = next((place.folder / "results").glob("date=*/run=*"))
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["complete"] is False
    assert manifest["stopped"] == "interrupted"
    import pyarrow.parquet as pq

    rows = pq.read_table(run / "requests.parquet", partitioning=None).to_pylist()
    assert 0 < len(rows) < 4000
    assert {r["outcome"] for r in rows} == {"ok"}  # what was in flight finished
