"""The digest against plain loops over the same raw rows of generated companies."""

from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from growth_pipeline.events.catalogue.registry import EVENTS
from growth_pipeline_tests.insights.digest.digest_rows import (
    active,
    cell,
    cohorts_known,
    digest_of,
    event,
    payment,
    put,
    question_known,
    run,
    signup,
)

ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Apia", "Europe/Berlin")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Around both changes of clocks of Los Angeles and Berlin, and one week without any.
ENDS = (date(2025, 3, 9), date(2025, 3, 16), date(2025, 4, 6), date(2025, 11, 9), date(2025, 7, 6))
CATEGORY = {model.about.event: str(model.about.category) for model in EVENTS}
NOT_OF_USERS = ("Payment Failed", "Payment Succeeded", "Ticket Solved")
NAMES = (
    *("Project Created", "User Signed In", "User Signed Up", "Feature Used", "Task Completed"),
    *("acme <b>", "x" * 90, "émoji 🎉", *NOT_OF_USERS, *(f"own {n}" for n in range(6))),
)
DAY = timedelta(days=1)
TABLES = (
    *("billing.payments", "billing.sweeps", "cohorts.user_cohorts", "cohorts.active_users"),
    *("cohorts.retention_metrics", "cohorts.definitions", "cohorts.activity_definitions"),
    *("events.events", "activity.excluded_users", "activity.merged_ids"),
)


