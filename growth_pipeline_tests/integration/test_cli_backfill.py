"""`growth backfill` against a sandbox: a dry run foretells row by row and to the cent what is done."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import polars as pl
import psycopg
import pytest

from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.storage.postgres import Database, dagster_url
from growth_pipeline_tests.fakes.sandbox_process import KEY, a_shell, running_sandbox
from growth_pipeline_tests.fakes.stripe_events import NEW


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), months=3, customers=25) as running:
        yield running


@pytest.fixture
def received(sandbox, seed, database_url):
    """A mirror made of half of the last month's events, and of a coupon that Stripe knows not."""
    now = datetime.now(UTC)
    chosen = random.Random(seed)
    events = [event for event in sandbox.events() if chosen.random() < 0.5]
    last = events[-1]
    gone = {
        "id": "evt_gone",
        "object": "event",
        "type": "coupon.created",
        "api_version": NEW,
        "created": last["created"],
        "livemode": False,
        "data": {
            "object": {
                "id": "GONE",
                "object": "coupon",
                "created": last["created"],
                "duration": "once",
                "livemode": False,
                "percent_off": 10.0,
                "times_redeemed": 0,
                "valid": True,
            }
        },
    }
    rows = [
        ReceivedEvent(
            account_id="self",
            livemode=False,
            event_id=event["id"],
            type=event["type"],
            api_version=event["api_version"],
            created_at=datetime.fromtimestamp(event["created"], UTC),
            received_at=now,
            source="webhook",
            body=orjson.dumps(event),
        )
        for event in [*events, gone]
    ]
    with Database(database_url) as database:
        store = BillingStore(database)
        store.insert_events(rows)
        apply_waiting(store, now=now)
    return database_url


@pytest.fixture
def shell(tmp_path, sandbox, received, empty_database_url):
    return a_shell(tmp_path, sandbox, database=received, dagster=dagster_url(empty_database_url))


# --- the tables, read by a plain loop ------------------------------------------------------------


def told(value):
    """A payload without nulls: absent and null say the same."""
    if isinstance(value, dict):
        return {name: told(inner) for name, inner in value.items() if inner is not None}
    return [told(inner) for inner in value] if isinstance(value, list) else value


def look(url: str) -> dict:
    """Every object and every booked payment as they are now."""
    rows: dict = {}
    with psycopg.connect(url) as connection:
        for name, id_, payload, deleted_at in connection.execute(
            "select object, id, payload, deleted_at from stripe.objects"
        ):
            rows[name, id_] = (told(payload), deleted_at is not None)
        for charge, *values in connection.execute(
            """select charge_id, status, captured, currency, amount_minor, refunded_minor,
            disputed_minor, fee_minor, settlement_currency, customer_id, invoice_id,
            payment_intent_id from billing.payments"""
        ):
            rows["payment", charge] = (values, False)
    return rows


def said_of(url: str) -> list[str]:
    """What the database is for by now: real data or a demo, live or test mode."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select mode from operate.mode union all "
            "select case when livemode then 'live' else 'test' end from billing.stripe_mode"
        ).fetchall()
    return [word for (word,) in rows]


def changes(before: dict, after: dict) -> dict:
    """What a reader of both tables sees: key -> insert, update or delete."""
    assert set(before) <= set(after), "no row is ever removed"
    found = {}
    for key, (content, is_deleted) in after.items():
        if key not in before or (before[key][1] and not is_deleted):
            found[key] = "insert"  # also a coupon that was deleted and made again
        elif is_deleted and not before[key][1]:
            found[key] = "delete"
        elif content != before[key][0]:
            found[key] = "update"
    return found


def money(rows: dict) -> dict:
    """Sums over settled payments by currency, and fees by the currency they were settled in."""
    sums: dict = {}
    for (kind, _), (values, _) in rows.items():
        if kind != "payment":
            continue
        status, captured, currency, amount, refunded, disputed, fee, settled, *_ = values
        if status == "succeeded" and captured:
            mine = sums.setdefault(currency, Counter())
            mine.update(gross=amount, refunded=refunded, disputed=disputed, payments=1)
            if settled:
                sums.setdefault(settled, Counter()).update(fees=fee or 0)
    return sums


def one_document(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kept_rows(shell, name: str) -> dict:
    (path,) = Path(shell.settings["GROWTH_STATE_DIR"]).rglob(f"{name}.parquet")
    return {(row["object"], row["id"]): row["change"] for row in pl.read_parquet(path).to_dicts()}


def assert_is_what_changed(document: dict, before: dict, after: dict) -> None:
    """The report's counts and money against the tables."""
    expected = changes(before, after)
    by_kind = Counter((kind, change) for (kind, _), change in expected.items())
    for kind, counts in document["difference"].items():
        for change in ("insert", "update", "delete"):
            assert counts[change] == by_kind.pop((kind, change), 0), (kind, change)
    for change in ("insert", "update"):
        assert document["payments"][change] == by_kind.pop(("payment", change), 0), change
    assert not by_kind, "changed and not reported"
    assert document["rows"] == len(expected)
    was, is_now = money(before), money(after)
    for currency in {*was, *is_now, *document["money_minor"]}:
        reported = document["money_minor"].get(currency, {}).get("difference", {})
        old, new = was.get(currency, Counter()), is_now.get(currency, Counter())
        for name, field in (
            *(("gross", "gross_minor"), ("refunded", "refunded_minor")),
            *(("disputed", "disputed_minor"), ("fees", "fees_minor"), ("payments", "payments")),
        ):
            assert reported.get(field, 0) == new[name] - old[name], (currency, name)


