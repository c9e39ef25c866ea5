"""The real web app under test: settings without environment, a clock to turn, a server on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from growth_pipeline.settings import Settings, StripeSettings, WebSettings
from growth_pipeline_tests.fakes.stripe_events import NOON, sign

SECRET = "whsec_growth_example"
OTHER_SECRET = "whsec_growth_second"


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self, seconds: int = NOON) -> None:
        self.now = datetime.fromtimestamp(seconds, UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def seconds(self) -> int:
        return int(self.now.timestamp())


def settings_of(database_url: str, state_dir: Path, *secrets: str, **web: Any) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        state_dir=state_dir,
        log_level="WARNING",
        stripe=StripeSettings(webhook_secrets=[SecretStr(secret) for secret in secrets]),
        web=WebSettings(**web),
    )


def signed(body: bytes, at: int = NOON, secret: str = SECRET) -> dict[str, str]:
    """Headers of a genuine delivery."""
    return {"Stripe-Signature": sign(body, secret, at), "Content-Type": "application/json"}


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """The app behind a real uvicorn on a free port of loopback; its base URL."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, access_log=False, log_level="error", server_header=False
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive(), "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def client_of(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the served app; no proxy of the environment is used."""
    with serve(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client
