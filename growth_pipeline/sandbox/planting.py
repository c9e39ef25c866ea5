"""Discrepancies on purpose, each known to the minor unit: payments, then all the rest.

Two kinds: events that never reach the endpoint (so the database never hears of something), and rows
that are changed by hand afterwards (`tamper.py`). Each gives exactly one finding; what else is
wrong at Stripe by itself is told with them. Contract: metrics contract, "Revenue audit".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from growth_pipeline.sandbox.company import Company
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.names import DAY, add_months, month_start
from growth_pipeline.sandbox.planter import BY_HAND, LOST, Planter
from growth_pipeline.sandbox.planting_application import plant_application
from growth_pipeline.sandbox.planting_stripe import note_own_problems, plant_losses
from growth_pipeline.sandbox.store import Store

_SETTLED = "status = 'succeeded' and captured = 1 and amount_minor > 100"
_UNTOUCHED = f"{_SETTLED} and refund_count = 0 and dispute_count = 0"
_SPREAD = 3


@dataclass(frozen=True)
class _Kind:
    """A class of discrepancy: which ledger rows can carry it, and how it is planted."""

    code: str
    severity: str
    cause: str
    candidates: str
    plant: Callable[[Planter, Json], tuple[str, dict[str, int], str]]


_Planted = tuple[str, dict[str, int], str]


def _missing_in_db(planter: Planter, row: Json) -> _Planted:
    ids = [row["charge_id"], row["payment_intent_id"]]
    joins = planter.store.execute(
        "select id from invoice_payments where invoice = ?", (row["invoice_id"],)
    )
    ids += [join for (join,) in joins.fetchall()]
    lost = [event.id for one in ids for event in planter.store.events_of(one)]
    lost += [
        event_id
        for event_id, _, invoice in planter.snapshots(row["invoice_id"])
        if invoice["status"] == "paid"
    ]
    planter.lose(lost)
    return (
        row["charge_id"],
        {row["currency"]: -row["amount_minor"]},
        "every event of the charge, of its payment intent and of the paid invoice is lost",
    )


def _missing_in_stripe(planter: Planter, row: Json) -> _Planted:
    charge_id = planter.names.new("ch")
    values = {
        "charge_id": charge_id,
        "payment_intent_id": None,
        "invoice_id": None,
        "created_at": row["created_at"] + 60,
    }
    planter.planting.tampering.append(
        {"action": "copy", "charge_id": row["charge_id"], "set": values}
    )
    how = "a row with an id that Stripe never gave is written by hand"
    return charge_id, {row["currency"]: row["amount_minor"]}, how


def _duplicate_row(planter: Planter, row: Json) -> _Planted:
    planter.planting.tampering.append({"action": "copy", "charge_id": row["charge_id"], "set": {}})
    how = "the charge's row is written a second time by hand"
    return row["charge_id"], {row["currency"]: row["amount_minor"]}, how


def _status_mismatch(planter: Planter, row: Json) -> _Planted:
    planter.change(row, status="succeeded", captured=True)
    how = "a failed charge is booked as succeeded by hand"
    return row["charge_id"], {row["currency"]: row["amount_minor"]}, how


def _currency_mismatch(planter: Planter, row: Json) -> _Planted:
    planter.change(row, currency="usd")
    impacts = {row["currency"]: -row["amount_minor"], "usd": row["amount_minor"]}
    return row["charge_id"], impacts, f"{row['currency']} is booked as usd by hand"


def _amount_mismatch(planter: Planter, row: Json) -> _Planted:
    planter.change(row, amount_minor=row["amount_minor"] * 100)
    how = "the amount is booked a hundredfold by hand"
    return row["charge_id"], {row["currency"]: row["amount_minor"] * 99}, how


def _amount_rounding(planter: Planter, row: Json) -> _Planted:
    planter.change(row, amount_minor=row["amount_minor"] - 1)
    how = "the amount is booked one minor unit short by hand"
    return row["charge_id"], {row["currency"]: -1}, how


def _refund_missing(planter: Planter, row: Json) -> _Planted:
    _lose_part(planter, row, "refunds", told_by="amount_refunded")
    how = "every event that tells of the refund is lost"
    return row["charge_id"], {row["currency"]: row["refunded_minor"]}, how


def _refund_excess(planter: Planter, row: Json) -> _Planted:
    excess = row["amount_minor"] // 4
    planter.change(row, refunded_minor=excess)
    how = "a refund that never was is booked by hand"
    return row["charge_id"], {row["currency"]: -excess}, how


def _dispute_missing(planter: Planter, row: Json) -> _Planted:
    _lose_part(planter, row, "disputes", told_by="disputed")
    how = "every event that tells of the dispute is lost"
    return row["charge_id"], {row["currency"]: row["disputed_minor"]}, how


def _lose_part(planter: Planter, row: Json, table: str, *, told_by: str) -> None:
    """Lose the events of a charge's one refund or dispute, and of the charge while it says so."""
    (part_id,) = planter.store.execute(
        f"select id from {table} where charge = ?",  # noqa: S608 own names
        (row["charge_id"],),
    ).fetchone()
    lost = [event.id for event in planter.store.events_of(part_id)]
    lost += [
        event_id for event_id, _, charge in planter.snapshots(row["charge_id"]) if charge[told_by]
    ]
    planter.lose(lost)


