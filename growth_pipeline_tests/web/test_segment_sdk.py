"""Segment's own Python SDK works against the ingest by configuration alone."""

import logging

import pytest
from segment.analytics.client import Client

from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.ingest_server import create_key
from growth_pipeline_tests.fakes.web_server import serve, settings_of


class Moody:
    """The app behind answers that a test asks for first: (status, headers) each."""

    def __init__(self, app, *answers):
        self._app = app
        self.answers = list(answers)
        self.refused = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not self.answers:
            await self._app(scope, receive, send)
            return
        status, headers = self.answers.pop(0)
        self.refused += 1
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"0"), *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def sdk(database_url, tmp_path):
    """Runs a scenario with the SDK's client: the app's answers before it, then its options."""

    def run(scenario, *answers, **options):
        app = Moody(create_app(settings_of(database_url, tmp_path)), *answers)
        errors = []
        with serve(app) as url:
            client = Client(
                create_key(database_url).key,
                host=url,
                on_error=lambda error, batch: errors.append((error, len(batch))),
                **options,
            )
            scenario(client)
            client.shutdown()
        assert errors == []
        return app.refused

    log = logging.getLogger("segment")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield run
    log.setLevel(level)


def all_calls(client):
    client.identify("u1", {"plan": "pro"})
    client.track("u1", "Thing Done", {"n": 1})
    client.page("u1", "Docs", "Pricing")
    client.screen("u1", "App", "Home")
    client.group("u1", "g1", {"size": 5})
    client.alias("before", "u1")


def stored(database):
    with database.connection() as connection:
        cursor = connection.execute("select type, user_id, flags from events.events order by type")
        return cursor.fetchall()


@pytest.mark.parametrize("gzip", [True, False])
def test_all_six_calls_arrive(sdk, database, gzip):
    sdk(all_calls, gzip=gzip)
    rows = stored(database)
    assert [row[0] for row in rows] == ["alias", "group", "identify", "page", "screen", "track"]
    assert [row[2] for row in rows] == [[], [], [], [], [], ["not_in_catalogue"]]


@pytest.mark.parametrize(
    "refusal", [(503, []), (429, [(b"retry-after", b"1")]), (408, []), (500, [])]
)
def test_what_is_refused_for_a_while_is_sent_again(sdk, database, refusal):
    assert sdk(all_calls, refusal, upload_interval=0.05) >= 1
    assert len(stored(database)) == 6


def test_shutting_down_sends_what_waits(sdk, database):
    def many(client):
        for number in range(1500):
            client.track("u1", "Thing Done", {"n": number})

    sdk(many, gzip=True)
    assert len(stored(database)) == 1500
