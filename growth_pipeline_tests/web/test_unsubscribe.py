"""Ways out of e-mails over HTTP: the page, the application's call, Kit's webhook."""

from __future__ import annotations

import psycopg
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from growth_pipeline.lifecycle.outbox.addresses import address_hash
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.settings import LifecycleSettings
from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.web_server import SECRET, Clock, settings_of

KIT_SECRET, LINK_SECRET, TOKEN = "k" * 40, "l" * 40, "t" * 40
ADDRESS = "ann@example.com"


@pytest.fixture
def open_app(database_url, tmp_path):
    opened = []

    def make(**lifecycle):
        settings = settings_of(database_url, tmp_path, SECRET)
        settings.lifecycle = LifecycleSettings(**lifecycle)
        client = TestClient(create_app(settings, clock=Clock()), raise_server_exceptions=False)
        opened.append(client)
        return client.__enter__()

    yield make
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def client(open_app):
    return open_app(
        kit_webhook_secret=SecretStr(KIT_SECRET),
        link_secret=SecretStr(LINK_SECRET),
        api_token=SecretStr(TOKEN),
    )


def suppressed(url):
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select address_hash, reason, source, kit_id from lifecycle.suppressions"
        ).fetchall()
    return [(bytes(row[0]), *row[1:]) for row in rows]


def link(address=ADDRESS):
    return f"/unsubscribe/{UnsubscribeLinks(LINK_SECRET).token(address_hash(address))}"


def test_opening_the_link_changes_nothing_and_asks(client, database_url):
    answer = client.get(link())
    assert (answer.status_code, "Unsubscribe?" in answer.text) == (200, True)
    assert '<form method="post">' in answer.text
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert suppressed(database_url) == []


def test_a_click_unsubscribes_and_a_second_one_is_harmless(client, database_url):
    first, second = client.post(link()), client.post(link())
    assert (first.status_code, second.status_code) == (200, 200)
    assert "You are unsubscribed" in first.text
    assert suppressed(database_url) == [(address_hash(ADDRESS), "unsubscribed", "page", None)]


def test_mail_programs_unsubscribe_with_one_click(client, database_url):
    answer = client.post(link(), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert len(suppressed(database_url)) == 1


def test_a_link_holds_no_address_and_cannot_be_changed(client, database_url):
    path = link()
    assert "ann" not in path
    for broken in (path[:-1], path + "x", "/unsubscribe/abc", path.replace(".", "..", 1)):
        assert client.post(broken).status_code == 404
    assert suppressed(database_url) == []


def test_links_of_another_secret_are_not_ours(client, database_url):
    other = UnsubscribeLinks("o" * 40).token(address_hash(ADDRESS))
    assert client.post(f"/unsubscribe/{other}").status_code == 404
    assert suppressed(database_url) == []


def test_the_application_unsubscribes_an_address(client, database_url):
    answer = client.post(
        "/v1/unsubscribe",
        json={"email": " Ann@Example.COM "},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert (answer.status_code, answer.json()) == (200, {"unsubscribed": True})
    assert suppressed(database_url) == [(address_hash(ADDRESS), "unsubscribed", "api", None)]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_a_wrong_token_is_refused(client, database_url, given):
    answer = client.post(
        "/v1/unsubscribe", json={"email": ADDRESS}, headers={"Authorization": given}
    )
    assert answer.status_code == 401
    assert suppressed(database_url) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"email": 3}', b'{"email": " "}', b"\xff"])
def test_a_body_without_an_address_is_refused(client, database_url, body):
    answer = client.post(
        "/v1/unsubscribe", content=body, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert answer.status_code == 400
    assert suppressed(database_url) == []


def test_a_hint_of_kit_is_a_hold_and_nothing_more(client, database_url):
    told = {"subscriber": {"id": 7, "email_address": ADDRESS, "state": "active"}}
    answer = client.post(f"/webhooks/kit/{KIT_SECRET}", json=told)
    assert answer.status_code == 200
    assert suppressed(database_url) == [(address_hash(ADDRESS), "hold", "kit_webhook", 7)]


def test_a_wrong_path_of_kit_is_no_route(client, database_url):
    told = {"subscriber": {"id": 7, "email_address": ADDRESS}}
    assert client.post(f"/webhooks/kit/{'x' * 40}", json=told).status_code == 404
    assert suppressed(database_url) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"subscriber": 1}', b'{"subscriber": {}}'])
def test_a_hint_without_an_address_is_told_so(client, database_url, body):
    assert client.post(f"/webhooks/kit/{KIT_SECRET}", content=body).status_code == 400
    assert suppressed(database_url) == []


def test_ways_without_a_secret_are_closed(open_app, database_url):
    shut = open_app()
    assert shut.get(link()).status_code == 404
    assert shut.post(link()).status_code == 404
    assert shut.post("/webhooks/kit/", json={}).status_code == 404
    assert shut.post(f"/webhooks/kit/{KIT_SECRET}", json={}).status_code == 404
    bearer = {"Authorization": "Bearer "}
    assert shut.post("/v1/unsubscribe", json={"email": ADDRESS}, headers=bearer).status_code == 401
    assert suppressed(database_url) == []


def test_secrets_of_paths_are_in_no_log(client, capsys):
    client.get(link())
    client.post(f"/webhooks/kit/{KIT_SECRET}", content=b"[]")
    client.post(f"/webhooks/kit/{'w' * 40}", content=b"[]")
    logged = capsys.readouterr()
    for secret in (KIT_SECRET, "w" * 40, link().rsplit("/", 1)[1]):
        assert secret not in logged.out + logged.err


def test_what_cannot_be_stored_is_not_promised(client, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table lifecycle.suppressions rename to gone")
        answers = [
            client.post(link()),
            client.post(
                "/v1/unsubscribe",
                json={"email": ADDRESS},
                headers={"Authorization": f"Bearer {TOKEN}"},
            ),
        ]
        connection.execute("alter table lifecycle.gone rename to suppressions")
    assert [one.status_code for one in answers] == [503, 503]