def kill_after_the_first_file(process) -> None:
    """SIGKILL as soon as progress tells that one file is in the mirror."""
    applying = False
    for line in process.stderr:
        applying = applying or line.startswith("billing/mirror_backfill")
        if applying and line.startswith("payment_intents "):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


# --- dry run, apply, again -----------------------------------------------------------------------


def test_a_dry_run_foretells_the_apply_row_by_row_and_the_second_apply_is_empty(
    shell, sandbox, received
):
    since = ("--since", sandbox.months[0], "--json")
    before = look(received)

    foretold = one_document(shell.growth("backfill", *since, "--dry-run"))
    assert look(received) == before, "a dry run changes nothing"
    assert said_of(received) == [], "nor does it say what the database is for"
    assert foretold["dry_run"] is True
    assert foretold["requests"] >= foretold["plan"]["extracts"], "one for each, at the least"
    assert foretold["plan"]["unknown_extracts"] < foretold["plan"]["extracts"]
    said = kept_rows(shell, "dry-run")

    done = one_document(shell.growth("backfill", *since, "--apply"))
    after = look(received)
    assert said_of(received) == ["real", "test"]
    assert_is_what_changed(done, before, after)
    expected = changes(before, after)
    assert expected["coupon", "GONE"] == "delete"
    assert {"insert", "update", "delete"} == set(expected.values()), "the case is worth its name"
    assert len(done["difference"]) >= 10, "nearly every list of Stripe is in it"
    assert kept_rows(shell, "applied") == said == expected
    for name in ("total", "difference", "payments", "money_minor", "rows", "confirmed_by_id"):
        assert foretold[name] == done[name], name
    assert done["since_dry_run"]["is_as_said"] is True
    assert done["since_dry_run"]["same"] == len(expected)

    again = shell.growth("backfill", *since[:2], "--apply")
    assert again.returncode == 0, again.stderr
    assert "Nothing to change: mirror and books already hold what Stripe says." in again.stdout
    assert f"took {done['requests']} requests; the plan said about {done['requests']}." in (
        again.stdout
    ), "by then the plan knows how it was read last"
    assert look(received) == after


def test_a_killed_apply_goes_on_and_ends_where_an_undisturbed_one_does(shell, sandbox, received):
    since = ("--since", sandbox.months[0])
    before = look(received)
    foretold = one_document(shell.growth("backfill", *since, "--json"))
    process = shell.start("backfill", *since, "--apply")
    kill_after_the_first_file(process)
    midway = changes(before, look(received))
    assert midway, "it was killed after it had begun to apply"
    assert len(midway) < foretold["rows"], "and before its end"

    done = one_document(shell.growth("backfill", *since, "--apply", "--json"))
    expected = changes(before, look(received))
    assert len(expected) == foretold["rows"]
    assert kept_rows(shell, "dry-run") == expected
    assert done["since_dry_run"]["not_done"] >= len(midway) - 1, "what the killed one had done"
    assert done["since_dry_run"]["more"] == 0
    empty = one_document(shell.growth("backfill", *since, "--apply", "--json"))
    assert empty["is_empty"] is True


