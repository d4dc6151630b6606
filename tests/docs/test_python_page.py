"""The page on the Python API cannot lie: its blocks run, in order, in one namespace."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.errors import BenchError, ConfigError

ROOT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_runs_as_it_stands_even_inside_a_running_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    names = {"results": tmp_path / "results"}

    async def notebook() -> None:
        for block in BLOCKS:
            exec(compile(block, "docs/python.md", "exec"), names)

    asyncio.run(notebook())
    out = capsys.readouterr().out
    assert len(BLOCKS) == 4
    assert "vertex-global" in out
    run = names["run"]
    assert set(run.requests["target"]) == {"anthropic", "vertex-global"}
    assert run.manifest["simulated"] is True
    assert "--only anthropic,vertex-global" in run.manifest["command"]
    assert "--request-rate 4" in run.manifest["command"]


def test_importing_bench_loads_no_pandas_no_pyarrow_and_no_sdk() -> None:
    code = "import sys, bench; dir(bench); print([m for m in ('pandas', 'pyarrow', 'numpy', 'anthropic', 'typer') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_table_is_the_one_the_terminal_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli import main
    from bench.report.data import as_dict

    monkeypatch.chdir(ROOT)
    assert main(["compare", "docs/example", "--json"]) == 0
    import json

    printed = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(as_dict(bench.compare("docs/example")))) == printed


def test_everything_wrong_with_the_arguments_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        bench.run("w.yaml", duration="soon", max_usd="-1", concurrency=0, workers=0, run_id="a", resume="b")
    said = str(caught.value)
    for name in ("duration", "max_usd", "concurrency", "workers", "run_id"):
        assert f"bench.run: {name}" in said, said


@pytest.mark.parametrize("targets", [[], [1], ["a", {"id": "b"}]])
def test_targets_are_a_file_ids_or_dicts_and_nothing_else(targets: list[object]) -> None:
    with pytest.raises(ConfigError, match="a list of ids, or a list of dicts"):
        bench.run("workloads/rag.yaml", targets=targets)


def test_what_is_not_there_is_an_attribute_error_and_a_missing_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = bench.nothing_such
    with pytest.raises(BenchError, match="there are no runs"):
        bench.open_run("latest", tmp_path)
    with pytest.raises(ConfigError, match=r"bench\.compare"):
        bench.compare([])
