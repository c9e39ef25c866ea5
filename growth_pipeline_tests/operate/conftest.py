from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from growth_pipeline_tests.fakes.running_demo import GROWTH, plain_environment


@pytest.fixture
def growth_here(
    tmp_path: Path, database_url: str
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `growth …` in an empty folder on this test's database."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GROWTH, *arguments],
            cwd=tmp_path,
            env=plain_environment(GROWTH_DATABASE_URL=database_url, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run
