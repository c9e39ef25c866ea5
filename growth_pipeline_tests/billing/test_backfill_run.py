"""Extracts brought into mirror and books, on a real Postgres and a lake in a folder."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count

import orjson
import polars as pl
import pytest

from growth_pipeline.billing.backfill import RowChange, Span, whole_months
from growth_pipeline.billing.backfill_run import (
    Request,
    find_files,
    request_of,
    run_backfill,
    save_report,
)
from growth_pipeline.billing.backfill_store import BackfillStore
from growth_pipeline.billing.columns import COMMON
from growth_pipeline.billing.extract import dataset_of
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.ledger import Fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ConfigurationError, GrowthError, UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge, a_refund, an_event

SCOPE = Scope("acct_1", False)
OCTOBER = Month(2025, 10)
READ_AT = datetime(2025, 11, 10, 12, tzinfo=UTC)
NOW = READ_AT + timedelta(minutes=5)
FIRST_NOON = int(datetime(2025, 10, 1, 12, tzinfo=UTC).timestamp())
DAY = 86_400


@pytest.fixture
def store(database) -> BillingStore:
    return BillingStore(database)


@pytest.fixture
def extract(lake):
    """Writes one month's file of a list, as the extraction leaves it."""

    def write(
        resource: str,
        *objects: dict,
        month: Month | None = OCTOBER,
        as_of: datetime = READ_AT,
        scope: Scope = SCOPE,
        requests: int | None = None,
    ):
        rows = [
            (
                *(*scope, found["id"], found["created"], NEW),
                *(as_of - timedelta(seconds=3), as_of, json.dumps(found)),
            )
            for found in objects
        ]
        partition = {"account": scope.account_id, "mode": scope.mode}
        partition |= {"month": month.key} if month else {}
        certificate = {"complete": True, "has_more": False, "as_of": as_of.isoformat()}
        certificate |= {"request_count": requests} if requests else {}
        frame = pl.DataFrame(rows, schema=COMMON, orient="row")
        lake.write_partition(dataset_of(resource), partition, [frame], certificate)

    return write


@pytest.fixture
def run(store, database, lake):
    """Runs one backfill of October; `gone` are ids that Stripe says it does not know.

    Each run is a second after the one before.
    """
    seconds = count()

    def run(*resources, span=None, dry_run=False, gone=(), scopes=(SCOPE,)):
        asked: list[str] = []
        now = NOW + timedelta(seconds=next(seconds))

        def confirm(key):
            asked.append(key.id)
            found = None if key.id in gone else still_there(key)
            raw = orjson.dumps(found) if found else b""
            return Fetched(key, found, raw, NEW, NOW - timedelta(seconds=2), NOW)

        def still_there(key):
            known = store.known_states([key])
            return known[key].snapshot.payload

        request = Request(scopes, span or whole_months([OCTOBER]), resources or ("charges",))
        database.dry_run = dry_run
        try:
            report, rows = run_backfill(
                request,
                store=store,
                listed=BackfillStore(database),
                lake=lake,
                confirm=confirm,
                clock=lambda: now,
            )
        finally:
            database.dry_run = False
        save_report(request, report, rows, lake)
        return report, rows, asked

    return run


def hear(store, type: str, object: dict, *, at: datetime, scope: Scope = SCOPE) -> None:
    """An event of that instant reaches the mirror."""
    name = f"evt_{object['id']}_{at:%d%H%M%S}"
    row = ReceivedEvent(
        account_id=scope.account_id,
        livemode=scope.livemode,
        event_id=name,
        type=type,
        api_version=NEW,
        created_at=at,
        received_at=at,
        source="webhook",
        body=an_event(type, object, id=name, created=int(at.timestamp()), livemode=scope.livemode),
    )
    store.insert_events([row])
    apply_waiting(store, now=at)


def mirrored(database) -> dict[str, tuple[dict, bool]]:
    with database.connection() as connection:
        rows = connection.execute(
            "select id, payload, deleted_at is not null from stripe.objects"
        ).fetchall()
    return {id_: (payload, is_deleted) for id_, payload, is_deleted in rows}


def booked(database) -> dict[str, tuple[int, int]]:
    with database.connection() as connection:
        rows = connection.execute(
            "select charge_id, amount_minor, refunded_minor from billing.payments"
        ).fetchall()
    return {charge: tuple(amounts) for charge, *amounts in rows}


