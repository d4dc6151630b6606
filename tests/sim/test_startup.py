"""What is loaded when the first request goes out: all that the load needs, and nothing that only its end does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import simulate
from tests.sim.conftest import Place

ROOT = Path(__file__).parent.parent.parent

WATCHED = """
import json, sys
from bench.cli import main
from bench.store.journal import Journal

loaded = {}

def watch(name):
    plain = getattr(Journal, name)
    def watched(self, *arguments):
        loaded.setdefault("first", set(sys.modules))
        loaded["last"] = set(sys.modules)
        return plain(self, *arguments)
    setattr(Journal, name, watched)

watch("sent")
watch("append")
code = main(sys.argv[1:])
new = loaded["last"] - loaded["first"]
print(json.dumps({"code": code, "first": sorted(loaded["first"]), "during": sorted(new)}))
"""

ALWAYS_LATER = [
    *("pandas", "pyarrow.compute", "pyarrow.dataset", "numpy.ma", "scipy", "rich", "jsonschema", "genai_prices"),
    *(
        "bench.tabulate",
        "bench.stats.table",
        "bench.stats.levels",
        "bench.conductor.sweep",
        "bench.report",
        "bench.simulate",
    ),
    *("bench.score.json_schema", "bench.score.rouge", "bench.score.citations", "bench.price.overlay"),
    *("bench.commands.report", "bench.commands.gate", "bench.price.second_opinion"),
]
SDKS = {
    "openai-compatible": set(),
    "anthropic": {"anthropic"},
    "bedrock": {"anthropic", "boto3"},  # Anthropic's SDK signs for Bedrock with a session of boto3
}
OTHERS = ("anthropic", "openai", "boto3", "google.genai", "google.auth", "azure.identity", "grpc")


@pytest.mark.parametrize("door", SDKS)
def test_a_run_has_loaded_what_its_load_needs_and_nothing_else(
    door: str, place: Place, clouds: Callable[..., simulate.Running]
) -> None:
    clouds(**{door.replace("-", "_"): {}})
    place.workload(requests=4)
    words = ["run", "small.yaml", "--only", door, "--no-calibrate", "--out", "results", "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False, env=env)
    said = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    assert said.get("code") == 0, done.stderr
    assert SDKS[door] <= {*said["first"]}
    assert sorted(({*ALWAYS_LATER, *OTHERS} - SDKS[door]) & {*said["first"]}) == []
    assert said["during"] == []
