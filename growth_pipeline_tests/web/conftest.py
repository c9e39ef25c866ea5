"""A running web app on a new database, with a clock the test turns."""

import pytest
from starlette.testclient import TestClient

from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.web_server import SECRET, Clock, settings_of


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(database_url, tmp_path, clock):
    return create_app(settings_of(database_url, tmp_path, SECRET), clock=clock)


@pytest.fixture
def client(app):
    with TestClient(app) as opened:
        yield opened
