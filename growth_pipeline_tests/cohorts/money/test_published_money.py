"""Money of published cells: out of the books, over random histories, against a plain loop."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest

from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.money.money_store import MoneyStore
from growth_pipeline.cohorts.money.rollup import MONEY, roll_up_money
from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.cohorts.refresh.judge import judge_money, judge_rows, judge_sums
from growth_pipeline.cohorts.refresh.published import CELLS, CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, answers_of, refresh
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.activity.segments import SEGMENTS
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import floor_day, index_of

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
ACCOUNT = "acct_1"
LAST = {"day": 30, "week": 12, "month": 12}


@pytest.fixture
def connection(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def company(connection, lake, database):
    return Company(connection, lake, database)


class Company:
    """Users who signed up and paid, in Postgres and in the lake; `paid` is what a loop reads."""

    def __init__(self, connection, lake, database):
        self.connection, self.lake = connection, lake
        self.books = MoneyStore(database, [Scope(ACCOUNT, False)])
        self.entries, self.paid, self.tz = {}, {}, "UTC"

    def sign_up(self, day):
        (number,) = self.connection.execute(
            "insert into activity.user_numbers (user_key, user_id, signed_up_at) "
            "values (sha256(convert_to(%(id)s, 'UTF8')), %(id)s, %(at)s) returning user_number",
            {
                "id": f"u{len(self.entries)}",
                "at": datetime(day.year, day.month, day.day, tzinfo=UTC),
            },
        ).fetchone()
        self.connection.execute(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id) "
            "values (%s, false, %s, %s)",
            (ACCOUNT, f"u{len(self.entries)}", f"cus_{number}"),
        )
        self.entries[number] = day
        return number

    def pay(self, number, at, currency, amount, **columns):
        """One charge, by its id; `paid` holds what of it is left if it is settled."""
        charge = f"ch_{len(self.paid)}"
        row = {
            "charge": charge,
            "customer": f"cus_{number}",
            "currency": currency,
            "amount": amount,
            "at": at,
            "now": NOW,
            "status": "succeeded",
            "captured": True,
            **columns,
        }
        self.connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, customer_id, status, "
            "captured, currency, amount_minor, created_at, written_by, written_at) values "
            f"('{ACCOUNT}', false, %(charge)s, %(customer)s, %(status)s, %(captured)s, "
            "%(currency)s, %(amount)s, %(at)s, 'mirror', %(now)s)",
            row,
        )
        is_settled = row["status"] == "succeeded" and row["captured"]
        day = at.astimezone(ZoneInfo(self.tz)).date()
        self.paid[charge] = [number, day, currency, amount if is_settled else None]
        return charge

    def take_back(self, charge, amount, column="refunded_minor"):
        self.connection.execute(
            f"update billing.payments set {column} = {column} + %s where charge_id = %s",
            (amount, charge),
        )
        if self.paid[charge][3] is not None:
            self.paid[charge][3] -= amount

    def know_until(self, day):
        """The sweep read all of Stripe's events before the end of a local day."""
        end = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(self.tz))
        self.connection.execute(
            "insert into billing.sweeps (account_id, livemode, swept_to) values (%s, false, %s) "
            "on conflict (account_id, livemode) do update set swept_to = excluded.swept_to",
            (ACCOUNT, end),
        )

    def write(self, through):
        """Users and activity into the lake: everybody is there every day."""
        rows = [(number, (day - EPOCH).days) for number, day in self.entries.items()]
        schema = {"user_number": pl.Int32, "entry_day": pl.Int32}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        self.lake.write_partition(USERS, {"part": "all"}, [frame], {"tz": self.tz})
        schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
        told = {"tz": self.tz}
        for step in range((through - START).days + 1):
            day = START + timedelta(days=step)
            rows = [
                (number, (day - EPOCH).days, 1)
                for number, entry in self.entries.items()
                if entry <= day
            ]
            frame = pl.DataFrame(rows, schema=schema, orient="row")
            self.lake.write_partition(ACTIVITY, {"day": day.isoformat()}, [frame], told)

    def refresh(self, engine, grains=("day", "week", "month"), lake=None):
        return refresh(lake or self.lake, engine, Wanted(grains=grains), now=NOW, books=self.books)


def _whole(amount, size):
    return int((Decimal(amount) / size).quantize(Decimal(1), ROUND_HALF_EVEN))


