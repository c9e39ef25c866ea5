"""Repairs from a terminal: the plan, carrying it out, taking it back.

What is mended and whether it may be carried out is decided in `audit/`; nothing is decided here.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growth_pipeline.audit.commands import period_words
from growth_pipeline.audit.repair.markdown import next_step, to_page
from growth_pipeline.audit.repair.rules import chosen_codes
from growth_pipeline.audit.repair.run import Outcome, Repair, Stores, repair_month
from growth_pipeline.audit.repair.store import CarriedOut, Place, RepairStore
from growth_pipeline.audit.repair.undo import Undone, undo_repair
from growth_pipeline.core.errors import ExitCode
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.audit import check_output, month_to_audit, write_file
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.postgres import Database

if TYPE_CHECKING:
    from growth_pipeline.stripe_api.client import StripeReader

Say = Callable[[str], None]

__all__ = ["Report", "Wanted", "check_output", "repair", "report_of", "undo", "wanted", "who"]


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; nothing of it is checked yet."""

    month: Month
    tz: str | None
    only: Sequence[str]
    apply: bool
    dry_run: bool


@dataclass(frozen=True)
class Report:
    """A plan or a repair: as a page, as JSON, and its exit code."""

    page: str
    document: Mapping[str, Any]
    exit_code: int

    def write(self, path: Path | None, *, say: Say) -> None:
        """Put the report into a file, whole or not at all; nothing for None.

        Raises: UsageError when the file cannot be written there.
        """
        if path is None:
            return
        as_json = path.suffix.lower() == ".json"
        text = json.dumps(self.document, ensure_ascii=False, indent=2, default=str)
        write_file(path, (text if as_json else self.page).encode())
        say(f"report written to {path}")


def wanted(
    month: str | None,
    *,
    tz: str | None,
    only: Sequence[str] | None,
    apply: bool,
    dry_run: bool,
    now: datetime,
) -> Wanted:
    """What the words of a command line mean.

    Raises: UsageError for words that name no month, or one that has not begun.
    """
    chosen = month_to_audit(Month.parse(month or ""), now=now, tz=tz or "")
    return Wanted(chosen.month, chosen.tz, only or (), apply, dry_run)


def repair(given: Wanted, *, now: datetime, say: Say) -> Report:
    """Show what a repair of a month would do, or do it if that was shown.

    Raises: UsageError for a class that does not exist; the GrowthError of the step that failed.
    """
    only = chosen_codes(given.only)
    with _opened(say, read_only=given.dry_run) as database:
        settings = load_settings()
        from growth_pipeline.audit.store import AuditStore
        from growth_pipeline.billing.store import BillingStore

        repairs = RepairStore(database)
        stores = Stores(AuditStore(database), BillingStore(database), repairs)
        place = Place(settings.stripe.scopes[0], given.month, given.tz or settings.audit.time_zone)
        with _reader(settings) as reader:
            done = repair_month(
                place,
                stores=stores,
                reader=reader,
                now=now,
                only=only,
                apply=given.apply,
                keep=not given.dry_run,
                by=who(),
                tell=say,
            )
        carried_out = repairs.repairs(place)
    return report_of(done, carried_out)


def undo(repair_id: str, *, now: datetime, dry_run: bool, say: Say) -> Report:
    """Put the booked rows of a repair back as they were.

    Raises: UsageError for an unknown repair; GrowthError when rows of it were changed since.
    """
    with _opened(say, read_only=dry_run) as database:
        undone = undo_repair(
            repair_id, store=RepairStore(database), now=now, by=who(), dry_run=dry_run
        )
    return Report(_undone_page(undone), vars(undone), int(ExitCode.DONE))


def report_of(done: Repair, carried_out: Sequence[CarriedOut]) -> Report:
    """A repair as page and JSON. Exit code 1: it was to be carried out, and only shown."""
    document = {
        "outcome": str(done.outcome),
        **done.plan.to_dict(),
        "since_shown": done.since.to_dict() if done.since else None,
        "next": next_step(done),
        "repairs": [one._asdict() for one in carried_out],
    }
    failed = done.outcome is Outcome.NEW
    code = ExitCode.FAILED if failed else ExitCode.DONE
    return Report(to_page(done, carried_out), document, int(code))


def who() -> str:
    """Who gives the command, for the trail: user of the operating system @ machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


@contextmanager
def _opened(say: Say, *, read_only: bool) -> Iterator[Database]:
    opened = open_database(
        say, read_only=read_only, name="growth repair", max_size=4, tells_demo=True
    )
    with opened as (_, database):
        yield database


def _reader(settings: Settings) -> StripeReader:
    from growth_pipeline.stripe_api.access import access_of
    from growth_pipeline.stripe_api.client import StripeReader

    return StripeReader(access_of(settings.stripe, settings.state_dir))


def _undone_page(undone: Undone) -> str:
    verb = "would be" if undone.dry_run else "are"
    rows = f"{undone.rows} booked row{'' if undone.rows == 1 else 's'}"
    period = period_words(Month.parse(undone.month), undone.tz)
    return (
        f"{rows} of {undone.month} {verb} as before repair {undone.repair_id}. The mirror keeps "
        "what Stripe said: rows of its own are booked right again when their payment changes, or "
        f"by billing/payments in Dagster.\nNext: growth audit {period}\n"
    )
