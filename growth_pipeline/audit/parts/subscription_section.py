"""The part of an audit about subscriptions and the access they give.

Which class a subscription belongs to: subscription_classes.py; here is decided what is judged
at all, and who is asked again before anything is said.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from growth_pipeline.audit.causes import Key, Trace, cause_of_object
from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding, action_of
from growth_pipeline.audit.parts.subscription_classes import is_without_price
from growth_pipeline.audit.parts.subscription_doubles import Doubles
from growth_pipeline.audit.parts.subscription_held import Held
from growth_pipeline.audit.parts.subscription_records import Records
from growth_pipeline.audit.parts.subscription_sides import Entitlement, Pair, State, instant
from growth_pipeline.audit.parts.subscriptions import Diagnosis, judge
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.audit.sources import Problem
from growth_pipeline.core.recurring import mrr, round_minor

SILENT = (
    "Access was not judged: the application has written no row of billing.entitlements for this "
    "account and mode."
)
# Classes in which only what the application tells can differ.
_OF_APPLICATION = frozenset({"paid_not_provisioned", "provisioned_not_paid"})
_BY_HAND = "hand"
_LETS_IN = frozenset({"trialing", "active", "past_due"})


def examine_subscriptions(view: View) -> Section:
    """Subscriptions created in the month, and accesses of the month to none. Reads only."""
    if not view.has("subscriptions"):
        return Section("subscriptions", not_judged=("The month's list was not extracted.",))
    return _Examination(view, Records(view)).run()


@dataclass
class _Figures:
    """Figures of both sides; MRR by currency, None as soon as one subscription's is unknown."""

    live: list[int] = field(default_factory=lambda: [0, 0])
    access: list[int] = field(default_factory=lambda: [0, 0])
    mrr: dict[str, list[int | None]] = field(default_factory=dict)

    def add(self, pair: Pair) -> None:
        """Count one subscription."""
        sides = (pair.stripe, pair.mirror)
        for place, state in enumerate(sides):
            self.live[place] += state is not None and state.is_live
            if state is not None:
                self._add_mrr(state.currency, place, state.mrr(pair.at))
        self.access[0] += pair.stripe is not None and pair.stripe.status in _LETS_IN
        self.access[1] += pair.entitlement is not None and pair.entitlement.lets_in(pair.at)

    def _add_mrr(self, currency: str, place: int, minor: int | None) -> None:
        sums = self.mrr.setdefault(currency, [0, 0])
        known = sums[place]
        sums[place] = None if known is None or minor is None else known + minor

    def sides(self, *, is_told: bool) -> dict[str, dict[str, Any]]:
        """As the report prints them."""
        found = {"live": _side("live subscriptions", *self.live)}
        if is_told:
            found["access"] = _side(
                "trialing, active or past due at Stripe; with access here", *self.access
            )
        for currency, sums in sorted(self.mrr.items()):
            found[f"mrr {currency}"] = _side("MRR", *sums, currency=currency)
        return found


def _side(
    measure: str, stripe: int | None, database: int | None, *, currency: str | None = None
) -> dict[str, Any]:
    return {"stripe": stripe, "database": database, "currency": currency, "measure": measure}


