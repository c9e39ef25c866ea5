"""A company of few users whose every fact is told at some time, often late: rows for the product.

What is true of it in the end is worked out by plain loops over what was told, in `Truth`; nothing of
the product is used. `Teller` writes what is told into the tables that the product reads from.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from growth_pipeline_tests.acceptance.oracle_lifecycle import ONE, Life, Span
from growth_pipeline_tests.acceptance.oracle_mrr import first_second
from growth_pipeline_tests.fakes.stripe_events import (
    a_charge,
    a_dispute,
    a_subscription,
    an_event,
)

FEATURES = ("Feature Used", "Report Viewed", "Search Performed", "Comment Added", "Data Imported")
ACTIVATION = ("Project Created", "Data Imported")
OTHERS = ("Project Created", "Something Else", "Payment Succeeded")
NO_USER_DOES = {"Payment Succeeded"}
KINDS = ("paying", "past_due", "cancel_scheduled", "disputed", "paused", "trialing")
GRACE = 30 * 86_400
START = datetime(2029, 2, 20, tzinfo=UTC)
LENGTH = timedelta(days=190)


class Told(NamedTuple):
    """Something that is told at an instant: what, and its details."""

    at: datetime
    what: str
    details: dict[str, Any]


@dataclass
class Step:
    """What a subscription becomes at a second."""

    at: int
    status: str
    collects: bool = True
    cancels: bool = False


@dataclass
class World:
    """Everything that is ever told of a company, in the order in which it is told."""

    chance: random.Random
    tz: str
    told: list[Told] = field(default_factory=list)
    subscriptions: dict[str, tuple[str, list[Step]]] = field(default_factory=dict)
    disputes: dict[str, tuple[str, int, int | None]] = field(default_factory=dict)
    _events: int = 0

    @classmethod
    def at_random(cls, chance: random.Random, tz: str, users: int) -> World:
        world = cls(chance, tz)
        for number in range(users):
            world._add_user(f"user-{number}")
        world._add_merges(users)
        for number in chance.sample(range(users), users // 4):
            world._exclude(f"user-{number}")
        world.told.sort(key=lambda one: one.at)
        return world

    def moment(self, *, first: datetime = START, last: datetime = START + LENGTH) -> datetime:
        """Some second; one in eight is the first of a local day."""
        seconds = self.chance.randrange(int((last - first).total_seconds()) + 1)
        at = first + timedelta(seconds=seconds)
        if self.chance.random() < 0.125:
            zone = ZoneInfo(self.tz)
            return datetime.fromtimestamp(first_second(at.astimezone(zone).date(), zone), UTC)
        return at

    def tell(self, at: datetime, what: str, /, **details: Any) -> None:
        self.told.append(Told(at, what, details))

    def late(self, at: datetime) -> datetime:
        """When something of an instant is told: at once, hours or weeks later; or before, even."""
        delay = self.chance.choice((0, 5, 60, 3600, 3600, 90_000, 20 * 86_400))
        ahead = 90_000 if self.chance.random() < 0.03 else 0
        return at + timedelta(seconds=self.chance.randrange(delay + 1) - ahead)

    def call(self, user: str | None, event: str | None, at: datetime, **told: Any) -> None:
        details = {"user": user, "event": event, "at": at, "anonymous": None, "type": "track"}
        self.tell(self.late(at), "call", **details | {"properties": {}} | told)

    def _add_user(self, user: str) -> None:
        chance = self.chance
        joined = self.moment(last=START + LENGTH / 2)
        if chance.random() < 0.2:
            self._import(user, joined)
        else:
            kind = chance.random()
            if kind < 0.6:
                self.call(user, "User Signed Up", joined)
            elif kind < 0.8:
                created = {"createdAt": joined.isoformat().replace("+00:00", "Z")}
                self.call(user, None, joined, type="identify", properties=created)
            else:
                self.call(user, None, joined, type="identify")
            self._use(user, joined)
        if chance.random() < 0.75:
            self._bill(user, joined)

    def _use(self, user: str, joined: datetime) -> None:
        chance = self.chance
        anonymous = f"{user}-anonymous"
        for place in range(chance.choice((0, 2, 10, 40, 90))):
            at = self.moment(first=joined - timedelta(days=3), last=joined + LENGTH / 2)
            as_other = chance.random() < 0.2
            told = {"anonymous": anonymous if as_other else None}
            id = None if as_other else user
            if chance.random() < 0.1:
                self.call(id, None, at, type=chance.choice(("page", "screen")), **told)
            else:
                self.call(id, chance.choice(FEATURES + OTHERS), at, **told)
            if place == 5 and chance.random() < 0.7:
                self.call(user, None, self.moment(first=at), type="identify", anonymous=anonymous)

    def _import(self, user: str, joined: datetime) -> None:
        """A user of a file; perhaps gone from it later, and perhaps back."""
        chance = self.chance
        known = joined if chance.random() < 0.7 else None
        rows = [
            (user, self.moment(first=joined, last=joined + LENGTH / 2), chance.choice(FEATURES))
            for _ in range(chance.randrange(40))
        ]
        told = max([joined, *(row[1] for row in rows)]) + timedelta(hours=chance.randrange(1, 99))
        self.tell(told, "import", user=user, joined=known, rows=rows)
        if chance.random() < 0.6:
            gone = told + timedelta(days=chance.randrange(1, 60))
            self.tell(gone, "forget", user=user)
            if chance.random() < 0.3:
                back = gone + timedelta(days=chance.randrange(2, 30))
                self.tell(back, "import", user=user, joined=known, rows=[])

    def _add_merges(self, users: int) -> None:
        """Users who turn out to be another, each once and never in a circle."""
        for number in self.chance.sample(range(1, users), users // 4):
            into = self.chance.randrange(number)
            self.tell(self.moment(), "merge", user=f"user-{number}", into=f"user-{into}")

    def _exclude(self, user: str) -> None:
        at = self.moment()
        self.tell(at, "exclude", user=user)
        if self.chance.random() < 0.5:
            self.tell(self.moment(first=at), "include", user=user)

    def _bill(self, user: str, joined: datetime) -> None:
        chance = self.chance
        customers = [f"cus_{user}", *([f"cus_{user}_b"] if chance.random() < 0.2 else [])]
        for place, customer in enumerate(customers):
            at = self.moment(first=joined, last=START + LENGTH)
            self.tell(at, "customer", user=user, customer=customer)
            if place and chance.random() < 0.3:
                self.tell(self.moment(first=at), "customer", user=user, customer=None)
            for number in range(chance.choice((1, 1, 2))):
                self._subscribe(f"sub_{customer}_{number}", customer, joined)
            while chance.random() < 0.25:
                self._dispute(f"{customer}_{self._events}", customer, joined)

    def _subscribe(self, id: str, customer: str, joined: datetime) -> None:
        """A subscription's life in steps, each told by an event of its own; often another follows."""
        chance = self.chance
        at = int(self.moment(first=joined, last=START + LENGTH / 2).timestamp())
        ended = self._live(id, customer, at)
        if ended is not None and chance.random() < 0.6:
            self._live(
                f"{id}_again", customer, ended + chance.choice((0, 900, 5 * 86_400, 40 * 86_400))
            )

    def _live(self, id: str, customer: str, at: int) -> int | None:
        """One subscription from a second on; when it ended."""
        chance = self.chance
        begun = trial = at
        status = chance.choice(("trialing", "trialing", "active"))
        steps = [Step(at, status)]
        if status == "trialing":
            trial = at = at + chance.choice((3, 14, 30)) * 86_400
            status = chance.choice(("active", "active", "active", "paused", "canceled"))
            steps.append(Step(at, status))
        while status != "canceled" and len(steps) < 9:
            at += chance.choice((600, 40_000, 5 * 86_400, 25 * 86_400))
            if chance.random() < 0.125:
                zone = ZoneInfo(self.tz)
                at = first_second(
                    datetime.fromtimestamp(at, UTC).astimezone(zone).date() + ONE, zone
                )
            next_up = {
                "active": ("active", "active", "past_due", "canceled"),
                "past_due": ("past_due", "active", "unpaid", "canceled"),
                "unpaid": ("active", "canceled"),
                "paused": ("active", "canceled"),
            }[status]
            status = chance.choice(next_up)
            step = Step(at, status)
            if status == "active" and chance.random() < 0.5:
                step = chance.choice(
                    (Step(at, status, collects=False), Step(at, status, cancels=True))
                )
            steps.append(step)
        self.subscriptions[id] = customer, steps
        for number, step in enumerate(steps):
            word = (
                "created" if not number else "deleted" if step.status == "canceled" else "updated"
            )
            told = {
                "created": begun,
                "start_date": begun,
                "customer": customer,
                "status": step.status,
                "trial_start": begun if steps[0].status == "trialing" else None,
                "trial_end": trial if steps[0].status == "trialing" else None,
                "pause_collection": None if step.collects else {"behavior": "void"},
                "cancel_at_period_end": step.cancels,
                "canceled_at": step.at if step.cancels or word == "deleted" else None,
                "ended_at": step.at if word == "deleted" else None,
            }
            body = a_subscription(id, **told)
            for item in body["items"]["data"]:
                item["current_period_end"] = step.at + 400 * 86_400
                item["current_period_start"] = begun
            self._stripe(f"customer.subscription.{word}", body, step.at)
        return steps[-1].at if status == "canceled" else None

    def _dispute(self, name: str, customer: str, joined: datetime) -> None:
        opened = int(self.moment(first=joined).timestamp())
        charge = a_charge(f"ch_{name}", customer=customer, created=opened - 900, disputed=True)
        self._stripe("charge.succeeded", charge, opened - 900)
        is_inquiry = self.chance.random() < 0.2
        words = ("warning_needs_response",) if is_inquiry else ("needs_response",)
        dispute = a_dispute(f"dp_{name}", charge["id"], created=opened, status=words[0])
        self._stripe("charge.dispute.created", dispute, opened)
        closed = None
        if self.chance.random() < 0.7:
            closed = opened + self.chance.choice((50, 86_400, 40 * 86_400))
            end = "warning_closed" if is_inquiry else self.chance.choice(("won", "lost"))
            self._stripe("charge.dispute.closed", dispute | {"status": end}, closed)
        if not is_inquiry:
            self.disputes[f"dp_{name}"] = customer, opened, closed

    def _stripe(self, type: str, object: dict[str, Any], at: int) -> None:
        self._events += 1
        body = an_event(type, object, id=f"evt_{self._events}", created=at)
        told = max(self.late(datetime.fromtimestamp(at, UTC)), datetime.fromtimestamp(at, UTC))
        self.tell(told, "stripe", body=body)
        if self.chance.random() < 0.2:  # told twice
            self.tell(told + timedelta(hours=self.chance.randrange(60)), "stripe", body=body)


