"""Reads from Stripe everything a repair needs, before any transaction begins. Writes nothing.

What an answer means for a row is decided in `repair/rules.py` and `repair/run.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from growth_pipeline.audit.confirm import Asker, FreshPayments
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.sides import StripePayment
from growth_pipeline.audit.repair.rules import RULES, UNKNOWN_IS_AN_ANSWER, Way
from growth_pipeline.billing.inbox import ReceivedEvent, parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched
from growth_pipeline.billing.objects import BY_RESOURCE, KEPT_FOR_EVER
from growth_pipeline.billing.payments import id_of
from growth_pipeline.billing.refetch import SILENCE, LookUp, fetch
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.client import Page
from growth_pipeline.stripe_api.errors import StripeError

_SLACK: Final = timedelta(days=1)  # Stripe's lists want an end; clocks differ
_PARTS: Final = ("refunds", "disputes")
# Basil moved the link between a payment and its invoice into objects of their own.
_INVOICE_PAYMENTS_SINCE: Final = "2025-03-31"
_EVERY: Final = 100


class Reader(LookUp, Protocol):
    """What is needed of a reader of Stripe."""

    def list_window(
        self, resource: str, gte: int | None, lt: int, params: Mapping[str, str] | None = None
    ) -> Iterator[Page]:
        """Pages of a list."""
        ...


@dataclass
class Told:
    """What Stripe said.

    `states` by object. `charges`: the charge of a finding, by fingerprint; `payments` what its
    payment without a charge is; `unknown` findings whose id Stripe does not know. `events` are
    those that the ledger lacks. `failed` findings have no whole answer, with the reason.
    """

    states: dict[ObjectKey, Fetched] = field(default_factory=dict)
    charges: dict[str, ObjectKey] = field(default_factory=dict)
    payments: dict[str, StripePayment] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    events: dict[str, ReceivedEvent] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    asked_for: dict[str, list[ObjectKey]] = field(default_factory=dict)


def ask_stripe(
    findings: Sequence[Finding],
    reader: Reader,
    *,
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> Told:
    """Everything Stripe says now of what these findings are about.

    A finding that Stripe refuses to answer about holds up no other.
    Raises: StripeAuthError, StripeUnreachableError: nobody else's question would fare better.
    """
    question = _Question(reader, now)
    for place, finding in enumerate(findings):
        if place and place % _EVERY == 0:
            tell(f"asked Stripe about {place} of {len(findings)} findings")
        try:
            question.ask(finding)
        except SILENCE:
            raise
        except (StripeError, GrowthError) as error:
            question.told.failed[finding.fingerprint] = error.message
    return question.told


class _Question:
    """Asks for each object once."""

    def __init__(self, reader: Reader, now: datetime) -> None:
        self.told = Told()
        self._reader = reader
        self._now = now
        self._has_invoice_payments = reader.api_version >= _INVOICE_PAYMENTS_SINCE
        self._until = int((now + _SLACK).timestamp())
        self._gone: set[ObjectKey] = set()
        asker = Asker(self._look_up, limit=2**31, reference_limit=2**31)
        self._fresh = FreshPayments(asker, reader.api_version)
        self._finding = ""

    def ask(self, finding: Finding) -> None:
        self._finding = finding.fingerprint
        if finding.object == "event":
            self._ask_event(finding)
        elif RULES[finding.code].way is Way.BOOK:
            self._ask_payment(finding)
        else:
            self._ask_object(finding)

    # --- payments ---------------------------------------------------------------------------

    def _ask_payment(self, finding: Finding) -> None:
        found = self._one(finding.object, finding.object_id)
        if found is None:
            self._note_unknown(finding)
            return
        named: StripePayment | str = finding.object_id
        if finding.object == "invoice":
            self._ask_payments_of(finding)
        if finding.object != "charge":
            named = self._fresh.of(finding.object, found)
        if isinstance(named, StripePayment):
            self.told.payments[finding.fingerprint] = named
        else:
            self._ask_charge(named, finding)

    def _ask_charge(self, charge: str, finding: Finding) -> None:
        """The charge and everything that its booked row is made of."""
        found = self._one("charge", charge)
        if found is None:
            self._note_unknown(finding)
            return
        for path in _PARTS:
            self._list(path, {"charge": charge})
        balance = id_of(found.get("balance_transaction"))
        if balance:
            self._one("balance_transaction", balance)
        intent = id_of(found.get("payment_intent"))
        if intent:
            self._one("payment_intent", intent)
            if self._has_invoice_payments:
                self._ask_invoice_payments(intent)
        self.told.charges[finding.fingerprint] = self._key("charge", charge)

    def _ask_invoice_payments(self, intent: str) -> None:
        """The link to the invoice, where the API version keeps it apart from the charge."""
        params = {"payment[type]": "payment_intent", "payment[payment_intent]": intent}
        self._list("invoice_payments", params)

    def _note_unknown(self, finding: Finding) -> None:
        if finding.code in UNKNOWN_IS_AN_ANSWER:
            self.told.unknown.add(finding.fingerprint)
        else:
            self.told.failed[finding.fingerprint] = (
                "Stripe no longer knows it in this account and mode: audit the month again"
            )

    # --- objects and events -----------------------------------------------------------------

    def _ask_object(self, finding: Finding) -> None:
        found = self._one(finding.object, finding.object_id)
        if found is None and self._may_be_buried(finding.object):
            key = self._key(finding.object, finding.object_id)
            self.told.states[key] = fetch(self._reader, key)
        elif found is None:
            self._note_unknown(finding)
        elif finding.object == "invoice":
            self._ask_payments_of(finding)
        elif finding.object == "charge":
            self._ask_charge(finding.object_id, finding)

    def _ask_payments_of(self, finding: Finding) -> None:
        """The payments of an invoice: those it has, and those that the audit counted."""
        if self._has_invoice_payments:
            self._list("invoice_payments", {"invoice": finding.object_id})
            for payment in finding.evidence.get("invoice_payments", ()):
                self._one("invoice_payment", payment)

    def _may_be_buried(self, kind: str) -> bool:
        """Whether "no such object" can be a deletion, and not another account's answer."""
        return not (self._reader.scope.livemode and kind in KEPT_FOR_EVER)

    def _ask_event(self, finding: Finding) -> None:
        """The event, for the ledger, and its object, which may have changed since."""
        seen = self._reader.look_up("events", finding.object_id)
        if seen.object is None:
            self.told.failed[finding.fingerprint] = (
                "Stripe lists no such event any more (it keeps them for 30 days): its object is "
                "brought by growth backfill"
            )
            return
        body = raw_text(seen.object).encode()
        self.told.events[finding.fingerprint] = received_event(
            parse_envelope(body),
            body,
            account_id=self._reader.scope.account_id,
            received_at=self._now,
            source="sweep",
        )

    # --- one answer -------------------------------------------------------------------------

    def _key(self, kind: str, object_id: str) -> ObjectKey:
        return ObjectKey(*self._reader.scope, kind, object_id)

    def _one(self, kind: str, object_id: str) -> dict[str, Any] | None:
        """An object as it is now; None for an id that Stripe does not know."""
        key = self._key(kind, object_id)
        self.told.asked_for.setdefault(self._finding, []).append(key)
        if key not in self.told.states and key not in self._gone:
            answer = fetch(self._reader, key)
            if answer.payload is None:
                self._gone.add(key)
            else:
                self.told.states[key] = answer
        known = self.told.states.get(key)
        return None if known is None else known.payload

    def _look_up(self, resource: str, object_id: str) -> Mapping[str, Any] | None:
        return self._one(BY_RESOURCE[resource].object, object_id)

    def _list(self, path: str, params: Mapping[str, str]) -> None:
        """All objects of a list that has a filter for what is asked."""
        kind = BY_RESOURCE[path].object
        for page in self._reader.list_window(path, None, self._until, params):
            for found, raw in zip(page.objects, page.raws, strict=True):
                key = self._key(kind, found["id"])
                self.told.asked_for.setdefault(self._finding, []).append(key)
                self.told.states[key] = Fetched(
                    key,
                    found,
                    raw.encode(),
                    self._reader.api_version,
                    page.fetched_from,
                    page.fetched_to,
                )
