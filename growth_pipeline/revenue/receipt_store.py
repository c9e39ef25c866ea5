"""Receipts in Postgres, the ids of their rows in the lake. Statements: sql/revenue/.

What a receipt is belongs to `receipts`. Contract: docs/metrics.md, "Receipts".
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.revenue.receipts.receipt import Receipt, figures_from, value_text
from growth_pipeline.revenue.spell_store import TYPES, SpellStore
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    lock_partition,
    raw_json,
    stage,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake

SHOWN: Final = 20


class StoredReceipt(NamedTuple):
    """A receipt as it was stored, under the id that it was given then."""

    receipt: Receipt
    receipt_id: str
    rows_artifact: str

    @property
    def is_whole(self) -> bool:
        """Whether it is as it was made."""
        return self.receipt.receipt_id == self.receipt_id


class Sides(NamedTuple):
    """Rows published now and computed again: number and hash of both, and rows of one side only."""

    published: tuple[int, str]
    again: tuple[int, str]
    differing: list[dict[str, Any]]


class ReceiptStore:
    """Receipts of published figures. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self, policy: str, lake: Lake, *, tell: Callable[[str], None] = lambda _: None
    ) -> tuple[int, int]:
        """Receipts for every closed month of a policy; how many were made, how many there are.

        A month whose rows, rules and figures are those of its newest receipt keeps it.
        Raises: GrowthError without publication; RemoteUnavailableError; LakeWriteError.
        """
        published = SpellStore(self._database).published(policy)
        if published is None:
            raise GrowthError(
                f"{policy} is not published", remedy="run growth mrr refresh, then again"
            )
        months = self._rows("months_of_figures", policy=policy, month=None)
        made = 0
        for start, newest in months:
            before = None if newest is None else self.read(newest)
            with clear_errors(), self._database.connection() as connection:
                lock_partition(connection, "revenue", "receipts", policy)
                counted, sha256 = _hash_published(connection, policy, start)
                receipt = Receipt(
                    policy=policy,
                    period_start=start,
                    options=published.options,
                    tz=published.tz,
                    code_version=published.code_version,
                    as_of=published.as_of,
                    known_at=published.known_at,
                    rows=counted,
                    sha256=sha256,
                    figures=_figures(connection, policy, start),
                )
                if before and before.is_whole and before.receipt.says_the_same(receipt):
                    receipt = before.receipt
                else:
                    _insert(connection, lake, receipt)
                    made += 1
                connection.execute(
                    load_sql("revenue/name_receipt"),
                    {
                        "policy": policy,
                        "period_start": start,
                        "receipt_id": receipt.receipt_id,
                    },
                )
        tell(f"{policy}: {made} receipts made, {len(months)} months have one")
        return made, len(months)

    def newest(self, policy: str, month: date) -> StoredReceipt | None:
        """The newest receipt of a month; None without. Raises: RemoteUnavailableError."""
        found = self._rows("months_of_figures", policy=policy, month=month)
        return None if not found or found[0][1] is None else self.read(found[0][1])

    def read(self, receipt_id: str) -> StoredReceipt:
        """A receipt by its id. Raises: GrowthError for one that is not there."""
        rows = self._rows("read_receipt", receipt_id=receipt_id)
        if not rows:
            raise GrowthError(f"there is no receipt {receipt_id}")
        policy, start, options, inputs, version, as_of, known_at, figures, artifact, told = rows[0]
        receipt = Receipt(
            policy=policy,
            period_start=start,
            options=options,
            tz=inputs[0]["tz"],
            code_version=version,
            as_of=as_of,
            known_at=known_at,
            rows=inputs[0]["rows"],
            sha256=inputs[0]["sha256"],
            figures=figures_from(figures),
        )
        return StoredReceipt(receipt, told, artifact)

    def figures(self, policy: str, month: date) -> dict[Any, str | None]:
        """What is published of a month now. Raises: RemoteUnavailableError."""
        with clear_errors(), self._database.connection() as connection:
            return _figures(connection, policy, month)

    def compare(self, receipt: Receipt, rows: Iterable[Sequence[Any]]) -> Sides:
        """Rows published now against rows computed again, as `spell_store.row_of` has them.

        Raises: RemoteUnavailableError.
        """
        values = {"next_start": next_month(receipt.period_start), "limit": SHOWN}
        with clear_errors(), self._database.connection() as connection:
            stage(connection, "revenue.mrr_spells", list(TYPES), list(TYPES.values()), rows)
            connection.execute(load_sql("revenue/create_receipt_rows"))
            connection.execute(load_sql("revenue/receipt_staged_rows"), values)
            again = _hash(connection)
            connection.execute("alter table growth_receipt_rows rename to growth_other_rows")
            published = _hash_published(connection, receipt.policy, receipt.period_start)
            found = connection.execute(load_sql("revenue/differing_receipt_rows"), values)
            names = [column.name for column in found.description or ()]
            differing = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return Sides(published, again, differing)

    def faults(self, policies: Sequence[str]) -> list[str]:
        """Figures of closed months without receipt, or with another value than in it.

        Raises: RemoteUnavailableError.
        """
        rows = self._rows("faults_of_receipts", policies=list(policies), limit=SHOWN)
        return [fault for (fault,) in rows]

    def artifacts(self, policies: Sequence[str]) -> list[str]:
        """Where the ids of rows of the receipts in use lie. Raises: RemoteUnavailableError."""
        rows = self._rows("artifacts_of_receipts", policies=list(policies))
        return [path for (path,) in rows]

    def restatements(self, policy: str, month: date | None) -> list[dict[str, Any]]:
        """Later changes of published months, newest first. Raises: RemoteUnavailableError."""
        with clear_errors(), self._database.connection() as connection:
            found = connection.execute(
                load_sql("revenue/list_restatements"), {"policy": policy, "month": month}
            )
            names = [column.name for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"revenue/{statement}"), values).fetchall()


