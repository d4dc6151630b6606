"""The words of the gate, over nights whose figures are told."""

import math
from dataclasses import replace

import pytest

from bench.errors import EXIT_AGAINST, EXIT_CANNOT_RUN, EXIT_INCONCLUSIVE, EXIT_OK
from bench.nightly.gate import Confirmed, concluded, exit_code, judge
from bench.report import gate as report
from bench.stats.nightly import GATED, UNKNOWN, Bound, NightFigure
from tests.unit.night_example import CONTROL, history, night


def words(rows, target="a"):
    return {row.metric: row.verdict for row in rows if row.target == target}


def tonight(number=28, **changes):
    return night(number, {"a": changes, "b": {}})


def row(rows, metric="ttft_p50_ms", target="a"):
    return next(one for one in rows if (one.target, one.metric) == (target, metric))


def test_a_quiet_night_is_ok_in_everything():
    rows = judge(night(28), history(28))
    assert set(words(rows).values()) == {"ok"}
    assert len(rows) == 2 * len(GATED)
    assert {one.nights for one in rows} == {28}


def test_the_weights_of_what_can_fail_sum_to_one():
    assert math.fsum(g.weight for g in GATED if not g.watched) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "called"),
    [
        ({"ttft_p50_ms": 1.3}, {"ttft_p50_ms"}),
        ({"e2e_p50_ms": 1.3, "tpot_p50_ms": 1.4}, {"e2e_p50_ms", "tpot_p50_ms"}),
        ({"hits": 20}, {"failed_share"}),
        ({"quality": 0.82}, {"quality"}),
        ({"usd_per_1k": 1.15}, {"usd_per_1k"}),
    ],
)
def test_what_is_far_off_is_a_regression_of_that_figure_and_that_target_alone(change, called):
    rows = judge(tonight(**change), history(28))
    assert {metric for metric, word in words(rows).items() if word == "regression"} == called
    assert set(words(rows, "b").values()) == {"ok"}


def test_a_proven_change_below_the_floor_is_no_regression():
    """4 % dearer over nights that do not differ at all: proven by any test, and below the 5 % that count."""
    rows = judge(tonight(usd_per_1k=1.04), history(28))
    assert row(rows, "usd_per_1k").verdict == "ok"
    assert row(rows, "usd_per_1k").effect == pytest.approx(0.04)


def test_a_loss_of_quality_within_the_margin_is_ok():
    assert row(judge(tonight(quality=0.875), history(28)), "quality").verdict == "ok"


def test_the_first_nights_learn_and_say_how_far_they_are():
    rows = judge(tonight(9, ttft_p50_ms=3.0), history(9))
    assert set(words(rows).values()) == {"learning"}
    assert row(rows).reason == "learning (9/10)"
    assert row(judge(tonight(10, ttft_p50_ms=3.0), history(10))).verdict == "regression"


def test_a_chosen_baseline_of_one_night_assumes_five_percent_from_night_to_night():
    rows = judge(tonight(1, ttft_p50_ms=1.5), history(1), assume=True)
    assert row(rows).verdict == "regression"
    assert row(judge(tonight(1, ttft_p50_ms=1.12), history(1), assume=True)).verdict == "ok"


def test_a_mild_exceedance_is_suspect_and_the_nights_after_it_make_it_a_regression():
    """8.8 % more, at 3 % from night to night: below the limit of one night (9.4 %), above that of three together (6 %)."""
    before = history(28)
    said = []
    for number in (28, 29, 30):
        mild = night(number, {"a": {"ttft_p50_ms": 1.088}, "b": {}}, spread=0.0)
        said.append(row(judge(mild, before)))
        before = {target: [*nights, mild] for target, nights in before.items()}
    assert [found.verdict for found in said] == ["suspect", "suspect", "regression"]
    assert "nights together" in said[-1].reason


def test_a_bad_level_stays_bad_until_it_is_accepted():
    """Twenty bad nights do not become the normal: they were called, and called nights make no limits."""
    bad = [night(28 + n, {"a": {"ttft_p50_ms": 1.4}, "b": {}}) for n in range(20)]
    before = {"a": [*history(28)["a"], *bad], "b": [*history(28)["b"], *bad]}
    found = row(judge(night(48, {"a": {"ttft_p50_ms": 1.4}, "b": {}}), before))
    assert found.verdict == "regression"
    assert found.expected == pytest.approx(600, rel=0.02)
    only_bad = {"a": bad, "b": bad}  # what --since leaves
    assert row(judge(night(48, {"a": {"ttft_p50_ms": 1.4}, "b": {}}), only_bad)).verdict == "ok"


