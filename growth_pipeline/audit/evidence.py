"""Turns a judged payment into a finding: cause, evidence, what to do. Pure.

Contract: docs/metrics.md, "Revenue audit": both rows, ids, event ids; the cause comes from the
event ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from growth_pipeline.audit.codes import CODES, MADE_BY_ROW, Cause, Severity
from growth_pipeline.audit.examine import Judged
from growth_pipeline.audit.findings import Finding, action_of, finding_fingerprint
from growth_pipeline.audit.sides import BookedRow, StripePayment
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

Key = tuple[str, str]
"""(object, id), Stripe's singular word and the object's id."""

_NOT_TRACED: Final = frozenset({"period_cutoff", "fee_mismatch", "net_mismatch"})
_PART_OF_CODE: Final = {
    "refund_missing": "refund",
    "refund_excess": "refund",
    "refund_failed_booked": "refund",
    "dispute_missing": "dispute",
    "dispute_state": "dispute",
}
_PAGES: Final = {
    "charge": "payments",
    "payment_intent": "payments",
    "invoice": "invoices",
    "customer": "customers",
    "dispute": "disputes",
}
_PLAIN_ID: Final = re.compile(r"[a-z]{2,16}_[A-Za-z0-9_]{1,200}", re.ASCII)
_EVENTS_SHOWN: Final = 5


@dataclass(frozen=True)
class Trace:
    """What the event ledger knows: mirrored objects and newest events, by (object, id)."""

    mirrored: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    events: Mapping[Key, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def knows(self, key: Key) -> bool:
        """Whether anything was ever heard of an object."""
        return key in self.mirrored or bool(self.events.get(key))


@dataclass(frozen=True)
class Frame:
    """What all findings of one audit share."""

    scope: Scope
    month: Month

    @property
    def audit_again(self) -> str:
        """The command that looks again, and closes what is gone."""
        return f"growth audit --month {self.month.key}"

    def finding(
        self,
        code: str,
        thing: str,
        object_id: str,
        *,
        currency: str | None = None,
        impacts: Mapping[str, int] | None,
        evidence: Mapping[str, Any],
        command: str | None = None,
        **more: Any,
    ) -> Finding:
        """A finding of this audit with severity, action, command and fingerprint filled in."""
        given = {"severity": CODES[code].severity, "action": CODES[code].action, **more}
        return Finding(
            code=code,
            object=thing,
            object_id=object_id,
            currency=currency,
            impacts=impacts,
            evidence=evidence,
            command=command or self.audit_again,
            fingerprint=finding_fingerprint(self.scope, self.month, code, object_id),
            **given,
        )


def objects_behind(judged: Judged, parts: Iterable[Key]) -> list[Key]:
    """The Stripe objects whose events would have made the books right; the pair's own first."""
    pair = judged.pair
    wanted = _PART_OF_CODE.get(judged.diagnosis.code)
    own = (pair.object, pair.object_id)
    return [own, *(part for part in parts if part[0] == wanted)]


def cause_of(judged: Judged, objects: Sequence[Key], trace: Trace) -> Cause:
    """Why the books differ. `objects`: those behind the finding, the pair's own first.

    Never delivered: the ledger holds no event of one of them, or only an older state. Handled
    wrong: the mirror knows what Stripe knows and the row does not.
    """
    code, rows = judged.diagnosis.code, judged.pair.rows
    events = [event for key in objects for event in trace.events.get(key, ())]
    if code in _NOT_TRACED:
        return Cause.UNKNOWN
    if any(event["state"] == "quarantined" for event in events):
        return Cause.QUARANTINED
    writers = {row.written_by for row in rows or judged.pair.leaked_rows}
    if code in MADE_BY_ROW:
        return Cause.HANDLED_WRONG if writers == {"mirror"} else Cause.WRITTEN_BY_HAND
    if writers and "mirror" not in writers:
        return Cause.WRITTEN_BY_HAND
    if not all(map(trace.knows, objects)) or _is_outdated(judged.pair.stripe, objects, trace):
        return Cause.NEVER_DELIVERED
    return Cause.HANDLED_WRONG


def _is_outdated(payment: StripePayment | None, objects: Sequence[Key], trace: Trace) -> bool:
    """Whether the mirror's state of the charge is older than Stripe's."""
    mirrored = trace.mirrored.get(objects[0])
    if payment is None or mirrored is None or payment.object != "charge":
        return False
    facts = {"status": payment.status, "amount_captured": str(payment.captured_minor)}
    if len(objects) == 1:  # its refunds are not known one by one: their sum is the fact
        facts["amount_refunded"] = str(payment.refunded_minor)
    return any(mirrored.get(name) not in (None, fact) for name, fact in facts.items())


