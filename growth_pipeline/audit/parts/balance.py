"""The balance: every movement has a known source, and the money of a month walks to its payouts.

The types are a table, the bridge is pure; `examine_balance` reads what they need.
Contract: docs/metrics.md, "Revenue audit", `balance_unlinked` and the settlement bridge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson
import polars as pl

from growth_pipeline.audit.causes import Key
from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.confirm import LIST_OF, NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.matching import MISSING_LISTED, Row, Table, wanted_ids
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.audit.sources import covers
from growth_pipeline.core.ids import Scope

# Types whose source is a charge, refund or payout, which the audit extracts: it must be known.
WITH_SOURCE: Final = frozenset(
    {
        *("charge", "payment", "refund", "payment_refund", "refund_failure"),
        *("payment_failure_refund", "payout", "payout_cancel", "payout_failure"),
    }
)
# Types that move money without such an object: fees, reserves, top-ups, transfers, Connect,
# Issuing, Capital. An adjustment for a dispute has the dispute as its source: its category says so.
WITHOUT_SOURCE: Final = frozenset(
    {
        *("adjustment", "advance", "advance_funding", "anticipation_repayment"),
        *("application_fee", "application_fee_refund", "balance_payment_debit"),
        *("balance_payment_debit_reversal", "climate_order_purchase", "climate_order_refund"),
        *("connect_collection_transfer", "contribution", "fee_credit_funding"),
        *("inbound_transfer", "inbound_transfer_reversal", "issuing_authorization_hold"),
        *("issuing_authorization_release", "issuing_dispute", "issuing_transaction"),
        *("issuing_dispute_provisional_credit", "issuing_dispute_provisional_credit_reversal"),
        *("obligation_outbound", "obligation_reversal_inbound", "payment_network_reserve_hold"),
        *("payment_network_reserve_release", "payment_reversal", "payment_unreconciled"),
        *("payout_minimum_balance_hold", "payout_minimum_balance_release", "reserve_hold"),
        *("reserve_release", "reserve_transaction", "reserved_funds"),
        *("stripe_balance_payment_debit", "stripe_balance_payment_debit_reversal", "stripe_fee"),
        *("stripe_fx_fee", "tax_fee", "tax_fund", "topup", "topup_reversal", "transfer"),
        *("transfer_cancel", "transfer_failure", "transfer_refund"),
    }
)
PARTS: Final = ("charges", "refunds", "disputes", "payouts")
_PART_OF_TYPE: Final = {
    **dict.fromkeys(("charge", "payment"), "charges"),
    **dict.fromkeys(
        ("refund", "payment_refund", "refund_failure", "payment_failure_refund"), "refunds"
    ),
    **dict.fromkeys(("payout", "payout_cancel", "payout_failure"), "payouts"),
}
_DISPUTED: Final = frozenset({"dispute", "dispute_reversal"})
_OBJECT_OF_PREFIX: Final = {
    **dict.fromkeys(("ch", "py"), "charge"),
    **dict.fromkeys(("re", "pyr"), "refund"),
    **dict.fromkeys(("dp", "du"), "dispute"),
    "po": "payout",
}
_OBJECT_OF_PART: Final = {
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "payouts": "payout",
}
_UNMOVED: Final = "balance_unlinked objects"
_NAMED: Final = 20  # transactions or objects that one finding names
_SOURCES: Final = ("charges", "refunds", "disputes", "payouts")


class Mirror(Protocol):
    """What this part of the audit asks of the database."""

    def balance_totals(
        self, scope: Scope, *, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """Sums of the mirror's balance transactions by currency."""
        ...

    def mirrored(self, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """Mirrored objects of these (object, id) pairs in whatever scope."""
        ...


@dataclass
class Bridge:
    """The money of a month in one settlement currency, from Stripe's objects to the payouts.

    Units: minor units of `currency`; in is positive, out negative. `parts` holds the lines of each
    part: objects of the month in this currency, less those settled in another one, not moved yet,
    named as never moved, or moved in a later month; plus movements of objects of other months, of
    converted ones, and what differs by a known rule. Together they are what the part's balance
    transactions `moved`: any other difference is no line, and stays as the remainder. `others` are
    all other movements by category. Moved and others less fees is the net; it changed the balance.
    """

    currency: str
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    fees: int = 0
    net: int = 0
    transactions: int = 0

    def remainder_of(self, part: str) -> int:
        """What the lines of a part leave unexplained of its movements."""
        return self.moved.get(part, 0) - sum(self.parts.get(part, {}).values())

    @property
    def remainder(self) -> int:
        """What no line explains; must be 0."""
        amounts = sum(self.moved.values()) + sum(self.others.values())
        return sum(map(self.remainder_of, PARTS)) + self.net - (amounts - self.fees)

    @property
    def paid_out(self) -> int:
        """Money that left for the bank, less what came back from it."""
        return -self.moved.get("payouts", 0)

    def lines(self) -> Iterator[tuple[str, int]]:
        """(measure, minor units) in the order of the walk; lines of 0 are left out."""
        for part in PARTS:
            if part == "payouts":
                yield from ((f"other: {name}", minor) for name, minor in self.others.items())
                yield "fees", -self.fees
                yield "net before payouts", self.net - self.moved.get("payouts", 0)
            told = self.parts.get(part, {})
            yield from ((f"{part}: {name}", told[name]) for name in _LINES if told.get(name))
            yield f"{part}: in the balance", self.moved.get(part, 0)
        yield "change of the balance", self.net
        yield "remainder", self.remainder


_LINES: Final = (
    *("objects of the month", "settled in other currencies", "not in the balance yet"),
    *("without a balance transaction", "in the balance of later months"),
    *("of objects of other months", "converted from other currencies"),
    "as first asked for, in part, or back again",
)


def build_bridges(activity: Iterable[Row], settled: Iterable[Row]) -> dict[str, Bridge]:
    """The bridge of each settlement currency, from two independent sums over the files.

    `activity`: movements of the month by currency, type and category; `settled`: objects against
    their movements by part and both currencies. Currencies in alphabetical order.
    """
    bridges: dict[str, Bridge] = {}
    for row in activity:
        bridge = bridges.setdefault(row["currency"], Bridge(row["currency"]))
        sums, name = bridge.others, row["reporting_category"]
        if (part := part_of(row["type"], row["reporting_category"])) is not None:
            sums, name = bridge.moved, part
        sums[name] = sums.get(name, 0) + row["amount_minor"]
        bridge.fees += row["fee_minor"]
        bridge.net += row["net_minor"]
        bridge.transactions += row["transactions"]
    for row in settled:
        for currency, name, minor in _lines_of(row):
            if currency in bridges or currency == row["settled_in"]:
                bridge = bridges.setdefault(currency, Bridge(currency))
                told = bridge.parts.setdefault(row["part"], {})
                told[name] = told.get(name, 0) + minor
    return dict(sorted(bridges.items()))


def part_of(kind: str, category: str) -> str | None:
    """Whose money a balance transaction moves; None for a movement without an object of ours."""
    return "disputes" if category in _DISPUTED else _PART_OF_TYPE.get(kind)


def _lines_of(row: Row) -> Iterator[tuple[str, str, int]]:
    """(currency, line, minor units) that one sum of objects and their movements brings."""
    own, settled = row["of_currency"], row["settled_in"]
    if own is None:
        yield settled, "of objects of other months", row["in_month_minor"]
        return
    yield own, "objects of the month", row["objects_minor"]
    if settled is None:
        missing = row.get("missing_minor", 0)
        yield own, "not in the balance yet", missing - row["objects_minor"]
        yield own, "without a balance transaction", -missing
    elif settled != own:
        yield own, "settled in other currencies", -row["objects_minor"]
        yield settled, "converted from other currencies", row["in_month_minor"]
    else:
        yield own, "in the balance of later months", -row["after_minor"]
        yield own, "as first asked for, in part, or back again", row.get("explained_minor", 0)


# --- reading -------------------------------------------------------------------------------------


def examine_balance(view: View) -> Section:
    """Balance transactions of the month, and the settlement bridge. Reads only."""
    if not view.has("balance_transactions"):
        return Section("balance", not_judged=("The balance transactions were not extracted.",))
    window = view.window
    until = min(window.end, window.cutoff)
    span = {"start": window.start, "until": until}
    month = {"balance_transactions": view.of_month("balance_transactions")}
    activity = view.rows("balance_activity", month, span)
    findings = [_broken(view, row, one) for row in activity for one in row["broken"] or ()]
    missing = [name for name in _SOURCES if not view.has(name)]
    not_judged: tuple[str, ...] = ()
    if missing or view.matcher is None:
        findings += _unlinked(view, month, span, activity, ())
        sides: dict[str, dict[str, Any]] = {}
        not_judged = (
            f"Without the month's {', '.join(missing)} the sources of balance transactions were "
            "not looked for, and the money was not followed to the payouts.",
        )
    else:
        unmoved = _Unmoved(view)
        settled = [_checked(view, unmoved.look_at(row)) for row in view.matcher.settled_parts()]
        findings += unmoved.findings
        not_judged = unmoved.not_judged
        unmatched = {one for row in settled for one in row["unmatched"] or ()}
        findings += _unlinked(view, month, span, activity, unmatched)
        bridges = build_bridges(activity, settled)
        findings += _open_bridges(view, bridges, differing_of(settled))
        sides = _sides(view, bridges, until)
    return Section(
        "balance",
        judged=sum(row["transactions"] for row in activity),
        findings=tuple(findings),
        sides=sides,
        not_judged=not_judged,
    )


def differing_of(settled: Iterable[Row]) -> dict[str, list[Row]]:
    """By currency, the objects whose movements are not their money, with both amounts."""
    differing: dict[str, list[Row]] = {}
    for row in settled:
        if row["differing"]:
            found = [{"part": row["part"], **one} for one in row["differing"]]
            differing.setdefault(row["of_currency"], []).extend(found)
    return differing


def _checked(view: View, row: Row) -> Row:
    """The sum with those disputes only that differ from the funds that they name themselves.

    A bank may withdraw a part of what is disputed: then the dispute's own transactions say so.
    """
    if row["part"] != "disputes" or not row["differing"]:
        return row
    wanted = wanted_ids({one["id"] for one in row["differing"]})
    tables = {"disputes": view.of_month("disputes"), "wanted": wanted}
    raws = {one["id"]: orjson.loads(one["raw"]) for one in view.rows("disputes_by_id", tables)}
    wrong, explained = [], row["explained_minor"]
    for one in row["differing"]:
        funds = funds_of(raws[one["id"]], view.window.cutoff)
        if funds is None or funds == one["moved_minor"]:
            explained += one["moved_minor"] - one["object_minor"]
        else:
            wrong.append({**one, "funds_minor": funds})
    return {**row, "differing": wrong, "explained_minor": explained}


def funds_of(dispute: Mapping[str, Any], until: int) -> int | None:
    """Money that a dispute's own balance transactions moved until then; None if it names none.

    Units: minor units of the settlement currency, out of the balance is negative.
    """
    moves = [one for one in dispute.get("balance_transactions") or () if isinstance(one, Mapping)]
    if not moves:
        return None
    return sum(int(one["amount"]) for one in moves if one.get("created", 0) < until)


class _Unmoved:
    """Final objects that no balance transaction moved, a week after they were made.

    Stripe is asked again about each: a list may be older than the object's file.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._is_covered = covers(view.sources, "balance_transactions", view.window.cutoff)
        self._unlisted = 0
        self._open = 0
        self.findings: list[Finding] = []

    def look_at(self, row: Row) -> Row:
        """The sum with the missing money of those objects only that Stripe does not clear."""
        if not row["missing_count"]:
            return row
        if not self._is_covered:
            self._open += row["missing_count"]
            return {**row, "missing_minor": 0}
        self._unlisted += row["missing_count"] - len(row["missing"])
        missing_minor = row["missing_minor"]
        for one in row["missing"]:
            reason = self._why(_OBJECT_OF_PART[row["part"]], one)
            if reason is None:
                missing_minor -= one["object_minor"]
            else:
                self.findings.append(_unmoved_finding(self._view, row, one, reason))
        return {**row, "missing_minor": missing_minor}

    def _why(self, kind: str, one: Row) -> str | None:
        """Why the object's money is missing; None if it is not, or if nobody could tell."""
        asker = self._view.asker
        if not asker.can_ask:
            return "no balance transaction names it"
        now = asker.ask(kind, one["id"], is_payment=False, allowance=_UNMOVED)
        if not isinstance(now, Mapping):
            self._open += 1
            return None
        named = transaction_ids(now)
        if not named:
            return "Stripe names no balance transaction of it"
        answers = [
            asker.ask("balance_transaction", named_id, is_payment=False, allowance=_UNMOVED)
            for named_id in named
        ]
        window = self._view.window
        known = [answer for answer in answers if isinstance(answer, Mapping)]
        if any(not window.start <= answer["created"] < window.cutoff for answer in known):
            return None
        if NoAnswer.UNASKED in answers:
            self._open += 1
            return None
        return f"its balance transaction {named[0]} is in no list"

    @property
    def not_judged(self) -> tuple[str, ...]:
        """What was not looked at, in sentences."""
        said = []
        if self._open:
            said.append(
                f"{self._open} objects have no balance transaction in the lists, and nobody could "
                "tell whether one is missing: extract the balance transactions up to now, audit "
                "again."
            )
        if self._unlisted:
            said.append(
                f"{self._unlisted} more objects have no balance transaction; the largest "
                f"{MISSING_LISTED} of each kind are listed."
            )
        return tuple(said)


def transaction_ids(thing: Mapping[str, Any]) -> list[str]:
    """Ids of the balance transactions that an object of Stripe's names."""
    told = [thing.get("balance_transaction"), *(thing.get("balance_transactions") or ())]
    ids = [one.get("id") if isinstance(one, Mapping) else one for one in told]
    return [one for one in ids if one]


def _unmoved_finding(view: View, row: Row, one: Row, reason: str) -> Finding:
    kind, currency = _OBJECT_OF_PART[row["part"]], row["of_currency"]
    return view.frame.finding(
        "balance_unlinked",
        kind,
        one["id"],
        currency=currency,
        impacts={currency: one["object_minor"]},
        evidence={
            "stripe": {name: one[name] for name in ("id", "object_minor", "created")},
            "reason": reason,
            "days": (view.window.as_of - one["created"]) // 86_400,
            "link": dashboard_link(view.scope, kind, one["id"]),
        },
        cause=Cause.AT_STRIPE,
    )


def _unlinked(
    view: View,
    month: Mapping[str, Table],
    span: Mapping[str, int],
    activity: Iterable[Row],
    unmatched: Collection[str | None],
) -> Iterator[Finding]:
    """Transactions of an unknown type, or whose source nobody knows."""
    is_classified = all(row["type"] in WITH_SOURCE | WITHOUT_SOURCE for row in activity)
    if is_classified and not unmatched:
        return
    keys = {one: _key_of(one) for one in unmatched if one}
    unknown = unknown_anywhere(view, {key for key in keys.values() if key is not None})
    doubtful = {one for one, key in keys.items() if key is None or key in unknown}
    kinds = [(name, name in WITH_SOURCE) for name in sorted(WITH_SOURCE | WITHOUT_SOURCE)]
    types = pl.DataFrame(kinds, schema={"type": pl.String, "has_source": pl.Boolean}, orient="row")
    tables = {**month, "types": types, "wanted": wanted_ids(doubtful)}
    for row in view.rows("transactions_in_doubt", tables, span):
        yield view.frame.finding(
            "balance_unlinked",
            "balance_transaction",
            row["id"],
            currency=row["currency"],
            impacts={row["currency"]: row["net"]} if row["net"] else {},
            evidence={"stripe": dict(row), "reason": _why_unlinked(row, keys.get(row["source"]))},
            cause=Cause.AT_STRIPE,
        )


def _why_unlinked(transaction: Row, key: Key | None) -> str:
    if transaction["is_unknown_type"]:
        return "its type is not classified: it may be new at Stripe"
    if not transaction["source"]:
        return "it names no source"
    return "its source is unknown to Stripe" if key else "its source is of an unexpected kind"


def _key_of(source: str) -> Key | None:
    """(object, id) of a source by the prefix of its id; None for a kind that we do not extract."""
    kind = _OBJECT_OF_PREFIX.get(source.partition("_")[0])
    return None if kind is None else (kind, source)


def unknown_anywhere(view: View, objects: set[Key]) -> set[Key]:
    """Those (object, id) pairs that are in no file, not in the mirror, and not at Stripe.

    Where there is nobody to ask, files and mirror decide. One that Stripe could not answer about
    is not called unknown.
    """
    left: set[Key] = set()
    for kind in {kind for kind, _ in objects}:
        ids = {one for name, one in objects if name == kind}
        tables = {"wanted": wanted_ids(ids), "known": view.of_all_months(LIST_OF[kind])}
        left |= {(kind, row["id"]) for row in view.rows("unknown_ids", tables)}
    mirrored = view.store.mirrored(left) if left else []
    left -= {
        (one["object"], one["id"])
        for one in mirrored
        if (one["account_id"], one["livemode"]) == view.scope
    }
    return {key for key in left if _is_unknown_to_stripe(view, key)}


def _is_unknown_to_stripe(view: View, key: Key) -> bool:
    answer = view.asker.ask(*key, is_payment=False, allowance="balance_unlinked")
    if isinstance(answer, NoAnswer):
        return not view.asker.can_ask
    return answer is None


def _broken(view: View, group: Row, transaction: Row) -> Finding:
    """A balance transaction in which amount - fee is not net."""
    difference = transaction["net"] - (transaction["amount"] - transaction["fee"])
    return view.frame.finding(
        "net_mismatch",
        "balance_transaction",
        transaction["id"],
        currency=group["currency"],
        impacts={group["currency"]: difference},
        evidence={"stripe": dict(transaction), "reason": "amount - fee is not net"},
        cause=Cause.AT_STRIPE,
    )


def _open_bridges(
    view: View, bridges: Mapping[str, Bridge], differing: Mapping[str, list[Row]]
) -> Iterator[Finding]:
    """Bridges that do not end at zero, or that objects with other movements keep open."""
    for currency, bridge in bridges.items():
        if bridge.remainder or differing.get(currency):
            yield _open_bridge(view, bridge, differing.get(currency, []))


def _open_bridge(view: View, bridge: Bridge, named: Sequence[Row]) -> Finding:
    """A bridge that does not end at zero, with the objects that keep it open."""
    impact = bridge.remainder or sum(one["moved_minor"] - one["object_minor"] for one in named)
    return view.frame.finding(
        "bridge_nonzero",
        "settlement_bridge",
        f"settlement {bridge.currency}",
        currency=bridge.currency,
        impacts={bridge.currency: impact} if impact else {},
        evidence={
            "bridge": dict(bridge.lines()),
            "differing": named[:_NAMED],
            "differing_count": len(named),
        },
        severity=Severity.HIGH,
        action="Look these objects and their balance transactions up in the Stripe dashboard; if "
        "they are right, report it as a bug of the audit with this evidence.",
    )


def _sides(view: View, bridges: Mapping[str, Bridge], until: int) -> dict[str, dict[str, Any]]:
    """The lines of every bridge; the database's figure is the net that the mirror knows."""
    start = datetime.fromtimestamp(view.window.start, UTC)
    end = datetime.fromtimestamp(until, UTC)
    mirrored = {
        row["currency"]: row["net_minor"]
        for row in view.store.balance_totals(view.scope, start=start, end=end)
    }
    return {
        f"{currency} {measure}": {
            "stripe": minor,
            "database": mirrored.get(currency) if measure == "change of the balance" else None,
            "currency": currency,
            "measure": measure,
        }
        for currency, bridge in bridges.items()
        for measure, minor in bridge.lines()
    }
