"""Suppressions and consents, by the hash of an address. Statements: sql/lifecycle/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

HOLD: Final = "hold"
REASONS: Final = ("unsubscribed", "bounced", "complained", "erased", "manual")


@dataclass(frozen=True, slots=True)
class Suppression:
    """Grain: one reason not to write to an address."""

    address_hash: bytes
    reason: str
    source: str
    since: datetime
    lifted_at: datetime | None = None
    kit_id: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it; the address itself is not known here."""
        return {
            "address_hash": self.address_hash.hex(),
            "reason": self.reason,
            "source": self.source,
            "since": self.since.isoformat(),
            "lifted_at": None if self.lifted_at is None else self.lifted_at.isoformat(),
        }


class SuppressionStore:
    """Suppressions and consents in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def suppress(self, address_hash: bytes, reason: str, source: str) -> bool:
        """Never write to an address again; True if that was not so before.

        Waits for a call that is under way to that address; when it returns, no other begins.
        Raises: RemoteUnavailableError.
        """
        values = {"address_hash": address_hash, "reason": reason, "source": source}
        return bool(self._rows("suppress", **values)[0][0])

    def hold(self, address_hash: bytes, kit_id: int | None, source: str) -> None:
        """Write to nobody of this address until Kit was asked; committed at once."""
        values = {"address_hash": address_hash, "kit_id": kit_id, "source": source}
        self._run("hold", **values)

    def holds(self) -> list[tuple[bytes, int | None]]:
        """Addresses that wait for Kit's word: hash, and Kit's id of the subscriber if known."""
        return [(bytes(row[0]), row[1]) for row in self._rows("holds")]

    def lift(self, address_hash: bytes, reason: str, why: str) -> bool:
        """End a suppression; whether there was one. A person must have asked to be written to."""
        values = {"address_hash": address_hash, "reason": reason, "why": why}
        return self._run("lift_suppression", **values) == 1

    def of_address(self, address_hash: bytes) -> list[Suppression]:
        """Everything that speaks, or spoke, against writing to an address."""
        return self._read("suppressions_of_address", address_hash=address_hash)

    def every(self) -> list[Suppression]:
        """All suppressions, lifted ones too; for the copy."""
        return self._read("suppressions")

    def restore(self, kept: Iterable[Suppression]) -> int:
        """Add those that the database does not know (any more); how many."""
        added = 0
        with clear_errors(), self._database.connection() as connection:
            for one in kept:
                values = {
                    "address_hash": one.address_hash,
                    "reason": one.reason,
                    "since": one.since,
                    "lifted_at": one.lifted_at,
                }
                statement = load_sql("lifecycle/restore_suppression")
                added += connection.execute(statement, values).rowcount
        return added

    def suppress_deleted(self) -> int:
        """Suppress the known addresses of users who were deleted since; how many."""
        return self._run("suppress_deleted")

    def untold(self) -> list[tuple[bytes, int | None]]:
        """Suppressions that Kit was not told of, with its id of the subscriber if one is known."""
        return [(bytes(row[0]), row[1]) for row in self._rows("untold_suppressions")]

    def addresses_of(self, hashes: Sequence[bytes]) -> dict[bytes, str]:
        """Addresses that users have now, of some hashes; read, never stored."""
        rows = self._rows("addresses_of_hashes", hashes=list(hashes)) if hashes else []
        return {bytes(row[0]): row[1] for row in rows}

    def mark_told(self, address_hash: bytes) -> None:
        """Kit was told of every suppression of an address."""
        self._run("mark_told_kit", address_hash=address_hash)

    def consent(
        self, address_hash: bytes, given_at: datetime, source: str, wording: str = ""
    ) -> bool:
        """Keep that somebody said yes; whether it was not known before."""
        return (
            self._run(
                "consent",
                address_hash=address_hash,
                given_at=given_at,
                source=source,
                wording=wording,
            )
            == 1
        )

    def counts(self) -> dict[str, int]:
        """Addresses that are suppressed now, by reason."""
        return {row[0]: row[1] for row in self._rows("suppression_counts")}

    def _read(self, statement: str, **values: Any) -> list[Suppression]:
        return [Suppression(bytes(row[0]), *row[1:]) for row in self._rows(statement, **values)]

    def _run(self, statement: str, **values: Any) -> int:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"lifecycle/{statement}"), values).rowcount

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"lifecycle/{statement}"), values).fetchall()