def test_days_and_kinds_narrow_what_is_done_and_nothing_else_is_touched(shell, sandbox, received):
    month = sandbox.months[1]
    before = look(received)
    arguments = (
        "--since",
        f"{month}-03",
        "--until",
        f"{month}-20",
        "--objects",
        "customers,charges",
    )
    done = one_document(shell.growth("backfill", *arguments, "--apply", "--json"))
    after = look(received)
    assert_is_what_changed(done, before, after)
    assert done["objects"] == ["customers", "charges"]
    start = datetime.fromisoformat(f"{month}-03").replace(tzinfo=UTC).timestamp()
    end = datetime.fromisoformat(f"{month}-20").replace(tzinfo=UTC).timestamp()
    touched = [key for key in changes(before, after) if key[0] != "payment"]
    assert touched
    for key in touched:
        assert key[0] in {"customer", "charge"}
        assert start <= after[key][0]["created"] < end
    progress = done["plan"]
    assert [reading["resource"] for reading in progress["lists"]] == ["customers", "charges"]


def test_what_changed_between_dry_run_and_apply_is_named(shell, sandbox, received):
    since = ("--since", sandbox.months[0], "--objects", "customers")
    one_document(shell.growth("backfill", *since, "--apply", "--json"))
    assert one_document(shell.growth("backfill", *since, "--json"))["is_empty"] is True
    with psycopg.connect(received, autocommit=True) as connection:
        (forgotten,) = connection.execute(
            "delete from stripe.customers where id = (select min(id) from stripe.customers) "
            "returning id"
        ).fetchone()
    done = shell.growth("backfill", *since, "--apply")
    assert done.returncode == 0, done.stderr
    assert "## Since the dry run of" in done.stdout
    assert f"| not named | insert | `customer` `{forgotten}` |" in done.stdout


def test_payments_changed_by_hand_are_shown_and_repaired_though_their_charges_are_right(
    shell, sandbox, received
):
    since = ("--since", sandbox.months[0])
    one_document(shell.growth("backfill", *since, "--apply", "--json"))
    right = look(received)
    with psycopg.connect(received, autocommit=True) as connection:
        (wrong,) = connection.execute(
            "update billing.payments set amount_minor = amount_minor * 100 where charge_id = "
            "(select min(charge_id) from billing.payments where status = 'succeeded') "
            "returning charge_id"
        ).fetchone()
        (lost,) = connection.execute(
            "delete from billing.payments where charge_id = "
            "(select max(charge_id) from billing.payments where status = 'succeeded') "
            "returning charge_id"
        ).fetchone()
    before = look(received)
    foretold = shell.growth("backfill", *since)
    assert foretold.returncode == 0, foretold.stderr
    assert "1 payment would be booked, 1 changed.**" in foretold.stdout
    assert foretold.stdout.rstrip().endswith(f"Next: `growth backfill {' '.join(since)} --apply`")
    assert look(received) == before
    said = kept_rows(shell, "dry-run")
    assert said == {("payment", wrong): "update", ("payment", lost): "insert"}
    done = one_document(shell.growth("backfill", *since, "--apply", "--json"))
    assert_is_what_changed(done, before, right)
    assert look(received) == right
    assert done["since_dry_run"]["is_as_said"] is True
    again = shell.growth("backfill", *since)
    assert "Nothing to change" in again.stdout
    assert "Next:" not in again.stdout


def test_a_span_before_the_history_is_code_2(shell):
    done = shell.growth("backfill", "--since", "2019-01", "--until", "2019-02")
    assert done.returncode == 2
    assert "2019-01-01 is before" in done.stderr


def test_a_list_that_cannot_be_read_fails_the_backfill_and_changes_nothing(
    shell, sandbox, received
):
    before = look(received)
    fault = {"resource": "refunds", "kind": "truncated", "times": 1000}
    headers = {"X-Sandbox-Key": KEY}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as control:
        control.post("/_sandbox/faults", json=fault).raise_for_status()
        try:
            done = shell.growth("backfill", "--since", sandbox.months[0], "--apply")
        finally:
            control.delete("/_sandbox/faults").raise_for_status()
    assert done.returncode == 1
    assert done.stdout == ""
    assert "refunds" in done.stderr.splitlines()[-2]
    assert "Traceback" not in done.stderr
    assert look(received) == before
