"""Reads one month's subscriptions from all sides: Stripe's list, the mirror, the application.

What a state means is subscription_classes.py's; nothing here judges.
Statements: sql/audit/.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
import polars as pl

from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.parts.subscription_sides import (
    BILLED,
    RUNNING,
    Entitlement,
    State,
    Subscribed,
)
from growth_pipeline.audit.parts.subscription_states import state_of_object, state_of_row
from growth_pipeline.audit.queries import Row
from growth_pipeline.audit.sections import View
from growth_pipeline.audit.sources import Problem
from growth_pipeline.billing.subscription_terms import Catalogue, price_of_object
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Price
from growth_pipeline.stripe_api.versions import adapter_for

ROWS_AT_ONCE: Final = 5_000
_TELLING: Final = "customer.subscription.updated"
_BY_ID: Final = "subscriptions_by_id"


class Statements(Protocol):
    """What is asked of the database."""

    def read(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Rows of one reading statement of sql/audit/."""
        ...


class Records:
    """One month's subscriptions. `problems`: what Stripe told in a shape that cannot be read."""

    def __init__(self, view: View, *, rows_at_once: int = ROWS_AT_ONCE) -> None:
        self._view = view
        self._rows_at_once = rows_at_once
        self._store: Statements = view.store.application
        self._changed: frozenset[str] | None = None
        self.problems: list[Problem] = []
        (told,) = self._rows("application_tells")
        self.is_told = bool(told["entitlements"])
        self.tells_users = bool(told["users"])

    def of_month(self) -> Iterator[list[State]]:
        """Stripe's list of the month, some thousand states at a time, by id."""
        after, table = "", {"subscriptions": self._view.of_month("subscriptions")}
        while True:
            params = {"after": after, "rows": self._rows_at_once}
            rows = self._view.rows("subscriptions_after", table, params)
            if rows:
                yield self._listed(rows)
            if len(rows) < self._rows_at_once:
                return
            after = rows[-1]["id"]

    def subscribed(self, customers: Iterable[str]) -> list[Subscribed]:
        """Running subscriptions of those of the customers who have several, of whatever months.

        Columns only: the JSON of a company's subscriptions need not fit into memory.
        """
        rows = [one for one in self._newest(customers) if one["status"] in RUNNING]
        rows = [one for one in rows if not one["is_ending"]]
        counts = Counter(one["customer"] for one in rows)
        crowded = [one for one in rows if counts[one["customer"]] > 1]
        products = self._products(crowded)
        return [
            Subscribed(one["id"], one["customer"], one["created"], products[one["id"]])
            for one in crowded
        ]

    def mirrored(self, ids: Iterable[str]) -> dict[str, State]:
        """The mirror's states of these subscriptions, by id."""
        rows = self._rows("subscriptions_in_mirror", ids=sorted(ids))
        catalogue = self._catalogue(
            [row["id"] for row in rows],
            {row["customer"] for row in rows},
            [],
            {
                item["price"]
                for row in rows
                for item in row["items"]
                if item["billing_scheme"] == "tiered"
            },
        )
        return {row["id"]: state_of_row(row, catalogue) for row in rows}

    def mirrored_of_month(self) -> list[str]:
        """Live subscriptions that the mirror gives to the month and that are old enough."""
        return [row["id"] for row in self._rows("mirrored_subscriptions_of_month", **self._span())]

    def entitlements(self, ids: Iterable[str]) -> dict[str, Entitlement]:
        """The application's rows about these subscriptions, by subscription."""
        rows = self._rows("entitlements_of_subscriptions", ids=sorted(ids))
        return {row["subscription_id"]: Entitlement(**row) for row in rows}

    def entitlements_alone(self) -> list[Entitlement]:
        """Accesses of the month to nothing, or to subscriptions that the mirror does not know."""
        rows = self._rows("entitlements_without_subscription", **self._span())
        return [Entitlement(**row) for row in rows]

    def listed(self, ids: Iterable[str], *, everywhere: bool = False) -> set[str]:
        """Those of the ids that Stripe's list of the month, or of any month, holds."""
        return self._listed_ids("subscriptions", ids, everywhere=everywhere)

    def paid_invoices(self, ids: Iterable[str]) -> set[str]:
        """Those of the invoices that the mirror knows to be paid."""
        return {row["id"] for row in self._rows("mirrored_paid_invoices", ids=sorted(set(ids)))}

    def is_paid(self, invoice: str) -> bool | NoAnswer:
        """Whether an invoice is paid: by the files, else by Stripe's own word.

        Without anyone to ask, a file that has it as not paid decides.
        """
        wanted = _ids([invoice])
        tables = {"invoices": self._view.of_all_months("invoices"), "wanted": wanted}
        rows = self._view.rows("invoices_by_id", tables)
        if any(row["status"] == "paid" for row in rows):
            return True
        if rows and not self._view.asker.can_ask:
            return False
        answer = self._view.asker.ask(
            "invoice", invoice, is_payment=False, allowance="paid_not_provisioned"
        )
        if isinstance(answer, NoAnswer):
            return answer
        return answer is not None and answer.get("status") == "paid"

    def price(self, price_id: str) -> Price | None:
        """A recurring price that the mirror knows; None for any other."""
        rows = self._rows("catalogue_by_id", coupons=[], prices=[price_id])
        return price_of_object(rows[0]["payload"], Catalogue()) if rows else None

    def billed_of(self, customers: Iterable[str]) -> dict[str, list[State]]:
        """Billed subscriptions of these customers, by customer: by the newer of file and mirror."""
        billed = [one for one in self._newest(customers) if one["status"] in BILLED]
        listed = _ids(one["id"] for one in billed if one["is_listed"])
        tables = {"subscriptions": self._view.of_all_months("subscriptions"), "wanted": listed}
        states = [] if listed.is_empty() else self._listed(self._view.rows(_BY_ID, tables))
        states += self.mirrored(one["id"] for one in billed if not one["is_listed"]).values()
        found: dict[str, list[State]] = {}
        for state in states:
            found.setdefault(state.customer, []).append(state)
        return found

    # --- customers --------------------------------------------------------------------------

    def users(self, customers: Iterable[str]) -> list[Row]:
        """Living users of these customers: user_id, email, customer_id, written_at."""
        return self._rows("users_of_customers", ids=sorted(customers))

    def emails(self, customers: Iterable[str]) -> dict[str, str | None]:
        """The mirror's e-mail addresses of these customers."""
        rows = self._rows("mirrored_emails", ids=sorted(customers))
        return {row["id"]: row["email"] for row in rows}

    def mapped_customers(self) -> Iterator[list[Row]]:
        """Customers of the month with a living user, and whether the mirror knows them.

        Some thousand at a time, by id.
        """
        after, at_once = "", self._rows_at_once
        while True:
            page = {"after": after, "rows": at_once}
            rows = self._rows("mapped_customers_of_month", **self._span(), **page)
            if rows:
                yield rows
            if len(rows) < at_once:
                return
            after = rows[-1]["id"]

    def listed_customers(self, ids: Iterable[str], *, everywhere: bool) -> set[str]:
        """Those of the ids that Stripe's list of the month, or of any month, holds."""
        return self._listed_ids("customers", ids, everywhere=everywhere)

    # --- Stripe -----------------------------------------------------------------------------

    def now(self, subscription: str, *, allowance: str) -> State | NoAnswer | None:
        """A subscription as Stripe has it now; None only if Stripe knows no such id.

        `allowance`: the class or part that asks, so that none uses up the questions of another.
        """
        answer = self._view.asker.ask(
            "subscription", subscription, is_payment=False, allowance=allowance
        )
        if answer is None or isinstance(answer, NoAnswer):
            return answer
        try:
            version = self._view.sources.month["subscriptions"].certificate["api_version"]
            return state_of_object(dict(answer), str(version), Catalogue(), seen_from=0)
        except UnknownValueError as error:
            self.problems.append(Problem("subscriptions", error.message))
            return NoAnswer.UNASKED

    def changed_lately(self) -> frozenset[str]:
        """Subscriptions whose change Stripe lists within the grace period; empty if it cannot tell.

        Read once, and only when there is something to say: quantities and plans bear no date.
        """
        if self._changed is None:
            changed: set[str] = set()

            def note(event: Mapping[str, Any]) -> int:
                changed.add(str(event["data"]["object"]["id"]))
                return 0

            window = self._view.window
            bounds = {"created[gte]": str(window.cutoff), "created[lt]": str(window.as_of + 1)}
            told = self._view.asker.total_of("events", {"type": _TELLING, **bounds}, note)
            if isinstance(told, NoAnswer):
                # Events are evidence only: without them the files decide, and no source is missing.
                self._view.asker.failures.pop("events", None)
            self._changed = frozenset(changed)
        return self._changed

    # --- inside -----------------------------------------------------------------------------

    def _newest(self, customers: Iterable[str]) -> list[Row]:
        """Subscriptions of these customers by what is known of each last, file or mirror.

        A file of an earlier month stays as it was; the mirror goes on hearing of changes.
        `is_listed`: the file is the newer one.
        """
        asked = sorted(set(customers))
        if not asked:
            return []
        tables = {"subscriptions": self._view.of_all_months("subscriptions"), "wanted": _ids(asked)}
        files = self._view.rows("listed_subscriptions_of_customers", tables)
        rows = [{**one, "is_listed": True} for one in files]
        mirror = self._rows("mirrored_subscriptions_of_customers", customers=asked)
        rows += [{**one, "is_listed": False} for one in mirror]
        newest: dict[str, Row] = {}
        for row in rows:
            known = newest.get(row["id"])
            if known is None or row["seen_from"] > known["seen_from"]:
                newest[row["id"]] = row
        return list(newest.values())

    def _products(self, rows: Sequence[Row]) -> Mapping[str, frozenset[str]]:
        """The products of subscriptions, by id, as the side has them that knows each last."""
        found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
        listed = _ids(one["id"] for one in rows if one["is_listed"])
        mirrored = [one["id"] for one in rows if not one["is_listed"]]
        told: list[Row] = []
        if not listed.is_empty():
            tables = {"subscriptions": self._view.of_all_months("subscriptions"), "wanted": listed}
            told += self._view.rows("listed_products", tables)
        if mirrored:
            told += self._rows("mirrored_products", ids=mirrored)
        for row in told:
            found[row["id"]] = frozenset(one for one in row["products"] or () if one)
        return found

    def _listed_ids(self, resource: str, ids: Iterable[str], *, everywhere: bool) -> set[str]:
        wanted = _ids(ids)
        if wanted.is_empty():
            return set()
        view = self._view
        table = view.of_all_months(resource) if everywhere else view.of_month(resource)
        return {row["id"] for row in view.rows("listed_ids", {"wanted": wanted, "listed": table})}

    def _rows(self, statement: str, **parameters: Any) -> list[Row]:
        return self._store.read(statement, {**self._view.scope._asdict(), **parameters})

    def _span(self) -> dict[str, int]:
        window = self._view.window
        return {"start": window.start, "end": min(window.end, window.cutoff)}

    def _listed(self, rows: Sequence[Row]) -> list[State]:
        raws = [orjson.loads(row["raw"]) for row in rows]
        catalogue = self._catalogue_of(rows, raws)
        states = []
        for row, raw in zip(rows, raws, strict=True):
            try:
                states.append(
                    state_of_object(raw, row["api_version"], catalogue, seen_from=row["fetched"])
                )
            except (UnknownValueError, KeyError) as error:
                reason = getattr(error, "message", f"{row['id']} lacks {error}")
                self.problems.append(Problem("subscriptions", reason))
        return states

    def _catalogue_of(self, rows: Sequence[Row], raws: Sequence[Mapping[str, Any]]) -> Catalogue:
        coupons: set[str] = set()
        prices: set[str] = set()
        for row, raw in zip(rows, raws, strict=True):
            version = adapter_for(row["api_version"])
            items = (raw.get("items") or {}).get("data", ())
            for owner in (raw, *items):
                told = [one for one in owner.get("discounts") or () if isinstance(one, dict)]
                coupons |= {coupon for one in told if (coupon := version.coupon_of(one))}
            for price in (one.get("price") or {} for one in items):
                if price.get("billing_scheme") == "tiered" and not price.get("tiers"):
                    prices.add(price["id"])
        ids = [row["id"] for row in rows]
        return self._catalogue(ids, {row["customer"] for row in rows}, coupons, prices)

    def _catalogue(
        self,
        ids: Sequence[str],
        customers: Iterable[str],
        coupons: Iterable[str],
        prices: Iterable[str],
    ) -> Catalogue:
        found = self._rows("discounts_of", ids=list(ids), customers=sorted(customers))
        named = {row["coupon"] for row in found if row["coupon"]}
        of_customers: dict[str, list[str]] = {}
        for row in found:
            if row["parent_object"] == "customer":
                of_customers.setdefault(row["parent_id"], []).append(row["id"])
        known = self._rows("catalogue_by_id", coupons=sorted({*coupons, *named}), prices=[*prices])
        since = self._rows("unpaid_since", ids=list(ids))
        return Catalogue(
            discounts={row["id"]: row for row in found},
            coupons={row["id"]: row["payload"] for row in known if row["object"] == "coupon"},
            prices={row["id"]: row["payload"] for row in known if row["object"] == "price"},
            past_due_since={row["subscription"]: row["since"] for row in since},
            customer_discounts=of_customers,
        )


def _ids(ids: Iterable[str]) -> pl.DataFrame:
    """A table of ids for the engine."""
    return pl.DataFrame({"id": sorted(ids)}, schema={"id": pl.String})
