"""The company's own application: who its users are, and whom it lets in for which subscription.

It follows the company's life, not the product: what it provides is worked out here from the price
list, so that an audit has another side to compare with. Written in plain SQL to the tables in
which an application tells it (`billing.entitlements`, `billing.user_customers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from growth_pipeline.sandbox.catalogue import amount_of
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY, Names

# Periods in a month, by interval. Weeks: the contract counts 52 of them a year.
_A_MONTH = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12)}
_LETS_IN = frozenset({"active", "trialing", "past_due"})
_COUNTED = frozenset({"active", "past_due"})
_GRACE_DAYS = 30
_BLOCK = 1000
# Kept beside the columns: what it bills a month before discounts, whatever its status.
WORTH = "worth_minor"
INSTANTS = ("access_ends_at", "deleted_at", "written_at")


class Table(NamedTuple):
    """One table of the application: its columns, and those that name a row."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


ENTITLEMENTS = Table(
    "entitlements",
    (
        *("account_id", "livemode", "subscription_id", "customer_id", "user_id", "has_access"),
        *("price_id", "quantity", "access_ends_at", "mrr_minor", "currency", "written_at"),
    ),
    ("account_id", "livemode", "subscription_id"),
)
USERS = Table(
    "user_customers",
    ("account_id", "livemode", "user_id", "email", "customer_id", "deleted_at", "written_at"),
    ("account_id", "livemode", "user_id"),
)
TABLES = {table.name: table for table in (ENTITLEMENTS, USERS)}


def application_rows(life: Life) -> Iterator[tuple[str, Json]]:
    """What the application holds of one customer, each row with its table's name.

    Instants are epoch seconds. A customer who left is a deleted user.
    """
    if not life.customer:
        return
    scope = {"account_id": life.world.account.id, "livemode": life.livemode}
    user_id = user_of(life.customer["id"])
    written = life.left_at or life.customer["created"]
    yield (
        USERS.name,
        {
            **scope,
            "user_id": user_id,
            "email": life.customer["email"],
            "customer_id": life.customer["id"],
            "deleted_at": life.left_at,
            "written_at": written + 5,
        },
    )
    if life.subscription:
        yield ENTITLEMENTS.name, {**scope, "user_id": user_id, **_provided(life)}


def user_of(customer_id: str) -> str:
    """The user who is that customer; the same customer, the same user."""
    return Names("user", customer_id).new("user")


def _provided(life: Life) -> Json:
    """What is provided for the customer's subscription as it is now.

    Price and quantity are kept for a subscription of one item only.
    """
    sub, single = life.subscription, len(life.items) == 1
    has_access = sub["status"] in _LETS_IN
    period_end = max(item["current_period_end"] for item in life.items)
    return {
        "subscription_id": sub["id"],
        "customer_id": sub["customer"],
        "has_access": has_access,
        "price_id": life.items[0]["price"]["id"] if single else None,
        "quantity": life.items[0]["quantity"] if single else None,
        "access_ends_at": (sub["cancel_at"] or period_end) if has_access else sub["ended_at"],
        "mrr_minor": monthly_minor(life),
        WORTH: round(sum((_monthly(life, item) for item in life.items), Fraction(0))),
        "currency": sub["currency"],
        "written_at": min(life.world.as_of - 60, (sub["ended_at"] or sub["created"]) + 40),
    }


def monthly_minor(life: Life) -> int:
    """MRR of the subscription after its discounts that recur: minor units, rounded once, half-even.

    0 while it does not pay: in trial, paused, ended, unpaid, or past due for more than 30 days.
    """
    if life.subscription["status"] not in _COUNTED or life.subscription["pause_collection"]:
        return 0
    if life.past_due_since and life.past_due_since <= life.world.as_of - _GRACE_DAYS * DAY:
        return 0
    total = sum((_monthly(life, item) for item in life.items), Fraction(0))
    return round(total * _kept_share(life))


def _monthly(life: Life, item: Json) -> Fraction:
    plan = life.catalogue.plan_of(item["price"])
    if plan.interval is None:
        return Fraction(0)
    amount = amount_of(plan, item["quantity"], life.currency)
    return amount * _A_MONTH[plan.interval] / plan.interval_count


def _kept_share(life: Life) -> Fraction:
    """What a discount that recurs leaves; one for a single invoice leaves all."""
    if life.discount is None:
        return Fraction(1)
    coupon = life.catalogue.coupons[life.discount["source"]["coupon"]]
    is_over = (life.discount["end"] or life.world.as_of + 1) <= life.world.as_of
    if coupon["duration"] == "once" or is_over:
        return Fraction(1)
    return 1 - Fraction(coupon["percent_off"]) / 100


# --- writing -------------------------------------------------------------------------------------


def write(database_url: str, rows: Iterable[tuple[str, Json]]) -> int:
    """Writes the application's rows in one transaction, replacing older ones; their number."""
    waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name, row in rows:
        waiting[name].append(as_values(row))
    with psycopg.connect(database_url, application_name="sandbox application") as connection:
        for name, some in waiting.items():
            statement = _upsert(TABLES[name])
            for start in range(0, len(some), _BLOCK):
                connection.cursor().executemany(statement, some[start : start + _BLOCK])
    return sum(map(len, waiting.values()))


def as_values(row: Json) -> dict[str, Any]:
    """The row with its instants as Postgres takes them."""
    return {
        name: datetime.fromtimestamp(value, UTC)
        if name in INSTANTS and value is not None
        else value
        for name, value in row.items()
    }


def _upsert(table: Table) -> sql.Composed:
    where = " where subscription_id is not null" if table is ENTITLEMENTS else ""
    return sql.SQL(
        "insert into billing.{} ({}) values ({}) on conflict ({}){} do update set {}"
    ).format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
        sql.SQL(", ").join(map(sql.Placeholder, table.columns)),
        sql.SQL(", ").join(map(sql.Identifier, table.key)),
        sql.SQL(where),
        sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
            for column in table.columns
            if column not in table.key
        ),
    )
