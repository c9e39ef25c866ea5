"""The weekly report in a real browser, under its own policy: it draws, and everybody can read it.

Screenshots land in `screenshots/`, to be looked at.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from growth_pipeline.insights.report.write import to_html
from growth_pipeline_tests.browser.test_pages import SCREENSHOTS
from growth_pipeline_tests.browser.test_report_page import CONTRASTS, opened
from growth_pipeline_tests.fakes.browser import NoBrowserError, chromium
from growth_pipeline_tests.insights.report.weekly_reports import (
    a_claim,
    a_digest,
    a_report,
    a_whole_report,
    event_id,
    money_of,
    product,
)

pytestmark = pytest.mark.browser
LONG = "n" * 3_000


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as opened_browser:
            yield opened_browser
    except NoBrowserError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Address of a report with everything in it."""
    path = tmp_path_factory.mktemp("weekly") / "report.html"
    path.write_text(to_html(a_whole_report()), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_and_its_pictures_draw_under_their_policy_without_a_complaint(
    browser, page, scheme
):
    tab, seen = opened(browser, page, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    assert seen == []
    widths = tab.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 300
    SCREENSHOTS.mkdir(exist_ok=True)
    tab.screenshot(path=SCREENSHOTS / f"weekly-report-{scheme}.png", full_page=True)


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


def test_figures_stand_flush_right(browser, page):
    tab, _ = opened(browser, page)
    assert tab.evaluate(
        "[...document.querySelectorAll('td')]"
        ".filter(one => /^[-+]?(USD )?[0-9][0-9,.]*( %)?$/.test(one.innerText.trim()))"
        ".every(one => getComputedStyle(one).textAlign === 'right')"
    )


def test_every_word_can_be_read_on_its_ground(browser, page):
    """WCAG 2.2 AA: contrast of at least 4.5 to 1, in both schemes."""
    for scheme in ("light", "dark"):
        tab, _ = opened(browser, page, color_scheme=scheme)
        assert tab.evaluate(CONTRASTS) == [], scheme


def test_a_narrow_screen_scrolls_tables_and_never_the_page(browser, page, tmp_path):
    event = event_id(LONG)
    digest = a_digest([*money_of("kwd", 1_000_000), *product([LONG], [LONG], funnel=LONG)])
    claim = a_claim(f"{{{event}:label}} rose by {{{event}:size}}.")
    path = tmp_path / "long.html"
    path.write_text(to_html(a_report(digest, (claim,), report_id="r" * 100)), encoding="utf-8")
    for address in (page, path.as_uri()):
        tab, seen = opened(browser, address, viewport={"width": 360, "height": 800})
        assert seen == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.screenshot(path=SCREENSHOTS / "weekly-report-phone.png", full_page=True)
