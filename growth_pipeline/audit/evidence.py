"""Turns a judged payment into a finding: cause, evidence, what to do. Pure.

Contract: docs/metrics.md, "Revenue audit": both rows, ids, event ids; the cause comes from the
event ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from growth_pipeline.audit.causes import (
    OURS,
    PART_OF_CODE,
    Key,
    Told,
    Trace,
    amounts_in,
    cause_of_object,
)
from growth_pipeline.audit.codes import CODES, MADE_BY_ROW, Severity
from growth_pipeline.audit.commands import command_of
from growth_pipeline.audit.findings import Finding, action_of, finding_fingerprint
from growth_pipeline.audit.payments.examine import Judged
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import UTC_NAME, Month

_PAGES: Final = {
    "charge": "payments",
    "payment_intent": "payments",
    "invoice": "invoices",
    "customer": "customers",
    "dispute": "disputes",
    "subscription": "subscriptions",
    "payout": "payouts",
    "event": "events",
}
_PLAIN_ID: Final = re.compile(r"[a-z]{2,16}_[A-Za-z0-9_]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Booking:
    """What the mirror would book now, by scope and charge id; a charge that it lacks is absent."""

    scope: Scope
    payments: Mapping[tuple[Scope, str], Payment]


# What of a row a class is about, by the fields of billing.payments.
_STATUS: Final = ("status", "captured")
_AMOUNT: Final = ("amount_minor",)
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "missing_in_db": (*_STATUS, *_AMOUNT, "currency"),
    "status_mismatch": _STATUS,
    "uncaptured_booked": _STATUS,
    "currency_mismatch": ("currency",),
    "amount_mismatch": _AMOUNT,
    "amount_rounding": _AMOUNT,
    "refund_missing": ("refunded_minor",),
    "refund_excess": ("refunded_minor",),
    "refund_failed_booked": ("refunded_minor",),
    "dispute_missing": ("disputed_minor",),
    "dispute_state": ("disputed_minor",),
    "fee_mismatch": ("fee_minor", "settlement_currency"),
    "net_mismatch": ("net_minor", "settlement_currency"),
    "orphan_row": ("customer_id", "invoice_id"),
}


@dataclass(frozen=True)
class Frame:
    """What all findings of one audit share."""

    scope: Scope
    month: Month
    tz: str = UTC_NAME

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
            command=command_of(
                code,
                thing,
                also=more.get("also", ()),
                month=self.month,
                tz=self.tz,
                otherwise=command or "",
            ),
            fingerprint=finding_fingerprint(self.scope, self.month, code, object_id, tz=self.tz),
            **given,
        )


def objects_behind(judged: Judged, parts: Iterable[Key]) -> list[Key]:
    """The Stripe objects whose events would have made the books right; the pair's own first."""
    pair = judged.pair
    wanted = PART_OF_CODE.get(judged.diagnosis.code)
    own = (pair.object, pair.object_id)
    return [own, *(part for part in parts if part[0] == wanted)]


def cause_of(
    judged: Judged, objects: Sequence[Key], trace: Trace, booking: Booking | None = None
) -> Told:
    """Why the books differ. `objects`: those behind the finding, the pair's own first.

    `booking` tells of the charges of the pair and of its rows; None if that was not asked. A row of
    ours that says something else was changed by hand.
    """
    pair, diagnosis = judged.pair, judged.diagnosis
    rows = pair.rows or pair.leaked_rows
    return cause_of_object(
        diagnosis.code,
        objects,
        _as_judged(pair.stripe, objects, trace),
        mirror_is_right=_mirror_is_right(pair.stripe, diagnosis.code, booking),
        written_by={row.written_by for row in rows},
        changed_by_hand=any(_is_changed(row, diagnosis.code, trace, booking) for row in rows),
        minor=amounts_in(diagnosis.details.get(diagnosis.code)),
    )


def _as_judged(stripe: StripePayment | None, objects: Sequence[Key], trace: Trace) -> Trace:
    """The trace with the charge as it was judged: it may have been asked for again."""
    if stripe is None or stripe.object != "charge":
        return trace
    facts = {"status": stripe.status, "amount_captured": stripe.captured_minor}
    if len(objects) == 1:  # its refunds are not known one by one: their sum is the fact
        facts["amount_refunded"] = stripe.refunded_minor
    parts = {key: trace.stripe[key] for key in objects[1:] if key in trace.stripe}
    return replace(trace, stripe={**parts, objects[0]: facts})


def _is_changed(row: BookedRow, code: str, trace: Trace, booking: Booking | None) -> bool:
    """Whether a row of ours says, in what the class is about, what the mirror would not book."""
    if booking is None or row.written_by != OURS or row.charge_id is None:
        return False
    would = booking.payments.get((Scope(row.account_id, row.livemode), row.charge_id))
    if would is None:  # without a charge in the mirror none of us could have written it
        return ("charge", row.charge_id) not in trace.mirrored
    return any(getattr(row, name) != getattr(would, name) for name in _FIELDS.get(code, ()))


def _mirror_is_right(
    stripe: StripePayment | None, code: str, booking: Booking | None
) -> bool | None:
    """True if the mirror would book what Stripe says, in what the class is about; else None."""
    fields = _FIELDS.get(code, ())
    if stripe is None or booking is None or code in MADE_BY_ROW:
        return None
    would = booking.payments.get((booking.scope, stripe.id))
    if would is None or not fields:
        return None
    expected = {
        "status": stripe.status,
        "captured": stripe.captured,
        "currency": stripe.currency,
        "amount_minor": stripe.captured_minor if stripe.captured else stripe.asked_minor,
        "refunded_minor": stripe.refunded_minor,
        "disputed_minor": stripe.disputed_minor,
        "fee_minor": stripe.fee_minor,
        "net_minor": stripe.net_after_fee_minor,
        "settlement_currency": stripe.settlement_currency,
    }
    return all(getattr(would, name) == expected[name] for name in fields) or None


def payment_finding(
    judged: Judged,
    objects: Sequence[Key],
    trace: Trace,
    frame: Frame,
    booking: Booking | None = None,
) -> Finding:
    """The finding of one judged payment; the rest as `cause_of` takes it."""
    pair, diagnosis = judged.pair, judged.diagnosis
    rows = [*pair.rows, *pair.leaked_rows]
    told = cause_of(judged, objects, trace, booking)
    evidence = {
        "stripe": _stripe_side(pair.stripe),
        "booked": [_booked_side(row) for row in pair.rows],
        "booked_elsewhere": [_booked_side(row) for row in pair.leaked_rows],
        "details": diagnosis.details,
        **told.evidence,
        "link": dashboard_link(frame.scope, pair.object, pair.object_id),
        "confirmed_by_stripe": judged.confirmed,
    }
    return frame.finding(
        diagnosis.code,
        pair.object,
        pair.object_id,
        currency=diagnosis.currency,
        impacts=diagnosis.impacts,
        evidence={name: value for name, value in evidence.items() if value not in (None, [], {})},
        severity=diagnosis.severity,
        also=diagnosis.codes[1:],
        cause=told.cause,
        action=_with_rows(action_of(diagnosis.code, told.cause, frame.month), rows),
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
