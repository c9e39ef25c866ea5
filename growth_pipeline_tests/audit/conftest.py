from __future__ import annotations

import pytest

from growth_pipeline_tests.audit.company import Company


@pytest.fixture
def company(lake, database, engine) -> Company:
    """A company without payments, live mode, whose files of three months are read at one instant."""
    return Company(lake, database, engine)
