"""What held of a subscription when, from every state that the ledger has of it. Pure.

What a state is worth is `core.recurring`, its MRR under a policy `revenue`; nothing here counts.
Contract: docs/metrics.md, "History of subscriptions".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.billing.fold import Snapshot, in_order, undo
from growth_pipeline.billing.subscription_terms import Catalogue, terms_of
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Item, Price, Subscription
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, adapter_for

ENDED: Final = frozenset({"canceled", "incomplete_expired"})
# A renewal changes these and nothing that MRR depends on.
_RENEWED: Final = frozenset({"current_period_start", "current_period_end", "latest_invoice"})


@dataclass(frozen=True, slots=True)
class HistoricState:
    """Grain: one subscription while nothing that its MRR depends on changed.

    Instants in Unix seconds, `[from_at, until_at)`; None: still so. `is_assumed`: nothing was told
    of this time; it is taken from the first state that was, and from the dates it names.
    `told_by`: the Stripe event, or `fetch`. `reason`: why it was cancelled, in Stripe's words;
    `canceled_at`: when that was asked for; `cancels_at`: for when it is set; `period_end`: up to
    when it is billed, as was last told.
    """

    customer: str
    from_at: int
    until_at: int | None
    terms: Subscription
    is_assumed: bool = False
    told_by: str = ""
    reason: str | None = None
    canceled_at: int | None = None
    cancels_at: int | None = None
    ended_at: int | None = None
    period_end: int | None = None


def history_of(snapshots: Iterable[Snapshot], catalogue: Catalogue) -> list[HistoricState]:
    """The states of one subscription in order of time, without gaps from its start on.

    An event's state holds from its second, a fetched one from when it was first asked for, an end
    from `ended_at`; an id that Stripe no longer knows ended when that was first seen. Items that an
    event left out are assumed from the next state that was told as a whole. Terms that cannot be
    known in full have an item whose price is unknown.
    Shapes: empty if nothing was told. Raises: UnknownValueError for an unknown API version.
    """
    shown = list(snapshots)
    told = in_order(one for one in shown if one.payload and not one.deletes)
    if not told:
        return []
    reader = _Reader(catalogue)
    whole = _completed(told)
    known = [
        reader.read(now) if now is shown_as else replace(reader.read(now), is_assumed=True)
        for now, shown_as in zip(whole, told, strict=True)
    ]
    buried = _burial(known[-1], [one for one in shown if one.deletes])
    assumed = _before(known[0], *_first_words(whole[0], reader))
    states = _in_time([*assumed, *known, *buried])
    merged: list[HistoricState] = []
    for state in _with_past_due(states):
        if merged and _is_same(merged[-1], state):
            if merged[-1].period_end != state.period_end:
                merged[-1] = replace(merged[-1], period_end=state.period_end)
            continue
        merged.append(state)
    ends: list[int | None] = [following.from_at for _, following in pairwise(merged)]
    spans = zip(merged, [*ends, None], strict=True)
    return [replace(state, until_at=end) for state, end in spans if end != state.from_at]


def _completed(told: Sequence[Snapshot]) -> list[Snapshot]:
    """The states, with what an event leaves out of a long list of items.

    An event shows ten items. The others are taken from the next state that was told as a whole:
    those that had been made by then. A state that cannot be completed stays as it is.
    Source: Stripe API reference, Events; lists inside objects.
    """
    is_cut = [_has_more(one) for one in told]
    found: list[Snapshot] = []
    for place, one in enumerate(told):
        after = zip(told[place:], is_cut[place:], strict=True)
        whole = next((other for other, cut in after if not cut), None) if is_cut[place] else None
        found.append(one if whole is None else _with_items_of(one, whole))
    return found


def _has_more(told: Snapshot) -> bool:
    items = told.payload.get("items")
    return isinstance(items, dict) and items.get("has_more") is True


def _with_items_of(told: Snapshot, whole: Snapshot) -> Snapshot:
    if told.api_version != whole.api_version:
        return told
    items = told.payload["items"]
    shown = {item["id"] for item in items["data"]}
    second = _second(told.state_from)
    missing = [
        item
        for item in whole.payload["items"]["data"]
        if item["id"] not in shown and item.get("created", second + 1) <= second
    ]
    if not missing:
        return told
    data = {**items, "data": [*items["data"], *missing], "has_more": False}
    return replace(told, payload={**told.payload, "items": data})


class _Reader:
    """Reads states; of those in a row that differ in nothing that MRR depends on, only the first.

    Why: a renewal changes periods and the invoice. A year of them is read as fast as one.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._last: tuple[str, Object, Subscription] | None = None

    def read(self, told: Snapshot) -> HistoricState:
        raw, version = told.payload, adapter_for(told.api_version)
        ended = _instant(raw, "ended_at") if raw.get("status") in ENDED else None
        period_end = _period_end(raw, version)
        at_period_end = period_end if raw.get("cancel_at_period_end") is True else None
        return HistoricState(
            customer=str(raw["customer"]),
            from_at=_second(told.state_from) if ended is None else ended,
            until_at=None,
            terms=self._terms(raw, version),
            told_by=told.event_id or told.origin,
            reason=_reason(raw),
            canceled_at=_instant(raw, "canceled_at"),
            cancels_at=ended or _instant(raw, "cancel_at") or at_period_end,
            ended_at=ended,
            period_end=period_end,
        )

    def _terms(self, raw: Object, version: VersionAdapter) -> Subscription:
        content = _without_periods(raw)
        if self._last and self._last[:2] == (version.api_version, content):
            return self._last[2]
        terms = _terms(raw, version, self._catalogue)
        self._last = (version.api_version, content, terms)
        return terms


