"""The web app put together: settings in, FastAPI out.

Started as `uvicorn --factory growth_pipeline.web.app:create_app`.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from growth_pipeline.billing.store import AsyncInbox, BillingStore
from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.store import AsyncIngest
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.lifecycle.suppression.store import SuppressionStore
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.embedded import running_embedded
from growth_pipeline.storage.migrations import pending
from growth_pipeline.storage.postgres import AsyncDatabase, Database, connect
from growth_pipeline.stripe_api.access import access_of
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.stripe_api.signatures import warm_up
from growth_pipeline.web.apply_worker import ApplyWorker
from growth_pipeline.web.inbox_writer import InboxWriter
from growth_pipeline.web.pages import PageFacts, Readiness, add_pages
from growth_pipeline.web.refetch_worker import RefetchWorker
from growth_pipeline.web.security import Gate, check_routes, routes_of
from growth_pipeline.web.track import PATHS, Ingest, add_track_routes
from growth_pipeline.web.unsubscribe import WaysOut, add_ways_out
from growth_pipeline.web.webhooks import PATH, WebApp, WebhookReceiver, add_webhook_routes

_log: Final = structlog.get_logger(__name__)

_PROBE_SECONDS: Final = 3.0
_APPLY_POLL_SECONDS: Final = 0.2
_INGEST: Final = ("POST", "OPTIONS")


def create_app(
    settings: Settings | None = None, *, clock: Callable[[], datetime] | None = None
) -> FastAPI:
    """The app, ready to serve; without arguments it is uvicorn's factory.

    Its connections live from start-up to shutdown (SIGTERM included): events that were
    acknowledged are on disk by then, those that wait in the inbox are applied at the next start,
    or by the process that `apply_events` is.
    Raises: ConfigurationError when no database is named and none runs here; RouteRuleError when a
    route has no rule.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    now = clock or _utc_now
    database = Database(_database_url(settings), application_name="growth-web")
    store = BillingStore(database)
    worker = ApplyWorker(store, clock=now)
    asker = _refetch_worker(store, settings, now)
    inbox = AsyncDatabase(_database_url(settings), application_name="growth-inbox")
    writer = InboxWriter(AsyncInbox(inbox), on_stored=worker.wake)
    receiver = WebhookReceiver(
        writer,
        secrets=[secret.get_secret_value() for secret in settings.stripe.webhook_secrets],
        tolerance_seconds=settings.stripe.webhook_tolerance_seconds,
        account_id=settings.stripe.account_id,
        clock=now,
    )
    tracked = AsyncDatabase(_database_url(settings), application_name="growth-ingest")
    ingest = Ingest(
        AsyncIngest(tracked),
        events_per_second=settings.events.key_events_per_second,
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
        _spare_collector()
        _bind_mode(store, settings, now())
        writer.start()
        ingest.start()
        if settings.web.applies_events:
            worker.start()
            asker.start()
        yield
        await writer.stop()
        await ingest.stop()
        await inbox.close()
        await tracked.close()
        asker.stop()
        worker.stop()
        database.close()

    app = WebApp(
        direct={
            ("POST", PATH): Gate(receiver),
            **{(method, path): Gate(ingest.receiver) for path in PATHS for method in _INGEST},
        },
        title="growth_pipeline",
        version=facts.version,
        description="Receives Stripe's webhooks and product events; shows where things are.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from a CDN; ours is /docs in pages.py
        redoc_url=None,
    )
    app.state.webhook_counts = receiver.counts
    app.state.event_counts = ingest.counts.since_start
    add_webhook_routes(app, receiver)
    add_track_routes(app, ingest.receiver)
    add_pages(app, facts)
    add_ways_out(app, facts, _ways_out(settings, database))
    files = StaticFiles(
        directory=Path(__file__).parent / "static",
        packages=[("growth_pipeline.core", "static")],  # the colours, which reports have too
    )
    app.mount("/static", files, name="static")
    app.add_middleware(Gate)
    check_routes(routes_of(app))
    return app


def _ways_out(settings: Settings, database: Database) -> WaysOut:
    """Routes out of e-mails; those without a secret of their own stay closed."""
    given = settings.lifecycle
    links = given.link_secret
    webhook, token = given.kit_webhook_secret, given.api_token
    return WaysOut(
        SuppressionStore(database),
        links=UnsubscribeLinks(links.get_secret_value()) if links else None,
        webhook_secret=webhook.get_secret_value() if webhook else None,
        api_token=token.get_secret_value() if token else None,
    )


def apply_events(stopping: threading.Event, settings: Settings | None = None) -> None:
    """Apply what arrives in the inbox until told to stop, for web apps that only receive.

    Raises: ConfigurationError when no database is named and none runs here.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    with Database(_database_url(settings), application_name="growth-apply") as database:
        store = BillingStore(database)
        worker = ApplyWorker(store, clock=_utc_now, poll_seconds=_APPLY_POLL_SECONDS)
        asker = _refetch_worker(store, settings, _utc_now)
        _bind_mode(store, settings, _utc_now())
        worker.start()
        asker.start()
        stopping.wait()
        asker.stop()
        worker.stop()


def _refetch_worker(
    store: BillingStore, settings: Settings, clock: Callable[[], datetime]
) -> RefetchWorker:
    """Asks Stripe with the settings' key, of its own account and each connected one; or nobody."""
    stripe = settings.stripe
    accounts = dict.fromkeys([stripe.account_id, *stripe.connected_accounts])
    readers = [partial(open_reader, settings, account) for account in accounts]
    return RefetchWorker(store, readers if stripe.api_key else [], clock=clock)


def open_reader(settings: Settings, account_id: str) -> StripeReader:
    """A reader of one account. Raises: ConfigurationError when the key is wrong in shape."""
    own = access_of(settings.stripe, settings.state_dir)
    return StripeReader(own.of_account(account_id))


def _bind_mode(store: BillingStore, settings: Settings, now: datetime) -> None:
    """Say which of Stripe's modes the database is for, so that events of the other are not applied.

    A key of the other mode is logged and stops nothing: what the database is for decides, not the
    key, and events that are not stored now may be lost.
    """
    stripe = settings.stripe
    if stripe.api_key is None:
        return
    try:
        store.bind_mode(Scope(stripe.account_id, stripe.livemode), now=now)
    except GrowthError as error:
        _log.error("stripe_mode_not_bound", reason=error.message, remedy=error.remedy)


def _spare_collector() -> None:
    """Take what start-up made out of the garbage collector's sight, once a process.

    That is 100,000 objects which stay for ever; looking through them stopped every webhook for
    70 ms, again and again.
    """
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()


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