def _share(part, whole):
    if whole == 0:
        return None
    return (Decimal(part) / whole).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def _by_hand(company, grain, through, known):
    """(cohort, index, currency) -> the money columns, one payment after another."""
    members = defaultdict(set)
    for number, day in company.entries.items():
        if day <= through:
            members[floor_day(day, grain)].add(number)
    settled = [
        payment
        for payment in company.paid.values()
        if payment[3] is not None and payment[1] <= NOW.date()
    ]
    all_currencies = {currency for _, _, currency, _ in settled}
    cells = {}
    for cohort, numbers in members.items():
        mine = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
        for number, day, currency, amount in settled:
            index = index_of(cohort, day, grain)
            if number in numbers and day <= through and 0 <= index <= LAST[grain]:
                mine[currency][index][number] += amount
        own = sorted(mine) or (list(all_currencies) if len(all_currencies) == 1 else [None])
        closed = min(
            index_of(cohort, through + timedelta(days=1), grain),
            index_of(cohort, known + timedelta(days=1), grain),
        )
        for currency in own:
            cells.update(
                _row(cohort, index, currency, mine.get(currency, {}), len(numbers), index < closed)
                for index in range(LAST[grain] + 1)
            )
    return cells


def _row(cohort, index, currency, periods, size, is_told):
    if not is_told:
        return (cohort, index, currency), (None,) * 7
    amount = sum(periods.get(index, {}).values())
    whole = sum(sum(periods.get(n, {}).values()) for n in range(index + 1))
    opening = {number: paid for number, paid in periods.get(0, {}).items() if paid > 0}
    now = {number: periods.get(index, {}).get(number, 0) for number in opening}
    kept = sum(paid > 0 for paid in now.values())
    held = sum(min(paid, opening[number]) for number, paid in now.items())
    return (cohort, index, currency), (
        amount,
        _whole(amount, size),
        whole,
        _whole(whole, size),
        _share(len(opening) - kept, len(opening)),
        _share(sum(opening.values()) - held, sum(opening.values())),
        _share(sum(now.values()), sum(opening.values())),
    )


COLUMNS = (
    *("revenue_minor", "revenue_per_customer_minor"),
    *("cumulative_revenue_minor", "cumulative_per_customer_minor"),
    *("logo_churn", "revenue_churn", "nrr"),
)


def _told(frame):
    return {
        (row["cohort_start"], row["period_index"], row["currency"]): tuple(
            row[name] for name in COLUMNS
        )
        for row in frame.iter_rows(named=True)
    }


def _published(lake, grain):
    return _told(CellStore(lake).read(grain).frame)


def _happen(chance, company, day):
    """What a day brings: sign-ups, payments settled or not, refunds and disputes of any age."""
    for _ in range(chance.randint(0, 2)):
        company.sign_up(day)
    zone = ZoneInfo(company.tz)
    for _ in range(chance.randint(0, 3) if company.entries else 0):
        number = chance.choice(list(company.entries))
        at = datetime.combine(day, datetime.min.time(), zone) + timedelta(
            seconds=chance.randrange(86_399)
        )
        currency = (
            "usd" if day < START + timedelta(days=15) else chance.choice(("usd", "eur", "jpy"))
        )
        odd = chance.choice(({}, {}, {}, {"status": "failed"}, {"captured": False}))
        company.pay(number, at, currency, chance.randint(0, 900), **odd)
    if company.paid and chance.random() < 0.3:
        charge = chance.choice(list(company.paid))
        column = chance.choice(("refunded_minor", "disputed_minor"))
        company.take_back(charge, chance.randint(1, 100), column)


def test_refreshes_over_a_random_history_publish_the_money_a_plain_loop_counts(
    company, engine, database, tmp_path, seed
):
    chance = random.Random(seed)
    company.tz = chance.choice(("UTC", "America/New_York", "Pacific/Kiritimati"))
    behind = 0
    for step in range(45):
        day = START + timedelta(days=step)
        _happen(chance, company, day)
        if not company.entries:
            company.sign_up(day)
        if step % 14 == 6 or chance.random() < 0.05:
            behind = chance.choice((0, 0, 3))
            company.know_until(day - timedelta(days=behind))
            company.write(day)
            done = company.refresh(engine)
            for made in done:
                expected = _by_hand(company, made.grain, day, day - timedelta(days=behind))
                assert _published(company.lake, made.grain) == expected
                assert [*judge_rows(made), *judge_sums(made), *judge_money(made)] == []
    last = START + timedelta(days=44)
    company.know_until(last)
    company.write(last)
    done = company.refresh(engine)
    store = CohortStore(database)
    store.publish(answers_of(done), now=NOW)
    anew = company.lake
    company.lake = Lake(str(tmp_path / "anew"))
    company.write(last)
    for made, rebuilt in zip(done, company.refresh(engine), strict=True):
        assert made.answer() == rebuilt.answer()
        assert _published(anew, made.grain) == _by_hand(company, made.grain, last, last)
        assert _told(store.read(made.definition)) == _published(anew, made.grain)


