"""Landing page, list of routes and probes."""

import json
import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.settings import Settings
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.web.app import create_app
from growth_pipeline.web.pages import DemoStatus, read_demo_status
from growth_pipeline_tests.fakes.web_server import SECRET, settings_of


class Page(HTMLParser):
    """What a page is made of: tags, links, heading levels, text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.levels, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))

    def handle_data(self, data):
        self.text += data


def test_the_landing_page_links_to_dagster_the_api_and_the_health(client):
    answer = client.get("/")
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "http://127.0.0.1:3000" in page.links
    assert {"/docs", "/readyz", "/static/site.css", "/static/colours.css"} <= set(page.links)
    assert "Warming up" not in page.text


def test_every_style_sheet_of_a_page_is_served(client):
    sheets = [link for link in Page(client.get("/").text).links if link.endswith(".css")]
    answers = [client.get(sheet) for sheet in sheets]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.headers["content-type"] for answer in answers} == {"text/css; charset=utf-8"}
    assert "--accent: #1d4ed8" in "".join(answer.text for answer in answers)


def test_the_address_of_dagster_is_a_setting(database_url, tmp_path):
    app = create_app(
        settings_of(database_url, tmp_path, SECRET, dagster_url="https://dagster.example")
    )
    with TestClient(app) as client:
        assert "https://dagster.example" in Page(client.get("/").text).links


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_have_one_language_one_main_heading_and_no_gap_in_levels(client, path):
    page = Page(client.get(path).text)
    assert ("html", {"lang": "en"}) in page.tags
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(
        after - before <= 1 for before, after in zip(page.levels, page.levels[1:], strict=False)
    )
    assert [tag for tag, _ in page.tags].count("main") == 1
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_need_no_script_no_inline_style_and_nobody_else(client, path):
    page = Page(client.get(path).text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "style" not in {name for tag, attributes in page.tags for name in (tag, *attributes)}
    foreign = [link for link in page.links if link.startswith(("http", "//"))]
    assert all(link.startswith("http://127.0.0.1:3000") for link in foreign)


def test_every_file_a_page_names_is_there(client):
    for path in {link for link in Page(client.get("/").text).links if link.startswith("/")}:
        assert client.get(path).status_code == 200, path


def test_the_banner_says_that_a_demo_is_warming_up_and_at_which_step(client, tmp_path):
    status = tmp_path / "demo-status.json"
    status.write_text(json.dumps({"state": "warming_up", "step": "Ingesting <webhooks>"}))
    page = client.get("/").text
    assert "Warming up" in page
    assert "Ingesting &lt;webhooks&gt;" in page
    status.write_text(json.dumps({"state": "ready", "step": ""}))
    assert "Warming up" not in client.get("/").text


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"state": "dancing"}', '{"state": "ready", "step": 7}', "\udc80"]
)
def test_an_unreadable_demo_status_is_no_status(tmp_path, content):
    path = tmp_path / "demo-status.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_demo_status(path) is None
    assert read_demo_status(tmp_path / "missing.json") is None


def test_a_long_step_is_cut(tmp_path):
    path = tmp_path / "demo-status.json"
    path.write_text(json.dumps({"state": "warming_up", "step": "x" * 1000}))
    assert read_demo_status(path) == DemoStatus("warming_up", "x" * 200)


def test_the_list_of_routes_is_local_and_names_credentials(client):
    page = Page(client.get("/docs").text)
    assert "/webhooks/stripe" in page.text
    assert "stripe signature" in page.text
    described = client.get("/openapi.json").json()
    assert {"200", "400", "413", "503"} <= set(
        described["paths"]["/webhooks/stripe"]["post"]["responses"]
    )


def test_the_process_is_healthy_and_says_its_version(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/version").json()["name"] == "growth_pipeline"


def test_it_is_ready_only_once_the_database_is_migrated(empty_database_url, tmp_path):
    with TestClient(create_app(settings_of(empty_database_url, tmp_path, SECRET))) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert "growth migrate" in answer.json()["remedy"]
        assert client.get("/").status_code == 200
        migrate(empty_database_url)
        assert client.get("/readyz").json() == {"ready": True, "warnings": []}


def test_without_a_signing_secret_the_page_says_what_to_set(database_url, tmp_path):
    with TestClient(create_app(settings_of(database_url, tmp_path))) as client:
        assert "GROWTH_STRIPE__WEBHOOK_SECRETS" in client.get("/").text


def test_a_wrong_turn_is_a_page_for_people_and_json_for_machines(client):
    person = client.get("/nowhere", headers={"Accept": "text/html"})
    machine = client.get("/nowhere")
    assert (person.status_code, machine.status_code) == (404, 404)
    assert "Back to the start" in person.text
    assert machine.json() == {"detail": "Not Found"}


def test_static_files_cannot_be_left(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404


def test_without_any_database_the_app_does_not_start_and_says_why(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        create_app(Settings(_env_file=None, state_dir=tmp_path))
    assert "GROWTH_DATABASE_URL" in caught.value.remedy
