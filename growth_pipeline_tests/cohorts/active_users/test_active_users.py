"""Active users from files, through the public command, against plain loops over the same history."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

ONE = timedelta(days=1)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def ask(activity: Path, *words: str) -> dict[str, Any]:
    return json.loads(call(activity, *words))


def call(activity: Path, *words: str) -> str:
    done = CliRunner().invoke(
        app, ["active-users", "--activity", str(activity), *words], catch_exceptions=False
    )
    return done.stdout


def history(folder: Path, *lines: str, head: str = "user_id,occurred_at") -> Path:
    path = folder / "activity.csv"
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


def values(answer: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in answer["rows"]]


def test_rolling_counts_look_back_over_their_window_and_say_when_data_began_inside_it(tmp_path):
    activity = history(tmp_path, "u1,2031-01-01", "u1,2031-01-02", "u2,2031-01-02", "u3,2031-01-08")

    rows = ask(activity, "--from", "2031-01-08")["rows"]

    assert [(row["metric"], row["users"], row["truncated"]) for row in rows] == [
        ("dau", 1, False),
        ("wau", 3, False),
        ("mau", 3, True),
    ]


def test_lifecycle_of_the_contract_example(tmp_path):
    activity = history(tmp_path, "u1,2031-01-01", "u1,2031-01-02", "u2,2031-01-02", "u1,2031-01-04")

    answer = ask(activity, "--kind", "lifecycle")

    assert values(answer, "new", "returning", "resurrecting", "dormant") == [
        (1, 0, 0, 0),
        (1, 1, 0, 0),
        (0, 0, 0, 2),
        (0, 0, 1, 0),
    ]


def test_stickiness_divides_by_all_days_of_the_month(tmp_path):
    lines = [f"u{user},2031-04-{day:02}" for user in range(5) for day in range(1, 10)]

    answer = ask(history(tmp_path, *lines), "--kind", "stickiness", "--as-of", "2031-05-01")

    assert values(answer, "user_days", "average_dau", "users", "rate") == [(45, 1.5, 5, 0.3)]


def test_a_month_that_is_not_over_has_no_number_unless_it_is_asked_for(tmp_path):
    activity = history(tmp_path, "u1,2031-04-01T10:00:00Z")

    hidden = ask(activity, "--kind", "calendar", "--grain", "month")
    shown = ask(activity, "--kind", "calendar", "--grain", "month", "--open-cells", "so_far")

    assert values(hidden, "period_start", "users", "state") == [("2031-04-01", None, "open")]
    assert values(shown, "users", "state") == [(1, "open")]


def test_the_histogram_cuts_activity_to_its_range_before_it_counts_weeks(tmp_path):
    activity = history(
        tmp_path,
        "u1,2031-01-05",
        "u1,2031-01-06",
        "u1,2031-01-14",
        "u2,2031-01-07",
        "u3,2031-01-20",
    )

    answer = ask(
        activity,
        *("--kind", "days_active", "--grain", "week", "--from", "2031-01-06", "--to", "2031-01-14"),
    )

    # 5 January is the Sunday of another week, outside the range; u3 lies after it.
    assert values(answer, "active_periods", "users", "state") == [
        (1, 1, "closed"),
        (2, 1, "closed"),
    ]


def test_silence_is_a_difference_of_dates_and_the_way_back_is_judged_when_its_span_is_over(
    tmp_path,
):
    activity = history(
        tmp_path,
        *("a,2031-01-01", "a,2031-01-31", "a,2031-02-03", "b,2031-01-02", "b,2031-01-31"),
        *("c,2031-01-01", "c,2031-02-10"),
    )

    answer = ask(
        activity,
        *("--kind", "silence", "--silent-days", "30", "--retained", "2-3"),
        *("--from", "2031-01-31"),
    )

    found = {row["day"]: row for row in answer["rows"] if row["users"]}
    assert {day: (row["users"], row["retained"], row["rate"]) for day, row in found.items()} == {
        "2031-01-31": (1, 1, 1.0),  # b was silent for 29 days only
        "2031-02-10": (1, None, None),  # 13 February is not over
    }


def test_new_by_sign_up_still_puts_each_active_user_into_one_group(tmp_path):
    activity = history(
        tmp_path,
        *(
            "late,2031-01-02",
            "fresh,2031-01-02",
            "early,2031-01-01",
            "early,2031-01-02",
            "x,2031-01-02",
        ),
    )
    users = tmp_path / "users.csv"
    users.write_text(
        "user_id,signed_up_at\nlate,2030-12-01\nfresh,2031-01-02T08:00:00Z\nearly,2031-01-02\n"
    )

    answer = ask(activity, "--kind", "lifecycle", "--new-by", "signup", "--users", str(users))

    assert values(answer, "active", "new", "returning", "resurrecting", "dormant") == [
        (1, 0, 0, 1, 0),
        (3, 1, 1, 1, 0),
    ]
    assert answer["dropped"] == {"after_as_of": 0, "excluded": 0, "unknown_user": 1, "no_entry": 0}


def test_a_day_needs_as_many_events_as_are_asked_for_and_only_of_the_wanted_kinds(tmp_path):
    activity = history(
        tmp_path,
        *("a,2031-01-01,open", "a,2031-01-01,open", "b,2031-01-01,open", "b,2031-01-01,close"),
        head="user_id,occurred_at,event",
    )

    answer = ask(activity, "--windows", "1", "--events", "open,never", "--min-events", "2")

    assert values(answer, "users") == [(1,)]


def test_another_column_may_say_who_was_active(tmp_path):
    activity = history(tmp_path, "c1,2031-01-01", "c2,2031-01-01", head="Customer ID,occurred_at")

    answer = ask(activity, "--windows", "1", "--unit", "customer_id")

    assert (values(answer, "users"), answer["unit"]) == ([(2,)], "customer_id")


def test_a_fact_at_as_of_does_not_exist_yet(tmp_path):
    activity = history(tmp_path, "a,2031-01-01T11:59:59.999999Z", "b,2031-01-01T12:00:00Z")

    answer = ask(
        activity, "--windows", "1", "--as-of", "2031-01-01T12:00:00Z", "--open-cells", "so_far"
    )

    assert values(answer, "users", "state") == [(1, "open")]
    assert answer["dropped"]["after_as_of"] == 1


def test_every_form_tells_the_same_rows(tmp_path):
    activity = history(tmp_path, "u1,2031-01-01", "u2,2031-01-03")
    words = ("--kind", "stickiness_rolling")
    rows = ask(activity, *words)["rows"]

    as_csv = list(csv.DictReader(io.StringIO(call(activity, *words, "--format", "csv"))))
    target = tmp_path / "answer.parquet"
    call(activity, *words, "--format", "parquet", "--output", str(target))
    as_parquet = pl.read_parquet(target)
    markdown = call(activity, *words, "--format", "md")

    assert [float(row["rate"]) for row in as_csv] == [row["rate"] for row in rows]
    assert [row["truncated"] for row in as_csv] == ["true"] * 3
    assert as_parquet["rate"].to_list() == [row["rate"] for row in rows]
    assert as_parquet["day"].to_list() == [date(2031, 1, 1) + n * ONE for n in range(3)]
    assert markdown.count("\n| 2031-01-0") == 3


@pytest.mark.parametrize("kind", ["calendar", "lifecycle", "stickiness"])
def test_periods_before_any_fact_are_not_shown_although_one_is_under_way_at_as_of(tmp_path, kind):
    activity = history(tmp_path, "u1,2031-01-16T10:00:00Z")

    words = ("--kind", kind, "--as-of", "2031-01-15T12:00:00Z")
    answer = ask(activity, *words, *(("--grain", "month") if kind == "lifecycle" else ()))

    assert (answer["rows"], answer["dropped"]["after_as_of"]) == ([], 1)


def test_a_history_that_begins_after_as_of_gives_headers_only(tmp_path):
    activity = history(tmp_path, "u1,2031-01-01")

    answer = call(activity, "--as-of", "2030-06-01", "--format", "csv")

    assert answer == "day,metric,window_days,users,truncated,state\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grain", "year", "--kind", "calendar"), "--grain 'year' is not known"),
        (("--silent-days", "0"), "--silent-days must be 1 or more"),
        (("--retained", "5-2"), "--retained ends before it begins"),
        (("--windows", "seven"), "--windows 'seven' is not a whole number"),
        (("--timezone", "Mars/Base"), "'Mars/Base' is not a time zone"),
        (("--as-of", "soon"), "'soon' is not an instant"),
        (("--anchor", "1.1.2031"), "--anchor '1.1.2031' is not a date"),
        (("--kind", "lifecycle", "--new-by", "signup"), "sign-ups need a users file"),
        (("--from", "2031-02-01", "--to", "2031-01-01"), "--to lies before --from"),
    ],
)
def test_a_wrong_option_is_told_with_what_is_allowed(tmp_path, words, said):
    activity = history(tmp_path, "u1,2031-01-01")

    with pytest.raises(UsageError, match="^" + said.replace(".", r"\.")) as caught:
        call(activity, *words)
    assert caught.value.remedy


# --- random histories against plain loops --------------------------------------------------------


class Loops:
    """The contract's sentences as loops over sets; nothing of the product is used."""

    def __init__(
        self, rows: list[tuple[str, datetime]], tz: str, as_of: datetime, week_start: str
    ) -> None:
        self.zone = ZoneInfo(tz)
        self.as_of = as_of
        self.week_start = WEEKDAYS.index(week_start)
        self.first = min(self.local(at) for _, at in rows)
        self.active = {(user, self.local(at)) for user, at in rows if at < as_of}
        self.users = sorted({user for user, _ in self.active})

    def local(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def begins(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def days(self) -> list[date]:
        found, day = [], self.first
        while self.begins(day) < self.as_of:
            found.append(day)
            day += ONE
        return found

    def state(self, following: date) -> str:
        return "closed" if self.begins(following) <= self.as_of else "open"

    def start(self, grain: str, day: date) -> date:
        if grain == "month":
            return day.replace(day=1)
        return day - ((day.weekday() - self.week_start) % 7) * ONE if grain == "week" else day

    def following(self, grain: str, start: date) -> date:
        if grain == "month":
            return (start + 31 * ONE).replace(day=1)
        return start + (7 if grain == "week" else 1) * ONE

    def starts(self, grain: str) -> list[date]:
        return sorted({self.start(grain, day) for day in self.days()})

    def who(self, grain: str, start: date) -> set[str]:
        return {user for user, day in self.active if self.start(grain, day) == start}

    def rolling(self, windows: tuple[int, ...]) -> list[tuple[Any, ...]]:
        return [
            (
                day.isoformat(),
                window,
                len({u for u, d in self.active if day - (window - 1) * ONE <= d <= day})
                if self.state(day + ONE) == "closed"
                else None,
                day - (window - 1) * ONE < self.first,
                self.state(day + ONE),
            )
            for day in self.days()
            for window in windows
        ]

    def lifecycle(self, grain: str) -> list[tuple[Any, ...]]:
        found = []
        for start in self.starts(grain):
            now, before = self.who(grain, start), self.who(grain, self.start(grain, start - ONE))
            ever = {user for user, day in self.active if day < start}
            state = self.state(self.following(grain, start))
            counts = (
                len(now),
                len(now - ever),
                len(now & before),
                len((now & ever) - before),
                len(before - now),
            )
            told = counts if state == "closed" else (None,) * 5
            found.append((start.isoformat(), *told, state))
        return found

    def stickiness(self) -> list[tuple[Any, ...]]:
        found = []
        for start in self.starts("month"):
            following = self.following("month", start)
            user_days = len({(u, d) for u, d in self.active if self.start("month", d) == start})
            users = len(self.who("month", start))
            rate = six(Fraction(user_days, (following - start).days * users)) if users else None
            closed = self.state(following) == "closed"
            found.append((start.isoformat(), rate if closed else None))
        return found

    def histogram(self, grain: str, first: date, last: date) -> list[tuple[int, int]]:
        counts: Counter[int] = Counter()
        for user in self.users:
            inside = {d for u, d in self.active if u == user and first <= d <= last}
            counts[len({self.start(grain, day) for day in inside})] += 1
        del counts[0]
        return [(n, counts[n]) for n in range(1, max(counts, default=0) + 1)]

    def silence(self, silent: int, span: tuple[int, int]) -> list[tuple[Any, ...]]:
        woken: dict[date, list[bool]] = {}
        for user in self.users:
            days = sorted(day for u, day in self.active if u == user)
            for place in range(1, len(days)):
                if (days[place] - days[place - 1]).days >= silent:
                    again = any(span[0] <= (d - days[place]).days <= span[1] for d in days)
                    woken.setdefault(days[place], []).append(again)
        found = []
        for day in self.days():
            users = woken.get(day, [])
            closed = self.state(day + ONE) == "closed"
            judged = self.state(day + (span[1] + 1) * ONE) == "closed"
            found.append(
                (
                    day.isoformat(),
                    len(users) if closed else None,
                    sum(users) if judged else None,
                )
            )
        return found


def six(quotient: Fraction) -> float:
    exact = Decimal(quotient.numerator) / Decimal(quotient.denominator)
    return float(exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN))


@pytest.mark.parametrize("round_", range(4))
def test_random_histories_agree_with_plain_loops(tmp_path, seed, round_):
    rng = random.Random(f"{seed}:{round_}")
    tz = rng.choice(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
    week_start = rng.choice(WEEKDAYS)
    begin = datetime(rng.choice([2011, 2024, 2031]), rng.choice([1, 2, 3, 10, 12]), 1, tzinfo=UTC)
    rows = [
        (f"u{rng.randrange(9)}", begin + timedelta(seconds=rng.randrange(100 * 86_400)))
        for _ in range(rng.randrange(1, 160))
    ]
    as_of = begin + timedelta(seconds=rng.randrange(60, 120) * 86_400 + rng.choice([0, 3_600]))
    loops = Loops(rows, tz, as_of, week_start)
    activity = history(tmp_path, *(f"{user},{at.isoformat()}" for user, at in rows))
    common = ("--timezone", tz, "--week-start", week_start, "--as-of", as_of.isoformat())
    names = ("period_start", "active", "new", "returning", "resurrecting", "dormant", "state")

    rolling = ask(activity, *common, "--windows", "1,7,28")
    assert values(rolling, "day", "window_days", "users", "truncated", "state") == loops.rolling(
        (1, 7, 28)
    )
    for grain in ("day", "week", "month"):
        lifecycle = ask(activity, *common, "--kind", "lifecycle", "--grain", grain)
        assert values(lifecycle, *names) == loops.lifecycle(grain)
        users = ask(activity, *common, "--kind", "calendar", "--grain", grain)
        assert values(users, "period_start", "users") == [row[:2] for row in loops.lifecycle(grain)]
    stickiness = ask(activity, *common, "--kind", "stickiness")
    assert values(stickiness, "period_start", "rate") == loops.stickiness()
    last = loops.days()[-1] - ONE if loops.days() else as_of.date()
    first = last - rng.randrange(40) * ONE
    grain = rng.choice(["day", "week", "month"])
    histogram = ask(
        activity,
        *(*common, "--kind", "days_active", "--grain", grain),
        *("--from", first.isoformat(), "--to", last.isoformat()),
    )
    assert values(histogram, "active_periods", "users") == loops.histogram(grain, first, last)
    silent, span = rng.randrange(1, 12), (rng.randrange(1, 4), rng.randrange(4, 9))
    silence = ask(
        activity,
        *(*common, "--kind", "silence", "--silent-days", str(silent)),
        *("--retained", f"{span[0]}-{span[1]}"),
    )
    assert values(silence, "day", "users", "retained") == loops.silence(silent, span)