@pytest.fixture
def two_payers(company):
    """Three users of one day; two paid 10.00 USD on it, one of them 4.00 on the third day."""
    numbers = [company.sign_up(START) for _ in range(3)]
    noon = datetime(START.year, START.month, START.day, 12, tzinfo=UTC)
    company.charges = [
        company.pay(numbers[0], noon, "usd", 1000),
        company.pay(numbers[1], noon, "usd", 1000),
        company.pay(numbers[1], noon + timedelta(days=2), "usd", 400),
    ]
    company.sign_up(START + timedelta(days=5))
    company.know_until(START + timedelta(days=9))
    company.write(START + timedelta(days=9))
    return company


def test_a_refund_rewrites_the_cohort_that_paid_and_reads_no_activity(two_payers, engine):
    two_payers.refresh(engine, ("day",))
    assert two_payers.refresh(engine, ("day",))[0].changed == 0
    two_payers.take_back(two_payers.charges[2], 100)
    (day,) = two_payers.refresh(engine, ("day",))
    assert (day.read_days, day.computed) == (0, 0)
    assert day.changed == 8  # the cell of the third day, and sums over it in the seven after
    assert {one.cohort_start for one in day.restatements} == {START}
    first = day.restatements[0]
    assert (first.period_index, first.currency) == (2, "usd")
    assert (first.revenue_before, first.revenue_now) == (400, 300)
    assert (first.cumulative_before, first.cumulative_now) == (2400, 2300)


def test_churn_and_money_of_a_cohort_by_hand(two_payers, engine):
    two_payers.refresh(engine, ("day",))
    found = _published(two_payers.lake, "day")
    six = Decimal("0.000001")
    assert found[START, 0, "usd"] == (2000, 667, 2000, 667, 0, 0, 1)
    assert found[START, 2, "usd"] == (
        *(400, 133, 2400, 800),
        *(Decimal("0.5"), Decimal("0.8"), Decimal("0.2").quantize(six)),
    )
    assert found[START + timedelta(days=5), 0, "usd"] == (0, 0, 0, 0, None, None, None)
    assert found[START, 10, "usd"] == (None,) * 7


def test_money_of_a_segment_is_that_of_its_members(two_payers, engine):
    ada, bo, *_ = sorted(two_payers.entries)
    plans = pl.DataFrame(
        [(ada, "free"), (bo, "pro")],
        schema={"user_number": pl.Int32, "segment": pl.String},
        orient="row",
    )
    two_payers.lake.write_partition(SEGMENTS, {"segment_by": "plan"}, [plans], {})
    how = {"now": NOW, "books": two_payers.books}
    refresh(two_payers.lake, engine, Wanted(grains=("day",)), segments=["plan"], **how)
    frame = CellStore(two_payers.lake, segment_by="plan").read("day").frame
    found = {
        (row["segment"], row["period_index"]): (
            *(row["cohort_size"], row["revenue_minor"], row["cumulative_revenue_minor"]),
            *(row["currency"], row["logo_churn"]),
        )
        for row in frame.filter(pl.col("cohort_start") == START).iter_rows(named=True)
    }
    assert found["free", 0] == (1, 1000, 1000, "usd", 0)
    assert found["free", 2] == (1, 0, 1000, "usd", 1)
    assert found["pro", 2] == (1, 400, 1400, "usd", 0)
    assert found[None, 2] == (1, 0, 0, "usd", None)
    two_payers.take_back(two_payers.charges[2], 150)
    whole, split = refresh(
        two_payers.lake, engine, Wanted(grains=("day",)), segments=["plan"], **how
    )
    assert (whole.changed, split.changed, split.read_days) == (8, 8, 0)


def test_days_the_books_do_not_know_yet_are_null_and_not_nothing(two_payers, engine):
    two_payers.know_until(START + timedelta(days=1))
    (day,) = two_payers.refresh(engine, ("day",))
    found = _published(two_payers.lake, "day")
    assert found[START, 1, "usd"][0] == 0
    assert found[START, 2, "usd"] == (None,) * 7
    assert day.published.frame.filter(pl.col("state") == "closed")["users"].null_count() == 0
    two_payers.know_until(START + timedelta(days=9))
    (day,) = two_payers.refresh(engine, ("day",))
    assert _published(two_payers.lake, "day")[START, 2, "usd"][0] == 400
    assert day.restatements == []  # what was unknown has not changed


