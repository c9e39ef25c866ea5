"""Plans a repair, carries it out, and takes it back; a plan is the repair itself, rolled back.

Everything Stripe has to say is read first; then one transaction holds the mirror's turn. Which
findings are mended is decided in `repair/rules.py`, how two plans differ in `repair/plan.py`.
Contract: docs/metrics.md, "Repair"; docs/decisions/0025.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from growth_pipeline.audit.repair.ask import Reader, Told, ask_stripe
from growth_pipeline.audit.repair.plan import Plan, Since, since
from growth_pipeline.audit.repair.rules import LEAKS, MOST_FINDINGS, Selection, portion, select
from growth_pipeline.audit.repair.store import Place, RepairStore, RepairTurn
from growth_pipeline.audit.repair.work import Work
from growth_pipeline.billing.refetch import fetch
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.witness import check_account
from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    from growth_pipeline.audit.store import AuditStore
    from growth_pipeline.billing.store import BillingStore

Tell = Callable[[str], None]


class Outcome(StrEnum):
    """What became of a repair.

    `shown`: the plan was shown, nothing was changed. `new`: it was to be carried out, but is not
    what was shown last, so it was shown only. `applied`, and `nothing` for an empty plan.
    """

    SHOWN = "shown"
    NEW = "new"
    APPLIED = "applied"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Repair:
    """A plan and what became of it. `since`: how it differs from the plan that was shown last."""

    plan: Plan
    outcome: Outcome
    since: Since | None = None


@dataclass(frozen=True)
class Stores:
    """Where a repair reads and writes."""

    audits: AuditStore
    billing: BillingStore
    repairs: RepairStore


class _NotCarriedOut(Exception):
    """Ends the transaction of a plan: all statements ran, nothing stays."""

    def __init__(self, repair: Repair) -> None:
        super().__init__(repair.outcome)
        self.repair = repair


def repair_month(
    place: Place,
    *,
    stores: Stores,
    reader: Reader,
    now: datetime,
    only: Sequence[str] = (),
    most: int = MOST_FINDINGS,
    apply: bool = False,
    keep: bool = True,
    by: str = "",
    tell: Tell = lambda _: None,
) -> Repair:
    """What a repair of a month does, or, with `apply`, that repair.

    Made from the open findings of the month's newest audit, at most `most` of them at once; the
    plan says how many are left. The plan is carried out in one
    transaction and rolled back, unless `apply` asks for it and it is exactly the plan that was
    shown last. A plan that was shown is kept (not without `keep`), so that it may be applied.
    Raises: GrowthError for a month that was not audited; ConfigurationError for a key of another
    account; StripeAuthError, StripeUnreachableError, RemoteUnavailableError: nothing was changed.
    """
    found, audit_id = _selection(place, stores.audits, only)
    selection, later = portion(found, most)
    told = Told()
    if selection.mended:
        tell(f"asking Stripe about {len(selection.mended)} of the open findings")
        check_account(place.scope, stores.billing, partial(fetch, reader))
        told = ask_stripe(selection.mended, reader, now=now, tell=tell)
    elsewhere = _elsewhere(selection, told, place, stores.audits)
    try:
        with stores.repairs.turn() as turn:
            work = Work(turn, stores.repairs, selection, told, elsewhere=elsewhere, now=now)
            plan = work.carry_out(place, audit_id, tuple(only), later=later)
            repair = _decide(plan, turn, place, apply=apply)
            if repair.outcome is not Outcome.APPLIED:
                raise _NotCarriedOut(repair)
            turn.record(repair.plan, now=now, by=by)
            return repair
    except _NotCarriedOut as ended:
        return _shown(ended.repair, stores.repairs, now=now, keep=keep)


def _selection(place: Place, audits: AuditStore, only: Sequence[str]) -> tuple[Selection, str]:
    audit = audits.latest(place.scope, place.month, tz=place.tz)
    if audit is None:
        raise GrowthError(
            f"{place.month} was not audited yet, so nothing is known to repair",
            remedy=f"growth audit --month {place.month.key}",
        )
    return select(audit.findings, only), str(audit.audit_id)


def _elsewhere(
    selection: Selection, told: Told, place: Place, audits: AuditStore
) -> list[ObjectKey]:
    """Charges of other accounts that rows of this one's books stood for, as far as mirrored."""
    wanted = {
        (one.object, one.object_id)
        for one in selection.mended
        if one.code in LEAKS and one.fingerprint in told.unknown
    }
    found = audits.mirrored(wanted) if wanted else []
    keys = (ObjectKey(*(one[name] for name in ObjectKey._fields)) for one in found)
    return [key for key in keys if key.object == "charge" and key[:2] != place.scope]


def _decide(plan: Plan, turn: RepairTurn, place: Place, *, apply: bool) -> Repair:
    """What becomes of a plan, by what was shown last."""
    if plan.is_empty:
        return Repair(plan, Outcome.NOTHING)
    if not apply:
        return Repair(plan, Outcome.SHOWN)
    newest = turn.newest_plan(place)
    if newest is None or newest.carried_out:
        return Repair(plan, Outcome.NEW)
    if newest.hash != plan.hash:
        return Repair(plan, Outcome.NEW, since(newest.contents, plan.steps))
    return Repair(plan.named(newest.plan_id, newest.shown_at), Outcome.APPLIED)


def _shown(repair: Repair, store: RepairStore, *, now: datetime, keep: bool) -> Repair:
    if repair.outcome not in {Outcome.SHOWN, Outcome.NEW}:
        return repair
    plan = store.keep_plan(repair.plan, now) if keep else repair.plan.shown(now)
    return Repair(plan, repair.outcome, repair.since)
