"""A plan of repair: every row that changes, before and after, the money of it, and its name. Pure.

A plan is made by carrying everything out in a transaction; what is planned is in `repair/rules.py`.
Contract: docs/metrics.md, "Repair".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from growth_pipeline.audit.findings import Finding, in_table_order
from growth_pipeline.audit.repair.rules import Note
from growth_pipeline.core.ids import Scope, fingerprint
from growth_pipeline.core.money import sum_minor_by_currency
from growth_pipeline.core.periods import Month

PAYMENTS_TABLE: Final = "billing.payments"
INBOX_TABLE: Final = "billing.inbox"
# What the database gives a row when it is written; two runs of one plan differ in it.
_GIVEN: Final = frozenset({"payment_id", "written_at"})

Image = Mapping[str, Any]
"""A row as JSON, by column."""


class Step(NamedTuple):
    """One row that changes.

    Grain: one row of `table`. `key`: payment_id of a booked row, for a new one its charge; the
    Stripe id of another. `before` and `after` are whole rows of billing.payments; of mirrored
    objects the fields that differ. None: there is no such row. `fingerprints` are the findings
    that it is done for, `codes` their classes.
    """

    table: str
    key: str
    before: Image | None
    after: Image | None
    fingerprints: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def change(self) -> str:
        """`insert`, `update` or `delete`."""
        if self.before is None:
            return "insert"
        return "delete" if self.after is None else "update"

    @property
    def place(self) -> tuple[str, str]:
        """What it is sorted and found by."""
        return self.table, self.key

    def differences(self) -> list[tuple[str, Any, Any]]:
        """Columns that differ, with both values, in alphabetical order."""
        before, after = self.before or {}, self.after or {}
        names = sorted({*before, *after} - _GIVEN)
        return [
            (name, before.get(name), after.get(name))
            for name in names
            if before.get(name) != after.get(name)
        ]

    def content(self) -> str:
        """What two plans must agree in, as text."""
        said = [self.table, self.key, self.change, list(self.fingerprints)]
        return json.dumps([*said, self.differences()], sort_keys=True, default=str)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON knows it."""
        return {
            "table": self.table,
            "key": self.key,
            "change": self.change,
            "before": self.before,
            "after": self.after,
            "codes": list(self.codes),
            "fingerprints": list(self.fingerprints),
        }


class MoneyChange(NamedTuple):
    """Booked net of the rows that change, of one currency, in its minor units.

    `findings_minor`: what the mended findings say that the books are off by.
    """

    before_minor: int
    after_minor: int
    findings_minor: int

    @property
    def change_minor(self) -> int:
        """After - before."""
        return self.after_minor - self.before_minor


