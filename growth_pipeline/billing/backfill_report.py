"""A backfill as people and scripts read it: the plan before, the difference after. Pure.

No number is made here. Text from Stripe appears in code spans, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from growth_pipeline.billing.backfill import (
    Backfill,
    ChangedRow,
    Counts,
    Field,
    MoneyChange,
    Plan,
    Sample,
    SinceDryRun,
    Span,
)
from growth_pipeline.core.display import format_number
from growth_pipeline.core.markdown import (
    code_span,
    escaped,
    money,
    signed_money,
    table_head,
    table_row,
)

FIELDS_SHOWN: Final = 6


def plan_lines(plan: Plan, span: Span) -> list[str]:
    """What is about to be read, in sentences for a person who may still say no."""
    lists = len(plan.readings)
    lines = [
        f"plan: objects created {span}: {plan.months} month{_s(plan.months)} of {lists} "
        f"list{_s(lists)}",
        f"plan: about {format_number(plan.requests)} requests, about {_minutes(plan.minutes)} at "
        f"{plan.requests_per_second:g} requests a second ({plan.endpoint_requests_per_second:g} "
        "for one list); an estimate",
    ]
    if plan.unknown_months:
        lines.append(
            f"plan: nothing is known yet of {plan.unknown_months} of "
            f"{plan.months * lists} months of lists; each counts as one request, it may be more"
        )
    return lines


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{max(1, round(minutes * 60))} s"
    return f"{format_number(round(minutes))} min"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


# --- for scripts ---------------------------------------------------------------------------------


def to_dict(backfill: Backfill) -> dict[str, Any]:
    """The report as JSON takes it. Money in minor units by currency, instants in ISO 8601, UTC."""
    total = backfill.total
    return {
        "dry_run": backfill.dry_run,
        "accounts": [scope.account_id for scope in backfill.scopes],
        "livemode": backfill.scopes[0].livemode,
        "since": backfill.span.start.isoformat(),
        "until": backfill.span.end.isoformat(),
        "objects": list(backfill.resources),
        "finished_at": backfill.finished_at.isoformat(),
        "run_id": backfill.run_id,
        "is_empty": backfill.is_empty,
        "total": _counts(total),
        "difference": {name: _counts(counts) for name, counts in backfill.counts.items()},
        "payments": {"insert": backfill.payments.insert, "update": backfill.payments.update},
        "money_minor": {
            currency: {
                "before": change.before.to_dict(),
                "after": change.after.to_dict(),
                "difference": _difference(change),
            }
            for currency, change in sorted(backfill.money.items())
        },
        "rows": backfill.row_count,
        "sample": [_sample(sample) for sample in backfill.samples],
        "confirmed_by_id": backfill.confirmed,
        "refused_sample": [
            {"object": name, "id": id_, "reason": reason} for name, id_, reason in backfill.refused
        ],
        "since_dry_run": _since(backfill.since_dry_run),
    }


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "insert": counts.insert,
        "update": counts.update,
        "skip": counts.skip,
        "delete": counts.delete,
        "newer_in_mirror": counts.newer,
        "refused": counts.refused,
    }


def _difference(change: MoneyChange) -> dict[str, int]:
    before, after = change.before.to_dict(), change.after.to_dict()
    return {name: after[name] - before[name] for name in after}


def _sample(sample: Sample) -> dict[str, Any]:
    fields = [
        {"field": one.name, "before": one.before, "after": one.after}
        if one.is_shown
        else {"field": one.name}
        for one in sample.fields
    ]
    return {**_row_dict(sample.row), "fields": fields}


def _row_dict(row: ChangedRow) -> dict[str, str]:
    return {
        "account_id": row.account_id,
        "object": row.object,
        "id": row.id,
        "change": str(row.change),
    }


def _since(since: SinceDryRun | None) -> dict[str, Any] | None:
    if since is None:
        return None
    return {
        "dry_run_at": since.dry_run_at.isoformat(),
        "is_as_said": since.is_as_said,
        "same": since.same,
        "not_done": since.undone,
        "more": since.more,
        "other_content": since.other,
        "examples": [{"what": word, **_row_dict(row)} for word, row in since.examples],
    }


# --- for people ----------------------------------------------------------------------------------


def to_markdown(backfill: Backfill) -> str:
    """The report: the answer first, then rows by kind, money, examples, and what changed since."""
    parts = [
        _heading(backfill),
        _since_lines(backfill.since_dry_run),
        _by_kind(backfill),
        _money(backfill.money),
        _samples(backfill),
        _notes(backfill),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _heading(backfill: Backfill) -> list[str]:
    kind = "dry run, nothing was changed" if backfill.dry_run else "applied"
    span = backfill.span
    months = span.months()
    accounts = ", ".join(code_span(scope.account_id) for scope in backfill.scopes)
    return [
        f"# Backfill {months[0]} to {months[-1]}: {kind}",
        "",
        f"**{_answer(backfill)}**",
        "",
        f"Account {accounts}, {backfill.scopes[0].mode} mode, objects "
        f"created {span}; finished {_instant(backfill.finished_at)}.",
    ]


def _answer(backfill: Backfill) -> str:
    refused = backfill.total.refused
    if refused:
        return f"{format_number(refused)} objects cannot be used. {_changes(backfill)}"
    if backfill.is_empty:
        return "Nothing to change: the mirror already holds what Stripe says."
    return _changes(backfill)


def _changes(backfill: Backfill) -> str:
    total, booked = backfill.total, backfill.payments
    verb = "would be" if backfill.dry_run else "were"
    return (
        f"{format_number(total.insert)} objects {verb} inserted, {format_number(total.update)} "
        f"updated, {format_number(total.delete)} marked as deleted, {format_number(total.skip)} "
        f"skipped; {format_number(booked.insert)} payments {verb} booked, "
        f"{format_number(booked.update)} changed."
    )


def _since_lines(since: SinceDryRun | None) -> list[str]:
    if since is None:
        return []
    at = _instant(since.dry_run_at)
    if since.is_as_said:
        return [f"Exactly as the dry run of {at} said: {format_number(since.same)} rows."]
    lines = [
        f"## Since the dry run of {at}",
        "",
        f"{format_number(since.same)} rows as it said; {format_number(since.undone)} it named "
        f"did not change; {format_number(since.more)} changed that it did not name; "
        f"{format_number(since.other)} changed to another content.",
    ]
    if since.examples:
        words = {"more": "not named", "other": "other content", "undone": "did not change"}
        lines += ["", *table_head("Since then", "Change", "Object")]
        lines += [
            table_row(words[word], str(row.change), f"{code_span(row.object)} {code_span(row.id)}")
            for word, row in since.examples
        ]
    return lines


def _by_kind(backfill: Backfill) -> list[str]:
    lines = [
        "## Objects",
        "",
        *table_head("Object", "Insert", "Update", "Skip", "Delete", "Skipped as older"),
    ]
    for name, counts in backfill.counts.items():
        lines.append(table_row(code_span(name), *_cells(counts)))
    return [*lines, table_row("**all**", *_cells(backfill.total))]


def _cells(counts: Counts) -> Iterable[str]:
    numbers = (counts.insert, counts.update, counts.skip, counts.delete, counts.newer)
    return map(format_number, numbers)


def _money(changes: Mapping[str, MoneyChange]) -> list[str]:
    if not changes:
        return []
    lines = [
        "## Money of the payments that change",
        "",
        *table_head("", "Before", "After", "Difference"),
    ]
    for currency, change in sorted(changes.items()):
        lines += _currency_rows(currency, change)
    return lines


def _currency_rows(currency: str, change: MoneyChange) -> list[str]:
    before, after = change.before.to_dict(), change.after.to_dict()
    name = code_span(currency.upper())
    counts = (before["payments"], after["payments"], after["payments"] - before["payments"])
    rows = [table_row(f"{name} settled payments", *map(format_number, counts))]
    for field, words in (
        ("gross_minor", "gross"),
        ("refunded_minor", "refunded"),
        ("disputed_minor", "disputed"),
        ("net_minor", "**net**"),
        ("fees_minor", "fees (settled in this currency)"),
    ):
        if before[field] or after[field]:
            amounts = (money(before[field], currency), money(after[field], currency))
            moved = signed_money(after[field] - before[field], currency)
            rows.append(table_row(f"{name} {words}", *amounts, moved))
    return rows


def _samples(backfill: Backfill) -> list[str]:
    if not backfill.samples:
        return []
    shown, rows = len(backfill.samples), backfill.row_count
    lines = [
        f"## Rows ({format_number(shown)} of {format_number(rows)})",
        "",
        *table_head("Change", "Object", "What is different"),
    ]
    for sample in backfill.samples:
        row = sample.row
        name = f"{code_span(row.object)} {code_span(row.id)}"
        lines.append(table_row(str(row.change), name, _fields(sample.fields)))
    return lines


def _fields(fields: Sequence[Field]) -> str:
    ordered = sorted(fields, key=lambda one: not one.is_shown)
    said = [_field(one) for one in ordered[:FIELDS_SHOWN]]
    left = len(fields) - len(said)
    return "; ".join([*said, f"{left} more"] if left else said)


def _field(one: Field) -> str:
    if not one.is_shown:
        return escaped(one.name)
    if one.before is None:
        return f"{escaped(one.name)} {code_span(_word(one.after))}"
    return f"{escaped(one.name)} {code_span(_word(one.before))} to {code_span(_word(one.after))}"


def _word(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _notes(backfill: Backfill) -> list[str]:
    notes = []
    if backfill.confirmed:
        notes.append(
            f"{format_number(backfill.confirmed)} objects that their list no longer has were "
            "asked for one by one."
        )
    notes += [
        f"**Refused**: {code_span(name)} {code_span(id_)}: {code_span(reason)}"
        for name, id_, reason in backfill.refused
    ]
    if backfill.is_provisional:
        notes.append("The last month was not over when it was read: what comes later is missing.")
    return [f"- {note}" for note in notes]


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
