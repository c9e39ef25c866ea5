"""The part of an audit about events: what Stripe listed and we lack, cannot read, or forgot.

Three classes: event_gap, unknown_version, stale_row. Contract: docs/metrics.md, "Events".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import polars as pl

from growth_pipeline.audit.causes import Key, Trace, cause_of_object
from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.deliveries import Deliveries, EventFiles
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.months.judged import classes_of
from growth_pipeline.audit.parts.stale import KINDS, StaleRow, stale_rows, still_differs
from growth_pipeline.audit.queries import Row
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.billing.inbox import is_needed
from growth_pipeline.billing.objects import BY_OBJECT, BY_RESOURCE
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.sql import load_sql
from growth_pipeline.stripe_api.versions import adapter_for

# Stripe tries for three days to deliver an event; after that nobody but the sweep brings it.
STRIPE_TRIES: Final = timedelta(days=3)
_DAY: Final = 86_400
_GAPS: Final = frozenset({"event_gap"})
EVENTS_AT_ONCE: Final = 50_000  # unless one day has more
# Rows beyond this many are counted and not judged: Stripe is asked about each.
ROWS_ASKED: Final = 500


class EventLedger(Protocol):
    """What is asked of the database."""

    def told_since(self, scope: Scope) -> datetime | None:
        """When the oldest event was made that anybody told us of."""
        ...

    def unknown_events(self, scope: Scope, ids: list[str]) -> set[str]:
        """Those event ids that the ledger lacks."""
        ...

    def unknown_versions(self, scope: Scope, start: datetime, end: datetime) -> list[Row]:
        """Events of a span that wait in quarantine because of their API version."""
        ...

    def waiting_questions(self, scope: Scope, objects: Iterable[Key]) -> set[Key]:
        """Those (object, id) pairs that Stripe is about to be asked about again."""
        ...

    def mirrored_rows(
        self, resource: str, scope: Scope, start: datetime, end: datetime
    ) -> Iterator[pl.DataFrame]:
        """Living rows of the mirror made in a span, some at a time."""
        ...

    def last_webhook_at(self, scope: Scope, since: datetime) -> datetime | None:
        """When a webhook of any kind last came in after an instant."""
        ...


class _Part(NamedTuple):
    """What one class came to."""

    findings: list[Finding]
    judged: int = 0
    not_judged: tuple[str, ...] = ()
    unjudged: frozenset[str] = frozenset()


def examine_events(view: View) -> Section:
    """Events of the month that did not arrive, or cannot be read, and rows that stayed behind."""
    if view.deliveries is None:
        return Section(
            "events",
            not_judged=("nobody told where the event ledger is",),
            unjudged=classes_of("events"),
        )
    ledger: Any = view.deliveries.store
    gaps = _gaps(view, view.deliveries.files, ledger)
    unread = _unknown_versions(view, ledger)
    stale = _stale(view, view.deliveries, ledger)
    heard = gaps.judged - len(gaps.findings)
    sides = {"events": {"stripe": gaps.judged, "database": heard, "currency": None}}
    return Section(
        "events",
        judged=gaps.judged + stale.judged,
        findings=(*gaps.findings, *unread, *stale.findings),
        sides=sides if gaps.judged else {},
        not_judged=(*gaps.not_judged, *stale.not_judged),
        unjudged=gaps.unjudged | stale.unjudged,
    )


# --- events that never came --------------------------------------------------------------------


def _gaps(view: View, files: EventFiles, ledger: EventLedger) -> _Part:
    """Events that Stripe lists and the ledger lacks, of the time in which somebody listened."""
    if not files.paths:
        why = files.problem or f"Stripe's list of events of {view.month} was not extracted"
        said = (
            f"events: {why}, so nobody knows whether events of the month are lacking (event_gap). "
            f"Stripe keeps events for 30 days: within them, extract the events of {view.month} "
            "(billing/events_extract in Dagster) and audit again; later it stays unknown."
        )
        return _Part([], not_judged=(said,), unjudged=_GAPS)
    since = ledger.told_since(view.scope)
    if since is None:
        return _Part([], not_judged=("events: no event was ever received",), unjudged=_GAPS)
    start = max(view.window.start, int(since.timestamp()))
    end = min(view.window.end, view.window.cutoff)
    missing: list[Row] = []
    judged = 0
    for span in _spans(view, files, start, end):
        listed = _listed(view, files, span)
        missing += _missing(view, ledger, listed)
        judged += len(listed)
    reached = _reached_at(view, ledger, missing)
    return _Part(
        [_gap_finding(view, event, reached) for event in missing],
        judged=judged,
        not_judged=tuple(_uncovered(view, files, start, end)),
        unjudged=_GAPS if files.problem else frozenset(),
    )


def _spans(view: View, files: EventFiles, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The time in spans of whole days: the events of a busy month are too many for memory."""
    counted = view.rows("events_by_day", {"events": files.paths}, {"start": start, "end": end})
    begun, held = start, 0
    for row in counted:
        if held and held + row["events"] > EVENTS_AT_ONCE:
            yield begun, row["day"] * _DAY
            begun, held = row["day"] * _DAY, 0
        held += row["events"]
    if held:
        yield begun, end