def next_month(start: date) -> date:
    """The first day of the month after."""
    return date(start.year + start.month // 12, start.month % 12 + 1, 1)


# --- inside --------------------------------------------------------------------------------------


def _hash_published(connection: Connection, policy: str, start: date) -> tuple[int, str]:
    """Number and hash of the rows behind a month; they stay in growth_receipt_rows."""
    connection.execute("drop table if exists pg_temp.growth_receipt_rows")
    connection.execute(load_sql("revenue/create_receipt_rows"))
    connection.execute(
        load_sql("revenue/receipt_rows"), {"policy": policy, "next_start": next_month(start)}
    )
    return _hash(connection)


def _hash(connection: Connection) -> tuple[int, str]:
    row = connection.execute(load_sql("revenue/hash_receipt_rows")).fetchone()
    assert row is not None  # noqa: S101  # one row, always
    return int(row[0]), str(row[1])


def _figures(connection: Connection, policy: str, start: date) -> dict[Any, str | None]:
    rows = connection.execute(
        load_sql("revenue/figures_of_month"), {"policy": policy, "period_start": start}
    ).fetchall()
    return {tuple(row[:4]): value_text(row[4]) for row in rows}


def _insert(connection: Connection, lake: Lake, receipt: Receipt) -> None:
    rows = connection.execute(
        load_sql("revenue/rows_of_receipt"), {"period_start": receipt.period_start}
    )
    names = [column.name for column in rows.description or ()]
    lines = b"\n".join(orjson.dumps(dict(zip(names, row, strict=True))) for row in rows)
    month = receipt.period_start.strftime("%Y-%m")
    path = f"receipts/{receipt.policy.replace('@', '-')}/{month}/{receipt.receipt_id}.ndjson.gz"
    # mtime 0: the same rows are the same bytes.
    lake.put_artifact(path, gzip.compress(lines, mtime=0))
    inputs = [
        {
            "table": "revenue.mrr_spells",
            "rows": receipt.rows,
            "sha256": receipt.sha256,
            "tz": receipt.tz,
        }
    ]
    connection.execute(
        load_sql("revenue/insert_receipt"),
        {
            "receipt_id": receipt.receipt_id,
            "policy": receipt.policy,
            "period_start": receipt.period_start,
            "options": raw_json(orjson.dumps(dict(receipt.options))),
            "code_version": receipt.code_version,
            "as_of": receipt.as_of,
            "known_at": receipt.known_at,
            "inputs": raw_json(orjson.dumps(inputs)),
            "figures": raw_json(orjson.dumps(receipt.figure_rows())),
            "rows_artifact": path,
        },
    )
