"""A difference of quality that was set is found through the whole program, and where none was set, none is."""

from pathlib import Path

import pytest

from bench.conductor import runner
from bench.conductor.preflight import Options
from bench.workload import load_workload

ROOT = Path(__file__).parents[2]

TARGETS = """\
version: 1
targets:
  - {id: baseline, model: claude-sonnet-5-5, provider: anthropic}
  - {id: equal, model: claude-sonnet-5-5, provider: foundry, resource: r1}
  - {id: worse, model: claude-sonnet-5-5, provider: vertex, region: us-east5, project: p1}
"""
ACCURACY = {"baseline": 0.95, "equal": 0.95, "worse": 0.89}
ITEMS = 360
WORKLOAD = f"""\
version: 1
name: sorted
dataset: {{type: generator, generator: calderholt.classify, seed: 20260101, params: {{items: {ITEMS}}}}}
messages:
  - {{role: system, content: "One label."}}
  - {{role: user, content: "{{{{ message }}}}"}}
generation: {{max_tokens: 64, stream: true}}
load: {{pattern: constant, stages: [{{rate: 32, requests: {ITEMS}}}], warmup: {{requests: 0}}, max_in_flight: 256, timeout: 20s, retries: 0}}
scoring:
  scorers:
    - {{name: label, type: label, target: label, required: true, labels: {{LABELS}}}}
  aggregate: {{metric: label}}
  pass: [{{metric: label, vs: baseline, margin: 0.03}}]
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The table of a run of three targets over the same messages, of which one is set six points worse.

    The first token takes so long (1.5 s) that a busy test machine's own delay, of tens of ms, is no share of it that matters.
    """
    folder = tmp_path_factory.mktemp("quality")
    shipped = load_workload(ROOT / "workloads" / "classify.yaml").scorers[0].options["labels"]
    (folder / "sorted.yaml").write_text(WORKLOAD.replace("{LABELS}", str(shipped).replace("'", "")))
    (folder / "targets.yaml").write_text(TARGETS)
    calm = {"ttft_ms": {"constant": 1500}, "gap_ms": {"constant": 0.5}, "tokens_per_event": 64}
    options = Options(
        workload=folder / "sorted.yaml", targets=folder / "targets.yaml", simulate=True, out=folder / "results",
        calibrate=False, baseline="baseline", profiles={name: {**calm, "accuracy": share} for name, share in ACCURACY.items()},
    )  # fmt: skip
    return runner.run(options, lambda _: None).table


def quality(table, target: str):
    return next(one for one in table.comparisons if one.metric == "quality" and one.target == target)


def test_a_target_set_six_points_worse_is_found_worse(table):
    found = quality(table, "worse")
    assert found.verdict == "worse"
    assert found.high < 0
    assert found.low < -0.06 < found.high


def test_a_target_as_good_as_the_baseline_is_not_found_worse(table):
    found = quality(table, "equal")
    assert found.verdict in ("equivalent", "inconclusive")
    assert found.low < 0 < found.high


def test_shared_difficulty_makes_the_pairs_worth_more_than_two_samples(table):
    """Unpaired, a share of 0.95 of 360 has ±2.3 points, and a difference of two of them ±3.2: pairs know it better."""
    found = quality(table, "equal")
    assert found.high - found.low < 2 * 0.032