def october(id: str, day: int = 0, **fields) -> dict:
    return a_charge(id, created=FIRST_NOON + day * DAY, **fields)


def counts_of(report, name: str) -> tuple[int, int, int, int]:
    counts = report.counts[name]
    return counts.insert, counts.update, counts.skip, counts.delete


def test_what_is_missing_is_inserted_and_booked(extract, run, database):
    extract("charges", october("ch_1"), october("ch_2", amount_captured=900, amount=900))
    report, rows, _ = run()
    assert counts_of(report, "charge") == (2, 0, 0, 0)
    assert (report.payments.insert, report.payments.update) == (2, 0)
    assert booked(database) == {"ch_1": (1000, 0), "ch_2": (900, 0)}
    assert (report.money["usd"].before.gross_minor, report.money["usd"].after.gross_minor) == (
        *(0, 1900),
    )
    assert [(row["object"], row["id"], row["change"]) for row in rows.to_dicts()] == [
        *(("charge", "ch_1", "insert"), ("charge", "ch_2", "insert")),
        *(("payment", "ch_1", "insert"), ("payment", "ch_2", "insert")),
    ]


def test_the_requests_are_those_of_all_extracts_or_none_if_one_does_not_tell(extract, run):
    connected = Scope("acct_2", False)
    extract("charges", requests=7)
    extract("charges", scope=connected, requests=5)
    extract("refunds", scope=connected, requests=1)
    extract("refunds")
    both = (SCOPE, connected)
    assert run("charges", scopes=both)[0].requests == 12
    assert run("charges", "refunds", scopes=both)[0].requests is None


def test_a_second_run_changes_nothing(extract, run, database):
    extract("charges", october("ch_1"))
    run()
    before = mirrored(database), booked(database)
    report, rows, _ = run()
    assert report.is_empty
    assert rows.is_empty()
    assert counts_of(report, "charge") == (0, 0, 1, 0)
    assert (mirrored(database), booked(database)) == before


def test_a_dry_run_says_what_the_apply_does_and_leaves_nothing(extract, run, store, database):
    hear(store, "charge.succeeded", october("ch_old"), at=READ_AT - timedelta(days=5))
    extract("charges", october("ch_old", amount_refunded=300), october("ch_new"))
    extract("refunds", a_refund("re_1", "ch_old", amount=300, created=FIRST_NOON))
    before = mirrored(database), booked(database)
    foretold, said, _ = run("refunds", "charges", dry_run=True)
    assert (mirrored(database), booked(database)) == before
    done, rows, _ = run("refunds", "charges")
    assert said.rows() == rows.rows()
    assert (foretold.counts, foretold.money, foretold.payments) == (
        *(done.counts, done.money, done.payments),
    )
    assert counts_of(done, "charge") == (1, 1, 0, 0)
    assert booked(database) == {"ch_old": (1000, 300), "ch_new": (1000, 0)}
    assert done.since_dry_run.is_as_said
    assert done.since_dry_run.same == rows.height == 5


def test_the_dry_run_before_the_last_apply_is_not_asked_again(extract, run):
    extract("charges", october("ch_1"))
    run(dry_run=True)
    assert run()[0].since_dry_run.is_as_said
    assert run()[0].since_dry_run is None


def test_what_changed_since_the_dry_run_is_told(extract, run, store):
    extract("charges", october("ch_1"), october("ch_2"), october("ch_3"))
    run(dry_run=True)
    hear(store, "charge.succeeded", october("ch_1"), at=NOW - timedelta(minutes=1))
    extract("charges", october("ch_1"), october("ch_2", amount_refunded=5), october("ch_4"))
    since = run()[0].since_dry_run
    assert (since.same, since.undone, since.more, since.other) == (0, 4, 2, 2)
    named = {(word, row.object, row.id) for word, row in since.examples}
    assert {("undone", "charge", "ch_1"), ("undone", "charge", "ch_3")} <= named
    assert {("more", "charge", "ch_4"), ("other", "charge", "ch_2")} <= named


def test_a_newer_state_of_the_mirror_stays(extract, run, store, database):
    newer = october("ch_1", amount_refunded=700, refunded=False)
    hear(store, "charge.refunded", newer, at=READ_AT + timedelta(minutes=1))
    extract("charges", october("ch_1"))
    report, _, _ = run()
    assert counts_of(report, "charge") == (0, 0, 1, 0)
    assert report.counts["charge"].newer == 1
    assert mirrored(database)["ch_1"][0]["amount_refunded"] == 700


