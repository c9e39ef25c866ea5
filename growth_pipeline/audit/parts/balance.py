"""The balance: every movement has a known source, and the money of a month walks to its payouts.

`examine_balance` reads what the types, the bridge and the objects without a movement need.
Contract: docs/metrics.md, "Revenue audit", `balance_unlinked` and the settlement bridge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson
import polars as pl

from growth_pipeline.audit.causes import Key
from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.confirm import LIST_OF, NoAnswer
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.parts.balance_types import PARTS, WITH_SOURCE, WITHOUT_SOURCE
from growth_pipeline.audit.parts.settlement_bridge import Bridge, build_bridges
from growth_pipeline.audit.parts.unmoved import Unmoved
from growth_pipeline.audit.queries import Row, Table, wanted_ids
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.core.ids import Scope

_OBJECT_OF_PREFIX: Final = {
    **dict.fromkeys(("ch", "py"), "charge"),
    **dict.fromkeys(("re", "pyr"), "refund"),
    **dict.fromkeys(("dp", "du"), "dispute"),
    "po": "payout",
}
_NAMED: Final = 20  # transactions or objects that one finding names


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
    missing = [name for name in PARTS if not view.has(name)]
    not_judged: tuple[str, ...] = ()
    unjudged: frozenset[str] = frozenset()
    if missing or view.matcher is None:
        findings += _unlinked(view, month, span, activity, ())
        sides: dict[str, dict[str, Any]] = {}
        not_judged = (
            f"Without the month's {', '.join(missing)} the sources of balance transactions were "
            "not looked for, and the money was not followed to the payouts.",
        )
    else:
        unmoved = Unmoved(view)
        settled = [_checked(view, unmoved.look_at(row)) for row in view.matcher.settled_parts()]
        findings += unmoved.findings
        not_judged = unmoved.not_judged
        unjudged = frozenset({"balance_unlinked"} if not_judged else ())
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
        unjudged=unjudged,
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
