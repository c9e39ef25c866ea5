"""The bridge of a month, from the states in the lake, or from the ledger as it was known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import partial
from itertools import groupby

from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState, ZonedMonth
from growth_pipeline.operate.database import open_database
from growth_pipeline.revenue.bridge.faces import BridgeAnswer, known_in_words
from growth_pipeline.revenue.bridge.walk import Bridge, Key, walk
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.history_store import HistoryStore, known_until
from growth_pipeline.revenue.invoice_basis import Facts, needs_invoices, states_under
from growth_pipeline.revenue.invoice_store import InvoiceStore
from growth_pipeline.revenue.policies import MrrPolicy, policy_named
from growth_pipeline.revenue.state_lake import Customer, read_customers, read_marks
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database

Customers = Iterable[tuple[Customer, Sequence[SubscriptionState]]]
Say = Callable[[str], None]


def bridge_month(
    before: str,
    after: str,
    month: str,
    *,
    currency: str | None,
    known_at: str | None,
    say: Say,
) -> BridgeAnswer:
    """The bridge between two policies at the snapshot of a month.

    Raises: UsageError for an unknown policy or month, or one that is not over; GrowthError without
    states; RemoteUnavailableError.
    """
    first, last, asked = policy_named(before), policy_named(after), Month.parse(month)
    instant = None if known_at is None else instant_of(known_at)
    if instant is not None:
        refuse_invoices(first, last)
    with open_database(say, tells_demo=True) as (_, database):
        settings = load_settings()
        scopes = settings.stripe.scopes
        tz = settings.revenue.timezone
        states, as_of = known_states(database, settings, known_at=instant)
        for policy in (first, last):
            check_over(asked, policy.tz or tz, as_of)
        say(f"walking from {first.definition} to {last.definition} at the end of {asked}")
        found = walk(
            states,
            first,
            last,
            instant=partial(snapshot_second, asked, tz=tz),
            seen=partial(_seen, facts_of(database, scopes, (first, last))),
        )
    told = {
        "month": asked.key,
        "from": first.definition,
        "to": last.definition,
        "as_of": as_of.isoformat(),
        "tz": tz,
        "known_at": known_in_words(instant),
    }
    return BridgeAnswer(told, found if currency is None else only(found, currency.lower()))


def refuse_invoices(*policies: MrrPolicy) -> None:
    """Invoices are kept as they are now. Raises: UsageError for a policy that looks at them."""
    for policy in policies:
        if needs_invoices(policy):
            raise UsageError(
                f"{policy.definition} counts invoices or refunds, which are known as of now only",
                remedy="leave --known-at out, or give policies with basis subscription and "
                "refunds ignore",
            )


def known_states(
    database: Database, settings: Settings, *, known_at: datetime | None
) -> tuple[Customers, datetime]:
    """Customers with their states, and up to when the mirror was complete.

    From the lake, or from the ledger as far as it had been received by `known_at`.
    Raises: GrowthError when nothing is known.
    """
    if known_at is not None:
        scopes = settings.stripe.scopes
        complete = known_until(database, scopes)
        as_of = known_at if complete is None else min(known_at, complete)
        return customers_of_ledger(database, scopes, known_at), as_of
    lake = Lake(settings.resolved_lake_url)
    marks = read_marks(lake)
    if marks is None:
        raise GrowthError(
            "no states of subscriptions are known yet",
            remedy="run growth mrr refresh",
        )
    return read_customers(lake), marks.as_of


def snapshot_second(month: Month, policy: MrrPolicy, *, tz: str) -> int:
    """The Unix second whose MRR is that of the month under a policy."""
    zoned = ZonedMonth(month, policy.tz or tz)
    if policy.snapshot == "first":
        return int(zoned.start.timestamp())
    return int(zoned.end.timestamp()) - 1


def check_over(month: Month, tz: str, as_of: datetime) -> None:
    """Refuse a month that is not over. Raises: UsageError."""
    if ZonedMonth(month, tz).state(as_of) is not PeriodState.CLOSED:
        raise UsageError(
            f"{month} is not over: the mirror is complete up to {as_of.isoformat()}",
            remedy="ask for a month that is over",
        )


def instant_of(text: str) -> datetime:
    """An instant in UTC; a date is its end: what was known by then.

    Raises: UsageError.
    """
    try:
        if len(text.strip()) == len("2031-04-05"):
            return datetime.combine(date.fromisoformat(text.strip()), time.max, tzinfo=UTC)
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{text!r} is not an instant", remedy="write it as 2031-04-05, or 2031-04-05T12:00:00Z"
        ) from None
    return told.replace(tzinfo=told.tzinfo or UTC).astimezone(UTC)


def only(found: Bridge, currency: str) -> Bridge:
    """The walk in one currency."""
    return Bridge(
        start={key: value for key, value in found.start.items() if key == currency},
        end={key: value for key, value in found.end.items() if key == currency},
        steps=found.steps,
        customers=tuple(one for one in found.customers if one.currency == currency),
        unknown=tuple(key for key in found.unknown if _currency(key) == currency),
    )


# --- inside --------------------------------------------------------------------------------------


def _currency(key: Key) -> str:
    return key[2]


def customers_of_ledger(
    database: Database, scopes: Sequence[Scope], known_at: datetime
) -> Iterator[tuple[Customer, list[SubscriptionState]]]:
    """Customers with their states as far as the ledger had received them by an instant."""
    for scope in scopes:
        states = HistoryStore(database, scope).read_states(known_at=known_at)
        for customer, held in groupby(states, key=lambda state: state.customer_id):
            yield (scope.account_id, customer), list(held)


def facts_of(
    database: Database, scopes: Sequence[Scope], policies: Sequence[MrrPolicy]
) -> Facts | None:
    """All that any policy on the way may need of invoices; None where none looks at them."""
    if not any(map(needs_invoices, policies)):
        return None
    asked = replace(policies[0], basis="invoice", refunds="deduct")
    found = [InvoiceStore(database, scope).read_facts(asked) for scope in scopes]
    return Facts(
        {key: rows for one in found for key, rows in one.lines.items()},
        {key: rows for one in found for key, rows in one.refunds.items()},
    )


def _seen(
    facts: Facts | None, states: Sequence[SubscriptionState], policy: MrrPolicy
) -> Sequence[SubscriptionState]:
    if facts is None or not states:
        return states
    return states_under(states, policy, facts.of_customer(states, states[0].customer_id))
