"""Asks Stripe again about single objects, because a file knows only its own instant.

What an answer means for a pair is decided by the caller; nothing here judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from growth_pipeline.audit.payments.shapes import (
    charge_payment,
    intent_payment,
    invoice_payment,
    paid_outside,
)
from growth_pipeline.audit.payments.sides import FAILED_REFUNDS, StripePayment
from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.versions import VersionAdapter, adapter_for

if TYPE_CHECKING:
    from growth_pipeline.stripe_api.client import StripeReader

Confirm: TypeAlias = Callable[[str, str], Mapping[str, Any] | None]
"""Object of (resource, id) as Stripe has it now; None only if Stripe knows no such id."""

ListObjects: TypeAlias = Callable[[str, Mapping[str, str]], Iterator[Sequence[Mapping[str, Any]]]]
"""Pages of a resource's list as Stripe has it now, filtered by these parameters."""

ASK_LIMIT: Final = 1_000  # payments
PAYMENTS: Final = "payments"  # the name under which questions about payments are counted
_FOR_EVER: Final = 253_402_300_799  # the last second of 9999: such lists have no upper edge
PAGE_LIMIT: Final = 2_000  # pages of payouts' lines that are read for one audit
REFERENCE_LIMIT: Final = 500  # objects beside payments that one class or part asks about
REFERENCE_TOTAL: Final = 5_000  # and all of them together
LIST_OF: Final = {
    "charge": "charges",
    "payment_intent": "payment_intents",
    "invoice": "invoices",
    "customer": "customers",
    "refund": "refunds",
    "dispute": "disputes",
    "invoice_payment": "invoice_payments",
    "credit_note": "credit_notes",
    "payout": "payouts",
    "balance_transaction": "balance_transactions",
    "subscription": "subscriptions",
}


@dataclass(frozen=True)
class StripeNow:
    """Stripe as it answers now: single objects, when called, and short lists.

    An audit that is given only a way to ask for single objects reads no lists.
    """

    retrieve: Confirm
    pages: ListObjects

    def __call__(self, resource: str, object_id: str) -> Mapping[str, Any] | None:
        """One object as it is now; None only if Stripe knows no such id."""
        return self.retrieve(resource, object_id)

    @classmethod
    def through(cls, reader: Callable[[], StripeReader]) -> StripeNow:
        """Stripe as a reader sees it; the reader is opened at the first question."""

        def pages(
            resource: str, params: Mapping[str, str]
        ) -> Iterator[Sequence[Mapping[str, Any]]]:
            for page in reader().list_window(resource, None, _FOR_EVER, params):
                yield page.objects

        return cls(lambda resource, object_id: reader().retrieve(resource, object_id), pages)


class ListTotal(NamedTuple):
    """A list summed up: how many objects it held, and their money in minor units."""

    objects: int = 0
    minor: int = 0


class Pages(NamedTuple):
    """How many pages of a kind of list one audit reads: of all such lists, and of a single one."""

    total: int
    of_one: int


# Each kind has its own, so that long payouts leave the events of the grace period readable.
PAGES: Final[Mapping[str, Pages]] = {
    "balance_transactions": Pages(PAGE_LIMIT, 500),
    "events": Pages(1_000, 500),
    "invoice_payments": Pages(1_000, 100),
}
_OTHER_PAGES: Final = Pages(200, 100)


class NoAnswer(Enum):
    """Stripe was not asked (no one to ask, too many questions), or could not answer.

    TOO_LONG: a list has more pages than it was given.
    """

    UNASKED = "unasked"
    TOO_LONG = "too long"


Answer: TypeAlias = "Mapping[str, Any] | NoAnswer | None"