def _listed(view: View, files: EventFiles, span: tuple[int, int]) -> list[Row]:
    start, end = span
    rows = view.rows("events_of_span", {"events": files.paths}, {"start": start, "end": end})
    return [row for row in rows if is_needed(row["type"])]


def _missing(view: View, ledger: EventLedger, listed: list[Row]) -> list[Row]:
    absent = ledger.unknown_events(view.scope, [event["id"] for event in listed])
    return [event for event in listed if event["id"] in absent]


def _reached_at(view: View, ledger: EventLedger, missing: list[Row]) -> str | None:
    tried = [event["created"] for event in missing if event["pending_webhooks"]]
    if not tried:
        return None
    reached = ledger.last_webhook_at(view.scope, datetime.fromtimestamp(min(tried), UTC))
    return reached.isoformat() if reached else None


def _uncovered(view: View, files: EventFiles, start: int, end: int) -> Iterator[str]:
    if start < end and not files.covers(start, end):
        yield (
            f"events: the extracts of Stripe's list do not hold all events of {view.month}; "
            "those that they hold were compared"
        )
    if files.problem:
        yield f"events: {files.problem}"


def _gap_finding(view: View, event: Row, reached_at: str | None) -> Finding:
    key = ("event", event["id"])
    created_at = datetime.fromtimestamp(event["created"], UTC)
    listed = {**event, "event_id": event["id"], "created_at": created_at.isoformat()}
    told = cause_of_object("event_gap", [key], Trace(listed={key: [listed]}, reached_at=reached_at))
    is_given_up = view.window.as_of - event["created"] > STRIPE_TRIES.total_seconds()
    return view.frame.finding(
        "event_gap",
        *key,
        impacts={},
        evidence={
            "stripe": event,
            **told.evidence,
            "link": dashboard_link(view.scope, *key),
        },
        severity=Severity.HIGH if is_given_up else Severity.MEDIUM,
        cause=told.cause,
    )


# --- events that cannot be read ----------------------------------------------------------------


def _unknown_versions(view: View, ledger: EventLedger) -> list[Finding]:
    start = datetime.fromtimestamp(view.window.start, UTC)
    end = datetime.fromtimestamp(min(view.window.end, view.window.cutoff), UTC)
    return [
        _unread_finding(view, event) for event in ledger.unknown_versions(view.scope, start, end)
    ]


def _unread_finding(view: View, event: Row) -> Finding:
    key = ("event", event["event_id"])
    told = cause_of_object("unknown_version", [key], Trace(events={key: [event]}))
    evidence = {
        "details": {name: event[name] for name in ("api_version", "object", "id")},
        **told.evidence,
        "link": dashboard_link(view.scope, *key),
    }
    return view.frame.finding(
        "unknown_version",
        *key,
        impacts={},
        evidence=evidence,
        command="growth webhooks replay --all",
        cause=told.cause,
    )


# --- rows that stayed behind -------------------------------------------------------------------