# --- what is true in the end ---------------------------------------------------------------------


@dataclass
class Truth:
    """What is known of the users once all of `told` was told. `numbered`: id -> local day."""

    world: World
    told: list[Told]
    numbered: dict[str, date]
    deleted: dict[str, date]
    last: date

    def day(self, at: datetime | int) -> date:
        instant = datetime.fromtimestamp(at, UTC) if isinstance(at, int) else at
        return instant.astimezone(ZoneInfo(self.world.tz)).date()

    def of(self, what: str) -> list[dict[str, Any]]:
        return [one.details for one in self.told if one.what == what]

    def roots(self) -> dict[str, str]:
        """Id -> the user that it turned out to be."""
        found: dict[str, str] = {}
        for call in self.of("call"):  # in the order of arrival: who said it first counts
            if call["type"] == "identify" and call["anonymous"]:
                found.setdefault(call["anonymous"], call["user"])
        for merge in self.of("merge"):
            found[merge["user"]] = merge["into"]
        return found

    def root(self, id: str, roots: dict[str, str]) -> str:
        while id in roots:
            id = roots[id]
        return id

    def counting(self) -> set[str]:
        """Users who were numbered, are nobody else, and are not left out."""
        out: set[str] = set()
        for one in self.told:
            if one.what == "exclude":
                out.add(one.details["user"])
            if one.what == "include":
                out.discard(one.details["user"])
        return set(self.numbered) - out - set(self.roots())

    def days(self) -> dict[str, dict[date, set[str]]]:
        """User -> local day -> names of what was done on it; calls that say who one is are nothing."""
        roots, counting = self.roots(), self.counting()
        done = [
            (call["user"] or call["anonymous"], call["at"], call["event"] or call["type"])
            for call in self.of("call")
            if call["type"] not in ("identify", "alias") and call["event"] not in NO_USER_DOES
        ]
        done += [row for one in self.of("import") for row in one["rows"]]
        found: dict[str, dict[date, set[str]]] = {}
        for id, at, event in done:
            user = self.root(id, roots)
            if user in counting:
                found.setdefault(user, {}).setdefault(self.day(at), set()).add(event)
        return found

    def signed_up(self, user: str) -> date | None:
        roots = self.roots()
        own = self._told_sign_up({user})
        known = [
            one["joined"] for one in self.of("import") if one["user"] == user and one["joined"]
        ]
        others = {id for id in roots if self.root(id, roots) == user}
        is_told = any(call["user"] == user for call in self.of("call"))  # else a file knows best
        told = own or (self._told_sign_up(others, earliest=True) if is_told else None)
        instants = [*known, *([told] if told else [])]
        return self.day(min(instants)) if instants else None

    def _told_sign_up(self, ids: set[str], *, earliest: bool = False) -> datetime | None:
        """The first sign-up event, else the first createdAt; of several ids the earliest of those."""
        if earliest:
            each = [at for id in ids if (at := self._told_sign_up({id})) is not None]
            return min(each) if each else None
        calls = [call for call in self.of("call") if call["user"] in ids]
        signed = [call["at"] for call in calls if call["event"] == "User Signed Up"]
        created = [
            datetime.fromisoformat(call["properties"]["createdAt"])
            for call in calls
            if call["type"] == "identify" and "createdAt" in call["properties"]
        ]
        return min(signed or created, default=None)

    def customers(self, user: str) -> set[str]:
        roots = self.roots()
        held = {one["user"]: one["customer"] for one in self.of("customer")}
        return {
            customer for id, customer in held.items() if customer and self.root(id, roots) == user
        }

    def spans(self, user: str) -> dict[str, dict[str, list[Span]]]:
        """Kind -> subscription or dispute -> spans of days, each day looked at on its own."""
        customers, found = self.customers(user), {kind: {} for kind in KINDS}
        for id, (customer, steps) in self.world.subscriptions.items():
            if customer in customers:
                for kind in KINDS:
                    spans = self._runs(lambda at, k=kind, s=steps: of_kind(k, s, at))
                    if spans:
                        found[kind][id] = spans
        for id, (customer, opened, closed) in self.world.disputes.items():
            if customer in customers:
                spans = self._runs(lambda at, a=opened, b=closed: a <= at and (b is None or at < b))
                if spans:
                    found["disputed"][id] = spans
        return found

    def _runs(self, holds: Any) -> list[Span]:
        found: list[Span] = []
        begun: date | None = None
        for day, end in day_ends(self.world.tz):
            is_so = holds(end)
            if is_so and begun is None:
                begun = day
            if not is_so and begun is not None:
                found.append((begun, day))
                begun = None
        return [*found, (begun, None)] if begun else found

    def life(self, user: str, days: dict[date, set[str]]) -> Life:
        spans = self.spans(user)
        signed_up = self.signed_up(user)
        known = [*days, *([signed_up] if signed_up else [])]
        known += [one[0] for of in spans.values() for some in of.values() for one in some]
        firsts = [min((d for d in days if name in days[d]), default=None) for name in ACTIVATION]
        uses = {name: frozenset(d for d in days if name in days[d]) for name in FEATURES}
        return Life(
            first=min(known, default=self.numbered[user]),
            signed_up=signed_up,
            deleted=self.deleted.get(user),
            active=frozenset(days),
            uses={name: used for name, used in uses.items() if used},
            activated=None if None in firsts else max(day for day in firsts if day),
            **{
                kind: tuple(sorted((s for some in of.values() for s in some), key=str))
                for kind, of in spans.items()
            },
        )


