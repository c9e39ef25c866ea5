"""Collects what is known of how objects reached the database: ledger, mirror, Stripe's own lists.

Reads only, and decides nothing: what it means is causes.py's. The list of events is read where it
was extracted; Stripe keeps it for 30 days, so that a month without it is no problem of the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from growth_pipeline.audit.causes import FACTS, Facts, Key, Trace
from growth_pipeline.audit.queries import QueryEngine, Row, wanted_ids
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.audit.sources import ManifestReader, Sources
    from growth_pipeline.storage.lake import Manifest

STRIPE_KEEPS: Final = timedelta(days=30)
_UNAPPLIED_LIMIT: Final = 5_000  # events in trouble whose bodies are read; more are an outage


class LedgerReader(Protocol):
    """What is asked of the database."""

    def mirrored(self, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """Mirrored objects of these (object, id) pairs in whatever scope."""
        ...

    def events_of(self, scope: Scope, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """Newest events of these objects."""
        ...

    def unapplied_events(self, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Events that wait or were set aside, the newest first, with the object they speak of."""
        ...

    def refused_states(self, scope: Scope, objects: Iterable[Key]) -> dict[Key, str]:
        """Why the mirror could not use what Stripe showed of these objects last."""
        ...

    def last_webhook_at(self, scope: Scope, since: datetime) -> datetime | None:
        """When a webhook of any kind last came in after an instant; None if none did."""
        ...

    def would_book(self, charges: Iterable[tuple[Scope, str]]) -> dict[tuple[Scope, str], Payment]:
        """What the mirror would book of these charges now."""
        ...


@dataclass(frozen=True)
class EventFiles:
    """Files of Stripe's list of events that can be relied on, and the span of time they tell of.

    `spans`: half-open, Unix seconds, in order: Stripe lists no event that is older than 30 days
    when it is asked, so a file tells less than its name says.
    """

    paths: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    problem: str | None = None

    def covers(self, start: int, end: int) -> bool:
        """Whether the files tell of every event of a half-open span of Unix seconds."""
        reached = start
        for gte, lt in self.spans:
            if gte <= reached:
                reached = max(reached, lt)
        return reached >= end


def read_event_files(lake: ManifestReader, scope: Scope) -> EventFiles:
    """The whole and undamaged files of a scope's events; a damaged one is named, not relied on."""
    try:
        manifests = lake.manifests("stripe/events")
    except GrowthError as error:
        return EventFiles(problem=error.message)
    partition = {"account": scope.account_id, "mode": scope.mode}
    problem = None
    good = []
    for manifest in manifests:
        whole = manifest.certificate.get("complete") and not manifest.certificate.get("has_more")
        if not whole or not partition.items() <= manifest.partition.items():
            continue
        try:
            lake.verify(manifest)
            good.append(manifest)
        except GrowthError as error:
            problem = error.message
    return EventFiles(tuple(one.path for one in good), tuple(sorted(map(_span_of, good))), problem)


def _span_of(manifest: Manifest) -> tuple[int, int]:
    gte, lt = manifest.certificate.get("window") or (0, 0)
    told = manifest.certificate.get("fetched_from")
    read_at = datetime.fromisoformat(told) if told else manifest.written_at
    return max(int(gte), int((read_at - STRIPE_KEEPS).timestamp())), int(lt)


@dataclass
class Deliveries:
    """Answers about objects of one account and mode, in bulk."""

    scope: Scope
    store: LedgerReader
    engine: QueryEngine
    sources: Sources
    files: EventFiles = field(default_factory=EventFiles)

    def trace(self, objects: Iterable[Key]) -> Trace:
        """Everything known of these (object, id) pairs."""
        keys = {key for key in objects if key[0] in BY_OBJECT}
        if not keys:
            return Trace()
        trace = Trace(
            mirrored=self._mirrored(keys),
            events=self._heard(keys),
            listed=self._listed(keys),
            stripe=self._extracted(keys),
            refused=self.store.refused_states(self.scope, keys),
            lists_all=self._lists_all(),
            lists_from=_iso(self._lists_from()),
        )
        pending = [
            datetime.fromisoformat(event["created_at"])
            for key in keys
            for event in trace.unheard(key)
            if event["pending_webhooks"]
        ]
        reached = self.store.last_webhook_at(self.scope, min(pending)) if pending else None
        return replace(trace, reached_at=reached.isoformat() if reached else None)

    @cached_property
    def _unapplied(self) -> dict[Key, list[Row]]:
        """Events that wait or were set aside: the ledger does not know their objects, we look."""
        return _grouped(self.store.unapplied_events(self.scope, _UNAPPLIED_LIMIT))

    def _heard(self, keys: set[Key]) -> dict[Key, list[Row]]:
        """The ledger's events about these objects, each once, the newest first."""
        told = _grouped(self.store.events_of(self.scope, keys))
        for key in keys & self._unapplied.keys():
            known = {event["event_id"] for event in told.get(key, ())}
            rest = [event for event in self._unapplied[key] if event["event_id"] not in known]
            told[key] = sorted([*told.get(key, ()), *rest], key=_by_age, reverse=True)
        return told

    def _mirrored(self, keys: set[Key]) -> dict[Key, Facts]:
        return {
            (one["object"], one["id"]): one
            for one in self.store.mirrored(keys)
            if (one["account_id"], one["livemode"]) == self.scope
        }

    def _listed(self, keys: set[Key]) -> dict[Key, list[Row]] | None:
        """Events about these objects in Stripe's list; None where it was not read."""
        if not self.files.paths:
            return None
        columns = [
            ("object", [kind for kind, _ in sorted(keys)]),
            ("id", [i for _, i in sorted(keys)]),
        ]
        wanted = pl.DataFrame(dict(columns), schema={"object": pl.String, "id": pl.String})
        tables = {"events": self.files.paths, "wanted": wanted}
        rows = self.engine.query(load_sql("audit/listed_events"), tables).to_dicts()
        return _grouped({**row, "created_at": _iso(row["created_at"])} for row in rows)

    def _extracted(self, keys: set[Key]) -> dict[Key, Facts]:
        """Facts of these objects as the extracts have them."""
        found: dict[Key, Facts] = {}
        for kind in {kind for kind, _ in keys}:
            paths = self.sources.paths_of_all(BY_OBJECT[kind].resource)
            if paths:
                ids = {one for name, one in keys if name == kind}
                tables = {"objects": paths, "wanted": wanted_ids(ids)}
                for row in self.engine.query(
                    load_sql("audit/extracted_objects"), tables
                ).to_dicts():
                    found[kind, row["id"]] = {name: row[name] for name in FACTS if name in row}
        return found

    def _lists_all(self) -> bool:
        """Whether the list of events was read without a gap up to the audit."""
        end, start = int(self.sources.as_of.timestamp()), self._lists_from()
        return start < end and self.files.covers(start, end)

    def _lists_from(self) -> int:
        """First second that a file of the list of events tells of; the audit's own if none does."""
        end = int(self.sources.as_of.timestamp())
        return min((gte for gte, _ in self.files.spans), default=end)


def _by_age(event: Row) -> tuple[datetime, str]:
    return datetime.fromisoformat(event["created_at"]), event["event_id"]


def _grouped(events: Iterable[Mapping[str, Any]]) -> dict[Key, list[Row]]:
    """Events by the object they speak of, in the order given."""
    groups: dict[Key, list[Row]] = {}
    for event in events:
        own = dict(event)
        groups.setdefault((own.pop("object"), own.pop("id")), []).append(own)
    return groups


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
