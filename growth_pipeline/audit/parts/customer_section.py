"""The part of an audit about customers and the users of the application they belong to.

Which class a customer belongs to is decided in customers.py; here is found out who pays, what
became of customers that Stripe's list lacks, and who is asked again before anything is said.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from growth_pipeline.audit.causes import cause_of_object
from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding, action_of
from growth_pipeline.audit.months.judged import classes_of
from growth_pipeline.audit.parts.customers import (
    Customer,
    Fate,
    User,
    code_of_unlisted,
    codes_of,
    same_email,
)
from growth_pipeline.audit.parts.subscription_held import Held
from growth_pipeline.audit.parts.subscription_records import Records
from growth_pipeline.audit.parts.subscription_sides import BILLED, State
from growth_pipeline.audit.queries import Row
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.audit.sources import Problem

ROWS_AT_ONCE: Final = 5_000
SILENT: Final = (
    "Users were not judged: the application has written no row of billing.user_customers for this "
    "account and mode."
)


def examine_customers(view: View) -> Section:
    """Customers created in the month, and users whose customer is gone. Reads only."""
    if not view.has("customers"):
        return Section("customers", not_judged=("The month's list was not extracted.",))
    records = Records(view)
    if not records.tells_users:
        return Section("customers", not_judged=(SILENT,), unjudged=classes_of("customers"))
    return _Examination(view, records).run()


@dataclass(frozen=True)
class _Found:
    """One customer with a finding. `mirror_is_right`: only the application can be wrong."""

    customer_id: str
    codes: Mapping[str, Mapping[str, Any]]
    users: Sequence[str]
    mirror_is_right: bool
    stripe: Mapping[str, Any]


class _Examination:
    def __init__(self, view: View, records: Records) -> None:
        self._view = view
        self._records = records
        self._cutoff = view.window.cutoff
        self._judged = 0
        self._mapped = 0
        self._held = Held("customers")
        self._can_ask = view.asker.can_ask
        self._found: list[_Found] = []
        self._problems: list[Problem] = []

    def run(self) -> Section:
        for customers in self._listed():
            self._examine([one for one in customers if one.created < self._cutoff])
        self._examine_unlisted()
        return Section(
            "customers",
            judged=self._judged,
            findings=tuple(self._findings()),
            sides={
                "customers": {
                    "stripe": self._judged,
                    "database": self._mapped,
                    "currency": None,
                    "measure": "customers, and those with a user",
                }
            },
            problems=(*self._problems, *self._records.problems, *self._held.problems()),
            not_judged=tuple(self._held.sentences()),
            unjudged=self._held.unjudged,
        )

    # --- listed by Stripe -------------------------------------------------------------------

    def _listed(self) -> Iterator[list[Customer]]:
        after, table = "", {"customers": self._view.of_month("customers")}
        while True:
            params = {"after": after, "rows": ROWS_AT_ONCE}
            rows = self._view.rows("customers_after", table, params)
            if rows:
                yield [Customer(**row) for row in rows]
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1]["id"]

    def _examine(self, customers: Sequence[Customer]) -> None:
        users: dict[str, list[User]] = {}
        for row in self._records.users(one.id for one in customers):
            users.setdefault(row["customer_id"], []).append(User(**row))
        self._judged += len(customers)
        self._mapped += len(users)
        paying = self._paying({one.id for one in customers if one.id not in users})
        emails: dict[str, str | None] | None = None
        for one in customers:
            own = users.get(one.id, [])
            customer = replace(one, is_paying=one.id in paying)
            codes = codes_of(customer, own)
            if not codes:
                continue
            if emails is None:
                emails = self._records.emails(each.id for each in customers)
            self._consider(customer, own, codes, emails.get(one.id))

    def _consider(
        self,
        customer: Customer,
        users: Sequence[User],
        codes: Mapping[str, Mapping[str, Any]],
        mirrored: str | None,
    ) -> None:
        """Keep what is wrong with a customer, if it is old enough and still so at Stripe."""
        is_known = same_email(mirrored) == same_email(customer.email)
        is_young = any(one.written_at >= self._cutoff for one in users)
        has_changed = is_young or (not is_known and self._has_changed(customer))
        if isinstance(has_changed, NoAnswer):
            self._held.left_open(next(iter(codes)), "customers", can_ask=True)
            return
        if has_changed:
            self._held.changed += 1
            return
        found = _Found(
            customer_id=customer.id,
            codes=codes,
            users=[one.user_id for one in users],
            mirror_is_right=is_known or "email_differs" not in codes,
            stripe={"id": customer.id, "email": customer.email},
        )
        self._found.append(found)

    def _has_changed(self, customer: Customer) -> bool | NoAnswer:
        """Whether the customer is another one now; without anyone to ask the list decides."""
        answer = self._view.asker.ask(
            "customer", customer.id, is_payment=False, allowance="customers"
        )
        if isinstance(answer, NoAnswer):
            return answer if self._can_ask else False
        if answer is None or answer.get("deleted"):
            return True
        return same_email(answer.get("email")) != same_email(customer.email)

    def _paying(self, customers: set[str]) -> set[str]:
        """Those of the customers who pay for a subscription, as Stripe has it now."""
        if not customers:
            return set()
        states = self._records.billed_of(customers)
        return {customer for customer, some in states.items() if self._is_paying(some)}

    def _is_paying(self, states: Iterable[State]) -> bool:
        """Whether one of a customer's subscriptions is billed, by Stripe's own word."""
        is_open = False
        for state in states:
            is_billed = self._is_billed(state)
            if isinstance(is_billed, NoAnswer):
                is_open = True
            elif is_billed:
                return True
        if is_open:
            self._held.left_open("customer_unmapped", "subscriptions", can_ask=True)
        return False

    def _is_billed(self, state: State) -> bool | NoAnswer:
        at = self._view.window.as_of
        if state.changed_before(at) >= self._cutoff or state.worth(at) == 0:
            return False
        now: State | NoAnswer | None = state
        if self._can_ask:
            now = self._records.now(state.id, allowance="customer_unmapped")
        if isinstance(now, NoAnswer):
            return now
        return now is not None and now.status in BILLED

    # --- not listed by Stripe ---------------------------------------------------------------

    def _examine_unlisted(self) -> None:
        """Users of the application whose customer Stripe's list lacks."""
        for mapped in self._records.mapped_customers():
            self._examine_mapped(mapped)

    def _examine_mapped(self, mapped: Sequence[Row]) -> None:
        here = {row["id"] for row in mapped if row["is_mirrored"]}
        listed = self._records.listed_customers(here, everywhere=False)
        listed |= self._records.listed_customers(
            {row["id"] for row in mapped} - here, everywhere=True
        )
        for row in mapped:
            if row["id"] in listed:
                continue
            fate = self._fate(row)
            code = code_of_unlisted(fate)
            if code is not None:
                self._found.append(_unlisted(row, code))

    def _fate(self, row: Row) -> Fate:
        """What became of a customer: the mirror's tombstone, else Stripe's own word."""
        if row["deleted_at"] is not None:
            return Fate.DELETED if row["deleted_at"] < self._cutoff else Fate.NOBODY_KNOWS
        answer = self._view.asker.ask(
            "customer", row["id"], is_payment=False, allowance="customer_deleted"
        )
        if isinstance(answer, NoAnswer):
            self._held.left_open("customer_deleted", "customers", can_ask=self._can_ask)
            return Fate.NOBODY_KNOWS
        if answer is None:
            return Fate.UNKNOWN
        if answer.get("deleted"):
            return Fate.DELETED
        if self._view.window.judged(int(answer["created"])):
            reason = f"Stripe knows {row['id']}, but its list did not hold it"
            self._problems.append(Problem("customers", reason))
        return Fate.LIVING

    # --- findings ---------------------------------------------------------------------------

    def _findings(self) -> Iterator[Finding]:
        trace = self._view.trace([("customer", one.customer_id) for one in self._found])
        for one in self._found:
            code, *others = one.codes
            told = cause_of_object(
                code,
                [("customer", one.customer_id)],
                trace,
                mirror_is_right=one.mirror_is_right,
            )
            evidence = {
                "stripe": dict(one.stripe),
                "application": {"users": list(one.users)},
                "details": {each: dict(found) for each, found in one.codes.items()},
                "link": dashboard_link(self._view.frame.scope, "customer", one.customer_id),
                **told.evidence,
            }
            yield self._view.frame.finding(
                code,
                "customer",
                one.customer_id,
                impacts={},
                evidence={name: said for name, said in evidence.items() if said is not None},
                also=tuple(others),
                cause=told.cause,
                action=action_of(code, told.cause, self._view.month),
            )


def _unlisted(row: Row, code: str) -> _Found:
    details = {"user": row["user_id"], "users": row["users"]}
    return _Found(
        customer_id=row["id"],
        codes={code: details},
        users=[row["user_id"]],
        mirror_is_right=row["deleted_at"] is not None,
        stripe={"id": row["id"], "is_deleted": code == "customer_deleted"},
    )