def test_days_narrow_a_month(extract, run, database):
    extract("charges", october("ch_1"), october("ch_2", 1), october("ch_3", 2))
    span = Span(datetime(2025, 10, 2, tzinfo=UTC), datetime(2025, 10, 3, tzinfo=UTC))
    report, _, _ = run(span=span)
    assert counts_of(report, "charge") == (1, 0, 0, 0)
    assert set(mirrored(database)) == {"ch_2"}


def test_a_list_without_months_is_narrowed_by_the_span_too(extract, run, database):
    def a_method(id: str, day: int) -> dict:
        return {
            **{"id": id, "object": "payment_method", "type": "card", "livemode": False},
            **{"created": FIRST_NOON + day * DAY, "customer": "cus_1"},
            "card": {"brand": "visa", "last4": "4242", "fingerprint": "print", "exp_year": 2030},
        }

    extract("payment_methods", a_method("pm_1", 0), a_method("pm_2", 40), month=None)
    report, _, _ = run("payment_methods")
    assert counts_of(report, "payment_method") == (1, 0, 0, 0)
    ((name, (payload, _)),) = mirrored(database).items()
    assert name == "pm_1"
    assert "4242" not in str(payload)
    assert "print" not in str(payload)


def test_the_same_id_in_two_accounts_is_two_rows(extract, run, database):
    connected = Scope("acct_2", False)
    coupon = {
        **{"id": "SPRING", "object": "coupon", "created": FIRST_NOON, "livemode": False},
        **{"duration": "once", "percent_off": 10.0, "times_redeemed": 0, "valid": True},
    }
    for scope in (SCOPE, connected):
        extract("coupons", coupon, scope=scope)
    report, rows, _ = run("coupons", scopes=(SCOPE, connected))
    assert counts_of(report, "coupon") == (2, 0, 0, 0)
    assert rows["account_id"].to_list() == ["acct_1", "acct_2"]
    assert run("coupons", scopes=(SCOPE, connected))[0].is_empty


def test_events_that_arrive_while_it_runs_are_neither_lost_nor_overwritten(
    extract, run, store, database
):
    """Half of the charges are refunded after they were read; both writers run at once."""
    names = [f"ch_{number:04d}" for number in range(600)]
    extract("charges", *(october(name) for name in names))
    refunded = names[::2]
    later = READ_AT + timedelta(seconds=30)
    events = [
        ReceivedEvent(
            *(SCOPE.account_id, False, f"evt_{name}", "charge.refunded", NEW, later, later),
            *(
                "webhook",
                an_event(
                    "charge.refunded",
                    october(name, amount_refunded=1000),
                    id=f"evt_{name}",
                    created=int(later.timestamp()),
                ),
            ),
        )
        for name in refunded
    ]

    def hear_all() -> None:
        for start in range(0, len(events), 20):
            store.insert_events(events[start : start + 20])
            apply_waiting(store, now=later)

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear_all)
        report, _, _ = run()
        heard.result(60)
    expected = {name: (1000, 1000 if name in set(refunded) else 0) for name in names}
    assert booked(database) == expected
    done = report.counts["charge"]
    assert done.insert + done.update + done.skip == len(names)


# --- payments of charges that are right ----------------------------------------------------------


def by_hand(database, statement: str) -> None:
    with database.connection() as connection:
        connection.execute(statement)


def test_wrong_and_missing_payments_of_unchanged_charges_are_booked_again(extract, run, database):
    extract("charges", october("ch_1"), october("ch_2"), october("ch_3"))
    run()
    by_hand(
        database,
        "update billing.payments set amount_minor = amount_minor * 100 where charge_id = 'ch_1'",
    )
    by_hand(database, "delete from billing.payments where charge_id = 'ch_2'")
    foretold, said, _ = run(dry_run=True)
    assert booked(database) == {"ch_1": (100_000, 0), "ch_3": (1000, 0)}
    assert not foretold.is_empty
    assert counts_of(foretold, "charge") == (0, 0, 3, 0)
    assert (foretold.payments.insert, foretold.payments.update) == (1, 1)
    money = foretold.money["usd"]
    assert (money.before.payments, money.before.gross_minor) == (1, 100_000)
    assert (money.after.payments, money.after.gross_minor) == (2, 2000)
    assert [(row["object"], row["id"], row["change"]) for row in said.to_dicts()] == [
        *(("payment", "ch_1", "update"), ("payment", "ch_2", "insert")),
    ]
    done, rows, _ = run()
    assert done.since_dry_run.is_as_said
    assert rows.rows() == said.rows()
    assert booked(database) == {"ch_1": (1000, 0), "ch_2": (1000, 0), "ch_3": (1000, 0)}
    assert run()[0].is_empty


