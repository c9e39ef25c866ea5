"""What assets are given: opened from the settings when a run starts, closed when it ends.

Secrets are read here and never enter Dagster's config. Nothing heavy is imported before a run asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database
    from growth_pipeline.stripe_api.client import StripeReader
else:
    StripeReader = object  # Dagster resolves annotations at import; the real class brings httpx

Clock = Callable[[], datetime]
OpenReader = Callable[[], StripeReader]

VIA_TAG = "growth/via"


def database_url(settings: Settings) -> str:
    """Address of the application's database: the setting, else the running embedded server.

    Raises: ConfigurationError when neither is there.
    """
    if settings.database_url:
        return settings.database_url.get_secret_value()
    from growth_pipeline.storage.embedded import running_embedded

    server = running_embedded(settings.state_dir)
    if server is None:
        raise ConfigurationError(
            f"no database: GROWTH_DATABASE_URL is empty and no embedded server runs in "
            f"{settings.state_dir}",
            remedy="start everything with `growth dev`, or set GROWTH_DATABASE_URL",
        )
    return server.url("growth")


@dg.resource(description="The application's Postgres database.")
def database(_context: dg.InitResourceContext) -> Iterator[Database]:
    """Pool of one run, closed at its end."""
    from growth_pipeline.storage.postgres import Database

    opened = Database(database_url(load_settings()), application_name="growth dagster")
    try:
        yield opened
    finally:
        opened.close()


@dg.resource(description="The Parquet lake: a folder or an object store.")
def lake(_context: dg.InitResourceContext) -> Lake:
    """The lake of the settings."""
    from growth_pipeline.storage.lake import Lake

    return Lake(load_settings().resolved_lake_url)


@dg.resource(description="The analytics engine over the lake.")
def engine(_context: dg.InitResourceContext) -> Engine:
    """An engine within the bounds of the settings, spilling into the state folder."""
    from growth_pipeline.storage.engine import Engine

    settings = load_settings()
    return Engine(
        memory_limit=settings.engine.memory_limit,
        threads=settings.engine.threads,
        temp_dir=settings.state_dir.resolve() / "spill",
    )


@dg.resource(description="Opens a reader of Stripe with the key of the settings.")
def stripe(_context: dg.InitResourceContext) -> OpenReader:
    """A reader serves one thread, so assets open one for each; they share one request budget."""
    return open_reader


def open_reader() -> StripeReader:
    """A reader with the settings' key; close it, or use it as a context manager.

    Raises: ConfigurationError when the key is missing or wrong in shape.
    """
    from growth_pipeline.stripe_api.client import (
        StripeAccess,
        StripeReader,
    )

    stripe = load_settings().stripe
    access = StripeAccess(
        api_key=stripe.api_key.get_secret_value() if stripe.api_key else "",
        api_base=stripe.api_base,
        api_version=stripe.api_version,
        account_id=stripe.account_id,
        livemode=stripe.livemode,
        requests_per_second=stripe.account_requests_per_second,
        endpoint_requests_per_second=stripe.endpoint_requests_per_second,
        timeout_seconds=stripe.timeout_seconds,
        retry_seconds=stripe.retry_seconds,
    )
    return StripeReader(access)


@dg.resource(
    description="Inbox, mirror and payments in Postgres.", required_resource_keys={"database"}
)
def billing_store(context: dg.InitResourceContext) -> BillingStore:
    """Store on the run's database."""
    from growth_pipeline.billing.store import BillingStore

    return BillingStore(context.resources.database)


@dg.resource(description="The Stripe account and mode that the settings name.")
def scope(_context: dg.InitResourceContext) -> Scope:
    """First part of every key."""
    stripe = load_settings().stripe
    return Scope(stripe.account_id, stripe.livemode)


@dg.resource(description="Now, in UTC.")
def clock(_context: dg.InitResourceContext) -> Clock:
    """The one clock of a run; rules get its instants as arguments."""
    return lambda: datetime.now(UTC)


@contextmanager
def told_in_one_sentence(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Errors of ours become a failed step with one sentence and its remedy.

    Dagster repeats the step only if that may help, and never for a person who waits at a terminal.
    """
    waiting = VIA_TAG in context.run.tags
    try:
        yield
    except GrowthError as error:
        raise dg.Failure(
            description=error.message,
            metadata={"remedy": error.remedy or "none known", "retry_helps": error.retryable},
            allow_retries=error.retryable and not waiting,
        ) from error
    except Exception as error:
        if not waiting:
            raise
        raise dg.Failure(f"unexpected {type(error).__name__}", allow_retries=False) from error
