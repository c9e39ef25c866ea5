"""Places within Kit's limit, shared by threads and processes, by the clock of the database."""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg
import pytest

from growth_pipeline.lifecycle.kit.errors import KitRefusedError
from growth_pipeline.lifecycle.kit.gate import KitGate, KitLimits

PROCESS = """
import sys, time
import time_machine
from growth_pipeline.lifecycle.kit.gate import KitGate, KitLimits
from growth_pipeline.storage.postgres import Database

url, count, hours_back = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with time_machine.travel(time.time() - hours_back * 3600, tick=True), Database(url) as database:
    gate = KitGate(database, KitLimits(requests=20, seconds=1.0))
    for _ in range(count):
        call = gate.enter()
        print(time.monotonic(), flush=True)
        gate.leave(call)
"""


def most_in_window(moments, seconds):
    return max(sum(at - seconds < one <= at for one in moments) for at in moments)


def test_several_processes_keep_one_limit_whatever_their_clocks_say(database_url):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, database_url, "25", hours],
            stdout=subprocess.PIPE,
            text=True,
        )
        for hours in ("0", "1", "720")
    ]
    moments = [float(line) for one in running for line in one.communicate()[0].split()]
    assert [one.returncode for one in running] == [0, 0, 0]
    assert len(moments) == 75
    # Between the place and the line above lie some milliseconds: the window is a bit shorter.
    assert most_in_window(moments, 0.95) <= 20
    assert max(moments) - min(moments) < 10


def test_a_call_counts_from_its_end(database):
    gate = KitGate(database, KitLimits(requests=1, seconds=1.0))
    call = gate.enter()
    time.sleep(0.6)
    gate.leave(call)
    began = time.monotonic()
    gate.enter()
    assert time.monotonic() - began >= 0.95


def test_a_call_that_never_ended_holds_its_place(database, database_url):
    gate = KitGate(database, KitLimits(requests=1, seconds=0.5, patience=0.7))
    gate.enter()
    with pytest.raises(KitRefusedError, match="no place"):
        gate.enter()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "update lifecycle.kit_calls set called_at = called_at - interval '2 minutes'"
        )
    assert gate.enter() > 0  # whoever had it is dead


def test_a_place_that_was_not_used_is_free_again(database):
    gate = KitGate(database, KitLimits(requests=1, seconds=5.0, patience=0.3))
    gate.give_back(gate.enter())
    assert gate.enter() > 0


def test_a_refusal_keeps_everybody_away_for_a_window(database):
    gate = KitGate(database, KitLimits(requests=100, seconds=0.6))
    gate.block("Kit answered 429")
    began = time.monotonic()
    KitGate(database, KitLimits(requests=100, seconds=0.6)).enter()
    assert time.monotonic() - began >= 0.55


def test_old_calls_are_forgotten(database, database_url):
    gate = KitGate(database, KitLimits(requests=5, seconds=0.1))
    gate.leave(gate.enter())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "update lifecycle.kit_calls set called_at = now() - interval '2 hours',"
            " ended_at = now() - interval '2 hours'"
        )
        gate.leave(gate.enter())
        assert connection.execute("select count(*) from lifecycle.kit_calls").fetchone() == (1,)
