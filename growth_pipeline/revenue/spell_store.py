"""Spells of MRR in Postgres, and what a day was worth. Statements: sql/revenue/.

What a spell is belongs to `spells`. Contract: docs/metrics.md, "Published revenue".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson

from growth_pipeline.core.calendar import date_of, first_day_after
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.invariants import STATEMENTS
from growth_pipeline.revenue.normalise import round_to_minor
from growth_pipeline.revenue.policies import MrrPolicy
from growth_pipeline.revenue.spells import Spell
from growth_pipeline.revenue.state_lake import Customer
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    lock_partition,
    raw_json,
    stage,
)
from growth_pipeline.storage.sql import load_sql

TYPES: Final = {
    "policy": "text",
    "account_id": "text",
    "customer_id": "text",
    "currency": "text",
    "subscription_id": "text",
    "item_id": "text",
    "price_id": "text",
    "product_id": "text",
    "quantity": "int8",
    "billing_interval": "text",
    "interval_count": "int4",
    "from_at": "timestamptz",
    "until_at": "timestamptz",
    "from_on": "date",
    "until_on": "date",
    "mrr_minor": "int8",
    "contract_minor": "int8",
    "exact_numerator": "numeric",
    "exact_denominator": "numeric",
    "ends_by": "text",
    "cancels_at": "timestamptz",
    "is_assumed": "bool",
    "told_by": "text",
}
_EXAMPLES: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Publication:
    """What a publication did. `since`: the first day whose figures may differ, None: none does.

    `restated`: customers' months that were over and published, and are others now.
    """

    policy: str
    spells: int
    written: int
    withdrawn: int
    since: date | None
    days: int
    restated: int = 0

    def in_words(self) -> str:
        """`growth@1: 120 spells, 3 written, 1 withdrawn, days from 2031-03-02 on`."""
        since = f"days from {self.since} on" if self.since else "no day differs"
        return (
            f"{self.policy}: {self.spells} spells, {self.written} written, "
            f"{self.withdrawn} withdrawn, {since}, {self.restated} months restated"
        )


@dataclass(frozen=True)
class Published:
    """What is published under a policy. `tz`: zone of its days."""

    policy: str
    options: dict[str, Any]
    tz: str
    as_of: datetime
    known_at: datetime
    inputs_sha256: str
    code_version: str


class SpellStore:
    """Published spells and days. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(
        self,
        policy: MrrPolicy,
        spells: Iterable[Spell],
        *,
        published: Published,
        changed: Collection[Customer] | None = None,
    ) -> Publication:
        """Make these the spells of a policy, in one transaction; equal ones are left alone.

        `changed`: `spells` are those of these customers only, and theirs alone are replaced. Days
        are summed again from the first that may differ to the last that is over.
        Raises: RemoteUnavailableError.
        """
        rows = (row_of(spell, policy, published.tz) for spell in spells)
        accounts = None if changed is None else [account for account, _ in changed]
        values = {
            "policy": policy.definition,
            "tz": published.tz,
            "is_whole": changed is None,
            "accounts": accounts or [],
            "customers": [] if changed is None else [customer for _, customer in changed],
        }
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "revenue", "mrr", policy.definition)
            before = _published(connection, policy.definition)
            is_other = before is None or (before.tz, before.options) != (
                published.tz,
                published.options,
            )
            stage(connection, "revenue.mrr_spells", list(TYPES), list(TYPES.values()), rows)
            connection.execute("analyze growth_staging")
            connection.execute(load_sql("revenue/stage_differences"), values)
            connection.execute("analyze growth_differences")
            since = _first(connection, "changed_since", values)
            restated = 0
            if before is not None and not is_other:
                restated = _note_restatements(connection, before, published)
            withdrawn = connection.execute(load_sql("revenue/withdraw_spells"), values).rowcount
            written = connection.execute(load_sql("revenue/publish_spells"), values).rowcount
            spans = [since, None if before is None or is_other else _day_after(before)]
            first = None if is_other else min((day for day in spans if day), default=None)
            bounds = {**values, "since": first, "until": _end(published)}
            connection.execute(load_sql("revenue/forget_days"), bounds)
            days = connection.execute(load_sql("revenue/publish_days"), bounds).rowcount
            connection.execute(load_sql("revenue/publish_policy"), _values(published))
            total = _first(connection, "count_spells", values)
        return Publication(policy.definition, total or 0, written, withdrawn, since, days, restated)

    def faults(self, rule: str, policy: str, scopes: Sequence[Scope]) -> list[str]:
        """What breaks an invariant under a policy, some examples.

        Raises: RemoteUnavailableError.
        """
        found = self.published(policy)
        if found is None:
            return [f"{policy} is not published"]
        values = {
            "policy": policy,
            "accounts": [scope.account_id for scope in scopes],
            "livemode": bool(scopes) and scopes[0].livemode,
            "known_at": found.known_at,
            "limit": _EXAMPLES,
        }
        with clear_errors(), self._database.connection() as connection:
            rows = connection.execute(load_sql(f"revenue/{STATEMENTS[rule]}"), values)
            return [fault for (fault,) in rows.fetchall()]

    def forget_others(self, kept: Sequence[str]) -> int:
        """Withdraw policies that are not among these; how many. Raises: RemoteUnavailableError."""
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(
                load_sql("revenue/forget_policies"), {"kept": list(kept)}
            ).rowcount

    def published(self, policy: str) -> Published | None:
        """What is published under a policy, None if nothing is. Raises: RemoteUnavailableError."""
        with clear_errors(), self._database.connection() as connection:
            return _published(connection, policy)