def test_while_nobody_tells_whose_customers_are_whose_all_money_is_null(
    two_payers, engine, connection
):
    two_payers.refresh(engine, ("day",))
    connection.execute("delete from billing.user_customers")
    (day,) = two_payers.refresh(engine, ("day",))
    assert day.published.frame["revenue_minor"].null_count() == day.published.frame.height
    assert day.published.frame["currency"].null_count() == day.published.frame.height
    assert judge_rows(day) == judge_money(day) == []


def test_rows_of_others_that_repeat_a_charge_count_once(two_payers, engine, connection):
    two_payers.refresh(engine, ("day",))
    before = _published(two_payers.lake, "day")
    connection.execute(
        "insert into billing.payments (account_id, livemode, charge_id, payment_intent_id, "
        "customer_id, status, captured, currency, amount_minor, created_at, written_by, written_at)"
        " select account_id, livemode, charge_id, 'pi_1', customer_id, status, captured, currency, "
        "amount_minor, created_at, 'hand', written_at from billing.payments"
    )
    connection.execute(
        "insert into billing.payments (account_id, livemode, payment_intent_id, customer_id, "
        "status, captured, currency, amount_minor, created_at, written_by, written_at)"
        " select account_id, livemode, 'pi_1', customer_id, status, captured, currency, "
        "amount_minor, created_at, 'import', written_at from billing.payments limit 1"
    )
    assert two_payers.refresh(engine, ("day",))[0].changed == 0
    assert _published(two_payers.lake, "day") == before


def test_a_process_without_a_key_reads_the_payments_of_the_databases_own_mode(
    two_payers, engine, connection, database
):
    for table in ("payments", "user_customers", "sweeps"):
        connection.execute(f"update billing.{table} set livemode = true")
    connection.execute("insert into billing.stripe_mode values (true, true, 'acct_1', now())")
    two_payers.books = MoneyStore(database, [Scope(ACCOUNT, False)])
    two_payers.refresh(engine, ("day",))
    assert _published(two_payers.lake, "day")[START, 0, "usd"][0] == 2000


def test_who_does_not_count_has_paid_nothing(two_payers, engine, connection):
    two_payers.refresh(engine, ("day",))
    connection.execute(
        "insert into activity.excluded_users (user_key, reason) "
        "select user_key, 'test' from activity.user_numbers where user_id = 'u1'"
    )
    two_payers.refresh(engine, ("day",))
    assert _published(two_payers.lake, "day")[START, 0, "usd"][0] == 1000


def test_a_sum_that_does_not_add_up_is_caught(two_payers, engine):
    two_payers.refresh(engine, ("day",))
    manifest = two_payers.lake.read_manifest(CELLS, {"grain": "day"})
    third = pl.col("period_index") == 2
    wrong = pl.when(third).then(1).otherwise(pl.col("cumulative_revenue_minor"))
    broken = two_payers.lake.read(manifest).with_columns(cumulative_revenue_minor=wrong)
    two_payers.lake.write_partition(CELLS, {"grain": "day"}, [broken], manifest.certificate)
    (day,) = two_payers.refresh(engine, ("day",))
    assert judge_money(day) == ["day: 4 rows with sums that do not add up"]


def test_money_that_is_known_and_not_told_is_caught(two_payers, engine):
    two_payers.refresh(engine, ("day",))
    manifest = two_payers.lake.read_manifest(CELLS, {"grain": "day"})
    first = pl.col("period_index") == 0
    amounts = ("revenue_minor", "cumulative_revenue_minor")
    blank = [pl.when(~first).then(pl.col(name)).alias(name) for name in amounts]
    broken = two_payers.lake.read(manifest).with_columns(blank)
    untold = broken.filter(first & (pl.col("state") == "closed")).height
    two_payers.lake.write_partition(CELLS, {"grain": "day"}, [broken], manifest.certificate)
    (day,) = two_payers.refresh(engine, ("day",))
    assert untold > 0
    assert f"day: {untold} rows without money that is known" in judge_money(day)


def test_of_old_versions_of_money_only_the_last_one_stays(company, lake):
    number = company.sign_up(START)
    for day in range(4):
        company.pay(number, datetime(2031, 1, 21 + day, 12, tzinfo=UTC), "usd", 100)
        roll_up_money(company.books, lake, tz="UTC", now=NOW)
    files = list((Path(lake.url) / MONEY).rglob("*.parquet"))
    assert len(files) == 4
    for path in files:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    roll_up_money(company.books, lake, tz="UTC", now=NOW)
    assert len([path for path in files if path.exists()]) == 2
    assert sum(one.row_count for one in lake.manifests(MONEY)) == 4