def _without_periods(raw: Object) -> Object:
    """A state without the values that a renewal changes; that they are told stays."""
    content = {name: None if name in _RENEWED else value for name, value in raw.items()}
    items = content.get("items")
    if isinstance(items, dict) and isinstance(items.get("data"), list):
        bare = [_without_renewed(item) for item in items["data"]]
        content["items"] = {**items, "data": bare}
    return content


def _without_renewed(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {name: None if name in _RENEWED else value for name, value in item.items()}


def _burial(last: HistoricState, graves: Sequence[Snapshot]) -> list[HistoricState]:
    """The end of a subscription that Stripe no longer knows, if nothing told of an end before."""
    instants = [_second(grave.state_from) for grave in graves]
    end = min((at for at in instants if at >= last.from_at), default=None)
    if end is None or last.terms.status in ENDED:
        return []
    return [
        replace(
            last,
            from_at=end,
            terms=replace(last.terms, status="canceled"),
            told_by="fetch",
            reason=None,
            canceled_at=None,
            cancels_at=end,
            ended_at=end,
        )
    ]


def _first_words(told: Snapshot, reader: _Reader) -> tuple[HistoricState, Object]:
    """What held before the first state was told: an update names what it changed."""
    before = told.payload
    if told.previous and (told.event_type or "").endswith(".updated"):
        before = undo(told.payload, told.previous)
    return reader.read(replace(told, payload=before)), before


def _reason(raw: Object) -> str | None:
    """Why it was cancelled; of one that is paused, why that."""
    details = raw.get("cancellation_details") or {}
    if raw.get("status") == "paused":
        paused = (raw.get("status_details") or {}).get("paused") or {}
        details = {"reason": (paused.get("subscription") or {}).get("type")}
    found = details.get("reason")
    return found if isinstance(found, str) else None


def _instant(raw: Object, name: str) -> int | None:
    found = raw.get(name)
    return found if isinstance(found, int) else None


def _period_end(raw: Object, version: VersionAdapter) -> int | None:
    """The last end of what its items are billed for; None where that is not told."""
    try:
        return max((version.period_of(raw, item)[1] for item in raw["items"]["data"]), default=None)
    except (UnknownValueError, KeyError):
        return None


def _terms(raw: Object, version: VersionAdapter, catalogue: Catalogue) -> Subscription:
    """What its MRR depends on; unknown, never 0, where that is not told in full."""
    try:
        row = {**_typed("subscriptions", version, raw), "id": raw["id"]}
        found = raw["items"]
        items = [(_typed("subscription_items", version, one, raw), one) for one in found["data"]]
        row["is_whole"] = found.get("has_more") is not True
        terms = terms_of(row, items, version, raw, catalogue)
    except (UnknownValueError, KeyError):
        terms = None
    return terms or _unknown(raw)


def _unknown(raw: Object) -> Subscription:
    currency = str(raw.get("currency") or "")
    price = Price("unknown", currency, interval="month", unit_amount=None)
    paused = raw.get("pause_collection") is not None
    return Subscription(
        str(raw.get("status")), currency, (Item("unknown", price),), is_collection_paused=paused
    )


def _before(first: HistoricState, earlier: HistoricState, raw: Object) -> Iterator[HistoricState]:
    """What is assumed of the time from the start to the first state that was told.

    `earlier`: what held just before it, with Stripe's `raw` words for it.
    """
    start = _instant(raw, "start_date") or _instant(raw, "created")
    if start is None or start >= first.from_at:
        return
    running = _running(earlier.terms.status)
    begins, ends = _instant(raw, "trial_start") or start, _instant(raw, "trial_end") or start
    spans = (
        (start, begins, "active"),  # a trial that was given later
        (max(start, begins), ends, "trialing"),
        (max(start, ends), first.from_at, running),
    )
    for since, until, status in spans:
        if since < min(until, first.from_at):
            yield _assumed(earlier, since, status)


def _running(status: str) -> str:
    """What a subscription was since its trial, if it is known to be in this status later."""
    if status in ("incomplete", "incomplete_expired"):
        return "incomplete"
    return "paused" if status == "paused" else "active"  # paused: as Stripe does at a trial's end


def _assumed(earlier: HistoricState, start: int, status: str) -> HistoricState:
    terms = replace(earlier.terms, status=status, is_collection_paused=False)
    return replace(earlier, from_at=start, terms=terms, is_assumed=True)


def _in_time(states: Sequence[HistoricState]) -> list[HistoricState]:
    """In order of their starts; an end that is older than what was told before cuts that short."""
    kept: list[HistoricState] = []
    for state in states:
        while kept and kept[-1].from_at > state.from_at and state.terms.status in ENDED:
            kept.pop()
        start = max(state.from_at, kept[-1].from_at) if kept else state.from_at
        kept.append(state if start == state.from_at else replace(state, from_at=start))
    return kept


def _with_past_due(states: Iterable[HistoricState]) -> Iterator[HistoricState]:
    """Each past due state knows since when: the first of those in a row."""
    since: int | None = None
    for state in states:
        if state.terms.status != "past_due":
            since = None
            yield _past_due_since(state, None)
            continue
        since = state.from_at if since is None else since
        yield _past_due_since(state, since)


def _past_due_since(state: HistoricState, since: int | None) -> HistoricState:
    if state.terms.past_due_since == since:
        return state
    return replace(state, terms=replace(state.terms, past_due_since=since))


def _is_same(one: HistoricState, other: HistoricState) -> bool:
    mine = (one.customer, one.terms, one.is_assumed, one.reason, one.canceled_at, one.cancels_at)
    theirs = (other.customer, other.terms, other.is_assumed)
    return mine == (*theirs, other.reason, other.canceled_at, other.cancels_at)


def _typed(
    resource: str, version: VersionAdapter, found: Object, parent: Object | None = None
) -> dict[str, Any]:
    return dict(zip(COLUMNS[resource], typed_values(resource, version, found, parent), strict=True))


def _second(instant: datetime) -> int:
    return int(instant.timestamp())