def row_of(spell: Spell, policy: MrrPolicy, tz: str) -> tuple[Any, ...]:
    """A spell as a row of revenue.mrr_spells, in the order of `TYPES`."""
    price = spell.item.price
    return (
        policy.definition,
        spell.account_id,
        spell.customer_id,
        spell.currency,
        spell.subscription_id,
        spell.item.id,
        price.id,
        price.product,
        spell.item.quantity,
        price.interval,
        price.interval_count,
        _at(spell.from_at),
        None if spell.until_at is None else _at(spell.until_at),
        date_of(first_day_after(tz, spell.from_at)),
        None if spell.until_at is None else date_of(first_day_after(tz, spell.until_at)),
        spell.minor,
        contract_minor(spell, policy),
        None if spell.exact is None else spell.exact.numerator,
        None if spell.exact is None else spell.exact.denominator,
        spell.ends_by,
        None if spell.cancels_at is None else _at(spell.cancels_at),
        spell.is_assumed,
        spell.told_by,
    )


def contract_minor(spell: Spell, policy: MrrPolicy) -> int | None:
    """What the item is worth before discounts, rounded by itself; None where it is not known."""
    if spell.contract is None:
        return None
    return round_to_minor(spell.contract, spell.currency, policy)


# --- inside --------------------------------------------------------------------------------------


def _at(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)


def _end(published: Published) -> date:
    """The first local day that is not over by as_of: its last instant is not known yet."""
    second = published.as_of.timestamp()
    return date_of(first_day_after(published.tz, int(second)))


def _day_after(before: Published) -> date:
    return _end(before)


def _note_restatements(connection: Connection, before: Published, now: Published) -> int:
    values = {
        "policy": now.policy,
        "end_before": _end(before),
        "known_before": before.known_at,
        "known_at": now.known_at,
        "is_other_code": before.code_version != now.code_version,
        "code_version": now.code_version,
    }
    return connection.execute(load_sql("revenue/note_restatements"), values).rowcount


def _first(connection: Connection, statement: str, values: dict[str, Any]) -> Any:
    row = connection.execute(load_sql(f"revenue/{statement}"), values).fetchone()
    return None if row is None else row[0]


def _published(connection: Connection, policy: str) -> Published | None:
    row = connection.execute(load_sql("revenue/published_policy"), {"policy": policy}).fetchone()
    return None if row is None else Published(*row)


def _values(published: Published) -> dict[str, Any]:
    options = raw_json(orjson.dumps(published.options, option=orjson.OPT_SORT_KEYS))
    return {
        "policy": published.policy,
        "options": options,
        "tz": published.tz,
        "as_of": published.as_of,
        "known_at": published.known_at,
        "inputs_sha256": published.inputs_sha256,
        "code_version": published.code_version,
    }