def test_a_better_level_is_the_new_level_after_ten_nights():
    better = [night(28 + n, {"a": {"ttft_p50_ms": 0.6}, "b": {}}) for n in range(10)]
    before = {target: [*history(28)[target], *better] for target in ("a", "b")}
    assert row(judge(better[0], history(28))).verdict == "improvement"
    assert row(judge(night(38, {"a": {"ttft_p50_ms": 0.6}, "b": {}}), before)).verdict == "ok"
    lost = row(judge(night(38, {"a": {"ttft_p50_ms": 0.78}, "b": {}}), before))
    assert lost.verdict == "regression"  # still far better than in the first month


def test_a_faster_reply_that_is_shorter_says_so():
    rows = judge(tonight(e2e_p50_ms=0.5, output_tokens=0.4), history(28))
    assert row(rows, "e2e_p50_ms").verdict == "improvement"
    assert "output tokens -60%" in row(rows, "e2e_p50_ms").reason


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_drift_of_the_output_is_said_in_both_directions_and_fails_nothing(factor):
    result = concluded(tonight(), judge(tonight(output_tokens=factor), history(28)), (), "history", strict=False)
    assert result.of("suspect")[0].metric == "output_tokens"
    assert result.exit_code == EXIT_OK


def test_missing_nights_are_gaps():
    before = history(28)
    holes = {target: nights[::2] for target, nights in before.items()}
    rows = judge(night(28), holes)
    assert {one.nights for one in rows} == {14}
    assert set(words(rows).values()) == {"ok"}


def test_a_figure_that_is_not_known_tonight_cannot_be_told():
    now = night(28)
    now.figures["a"]["quality"] = UNKNOWN
    assert row(judge(now, history(28)), "quality").verdict == "inconclusive"


def test_a_median_that_is_a_failed_request_is_a_regression_and_is_written_as_a_failure():
    now = night(28)
    now.figures["a"]["ttft_p50_ms"] = NightFigure(math.inf, None, 500)
    found = row(judge(now, history(28)))
    assert found.verdict == "regression"
    assert report.shown(found.value, "ms") == "fails"
    assert report.as_dict(concluded(now, [found], (), "", False))["rows"][0]["value"] == "fails"


def test_a_history_in_which_a_doubling_cannot_be_seen_is_inconclusive():
    wild = history(28, spread=0.5)
    assert row(judge(night(28, spread=0.0), wild)).verdict == "inconclusive"


def test_a_run_that_is_no_measurement_is_invalid_whatever_its_figures_say():
    now = replace(tonight(ttft_p50_ms=2.0), invalid=("we sent late",))
    result = concluded(now, judge(now, history(28)), (), "history", strict=False)
    assert {one.verdict for one in result.rows} == {"invalid"}
    assert result.exit_code == EXIT_CANNOT_RUN
    partial = replace(night(28), complete=False)
    assert "did not come to its end" in judge(partial, history(28))[0].reason


# ------------------------------------------------------------------ the re-run, and the control


def test_a_rerun_that_agrees_confirms_and_one_that_does_not_leaves_a_suspect():
    first = tonight(ttft_p50_ms=1.3)
    agrees = Confirmed(tonight(ttft_p50_ms=1.25), tonight(ttft_p50_ms=1.27))
    found = row(judge(first, history(28), confirm=agrees))
    assert found.verdict == "regression"
    assert "both runs" in found.reason
    assert found.value == pytest.approx(1.27 * row(judge(night(28), history(28))).value)
    differs = Confirmed(tonight(), tonight(ttft_p50_ms=1.2))
    assert row(judge(first, history(28), confirm=differs)).verdict == "suspect"


def test_what_the_control_target_shares_is_our_own_bad_night():
    now = night(28, {"a": {"ttft_p50_ms": 1.4}, "b": {}, "c": {"ttft_p50_ms": 1.35}})
    before = [night(n, {"a": {}, "b": {}, "c": {}}) for n in range(28)]
    rows = judge(now, dict.fromkeys("abc", before), control="c")
    assert row(rows).verdict == "environment"
    assert row(rows, target="c").verdict == "environment"
    result = concluded(now, rows, (), "history", strict=False)
    assert result.verdict == "environment"
    assert result.exit_code == EXIT_OK


