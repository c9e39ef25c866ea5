"""E-mail addresses of users: read when a message is due, known by their hash, never stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql


def address_hash(address: str) -> bytes:
    """What an address is known by; equal to `lifecycle.address_hash` in the database."""
    return hashlib.sha256(address.strip(" \t\r\n").encode().lower()).digest()


class AddressBook:
    """Addresses as the sources of users tell them now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def addresses(self, users: Sequence[int]) -> dict[int, str]:
        """User number -> address, of those who have one and are not deleted.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            rows = connection.execute(
                load_sql("lifecycle/addresses_of_users"), {"users": list(users)}
            ).fetchall()
        return {row[0]: row[1] for row in rows}
