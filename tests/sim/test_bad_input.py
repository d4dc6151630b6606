"""A user's mistake: one message that says what, where and what next, the right exit code, and never a traceback."""

import os
from pathlib import Path

import pytest


def test_a_missing_workload(place) -> None:
    done = place.bench("run", "nowhere.yaml")
    assert done.code == 2
    assert "nowhere.yaml" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("version: 1", "version: 2"), 1, ["version"]),
        (("name: small", "name: small\nnmae: x"), 3, ["nmae", "name"]),
        (("pattern: concurrent", "pattern: concurent"), None, ["load.pattern", "concurrent"]),
        (("timeout: 5s", "timeout: 5"), None, ["load.timeout", "5s"]),
        (("timeout: 5s", "timeout: 5 parsecs"), None, ["load.timeout"]),
        (("concurrency: 4", "rate: 4"), None, ["load.stages", "concurrency"]),
        (("type: facts", "type: fcats"), None, ["scoring.scorers", "facts"]),
        (("{{ question }}", "{{ qestion }}"), None, ["messages", "qestion"]),
        (("{{ question }}", "{{ question"), None, ["messages"]),
        (("type: inline", "type: inline\n  sha256: 12"), None, ["dataset.sha256"]),
        (("id: two", "id: one"), None, ["dataset", "one", "more than once"]),
        (("version: 1", "version: 1\n  bad: [indent"), None, ["YAML"]),
        (("max_tokens: 64", "max_tokens: 0"), None, ["generation.max_tokens"]),
    ],
)
def test_a_mistake_in_the_workload_is_named_with_its_line(place, change, line, words) -> None:
    path = place.workload()
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    done = place.bench("run", "small.yaml", "--simulate")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert f"small.yaml:{line}" in done.err if line else "small.yaml:" in done.err
    for word in words:
        assert word in done.err


def test_all_mistakes_come_at_once(place) -> None:
    path = place.workload()
    path.write_text(
        path.read_text()
        .replace("version: 1", "version: 3")
        .replace("timeout: 5s", "timeout: 5")
        .replace("name: small", "name: Small!")
    )
    done = place.bench("run", "small.yaml", "--simulate")
    assert done.code == 2
    assert len([line for line in done.err.splitlines() if "small.yaml:" in line]) == 3


def test_no_targets_file(place) -> None:
    place.workload()
    done = place.bench("run", "small.yaml")
    assert done.code == 2
    assert "targets.yaml" in done.err
    assert "--targets" in done.err


def test_an_unknown_target(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--only", "anthropci")
    assert done.code == 2
    assert "anthropci" in done.err
    assert "anthropic" in done.err


def test_without_credentials_the_last_line_is_the_command_that_needs_none(
    place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "targets.yaml").write_text(
        "version: 1\ntargets:\n"
        "  - {id: a, model: claude-sonnet-5-5, provider: anthropic}\n"
        "  - {id: f, model: claude-sonnet-5-5, provider: foundry, resource: r1, sku: GlobalStandard, auth: {env: FOUNDRY_KEY}}\n"
    )
    place.workload()
    done = place.bench("run", "small.yaml")
    assert done.code == 3
    assert "ANTHROPIC_API_KEY" in done.err
    assert "FOUNDRY_KEY" in done.err
    assert done.err.strip().splitlines()[-1].strip() == "bench run small.yaml --simulate"


def test_a_retired_model_is_refused_with_its_date(place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    (place.folder / "targets.yaml").write_text(
        "version: 1\ntargets:\n  - {id: old, model: claude-opus-4-1, provider: anthropic}\n"
    )
    place.workload()
    done = place.bench("run", "small.yaml", "--only", "old")
    assert done.code in (2, 3)
    assert "2026-08-05" in done.err


def test_targets_that_would_get_different_settings_are_refused(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    path = place.folder / "targets.yaml"
    path.write_text(path.read_text().replace('"id": "foundry"', '"params": {"max_tokens": 32}, "id": "foundry"'))
    done = place.run()
    assert done.code == 2
    assert "max_tokens" in done.err
    assert "foundry" in done.err


def test_a_setting_that_a_model_rejects_is_refused_before_sending(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    path = place.workload()
    path.write_text(path.read_text().replace("max_tokens: 64", "max_tokens: 64, temperature: 0"))
    done = place.bench("run", "small.yaml")
    assert done.code in (2, 3)
    assert "temperature" in done.err


def test_a_secret_in_the_targets_file_is_an_error_and_is_not_repeated(place) -> None:
    secret = "sk-ant-api03-" + "a1B2" * 12
    (place.folder / "targets.yaml").write_text(
        f"version: 1\ntargets:\n  - {{id: a, model: claude-sonnet-5-5, provider: anthropic, auth: {{env: {secret}}}}}\n"
    )
    place.workload()
    done = place.bench("run", "small.yaml")
    assert done.code == 2
    assert secret not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_results_folder_that_is_not_writable(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    (place.folder / "results").mkdir(mode=0o500)
    done = place.run()
    assert done.code == 3
    assert "results" in done.err


def test_a_results_path_that_is_a_file(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    (place.folder / "results").write_text("in the way")
    done = place.run()
    assert done.code == 3
    assert "results" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "5"],
        ["--max-usd", "lots"],
        ["--max-usd", "0"],
        ["--label", "novalue"],
        ["--replies", "some"],
        ["--run-id", "a/b"],
        ["--concurrency", "0"],
        ["--request-rate", "-1"],
        ["--no-such-flag"],
        ["--concurrency", "2", "--request-rate", "2"],
    ],
)
def test_a_wrong_flag_is_a_usage_error(place, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Before anything is sent: the target is one that nobody serves."""
    monkeypatch.setenv("KEY", "k")
    (place.folder / "targets.yaml").write_text(
        "version: 1\ntargets:\n"
        "  - {id: t, model: claude-sonnet-5-5, provider: anthropic, base_url: 'http://127.0.0.1:9', auth: {env: KEY}}\n"
    )
    done = place.run(*arguments)
    assert done.code == 2
    assert arguments[0] in done.err
    assert "Traceback" not in done.err


def test_an_unknown_run(place) -> None:
    done = place.bench("compare", "never")
    assert done.code == 3
    assert "there are no runs" in done.err
    assert "bench run WORKLOAD.yaml" in done.err


def test_a_disk_that_fills_up_stops_the_run_cleanly(place, clouds) -> None:
    """A file size limit stands in for a full disk: the write fails with the same kind of error."""
    import subprocess
    import sys

    clouds(anthropic={}, foundry={})
    place.workload(requests=400)
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "from bench.cli import main\n"
        "sys.exit(main(['run', 'small.yaml', '--no-calibrate', '--out', 'results']))\n"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    run = next((place.folder / "results").glob("date=*/run=*"))
    assert (run / "journal.bin").exists()  # what was measured is still there
    assert str(run) in done.stderr or "journal" in done.stderr