class _Examination:
    def __init__(self, view: View, records: Records) -> None:
        self._view = view
        self._records = records
        self._at = view.window.as_of
        self._tolerance = view.window.as_of - view.window.cutoff
        self._figures = _Figures()
        self._judged = 0
        self._held = Held("subscriptions")
        self._can_ask = view.asker.can_ask
        self._without_price = 0
        self._doubles = Doubles(records, self._held, can_ask=self._can_ask)
        self._found: list[tuple[Pair, Diagnosis]] = []

    def run(self) -> Section:
        for states in self._records.of_month():
            self._examine(states)
        self._examine_unlisted()
        self._examine_accesses_alone()
        return Section(
            "subscriptions",
            judged=self._judged,
            findings=tuple(self._findings()),
            sides=self._figures.sides(is_told=self._records.is_told),
            problems=(*self._records.problems, *self._held.problems()),
            not_judged=tuple(self._left_out()),
            unjudged=self._held.unjudged
            | (frozenset() if self._records.is_told else _OF_APPLICATION),
            is_silent=not self._records.is_told,
        )

    def _left_out(self) -> Iterable[str]:
        if not self._records.is_told:
            yield SILENT
        if self._without_price:
            yield (
                "Accesses to no subscription whose mrr_minor is null: "
                f"{self._without_price}. Whether they should be paid (provisioned_not_paid) is not "
                "told: write 0 for those that are free."
            )
        yield from self._held.sentences()

    # --- listed by Stripe -------------------------------------------------------------------

    def _examine(self, states: Sequence[State]) -> None:
        old = [one for one in states if one.created < self._view.window.cutoff]
        mirror = self._records.mirrored(one.id for one in old)
        rows = self._records.entitlements(one.id for one in old)
        doubles = self._doubles.among(old)
        newest = {one.latest_invoice for one in old if one.latest_invoice}
        paid = self._records.paid_invoices(newest)
        for state in old:
            pair = Pair(
                stripe=state,
                mirror=mirror.get(state.id),
                entitlement=rows.get(state.id),
                at=self._at,
                is_told=self._records.is_told,
                tolerance=self._tolerance,
                is_paid=state.latest_invoice is None or state.latest_invoice in paid,
                doubled=doubles.get(state.id, ()),
            )
            self._judged += 1
            self._figures.add(pair)
            self._consider(self._with_payment(pair))

    def _with_payment(self, pair: Pair) -> Pair:
        """Look for the newest invoice's payment elsewhere if the mirror does not know of it."""
        state = pair.stripe
        if pair.is_paid or state is None or state.latest_invoice is None:
            return pair
        paid = replace(pair, is_paid=True)
        suspected = judge(paid)
        if suspected is None or "paid_not_provisioned" not in suspected.codes:
            return pair
        is_paid = self._records.is_paid(state.latest_invoice)
        if isinstance(is_paid, NoAnswer):
            self._held.left_open("paid_not_provisioned", "invoices", can_ask=self._can_ask)
            return pair
        return paid if is_paid else pair

    def _consider(self, pair: Pair) -> None:
        """Keep what is wrong with a pair, if it is old enough and still so at Stripe."""
        stripe, mirror = pair.stripe, pair.mirror
        diagnosis = judge(pair)
        if diagnosis is None or stripe is None:
            return
        cutoff = self._view.window.cutoff
        changed = [one.changed_before(self._at) for one in (stripe, mirror) if one is not None]
        is_moving = max(changed) >= cutoff or self._is_under_way(stripe, mirror)
        if isinstance(is_moving, NoAnswer):
            code, severity = diagnosis.code, diagnosis.severity
            self._held.left_open(code, "subscriptions", can_ask=True, severity=severity)
        elif is_moving:
            self._held.changed += 1
        else:
            self._keep(self._with_provided_mrr(pair))

    def _is_under_way(self, stripe: State, mirror: State | None) -> bool | NoAnswer:
        """Whether the subscription changed too lately for all sides to know it.

        Without an answer the list decides, unless the mirror is newer and tells something else.
        """
        is_newer = mirror is not None and mirror.seen_from > stripe.seen_from
        if is_newer and mirror is not None and mirror.told_at and mirror.facts != stripe.facts:
            return True
        now = self._records.now(stripe.id, allowance="subscriptions")
        if isinstance(now, NoAnswer):
            differs = is_newer and mirror is not None and mirror.facts != stripe.facts
            return now if differs and self._can_ask else differs
        if now is None or now.has_moved_from(stripe):
            return True
        return stripe.id in self._records.changed_lately()

    def _with_provided_mrr(self, pair: Pair) -> Pair:
        """Value what the application provides, where its price is known."""
        stripe, row = pair.stripe, pair.entitlement
        if stripe is None or stripe.terms is None or row is None or len(stripe.terms.items) != 1:
            return pair
        (item,) = stripe.terms.items
        price = item.price
        if row.price_id not in {None, price.id}:
            found = self._records.price(row.price_id or "")
            if found is None or found.currency != stripe.currency:
                return pair
            price = found
        quantity = item.quantity if row.quantity is None else row.quantity
        provided = replace(stripe.terms, items=(replace(item, price=price, quantity=quantity),))
        value = mrr(provided, at=self._at)
        return replace(pair, provided_mrr=None if value is None else round_minor(value))

    # --- not listed by Stripe ---------------------------------------------------------------

    def _examine_unlisted(self) -> None:
        """Live subscriptions that only the mirror gives to the month."""
        ids = self._records.mirrored_of_month()
        unlisted = set(ids) - self._records.listed(ids) if ids else set()
        mirror = self._records.mirrored(unlisted)
        rows = self._records.entitlements(unlisted)
        for key, state in sorted(mirror.items()):
            if self._is_unknown_to_stripe(state):
                told = self._records.is_told
                self._keep(Pair(None, state, rows.get(key), self._at, is_told=told))

    def _is_unknown_to_stripe(self, state: State) -> bool:
        now = self._records.now(state.id, allowance="subscription_missing")
        if isinstance(now, State):
            self._records.problems.append(
                Problem("subscriptions", f"Stripe knows {state.id}, but its list did not hold it")
            )
            return False
        return now is None or self._is_gone_unasked()

    def _examine_accesses_alone(self) -> None:
        """Accesses to no subscription, or to one that nobody knows."""
        alone = self._records.entitlements_alone()
        named = {row.subscription_id for row in alone if row.subscription_id}
        listed = self._records.listed(named, everywhere=True) if named else set()
        for row in alone:
            if not row.lets_in(self._at) or row.subscription_id in listed:
                continue
            if is_without_price(row):
                self._without_price += 1
            elif self._is_of_nobody(row):
                self._keep(Pair(None, None, row, self._at, is_told=True))

    def _is_of_nobody(self, row: Entitlement) -> bool:
        if row.subscription_id is None:
            return True
        answer = self._view.asker.ask(
            "subscription", row.subscription_id, is_payment=False, allowance="subscription_missing"
        )
        return answer is None or (isinstance(answer, NoAnswer) and self._is_gone_unasked())

    def _is_gone_unasked(self) -> bool:
        """Whether it is gone by the list alone: only where there is nobody to ask."""
        if self._can_ask:
            self._held.left_open("subscription_missing", "subscriptions", can_ask=True)
        return not self._can_ask

    # --- findings ---------------------------------------------------------------------------

    def _keep(self, pair: Pair) -> None:
        diagnosis = judge(pair)
        if diagnosis is not None:
            self._found.append((pair, diagnosis))

    def _findings(self) -> list[Finding]:
        keys = {_key(pair) for pair, _ in self._found}
        trace = self._view.trace(keys)
        return [self._finding(pair, diagnosis, trace) for pair, diagnosis in self._found]

    def _finding(self, pair: Pair, diagnosis: Diagnosis, trace: Trace) -> Finding:
        kind, object_id = key = _key(pair)
        told = cause_of_object(
            diagnosis.code,
            [key],
            trace,
            mirror_is_right=_mirror_is_right(pair),
            written_by=_writers(pair, diagnosis),
        )
        evidence = {
            "stripe": _told_by(pair.stripe, self._at),
            "mirror": _told_by(pair.mirror, self._at),
            "application": _application(pair.entitlement),
            "details": diagnosis.details,
            "link": dashboard_link(self._view.frame.scope, kind, object_id),
            **told.evidence,
        }
        action = action_of(diagnosis.code, told.cause, self._view.month)
        if diagnosis.code in _OF_APPLICATION and pair.entitlement is not None:
            action = f"{action} Row of billing.entitlements: id {pair.entitlement.id}."
        return self._view.frame.finding(
            diagnosis.code,
            kind,
            object_id,
            currency=diagnosis.currency or None,
            impacts=diagnosis.impacts,
            evidence={name: one for name, one in evidence.items() if one not in (None, {}, [])},
            severity=diagnosis.severity,
            also=diagnosis.codes[1:],
            cause=told.cause,
            action=action,
        )


