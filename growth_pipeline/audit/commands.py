"""The one command that follows a finding: what mends it, else what a person can run. Pure.

Contract: docs/metrics.md, "Repair".
"""

from __future__ import annotations

from collections.abc import Iterable

from growth_pipeline.audit.repair.rules import PAYMENTS, RULES, Way
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.core.periods import UTC_NAME, Month

_MOVES = "period_cutoff"  # mended only when it is asked for: both sides agree


def period_words(month: Month, tz: str) -> str:
    """The options that name a month of a zone."""
    return f"--month {month.key}" + ("" if tz == UTC_NAME else f" --tz {tz}")


def command_of(
    code: str,
    thing: str,
    *,
    also: Iterable[str] = (),
    month: Month,
    tz: str = UTC_NAME,
    otherwise: str = "",
) -> str:
    """What to run next about a finding of a class on an object of the kind `thing`.

    `otherwise` is what follows where a repair mends nothing; "" for the audit that looks again.
    Raises: KeyError for a class outside the table.
    """
    period = period_words(month, tz)
    if not is_mended(code, thing):
        return otherwise or f"growth audit {period}"
    only = f" --only {_MOVES}" if _MOVES in (code, *also) else ""
    return f"growth repair {period}{only}"


def is_mended(code: str, thing: str) -> bool:
    """Whether a repair does something about this class on this kind of object."""
    way = RULES[code].way
    if way is Way.PERSON:
        return False
    return thing in (PAYMENTS if way is Way.BOOK else BY_OBJECT)
