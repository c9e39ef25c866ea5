"""A company in Postgres whose users and events our views read."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline_tests.cohorts.postgres.company import ADOPT, TABLES, Company


@pytest.fixture
def store(database) -> CohortStore:
    return CohortStore(database)


@pytest.fixture
def company(database_url: str) -> Iterator[Company]:
    """Its own tables, adopted with the trigger."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(ADOPT)
        yield Company(connection)
