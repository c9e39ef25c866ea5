"""One company for all tests that only look at it; a server on it; a fresh copy to spoil."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline_tests.fakes.local_server import serving

AS_OF = int(datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp())
KEY = "rk_test_sandbox"


@pytest.fixture(scope="session")
def company() -> Company:
    return Company(as_of=AS_OF)


@pytest.fixture(scope="session")
def company_file(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("company") / "company.sqlite"
    store = Store(path)
    build(company, store)
    store.close()
    return path


@pytest.fixture(scope="session")
def store(company_file: Path) -> Iterator[Store]:
    opened = Store(company_file)
    yield opened
    opened.close()


@pytest.fixture
def fresh_store(company_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy that a test may plant in and deliver from."""
    opened = Store(Path(shutil.copy(company_file, tmp_path / "copy.sqlite")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def objects(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All objects of all lists as they are at the as-of instant, deleted ones as their stub."""
    return {
        name: [
            orjson.loads(store.find(resource, object_id).body)  # type: ignore[union-attr]
            for (object_id,) in store.execute(f"select id from {name} order by pos").fetchall()
        ]
        for name, resource in RESOURCES.items()
        if name != "events"
    }


@pytest.fixture(scope="session")
def events(store: Store) -> list[dict[str, Any]]:
    """All events, oldest first."""
    return [orjson.loads(event.body) for event in store.events()]


@pytest.fixture(scope="session")
def address(store: Store, company: Company) -> Iterator[str]:
    with serving(create_app(store, company, Access(KEY))) as url:
        yield url


@pytest.fixture(scope="session")
def api(address: str) -> Iterator[httpx.Client]:
    """A client with the right key."""
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


@pytest.fixture
def spoiled(fresh_store: Store, company: Company) -> Iterator[httpx.Client]:
    """A client of a server of this test alone, which may be planted in and made to fail."""
    with serving(create_app(fresh_store, company, Access(KEY))) as url:
        headers = {"Authorization": f"Bearer {KEY}", "X-Sandbox-Key": KEY}
        with httpx.Client(base_url=url, headers=headers) as client:
            yield client
