"""R30: due mails through an account that loses answers, with senders that are killed at every step.

Time is scaled: Kit's window of 60 seconds is shorter here, with the same limits in it, and a lost
call shows after two seconds what it did.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter

import psycopg
import pytest

from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.sandbox.kit import Faults
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.kit_outbox import (
    fill_outbox,
    fill_users,
    kit_account,
    states,
)

# Shares of writes: a tenth is accepted with its answer lost, one way or another.
FAULTS = Faults(
    lost=0.06, late=0.02, error_after=0.02, error_before=0.03, reset=0.03, reads=0.01, delay=1.5
)
SETTLE, LEASE = 2.0, 3.0
OURS, THEIRS = 110, 120


class Senders:
    """Processes that send until nothing is open, or until they die."""

    def __init__(self, url, base, seconds):
        self._told = {
            "url": url,
            "base": base,
            "requests": OURS,
            "seconds": seconds,
            "settle": SETTLE,
            "lease": LEASE,
        }
        self._running = []
        self.killed = 0

    def start(self, *, run_for, **told):
        words = json.dumps({**self._told, "run_for": run_for, **told})
        self._running.append(
            subprocess.Popen(
                [sys.executable, "-m", "growth_pipeline_tests.fakes.kit_sender_process", words]
            )
        )
        return self._running[-1]

    def wait(self):
        for one in self._running:
            code = one.wait()
            self.killed += code == -9
            assert code in (0, -9), f"a sender ended with {code}"
        self._running.clear()

    def stop(self):
        for one in self._running:
            one.kill()
            one.wait()


@pytest.fixture
def senders():
    made = []

    def make(*given):
        made.append(Senders(*given))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def most_in_window(times, seconds):
    """The most requests that arrived within one window, by a plain walk."""
    ordered, most, first = sorted(times), 0, 0
    for place, at in enumerate(ordered):
        while ordered[first] <= at - seconds:
            first += 1
        most = max(most, place - first + 1)
    return most


def judge(url, account, addresses, seconds):
    """What the account took against what the outbox says."""
    took = Counter((one["address"], one["target"]) for one in account.accepted)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select t.email, o.message, o.state from lifecycle.outbox as o"
            " inner join activity.user_numbers as n using (user_number)"
            " inner join activity.told_users as t using (user_id)"
        ).fetchall()
    said_sent = {(email, f"growth/{message}") for email, message, state in rows if state == "sent"}
    unresolved = [row for row in rows if row[2] in ("unknown", "parked", "sending", "pending")]
    with Database(url) as database:
        listed = OutboxStore(database).listed(("unknown", "parked", "sending", "pending"), 10_000)
    delivered = len({address for address, _ in took})
    violations = {
        "doubled": [key for key, count in took.items() if count > 1],
        "sent and never taken": sorted(said_sent - set(took)),
        "taken and not known": sorted(
            set(took) - said_sent - {(row[0], f"growth/{row[1]}") for row in unresolved}
        ),
        "not listed": len(unresolved) - len(listed),
        "too many unresolved": max(0, len(unresolved) - len(addresses) // 1000),
        "not delivered": max(0, len(addresses) * 999 // 1000 - delivered),
        "limit": max(0, most_in_window([one["at"] for one in account.log], seconds) - OURS),
    }
    return {name: found for name, found in violations.items() if found}, delivered, len(unresolved)


@pytest.mark.parametrize(
    ("mails", "workers", "kills", "seconds", "patience"),
    [
        (500, 2, 5, 0.25, 60),
        pytest.param(10_000, 4, 60, 0.1, 900, marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
)
def test_no_mail_goes_out_twice_and_next_to_none_is_lost(
    database_url, senders, seed, acceptance_line, mails, workers, kills, seconds, patience
):
    random_ = random.Random(seed)
    addresses = fill_users(database_url, mails)
    fill_outbox(database_url)
    with kit_account(requests=THEIRS, seconds=seconds, seed=seed) as (account, base):
        account.faults = FAULTS
        for address in addresses:
            account.add(address)
        crew, began = senders(database_url, base, seconds), time.monotonic()
        fatal = [*range(1, kills // 2 + 1), *(random_.randint(1, 400) for _ in range(kills))]
        for number in range(kills):
            crew.start(run_for=60, fatal=fatal[number if kills > 10 else -1 - number])
            if number % workers == workers - 1:
                crew.wait()
        crew.wait()
        for hours_back in (0, 1, 24 * 30, 0, 0)[: 5 if kills > 10 else 3]:
            for _ in range(workers):
                crew.start(run_for=patience / 5, hours_back=hours_back)
            crew.wait()
            if not {"pending", "sending", "unknown"} & set(states(database_url)):
                break
        for _ in range(5):  # once more, when there is nothing left to do
            crew.start(run_for=5)
            crew.wait()
        violations, delivered, unresolved = judge(database_url, account, addresses, seconds)
        asked = len(account.log)
    acceptance_line(
        "R30",
        violations=violations,
        load={"mails": mails, "workers": workers, "killed": crew.killed, "requests": asked},
        delivered=delivered,
        unresolved=unresolved,
        refused_by_limit=account.refused,
        seconds=round(time.monotonic() - began, 1),
    )
    assert crew.killed >= kills // 2
