"""The web app put together: settings in, FastAPI out.

Started as `uvicorn --factory growth_pipeline.web.app:create_app`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.embedded import running_embedded
from growth_pipeline.storage.migrations import pending
from growth_pipeline.storage.postgres import Database, connect
from growth_pipeline.stripe_api.signatures import warm_up
from growth_pipeline.web.apply_worker import ApplyWorker
from growth_pipeline.web.inbox_writer import InboxWriter
from growth_pipeline.web.pages import PageFacts, Readiness, add_pages
from growth_pipeline.web.security import Gate, check_routes, routes_of
from growth_pipeline.web.webhooks import WebhookReceiver, add_webhook_routes

_PROBE_SECONDS: Final = 3.0


def create_app(
    settings: Settings | None = None, *, clock: Callable[[], datetime] | None = None
) -> FastAPI:
    """The app, ready to serve; without arguments it is uvicorn's factory.

    Its threads and its pool live from start-up to shutdown (SIGTERM included): events that were
    acknowledged are on disk by then, those that wait in the inbox are applied at the next start.
    Raises: ConfigurationError when no database is named and none runs here; RouteRuleError when a
    route has no rule.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    now = clock or _utc_now
    database = Database(_database_url(settings), application_name="growth-web")
    store = BillingStore(database)
    worker = ApplyWorker(store, clock=now)
    writer = InboxWriter(store, on_stored=worker.wake)
    receiver = WebhookReceiver(
        writer,
        secrets=[secret.get_secret_value() for secret in settings.stripe.webhook_secrets],
        tolerance_seconds=settings.stripe.webhook_tolerance_seconds,
        account_id=settings.stripe.account_id,
        clock=now,
    )
    facts = PageFacts(
        version=_version(),
        dagster_url=settings.web.dagster_url or f"http://127.0.0.1:{settings.web.dagster_port}",
        demo_status_path=settings.state_dir / "demo-status.json",
        has_webhook_secret=receiver.is_configured,
        readiness=_ReadinessProbe(_database_url(settings)).check,
        warnings=lambda: receiver.warnings,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warm_up()
        writer.start()
        worker.start()
        yield
        writer.stop()
        worker.stop()
        database.close()

    app = FastAPI(
        title="growth_pipeline",
        version=facts.version,
        description="Receives Stripe's webhooks; shows where things are.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from a CDN; ours is /docs in pages.py
        redoc_url=None,
    )
    app.state.webhook_counts = receiver.counts
    add_webhook_routes(app, receiver)
    add_pages(app, facts)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.add_middleware(Gate)
    check_routes(routes_of(app))
    return app


class _ReadinessProbe:
    """Asks the database at most once at a time, so that a slow one cannot pile up questions.

    It asks on a connection of its own: that one fails at once and says why, a pool waits.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_migrated = False
        self._asking = threading.Lock()

    def check(self) -> Readiness:
        """Whether the database answers and has this version's tables."""
        if not self._asking.acquire(timeout=_PROBE_SECONDS):
            return Readiness(False, "the database does not answer", "look at its log")
        try:
            return self._check()
        except GrowthError as error:
            return Readiness(False, error.message, error.remedy)
        finally:
            self._asking.release()

    def _check(self) -> Readiness:
        if not self._is_migrated:
            if missing := pending(self._url):
                reason = f"{len(missing)} migrations are missing"
                return Readiness(False, reason, "run growth migrate")
            self._is_migrated = True
        connect(self._url).close()
        return Readiness(True)


def configure_logging(level: str) -> None:
    """One JSON object a line on standard output; request ids come from the context."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        ),
    )


def _database_url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = running_embedded(settings.state_dir)
    if server is None:
        raise ConfigurationError(
            "no database is named, and no embedded one runs in " + str(settings.state_dir),
            remedy="set GROWTH_DATABASE_URL, or start everything with growth serve",
        )
    return server.url("growth")


def _version() -> str:
    try:
        return version("growth-pipeline")
    except PackageNotFoundError:
        return "unreleased"


def _utc_now() -> datetime:
    return datetime.now(UTC)
