"""A copy of all suppressions in the lake: a database that is restored learns what it forgot."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import orjson

from growth_pipeline.lifecycle.suppression.store import Suppression, SuppressionStore

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake

PLACE: Final = "lifecycle/suppressions.json"


def keep_copy(store: SuppressionStore, lake: Lake) -> int:
    """Bring copy and database together; how many suppressions the database had forgotten.

    The newer word about one address and reason counts in the copy. Raises: LakeWriteError;
    LakeUnreadableError; RemoteUnavailableError.
    """
    kept = {(one.address_hash, one.reason): one for one in _read(lake)}
    restored = store.restore(kept.values())
    known = {(one.address_hash, one.reason): one for one in store.every()}
    if known != kept:
        told = [one.to_dict() for _, one in sorted(known.items())]
        lake.put_artifact(PLACE, orjson.dumps(told))
    return restored


def _read(lake: Lake) -> list[Suppression]:
    body = lake.find_artifact(PLACE)
    return [
        Suppression(
            bytes.fromhex(one["address_hash"]),
            one["reason"],
            one["source"],
            datetime.fromisoformat(one["since"]),
            datetime.fromisoformat(one["lifted_at"]) if one["lifted_at"] else None,
        )
        for one in orjson.loads(body or b"[]")
    ]
