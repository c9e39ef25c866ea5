"""A repair as a page: what changes in rows and money, what a person must do. Pure.

Everything in a row is somebody's data and stands in code spans. The figures are repair/plan.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from growth_pipeline.audit.repair.plan import PAYMENTS_TABLE, Plan, Since, Step
from growth_pipeline.audit.repair.rules import Note
from growth_pipeline.audit.repair.run import Outcome, Repair
from growth_pipeline.audit.repair.store import CarriedOut
from growth_pipeline.core.display import format_number
from growth_pipeline.core.markdown import (
    code_span,
    escaped,
    money,
    prose,
    signed_money,
    table_head,
    table_row,
)

_ROWS: Final = 50
_OBJECTS: Final = 20
_NOTES: Final = 30
# Free text of people and addresses stay out of the page; they are in --json and in the trail.
_SHOWN_OF_OBJECTS: Final = frozenset(
    {
        *("status", "amount", "amount_captured", "amount_refunded", "amount_paid", "currency"),
        *("captured", "paid", "disputed", "refunded", "deleted_at", "total", "quantity"),
    }
)
_MINOR: Final = "_minor"


def to_page(repair: Repair, carried_out: Sequence[CarriedOut] = ()) -> str:
    """The repair for a person, as Markdown. Long lists are cut; `--json` has all of it."""
    plan = repair.plan
    lines = [f"# {_title(repair)}", "", *_opening(repair), ""]
    if not plan.is_empty:
        lines += [*_money(plan), *_classes(plan), *_rows(plan), *_objects(plan)]
    lines += _notes("A person must do", plan.manual)
    lines += _notes("Left as it is", plan.left)
    lines += _history(carried_out)
    return "\n".join(lines).rstrip() + "\n"


def next_step(repair: Repair) -> str:
    """The command that follows."""
    plan = repair.plan
    month = f"--month {plan.month.key}" + (f" --tz {plan.tz}" if plan.tz != "UTC" else "")
    if repair.outcome in {Outcome.SHOWN, Outcome.NEW}:
        only = "".join(f" --only {code}" for code in plan.only)
        return f"growth repair {month}{only} --apply"
    return f"growth audit {month}"


def _title(repair: Repair) -> str:
    plan = repair.plan
    what = {
        Outcome.SHOWN: "Repair plan",
        Outcome.NEW: "Repair plan, not carried out",
        Outcome.APPLIED: "Repair carried out",
        Outcome.NOTHING: "Nothing to repair",
    }[repair.outcome]
    zone = "" if plan.tz == "UTC" else f" in {escaped(plan.tz)}"
    return f"{what}: {plan.month.key}{zone}, {escaped(plan.scope.account_id)} ({plan.scope.mode})"


def _opening(repair: Repair) -> list[str]:
    plan = repair.plan
    booked = sum(step.table == PAYMENTS_TABLE for step in plan.steps)
    counts = (
        f"{_count(len(plan.mended), 'finding')}: {_count(booked, 'booked row')} and "
        f"{_count(len(plan.steps) - booked, 'mirrored object')} change."
    )
    said = {
        Outcome.SHOWN: [
            counts,
            "Nothing was changed: all of it ran in a transaction that was rolled back.",
        ],
        Outcome.NEW: [_why_not(repair.since), counts, "Nothing was changed."],
        Outcome.APPLIED: [
            counts,
            f"All of it is one transaction. Taken back by: `growth repair --undo {plan.plan_id}`.",
        ],
        Outcome.NOTHING: ["No booked row and no mirrored object has to change."],
    }[repair.outcome]
    return [" ".join(said), *_later(plan), "", f"Next: `{next_step(repair)}`"]


def _later(plan: Plan) -> list[str]:
    if not plan.later:
        return []
    which = f"--since {plan.month.key} --until {plan.month.key}"
    return [
        "",
        f"This is a portion: {_count(plan.later, 'more finding')} can be mended. Apply this one, "
        "audit the month again, then repair it again. For a whole month of lost payments "
        f"`growth backfill {which}` is the way.",
    ]


def _why_not(since: Since | None) -> str:
    if since is None:
        return "This plan was not shown before, and nothing is repaired without that."
    counted = {"new": since.added, "gone": since.gone, "different": since.changed}
    told = ", ".join(f"{len(places)} {word}" for word, places in counted.items() if places)
    return (
        "What would be done is no longer what was shown last"
        + (f" ({told} of its changes)" if told else "")
        + "; this is the plan of now."
    )


def _count(number: int, noun: str) -> str:
    return f"{format_number(number)} {noun}{'' if number == 1 else 's'}"


# --- figures -------------------------------------------------------------------------------------


def _money(plan: Plan) -> list[str]:
    rows = [
        table_row(
            escaped(currency.upper()),
            money(one.before_minor, currency),
            money(one.after_minor, currency),
            signed_money(one.change_minor, currency),
            signed_money(-one.findings_minor, currency),
        )
        for currency, one in plan.money.items()
    ]
    if not rows:
        return []
    head = table_head("Currency", "Booked now", "Booked then", "Change", "The findings ask for")
    return ["## Money of the rows that change", "", *head, *rows, ""]


def _classes(plan: Plan) -> list[str]:
    rows = [
        table_row(
            escaped(one.code),
            format_number(one.findings),
            format_number(one.rows),
            ", ".join(signed_money(minor, currency) for currency, minor in one.change_minor.items())
            or "0",
        )
        for one in plan.classes
    ]
    head = table_head("Class", "Findings", "Booked rows", "Change of booked net")
    return ["## By class", "", *head, *rows, ""]


def _rows(plan: Plan) -> list[str]:
    steps = [step for step in plan.steps if step.table == PAYMENTS_TABLE]
    if not steps:
        return []
    rows = [
        table_row(
            step.change,
            "new" if step.before is None else escaped(step.key),
            code_span(_name_of(step)),
            "; ".join(_differences(step)),
            ", ".join(map(escaped, step.codes)) or "follows",
        )
        for step in steps[:_ROWS]
    ]
    head = table_head("Change", "payment\\_id", "Payment", "Columns", "For")
    return ["## Rows of billing.payments", "", *head, *rows, *_rest(len(steps), _ROWS), ""]


def _name_of(step: Step) -> str:
    image = step.after or step.before or {}
    names = ("charge_id", "payment_intent_id", "invoice_payment_id", "invoice_id")
    return next((str(image[name]) for name in names if image.get(name)), "")


def _differences(step: Step) -> list[str]:
    """What is different in a row; of a new or removed one what tells most about it."""
    if step.change == "update":
        return [
            f"{escaped(name)} {_value(step.before, name, was)} → {_value(step.after, name, now)}"
            for name, was, now in step.differences()
        ]
    image = step.after or step.before or {}
    told = [_value(image, "amount_minor", image["amount_minor"]), code_span(image["status"])]
    for name in ("refunded_minor", "disputed_minor"):
        if image[name]:
            told.append(f"{escaped(name)} {_value(image, name, image[name])}")
    return [*told, f"written by {code_span(image['written_by'])}"]


def _value(image: Any, name: str, value: Any) -> str:
    if value is None:
        return "(none)"
    if name.endswith(_MINOR) and isinstance(value, int) and image:
        in_settlement = name in {"fee_minor", "net_minor"}
        currency = image.get("settlement_currency") if in_settlement else image["currency"]
        return money(value, str(currency or ""))
    return code_span(str(value))


def _objects(plan: Plan) -> list[str]:
    steps = [step for step in plan.steps if step.table != PAYMENTS_TABLE]
    if not steps:
        return []
    counted = Counter((step.table, step.change) for step in steps)
    rows = [
        table_row(escaped(table), change, format_number(number))
        for (table, change), number in sorted(counted.items())
    ]
    shown = [
        f"- {step.change} {escaped(step.table)} {code_span(step.key)}{_fields(step)}"
        for step in steps[:_OBJECTS]
    ]
    head = table_head("Table", "Change", "Rows")
    return [
        *("## Mirror and ledger", "", *head, *rows, "", *shown),
        *(_rest(len(steps), _OBJECTS)),
        "",
    ]


def _fields(step: Step) -> str:
    if step.change != "update":
        return ""
    told = [
        f"{code_span(name)} {code_span(str(was))} → {code_span(str(now))}"
        if name in _SHOWN_OF_OBJECTS
        else code_span(name)
        for name, was, now in step.differences()
    ]
    return ": " + ", ".join(told)


# --- words ---------------------------------------------------------------------------------------


def _notes(title: str, notes: Iterable[Note]) -> list[str]:
    listed = list(notes)
    if not listed:
        return []
    lines = [
        f"- {escaped(note.code)} {escaped(note.object)} {code_span(note.object_id)}: "
        f"{prose(note.said)}"
        for note in islice(listed, _NOTES)
    ]
    return [f"## {title}", "", *lines, *_rest(len(listed), _NOTES), ""]


def _history(carried_out: Sequence[CarriedOut]) -> list[str]:
    if not carried_out:
        return []
    lines = [
        f"- `{one.repair_id}` on {one.applied_at:%Y-%m-%d %H:%M} UTC by {code_span(one.applied_by)}"
        + (f", taken back on {one.undone_at:%Y-%m-%d %H:%M} UTC" if one.undone_at else "")
        for one in carried_out
    ]
    return ["## Repairs of this month", "", *lines, ""]


def _rest(number: int, shown: int) -> list[str]:
    left = number - shown
    return ["", f"and {format_number(left)} more, all of them in `--json`"] if left > 0 else []