class ClassChange(NamedTuple):
    """What is done for one class: its findings, rows of the books, change of booked net."""

    code: str
    findings: int
    rows: int
    change_minor: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """What one repair of a month does, exactly.

    Grain: one month, account and mode. `steps` are in order of table and key. `mended` are the
    findings it is made of; `manual` and `left` what it does not do. `only`: the classes that were
    asked for, empty for all. `later`: findings that wait for another repair, because one mends so
    many at most. `plan_id` names it once it was shown.
    """

    scope: Scope
    month: Month
    tz: str
    audit_id: str
    only: tuple[str, ...]
    steps: tuple[Step, ...]
    mended: tuple[Finding, ...]
    manual: tuple[Note, ...] = ()
    left: tuple[Note, ...] = ()
    later: int = 0
    plan_id: str = ""
    shown_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.steps

    @property
    def hash(self) -> str:
        """Name of what is done: equal rows, values, findings and choice give an equal name."""
        digest = hashlib.sha256()
        for part in (*self.scope, self.month.key, self.tz, *self.only):
            digest.update(f"{part}\0".encode())
        for content in sorted(step.content() for step in self.steps):
            digest.update(f"\n{content}".encode())
        return digest.hexdigest()

    def shown(self, now: datetime) -> Plan:
        """The same plan, as it was shown at an instant."""
        name = fingerprint(self.hash, self.month.key, now.isoformat())
        return replace(self, plan_id=name, shown_at=now)

    def named(self, plan_id: str, shown_at: datetime) -> Plan:
        """The same plan under the name it was shown with before."""
        return replace(self, plan_id=plan_id, shown_at=shown_at)

    @property
    def money(self) -> dict[str, MoneyChange]:
        """Booked net before and after, by currency, of the rows that change."""
        before = sum_minor_by_currency(map(booked_net, _images(self.steps, "before")))
        after = sum_minor_by_currency(map(booked_net, _images(self.steps, "after")))
        told = sum_minor_by_currency(
            pair for one in self.mended for pair in (one.impacts or {}).items()
        )
        return {
            currency: MoneyChange(
                before.get(currency, 0), after.get(currency, 0), told.get(currency, 0)
            )
            for currency in sorted({*before, *after, *told})
        }

    @property
    def classes(self) -> list[ClassChange]:
        """What is done for each class, in table order; a row counts for its first class."""
        findings = Counter(one.code for one in self.mended)
        by_code: dict[str, list[Step]] = {code: [] for code in in_table_order(findings)}
        for step in self.steps:
            if step.codes and step.table == PAYMENTS_TABLE:
                by_code.setdefault(step.codes[0], []).append(step)
        return [
            ClassChange(code, findings[code], len(steps), net_change(steps))
            for code, steps in by_code.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON knows it. Money in minor units by currency."""
        return {
            "plan_id": self.plan_id,
            "hash": self.hash,
            "account_id": self.scope.account_id,
            "mode": self.scope.mode,
            "month": self.month.key,
            "tz": self.tz,
            "audit_id": self.audit_id,
            "only": list(self.only),
            "shown_at": self.shown_at.isoformat() if self.shown_at else None,
            "findings": len(self.mended),
            "later": self.later,
            "money": {
                currency: {**one._asdict(), "change_minor": one.change_minor}
                for currency, one in self.money.items()
            },
            "classes": [one._asdict() for one in self.classes],
            "steps": [step.to_dict() for step in self.steps],
            "manual": [note._asdict() for note in self.manual],
            "left": [note._asdict() for note in self.left],
        }


def booked_net(row: Image) -> tuple[str, int]:
    """Currency and what a booked row counts: gross less refunds and disputes; 0 if not settled.

    Source: docs/metrics.md, "Payments".
    """
    if row["status"] != "succeeded" or not row["captured"]:
        return row["currency"], 0
    net = row["amount_minor"] - row["refunded_minor"] - row["disputed_minor"]
    return row["currency"], net


def net_change(steps: Iterable[Step]) -> dict[str, int]:
    """Change of booked net by currency, without zeros."""
    listed = list(steps)
    signed = [(currency, -net) for currency, net in map(booked_net, _images(listed, "before"))]
    signed += map(booked_net, _images(listed, "after"))
    return {currency: minor for currency, minor in sum_minor_by_currency(signed).items() if minor}


def _images(steps: Iterable[Step], side: str) -> list[Image]:
    booked = (step for step in steps if step.table == PAYMENTS_TABLE)
    return [image for step in booked if (image := getattr(step, side)) is not None]


# --- two plans -----------------------------------------------------------------------------------


class Stored(NamedTuple):
    """The newest plan that was shown of a month. `carried_out`: a repair was made of it."""

    plan_id: str
    hash: str
    shown_at: datetime
    contents: Mapping[str, str]
    carried_out: bool


@dataclass(frozen=True)
class Since:
    """How a plan differs from the one that was shown last: rows, as (table, key)."""

    added: tuple[tuple[str, str], ...] = ()
    gone: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, list[list[str]]]:
        """For JSON."""
        return {name: [list(place) for place in getattr(self, name)] for name in _SINCE}


_SINCE: Final = ("added", "gone", "changed")


def contents_of(steps: Iterable[Step]) -> dict[str, str]:
    """Short name of what each step does, by table and key: enough to compare two plans with."""
    return {
        json.dumps(step.place): hashlib.sha256(step.content().encode()).hexdigest()[:16]
        for step in steps
    }


def since(shown: Mapping[str, str], steps: Sequence[Step]) -> Since:
    """What is different in these steps from those that were shown, as `contents_of` named them."""
    fresh = contents_of(steps)

    def places(keys: Iterable[str]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((place[0], place[1]) for place in map(json.loads, keys)))

    both = fresh.keys() & shown.keys()
    return Since(
        added=places(fresh.keys() - shown.keys()),
        gone=places(shown.keys() - fresh.keys()),
        changed=places(key for key in both if fresh[key] != shown[key]),
    )


@dataclass
class Purposes:
    """Which findings a row is changed for, by (table, key) of Stripe's id or by payment_id."""

    by_payment: dict[int, list[Finding]] = field(default_factory=dict)
    by_object: dict[tuple[str, str], list[Finding]] = field(default_factory=dict)

    def note_payment(self, payment_id: int, finding: Finding) -> None:
        """A booked row that a finding is about."""
        self.by_payment.setdefault(payment_id, []).append(finding)

    def note_object(self, kind: str, object_id: str, finding: Finding) -> None:
        """A Stripe object that was asked for because of a finding."""
        self.by_object.setdefault((kind, object_id), []).append(finding)

    def of(self, step: Step, kind: str, object_id: str) -> Step:
        """The step with the findings it is done for; the worst class first, by table order."""
        found = {one.fingerprint: one for one in self.by_object.get((kind, object_id), ())}
        if step.table == PAYMENTS_TABLE and step.key.isdecimal():
            found |= {one.fingerprint: one for one in self.by_payment.get(int(step.key), ())}
        return step._replace(
            fingerprints=tuple(sorted(found)),
            codes=tuple(in_table_order(one.code for one in found.values())),
        )
