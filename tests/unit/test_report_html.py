"""The page of a report in a real browser: its figures, its controls, that it fetches nothing, and that everybody can read it."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from functools import cache

import pyarrow.parquet as pq
import pytest

from bench import report
from bench.metrics import BY_NAME
from bench.report import looks
from bench.report.document import Document
from bench.report.formats import html

from .report_examples import EXAMPLE, HOSTILE, report_of
from .report_examples import stored_example as example

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
A_PAGE = 3_000_000
"""A report stays below this many bytes, however many rows there are."""


PAGES: dict[int, bytes] = {}


def page_of(made: Document) -> bytes:
    """Rendered once; documents live as long as the tests."""
    if id(made) not in PAGES:
        PAGES[id(made)] = html.render(made)
    return PAGES[id(made)]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a document as a page. Anything it fetches, says on the console or throws is a failure."""
    contexts, wrong = [], []

    def open_page(made: Document, **settings):
        path = tmp_path / "report.html"
        path.write_bytes(page_of(made))
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))

        def only_the_page(route) -> None:
            if route.request.url == path.as_uri():
                route.continue_()
            else:
                wrong.append(f"fetched: {route.request.url}")
                route.abort()

        page.route("**/*", only_the_page)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def cells(page, table: str) -> list[list[str]]:
    """The text of every field, lines joined by a bar."""
    return page.evaluate(
        """id => [...document.getElementById(id).tBodies[0].rows].map(row => [...row.cells].map(
               cell => cell.innerText.trim().replace(/\\s*\\n\\s*/g, '|').trim()))""", table)  # fmt: skip


# ---------------------------------------------------------------- the figures


def test_the_figures_of_the_page_are_those_of_the_table_and_of_summary_parquet(show):
    made = example()
    page = show(made)
    shown = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('#comparison tbody tr')].map(row => [
               row.querySelector('.name').innerText, [...row.cells].map(cell => cell.dataset.v ?? null)]))""")  # fmt: skip
    stored = {(row["target"], row["metric"]): row["value"] for row in pq.read_table(EXAMPLE / "summary.parquet").to_pylist()
              if row["baseline"] is None}  # fmt: skip
    for row in made.table.rows:
        for metric, value in zip(made.table.columns, shown[row.target][2:], strict=True):
            assert (None if value is None else float(value)) == row.cells[metric.name].value
            assert (None if value is None else float(value)) == stored[row.target, metric.name]
    for row, fields in zip(made.table.rows, cells(page, "comparison"), strict=True):
        assert fields[1] == f"{row.n}|{row.blocks} blocks"
        for metric, text in zip(made.table.columns, fields[2:], strict=True):
            figure = report.cell_figure(row.cells[metric.name])
            assert text.lstrip("¹²³") == "|".join(filter(None, (figure.text, figure.interval)))


def test_verdicts_are_words_with_their_ratio_and_interval(show):
    made = example()
    shown = {row[0]: row[1:] for row in cells(show(made), "against-1")}
    for target, compared in report.by_baseline(made.table)["anthropic"].items():
        for name, text in zip(report.comparison_labels(made.table), shown[target], strict=True):
            figure, words = report.comparison_figure(compared[name]), report.verdict_words(compared[name])
            assert text.startswith(figure.text)
            assert figure.interval in text
            assert text.endswith(words)
    assert shown["gateway"][0] == "0.74×|0.67–0.79|▼ faster"


def test_the_first_screen_has_the_question_the_verdict_and_the_comparison(show):
    page = show(example())
    for part in ("h1", ".verdict", "#comparison tbody tr:last-child"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 800, part
    assert page.locator(".verdict").inner_text() == example().verdict


def test_every_quantile_beside_a_curve_is_a_cell_where_the_table_has_one(show):
    page = show(example())
    # text of fields in a closed disclosure is there, only not laid out
    shown = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('#ttft-quantiles tbody tr')].map(row => [
               row.querySelector('.name').textContent, [...row.querySelectorAll('td b')].map(b => b.textContent)]))""")  # fmt: skip
    for row in example().table.rows:
        p50, _, _, _, p99 = shown[row.target]
        assert p50 == report.cell_figure(row.cells["ttft_p50_ms"]).text
        assert p99 == report.cell_figure(row.cells["ttft_p99_ms"]).text


# ---------------------------------------------------------------- the controls


