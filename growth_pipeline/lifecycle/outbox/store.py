"""Rows of lifecycle.outbox and how they move. All times are the database's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from growth_pipeline.storage.postgres import Connection, Database, RowsRefusedError, clear_errors
from growth_pipeline.storage.sql import load_sql

SAME_ADDRESS: Final = "same_address"
LOST_CLAIM: Final = "lost_claim"


@dataclass(frozen=True, slots=True)
class Message:
    """One claimed message. `claimed_at` is the claim: whoever finds another one has lost it.

    `absent`: Kit was read once since the outcome became unknown, and did not have it.
    """

    message_id: int
    user_number: int
    message: str
    action: str
    target: str
    basis: str
    attempts: int
    claimed_at: datetime
    kit_id: int | None = None
    absent: bool = False
    is_old: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A message whose address is locked: what speaks against the call now; empty: nothing."""

    connection: Connection
    against: str


class OutboxStore:
    """Messages in Postgres. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expire(self, lease: timedelta) -> int:
        """Claims of senders that died: pending again if no call was made, else unknown."""
        return self._run("outbox_expire", lease=lease)

    def skip_late(self) -> int:
        """Messages that nobody wants any more; how many."""
        return self._run("outbox_skip_late")

    def claim(self) -> Message | None:
        """The most important message that is due, now being sent; None: nothing is due."""
        rows = self._rows("outbox_claim")
        return _message(rows[0]) if rows else None

    def claim_unknown(self, settle_after: timedelta, parked_after: timedelta) -> Message | None:
        """A message of unknown outcome that may be read back now; None: there is none."""
        rows = self._rows("outbox_claim_unknown", settle=settle_after, old=parked_after)
        return _message(rows[0]) if rows else None

    def set_address(self, message: Message, address_hash: bytes) -> str:
        """Keep to which address it goes; what speaks against it, empty: nothing.

        Two users of one address get a message once.
        """
        try:
            rows = self._rows("outbox_address", **_claim(message), address_hash=address_hash)
        except RowsRefusedError:
            return SAME_ADDRESS
        return str(rows[0][0]) if rows else LOST_CLAIM

    def keep_consent(
        self, message: Message, address_hash: bytes, given_at: datetime | None
    ) -> None:
        """The consent that a message rests on: an active subscriber since an instant."""
        if given_at is not None:
            self._run(
                "outbox_consent", **_claim(message), address_hash=address_hash, given_at=given_at
            )

    def has_consent(self, address_hash: bytes) -> bool:
        """Whether somebody of the address said yes, beside Kit."""
        return bool(self._rows("outbox_has_consent", address_hash=address_hash)[0][0])

    def mark_called(self, message: Message, kit_id: int) -> bool:
        """A call is about to be made; False: the claim is lost and none may be."""
        return self._run("outbox_called", **_claim(message), kit_id=kit_id) == 1

    @contextmanager
    def hold(self, message: Message, address_hash: bytes) -> Iterator[Held]:
        """The lock of the address and the row, while the call is made; outcomes go into it.

        Nobody suppresses the address meanwhile, and nobody takes the claim away.
        """
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("lifecycle/lock_address"), {"address_hash": address_hash})
            row = connection.execute(
                load_sql("lifecycle/outbox_against"),
                {**_claim(message), "address_hash": address_hash},
            ).fetchone()
            yield Held(connection, LOST_CLAIM if row is None else str(row[0]))

    def mark(
        self,
        message: Message,
        state: str,
        *,
        reason: str = "",
        wait: timedelta | None = None,
        held: Held | None = None,
    ) -> bool:
        """What became of a claimed message; False: the claim was lost.

        `wait`: pending again, due after so long. Sent and unknown keep when it was called.
        """
        values = {**_claim(message), "state": state, "reason": reason[:200], "wait": wait}
        if held is not None:
            found = held.connection.execute(load_sql("lifecycle/outbox_mark"), values)
            return found.rowcount == 1
        return self._run("outbox_mark", **values) == 1

    def mark_absent(self, message: Message) -> bool:
        """Kit was read once and does not have it; whoever reads next decides."""
        return self._run("outbox_absent", **_claim(message)) == 1

    def release(self, message: Message) -> bool:
        """A message of unknown outcome of which Kit could not tell now."""
        return self._run("outbox_release", **_claim(message)) == 1

    def suppress(self, address_hash: bytes, reason: str, source: str) -> bool:
        """Never write to an address again; waits for a call that is under way."""
        values = {"address_hash": address_hash, "reason": reason, "source": source}
        return bool(self._rows("suppress", **values)[0][0])

    def counts(self) -> dict[str, int]:
        """Messages by state; those that are due under `due`."""
        return {row[0]: row[1] for row in self._rows("outbox_counts")}

    def listed(self, states: tuple[str, ...], limit: int) -> list[dict[str, Any]]:
        """Messages in some states, the newest first, without any address."""
        with clear_errors(), self._database.connection() as connection:
            found = connection.execute(
                load_sql("lifecycle/outbox_list"), {"states": list(states), "limit": limit}
            )
            names = [column.name for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def decide(self, message_id: int, state: str, reason: str) -> bool:
        """What a person decided about a parked message: skipped, or pending once more."""
        values = {"message_id": message_id, "state": state, "reason": reason}
        return self._run("outbox_decide", **values) == 1

    def _run(self, statement: str, **values: Any) -> int:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"lifecycle/{statement}"), values).rowcount

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"lifecycle/{statement}"), values).fetchall()


def _message(row: tuple[Any, ...]) -> Message:
    return Message(*row)


def _claim(message: Message) -> Mapping[str, Any]:
    return {"message_id": message.message_id, "claimed_at": message.claimed_at}
