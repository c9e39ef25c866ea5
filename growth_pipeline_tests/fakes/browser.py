"""A headless Chromium, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


class NoBrowserError(Exception):
    """There is none here; says what to install."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that is closed at the end. Raises: NoBrowserError."""
    from playwright.sync_api import sync_playwright

    try:
        driver = sync_playwright().start()
    except Exception as error:  # the driver's own way to say that it died
        raise NoBrowserError(f"Playwright's driver does not start: {error}") from error
    try:
        path = next(filter(None, map(shutil.which, BROWSERS)), driver.chromium.executable_path)
        if not Path(path).exists():
            raise NoBrowserError(
                "no Chromium: install it (apt-get install chromium) or run python3 run.py test"
            )
        opened = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()
    finally:
        driver.stop()