def _key(pair: Pair) -> Key:
    """The subscription; an access to none is known by its own row."""
    state = pair.stripe or pair.mirror
    if state is not None:
        return "subscription", state.id
    row = pair.entitlement
    if row is None:
        raise ValueError("a pair of nothing has no key")
    if row.subscription_id is not None:
        return "subscription", row.subscription_id
    return "entitlement", str(row.id)


def _mirror_is_right(pair: Pair) -> bool:
    """Whether the mirror says what Stripe says, so that only the application can be wrong."""
    if pair.mirror is None or pair.stripe is None:
        return pair.mirror is None and pair.stripe is None
    return pair.mirror.facts == pair.stripe.facts


def _writers(pair: Pair, diagnosis: Diagnosis) -> set[str]:
    """Who wrote the application's row by hand, if that row is what differs."""
    row = pair.entitlement
    differs = any("application" in one for one in diagnosis.details.values())
    return {row.written_by} if row and differs and row.written_by == _BY_HAND else set()


def _told_by(state: State | None, at: int) -> dict[str, Any] | None:
    if state is None:
        return None
    facts = {
        "id": state.id,
        "customer": state.customer,
        "status": state.status,
        "currency": state.currency,
        "mrr_minor": state.mrr(at),
        "cancel_at": instant(state.cancel_at),
        "ended_at": instant(state.ended_at),
        "items": [
            {
                "price": one.price_id,
                "quantity": one.quantity,
                "current_period_end": instant(one.period_end),
            }
            for one in state.items
        ],
    }
    return {name: one for name, one in facts.items() if one is not None}


def _application(row: Entitlement | None) -> dict[str, Any] | None:
    if row is None:
        return None
    known = {
        name: value
        for name in Entitlement.__dataclass_fields__
        if (value := getattr(row, name)) is not None
    }
    return known | {
        name: instant(known[name]) for name in ("access_ends_at", "written_at") if name in known
    }
