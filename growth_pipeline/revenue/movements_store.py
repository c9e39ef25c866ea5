"""Published movements and figures in Postgres: schema `revenue`. Statements: sql/revenue/.

What rows mean is decided in `published`; here they are written and read. Contract: docs/metrics.md,
"Published movements".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.published.rows import CHANGES, FIGURES, MOVEMENTS
from growth_pipeline.revenue.published.source import PublishedSpells
from growth_pipeline.revenue.usage import MeteredItem
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    copy_batches,
    copy_out,
    lock_partition,
    stage,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Spool

Rows = Iterable[Sequence[Any]]
_TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "movements": ("revenue.mrr_movements", MOVEMENTS),
    "changes": ("revenue.mrr_changes", CHANGES),
    "figures": ("revenue.figures", FIGURES),
}


@dataclass(frozen=True)
class PublishedPolicy:
    """A policy whose spells are published. `as_of`: exclusive; `tz`: zone of its days."""

    policy: str
    tz: str
    as_of: datetime


@dataclass(frozen=True)
class MovementsPublication:
    """Rows that a publication wrote, and that it withdrew."""

    written: int = 0
    withdrawn: int = 0

    def __add__(self, other: MovementsPublication) -> MovementsPublication:
        return MovementsPublication(self.written + other.written, self.withdrawn + other.withdrawn)

    def in_words(self) -> str:
        """`1,204 rows written, 0 withdrawn`."""
        return f"{self.written:,} rows written, {self.withdrawn:,} withdrawn"


class MovementsStore:
    """Published movements, and the spells that they come from. Safe to share between threads."""

    def __init__(self, database: Database, scopes: Sequence[Scope]) -> None:
        self._database = database
        self._accounts = [account for account, _ in scopes]
        self._livemode = all(livemode for _, livemode in scopes)

    def policies(self) -> list[PublishedPolicy]:
        """Policies with published spells, in the order of names.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            rows = connection.execute(load_sql("revenue/published_policies")).fetchall()
        return [PublishedPolicy(*row) for row in rows]

    def read_spells(self, spool: Spool, policy: PublishedPolicy) -> PublishedSpells:
        """The spells of a policy, and what splits their customers, as one moment has them.

        Raises: RemoteUnavailableError.
        """
        values = {
            "policy": policy.policy,
            "as_of": policy.as_of,
            "livemode": self._livemode,
            "accounts": self._accounts,
        }
        with clear_errors(), self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read")
            batches = copy_batches(connection, _sql("spells_of_policy"), values)
            spells = spool.write("spells", batches).path
            customers = copy_out(connection, _sql("customers_of_spells"), values)
            cancellations = copy_out(connection, _sql("cancellations"), values)
        return PublishedSpells(spells, customers, cancellations)

    def read_usage(self, policy: PublishedPolicy) -> list[MeteredItem]:
        """Metered items live at the ends of closed months. Raises: RemoteUnavailableError."""
        values = {
            "policy": policy.policy,
            "as_of": policy.as_of,
            "tz": policy.tz,
            "livemode": self._livemode,
        }
        with clear_errors(), self._database.connection() as connection:
            rows = connection.execute(load_sql("revenue/usage_at_month_ends"), values).fetchall()
        return [MeteredItem(*row) for row in rows]

    def publish(
        self, policy: str, rows: Mapping[str, Rows], *, now: datetime
    ) -> MovementsPublication:
        """Make these the movements, changes and figures of a policy, in one transaction.

        Only rows that differ are written. `rows`: of each of the three tables.
        Raises: RowsRefusedError for rows that cannot be true; RemoteUnavailableError.
        """
        done = MovementsPublication()
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "revenue", "movements", policy)
            for name in _TABLES:
                done += _publish(connection, name, rows[name], {"policy": policy, "now": now})
        return done

    def forget_others(self, kept: Sequence[str]) -> None:
        """Withdraw movements and figures of policies that are not among these.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            for name in _TABLES:
                connection.execute(load_sql(f"revenue/forget_{name}"), {"kept": list(kept)})

    def faults(self, policies: Sequence[str]) -> dict[str, list[str]]:
        """What published rows break, by rule: how often, and an example.

        Raises: RemoteUnavailableError.
        """
        values = {"policies": list(policies)}
        with clear_errors(), self._database.connection() as connection:
            rows = connection.execute(load_sql("revenue/faults_of_movements"), values).fetchall()
        return {rule: [f"{times} times, as {example}"] for rule, times, example in rows}


def _sql(name: str) -> str:
    return load_sql(f"revenue/{name}")


def _publish(
    connection: Connection, name: str, rows: Rows, values: Mapping[str, Any]
) -> MovementsPublication:
    table, columns = _TABLES[name]
    stage(connection, table, list(columns), list(columns.values()), rows)
    connection.execute("analyze growth_staging")
    gone = connection.execute(load_sql(f"revenue/withdraw_{name}"), values).rowcount
    done = connection.execute(load_sql(f"revenue/publish_{name}"), values).rowcount
    return MovementsPublication(done, gone)
