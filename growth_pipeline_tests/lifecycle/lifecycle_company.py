"""A company as rows of the sources: users, their calls, and their customers' subscriptions."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg

from growth_pipeline.core.ids import Scope
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.revenue.policies import policy_named

SCOPE = Scope("self", False)
FEATURES = ("Feature Used", "Report Viewed", "Search Performed")
RULES = LifecycleRules(
    tz="UTC", features=FEATURES, activation=("Project Created",), policy=policy_named("growth")
)


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


class Company:
    """Writes into the tables that the pipeline reads from, as the ingest and the mirror would."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self.connection.close()

    def tell(
        self,
        user: str | None,
        event: str | None,
        at: datetime,
        *,
        received: datetime | None = None,
        anonymous: str | None = None,
        type: str = "track",
        properties: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """One call of the ingest."""
        body = {"type": type, "event": event, "userId": user, "context": context or {}}
        self.connection.execute(
            "insert into events.events (source_id, message_id, type, event, user_id,"
            " anonymous_id, occurred_at, received_at, properties, body)"
            " values (1, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(uuid.uuid4().hex, type, event, user, anonymous, at, received or at),
                *(json.dumps(properties or {}), json.dumps(body).encode()),
            ],
        )

    def sign_up(self, user: str, day: date, **told: Any) -> None:
        self.tell(user, "User Signed Up", noon(day), **told)

    def use(self, user: str, event: str, *days: date, **told: Any) -> None:
        for day in days:
            self.tell(user, event, noon(day), **told)

    def customer(self, user: str, customer: str | None) -> None:
        """What the application tells: the user's customer at Stripe."""
        self.connection.execute(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id)"
            " values (%s, %s, %s, %s) on conflict (account_id, livemode, user_id)"
            " do update set customer_id = excluded.customer_id",
            [*SCOPE, user, customer],
        )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()

    def stages(self) -> dict[str, tuple[str, date]]:
        """User id -> stage and since when."""
        return {
            user: (stage, since)
            for user, stage, since in self.rows(
                "select n.user_id, u.stage, u.since_on from lifecycle.users as u"
                " inner join activity.user_numbers as n using (user_number)"
            )
        }

    def transitions(self, user: str) -> list[tuple[date, str | None, str]]:
        """Transitions of a user that count, in order."""
        return [
            tuple(row)
            for row in self.rows(
                "select t.day, t.from_stage, t.to_stage from lifecycle.transitions as t"
                " inner join activity.user_numbers as n using (user_number)"
                " where n.user_id = %s and t.superseded_at is null order by t.day",
                user,
            )
        ]


def days(first: date, count: int, step: int = 1) -> list[date]:
    return [first + timedelta(days=n) for n in range(0, count, step)]
