"""A class that an audit did not judge is neither good nor new trouble."""

from __future__ import annotations

import pytest

from growth_pipeline.alerts.signals import CheckOutcome, ClassOutcome, RunOutcome, read_signals

RUN = RunOutcome("run-1", "audit", partition="2025-10")


def signals_of(*classes: ClassOutcome) -> dict[str, tuple[bool, bool]]:
    """Class -> (bad, certain) of one check's signals; the check itself by its own name."""
    check = CheckOutcome(
        "audit/findings",
        "events_arrived",
        passed=not any(one.findings for one in classes),
        partition="2025-10",
        classes=classes,
    )
    _, *signals = read_signals(RUN, [check])
    return {one.name.split()[0]: (one.bad, one.certain) for one in signals}


def test_a_class_that_was_not_judged_cannot_recover_and_neither_can_its_check():
    told = signals_of(
        ClassOutcome("event_gap", 0, certain=False), ClassOutcome("unknown_version", 0)
    )
    assert told == {"event_gap": (False, False), "unknown_version": (False, True)}


@pytest.mark.parametrize("certain", [True, False])
def test_a_finding_that_is_still_open_goes_on_being_bad(certain):
    told = signals_of(ClassOutcome("event_gap", 1, certain=certain))
    assert told["event_gap"][0] is True


def test_all_classes_judged_and_good_recover_with_their_check():
    assert signals_of(ClassOutcome("event_gap", 0)) == {
        "event_gap": (False, True),
        "events_arrived": (False, True),
    }