class Company:
    """Raw rows, drawn; what the digest reads is published from them by the loops below."""

    def __init__(self, draw: random.Random) -> None:
        self.end = draw.choice(ENDS) + DAY * draw.choice((0, 0, 1, 3))
        self.week_start = WEEKDAYS[self.end.weekday()]
        self.count = 9
        self.first = self.end - 7 * self.count * DAY
        self.revenue_tz, self.activity_tz, self.cohort_tz = (draw.choice(ZONES) for _ in range(3))
        midnight = datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC)
        self.now = midnight + timedelta(hours=draw.randint(-12, 60))
        hours = (-300, -30, -6, 0, 6, 14, 20)
        self.as_of, self.active_as_of, swept = (
            midnight + timedelta(hours=draw.choice(hours)) for _ in range(3)
        )
        self.swept_to = draw.choice((None, swept))
        begin = self.first + DAY * draw.choice((-40, -3, 0, 2, 20, 33, 59))
        days = max((self.end - begin).days, 1) + 2
        seconds = days * 86_400
        start = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)

        def instant():
            if draw.random() < 0.3:  # at the edge of a local day
                tz = ZoneInfo(draw.choice(ZONES))
                day = begin + draw.randrange(days) * DAY
                edge = datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC)
                return edge - timedelta(seconds=draw.choice((0, 0, 1)))
            return start + timedelta(seconds=draw.randrange(seconds))

        self.payments = [
            payment(
                f"ch_{n}",
                draw.randrange(1, 10**9),
                instant(),
                currency=draw.choice(("usd", "usd", "jpy", "kwd")),
                account=draw.choice(("self", "self", "acct_2", "stranger")),
                status=draw.choice(("succeeded",) * 5 + ("failed",)),
                captured=draw.random() < 0.9,
                livemode=draw.random() < 0.05,
            )
            for n in range(draw.choice((0, 3, 120, 300)))
        ]
        self.people = {
            n: (begin + draw.randrange(days) * DAY if draw.random() < 0.8 else None, set())
            for n in range(1, draw.choice((1, 2, 12, 90)))
        }
        for joined, seen in self.people.values():
            since = joined or begin + draw.randrange(days) * DAY
            for n in (0, 1, 2, 7, 30, *draw.sample(range(70), 12)):
                if draw.random() < 0.5 and since + n * DAY <= self.end + DAY:
                    seen.add(since + n * DAY)
        users = [f"user{n}" for n in range(12)]
        self.excluded = set(draw.sample(users, draw.choice((0, 0, 2))))
        self.merged = {f"anon{n}": draw.choice(users) for n in range(4)}
        who = [*users, *self.merged]
        self.events = [
            (
                draw.choice(NAMES),
                draw.choice(who),
                instant(),
                draw.choice(("track",) * 9 + ("page", "identify")),
            )
            for _ in range(draw.choice((0, 2, 200, 500)))
        ]
        self.has_zeros = draw.random() < 0.5
        self.currencies = draw.choice(((None,), ("usd", "eur"), ("usd", "eur", "jpy")))

    # --- what is known ------------------------------------------------------------------------

    def weeks(self, since):
        """First days of whole weeks from a day on."""
        starts = [self.first + 7 * n * DAY for n in range(self.count)]
        return [start for start in starts if since is not None and start >= since]

    def active_days(self):
        """Day -> who was active, of days over at active_as_of."""
        days: dict[date, set[int]] = {}
        for number, (_, seen) in self.people.items():
            for day in seen:
                if is_over(day, self.cohort_tz, self.active_as_of):
                    days.setdefault(day, set()).add(number)
        return days

    # --- published ----------------------------------------------------------------------------

    def write(self, database):
        for table in TABLES:
            run(database, f"delete from {table}")
        put(database, "billing.payments", *self.payments)
        if self.swept_to:
            put(
                database,
                "billing.sweeps",
                {"account_id": "self", "livemode": False, "swept_to": self.swept_to},
                {"account_id": "acct_2", "livemode": False, "swept_to": self.swept_to + 9 * DAY},
                {"account_id": "stranger", "livemode": False, "swept_to": self.swept_to - 90 * DAY},
            )
        cohorts_known(database, self.as_of, tz=self.cohort_tz)
        question_known(database, "active_users", self.active_as_of, tz=self.cohort_tz)
        joined = {n: day for n, (day, _) in self.people.items() if day}
        put(database, "cohorts.user_cohorts", *(signup(n, day) for n, day in joined.items()))
        put(database, "cohorts.retention_metrics", *self._cells(joined))
        put(database, "cohorts.active_users", *self._active())
        put(
            database,
            "activity.merged_ids",
            *(
                {"merged_key": key_of(database, anonymous), "user_key": key_of(database, user)}
                for anonymous, user in self.merged.items()
            ),
        )
        put(
            database,
            "activity.excluded_users",
            *({"user_key": key_of(database, user), "reason": "test"} for user in self.excluded),
        )
        put(
            database,
            "events.events",
            *(
                event(n, name, user, at, type=kind)
                for n, (name, user, at, kind) in enumerate(self.events)
            ),
        )

    def _cells(self, joined):
        for cohort, size in Counter(joined.values()).items():
            for number in (0, 1, 2, 7, 30):
                on = cohort + number * DAY
                came = sum(
                    on in self.people[n][1] for n, entered in joined.items() if entered == cohort
                )
                closed = is_over(on, self.cohort_tz, self.as_of)
                for currency in self.currencies:
                    yield cell(
                        cohort,
                        number,
                        size,
                        came if closed else None,
                        state="closed" if closed else "open",
                        currency=currency,
                    )

    def _active(self):
        days = self.active_days()
        if not days:
            return
        begin, day = min(days), min(days)
        while is_over(day, self.cohort_tz, self.active_as_of):
            for metric, window in (("dau", 1), ("wau", 7), ("mau", 30)):
                users = len(set().union(*(days.get(day - n * DAY, ()) for n in range(window))))
                if users or self.has_zeros:
                    truncated = day - (window - 1) * DAY < begin
                    yield active(metric, day, users, truncated=truncated)
            day += DAY

    # --- what a digest has to say ---------------------------------------------------------------

    def expected(self):
        """Fact -> (start, value, is known) of each point."""
        told: dict[str, list] = {}
        self._expect_payments(told)
        joined = [day for day, _ in self.people.values() if day]
        told["signups"] = [
            point(week, self.cohort_tz, self.as_of, count_in(joined, week))
            for week in self.weeks(min(joined, default=None))
        ]
        self._expect_active(told)
        for number in (1, 7, 30):
            begins = min(joined) + number * DAY if joined else None
            told[f"retention.day{number}"] = [
                point(week, self.cohort_tz, self.as_of, ratio(*self.returned(number, week)))
                for week in self.weeks(begins)
            ]
        self._expect_events(told)
        return {fact_id: points for fact_id, points in told.items() if points}

    def _expect_payments(self, told):
        tz = self.revenue_tz
        settled = [
            (local_day(row["created_at"], tz), row["currency"], row["amount_minor"])
            for row in self.payments
            if row["status"] == "succeeded" and row["captured"] and not row["livemode"]
            if row["account_id"] in ("self", "acct_2")
        ]
        weeks = self.weeks(min((day for day, _, _ in settled), default=None))
        as_of = self.swept_to or self.now
        for currency in ("usd", "jpy", "kwd"):
            own = [(day, amount) for day, of, amount in settled if of == currency]
            if not weeks or not any(weeks[0] <= day < self.end for day, _ in own):
                continue
            told[f"payments.{currency}"] = [
                point(w, tz, as_of, sum(a for day, a in own if w <= day < w + 7 * DAY))
                for w in weeks
            ]
            told[f"payment_count.{currency}"] = [
                point(w, tz, as_of, count_in([day for day, _ in own], w)) for w in weeks
            ]

    def returned(self, number, week):
        """Who came back on a Day N that fell into a week, and all whose it was."""
        size = came = 0
        for entered, seen in self.people.values():
            if entered and week <= entered + number * DAY < week + 7 * DAY:
                size += 1
                came += entered + number * DAY in seen
        return came, size

    def _expect_active(self, told):
        days = self.active_days()
        tz, as_of = self.cohort_tz, self.active_as_of

        def within(last, count):
            return len(set().union(*(days.get(last - n * DAY, ()) for n in range(count))))

        weeks = self.weeks(min(days, default=None))
        told |= {name: [] for name in ("wau", "mau", "dau", "stickiness")}
        for week in weeks:
            last = week + 6 * DAY
            pairs = sum(len(days.get(week + n * DAY, ())) for n in range(7))
            mean = (Decimal(pairs) / 7).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
            is_whole = last - 29 * DAY >= min(days)
            mau = within(last, 30) if is_whole else None
            if is_whole and not mau and not self.has_zeros:
                mau = 0
            told["wau"].append(point(week, tz, as_of, within(last, 7)))
            told["mau"].append(point(week, tz, as_of, mau))
            told["dau"].append(point(week, tz, as_of, mean))
            told["stickiness"].append(point(week, tz, as_of, ratio(pairs, 7 * within(last, 7))))
        for place in range(7):
            told[f"dau.{WEEKDAYS[(self.first + place * DAY).weekday()]}"] = [
                point(week + place * DAY, tz, as_of, within(week + place * DAY, 1), days=1)
                for week in weeks
            ]

    def _expect_events(self, told):
        tz = self.activity_tz
        days = [
            (local_day(at, tz), name if kind == "track" else kind)
            for name, user, at, kind in self.events
            if kind != "identify" and not (kind == "track" and name in NOT_OF_USERS)
            if self.merged.get(user, user) not in self.excluded
        ]
        if not any(day < self.end for day, _ in days):
            return
        self.names: dict[str, list] = {}
        weeks = self.weeks(min(day for day, _ in days))
        told["events"] = [point(w, tz, self.now, count_in([d for d, _ in days], w)) for w in weeks]
        for category in {*CATEGORY.values(), "other"}:
            own = [day for day, name in days if CATEGORY.get(name, "other") == category]
            told[f"events.{category}"] = [point(w, tz, self.now, count_in(own, w)) for w in weeks]
        for one in {name for _, name in days}:
            own = [day for day, name in days if name == one]
            self.names[one] = [point(w, tz, self.now, count_in(own, w)) for w in weeks]


