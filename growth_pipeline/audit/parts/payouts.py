"""Payouts: whether they arrived, and whether automatic ones are the sum of their lines.

The rules are pure; `examine_payouts` reads what they need.
Contract: docs/metrics.md, "Revenue audit", payout classes; docs/stripe.md, "Money objects".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.confirm import PAGES, ListTotal, NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.queries import Row
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

LATE_SECONDS: Final = 5 * 24 * 3600
RETURNED: Final = frozenset({"failed", "canceled"})
_LINES: Final = "balance_transactions"
_UNDER_WAY: Final = frozenset({"pending", "in_transit"})


class Mirror(Protocol):
    """What this part of the audit asks of the database."""

    def payout_totals(
        self, scope: Scope, *, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """Sums of the mirror's payouts by currency."""
        ...

    def itemised_payouts(self, scope: Scope, month: Month) -> set[str]:
        """Payouts whose lines were found to add up before."""
        ...

    def tried_payouts(self, scope: Scope, month: Month) -> dict[str, int]:
        """Payouts that were longer than the pages they were given before, with those pages."""
        ...


def examine_payouts(view: View) -> Section:
    """Payouts of the month. Reads only."""
    if not view.has("payouts"):
        return Section("payouts", not_judged=("The month's payouts were not extracted.",))
    listed = view.rows("payouts_of_month", {"payouts": view.of_month("payouts")})
    payouts = [_as_of_now(view, row) for row in listed if row["created"] < view.window.cutoff]
    findings = [one for row in payouts if (one := _arrival(view, row)) is not None]
    lines = _Lines(view)
    findings += lines.unbalanced(row for row in payouts if is_itemised(row))
    return Section(
        "payouts",
        judged=len(payouts),
        findings=tuple(findings),
        sides=_sides(view, payouts) | lines.side(),
        not_judged=lines.not_judged,
        unjudged=frozenset({"payout_unbalanced"} if lines.not_judged else ()),
    )


def arrival_code(payout: Mapping[str, Any], as_of: int) -> str | None:
    """The class of a payout that did not arrive; None for one that did, or still may.

    Late is more than five days after its arrival date: banks need about as long to send one back.
    """
    if payout["status"] in RETURNED:
        return "payout_failed"
    is_late = as_of > payout["arrival_date"] + LATE_SECONDS
    return "payout_late" if payout["status"] in _UNDER_WAY and is_late else None


def is_itemised(payout: Mapping[str, Any]) -> bool:
    """Whether Stripe can tell a payout's lines: automatic, reconciled, and not sent back."""
    return (
        payout["automatic"]
        and payout["reconciliation_status"] == "completed"
        and payout["status"] not in RETURNED
    )


def line_minor(payout_id: str, transaction: Mapping[str, Any]) -> int:
    """What one balance transaction adds to a payout: its net, but the payout's own is no line."""
    source = transaction["source"]
    source_id = source.get("id") if isinstance(source, Mapping) else source
    is_own = transaction["type"] == "payout" and source_id == payout_id
    return 0 if is_own else int(transaction["net"])


def in_reading_order(payouts: Iterable[Row], tried: Mapping[str, int]) -> list[Row]:
    """Payouts as their lines are read: never tried ones, then by pages tried, small ones first.

    So no payout, however long, keeps others from being read in this audit or the next.
    """
    return sorted(payouts, key=lambda one: (tried.get(one["id"], 0), one["amount"], one["id"]))


