"""Signed links by which somebody unsubscribes: they hold the hash of an address, never itself."""

from __future__ import annotations

from typing import Final

from itsdangerous import BadSignature, URLSafeSerializer

_SALT: Final = "growth_pipeline unsubscribe 1"
_HASH_BYTES: Final = 32


class UnsubscribeLinks:
    """Makes and reads tokens. They never expire: a mail of years ago must still work."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeSerializer(secret, salt=_SALT)

    def token(self, address_hash: bytes) -> str:
        """The token of an address."""
        return str(self._serializer.dumps(address_hash.hex()))

    def read(self, token: str) -> bytes | None:
        """The hash of the address; None for a token that we did not make."""
        try:
            found = bytes.fromhex(self._serializer.loads(token))
        except (BadSignature, ValueError, TypeError):
            return None
        return found if len(found) == _HASH_BYTES else None