def test_what_moves_most_money_is_shown_first_and_every_row_keeps_before_and_after(
    extract, run, store, database, lake
):
    charges = [october(f"ch_{number:02d}") for number in range(20)]
    hear(store, "charge.succeeded", october("ch_new", description="Ann"), at=READ_AT)
    extract("charges", *charges)
    run()
    by_hand(database, "update billing.payments set customer_id = 'cus_x' where charge_id < 'ch_10'")
    by_hand(
        database,
        "update billing.payments set refunded_minor = 50 where charge_id = 'ch_17'",
    )
    by_hand(
        database,
        "update billing.payments set amount_minor = amount_minor * 100 where charge_id = 'ch_18'",
    )
    by_hand(database, "delete from billing.payments where charge_id = 'ch_16'")
    later = READ_AT + timedelta(minutes=10)
    extract("charges", *charges, october("ch_new", description="Bob", paid=False), as_of=later)
    report, rows, _ = run(dry_run=True)
    shown = [(sample.row.object, sample.row.id) for sample in report.samples]
    assert shown[:3] == [("payment", "ch_18"), ("payment", "ch_16"), ("payment", "ch_17")]
    (difference,) = report.samples[0].fields
    assert tuple(difference) == ("amount_minor", 100_000, 1000, True)
    said = {
        (row["object"], row["id"]): (row["before"], row["after"])
        for row in pl.read_parquet(BytesIO(lake.read_artifact(report.rows_kept_in))).to_dicts()
    }
    assert said["payment", "ch_18"] == ('{"amount_minor": 100000}', '{"amount_minor": 1000}')
    assert said["payment", "ch_17"] == ('{"refunded_minor": 50}', '{"refunded_minor": 0}')
    assert said["payment", "ch_16"] == (
        "",
        '{"status": "succeeded", "currency": "usd", "amount_minor": 1000}',
    )
    assert said["payment", "ch_03"] == ('{"customer_id": "hidden"}',) * 2
    before, after = map(json.loads, said["charge", "ch_new"])
    assert (before["paid"], after["paid"]) == (True, False)
    assert (before["description"], after["description"]) == ("hidden", "hidden")
    assert len(said) == rows.height == 14


def test_a_payment_that_is_written_twice_is_shown_as_it_was_before_the_backfill(
    extract, run, store, database
):
    hear(store, "charge.succeeded", october("ch_1"), at=READ_AT - timedelta(days=5))
    extract("refunds", a_refund("re_1", "ch_1", amount=300, created=FIRST_NOON))
    extract("charges", october("ch_1", amount_refunded=300, captured=True, status="failed"))
    foretold, said, _ = run("refunds", "charges", dry_run=True)
    done, rows, _ = run("refunds", "charges")
    assert said.rows() == rows.rows()
    assert done.samples == foretold.samples
    payment = done.samples[0]
    assert payment.row.object == "payment"
    fields = {one.name: (one.before, one.after) for one in payment.fields}
    assert fields["status"] == ("succeeded", "failed")
    assert fields["refunded_minor"] == (0, 300)


def test_right_payments_and_those_of_other_writers_are_not_written(extract, run, database):
    extract("charges", october("ch_1"), october("ch_2"))
    run()
    by_hand(database, "update billing.payments set written_by = 'hand' where charge_id = 'ch_2'")
    by_hand(
        database,
        "update billing.payments set amount_minor = 7, written_at = '2020-01-01' "
        "where written_by = 'hand'",
    )
    query = "select charge_id, amount_minor, written_at from billing.payments order by 1, 2"
    with database.connection() as connection:
        right, other = connection.execute(query).fetchall()
    report, _, _ = run()
    assert (report.payments.insert, report.payments.update) == (1, 0)
    with database.connection() as connection:
        rows = connection.execute(query).fetchall()
    assert rows[:2] == [right, other]
    assert [row[:2] for row in rows] == [("ch_1", 1000), ("ch_2", 7), ("ch_2", 1000)]