class _Lines:
    """Adds up the lines of payouts; those that added up before are not listed again.

    Each has a share of the pages that one audit reads. Those that are longer are read last, with
    what the others left, and `tried` remembers how far: the next audit reads them last too.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._known = view.store.itemised_payouts(view.scope, view.month)
        self._tried = view.store.tried_payouts(view.scope, view.month)
        self._balanced: list[str] = []
        self._too_long: dict[str, int] = {}
        self._unread: set[str] = set()
        self._unasked: set[str] = set()

    def unbalanced(self, payouts: Iterable[Row]) -> Iterator[Finding]:
        """Payouts that are not the sum of their lines."""
        listed = list(payouts)
        self._balanced = [one["id"] for one in listed if one["id"] in self._known]
        new = [one for one in listed if one["id"] not in self._known]
        first = in_reading_order((one for one in new if one["id"] not in self._tried), {})
        yield from self._read(first, PAGES[_LINES].of_one)
        last = in_reading_order((one for one in new if one["id"] in self._tried), self._tried)
        yield from self._read(last, PAGES[_LINES].total)

    def _read(self, payouts: Iterable[Row], share: int) -> Iterator[Finding]:
        asker = self._view.asker
        for payout in payouts:
            payout_id = payout["id"]
            pages = min(share, asker.pages_left(_LINES))
            lines = self._lines_of(payout_id, pages) if pages else NoAnswer.TOO_LONG
            self._note(payout_id, lines, pages if pages >= PAGES[_LINES].of_one else 0)
            if isinstance(lines, NoAnswer):
                continue
            if lines.minor == payout["amount"]:
                self._balanced.append(payout_id)
            else:
                difference = lines.minor - payout["amount"]
                evidence = {"lines": lines.objects, "lines_minor": lines.minor}
                yield _finding(self._view, "payout_unbalanced", payout, difference, evidence)

    def _lines_of(self, payout_id: str, pages: int) -> ListTotal | NoAnswer:
        count = partial(line_minor, payout_id)
        return self._view.asker.total_of(_LINES, {"payout": payout_id}, count, pages=pages)

    def _note(self, payout_id: str, lines: ListTotal | NoAnswer, pages: int) -> None:
        """Keep whether a payout was read to its end, and how many pages were too few."""
        self._unread.discard(payout_id)
        self._too_long.pop(payout_id, None)
        if not isinstance(lines, NoAnswer):
            return
        is_too_long = lines is NoAnswer.TOO_LONG
        (self._unread if is_too_long else self._unasked).add(payout_id)
        if most := max(pages if is_too_long else 0, self._tried.get(payout_id, 0)):
            self._tried[payout_id] = self._too_long[payout_id] = most

    def side(self) -> dict[str, dict[str, Any]]:
        """How many payouts were itemised, and which add up: the next audit trusts them.

        `tried`: pages by payout that was longer; the next audit reads those last.
        """
        figures = {"stripe": len(self._balanced), "database": None, "currency": None}
        return {
            "itemised": {
                **figures,
                "measure": "payouts that are the sum of their lines",
                "payout_ids": sorted(self._balanced),
                "tried": dict(sorted(self._too_long.items())),
            }
        }

    @property
    def not_judged(self) -> tuple[str, ...]:
        """Why some payouts' lines were not added up."""
        said = []
        if self._unasked:
            said.append(
                f"The lines of {len(self._unasked)} reconciled payouts were not added up: Stripe "
                "was not asked, or did not answer."
            )
        if self._unread:
            said.append(
                f"The lines of {len(self._unread)} reconciled payouts were not added up: one audit "
                f"reads {PAGES[_LINES].total} pages of such lines, and these did not fit. The next "
                "audit goes on with them, the shortest first."
            )
        return tuple(said)


def _as_of_now(view: View, payout: Row) -> Row:
    """A payout in doubt is asked for again: its bank may have answered since the file was read."""
    if arrival_code(payout, view.window.as_of) != "payout_late":
        return payout
    now = view.asker.found("payout", payout["id"], allowance="payout_late")
    return payout if now is None else {name: now.get(name, payout[name]) for name in payout}


def _arrival(view: View, payout: Row) -> Finding | None:
    code = arrival_code(payout, view.window.as_of)
    if code is None:
        return None
    days = (view.window.as_of - payout["arrival_date"]) // 86_400
    impact = payout["amount"] if code == "payout_failed" else 0
    evidence = {"days_after_arrival": days, "exposure_minor": payout["amount"]}
    return _finding(view, code, payout, impact, evidence)


def _finding(
    view: View, code: str, payout: Row, impact: int, evidence: Mapping[str, Any]
) -> Finding:
    link = dashboard_link(view.frame.scope, "payout", payout["id"])
    return view.frame.finding(
        code,
        "payout",
        payout["id"],
        currency=payout["currency"],
        impacts={payout["currency"]: impact} if impact else {},
        evidence={"stripe": dict(payout), **evidence, "link": link},
        cause=Cause.AT_STRIPE,
    )


def _sides(view: View, payouts: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Money paid out, by currency: the list's payouts against the mirror's."""
    sums: dict[str, int] = {}
    for payout in payouts:
        paid_out = 0 if payout["status"] in RETURNED else payout["amount"]
        sums[payout["currency"]] = sums.get(payout["currency"], 0) + paid_out
    start, end = (
        datetime.fromtimestamp(one, UTC)
        for one in (view.window.start, min(view.window.end, view.window.cutoff))
    )
    mirrored = {
        row["currency"]: row["paid_out_minor"]
        for row in view.store.payout_totals(view.scope, start=start, end=end)
    }
    return {
        f"paid out {currency}": {
            "stripe": minor,
            "database": mirrored.get(currency),
            "currency": currency,
            "measure": "paid out",
        }
        for currency, minor in sorted(sums.items())
    }