def visible_series(page, key: str) -> int:
    return page.locator(f'figure svg.w g.s[data-t="{key}"]').evaluate_all(
        "all => all.filter(e => getComputedStyle(e).display !== 'none').length"
    )


def test_a_target_is_hidden_and_shown_in_all_charts_at_once(show):
    page = show(example())
    drawn = sum(series.target == "gateway" for chart in example().charts() for series in chart.series)
    gateway, box = "t4", page.get_by_role("checkbox", name="gateway")
    assert visible_series(page, gateway) == drawn > 3
    box.uncheck()
    assert (visible_series(page, gateway), visible_series(page, "t0") > 0) == (0, True)
    box.check()
    assert visible_series(page, gateway) == drawn
    page.get_by_role("button", name="none", exact=True).click()
    assert [visible_series(page, f"t{i}") for i in range(5)] == [0] * 5
    page.get_by_role("button", name="all", exact=True).click()
    assert visible_series(page, gateway) == drawn


def test_a_table_is_sorted_by_a_column_with_the_unknown_last(show):
    page = show(example())
    button = page.locator("#comparison").get_by_role("button", name="TTFT p50")
    button.focus()
    page.keyboard.press("Enter")
    fastest_first = ["gateway", "vertex-global", "anthropic", "bedrock-us-east-1", "foundry"]
    assert [row[0].split("|")[0] for row in cells(page, "comparison")] == fastest_first
    assert page.locator("#comparison th[aria-sort]").get_attribute("aria-sort") == "ascending"
    button.click()
    assert [row[0].split("|")[0] for row in cells(page, "comparison")] == fastest_first[::-1]
    for _ in range(2):
        page.locator("#comparison").get_by_role("button", name="$/correct").click()
        assert cells(page, "comparison")[-1][0].startswith("gateway"), "its price is not known"


def test_a_picked_quantile_leaves_its_column_and_a_line_through_the_curves(show):
    page = show(example())
    page.get_by_role("radio", name="p90").check()
    heads = page.locator("#ttft-quantiles th[data-q]").evaluate_all(
        "all => all.filter(e => e.offsetParent).map(e => e.innerText)"
    )
    assert [head.split()[0] for head in heads] == ["p90"]
    assert page.locator("#ttft-distribution svg.w .guide").count() == 1
    page.get_by_role("radio", name="all").check()
    assert page.locator("#ttft-quantiles th[data-q]:visible").count() == 5
    assert page.locator(".guide").count() == 0


def test_the_value_under_the_pointer_is_told(show):
    page = show(example())
    group = page.locator('#ttft-distribution svg.w g.s[data-t="t4"]')
    group.scroll_into_view_if_needed()
    words = group.get_attribute("data-w").split("\n")
    at = group.get_attribute("data-p").split(" ")
    median = next(i for i, text in enumerate(words) if text.startswith("gateway, p50:"))
    x, y = map(float, at[median].split(","))
    there = page.locator("#ttft-distribution svg.w").evaluate(
        "(svg, [x, y]) => { const p = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM()); return [p.x, p.y]; }",
        [x, y],
    )
    page.mouse.move(*there)
    assert page.locator("#tip").inner_text() == "gateway, p50: 451 ms (426–469)"
    page.mouse.move(0, 0)
    assert page.locator("#tip").is_hidden()


def test_without_a_program_every_table_and_chart_is_there(show):
    made = example()
    page = show(made, java_script_enabled=False)
    assert page.locator("#controls").is_hidden()
    assert page.locator("table").count() == len(list(made.grids())) + len(list(made.charts()))
    assert page.locator("figure svg.w").count() == len(list(made.charts()))
    page.locator("#ttft-distribution summary").click()
    assert page.locator("#ttft-quantiles th[data-q]:visible").count() == 5


# ---------------------------------------------------------------- every reader


