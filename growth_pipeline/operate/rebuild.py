"""The whole mirror built again from the ledger, for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from growth_pipeline.billing.rebuild import Rebuilt, rebuild_mirror
from growth_pipeline.operate.webhooks import open_store

_EVERY: int = 10_000


def rebuild(*, now: datetime, check_only: bool, say: Callable[[str], None]) -> Rebuilt:
    """Make mirror and payments what the ledger says, or only say where they differ."""
    said = 0

    def tell(objects: int) -> None:
        nonlocal said
        if objects - said >= _EVERY:
            said = objects
            say(f"{objects} objects built again")

    with open_store(say, read_only=check_only) as store:
        return rebuild_mirror(store, now=now, check_only=check_only, on_progress=tell)


def document_of(rebuilt: Rebuilt, *, check_only: bool) -> dict[str, Any]:
    """For JSON."""
    return {
        "check_only": check_only,
        "is_equal": rebuilt.is_equal,
        "objects": rebuilt.objects,
        "objects_different": rebuilt.different,
        "payments": rebuilt.payments,
        "payments_different": rebuilt.payments_different,
        "sample": [key._asdict() for key in rebuilt.sample],
        "payments_sample": [key._asdict() for key in rebuilt.charges],
    }


def lines_of(rebuilt: Rebuilt, *, check_only: bool) -> list[str]:
    """For a person."""
    counted = f"{rebuilt.objects} objects and {rebuilt.payments} payments"
    if rebuilt.is_equal:
        return [f"{counted} are what the ledger says"]
    verb = "differ from the ledger" if check_only else "differed from the ledger, now they do not"
    return [
        f"of {rebuilt.objects} objects {rebuilt.different}, of {rebuilt.payments} payments "
        f"{rebuilt.payments_different} {verb}",
        *(f"  {key.object} {key.id}" for key in rebuilt.sample),
        *(f"  payment of {key.id}" for key in rebuilt.charges),
        *(["  next: growth mirror rebuild"] if check_only else []),
    ]
