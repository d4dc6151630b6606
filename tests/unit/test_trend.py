"""`bench history`: nights as trends, in a terminal, as data and as a page."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from bench.cli import main
from bench.errors import CannotRun, ConfigError
from bench.nightly.trend import Wanted, followed, trend
from bench.report import trend as report
from bench.report.svg import draw
from bench.report.trend_page import document, page
from bench.stats.nightly import GATED, NightFigure
from tests.unit import stats_example
from tests.unit.night_example import OF_RUN, night
from tests.unit.stored_example import store

HOSTILE = '"><script>x</script>\x1b[2J\u202e|`'


def month(*missing: int, later: float = 1.5, begins: int = 20, nights: int = 30) -> list:
    """Thirty nights of targets a and b; a's TTFT p50 is `later` times as long from night `begins` on."""
    return [
        night(n, {"a": {"ttft_p50_ms": later if n >= begins else 1.0}, "b": {}})
        for n in range(nights) if n not in missing
    ]  # fmt: skip


def series(found, target="a", metric="ttft_p50_ms"):
    return next(one for one in found.series if (one.target, one.figure.name) == (target, metric))


@pytest.fixture(scope="module")
def changed():
    return followed(month(5, 11, 12))


# ------------------------------------------------------------------ what is followed


def test_a_new_level_has_its_date_its_size_and_its_interval(changed):
    (found,) = series(changed).changes
    assert found.date == "2026-10-21"  # night 20 of a month whose first is the first of October
    assert found.low < 0.5 < found.high
    assert found.before == pytest.approx(600, rel=0.02)
    assert found.after == pytest.approx(900, rel=0.02)
    assert found.worse is True
    assert [one for one in changed.series if one.changes] == [series(changed)]


def test_missing_nights_are_gaps_and_no_values(changed):
    assert changed.gaps == dict.fromkeys(("2026-10-06", "2026-10-12", "2026-10-13"), "no run")
    assert len(changed.dates) == 30
    assert len(series(changed).values) == 27


def test_a_night_that_is_no_measurement_is_a_gap_that_says_why():
    nights = month()
    nights[3] = replace(nights[3], invalid=("we sent late",))
    nights[4] = replace(nights[4], complete=False)
    found = followed(nights)
    assert found.gaps == {"2026-10-04": "night-03: we sent late", "2026-10-05": "night-04: did not come to its end"}


def test_unlike_nights_are_a_break_and_no_change_of_level_is_searched_across():
    nights = [replace(one, of_target={"a": {"region": "us" if n < 20 else "eu"}, "b": {"region": "eu"}})
              for n, one in enumerate(month())]  # fmt: skip
    found = followed(nights)
    assert [(one.target, one.date, one.differs) for one in found.breaks] == [
        ("a", "2026-10-21", ("region: us then, eu now",))]  # fmt: skip
    assert not any(one.changes for one in found.series)


def test_an_experiment_of_the_same_date_is_no_break():
    nights = month(later=1.0)
    other = replace(
        nights[10], of_run={**OF_RUN, "workload": "rag ffffffffffff"}, started_unix_ns=nights[10].started_unix_ns - 1
    )
    found = followed(sorted([*nights, other], key=lambda one: one.started_unix_ns))
    assert found.breaks == ()
    assert not found.gaps


def test_a_percentile_that_is_a_failed_request_is_shown_and_has_no_part_in_a_level():
    nights = month()
    nights[-1].figures["a"]["ttft_p50_ms"] = NightFigure(math.inf, None, 500)
    found = followed(nights)
    assert series(found).values[-1].value == math.inf
    assert [change.date for change in series(found).changes] == ["2026-10-21"]
    assert "fails" in report.text(found, 100)
    assert report.sparkline(series(found), found.dates, ())[-1] == "x"
    assert json.loads(json.dumps(report.as_dict(found)))["series"][0]["values"][-1]["value"] == "fails"
    assert b"a failed request" in page(found)


# ------------------------------------------------------------------ in a terminal


@pytest.mark.parametrize("width", [60, 79, 80, 100, 160])
@pytest.mark.parametrize("plain", [False, True])
def test_no_line_is_wider_than_the_terminal(changed, width, plain):
    for made in (
        report.text(changed, width, False, plain),
        report.nights_text(followed(month(5), metric="quality"), width, plain),
    ):
        assert max(map(len, made.splitlines())) <= width
        assert not plain or made.isascii()


def test_the_sparkline_has_a_sign_for_each_date_a_space_for_a_gap_and_steps_where_the_level_does(changed):
    drawn = report.sparkline(series(changed), changed.dates, ())
    assert len(drawn) == 30
    assert [n for n, sign in enumerate(drawn) if sign == " "] == [5, 11, 12]
    assert max(drawn[:20]) < min(drawn[20:])


def test_a_quiet_figure_is_drawn_flat_and_not_blown_up():
    quiet = [night(n, {"a": {}, "b": {}}, spread=0.001) for n in range(20)]
    found = followed(quiet)
    assert len(set(report.sparkline(series(found), found.dates, ()))) <= 2


def test_the_text_says_the_change_the_gap_and_the_break():
    nights = [replace(one, of_run={**OF_RUN, "load": "4/s" if n < 10 else "8/s"}) for n, one in enumerate(month(25))]
    made = " ".join(report.text(followed(nights), 100).split())
    assert "2026-10-21 TTFT p50 worse: " in made
    assert "2026-10-11 break: load: 4/s then, 8/s now" in made
    assert "1 gap: 2026-10-26 no run" in made