def test_a_payment_of_a_charge_that_the_mirror_knows_newer_is_booked_as_the_mirror_knows_it(
    extract, run, store, database
):
    newer = october("ch_1", amount_refunded=700, refunded=False)
    hear(store, "charge.refunded", newer, at=READ_AT + timedelta(minutes=1))
    by_hand(database, "delete from billing.payments")
    extract("charges", october("ch_1"))
    report, _, _ = run()
    assert counts_of(report, "charge") == (0, 0, 1, 0)
    assert booked(database) == {"ch_1": (1000, 700)}


def test_a_charge_of_the_mirror_that_cannot_be_booked_holds_nobody_up(
    extract, run, store, database
):
    hear(store, "charge.updated", october("ch_1"), at=READ_AT + timedelta(minutes=1))
    extract("charges", october("ch_1"), october("ch_2"), october("ch_3"))
    run()
    by_hand(database, "update stripe.charges set payload = payload - 'currency' where id = 'ch_1'")
    by_hand(database, "delete from billing.payments")
    report, _, _ = run()
    assert counts_of(report, "charge") == (0, 0, 2, 0)
    assert report.counts["charge"].refused == 1
    assert [(name, id_) for name, id_, _ in report.refused] == [("charge", "ch_1")]
    assert booked(database) == {"ch_2": (1000, 0), "ch_3": (1000, 0)}


# --- what the list no longer has -----------------------------------------------------------------


def a_customer(id: str, day: int = 0) -> dict:
    return {"id": id, "object": "customer", "created": FIRST_NOON + day * DAY, "livemode": False}


def test_only_what_stripe_says_is_gone_becomes_a_tombstone(extract, run, store, database):
    for name in ("cus_gone", "cus_hidden", "cus_listed"):
        hear(store, "customer.created", a_customer(name), at=READ_AT - timedelta(days=9))
    extract("customers", a_customer("cus_listed"))
    report, rows, asked = run("customers", gone={"cus_gone"})
    assert asked == ["cus_gone", "cus_hidden"]
    assert report.confirmed == 2
    assert counts_of(report, "customer") == (0, 0, 2, 1)
    assert [(row["id"], row["change"]) for row in rows.to_dicts()] == [("cus_gone", "delete")]
    assert {name: state[1] for name, state in mirrored(database).items()} == {
        "cus_gone": True,
        "cus_hidden": False,
        "cus_listed": False,
    }


@pytest.mark.parametrize("livemode", [True, False])
def test_a_charge_that_stripe_does_not_know_means_another_account_but_not_in_test_mode(
    extract, run, store, database, livemode
):
    scope = Scope("acct_1", livemode)
    charge = october("ch_1", livemode=livemode)
    hear(store, "charge.succeeded", charge, at=READ_AT - timedelta(days=9), scope=scope)
    extract("charges", scope=scope)
    if livemode:
        with pytest.raises(GrowthError, match="Stripe knows no charge ch_1") as caught:
            run(gone={"ch_1"}, scopes=[scope])
        assert "account acct_1" in caught.value.remedy
    else:
        assert counts_of(run(gone={"ch_1"}, scopes=[scope])[0], "charge") == (0, 0, 0, 1)
    assert mirrored(database)["ch_1"][1] is not livemode


def test_a_key_of_another_account_is_recognised_by_a_charge_that_is_not_backfilled(
    extract, run, store, database
):
    scope = Scope("acct_1", True)
    coupon = {"id": "SAVE", "object": "coupon", "duration": "once", "percent_off": 5}
    coupon["created"] = FIRST_NOON
    heard_at = READ_AT - timedelta(days=9)
    hear(store, "coupon.created", coupon, at=heard_at, scope=scope)
    hear(store, "charge.succeeded", october("ch_1", livemode=True), at=heard_at, scope=scope)
    extract("coupons", scope=scope)
    with pytest.raises(ConfigurationError, match="Stripe knows no charge ch_1"):
        run("coupons", gone={"ch_1", "SAVE"}, scopes=[scope])
    assert mirrored(database)["SAVE"][1] is False
    assert run("coupons", gone={"SAVE"}, scopes=[scope])[2] == ["ch_1", "SAVE"]
    assert mirrored(database)["SAVE"][1] is True