def key_of(database, user):
    with database.connection() as connection:
        return connection.execute("select activity.user_key(%s)", [user]).fetchone()[0]


def local_day(at, tz):
    return at.astimezone(ZoneInfo(tz)).date()


def is_over(day, tz, as_of):
    after = day + DAY
    return datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(tz)) <= as_of


def count_in(days, week):
    return sum(week <= day < week + 7 * DAY for day in days)


def ratio(part, whole):
    if not whole:
        return None
    return (Decimal(part) / whole).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def point(start, tz, as_of, value, days=7):
    known = is_over(start + (days - 1) * DAY, tz, as_of)
    return (start, start + days * DAY, value if known else None, known)


def said(fact):
    for one in fact.series.points:
        assert (one.value is None) == bool(one.reason), (fact.fact_id, one)
    return [(p.start, p.end, p.value, p.state == "closed") for p in fact.series.points]


def test_every_point_is_that_of_plain_loops(database, engine, full, seed):
    put(database, "events.sources", {"name": "app"})
    draw = random.Random(seed)
    companies, compared, known = 60 if full else 12, 0, 0
    families: Counter[str] = Counter()
    for number in range(companies):
        company = Company(draw)
        company.write(database)
        digest = digest_of(
            database,
            engine,
            week_end=company.end,
            now=company.now,
            revenue_tz=company.revenue_tz,
            activity_tz=company.activity_tz,
            week_start=company.week_start,
            accounts=("self", "acct_2"),
        )
        wanted = company.expected()
        facts = {one.fact_id: one for one in digest.facts if one.series.family != "event"}
        assert set(facts) == set(wanted), (number, digest.notes)
        for fact_id, points in wanted.items():
            assert said(facts[fact_id]) == points, (number, fact_id)
            compared += len(points)
            known += sum(value is not None for _, _, value, _ in points)
            families[fact_id.partition(".")[0]] += len(points)
        for fact in digest.of_family("retention"):
            days = int(fact.fact_id.removeprefix("retention.day"))
            for one in (one for one in fact.series.points if one.state == "closed"):
                cases = (one.numerator, one.denominator)
                assert cases == company.returned(days, one.start), (number, fact.fact_id)
                assert one.sample == one.denominator
        named = digest.of_family("event")
        assert len(named) <= 10
        for fact in named:
            assert said(fact) == company.names[fact.series.name], (number, fact.series.name)
            compared += len(fact.series.points)
    said_so = f"companies {companies}, points {compared}, known {known}, {dict(families)}\n"
    sys.stdout.write(said_so)
    wanted_families = {"payments", "signups", "wau", "mau", "dau", "stickiness", "retention"}
    assert known
    if full:
        assert wanted_families <= set(families), "each family was told of some company"
