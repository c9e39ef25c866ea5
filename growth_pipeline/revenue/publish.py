"""From the ledger to published MRR: states into the lake, spells and days into Postgres.

Only customers of whom something became known are read and computed again; the result is the same as
from the start. Contract: docs/metrics.md, "Published revenue".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from growth_pipeline import __version__
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.history_store import (
    HistoryStore,
    known_until,
    news_since,
    settled_until,
)
from growth_pipeline.revenue.invoice_basis import Facts, needs_invoices, states_under
from growth_pipeline.revenue.invoice_store import InvoiceStore
from growth_pipeline.revenue.policies import MrrPolicy, policy_named
from growth_pipeline.revenue.spell_store import Publication, Published, SpellStore
from growth_pipeline.revenue.spells import Spell, spells_of
from growth_pipeline.revenue.state_lake import (
    Customer,
    StatesRead,
    read_customers,
    read_marks,
    write_states,
)

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database

# Transactions that were open at the last reading may have brought rows of an earlier instant.
OVERLAP: Final = timedelta(minutes=10)
# Another way to read states: they are all read again.
STATES_RULES: Final = "states@1"
CODE_VERSION: Final = f"{__version__}+mrr.1"
"""Of the rules that make spells and figures; another one computes everything again."""


@dataclass(frozen=True)
class StatesRefreshed:
    """What a refresh read. `customers`: of how many, None for all."""

    marks: StatesRead
    customers: int | None

    def in_words(self) -> str:
        """`1,204 states as of …; read again: 3 customers`."""
        who = "all customers" if self.customers is None else f"{self.customers} customers"
        return f"{self.marks.states:,} states as of {self.marks.as_of.isoformat()}; read: {who}"


def refresh_states(
    database: Database, lake: Lake, scopes: Sequence[Scope], *, now: datetime, anew: bool = False
) -> StatesRefreshed:
    """Bring the states in the lake up to what the ledger has received by `now`.

    `anew`: read every subscription again, as where accounts or rules are others than before.
    Raises: GrowthError without any event or sweep to tell up to when the mirror is complete;
    RemoteUnavailableError; LakeWriteError.
    """
    as_of = known_until(database, scopes)
    if as_of is None:
        raise GrowthError(
            "nothing of Stripe is in the mirror yet, so MRR is not known",
            remedy="let webhooks come in, or run growth backfill",
        )
    source = _source(scopes)
    marks = None if anew else read_marks(lake)
    known_at = settled_until(database, scopes, now)
    news: Collection[Customer] | None = None
    if marks is not None and marks.source == source:
        news = news_since(database, scopes, marks.known_at - OVERLAP)
    states = (
        state
        for scope in scopes
        for state in HistoryStore(database, scope).read_states(
            customers=_of_account(news, scope.account_id), known_at=known_at
        )
    )
    done = write_states(lake, states, as_of=as_of, known_at=known_at, changed=news, source=source)
    return StatesRefreshed(done, None if news is None else len(news))


def publish_mrr(
    database: Database,
    lake: Lake,
    scopes: Sequence[Scope],
    policies: Sequence[MrrPolicy],
    *,
    tz: str,
    anew: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Publication]:
    """Publish spells and days of each policy from the states in the lake; withdraw other policies.

    Raises: GrowthError when there are no states; RemoteUnavailableError.
    """
    marks = read_marks(lake)
    if marks is None:
        raise GrowthError(
            "the lake holds no states of subscriptions",
            remedy="run growth mrr refresh",
        )
    store = SpellStore(database)
    done = []
    for policy in policies:
        published = _published(policy, marks, tz)
        changed = None if anew else _changed(store, database, scopes, published, marks)
        facts = facts_under(database, scopes, policy)
        spells = spells_under(read_customers(lake, changed), policy, facts)
        done.append(store.publish(policy, spells, published=published, changed=changed))
        tell(done[-1].in_words())
    store.forget_others([policy.definition for policy in policies])
    return done


def spells_under(
    customers: Iterable[tuple[Customer, list[SubscriptionState]]],
    policy: MrrPolicy,
    facts: Facts | None,
) -> Iterator[Spell]:
    """Spells of customers under a policy; `facts` where it looks at invoices."""
    for (_, customer), states in customers:
        seen = (
            states
            if facts is None
            else states_under(states, policy, facts.of_customer(states, customer))
        )
        yield from spells_of(seen, policy)


def policies_of(names: Iterable[str]) -> list[MrrPolicy]:
    """The presets of the settings, each once. Raises: UsageError for an unknown one."""
    found = {policy.definition: policy for policy in map(policy_named, names)}
    return list(found.values())


# --- inside --------------------------------------------------------------------------------------


def _source(scopes: Sequence[Scope]) -> str:
    """Whose states, and by which rules: under others, all are read again."""
    whose = ",".join(sorted(f"{account}:{livemode}" for account, livemode in scopes))
    return f"{whose} {STATES_RULES}"


def _of_account(news: Collection[Customer] | None, account_id: str) -> list[str] | None:
    return None if news is None else [one for account, one in news if account == account_id]


def _published(policy: MrrPolicy, marks: StatesRead, tz: str) -> Published:
    return Published(
        policy=policy.definition,
        options=policy.resolved(),
        tz=policy.tz or tz,
        as_of=marks.as_of,
        known_at=marks.known_at,
        inputs_sha256=marks.sha256,
        code_version=CODE_VERSION,
    )


def _changed(
    store: SpellStore,
    database: Database,
    scopes: Sequence[Scope],
    wanted: Published,
    marks: StatesRead,
) -> Collection[Customer] | None:
    """Customers with news since the last publication; None for all."""
    before = store.published(wanted.policy)
    if before is None or (before.options, before.tz, before.code_version) != (
        wanted.options,
        wanted.tz,
        wanted.code_version,
    ):
        return None
    if before.known_at < marks.whole_at or needs_invoices(policy_named(wanted.policy)):
        return None
    return news_since(database, scopes, before.known_at - OVERLAP)


def facts_under(database: Database, scopes: Sequence[Scope], policy: MrrPolicy) -> Facts | None:
    """What a policy needs beyond the states of subscriptions; None if it needs nothing.

    Raises: RemoteUnavailableError.
    """
    if not needs_invoices(policy):
        return None
    found = [InvoiceStore(database, scope).read_facts(policy) for scope in scopes]
    return Facts(
        {key: rows for one in found for key, rows in one.lines.items()},
        {key: rows for one in found for key, rows in one.refunds.items()},
    )