@cache
def day_ends(tz: str) -> list[tuple[date, int]]:
    """Local days that matter, each with its last second."""
    first = START.date() - 5 * ONE
    days = [first + n * ONE for n in range(LENGTH.days + 400)]
    return [(day, first_second(day + ONE, ZoneInfo(tz)) - 1) for day in days]


def of_kind(kind: str, steps: list[Step], at: int) -> bool:
    """Whether a fact is so of a subscription at a second."""
    before = [step for step in steps if step.at <= at]
    if not before:
        return False
    now = before[-1]
    if kind == "paying":
        late_since = now.at
        for step in reversed(before):
            if step.status != "past_due":
                break
            late_since = step.at
        is_late = now.status == "past_due" and at < late_since + GRACE
        return now.collects and (now.status == "active" or is_late)
    return {
        "past_due": now.status in ("past_due", "unpaid"),
        "cancel_scheduled": now.cancels,
        "paused": now.status == "paused" or not now.collects,
        "trialing": now.status == "trialing",
    }.get(kind, False)


def as_row(call: dict[str, Any], number: int, received: datetime) -> list[Any]:
    """A call as a row of events.events."""
    body = {"type": call["type"], "userId": call["user"], "context": {}}
    return [
        *(f"message-{number}", call["type"], call["event"], call["user"], call["anonymous"]),
        *(call["at"], received, json.dumps(call["properties"]), json.dumps(body).encode()),
    ]
