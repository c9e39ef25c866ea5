"""The running demo in a real browser: pages draw, nothing complains, nothing is asked elsewhere.

Screenshots land in `screenshots/`, to be looked at.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from growth_pipeline_tests.fakes.browser import NoBrowserError, chromium

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
# Dagster's pages draw after several answers of its server.
PATIENCE_MS = 45_000


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as opened:
            yield opened
    except NoBrowserError as reason:
        pytest.skip(str(reason))


class Visit:
    """One page with all that it asked for and complained about."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.hosts = set()
        self.complaints = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text) if message.type == "error" else None
            ),
        )

    def _note(self, request):
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"}:  # pictures inside the page ask nobody
            self.hosts.add(url.hostname)

    def shoot(self, name):
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def visit(browser):
    visits = []

    def open_page(**options):
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield open_page
    for one in visits:
        one.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_landing_page_draws_without_a_complaint_or_a_foreign_request(demo, visit, scheme):
    seen = visit(color_scheme=scheme)
    answer = seen.page.goto(demo.web)
    assert answer.status == 200
    assert seen.page.get_by_role("heading", level=1).is_visible()
    assert seen.page.locator("li.good", has_text="Database").is_visible()
    seen.shoot(f"landing-{scheme}")
    assert seen.complaints == []
    assert seen.hosts == {"127.0.0.1"}


def test_the_landing_page_is_whole_without_javascript(demo, visit):
    seen = visit(java_script_enabled=False)
    seen.page.goto(demo.web)
    assert seen.page.get_by_role("link", name="Open Dagster").get_attribute("href") == demo.dagster


def test_every_link_of_the_landing_page_answers(demo, visit):
    seen = visit()
    seen.page.goto(demo.web)
    links = {link.get_attribute("href") for link in seen.page.get_by_role("link").all()}
    assert len(links) >= 5
    for link in links - {"#main"}:
        address = link if link.startswith("http") else demo.web + link
        assert urlsplit(address).hostname == "127.0.0.1", link
        assert seen.context.request.get(address).ok, link


def test_the_list_of_routes_draws(demo, visit):
    seen = visit()
    seen.page.goto(f"{demo.web}/docs")
    assert seen.page.get_by_text("/webhooks/stripe").first.is_visible()
    seen.shoot("docs")
    assert seen.complaints == []
    assert seen.hosts == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("group", "assets"),
    [
        ("audit", ["findings", "report"]),
        ("billing", ["payments", "mirror", "charges_extract"]),
        ("cohorts", ["retention_cells"]),
    ],
)
def test_dagster_draws_the_assets_of_a_slice_as_a_graph(demo, visit, group, assets):
    from playwright.sync_api import expect

    seen = visit()
    lineage = f"{demo.dagster}/locations/growth_pipeline/asset-groups/{group}/lineage"
    for asset in assets:
        # Of a graph larger than the window only a part is drawn: the part around this asset.
        seen.page.goto(f"{lineage}/{group}%2F{asset}")
        node = seen.page.locator("svg foreignObject").get_by_text(asset, exact=True)
        expect(node).to_be_in_viewport(timeout=PATIENCE_MS)
    expect(seen.page.get_by_text("Loading")).to_have_count(0, timeout=PATIENCE_MS)
    seen.shoot(f"dagster-group-{group}")
    assert seen.hosts == {"127.0.0.1"}


def test_dagster_shows_the_report_of_a_month_on_the_assets_page(demo, visit):
    month = demo.truth()["planted"][0]["month"]
    seen = visit()
    seen.page.goto(f"{demo.dagster}/assets/audit/report?view=partitions&partition={month}")
    seen.page.get_by_text(re.compile("verdict")).first.wait_for()
    seen.page.get_by_text("FAIL", exact=True).first.wait_for()
    seen.shoot("dagster-audit-report")
    seen.page.get_by_text("[Show Markdown]").click()
    seen.page.get_by_role("heading", name=re.compile(f"Revenue audit {month}: FAIL")).wait_for()
    picture = seen.page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 100
    seen.shoot("dagster-audit-report-markdown")
    assert seen.hosts == {"127.0.0.1"}


def test_dagster_shows_failed_checks_of_the_audit(demo, visit):
    seen = visit()
    seen.page.goto(f"{demo.dagster}/assets/audit/findings?view=checks")
    seen.page.get_by_text("amounts_agree").first.wait_for()
    seen.page.get_by_text("verdict", exact=True).first.wait_for()
    seen.shoot("dagster-audit-checks")
    assert seen.hosts == {"127.0.0.1"}


def test_no_dialog_greets_a_new_visitor_of_dagster(demo, visit):
    seen = visit()
    seen.page.goto(f"{demo.dagster}/overview")
    seen.page.get_by_role("link", name=re.compile("Runs")).first.wait_for()
    seen.page.wait_for_timeout(1500)
    assert seen.page.get_by_role("dialog").count() == 0
    seen.shoot("dagster-overview")