def payment_finding(judged: Judged, objects: Sequence[Key], trace: Trace, frame: Frame) -> Finding:
    """The finding of one judged payment."""
    pair, diagnosis = judged.pair, judged.diagnosis
    rows = [*pair.rows, *pair.leaked_rows]
    evidence = {
        "stripe": _stripe_side(pair.stripe),
        "booked": [_booked_side(row) for row in pair.rows],
        "booked_elsewhere": [_booked_side(row) for row in pair.leaked_rows],
        "details": diagnosis.details,
        "events": _events(objects, trace),
        "link": dashboard_link(frame.scope, pair.object, pair.object_id),
        "confirmed_by_stripe": judged.confirmed,
    }
    cause = cause_of(judged, objects, trace)
    return frame.finding(
        diagnosis.code,
        pair.object,
        pair.object_id,
        currency=diagnosis.currency,
        impacts=diagnosis.impacts,
        evidence={name: value for name, value in evidence.items() if value not in (None, [], {})},
        severity=diagnosis.severity,
        also=diagnosis.codes[1:],
        cause=cause,
        action=_with_rows(action_of(diagnosis.code, cause, frame.month), rows),
    )


def _with_rows(action: str, rows: Sequence[BookedRow]) -> str:
    if not rows:
        return action
    numbers = ", ".join(str(row.payment_id) for row in rows)
    return f"{action} Rows of billing.payments: payment_id {numbers}."


def dashboard_link(scope: Scope, thing: str, object_id: str) -> str | None:
    """Address of an object's page in the Stripe dashboard; None for an id that is not plain.

    Ids may come from hand-written rows, so only Stripe's own form ever becomes part of a link.
    """
    page = _PAGES.get(thing)
    if page is None or not _PLAIN_ID.fullmatch(object_id):
        return None
    account = f"{scope.account_id}/" if re.fullmatch(r"acct_\w+", scope.account_id, re.A) else ""
    mode = "" if scope.livemode else "test/"
    return f"https://dashboard.stripe.com/{account}{mode}{page}/{object_id}"


def _stripe_side(payment: StripePayment | None) -> dict[str, Any] | None:
    if payment is None:
        return None
    known = {
        name: value
        for name in StripePayment.__dataclass_fields__
        if (value := getattr(payment, name)) not in (None, ())
    }
    return {**known, "settled": payment.settled, "net_minor": payment.net_minor}


def _booked_side(row: BookedRow) -> dict[str, Any]:
    known = {
        name: value
        for name in BookedRow.__dataclass_fields__
        if (value := getattr(row, name)) is not None
    }
    return {**known, "settled": row.settled, "counted_minor": row.counted_minor}


def _events(objects: Sequence[Key], trace: Trace) -> list[dict[str, Any]]:
    found = [dict(event) for key in objects for event in trace.events.get(key, ())]
    found.sort(key=lambda event: (event["created_at"], event["event_id"]), reverse=True)
    return found[:_EVENTS_SHOWN]


# --- findings that are no pair -------------------------------------------------------------------


def source_finding(resource: str, reason: str, frame: Frame) -> Finding:
    """A source without a verdict; its impact is unknown, not 0."""
    return frame.finding(
        "source_incomplete",
        "source",
        f"stripe/{resource}",
        impacts=None,
        evidence={"reason": reason},
        command="growth doctor",
    )


def stuck_refund_finding(refund: Mapping[str, Any], as_of: int, frame: Frame) -> Finding:
    """A refund that waits; no money differs yet, so the amount is exposure, not impact."""
    charge = refund["charge"] or ""
    return frame.finding(
        "refund_stuck",
        "refund",
        refund["id"],
        currency=refund["currency"],
        impacts={},
        evidence={
            "stripe": dict(refund),
            "exposure_minor": refund["amount"],
            "waiting_days": (as_of - refund["created"]) // 86_400,
            "link": dashboard_link(frame.scope, "charge", charge),
        },
    )


def orphan_part_finding(part: Mapping[str, Any], frame: Frame) -> Finding:
    """A refund or dispute whose charge nobody knows."""
    return frame.finding(
        "orphan_row",
        part["object"],
        part["id"],
        currency=part["currency"],
        impacts={},
        evidence={"stripe": dict(part), "details": {"unknown": [part["charge"]]}},
    )


def unlinked_finding(transaction: Mapping[str, Any], frame: Frame) -> Finding:
    """A balance transaction without a known source; its net is what nobody can place."""
    net = transaction["net"]
    return frame.finding(
        "balance_unlinked",
        "balance_transaction",
        transaction["id"],
        currency=transaction["currency"],
        impacts={transaction["currency"]: net} if net else {},
        evidence={"stripe": dict(transaction)},
    )


def bridge_finding(currency: str, totals: Mapping[str, Any], frame: Frame) -> Finding:
    """A remainder that no finding explains: a mistake of the audit itself."""
    return frame.finding(
        "bridge_nonzero",
        "bridge",
        currency,
        currency=currency,
        impacts={currency: totals["remainder"]},
        evidence={"totals": dict(totals)},
        severity=Severity.HIGH,
    )
