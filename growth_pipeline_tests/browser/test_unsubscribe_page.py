"""The page of an unsubscribe link in a real browser: it asks, and one click is enough.

Screenshots land in `screenshots/`, to be looked at.
"""

from __future__ import annotations

import psycopg
import pytest
from pydantic import SecretStr

from growth_pipeline.lifecycle.outbox.addresses import address_hash
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.settings import LifecycleSettings
from growth_pipeline.web.app import create_app
from growth_pipeline_tests.browser.test_pages import SCREENSHOTS
from growth_pipeline_tests.fakes.browser import NoBrowserError, chromium
from growth_pipeline_tests.fakes.web_server import SECRET, serve, settings_of

pytestmark = pytest.mark.browser
LINK_SECRET = "l" * 40
SIZES = {"phone": {"width": 320, "height": 640}, "desktop": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as opened_browser:
            yield opened_browser
    except NoBrowserError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def link(database_url, tmp_path):
    settings = settings_of(database_url, tmp_path, SECRET)
    settings.lifecycle = LifecycleSettings(link_secret=SecretStr(LINK_SECRET))
    token = UnsubscribeLinks(LINK_SECRET).token(address_hash("ann@example.com"))
    with serve(create_app(settings)) as base:
        yield f"{base}/unsubscribe/{token}"


def suppressed(url):
    with psycopg.connect(url) as connection:
        return connection.execute("select reason, source from lifecycle.suppressions").fetchall()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scripts", [True, False])
def test_one_click_unsubscribes_under_the_pages_policy(
    browser, link, database_url, scheme, size, scripts
):
    context = browser.new_context(
        color_scheme=scheme, viewport=SIZES[size], java_script_enabled=scripts
    )
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(link)
    assert suppressed(database_url) == []
    SCREENSHOTS.mkdir(exist_ok=True)
    name = f"unsubscribe-{scheme}-{size}"
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    if scripts:
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Unsubscribe").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are unsubscribed").wait_for()
    page.screenshot(path=SCREENSHOTS / f"{name}-done.png", full_page=True)
    assert suppressed(database_url) == [("unsubscribed", "page")]
    assert complaints == []
    context.close()
