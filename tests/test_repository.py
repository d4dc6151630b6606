"""What the repository promises about itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.cli import VERBS, main

ROOT = Path(__file__).parent.parent


def test_the_changelog_and_the_package_name_the_same_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    top = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top
    assert top[1] == version


def test_the_lock_has_a_hash_for_every_package_and_no_index_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    packages = re.split(r"\n(?=[a-z0-9])", "\n".join(line for line in lock.splitlines() if not line.startswith("#")))
    assert len(packages) > 50
    for package in packages:
        assert "--hash=sha256:" in package, package
    assert "://" not in lock
    assert "-url" not in lock


def test_help_is_light() -> None:
    """`bench --help` imports no SDK, no pandas, no pyarrow: nobody waits a second to read a page of text."""
    code = (
        "import sys; from bench.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'anthropic', 'openai', 'boto3', 'botocore', 'google.auth', 'google.cloud.aiplatform', 'azure.identity',"
        " 'pandas', 'pyarrow', 'numpy', 'httpx2', 'jinja2'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "Usage" in out
    assert "heavy: []" in out


@pytest.mark.parametrize(
    "words", [(), ("baseline",), ("workload",), ("price",)], ids=lambda words: " ".join(words) or "bench"
)
def test_the_list_of_verbs_has_a_whole_sentence_for_each(words, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert len(listed) >= 2
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_a_message_that_names_a_command_names_one_that_exists() -> None:
    named = []
    for path in sorted((ROOT / "bench").rglob("*.py")):
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        # As a next step is written: `make one: bench run WORKLOAD.yaml`, `continue it with bench run`.
        named += [(verb, path.name) for text in texts if isinstance(text, str)
                  for verb in re.findall(r"(?:^|[:;`>] ?|\bwith |\bby )bench ([a-z]+)\b", text)]  # fmt: skip
    assert len(named) > 40
    assert [(verb, where) for verb, where in named if verb not in VERBS] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("words", [["--version"], ["price", "show", "claude-sonnet-5-5"]], ids=["a line", "pages"])
def test_a_full_disk_under_the_output_is_a_sentence_and_an_exit_code(words) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words],
            check=False,
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (
        3, "cannot write: No space left on device\nfree space, or send the output elsewhere\n",
    )  # fmt: skip