def test_a_control_that_moved_a_little_excuses_nothing_large():
    now = night(28, {"a": {"ttft_p50_ms": 2.5}, "b": {"ttft_p50_ms": 1.3}})
    rows = judge(now, history(28), control="b")
    assert row(rows).verdict == "regression"
    assert row(rows, target="b").verdict == "environment"


def test_the_control_costs_no_share_of_the_alarms():
    before, now = history(28), tonight(ttft_p50_ms=1.0)
    assert row(judge(now, before, control="b")).high < row(judge(now, before)).high


@pytest.mark.parametrize(("own_ms", "word"), [(0.01, "regression"), (30.0, "regression"), (100.0, "environment")])
def test_our_own_delay_excuses_what_it_makes_up_a_quarter_of(own_ms, word):
    """600 ms became 840: 240 ms more, of which a quarter is 60."""
    now = replace(tonight(ttft_p50_ms=1.4), control={**CONTROL, "loopback_ttft_p50_ms": own_ms})
    assert row(judge(now, history(28))).verdict == word


def test_our_own_delay_excuses_no_failures():
    now = replace(tonight(hits=40), control={**CONTROL, "loopback_ttft_p50_ms": 500.0})
    assert row(judge(now, history(28)), "failed_share").verdict == "regression"


# ------------------------------------------------------------------ absolute limits


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (1400.0, 1300.0, 1550.0, "ok"),
        (1600.0, 1450.0, 1700.0, "inconclusive"),
        (1600.0, 1501.0, 1700.0, "regression"),
        (math.inf, None, None, "inconclusive"),
        (math.inf, 1600.0, None, "regression"),
        (None, None, None, "inconclusive"),
    ],
)
def test_an_absolute_limit_is_broken_when_the_whole_interval_lies_beyond(value, low, high, word):
    bound = Bound("slo_ttft_p95_ms", "TTFT p95", "ms", 1500.0, False, value, low, high, 500)
    now = replace(night(0), bounds={"a": (bound,)})
    assert row(judge(now, {}), "slo_ttft_p95_ms").verdict == word


def test_a_share_that_must_be_reached_is_missed_from_below():
    bound = Bound("slo_within_share", "within slo", "share", 0.95, True, 0.90, 0.87, 0.93, 500)
    found = row(judge(replace(night(0), bounds={"a": (bound,)}), {}), "slo_within_share")
    assert found.verdict == "regression"
    assert found.effect == pytest.approx(-0.05)


# ------------------------------------------------------------------ words and exit codes


@pytest.mark.parametrize(
    ("word", "plain", "strict"),
    [
        ("ok", EXIT_OK, EXIT_OK), ("improvement", EXIT_OK, EXIT_OK), ("regression", EXIT_AGAINST, EXIT_AGAINST),
        ("suspect", EXIT_OK, EXIT_INCONCLUSIVE), ("learning", EXIT_OK, EXIT_INCONCLUSIVE),
        ("inconclusive", EXIT_OK, EXIT_INCONCLUSIVE), ("environment", EXIT_OK, EXIT_INCONCLUSIVE),
        ("invalid", EXIT_CANNOT_RUN, EXIT_CANNOT_RUN),
    ],
)  # fmt: skip
def test_exit_codes(word, plain, strict):
    assert (exit_code(word, False), exit_code(word, True)) == (plain, strict)


def test_the_text_begins_with_the_sentence_and_fits_a_hundred_columns():
    now = night(
        28, {"a-target-with-a-rather-long-name-of-its-own": {"ttft_p50_ms": 1.5, "hits": 30}, "b": {"output_tokens": 2}}
    )
    name = "a-target-with-a-rather-long-name-of-its-own"
    before = [night(n, {name: {}, "b": {}}) for n in range(28)]
    rows = judge(now, {name: before, "b": before})
    said = report.text(concluded(now, rows, ("a note " * 40,), "history in results", False), 100)
    lines = said.splitlines()
    assert lines[0].startswith(f"REGRESSION: worse than promised, {name}: TTFT p50 (+5")
    assert max(map(len, lines)) <= 100
    assert f"{len(rows) - 3} of {len(rows)} figures ok." in said
    assert sum("regression" in line.split() for line in lines) == 2


def test_a_name_cannot_steer_the_readers_terminal():
    now = replace(night(28, {"a": {"ttft_p50_ms": 2.0}, "b": {}}), run_id="x")
    rows = [replace(one, target="evil\x1b[2J") for one in judge(now, history(28))]
    assert "\x1b" not in report.text(concluded(now, rows, ("\x1b[31m",), "h", False), 100)