def _orphan_row(planter: Planter, row: Json) -> _Planted:
    planter.change(row, customer_id=planter.names.new("cus"))
    how = "the row's customer is changed by hand to one that exists nowhere"
    return row["charge_id"], {row["currency"]: 0}, how


_KINDS = (
    # The rare ones first: they have the fewest charges to choose from.
    _Kind(
        "dispute_missing",
        "HIGH",
        LOST,
        f"{_SETTLED} and disputed_minor > 0 and dispute_count = 1 and refund_count = 0",
        _dispute_missing,
    ),
    _Kind(
        "refund_missing",
        "HIGH",
        LOST,
        f"{_SETTLED} and refunded_minor > 0 and refund_count = 1 and dispute_count = 0",
        _refund_missing,
    ),
    _Kind("status_mismatch", "HIGH", BY_HAND, "status = 'failed'", _status_mismatch),
    _Kind(
        "currency_mismatch",
        "HIGH",
        BY_HAND,
        f"{_UNTOUCHED} and currency <> 'usd'",
        _currency_mismatch,
    ),
    _Kind(
        "missing_in_db",
        "HIGH",
        LOST,
        f"{_UNTOUCHED} and attempt_count = 1 and invoice_id is not null",
        _missing_in_db,
    ),
    _Kind("missing_in_stripe", "HIGH", BY_HAND, _UNTOUCHED, _missing_in_stripe),
    _Kind("duplicate_row", "HIGH", BY_HAND, _UNTOUCHED, _duplicate_row),
    _Kind("amount_mismatch", "HIGH", "unit_factor", _UNTOUCHED, _amount_mismatch),
    _Kind("amount_rounding", "MEDIUM", BY_HAND, _UNTOUCHED, _amount_rounding),
    _Kind("refund_excess", "HIGH", BY_HAND, _UNTOUCHED, _refund_excess),
    _Kind("orphan_row", "MEDIUM", BY_HAND, _UNTOUCHED, _orphan_row),
)
CODES = tuple(kind.code for kind in _KINDS)


def _plant_one(planter: Planter, kind: _Kind, months: Sequence[str]) -> None:
    """Plants one problem in the first of the months that has a fitting charge."""
    for month in months:
        row = planter.choose(kind.code, _candidates(planter, kind, month), "charge_id")
        if row is None:
            continue
        object_id, impacts, how = kind.plant(planter, row)
        currency = next(reversed(impacts)) if impacts else row["currency"]
        planter.add(
            kind.code,
            kind.severity,
            ("charge", object_id),
            month,
            currency=currency,
            impacts=impacts,
            how=how,
            cause=kind.cause,
        )
        return


def _candidates(planter: Planter, kind: _Kind, month: str) -> list[Json]:
    # Clear of the month's edges, so that no zone and no delay moves it to another month.
    start, end = month_start(month) + 2 * DAY, add_months(month_start(month), 1) - 3 * DAY
    cursor = planter.store.execute(
        "select * from ledger where month = ? and created_at between ? and ?"  # noqa: S608 own text
        f" and {kind.candidates} order by created_at, charge_id limit 500",
        (month, start, end),
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def plant(store: Store, company: Company, months: Sequence[str] | None = None) -> Json:
    """Plants one problem of each kind, once; what was planted, as JSON.

    `months`: where (default: the three newest closed months in turn, older ones where those have
    no fitting charge). Later calls return what the first one planted.
    """
    planted: Json | None = store.fact("planting")
    if planted is not None:
        return planted
    newest_first = list(reversed(months or company.closed_months))
    planter = Planter(store, company)
    for number, kind in enumerate(_KINDS):
        turn = number % min(_SPREAD, len(newest_first)) if newest_first else 0
        _plant_one(planter, kind, [*newest_first[turn:], *newest_first[:turn]])
    plant_application(planter, newest_first)
    plant_losses(planter, newest_first)
    store.lose(planter.planting.lost_events)
    note_own_problems(planter)
    planted = planter.planting.to_dict()
    store.set_fact("planting", planted)
    return planted