class Asker:
    """Asks each object once and remembers the answers; a bounded number of objects.

    A source that fails, or that would have to answer too often about payments, is not asked again:
    `failures` names it with the reason. Objects beside payments are asked about within an
    allowance of the class or part that asks; what is beyond it only counts in `unasked`, as does
    what a failed source did not answer: unasked.py says which classes wait for it.
    """

    def __init__(
        self,
        confirm: Confirm | None,
        *,
        limit: int = ASK_LIMIT,
        reference_limit: int = REFERENCE_LIMIT,
    ) -> None:
        self._confirm = confirm
        self._payments_left = limit
        self._each = reference_limit
        self._references_left = max(REFERENCE_TOTAL, reference_limit)
        self._spent: Counter[str] = Counter()
        self._answers: dict[tuple[str, str], Answer] = {}
        self._open: set[tuple[str, str, str]] = set()
        self._pages_read: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self.not_asked = 0
        self.lists_unread = 0

    @property
    def can_ask(self) -> bool:
        """Whether there is someone to ask."""
        return self._confirm is not None

    @property
    def asked(self) -> int:
        """How many objects were asked about."""
        return len(self._answers)

    @property
    def unasked(self) -> Counter[str]:
        """By allowance, how many objects nobody answered about; payments have one of their own."""
        return Counter(allowance for allowance, _, _ in self._open)

    def ask(
        self, kind: str, object_id: str, *, is_payment: bool = True, allowance: str | None = None
    ) -> Answer:
        """The object as Stripe has it now, None for an unknown id, UNASKED when nobody can tell.

        `allowance` names the class or part that asks about an object beside payments; by default
        the kind of object. `unasked` counts by the same name what was beyond it.
        """
        key = (LIST_OF[kind], object_id)
        if key in self._answers:
            return self._answers[key]
        if self._confirm is None:
            return NoAnswer.UNASKED
        name = allowance or (PAYMENTS if is_payment else kind)
        if not self._may_ask(key, name):
            self._open.add((name, *key))
            return NoAnswer.UNASKED
        try:
            self._answers[key] = self._confirm(*key)
        except GrowthError as error:
            self.failures[LIST_OF[kind]] = error.message
            self._open.add((name, *key))
            return NoAnswer.UNASKED
        return self._answers[key]

    def pages_left(self, resource: str) -> int:
        """How many pages of a resource's lists this audit may still read."""
        return max(0, PAGES.get(resource, _OTHER_PAGES).total - self._pages_read[resource])

    def total_of(
        self,
        resource: str,
        params: Mapping[str, str],
        amount_of: Callable[[Mapping[str, Any]], int],
        *,
        pages: int | None = None,
    ) -> ListTotal | NoAnswer:
        """Sum over a list as Stripe has it now; UNASKED when nobody can tell.

        A page at a time is in memory. A list of more than `pages` (default: what one list of its
        resource may have), or than the resource has left, is not read to its end: that is TOO_LONG
        and counts in `lists_unread`.
        """
        confirm = self._confirm
        if not isinstance(confirm, StripeNow) or resource in self.failures:
            return NoAnswer.UNASKED
        of_one = PAGES.get(resource, _OTHER_PAGES).of_one if pages is None else pages
        left = min(of_one, self.pages_left(resource))
        total = ListTotal()
        try:
            for page in confirm.pages(resource, params):
                if left <= 0:
                    self.lists_unread += 1
                    return NoAnswer.TOO_LONG
                left -= 1
                self._pages_read[resource] += 1
                minor = sum(amount_of(one) for one in page)
                total = ListTotal(total.objects + len(page), total.minor + minor)
        except GrowthError as error:
            self.failures[resource] = error.message
            return NoAnswer.UNASKED
        return total

    def _may_ask(self, key: tuple[str, str], name: str) -> bool:
        resource, _ = key
        if resource in self.failures or (name, *key) in self._open:
            return False
        return self._may_ask_payment(resource) if name == PAYMENTS else self._may_ask_beside(name)

    def _may_ask_payment(self, resource: str) -> bool:
        if self._payments_left > 0:
            self._payments_left -= 1
            return True
        self.not_asked += 1
        self.failures[resource] = (
            "the extracts leave more payments open than Stripe is asked about one by one: "
            "extract the month again, and the months that the books mix with it"
        )
        return False

    def _may_ask_beside(self, allowance: str) -> bool:
        if self._references_left > 0 and self._spent[allowance] < self._each:
            self._references_left -= 1
            self._spent[allowance] += 1
            return True
        self.not_asked += 1
        return False

    def found(
        self, kind: str, object_id: str, *, allowance: str | None = None
    ) -> Mapping[str, Any] | None:
        """The object as Stripe has it now, or None for any other answer."""
        answer = self.ask(kind, object_id, allowance=allowance)
        return None if isinstance(answer, NoAnswer) else answer


class FreshPayments:
    """Payments as Stripe has them now, in the same shape as the files have them."""

    def __init__(self, asker: Asker, api_version: str) -> None:
        self._asker = asker
        self._version: VersionAdapter = adapter_for(api_version)

    def charge(self, charge_id: str, parts: Iterable[tuple[str, str]]) -> StripePayment | None:
        """A charge with the given parts, pairs of ("refund" or "dispute", id); None if not told.

        Refunds are the charge's own sum; disputed funds are those of the known disputes.
        Raises: UnknownValueError when Stripe's answer lacks a promised field.
        """
        raw = self._asker.found("charge", charge_id)
        if raw is None:
            return None
        known = list(parts)
        refunds = [self._part("refund", one) for kind, one in known if kind == "refund"]
        disputes = [self._part("dispute", one) for kind, one in known if kind == "dispute"]
        withdrawn = sum(one["withdrawn_minor"] for one in disputes if one)
        reinstated = sum(one["reinstated_minor"] for one in disputes if one)
        failed = [one["amount"] for one in refunds if one and one["status"] in FAILED_REFUNDS]
        return replace(
            charge_payment(self._typed("charge", raw)),
            disputed_minor=withdrawn - reinstated,
            reinstated_minor=reinstated,
            failed_refunds=tuple(failed),
        )

    def of(self, kind: str, raw: Mapping[str, Any]) -> StripePayment | str:
        """The payment an answer speaks of, or the id of the charge to look at instead."""
        typed = self._typed(kind, raw)
        if kind == "charge":
            return charge_payment(typed)
        if kind == "payment_intent":
            return typed["latest_charge"] or intent_payment(typed)
        if kind == "invoice_payment" and typed["payment_intent"] is None:
            return typed["charge"] or paid_outside(typed)
        intent = typed["payment_intent"] and self._asker.found(
            "payment_intent", typed["payment_intent"]
        )
        charge = self._typed("payment_intent", intent)["latest_charge"] if intent else None
        return charge or (paid_outside if kind == "invoice_payment" else invoice_payment)(typed)

    def _part(self, kind: str, object_id: str) -> Mapping[str, Any] | None:
        raw = self._asker.found(kind, object_id)
        return None if raw is None else self._typed(kind, raw)

    def _typed(self, kind: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        resource = LIST_OF[kind]
        values = typed_values(resource, self._version, dict(raw))
        columns = dict(zip(COLUMNS[resource], values, strict=True))
        return {"id": raw["id"], "created": raw["created"], **columns}
