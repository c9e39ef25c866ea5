"""The command that follows a finding."""

import pytest

from growth_pipeline.audit.commands import command_of
from growth_pipeline.core.periods import Month

OCTOBER = Month(2025, 10)


@pytest.mark.parametrize(
    ("code", "thing", "also", "tz", "command"),
    [
        ("missing_in_db", "charge", (), "UTC", "growth repair --month 2025-10"),
        ("event_gap", "event", (), "Asia/Tokyo", "growth repair --month 2025-10 --tz Asia/Tokyo"),
        ("payout_failed", "payout", (), "UTC", "growth audit --month 2025-10"),
        ("orphan_row", "refund", (), "UTC", "growth audit --month 2025-10"),
        (
            *("amount_mismatch", "charge", ("period_cutoff",), "UTC"),
            "growth repair --month 2025-10 --only period_cutoff",
        ),
    ],
)
def test_what_a_repair_mends_is_repaired_and_the_rest_is_looked_at_again(
    code, thing, also, tz, command
):
    assert command_of(code, thing, also=also, month=OCTOBER, tz=tz) == command


def test_a_class_of_its_own_command_keeps_it_where_no_repair_helps():
    told = command_of("unknown_version", "event", month=OCTOBER, otherwise="growth webhooks list")
    assert told == "growth webhooks list"
