"""The workflow files of the manual: valid for the services that read them, and their steps do what they say, run here in order."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from bench.cli import program
from bench.report import ci
from bench.stats.changes import ALPHA, FEWEST_EACH_SIDE

ROOT = Path(__file__).parent.parent.parent
GITHUB, GITLAB = ROOT / "docs" / "ci" / "github.yml", ROOT / "docs" / "ci" / "gitlab.yml"
WORKLOAD = """\
version: 1
name: night
title: A small night
dataset:
  type: inline
  items:
    - {id: one, question: "How many days?", answers: {right: ["30 days"], wrong: ["Nobody knows."]}, expected: {gold: [{type: number, value: "30", unit: days}], answerable: true}}
    - {id: two, question: "How many euros?", answers: {right: ["40 euros"], wrong: ["Nobody knows."]}, expected: {gold: [{type: number, value: "40", unit: euros}], answerable: true}}
messages:
  - {role: user, content: "{{ question }}"}
generation: {max_tokens: 16, stream: true}
load: {pattern: concurrent, stages: [{concurrency: 6, requests: 6}], warmup: {requests: 1}, timeout: 5s, retries: 0}
scoring:
  scorers:
    - {name: answer, type: facts, target: gold, required: true}
"""
TARGETS = """\
version: 1
targets:
  - {id: one, model: claude-sonnet-5-5, provider: anthropic}
  - {id: two, model: claude-sonnet-5-5, provider: anthropic}
