"""The truth that look-alikes write down; that a seed decides everything; how the process begins and ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.errors import CannotRun, ConfigError
from bench.simulate import DOORS, default_profile, describe, launch
from tests.sim.test_simulator import (
    ABSTAIN,
    FAST,
    ID_HEADER,
    MODELS,
    QUESTION,
    RIGHT,
    WRONG,
    ask,
    events,
    raw,
    send,
    target,
    text_of,
    write_answers,
)

NOISY = {
    "ttft_ms": {"p50": 3, "p90": 6},
    "gap_ms": {"uniform": [0.05, 0.2]},
    "accuracy": 0.4,
    "abstain_share": 0.3,
    "tokens_per_event": 3,
    "throttle": {"share": 0.15, "retry_after_s": 0.1},
    "cut_share": 0.1,
}


def rows(path):
    return pq.ParquetFile(path).read().to_pylist()


def test_the_truth_has_a_row_for_every_request_joined_by_its_id(tmp_path):
    truth = tmp_path / "truth.parquet"
    seen = {}
    config = {
        "seed": 3,
        "targets": [target(d) for d in MODELS],
        "answers": write_answers(tmp_path),
        "truth": truth,
    }
    with launch(config) as running:
        for door in MODELS:
            for prompt, stream in ((QUESTION, True), (QUESTION, False), ("Else [[fault: status code=500]]", True)):
                reply = raw(running.ports[door], *ask(door, prompt, stream))
                seen[reply.headers[ID_HEADER[door]]] = (door, reply)
            path, _, body = ask(door)
            refused = raw(running.ports[door], path, {"authorization": "Bearer no"}, body)
            seen[refused.headers[ID_HEADER[door]]] = (door, refused)
    found = rows(truth)
    assert len(found) == len(seen) == 4 * len(MODELS)
    for row in found:
        door, reply = seen[row["request_id"]]
        assert (row["target"], row["status"], row["complete"]) == (door, reply.status, True)
        assert reply.sent_ns <= row["arrived_ns"] <= row["headers_ns"] <= row["ended_ns"]
        assert row["headers_ns"] <= reply.headers_ns
        if row["fault"] is None and row["stream"]:
            # one clock: each stamp is earlier than the arrival of its chunk (chunk 0 opens the stream)
            assert row["token_ns"] == sorted(row["token_ns"])
            arrivals = reply.chunk_ns[1 : 1 + len(row["token_ns"])]
            assert all(sent <= got for sent, got in zip(row["token_ns"], arrivals, strict=True))
            due_ns = [sent - late for sent, late in zip(row["token_ns"], row["late_ns"], strict=True)]
            assert min(row["late_ns"]) >= 0
            assert due_ns[0] - row["arrived_ns"] == row["planned_ttft_ns"] == 4_000_000
            assert {b - a for a, b in pairwise(due_ns)} == {1_000_000}
            assert len(row["token_ns"]) == row["output_tokens"]
            assert row["lateness_p50_ns"] <= row["lateness_p99_ns"] <= max(row["late_ns"])
            assert (row["case_id"], row["kind"], row["input_tokens"]) == ("harbour-1", "right", 12)
        else:
            assert row["token_ns"] == []
    faults = {row["fault"] for row in found}
    assert {"status 500", None} < faults
    assert len([f for f in faults if f and f.startswith("refused ")]) >= 4


def gather(folder, prompts, seed=11):
    """What each (prompt, repeat) got from two targets, when asked in this order."""
    folder.mkdir(exist_ok=True)
    truth = folder / "truth.parquet"
    two = [{**target("anthropic", NOISY), "id": "a"}, {**target("bedrock", NOISY), "id": "b"}]
    got, count = {}, {}
    with launch({"seed": seed, "targets": two, "answers": write_answers(folder), "truth": truth}) as running:
        for id_, door in (("a", "anthropic"), ("b", "bedrock")):
            for prompt in prompts:
                n = count[id_, prompt] = count.get((id_, prompt), -1) + 1
                reply = raw(running.ports[id_], *ask(door, prompt))
                body = reply.body
                got[id_, prompt, n] = (reply.status, body, reply.headers[ID_HEADER[door]])
    plan = {
        (r["target"], r["key"], r["repeat"]): (
            r["kind"],
            r["fault"],
            r["planned_ttft_ns"],
            [t - late - r["arrived_ns"] for t, late in zip(r["token_ns"], r["late_ns"], strict=True)],
        )
        for r in rows(truth)
    }
    return got, plan


def test_the_seed_decides_every_reply_whatever_the_order_of_arrival(tmp_path):
    prompts = [QUESTION] * 12 + [f"Other {n}" for n in range(4)]
    first, first_plan = gather(tmp_path / "1", prompts)
    again, again_plan = gather(tmp_path / "2", prompts[::-1])
    other, _ = gather(tmp_path / "3", prompts, seed=12)
    assert first == again
    assert first_plan == again_plan
    assert first != other
    answers = {text_of("anthropic", events("anthropic", body)) for _, body, _ in first.values() if b"event: " in body}
    assert {RIGHT, WRONG, ABSTAIN} & answers
    assert len({kind for kind, *_ in first_plan.values()}) >= 3
    assert {"status 429", "cut", None} == {fault for _, fault, *_ in first_plan.values()}


def test_a_client_that_leaves_is_written_down_as_incomplete(tmp_path):
    truth = tmp_path / "truth.parquet"
    with launch({"seed": 1, "targets": [target("anthropic")], "truth": truth}) as running:
        for fault in ("hang", "stall after=2 ms=2000"):
            with send(running.ports["anthropic"], *ask("anthropic", f"Hi [[fault: {fault}]]")) as sock:
                if fault != "hang":
                    sock.recv(10)
                time.sleep(0.03)
        sock = send(running.ports["anthropic"], *ask("anthropic", "Left open [[fault: hang]]"))
        time.sleep(0.03)
    sock.close()
    found = rows(truth)
    assert [(r["fault"], r["status"], r["complete"]) for r in found] == [
        ("hang", None, False),
        ("stall", 200, False),
        ("hang", None, False),
    ]
    assert len(found[1]["token_ns"]) == 2
    assert all(r["ended_ns"] >= r["arrived_ns"] for r in found)


def test_the_truth_is_there_and_readable_when_nothing_happened(tmp_path):
    truth = tmp_path / "truth.parquet"
    with launch({"seed": 1, "targets": [target("openai")], "truth": truth}) as running:
        assert running.truth_path == truth
    assert rows(truth) == []
    assert [p.name for p in tmp_path.iterdir()] == ["truth.parquet"]


def command(tmp_path, **more):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"seed": 1, "targets": [target("anthropic")], **more}))
    return [sys.executable, "-m", "bench.simulate", "--config", str(path)]


@pytest.mark.parametrize("end", ["stdin", "SIGINT"])
def test_it_ends_well_when_told_and_when_its_stdin_closes(tmp_path, end):
    truth = tmp_path / "truth.parquet"
    process = subprocess.Popen(
        command(tmp_path, truth=str(truth)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    ready = json.loads(process.stdout.readline())
    assert ready["pid"] == process.pid
    reply = raw(ready["ports"]["anthropic"], *ask("anthropic", "Hi"))
    if end == "stdin":
        process.stdin.close()
    else:
        process.send_signal(getattr(signal, end))
    assert process.wait(10) == 0
    process.stdout.close()
    process.stdin.close()
    assert [r["request_id"] for r in rows(truth)] == [reply.headers["request-id"]]


def test_it_stays_when_stdin_is_no_pipe(tmp_path):
    process = subprocess.Popen(
        command(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    ready = json.loads(process.stdout.readline())
    assert raw(ready["ports"]["anthropic"], *ask("anthropic", "Hi")).status == 200
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
def test_it_ends_when_its_parent_dies(tmp_path):
    # the middle process starts the look-alikes, says their pid, and is killed without a chance to clean up
    code = (
        "import json, sys, time; from bench.simulate import launch; "
        f"r = launch(json.load(open({str(command(tmp_path)[-1])!r}))); print(r.pid, flush=True); time.sleep(30)"
    )
    middle = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(middle.stdout.readline())
    middle.kill()
    middle.wait(10)
    middle.stdout.close()
    until = time.monotonic() + 10
    while state(child) not in (None, "Z") and time.monotonic() < until:
        time.sleep(0.02)
    assert state(child) in (None, "Z")  # Z: ended, and whoever inherited it has not asked for its status yet


def test_a_first_port_gives_ports_in_a_row_and_a_taken_one_is_said(tmp_path):
    with launch({"seed": 1, "targets": [target("anthropic")]}) as running:
        taken = running.ports["anthropic"]
        with pytest.raises(CannotRun, match="cannot listen"):
            launch({"seed": 1, "targets": [target("anthropic")], "port": taken})
    with launch({"seed": 1, "targets": [target("anthropic")], "port": taken}) as running:
        assert running.ports == {"anthropic": taken}


def test_problems_are_told_before_anything_starts(tmp_path):
    bad = {"seed": "x", "targets": [{"id": "a", "door": "moon", "model_id": "m"}, target("vertex", {"gap_ms": -1})]}
    with pytest.raises(ConfigError) as refused:
        launch(bad)
    assert [p.path for p in refused.value.problems] == ["seed", "targets[0].door", "targets[1].profile.gap_ms"]
    with pytest.raises(CannotRun, match="truth cannot be written"):
        launch({"seed": 1, "targets": [target("anthropic")], "truth": str(tmp_path / "no" / "truth.parquet")})


def test_the_command_says_what_is_wrong_without_a_traceback(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "bench.simulate", "--config", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "config.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("curl"), reason="tries the commands with curl")
def test_describe_gives_a_command_for_every_door_that_works(tmp_path):
    targets = [{"id": door, "door": door, "model_id": MODELS.get(door, "m"), "profile": FAST} for door in DOORS]
    config = {"seed": 1, "targets": targets}
    with launch(config) as running:
        said = describe(config, running.ports)
        assert said.startswith("SIMULATED")
        curls = [line.strip() for line in said.splitlines() if line.strip().startswith("curl ")]
        line_door = dict(zip(curls, [door for door in DOORS if door != "vertex-grpc"], strict=True))
        assert "grpc.aio.insecure_channel('127.0.0.1:" in said
        for line in curls:
            done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=10, check=True)
            door = line_door[line]
            if door == "gemini-vertex":
                told = [json.loads(event.removeprefix(b"data: ")) for event in done.stdout.split(b"\r\n\r\n")[:-1]]
                parts = [part["text"] for event in told for part in event["candidates"][0]["content"]["parts"]]
                assert "".join(parts) == "This text stands in for the reply", line
                continue
            wire = "openai" if "openai" in door else "bedrock" if door == "bedrock" else "anthropic"
            assert text_of(wire, events(wire, done.stdout)) == "This text stands in for the reply", line


def test_the_shipped_profiles_of_all_doors_start():
    targets = [{"id": door, "door": door, "model_id": "m"} for door in DOORS]
    with launch({"seed": 1, "targets": targets}) as running:
        assert set(running.ports) == set(DOORS)
    assert default_profile("vertex")["accuracy"] == 0.94


def test_tls_is_spoken_where_a_certificate_is_given(tmp_path):
    import ssl

    cert, key = self_signed(tmp_path)
    tls = {"cert": str(cert), "key": str(key)}
    truth = tmp_path / "truth.parquet"
    with launch({"seed": 1, "targets": [{**target("anthropic"), "tls": tls}], "truth": truth}) as running:
        import anthropic
        import httpx2

        context = ssl.create_default_context(cafile=str(cert))
        base = f"https://localhost:{running.ports['anthropic']}"
        with (
            httpx2.Client(verify=context, trust_env=False) as http,
            anthropic.Anthropic(
                api_key="simulated-anthropic-key", base_url=base, max_retries=0, http_client=http
            ) as client,
        ):
            for _ in range(2):
                with client.messages.stream(
                    model=MODELS["anthropic"], max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
                ) as stream:
                    assert stream.get_final_message().usage.output_tokens == 8
    assert [len(r["token_ns"]) for r in rows(truth)] == [8, 8]


@pytest.mark.self
def test_the_selftest_sees_what_a_small_load_must_give():
    from bench.simulate.selftest import TARGETS, measure

    outcome = measure(streams=6, load_s=0.9, ramp_s=0.1)
    # six streams, each 100 events a second while it speaks, silent for about 200 ms of the 0.75 s that are watched
    assert len(TARGETS) == 3
    assert 0 < outcome.events <= 6 * 100 * outcome.seconds + 6
    assert outcome.late_p50_ms <= outcome.late_p99_ms
    assert "events/s" in str(outcome)


def self_signed(folder):
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path
