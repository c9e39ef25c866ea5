"""What assets are given: opened from the settings when a run starts, closed when it ends.

Secrets are read here and never enter Dagster's config. Nothing heavy is imported before a run asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.billing.sweep_store import SweepStore
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database
    from growth_pipeline.storage.queries import Queries
    from growth_pipeline.stripe_api.client import StripeReader
else:
    StripeReader = object  # Dagster resolves annotations at import; the real class brings httpx

Clock = Callable[[], datetime]
OpenReader = Callable[..., StripeReader]  # of the key's own account, or of the one it is given

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


@dg.resource(
    description="What computes cohorts: the engine, or the cluster of the settings.",
    required_resource_keys={"engine"},
)
@contextmanager
def queries(context: dg.InitResourceContext) -> Iterator[Queries]:
    """The engine behind its small interface, or a cluster that is left after the run."""
    from growth_pipeline.storage.cluster import queries_on

    with queries_on(load_settings().engine.cluster_url, context.resources.engine) as chosen:
        yield chosen


@dg.resource(description="The analytics engine over the lake.")
def engine(_context: dg.InitResourceContext) -> Engine:
    """An engine within the bounds of the settings, spilling into the state folder."""
    from growth_pipeline.storage.engine import Engine

    return Engine(**load_settings().engine_bounds)


@dg.resource(
    description="Opens a reader of Stripe with the key of the settings.",
    required_resource_keys={"database"},
)
def stripe(context: dg.InitResourceContext) -> OpenReader:
    """A reader serves one thread, so assets open one for each; they share one request budget.

    Raises: ConfigurationError when the database holds rows of the other mode than the key's.
    """
    bind_mode(context.resources.database)
    return open_reader


def bind_mode(database: Database) -> None:
    """See that the database is for the mode of the settings' key, before anything is written.

    Without a key nothing is said. Raises: ConfigurationError for a key of the other mode.
    """
    from growth_pipeline.billing.store import BillingStore

    stripe = load_settings().stripe
    if stripe.api_key is not None:
        scope = Scope(stripe.account_id, stripe.livemode)
        BillingStore(database).bind_mode(scope, now=datetime.now(UTC))


def open_reader(account_id: str | None = None) -> StripeReader:
    """A reader with the settings' key; close it, or use it as a context manager.

    `account_id` is one of the settings' accounts: the key's own (None), or a connected one.
    Raises: ConfigurationError when the key is missing or wrong in shape.
    """
    from growth_pipeline.stripe_api.access import access_of
    from growth_pipeline.stripe_api.client import StripeReader

    settings = load_settings()
    access = access_of(settings.stripe, settings.state_dir)
    return StripeReader(access.of_account(account_id or settings.stripe.account_id))


@dg.resource(
    description="Inbox, mirror and payments in Postgres.", required_resource_keys={"database"}
)
def billing_store(context: dg.InitResourceContext) -> BillingStore:
    """Store on the run's database."""
    from growth_pipeline.billing.store import BillingStore

    return BillingStore(context.resources.database)


@dg.resource(
    description="How far events were swept, what was lost, what differed.",
    required_resource_keys={"database"},
)
def sweep_store(context: dg.InitResourceContext) -> SweepStore:
    """Store on the run's database."""
    from growth_pipeline.billing.sweep_store import SweepStore

    return SweepStore(context.resources.database)


@dg.resource(description="The Stripe account and mode that the settings name.")
def scope(_context: dg.InitResourceContext) -> Scope:
    """First part of every key."""
    return configured_scopes()[0]


@dg.resource(description="The account of the key and the accounts connected to it, in one mode.")
def scopes(_context: dg.InitResourceContext) -> Sequence[Scope]:
    """The key's own account first."""
    return configured_scopes()


def configured_scopes() -> list[Scope]:
    """Account and mode of the key, then those of the connected accounts it reads too."""
    return load_settings().stripe.scopes


@dg.resource(description="Where pages wait until their list was read to its end.")
def checkpoints(_context: dg.InitResourceContext) -> Path:
    """A folder under the state folder; an extract that was killed goes on from there."""
    return load_settings().state_dir.resolve() / "extracts"


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
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        if not waiting:
            raise
        # Dagster would sleep and try the step again, deaf to the person who pressed Ctrl-C.
        raise dg.Failure("stopped by a signal", allow_retries=False) from KeyboardInterrupt()
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
