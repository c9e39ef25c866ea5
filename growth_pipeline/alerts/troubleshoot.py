"""What to do about a run that failed, by the kind of its failure. A table, no rule beside it.

A failed audit says that the books are wrong; a failed run says that nobody knows. The steps are
words for a person who reads them at night: each one a thing to look at or to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KILLED: Final = "killed"
# Any other error of ours: its own words say what helps.
OURS: Final = "GrowthError"
_CHECK_FAILED: Final = "DagsterAssetCheckFailedError"

_SETTINGS = (
    "Run growth doctor: it names the setting that is missing or wrong, and the fix.",
    "Correct it where the service reads its environment, and start the service again.",
    "Run the job again; nothing was written by the run that failed.",
)
_STRIPE_KEY = (
    "Run growth doctor: it asks Stripe for every list that is read and names what is refused.",
    "Give the restricted key the missing read right in Stripe's dashboard, or make a new key.",
    "Run the job again: it goes on at the page where it stopped.",
)
_STRIPE_AWAY = (
    "Look at status.stripe.com and at this machine's network.",
    "Wait: the run is repeated by itself, and goes on at the page where it stopped.",
    "If it stays so, run growth doctor.",
)
_DATABASE = (
    "See whether Postgres runs and takes connections; growth doctor says which one is asked.",
    "Look for a full disk and for long transactions (pg_stat_activity).",
    "Run the job again: each write carries its own key, so nothing is booked twice.",
)
_INCOMPLETE = (
    "Open the run: its last lines name the list and the window that was not read to the end.",
    "Run the job again; an unfinished reading never counts as a finished one.",
)
_SPACE = (
    "Free space on the volume that the run names; growth doctor shows how much is left.",
    "Run the job again: files appear whole or not at all, so nothing has to be cleaned up.",
)
_KILLED = (
    "Open the run in Dagster: its last lines show what it did when it ended.",
    "Look for a restart, for the kernel's out-of-memory killer (dmesg), and for a run that took "
    "longer than its job may.",
    "Run the job again; a killed run leaves either nothing or all of a step.",
)
_NAMED = (
    "Do what the line above says: it names what is wrong and what helps.",
    "Run the job again; what a failed run had begun counts for nothing.",
    "If it fails the same way, run growth doctor, and report the sentence as a bug.",
)
_CHECK = (
    "Open the issue or message about the check itself: it says what does not hold.",
    "Open the run in Dagster and read the failed check; what it guards went no further.",
    "Correct the cause and run the job again; if the sources are right, report it as a bug.",
)
_UNEXPECTED = (
    "Open the run in Dagster: the step that failed shows its traceback.",
    "Run it once more; if it fails the same way, report the traceback as a bug.",
)

# Name of the error's type -> steps. Names, not types: they come out of Dagster's event log.
STEPS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ConfigurationError", "UsageError", "EmbeddedStartError", "MigrationError"), _SETTINGS
    ),
    **dict.fromkeys(("StripeAuthError", "StripePermissionError"), _STRIPE_KEY),
    **dict.fromkeys(("StripeUnreachableError", "StripeIncompleteError"), _STRIPE_AWAY),
    **dict.fromkeys(
        ("RemoteUnavailableError", "OutcomeUnknownError", "OperationalError"), _DATABASE
    ),
    "IncompleteError": _INCOMPLETE,
    **dict.fromkeys(("LakeWriteError", "LakeUnreadableError", "OSError"), _SPACE),
    **dict.fromkeys(("UnknownValueError", "RowsRefusedError", OURS), _NAMED),
    _CHECK_FAILED: _CHECK,
    **dict.fromkeys((KILLED, "DagsterExecutionInterruptedError"), _KILLED),
}

# Types that nobody but Dagster's makers knows by name.
SENTENCES: Mapping[str, str] = {
    _CHECK_FAILED: "a check that must hold failed",
    "DagsterExecutionInterruptedError": "it was stopped",
}


def troubleshoot(kind: str) -> tuple[str, ...]:
    """Steps against a failure, by the name of its error's type; KILLED when a run just ended."""
    return STEPS.get(kind, _UNEXPECTED)