"""


def parsed(path: Path) -> dict:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A checkout in small: the scripts that the steps call, a workload, two targets."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "nightly").symlink_to(ROOT / "scripts" / "nightly")
    shim = tmp_path / "scripts" / "bench"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m bench "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "targets.yaml").write_text(TARGETS)
    return tmp_path


def run(step: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        ["bash", "-e", "-c", step],
        cwd=folder,
        env={**kept, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("path", "schema"), [(GITHUB, "github-workflows"), (GITLAB, "gitlab-ci")])
def test_the_file_is_valid_by_the_schema_of_its_service(path, schema):
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_schema_check_would_notice(tmp_path):
    pytest.importorskip("check_jsonschema")
    broken = tmp_path / "broken.yml"
    broken.write_text(GITHUB.read_text().replace("runs-on:", "runs-at:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def steps() -> Iterator[dict]:
    yield from parsed(GITHUB)["jobs"]["night"]["steps"]


def test_every_flag_and_file_of_the_page_exists():
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    for command in re.findall(r"^    scripts/bench (\S[^#\n]*?)\s*(?:#.*)?$", page, re.MULTILINE):
        verb, *words = command.split()
        shown = CliRunner().invoke(program(), [verb, "--help"], env={"COLUMNS": "200"})
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", shown.output)), command
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (ROOT / "docs" / link).exists(), link
    assert set(re.findall(r"^\| `(\S+?)` \|", page, re.MULTILINE)) == {*ci.FORMS, "gate.json"}
    assert "needs five nights on both sides" in page
    assert FEWEST_EACH_SIDE == 5
    assert f"in at most {ALPHA:.0%}".replace("%", " %") in page


def test_the_script_says_what_it_reads():
    """Every name that the script reads from the environment stands in its own words, and the files set no other."""
    text = (ROOT / "scripts" / "nightly").read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{([A-Z_]+):", text)) | {"KEEP"}
    told = set(re.findall(r"^#     ([A-Z_]+) ", text, re.MULTILINE))
    assert read == told
    own = {"WORKLOAD", "BENCH_FLAGS", "JITTER_S"}
    assert set(parsed(GITHUB)["jobs"]["night"]["env"]) - own <= told
    assert set(parsed(GITLAB)["night"]["variables"]) - own <= told


def test_no_expression_is_pasted_into_a_shell():
    """What an expression holds would be run as a command: they stand in `env`, `if` and `with` alone."""
    assert not [step["run"] for step in steps() if "${{" in step.get("run", "")]


def test_keys_reach_the_one_step_that_needs_them():
    with_keys = [step["name"] for step in steps() if "secrets." in json.dumps(step)]
    assert with_keys == ["Measure and judge"]
    assert "secrets." not in json.dumps(parsed(GITHUB)["jobs"]["night"]["env"])


def test_both_files_bound_the_money_and_the_time_and_let_one_night_run_at_a_time():
    job, night = parsed(GITHUB)["jobs"]["night"], parsed(GITLAB)["night"]
    assert job["timeout-minutes"] == 150
    assert night["timeout"] == "2 hours 30 minutes"
    assert {"MAX_USD", "MAX_MINUTES"} <= set(job["env"])
    assert {"MAX_USD", "MAX_MINUTES"} <= set(night["variables"])
    assert parsed(GITHUB)["concurrency"]["cancel-in-progress"] is False
    assert night["resource_group"]


def variables(env: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """What the service would set: a variable that is given, else the default that the file names, else nothing."""
    found = {}
    for name, text in env.items():
        default = re.search(r"\|\| '([^']*)' }}$", text)
        found[name] = given.get(name, default[1] if default else text if "${{" not in text else "")
    return found


def test_the_steps_of_both_files_do_what_they_say(sandbox):
    """A green night by GitLab's steps; its figures, made ten times as good, are the baseline of a night by GitHub's: red, twice."""
    (sandbox / "night.yaml").write_text(WORKLOAD)
    green_by_gitlab(sandbox)
    baseline = sandbox / "baselines" / "nightly.json"
    done = run(f"scripts/bench baseline set {baseline} simulated-night-8 --author N", sandbox, {})
    assert done.returncode == 0, done.stderr
    content = json.loads(baseline.read_text())
    for figures in content["nights"][0]["targets"].values():
        for name in ("ttft_p50_ms", "e2e_p50_ms"):
            figures[name]["value"] /= 10
    baseline.write_text(json.dumps(content))
    red_by_github(sandbox)


def green_by_gitlab(sandbox: Path) -> None:
    job = parsed(GITLAB)["night"]
    given = {**job["variables"], "WORKLOAD": "night.yaml", "BENCH_FLAGS": "--simulate --no-calibrate", "JITTER_S": "0"}
    env = {**given, "NIGHT": "night-8", "CI_JOB_ID": "8", "AWS_ID_TOKEN": "t", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    tell = 'test "$(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")" = t; test -z "${AZURE_FEDERATED_TOKEN_FILE:-}"'
    done = run("\n".join([*job["before_script"], tell, *job["script"]]), sandbox, env)
    assert done.returncode == 0, done.stderr
    assert run("\n".join(job["after_script"]), sandbox, env).returncode == 0
    assert not (sandbox / "oidc").exists()
    for path in job["artifacts"]["reports"].values():
        assert (sandbox / path).stat().st_size > 2, path
    for path in job["artifacts"]["paths"]:
        assert list(sandbox.glob(path.replace("$CI_JOB_ID", "8"))), path


def red_by_github(sandbox: Path) -> None:
    job = parsed(GITHUB)["jobs"]["night"]
    given = {
        "WORKLOAD": "night.yaml",
        "BENCH_FLAGS": "--simulate --no-calibrate",
        "JITTER_S": "0",
        "NIGHT": "night-7-1",
    }
    env = {**variables(job["env"], given), "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(sandbox / "summary.md")}
    codes = {}
    for step in steps():
        if "run" in step:
            done = run(step["run"], sandbox, {**env, **variables(step.get("env", {}), {})})
            codes[step["name"]] = done.returncode
    assert codes == {"Install": 0, "Wait a little, never equally long": 0, "Measure and judge": 1}, done.stderr
    kept = job["steps"][-1]["with"]["path"].replace("${{ env.NIGHT }}", env["NIGHT"]).split()
    assert sorted(path.name.removeprefix("run=") for path in sandbox.glob(kept[1])) == [
        "simulated-night-7-1", "simulated-night-7-1-again"]  # fmt: skip
    summary = (sandbox / "summary.md").read_text()
    assert summary.count("## ") == 1  # the first look says nothing
    assert summary.startswith("> **SIMULATED**")
    assert "both runs of the night agree" in summary
    assert "accepted by N on" in summary
    assert done.stderr.count("::error title=SIMULATED bench gate%3A") == 2  # one for each target
    assert done.stdout.rstrip().splitlines()[-1].startswith("::")
    assert int(ET.parse(sandbox / "reports" / "junit.xml").getroot().get("failures")) >= 4
    page = (sandbox / "reports" / "trend.html").read_text(encoding="utf-8")
    assert "SIMULATED" in page


def test_a_run_that_could_not_be_made_ends_the_night_with_its_code(sandbox):
    done = run("scripts/nightly missing.yaml --simulate", sandbox, {"GITHUB_ACTIONS": "true"})
    assert done.returncode == 2
    assert "::error title=bench gate could not judge::" in done.stderr
