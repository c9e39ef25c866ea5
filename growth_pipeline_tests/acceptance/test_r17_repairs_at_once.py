"""R17 for audit and repair: many processes on one month at once, half of them killed.

Audits, plans, repairs and bookings of one month start together, round after round; half die by SIGKILL
somewhere. No deadlock, nothing done twice, and after one undisturbed run the books are the truth, as
if a single process had done it all. Fast: 4 processes, 5 rounds; with --full 16 processes, 50 rounds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from growth_pipeline_tests.fakes.living_stripe import Account, LivingStripe
from growth_pipeline_tests.fakes.orders_process import OrdersProcess, orders_process
from growth_pipeline_tests.fakes.repaired_company import (
    LATER,
    NOON,
    TRUTH,
    UPDATE,
    Spoiled,
    booked,
    codes,
    spoil,
)

KINDS = ("audit", "plan", "apply", "book")
# What goes wrong by hand again in each round; the truth stays.
MISCHIEF = (
    "amount_minor = amount_minor + 7",
    "status = 'failed'",
    "refunded_minor = refunded_minor + 5",
    "currency = 'eur'",
)


@pytest.fixture(scope="module")
def workers() -> Iterator[OrdersProcess]:
    """Carries out orders, each in a child of its own, all of a line at once."""
    with orders_process("repair_process") as process:
        yield process


@pytest.fixture
def company(database: Any, tmp_path: Any) -> Iterator[Spoiled]:
    with LivingStripe(Account(NOON)) as stripe:
        yield Spoiled(stripe, database, tmp_path)


def doubled_trails(company: Spoiled) -> list[str]:
    """Rows that two repairs claim to have taken out: a row can go once."""
    with company.database.connection() as connection:
        rows = connection.execute(
            "select row_key from audit.repair_rows where change = 'delete'"
            " and table_name = 'billing.payments' group by row_key having count(*) > 1"
        ).fetchall()
    return [f"row {number} was taken out twice" for (number,) in rows]


def test_processes_at_once_on_one_month_end_as_a_single_run_would(
    company, database_url, workers, seed, full, acceptance_line
):
    chance = random.Random(seed)
    processes, rounds = (16, 50) if full else (4, 5)
    spoil(company)
    # Booked again beside it, a row of the other mode is a matter of that mode's audit.
    company.sql("update billing.payments set livemode = false where charge_id = 'ch_7'")
    company.extract()
    company.audit("r0")
    violations: list[str] = []
    seconds: list[float] = []
    kills = applied = 0
    for turn in range(rounds):
        now = LATER + timedelta(minutes=turn)
        orders = [
            {
                "do": kind,
                "database": database_url,
                "stripe": company.stripe.url,
                "folder": str(company.folder),
                "run_id": f"r{turn}-{number}",
                "now": (now + timedelta(seconds=number)).isoformat(),
                "kill_at": chance.randrange(1, 150) if chance.random() < 0.5 else 0,
                "place": chance.choice(("before", "after")),
            }
            for number, kind in enumerate(
                chance.choice(KINDS) if number >= len(KINDS) else KINDS[number]
                for number in range(processes)
            )
        ]
        answers: list[dict[str, Any]] = workers.carry_out(orders)
        kills += sum(answer["killed"] for answer in answers)
        applied += sum(answer.get("outcome") == "applied" for answer in answers)
        violations += [f"round {turn}: {one['error']}" for one in answers if "error" in one]
        seconds += [one["seconds"] for one in answers if "seconds" in one]
        charge = f"ch_{chance.choice((2, 3, 4, 5, 8, 14))}"
        company.sql(UPDATE.format(chance.choice(MISCHIEF)), charge)

    end = LATER + timedelta(days=1)
    company.audit("last", now=end)
    company.repair(now=end)
    company.repair(now=end, apply=True)
    if booked(company) != TRUTH:
        violations.append("the books are not the truth")
    left = codes(company.audit("after", now=end + timedelta(hours=1)))
    violations += [f"still found: {one}" for one in left if one[0] != "period_cutoff"]
    violations += doubled_trails(company)
    seconds.sort()
    acceptance_line(
        "R17",
        case="audit, repair and booking of one month",
        load={"processes": processes, "rounds": rounds},
        faults={"SIGKILL": kills},
        repairs=applied,
        seconds_p95=round(seconds[int(len(seconds) * 0.95)], 2) if seconds else None,
        violations=violations,
    )