@pytest.mark.parametrize("name", ["example", "forty_targets", "hostile", "sweep"])
def test_a_phone_scrolls_tables_inside_their_box_and_never_the_page(show, name, made):
    page = show(made(name), viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("getComputedStyle(document.querySelector('figure svg.n')).display") == "block"
    # letters of a chart are no smaller than 10 px
    assert page.evaluate("""Math.min(...[...document.querySelectorAll('figure > svg.n')].map(
        svg => 12 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))""") >= 10  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    @cache
    def of(name: str) -> Document:
        return example() if name == "example" else report_of(name, tmp_path_factory.mktemp(name))

    return of


CONTRAST = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const paper = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const queries = ['body', '.title', '.verdict', '.answers dd', '.counts', '.banner', 'caption', 'td b', 'td small', 'thead th',
    'th small', '.good .word', '.bad .word', '.same .word', '.unclear .word', '.alarm', '.mark', 'a', 'summary', 'footer p'];
  return queries.flatMap(query => { const e = document.querySelector(query);
    return e ? [[query, ratio(parse(getComputedStyle(e).color), paper(e))]] : []; });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background_by_4_5_to_1(show, scheme):
    found = show(example(), color_scheme=scheme).evaluate(CONTRAST)
    assert len(found) >= 16
    assert [(query, round(ratio, 2)) for query, ratio in found if ratio < 4.5] == []


@pytest.mark.parametrize(
    ("colours", "rest", "paper"), [(looks.LIGHT, looks.REST_LIGHT, "#ffffff"), (looks.DARK, looks.REST_DARK, "#14171b")]
)
def test_lines_stand_out_from_their_background_by_3_to_1(colours, rest, paper):
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in (*colours, rest):
        bright, dark = sorted((light(colour), light(paper)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= (2.9 if colour == rest else 3), colour
    assert len(set(colours)) == len(set(looks.DASHES)) == len(set(looks.MARKERS)) == 8


NAMES = """() => {
  const wrong = [];
  const all = query => [...document.querySelectorAll(query)];
  const ids = all('[id]').map(e => e.id);
  ids.forEach((id, i) => { if (ids.indexOf(id) !== i) wrong.push('two of ' + id); });
  all('svg').forEach(e => { if (e.getAttribute('aria-hidden') !== 'true' && !(e.getAttribute('role') === 'img' &&
    (e.getAttribute('aria-label') || '').length > 40)) wrong.push('a drawing without a name'); });
  all('table').forEach(e => { if (!e.caption || !e.caption.textContent.trim()) wrong.push('a table without a caption: ' + e.id); });
  all('th').forEach(e => { if (!['col', 'row'].includes(e.scope)) wrong.push('a heading without scope'); });
  all('table').forEach(e => { const n = e.tHead.rows[0].cells.length;
    [...e.tBodies[0].rows].forEach(r => { if (r.cells.length !== n) wrong.push('a ragged row in ' + e.id); }); });
  all('[aria-labelledby]').forEach(e => { if (!document.getElementById(e.getAttribute('aria-labelledby')))
    wrong.push('named by nothing: ' + e.getAttribute('aria-labelledby')); });
  all('button, input, summary, a').forEach(e => { if (!(e.textContent.trim() || (e.labels && e.labels[0].textContent.trim())))
    wrong.push('a control without a name'); });
  all('a[href^="#"]').forEach(e => { if (!document.querySelector(e.getAttribute('href'))) wrong.push('to nowhere: ' + e.href); });
  const levels = all('h1, h2, h3').map(e => Number(e.tagName[1]));
  levels.forEach((level, i) => { if (level > (levels[i - 1] ?? 0) + 1) wrong.push('a heading skips a level'); });
  if (levels.filter(level => level === 1).length !== 1) wrong.push('not one first heading');
  if (document.documentElement.lang !== 'en' || !document.title) wrong.push('no language or title');
  if (all('main').length !== 1) wrong.push('not one main part');
  all('[style], [onclick], [onload], [onerror]').forEach(e => wrong.push('style or program in an attribute: ' + e.tagName));
  return wrong;
}"""

EVERY = (
    "example",
    "one_target",
    "all_failures",
    "three_requests",
    "forty_targets",
    "sweep",
    "partial",
    "hostile",
    "side_by_side",
)


@pytest.mark.parametrize("name", EVERY)
def test_everything_has_a_name_and_its_place(show, made, name):
    assert show(made(name)).evaluate(NAMES) == []


def test_the_keyboard_reaches_the_figures_first_and_every_table_that_scrolls(show):
    page = show(example())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the figures"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "comparison-caption"


# ---------------------------------------------------------------- reports at the edge


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_is_a_number_a_sign_or_a_word_and_the_page_is_small(made, name):
    page = page_of(made(name)).decode()
    assert len(page.encode()) < A_PAGE
    outside = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", page, flags=re.S)
    for word in ("None", "nan", "NaN", "undefined", "Infinity"):
        assert not re.search(rf"[>\s(]{word}[<\s)]", outside), word


def test_forty_targets_keep_eight_looks_and_every_name_stands_in_the_table(show, made):
    report_made = made("forty_targets")
    page = show(report_made)
    assert sorted(style for style in report_made.styles.values() if style is not None) == list(range(8))
    names = page.locator("#comparison .name").all_inner_texts()
    assert names == [row.target for row in report_made.table.rows]
    assert page.locator("#ttft-distribution svg.w .legend").text_content().endswith("32 others")
    assert page.locator("#ttft-distribution svg.w g.s").count() == 40


def test_where_all_requests_failed_the_page_says_so_and_draws_how(show, made):
    page = show(made("all_failures"))
    assert page.locator(".verdict").inner_text() == "No target answered half of its requests."
    assert "nothing to draw. No request succeeded" in page.locator("main").inner_text()
    assert page.locator("#outcomes svg.w rect.bar").count() == 3 * 6 + 6  # six kinds at three targets, and the legend
    assert cells(page, "comparison")[0][2] == "¹fails"


def test_a_sweep_shows_its_levels_as_a_table_and_as_charts(show, made):
    page, table = show(made("sweep")), made("sweep").table
    assert len(cells(page, "levels")) == len(table.levels) == 9
    for row, one in zip(cells(page, "levels"), report.levels_in_order(table), strict=True):
        assert row[:2] == [one.target, f"{one.level:g}"]
        assert row[3].split("|")[0] == report.cell_figure(one.cells["achieved_per_s"]).text
    assert page.locator("#level-throughput, #level-ttft, #level-e2e").count() == 3


def test_a_partial_simulated_run_says_both_above_below_and_across_every_chart(show, made):
    page = show(made("partial"))
    assert page.locator("header .banner strong").all_inner_texts() == ["SIMULATED", "PARTIAL"]
    assert page.locator("footer .banner strong").all_inner_texts() == ["SIMULATED", "PARTIAL"]
    charts = page.locator("figure > svg")
    assert charts.count() == 2 * len(list(made("partial").charts())) > 8
    assert charts.locator(".watermark").all_text_contents() == ["SIMULATED PARTIAL"] * charts.count()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.stamp')).position") == "fixed"  # on every page
    assert page.locator(".stamp").inner_text() == "SIMULATED PARTIAL"
    assert page.title().startswith("SIMULATED · PARTIAL · ")


def test_rows_left_out_are_counted_in_sight(show, made):
    # of 60 prompts at three targets: two warm-up each; 4 of bedrock's rows (5, 21, 37, 53) are spoiled
    counts = show(made("partial")).locator(".counts")
    assert counts.is_visible()
    assert counts.inner_text() == ("180 requests stored, 170 counted; left out: 6 of the warm-up, 4 spoiled (taken while our own "
                                   "instrument was the bottleneck).")  # fmt: skip


def test_names_that_are_markup_or_programs_are_shown_as_they_are(show, made):
    page = show(made("hostile"))
    shown = page.locator("#comparison .name").all_text_contents()
    assert shown[:4] == list(HOSTILE[:4])
    assert shown[4] == HOSTILE[4].replace("\u202e", "\ufffd").replace(
        "\u202c", "\ufffd"
    )  # nothing turns the line around
    assert page.locator("main img, header img, figure script").count() == 0
    assert page.locator("script").count() == 2
    listed = json.loads(page.locator("#page-targets").text_content())
    assert [one["name"] for one in listed] == shown
    page.get_by_role("checkbox", name=HOSTILE[0], exact=True).uncheck()
    assert visible_series(page, "t0") == 0


def test_a_program_that_is_not_ours_is_not_run(show):
    made = page_of(example()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made).group(1)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]{44}'", rules["script-src"])
    assert "unsafe" not in policy


def test_infinity_is_sorted_behind_every_number(show, made):
    page = show(made("partial"))
    page.locator("#comparison").get_by_role("button", name="TTFT p99").click()
    values = [row.cells["ttft_p99_ms"].value for row in made("partial").table.rows]
    assert any(map(math.isinf, values))
    assert [row[2 + [m.name for m in made("partial").table.columns].index("ttft_p99_ms")].split("|")[0].lstrip("¹²³")
            for row in cells(page, "comparison")][-1] == "fails"  # fmt: skip
    assert BY_NAME["ttft_p99_ms"].unit == "ms"