def test_what_is_gone_already_is_not_asked_for_again(extract, run, store):
    hear(store, "customer.created", a_customer("cus_1"), at=READ_AT - timedelta(days=9))
    extract("customers")
    assert run("customers", gone={"cus_1"})[2] == ["cus_1"]
    report, _, asked = run("customers", gone={"cus_1"})
    assert asked == []
    assert report.is_empty


def test_what_was_made_after_the_list_was_read_is_not_asked_for(extract, run, store):
    read_at = datetime(2025, 10, 20, tzinfo=UTC)
    hear(store, "customer.created", a_customer("cus_late", 25), at=READ_AT)
    extract("customers", as_of=read_at)
    assert run("customers")[2] == []


def test_what_lies_outside_the_span_is_not_asked_for(extract, run, store):
    hear(store, "customer.created", a_customer("cus_1"), at=READ_AT - timedelta(days=9))
    extract("customers")
    span = Span(datetime(2025, 10, 2, tzinfo=UTC), datetime(2025, 10, 5, tzinfo=UTC))
    assert run("customers", span=span)[2] == []


# --- what cannot be done -------------------------------------------------------------------------


def test_an_object_that_the_mirror_cannot_use_is_counted_and_holds_nobody_up(
    extract, run, database
):
    odd = october("ch_odd", currency="not a currency")
    extract("charges", october("ch_1"), odd, october("ch_2"))
    report, _, _ = run()
    assert report.counts["charge"].refused == 1
    assert not report.is_empty
    ((name, id_, reason),) = report.refused
    assert (name, id_) == ("charge", "ch_odd")
    assert "currency" in reason
    assert set(booked(database)) == {"ch_1", "ch_2"}


def test_half_a_surrogate_pair_in_a_name_refuses_that_customer_and_no_other(extract, run, database):
    odd = a_customer("cus_odd") | {"name": "\ud83d", "metadata": {"note": "\udc00"}}
    extract("customers", a_customer("cus_1"), odd, a_customer("cus_2"))
    foretold, _, _ = run("customers", dry_run=True)
    report, rows, _ = run("customers")
    assert foretold.counts == report.counts
    assert counts_of(report, "customer") == (2, 0, 0, 0)
    assert report.counts["customer"].refused == 1
    assert [(name, id_) for name, id_, _ in report.refused] == [("customer", "cus_odd")]
    assert rows["id"].to_list() == ["cus_1", "cus_2"]
    assert set(mirrored(database)) == {"cus_1", "cus_2"}


def test_a_month_that_was_not_extracted_is_named_before_anything_is_written(extract, run, database):
    extract("charges", october("ch_1"))
    with pytest.raises(
        GrowthError, match="refunds of 2025-10 of account acct_1 were not"
    ) as caught:
        run("charges", "refunds")
    assert "refunds_extract" in caught.value.remedy
    assert mirrored(database) == {}


def test_a_file_that_is_not_complete_is_not_used(lake, run):
    partition = {"account": SCOPE.account_id, "mode": SCOPE.mode, "month": OCTOBER.key}
    frame = pl.DataFrame([], schema=COMMON)
    lake.write_partition(dataset_of("charges"), partition, [frame], {"complete": False})
    with pytest.raises(GrowthError, match="not extracted to the end"):
        run()


def test_every_account_has_files_of_its_own(extract, lake):
    extract("charges", october("ch_1"))
    other = Scope("acct_2", False)
    request = Request([SCOPE, other], whole_months([OCTOBER]), ("charges",))
    with pytest.raises(GrowthError, match="charges of 2025-10 of account acct_2"):
        find_files(request, lake)


def test_days_outside_the_runs_months_are_refused():
    with pytest.raises(UsageError, match="2025-09-30 to 2025-11-01 is not within the months"):
        request_of([SCOPE], [OCTOBER], since="2025-09-30", until="", objects="")


def test_a_run_without_configuration_takes_everything_of_its_months():
    request = request_of([SCOPE], [OCTOBER, Month(2025, 11)], since="", until="", objects="")
    assert request.span == Span(OCTOBER.start, Month(2025, 12).start)
    assert request.resources[-1] == "charges"


def test_samples_show_each_kind_of_change_a_few_times(extract, run):
    extract("charges", *(october(f"ch_{number}") for number in range(9)))
    report, _, _ = run()
    shown = [(sample.row.object, sample.row.change) for sample in report.samples]
    assert shown == [("payment", RowChange.INSERT)] * 5 + [("charge", RowChange.INSERT)] * 3
    assert report.row_count == 18
