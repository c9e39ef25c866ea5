"""Which classes one customer belongs to, seen from the users of the application. Pure.

Who pays, and whether a customer still exists, is found out in customer_section.py.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from growth_pipeline.audit.findings import in_table_order


@dataclass(frozen=True, slots=True)
class User:
    """One living user of billing.user_customers. Instants in Unix seconds."""

    user_id: str
    email: str | None
    customer_id: str
    written_at: int


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer of Stripe's list. `is_paying`: has a subscription that is billed."""

    id: str
    created: int
    email: str | None
    is_paying: bool = False


class Fate(Enum):
    """What became of a customer that is not in Stripe's list."""

    DELETED = "deleted"
    UNKNOWN = "unknown"
    LIVING = "living"
    NOBODY_KNOWS = "nobody_knows"


def codes_of(customer: Customer, users: Sequence[User]) -> dict[str, dict[str, Any]]:
    """Classes of a living customer, in table order, with what each side says; empty for none."""
    found: dict[str, dict[str, Any]] = {}
    if not users and customer.is_paying:
        found["customer_unmapped"] = {"users": 0}
    if len(users) > 1:
        found["customer_shared"] = {"users": [one.user_id for one in users]}
    if _differs(customer.email, [one.email for one in users]):
        emails = [one.email for one in users if one.email]
        found["email_differs"] = {"stripe": customer.email, "application": emails}
    return {code: found[code] for code in in_table_order(found)}


def code_of_unlisted(fate: Fate) -> str | None:
    """The class of a mapped customer that Stripe's list lacks; None where nothing is wrong."""
    return {Fate.DELETED: "customer_deleted", Fate.UNKNOWN: "orphan_row"}.get(fate)


def _differs(email: str | None, others: Iterable[str | None]) -> bool:
    """Whether both sides tell an address and none of the users' is Stripe's."""
    told = {same_email(one) for one in others} - {""}
    return bool(same_email(email)) and bool(told) and same_email(email) not in told


def same_email(email: str | None) -> str:
    """An address in the form in which two are compared: capitals and blanks do not count."""
    return (email or "").strip().casefold()