def _stale(view: View, deliveries: Deliveries, ledger: EventLedger) -> _Part:
    found, judged = [], 0
    for resource in KINDS:
        if view.has(resource):
            rows, compared = _differing(view, resource, ledger)
            found += [(BY_RESOURCE[resource].object, row) for row in rows]
            judged += compared
    if not found:
        return _Part([], judged)
    asked, rest = found[:ROWS_ASKED], found[ROWS_ASKED:]
    keys = [(kind, row.id) for kind, row in asked]
    trace = deliveries.trace(keys)
    young = ledger.waiting_questions(view.scope, keys) | _changed_lately(view)
    old = [
        one for one, key in zip(asked, keys, strict=True) if not _is_young(view, key, trace, young)
    ]
    sure = [(kind, now) for kind, row in old if (now := _newest(view, kind, row)) is not None]
    said = f"mirror: {len(rest)} more rows differ from Stripe; {ROWS_ASKED} were looked at"
    return _Part(
        [_stale_finding(view, kind, row, trace) for kind, row in sure],
        judged,
        (said,) if rest else (),
        frozenset({"stale_row"} if rest else ()),
    )


def _differing(view: View, resource: str, ledger: EventLedger) -> tuple[list[StaleRow], int]:
    """Rows of a kind that differ from the month's extract, and how many were compared."""
    start = datetime.fromtimestamp(view.window.start, UTC)
    end = datetime.fromtimestamp(min(view.window.end, view.window.cutoff), UTC)
    found: list[StaleRow] = []
    compared = 0
    for mirrored in ledger.mirrored_rows(resource, view.scope, start, end):
        if not mirrored.is_empty():
            extracted = view.engine.query(
                load_sql("audit/extracted_objects"),
                {"objects": view.of_month(resource), "wanted": mirrored.select("id")},
            )
            found += stale_rows(mirrored, extracted)
            compared += mirrored.height
    return found, compared


def _changed_lately(view: View) -> set[Key]:
    """Objects of which Stripe lists an event within the grace period; none if it cannot tell."""
    changed: set[Key] = set()

    def note(event: Mapping[str, Any]) -> int:
        about = event["data"]["object"]
        changed.add((str(about.get("object")), str(about.get("id"))))
        return 0

    since = {"created[gte]": str(view.window.cutoff)}
    if isinstance(view.asker.total_of("events", since, note), NoAnswer):
        # Events are evidence only: without them the files decide, and no source is missing.
        view.asker.failures.pop("events", None)
    return changed


def _is_young(view: View, key: Key, trace: Trace, young: set[Key]) -> bool:
    """Whether news of the object may still be on its way: then nothing is said about its row."""
    if key in young:
        return True
    on_the_way = [
        *trace.unheard(key),
        *(event for event in trace.events.get(key, ()) if event["state"] == "received"),
    ]
    return any(
        datetime.fromisoformat(event["created_at"]).timestamp() >= view.window.cutoff
        for event in on_the_way
    )


def _newest(view: View, kind: str, row: StaleRow) -> StaleRow | None:
    """The row against what Stripe says now; None if it is right, or if Stripe does not answer."""
    answer = view.asker.ask(kind, row.id, is_payment=False)
    if isinstance(answer, NoAnswer):
        return None if view.asker.can_ask else row
    if answer is None:
        return None  # gone meanwhile: its deletion is another story
    resource = BY_OBJECT[kind].resource
    version = adapter_for(str(view.sources.month[resource].certificate["api_version"]))
    values = typed_values(resource, version, dict(answer))
    return still_differs(row, dict(zip(COLUMNS[resource], values, strict=True)))


def _stale_finding(view: View, kind: str, row: StaleRow, trace: Trace) -> Finding:
    key = (kind, row.id)
    told = cause_of_object("stale_row", [key], trace, mirror_is_right=False)
    return view.frame.finding(
        "stale_row",
        *key,
        impacts={},
        evidence={
            "details": {"fields": sorted(row.differs)},
            "mirror": {**row.shown(0), "state_at": row.state_at.isoformat()},
            "stripe": {**row.shown(1), "fetched_at": row.fetched_at.isoformat()},
            **told.evidence,
            "link": dashboard_link(view.scope, *key),
            "confirmed_by_stripe": view.asker.can_ask,
        },
        cause=told.cause,
    )
