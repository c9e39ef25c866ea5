"""The report as a page in a real browser, under its own policy: it draws, in light and dark.

Screenshots land in `screenshots/`, to be looked at.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from growth_pipeline.audit.report.charts import drawings
from growth_pipeline.audit.report.summary import TrendPoint, trend_point
from growth_pipeline.audit.report.write import to_html
from growth_pipeline.core.periods import PeriodState
from growth_pipeline_tests.audit.company import AS_OF
from growth_pipeline_tests.audit.report.test_write import a_finding, an_audit
from growth_pipeline_tests.browser.test_pages import SCREENSHOTS
from growth_pipeline_tests.fakes.browser import NoBrowserError, chromium

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as opened:
            yield opened
    except NoBrowserError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Address of a report with everything in it."""
    audit = an_audit(
        a_finding(),
        a_finding("missing_in_db", "ch_2", impacts={"usd": -4900}),
        a_finding("mrr_drift", "sub_1", object="subscription", impacts={"eur": -2000}),
        a_finding(object_id="ch_3", suppression={"reason": "known", "by": "ann", "until": "2026"}),
        changes={"said": "This is the first audit of the month."},
        close={"closed_at": "2025-11-06", "audit_id": "a-1"},
    )
    trend = [
        TrendPoint(
            f"2025-{month:02}",
            PeriodState.CLOSED,
            ("PASS", "FAIL", "WARNING")[month % 3],
            {"HIGH": month % 3, "MEDIUM": 2, "LOW": 1},
            {"usd": -100},
            AS_OF + timedelta(days=month),
        )
        for month in range(1, 10)
    ]
    trend.append(trend_point(audit))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(to_html(audit, trend=trend, pictures=drawings(audit, trend)), encoding="utf-8")
    return path.as_uri()


def opened(browser, page, **options):
    """A tab with the page, what it complained about, and what it asked for."""
    tab = browser.new_context(**options).new_page()
    seen: list[str] = []
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("pageerror", lambda error: seen.append(str(error)))
    tab.on("request", lambda request: seen.append(request.url))
    tab.goto(page)
    return tab, [one for one in seen if one != page and not one.startswith("data:")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_pictures_draw_under_their_policy_without_a_complaint(
    browser, page, scheme
):
    tab, seen = opened(browser, page, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    assert seen == []
    widths = tab.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 300
    light_ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light_ground == "rgb(251, 251, 250)") == (scheme == "light")
    SCREENSHOTS.mkdir(exist_ok=True)
    tab.screenshot(path=SCREENSHOTS / f"report-{scheme}.png", full_page=True)


def test_a_dark_page_shows_dark_pictures(browser, page):
    shown = []
    for scheme in ("light", "dark"):
        tab, _ = opened(browser, page, color_scheme=scheme)
        shown.append(tab.evaluate("[...document.images].map(image => image.currentSrc)"))
    assert all(light != dark for light, dark in zip(*shown, strict=True))


def test_headings_tables_and_pictures_speak_to_those_who_do_not_see(browser, page):
    tab, _ = opened(browser, page)
    levels = tab.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.localName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert tab.evaluate("[...document.images].every(image => image.alt.length > 20)")
    assert tab.evaluate(
        "[...document.querySelectorAll('table')].every(table => table.caption.innerText"
        " && [...table.tHead.querySelectorAll('th')].every(th => th.scope === 'col')"
        " && [...table.tBodies[0].rows].every(row => row.cells[0].scope === 'row'))"
    )


def test_a_narrow_screen_scrolls_tables_and_never_the_page(browser, page):
    tab, _ = opened(browser, page, viewport={"width": 360, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_word_can_be_read_on_its_ground(browser, page):
    """WCAG 2.2 AA: contrast of at least 4.5 to 1, in both schemes."""
    for scheme in ("light", "dark"):
        tab, _ = opened(browser, page, color_scheme=scheme)
        assert tab.evaluate(CONTRASTS) == [], scheme


# Elements that hold text of their own with too little contrast to the nearest painted ground.
CONTRASTS = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = numbers(colour).map(c => {
      c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = node => {
    for (let one = node; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((numbers(colour)[3] ?? 1) === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('body *')]
    .filter(node => [...node.childNodes].some(one => one.nodeType === 3 && one.data.trim()))
    .map(node => {
      const pair = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
      return [node.localName, node.className, (pair[0] + 0.05) / (pair[1] + 0.05)];
    })
    .filter(([, , ratio]) => ratio < 4.5);
}"""
