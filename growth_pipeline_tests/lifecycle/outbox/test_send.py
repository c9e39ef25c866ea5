"""Messages to a Kit account on loopback: each at most once, whatever the account does."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from growth_pipeline.lifecycle.kit.gate import KitLimits
from growth_pipeline.lifecycle.outbox.addresses import AddressBook
from growth_pipeline.lifecycle.outbox.send import send_due
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.sandbox.kit import Faults
from growth_pipeline_tests.fakes.kit_outbox import (
    FAST,
    fill_outbox,
    fill_users,
    kit_account,
    kit_client,
    send_once,
    states,
)


@pytest.fixture
def kit():
    with kit_account() as (account, base):
        yield account, base


def execute(url, statement, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


def received(account):
    return Counter((one["address"], one["target"]) for one in account.accepted)


def test_every_subscriber_gets_a_due_message_once(database, database_url, kit):
    account, base = kit
    addresses = fill_users(database_url, 5)
    fill_outbox(database_url)
    for address in addresses:
        account.add(address)
    report = send_once(database, base)
    again = send_once(database, base)
    assert (report.sent, again.sent) == (5, 0)
    assert received(account) == {(one, "growth/welcome/hello"): 1 for one in addresses}
    assert states(database_url) == {"sent": 5}


def test_whoever_does_not_subscribe_at_kit_is_never_made_a_subscriber(database, database_url, kit):
    account, base = kit
    fill_users(database_url, 2)
    fill_outbox(database_url)
    report = send_once(database, base)
    assert dict(report.skipped) == {"not_subscribed": 2}
    assert account.subscribers == {}


@pytest.mark.parametrize(
    ("state", "reason"),
    [("cancelled", "unsubscribed"), ("bounced", "bounced"), ("complained", "complained")],
)
def test_a_subscriber_who_left_at_kit_is_suppressed_here(
    database, database_url, kit, state, reason
):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address, state)
    report = send_once(database, base)
    assert dict(report.skipped) == {"suppressed": 1}
    assert execute(database_url, "select reason, source from lifecycle.suppressions") == [
        (reason, "kit")
    ]
    assert (account.accepted, account.subscribers[1]["state"]) == ([], state)


def test_a_state_that_nobody_knows_is_not_active(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address, "sleeping")
    report = send_once(database, base)
    assert (report.waiting, account.accepted) == (1, [])
    assert states(database_url) == {"pending": 1}


def test_a_lost_answer_is_read_back_and_not_sent_again(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    account.faults = Faults(lost=1)
    report = send_once(database, base)
    assert (report.sent, report.unknown) == (0, 1)
    account.faults = Faults()
    assert send_once(database, base).settled == 0  # too early: it might still come
    time.sleep(2.1)
    assert send_once(database, base).settled == 1
    assert states(database_url) == {"sent": 1}
    assert len(account.accepted) == 1


def test_a_call_that_did_nothing_is_read_back_twice_before_it_is_made_again(
    database, database_url, kit
):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    account.faults = Faults(error_before=1)
    assert send_once(database, base).unknown == 1
    account.faults = Faults()
    time.sleep(2.1)
    first = send_once(database, base)
    assert (first.sent, account.accepted) == (0, [])
    time.sleep(2.1)
    assert send_once(database, base).sent == 1
    assert len(account.accepted) == 1


def test_what_kit_takes_late_is_not_sent_twice(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    account.faults = Faults(late=1, delay=1.5)  # after our patience of 0.8 s
    began = time.monotonic()
    assert send_once(database, base).unknown == 1
    assert time.monotonic() - began < 1.4
    account.faults = Faults()
    for _ in range(4):
        time.sleep(1.1)
        send_once(database, base)
    assert states(database_url) == {"sent": 1}
    assert len(account.accepted) == 1


def test_a_database_of_yesterday_finds_at_kit_what_it_sent_since(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    send_once(database, base)
    execute(
        database_url,
        "update lifecycle.outbox set state = 'pending', called_at = null, sent_at = null",
    )
    report = send_once(database, base)
    assert (report.sent, report.already) == (0, 1)
    assert len(account.accepted) == 1


def test_two_users_of_one_address_get_a_message_once(database, database_url, kit):
    account, base = kit
    (address, _) = fill_users(database_url, 2)
    execute(database_url, "update activity.told_users set email = %s", address.upper())
    fill_outbox(database_url)
    account.add(address)
    report = send_once(database, base)
    assert (report.sent, dict(report.skipped)) == (1, {"same_address": 1})
    assert len(account.accepted) == 1


def test_a_suppressed_address_costs_no_request(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    execute(database_url, "select lifecycle.unsubscribe(%s)", f" {address.upper()} ")
    report = send_once(database, base)
    assert dict(report.skipped) == {"suppressed": 1}
    assert account.log == []


def test_too_many_requests_end_the_run_and_nobody_asks_for_a_window(database, database_url):
    with kit_account(requests=4, seconds=2.0) as (account, base):
        addresses = fill_users(database_url, 3)
        fill_outbox(database_url)
        for address in addresses:
            account.add(address)
        report = send_once(database, base, kit=KitLimits(requests=50, seconds=2.0, patience=0.5))
        assert report.stopped == "Kit was asked too often"
        asked = len(account.log)
        send_once(database, base, kit=KitLimits(requests=50, seconds=2.0, patience=0.5))
        assert len(account.log) == asked


def test_a_limit_within_kits_own_is_never_refused(database, database_url):
    with kit_account(requests=12, seconds=1.0) as (account, base):
        addresses = fill_users(database_url, 8)
        fill_outbox(database_url)
        for address in addresses:
            account.add(address)
        report = send_once(database, base, kit=KitLimits(requests=11, seconds=1.0))
        assert (report.sent, account.refused) == (8, 0)
        assert account.most_in_window <= 11


def test_a_wrong_key_stops_and_the_message_waits(database, database_url):
    with kit_account(key="another") as (account, base):
        (address,) = fill_users(database_url, 1)
        fill_outbox(database_url)
        account.add(address)
        report = send_once(database, base)
        assert report.stopped == "Kit refuses the key (401)"
        assert states(database_url) == {"pending": 1}


def test_a_sender_that_died_before_the_call_loses_nothing(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    execute(
        database_url,
        "update lifecycle.outbox set state = 'sending', claimed_at = now() - interval '1 minute'",
    )
    assert send_once(database, base).sent == 1


def test_a_sender_that_died_in_the_call_leaves_an_unknown_outcome(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    execute(
        database_url,
        "update lifecycle.outbox set state = 'sending', kit_id = 1, attempts = 1,"
        " claimed_at = now() - interval '1 minute', called_at = now() - interval '1 minute'",
    )
    report = send_once(database, base)
    assert (report.sent, account.accepted) == (0, [])
    assert states(database_url) == {"unknown": 1}


def test_a_message_that_is_too_late_is_not_sent(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    execute(database_url, "update lifecycle.outbox set late_at = now() - interval '1 minute'")
    assert dict(send_once(database, base).skipped) == {"too_late": 1}
    assert account.log == []


def test_calls_that_keep_doing_nothing_are_parked_for_a_person(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address)
    account.faults = Faults(reset=1)
    quick = type(FAST)(
        settle_after=timedelta(milliseconds=1), lease=FAST.lease, within=0.8, attempts=2
    )
    for _ in range(12):
        send_once(database, base, quick)
        time.sleep(0.01)
    assert states(database_url) == {"parked": 1}
    assert sum(one["path"].startswith("/v4/tags/") for one in account.log) == 2


def test_one_message_at_fault_stops_nobody_else(database, database_url, kit):
    account, base = kit
    addresses = fill_users(database_url, 5)
    fill_outbox(database_url)
    for address in addresses:
        account.add(address)
    account.subscribers[2]["id"] = "two"  # an answer that nobody can read, about one of them
    report = send_once(database, base)
    assert (report.sent, report.waiting, report.stopped) == (4, 1, "")
    assert states(database_url) == {"sent": 4, "pending": 1}


def test_several_answers_in_a_row_that_nobody_can_read_end_the_run(database, database_url, kit):
    account, base = kit
    addresses = fill_users(database_url, 6)
    fill_outbox(database_url)
    for address in addresses:
        account.add(address)
    for one in account.subscribers.values():
        one["id"] = "?"
    report = send_once(database, base)
    assert (report.sent, report.waiting) == (0, 3)
    assert report.stopped != ""


def test_an_outcome_that_nobody_can_tell_any_more_waits_for_a_person(database, database_url, kit):
    account, base = kit
    (address, other) = fill_users(database_url, 2)
    fill_outbox(database_url)
    account.add(address)
    account.add(other)
    execute(
        database_url,
        "update lifecycle.outbox set state = 'unknown', kit_id = 77, attempts = 1, claimed_at ="
        " now() - interval '1 hour', called_at = now() - interval '1 hour' where user_number = 1",
    )
    report = send_once(database, base)
    assert (report.parked, report.sent, report.stopped) == (1, 1, "")
    rows = execute(database_url, "select state, reason from lifecycle.outbox order by user_number")
    assert rows == [("parked", "Kit has it no more (404)"), ("sent", "")]


# --- making subscribers --------------------------------------------------------------------------

CREATES = replace(FAST, may_create=True)


def consent(url, address):
    execute(
        url,
        "insert into lifecycle.consents (address_hash, given_at, source)"
        " values (lifecycle.address_hash(%s), now(), 'file')",
        address,
    )


def test_a_subscriber_is_made_only_of_who_said_yes(database, database_url, kit):
    account, base = kit
    (yes, _) = fill_users(database_url, 2)
    fill_outbox(database_url)
    consent(database_url, yes)
    report = send_once(database, base, CREATES)
    assert (report.sent, dict(report.skipped)) == (1, {"not_subscribed": 1})
    assert [one["address"] for one in account.accepted] == [yes]
    assert len(account.subscribers) == 1


def test_without_the_setting_a_consent_makes_no_subscriber(database, database_url, kit):
    account, base = kit
    (yes,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    consent(database_url, yes)
    assert dict(send_once(database, base).skipped) == {"not_subscribed": 1}
    assert account.subscribers == {}


def test_who_leaves_while_they_are_looked_up_is_not_made_a_subscriber(database, database_url, kit):
    """The address is locked while a subscriber is made, as while something is sent."""
    account, base = kit
    (yes,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    consent(database_url, yes)

    class Leaving(OutboxStore):
        def has_consent(self, address_hash):
            found = super().has_consent(address_hash)
            execute(database_url, "select lifecycle.unsubscribe(%s)", yes)
            return found

    with kit_client(database, base) as client:
        report = send_due(Leaving(database), client, AddressBook(database), limits=CREATES)
    assert dict(report.skipped) == {"suppressed": 1}
    assert account.subscribers == {}


def test_a_subscriber_who_is_not_confirmed_yet_gets_nothing(database, database_url, kit):
    account, base = kit
    (address,) = fill_users(database_url, 1)
    fill_outbox(database_url)
    account.add(address, "inactive")
    assert send_once(database, base, CREATES).waiting == 1
    assert account.accepted == []
