"""Gives every finding its cause and the deliveries behind it, some thousand findings at a time.

What is known is read by deliveries.py, what it means decided in causes.py and evidence.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar

from growth_pipeline.audit.causes import Key, Trace, amounts_in, cause_of_object
from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.deliveries import Deliveries
from growth_pipeline.audit.evidence import Booking, Frame, objects_behind, payment_finding
from growth_pipeline.audit.findings import Finding, action_of
from growth_pipeline.audit.payments.examine import Judged
from growth_pipeline.audit.repair.rules import outlook
from growth_pipeline.audit.sections import Section
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

# Findings traced at once: what is known of their objects lies in memory meanwhile.
AT_ONCE: Final = 2_000

PartsOf = Callable[[set[str]], Mapping[str, Iterable[Key]]]
"""Refunds and disputes, as (object, id), by charge."""

_T = TypeVar("_T")


def explain_payments(
    judged: Iterable[Judged], deliveries: Deliveries, parts_of: PartsOf, frame: Frame
) -> list[Finding]:
    """Findings of judged payments with cause and evidence."""
    found: list[Finding] = []
    for some in _batches(judged, AT_ONCE):
        charges = {one.pair.object_id for one in some if one.pair.object == "charge"}
        parts = parts_of(charges) if charges else {}
        behind = [objects_behind(one, parts.get(one.pair.object_id, ())) for one in some]
        trace = deliveries.trace({key for keys in behind for key in keys})
        booking = Booking(frame.scope, deliveries.store.would_book(_charges(some, frame.scope)))
        found += [
            payment_finding(one, keys, trace, frame, booking)
            for one, keys in zip(some, behind, strict=True)
        ]
    return found


def _charges(judged: Iterable[Judged], scope: Scope) -> set[tuple[Scope, str]]:
    """Charges of the pairs and of their rows, each in the scope that it is booked in."""
    charges = set()
    for one in judged:
        if one.pair.object == "charge":
            charges.add((scope, one.pair.object_id))
        for row in (*one.pair.rows, *one.pair.leaked_rows):
            if row.charge_id is not None:
                charges.add((Scope(row.account_id, row.livemode), row.charge_id))
    return charges


def without_repeats(sections: Sequence[Section], payments: Sequence[Finding]) -> list[Section]:
    """The sections without what another finding says better.

    That is a stale row of an object that another class names, and an invoice whose payments the
    mirror lacks where they are just those that are missing in the books: one loss of money is told
    once. `payments`: the findings about payments.
    """
    all_of_them = (*payments, *(one for section in sections for one in section.findings))
    named = {(one.object, one.object_id) for one in all_of_them if one.code != "stale_row"}
    missing = {
        one.evidence.get("stripe", {}).get(name)
        for one in payments
        if one.code == "missing_in_db"
        for name in ("id", "payment_intent")
    }

    def is_repeat(one: Finding) -> bool:
        if one.code == "stale_row":
            return (one.object, one.object_id) in named
        return one.code == "invoice_payment_sum" and _is_of(one, missing)

    return [
        replace(section, findings=tuple(one for one in section.findings if not is_repeat(one)))
        for section in sections
    ]


def _is_of(invoice: Finding, missing: Collection[str | None]) -> bool:
    """Whether what our side lacks of an invoice is the sum of payments that it lacks anyway."""
    evidence = invoice.evidence
    if evidence.get("side") != "database":
        return False
    lacking = evidence["amount_paid_minor"] - evidence["payments_minor"]
    parts = [one for one in evidence["paid_through"] if one["payment"] in missing]
    return bool(parts) and sum(one["amount_minor"] for one in parts) == lacking


def explain(
    findings: Sequence[Finding], deliveries: Deliveries, month: Month, *, at_once: int = AT_ONCE
) -> list[Finding]:
    """The findings, in their order, each with cause, deliveries, and what a repair would do.

    What a part of the audit has said itself stays: it knows more than the trace of one object.
    """
    explained: list[Finding] = []
    for some in _batches(findings, at_once):
        open_ones = {(one.object, one.object_id) for one in some if _is_open(one)}
        trace = deliveries.trace(open_ones) if open_ones else Trace()
        explained += [_explained(one, trace, month) for one in some]
    return explained


def _is_open(finding: Finding) -> bool:
    return finding.cause is Cause.UNKNOWN or "delivery" not in finding.evidence


def _explained(finding: Finding, trace: Trace, month: Month) -> Finding:
    evidence: dict[str, Any] = dict(finding.evidence)
    cause, action = finding.cause, finding.action
    if _is_open(finding):
        key = (finding.object, finding.object_id)
        told = cause_of_object(
            finding.code, [key], trace, minor=amounts_in(evidence.get("details"))
        )
        evidence = {**told.evidence, **evidence}
        if cause is Cause.UNKNOWN:
            cause = told.cause
            if action == action_of(finding.code, Cause.UNKNOWN, month):
                action = action_of(finding.code, cause, month)
    evidence.setdefault("repair", outlook(finding.code, cause))
    return replace(finding, cause=cause, action=action, evidence=evidence)


def _batches(rows: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(rows)
    while some := list(islice(rest, size)):
        yield some
