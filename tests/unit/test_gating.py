"""`bench gate` and `bench baseline` over stored runs: which nights are compared, which are left out, and what is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.nightly import baseline
from bench.nightly.nights import night_of, one_per_date
from bench.store.runs import open_run
from tests.unit import stats_example
from tests.unit.stored_example import DAY_NS, store

CLOUDS = tuple(replace(cloud, tail=0.0, failures={}) for cloud in stats_example.CLOUDS[:2])
SLOW = (CLOUDS[0], replace(CLOUDS[1], ttft_ms=CLOUDS[1].ttft_ms * 2.0))
NIGHTS = 12


@pytest.fixture(scope="module")
def month(tmp_path_factory) -> Path:
    """Twelve quiet nights and one (night-12) in which bedrock is twice as slow."""
    results = tmp_path_factory.mktemp("month") / "results"
    for day in range(NIGHTS):
        store(results, f"night-{day:02d}", day, clouds=CLOUDS, prompts=40, seed=day)
    store(results, f"night-{NIGHTS:02d}", NIGHTS, clouds=SLOW, prompts=40, seed=NIGHTS)
    return results


@pytest.fixture
def results(month, tmp_path) -> Path:
    """A copy that a test may add to."""
    return shutil.copytree(month, tmp_path / "results")


@pytest.fixture
def bench(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def verdicts(out: str) -> dict[str, set[str]]:
    """Metrics that are a regression, by target."""
    found: dict[str, set[str]] = {}
    for row in json.loads(out)["rows"]:
        if row["verdict"] == "regression":
            found.setdefault(row["target"], set()).add(row["metric"])
    return found


def test_a_slow_night_is_a_regression_of_that_target_alone(month, bench):
    code, out, err = bench("gate", "latest", "--history", month, "--json")
    assert code == 1, err
    found = verdicts(out)
    assert set(found) == {"bedrock"}
    assert {"ttft_p50_ms", "ttft_p95_ms"} <= found["bedrock"]


def test_the_night_before_it_was_quiet(month, bench):
    code, out, err = bench("gate", "night-11", "--history", month)
    assert code == 0, err
    assert "REGRESSION" not in out
    assert "of 18 figures ok" in out


def test_the_first_nights_learn(month, bench):
    code, out, _ = bench("gate", "night-03", "--history", month)
    assert code == 0
    assert out.splitlines()[1].startswith("LEARNING: learning (3/10)")
    assert bench("gate", "night-03", "--history", month, "--strict")[0] == 4


def test_the_same_night_against_one_run_a_folder_and_the_history(month, bench):
    for given in ("night-05", month, "night-0*"):
        code, out, err = bench("gate", "latest", "--baseline", given, "--history", month, "--json")
        assert code == 1, err
        assert set(verdicts(out)) == {"bedrock"}
    notes = json.loads(bench("gate", "latest", "--baseline", "night-05", "--history", month, "--json")[1])["notes"]
    assert any("5 % from night to night is assumed" in note for note in notes)


def test_unlike_nights_are_left_out_and_what_differs_is_said(results, bench):
    for run in ("night-02", "night-03"):
        path = next(results.glob(f"*/run={run}/manifest.json"))
        facts = json.loads(path.read_text())
        facts["workload"]["digest"] = "e" * 64
        path.write_text(json.dumps(facts))
    path = next(results.glob("*/run=night-04/manifest.json"))
    facts = json.loads(path.read_text())
    facts["targets"][1]["region"] = "eu-west-1"
    path.write_text(json.dumps(facts))
    result = json.loads(bench("gate", "latest", "--history", results, "--json")[1])
    notes = "\n".join(result["notes"])
    assert (
        "2 runs left out, unlike: workload: rag eeeeeeeeeeee then, rag dddddddddddd now (night-03, night-02)" in notes
    )
    assert "bedrock: 1 night left out, unlike: region: eu-west-1 then, us-east-1 now (night-04)" in notes
    nights = {(row["target"], row["nights"]) for row in result["rows"] if row["metric"] == "ttft_p50_ms"}
    assert nights == {("anthropic", 10), ("bedrock", 9)}
    assert "2 dates without a night" in notes


def test_a_chosen_baseline_that_is_unlike_is_refused(results, bench):
    path = next(results.glob("*/run=night-05/manifest.json"))
    facts = json.loads(path.read_text())
    facts["simulated"] = False
    path.write_text(json.dumps(facts))
    code, _, err = bench("gate", "latest", "--baseline", "night-05", "--history", results)
    assert code == 2
    assert "simulated or real: real then, simulated now" in err


def test_a_run_is_no_baseline_of_itself(month, bench):
    code, _, err = bench("gate", "latest", "--baseline", "latest", "--history", month)
    assert code == 2
    assert err == "command line: --baseline: got latest; want another run than the one that is judged\n"


def test_a_partial_night_is_a_gap_and_judging_it_is_no_measurement(results, bench):
    path = next(results.glob("*/run=night-11/manifest.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"complete": False, "exit_status": 5}))
    result = json.loads(bench("gate", "latest", "--history", results, "--json")[1])
    assert "1 run left out, partial or no measurement: night-11" in result["notes"]
    code, out, _ = bench("gate", "night-11", "--history", results)
    assert code == 3
    assert "night-11 did not come to its end" in out


def test_of_a_date_the_first_valid_run_counts(month):
    night = night_of(open_run(next(month.glob("*/run=night-03"))))
    later = replace(night, run_id="later", started_unix_ns=night.started_unix_ns + 1)
    broken = replace(night, run_id="earlier", started_unix_ns=night.started_unix_ns - 1, invalid=("we sent late",))
    assert [one.run_id for one in one_per_date([later, night, broken])] == ["night-03"]


def test_a_night_that_our_machine_spoiled_is_no_night(month):
    run = open_run(next(month.glob("*/run=night-03")))
    run.frame("requests")
    spoiled = stats_example.example(clouds=CLOUDS, prompts=40)[0]
    spoiled.loc[spoiled.index % 4 == 0, "spoiled"] = True

    class Spoiled:
        path, manifest = run.path, run.manifest

        @staticmethod
        def frame(table, columns):
            return (spoiled if table == "requests" else run.frame(table))[list(columns)]

    (reason,) = night_of(Spoiled()).invalid
    assert "bottleneck of 25% of the requests" in reason


def test_nights_before_a_date_do_not_count(month, bench):
    _, out, _ = bench("gate", "latest", "--history", month, "--since", "2026-11-24", "--json")
    nights = {row["nights"] for row in json.loads(out)["rows"] if row["metric"] == "ttft_p50_ms"}
    assert nights == {9}  # the 24th to the 2nd; the run is of the 3rd
    assert bench("gate", "latest", "--history", month, "--since", "yesterday")[0] == 2


def test_a_rerun_of_the_same_night_confirms_or_does_not(results, bench):
    hour_ns = 3600 * 10**9
    for run, clouds in (("again-slow", SLOW), ("again-quiet", CLOUDS)):
        folder = store(results, run, NIGHTS, clouds=clouds, prompts=40, seed=99)
        path = folder / "manifest.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(facts | {"started_unix_ns": facts["started_unix_ns"] + hour_ns}))
    code, out, err = bench("gate", "night-12", "--confirm", "again-slow", "--history", results)
    assert code == 1, err
    assert "both runs of the night agree" in out
    code, out, err = bench("gate", "night-12", "--confirm", "again-quiet", "--history", results)
    assert code == 0, err
    assert "the re-run of the same night does not agree" in out
    code, _, err = bench("gate", "night-12", "--confirm", "night-10", "--history", results)
    assert code == 2
    assert "a run of the same night" in err


def test_a_control_must_be_a_target_of_the_run(month, bench):
    code, _, err = bench("gate", "latest", "--history", month, "--control", "nobody")
    assert code == 2
    assert "a target of the run: anthropic, bedrock" in err
    code, out, _ = bench("gate", "latest", "--history", month, "--control", "bedrock")
    assert code == 0
    assert "the control itself moved" in out


# ------------------------------------------------------------------ the baseline in git


def test_a_baseline_file_gates_as_its_runs_do(month, tmp_path, bench):
    path = tmp_path / "rag.json"
    code, out, err = bench("baseline", "set", path, "night-0*", "night-10", "--author", "N. N.", "--out", month)
    assert code == 0, err
    assert "11 nights, 2026-11-21 to 2026-12-01" in out
    assert path.stat().st_size < 60_000
    code, out, err = bench("gate", "latest", "--baseline", path, "--history", month, "--json")
    assert code == 1, err
    assert set(verdicts(out)) == {"bedrock"}
    assert json.loads(out)["baseline"].endswith(
        "accepted by N. N. on " + json.loads(path.read_text())["changes"][0]["at"][:10] + ": first baseline"
    )
    assert bench("gate", "night-11", "--baseline", path, "--history", month)[0] == 0


def test_a_change_keeps_who_why_and_what_it_replaced(month, tmp_path, bench):
    path = tmp_path / "rag.json"
    given = ("--author", "N. N.", "--out", month)
    bench("baseline", "set", path, "night-01", *given)
    assert bench("baseline", "set", path, "night-02", *given)[0] == 2  # it is there
    assert bench("baseline", "update", path, "night-02", *given)[0] == 2  # no reason
    assert bench("baseline", "update", path, "night-02", *given, "--reason", " ")[0] == 2
    code, _, err = bench("baseline", "update", path, "night-02", "night-03", *given, "--reason", "moved, OPS-12")
    assert code == 0, err
    first, second = json.loads(path.read_text())["changes"]
    assert (first["runs"], first["reason"]) == (["night-01"], "first baseline")
    assert (second["was"], second["runs"], second["reason"]) == (
        ["night-01"],
        ["night-02", "night-03"],
        "moved, OPS-12",
    )
    run = open_run(next(month.glob("*/run=night-03")))
    stored = json.loads(path.read_text())["nights"][-1]
    assert stored["rows_sha256"] == run.manifest["files"]["requests.parquet"]["sha256"]
    code, out, _ = bench("baseline", "show", path)
    assert code == 0
    assert "N. N.: moved, OPS-12" in out
    assert max(map(len, out.splitlines())) <= 100


def test_a_baseline_is_made_of_runs_that_are_alike_and_whole(results, tmp_path, bench):
    path = next(results.glob("*/run=night-02/manifest.json"))
    facts = json.loads(path.read_text())
    facts["targets"][0]["service_tier"] = "priority"
    path.write_text(json.dumps(facts | {"complete": False}))
    code, _, err = bench("baseline", "set", tmp_path / "b.json", "night-0*", "--author", "N", "--out", results)
    assert code == 2
    assert "night-02: run: got it did not come to its end" in err
    assert "anthropic: service tier: priority then, not given now" in err
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", ":1"),
        ("[]", "bench_baseline: got list"),
        ('{"bench_baseline": 2}', "bench_baseline: got 2"),
        ('{"bench_baseline": 1}', "of_run"),
        ('{"bench_baseline": 1, "of_run": {}, "of_target": {}, "changes": [], "nights": []}', "nights: got none"),
        (
            '{"bench_baseline": 1, "of_run": {}, "of_target": {}, "changes": [], "nights": [{"run_id": "a", "date": 1, '
            '"started_unix_ns": 1, "targets": {"x": {"ttft_p50_ms": {"value": "fast", "n": 1}}}}]}',
            "nights[0].targets.x.ttft_p50_ms",
        ),
    ],
)
def test_a_file_that_is_no_baseline_is_told_where_it_is_wrong(content, said, tmp_path, month, bench):
    path = tmp_path / "b.json"
    path.write_text(content)
    code, _, err = bench("gate", "latest", "--baseline", path, "--history", month)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_what_was_written_is_what_is_read(month, tmp_path):
    nights = [night_of(open_run(path)) for path in sorted(month.glob("*/run=night-0[0-2]"))]
    content = baseline.made(nights, "2026-12-01T00:00:00Z", "N", "r")
    baseline.write(tmp_path / "b.json", content)
    back = baseline.nights_of(baseline.load(tmp_path / "b.json"), tmp_path / "b.json")
    assert [night.run_id for night in back] == [night.run_id for night in nights]
    for night, stored in zip(nights, back, strict=True):
        for target, figures in night.figures.items():
            for name, figure in figures.items():
                if figure.value is not None:
                    assert stored.figures[target][name].value == pytest.approx(figure.value, rel=1e-6)
                    assert stored.figures[target][name].n == figure.n
    assert nights[1].started_unix_ns - nights[0].started_unix_ns == DAY_NS