def test_night_by_night_marks_the_first_night_of_a_level():
    made = report.nights_text(followed(month(5), metric="ttft_p50_ms"), 80)
    (line,) = [line for line in made.splitlines() if line.startswith("2026-10-21")]
    assert re.fullmatch(r"2026-10-21 +\*\d+ ms +\d+ ms", line)
    assert "2026-10-06    gap: no run" in made


def test_too_few_nights_say_what_is_missing():
    assert "4 nights in all: too few to see a change of level" in followed(month(nights=4)).notes
    assert "1 night in all: too few to see a change of level" in followed(month(nights=1)).notes


# ------------------------------------------------------------------ the page


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]


def read(found) -> tuple[Page, str]:
    text = page(found).decode()
    parser = Page()
    parser.feed(text)
    return parser, text


def test_the_page_has_a_chart_and_a_table_for_each_figure_and_fetches_nothing(changed):
    parser, text = read(changed)
    known = {one.figure.name for one in changed.series}
    assert parser.tags.count("figure") == len(known)
    assert parser.tags.count("svg") >= 2 * len(known)  # wide, and for a phone
    assert text.count("The figures of this chart") == len(known)
    assert all(link.startswith(("#", "data:")) for link in parser.links)
    assert "Lower is better. New levels: 2026-10-21 at a." in text
    assert "prefers-color-scheme:dark" in text


def test_a_line_breaks_at_a_gap_and_at_a_break(changed):
    chart = next(one for one in document(changed).charts() if one.id == "ttft-p50-ms-trend")
    line = next(one for one in chart.series if (one.target, one.mark) == ("b", "line"))
    assert [changed.dates[int(point.x)] for point in line.points if point.breaks] == ["2026-10-07", "2026-10-14"]


def test_every_drawing_is_a_whole_svg_with_a_name_of_its_own(changed):
    charts = list(document(changed).charts())
    assert len(charts) == len({chart.id for chart in charts}) >= 8
    for chart in charts:
        assert ET.fromstring(draw(chart)).tag.endswith("svg")


def test_hostile_names_open_no_tag_and_steer_nothing():
    nights = [night(n, {HOSTILE: {}, "b": {}}) for n in range(12)]
    nights[3] = replace(nights[3], invalid=(HOSTILE,))
    found = followed([replace(one, of_run={"workload": HOSTILE}) for one in nights], {HOSTILE: 1})
    parser, text = read(found)
    assert parser.tags.count("script") == 2
    assert "\u202e" not in text
    for plain in (False, True):
        made = report.text(found, 100, False, plain)
        assert "\x1b" not in made
        assert "\u202e" not in made
    assert "\x1b" not in report.nights_text(followed(nights, metric="quality"), 100)


def test_a_simulated_history_says_so_everywhere(changed):
    simulated = replace(changed, simulated=True)
    assert report.text(simulated, 100).splitlines()[0].startswith("SIMULATED")
    assert (
        report.text(simulated, 100).splitlines()[-1].startswith("SIMULATED")
        or "SIMULATED" in report.text(simulated, 100)[-200:]
    )
    assert all(chart.watermark == "SIMULATED" for chart in document(simulated).charts())


@pytest.mark.parametrize("nights", [1, 2, 5])
def test_short_histories_can_be_drawn(nights):
    found = followed(month(nights=nights))
    assert len(report.text(found, 80).splitlines()) > 2 * len(GATED)
    assert page(found).startswith(b"<!doctype html>")


# ------------------------------------------------------------------ through the command, from runs on disk


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    below = tmp_path_factory.mktemp("trend") / "results"
    clouds = tuple(replace(cloud, failures={}) for cloud in stats_example.CLOUDS[:2])
    for day in (0, 2):
        store(below, f"night-{day}", day, clouds=clouds, prompts=20, seed=day)
    store(below, "real", 1, clouds=clouds, prompts=20, facts={"simulated": False})
    store(below, "other", 1, clouds=clouds, prompts=20, facts={"workload": {"name": "other", "digest": "e" * 64}})
    return below


def test_the_command_prints_data_and_writes_the_page(results, tmp_path, capsys):
    assert main(["history", str(results), "--json", "--html", str(tmp_path / "new" / "trend.html")]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["dates"] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert list(found["gaps"]) == ["2026-11-22"]  # the run of another workload, and the real one, are no nights of this
    assert any("other" in note for note in found["notes"])
    assert (tmp_path / "new" / "trend.html").read_bytes().startswith(b"<!doctype html>")
    assert str(tmp_path) in captured.err


def test_the_command_shows_one_figure_night_by_night(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["history", str(results), "--metric", "quality", "--target", "bedrock"]) == 0
    out = capsys.readouterr().out
    assert "quality, night by night" in out
    assert "anthropic" not in out


def test_what_is_unknown_is_said_with_what_there_is(results, tmp_path):
    with pytest.raises(ConfigError, match="ttft_p50_ms"):
        trend(Wanted(results, metric="speed"), print)
    with pytest.raises(ConfigError, match="bedrock"):
        trend(Wanted(results, target="mars"), print)
    with pytest.raises(CannotRun, match="no run"):
        trend(Wanted(tmp_path), print)


def test_the_last_dates_alone_are_read(results):
    assert trend(Wanted(results, last=1), print).dates == ("2026-11-23",)
