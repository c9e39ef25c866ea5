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
        f"list{_s(lists)}" + (f" of {plan.accounts} accounts" if plan.accounts > 1 else ""),
        f"plan: about {format_number(plan.requests)} requests, about {_minutes(plan.minutes)} at "
        f"{plan.requests_per_second:g} requests a second ({plan.endpoint_requests_per_second:g} "
        "for one list); an estimate",
    ]
    if plan.unknown_extracts:
        lines.append(
            f"plan: nothing is known yet of {plan.unknown_extracts} of {plan.extracts} extracts; "
            "each counts as one request, it may be more"
        )
    return lines


def requests_line(plan: Plan, requests: int | None) -> str:
    """How many requests reading took, beside what was planned; empty if nobody counted them."""
    if requests is None:
        return ""
    return (
        f"\nReading the lists took {format_number(requests)} request{_s(requests)}; the plan said "
        f"about {format_number(plan.requests)}.\n"
    )


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{max(1, round(minutes * 60))} s"
    return f"{format_number(round(minutes))} min"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _many(count: int, noun: str) -> str:
    """`1 object`, `2,000 objects`."""
    return f"{format_number(count)} {noun}{_s(count)}"


def _was(count: int, *, dry_run: bool) -> str:
    if dry_run:
        return "would be"
    return "was" if count == 1 else "were"


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
        "rows_kept_in": backfill.rows_kept_in,
        "sample": [_sample(sample) for sample in backfill.samples],
        "requests": backfill.requests,
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
        return f"{_many(refused, 'object')} cannot be used. {_changes(backfill)}"
    if backfill.is_empty:
        return "Nothing to change: mirror and books already hold what Stripe says."
    return _changes(backfill)


def _changes(backfill: Backfill) -> str:
    total, booked = backfill.total, backfill.payments
    inserted = _was(total.insert, dry_run=backfill.dry_run)
    newly_booked = _was(booked.insert, dry_run=backfill.dry_run)
    return (
        f"{_many(total.insert, 'object')} {inserted} inserted, {format_number(total.update)} "
        f"updated, {format_number(total.delete)} marked as deleted, {format_number(total.skip)} "
        f"skipped; {_many(booked.insert, 'payment')} {newly_booked} booked, "
        f"{format_number(booked.update)} changed."
    )


def _since_lines(since: SinceDryRun | None) -> list[str]:
    if since is None:
        return []
    at = _instant(since.dry_run_at)
    if since.is_as_said:
        return [f"Exactly as the dry run of {at} said: {_many(since.same, 'row')}."]
    lines = [
        f"## Since the dry run of {at}",
        "",
        f"{_many(since.same, 'row')} as it said; {format_number(since.undone)} it named "
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
    if backfill.rows_kept_in:
        lines += [
            "",
            f"All rows, before and after, in the lake: {code_span(backfill.rows_kept_in)}",
        ]
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
            f"{_many(backfill.confirmed, 'object')} that their list no longer has "
            f"{_was(backfill.confirmed, dry_run=False)} asked for by id."
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
