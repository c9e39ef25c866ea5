"""The revenue audit of one month: reads both sides, judges, and returns one typed answer.

Reads only. What it finds is stored by store.py and written up by report.py.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from growth_pipeline.audit.confirm import LIST_OF, Asker, Confirm, FreshPayments
from growth_pipeline.audit.evidence import (
    Frame,
    Key,
    Trace,
    bridge_finding,
    objects_behind,
    orphan_part_finding,
    payment_finding,
    source_finding,
    stuck_refund_finding,
    unlinked_finding,
)
from growth_pipeline.audit.examine import Examination, Judged
from growth_pipeline.audit.examiners import EXAMINERS
from growth_pipeline.audit.findings import (
    Finding,
    Verdict,
    count_by_code,
    count_by_severity,
    sort_findings,
    verdict_of,
)
from growth_pipeline.audit.matching import Matcher, QueryEngine, Row, Window
from growth_pipeline.audit.sections import View
from growth_pipeline.audit.sources import (
    ManifestReader,
    Problem,
    read_sources,
    source_reasons,
)
from growth_pipeline.audit.totals import CurrencyTotals
from growth_pipeline.audit.whereabouts import Desk, Records
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState

if TYPE_CHECKING:
    import polars as pl

DEFINITION: Final = "audit@1"
TRACED_FINDINGS: Final = 2_000  # findings beyond this many are reported without their events
_NAMESPACE: Final = uuid.UUID("6f4f2a3e-5d0c-5b7a-9a51-1c0f3f1f5f8e")
_SOURCE_OF_PREFIX: Final = {
    "ch": "charge",
    "py": "charge",
    "re": "refund",
    "pyr": "refund",
    "dp": "dispute",
    "du": "dispute",
}


class Books(Records, Protocol):
    """What is asked of the database: the books and the event ledger."""

    def booked_payments(self, scope: Scope, *, start: datetime, end: datetime) -> pl.DataFrame:
        """Booked rows of the range, and rows of other months that repeat one of them."""
        ...

    def invoice_intents(self, scope: Scope, invoices: Iterable[str]) -> dict[str, str]:
        """The one payment intent that paid each invoice, where the mirror knows it."""
        ...

    def events_of(self, scope: Scope, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """Newest events of these objects."""
        ...


@dataclass(frozen=True)
class Audit:
    """One audit of one month, account and mode.

    Grain: one audit. Units: minor units by currency. `totals` is empty when there was no side to
    compare with; then the verdict is FAIL and the findings say which source is missing.
    """

    scope: Scope
    month: Month
    state: PeriodState
    as_of: datetime
    started_at: datetime
    finished_at: datetime
    grace: timedelta
    verdict: Verdict
    findings: tuple[Finding, ...]
    totals: Mapping[str, CurrencyTotals]
    sources: tuple[Mapping[str, Any], ...]
    run_id: str | None = None
    definition: str = DEFINITION
    artifacts: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[Mapping[str, Any], ...] = ()

    @property
    def audit_id(self) -> uuid.UUID:
        """Name of this audit: the same run gives the same name, so that it is stored once."""
        parts = (*self.scope, self.month.key, self.run_id, self.started_at.isoformat())
        return uuid.uuid5(_NAMESPACE, "|".join(map(str, parts)))

    @property
    def counts(self) -> dict[str, int]:
        """Findings per code, in table order."""
        return count_by_code(self.findings)

    @property
    def severities(self) -> dict[str, int]:
        """Findings per severity; all three keys."""
        return count_by_severity(self.findings)

    @property
    def money_difference(self) -> dict[str, int]:
        """Booked net - Stripe net by currency."""
        return {currency: one.difference for currency, one in self.totals.items()}

    @property
    def impact_by_code(self) -> dict[str, dict[str, int]]:
        """Impact per code and currency, of findings whose impact is known; in table order."""
        impacts: dict[str, dict[str, int]] = {code: {} for code in self.counts}
        for finding in self.findings:
            sums = impacts[finding.code]
            for currency, impact_minor in (finding.impacts or {}).items():
                sums[currency] = sums.get(currency, 0) + impact_minor
        return {code: dict(sorted(sums.items())) for code, sums in impacts.items()}


def run_audit(
    month: Month,
    *,
    scope: Scope,
    lake: ManifestReader,
    store: Books,
    engine: QueryEngine,
    confirm: Confirm | None,
    as_of: datetime,
    started_at: datetime,
    now: datetime,
    grace: timedelta = timedelta(minutes=60),
    run_id: str | None = None,
) -> Audit:
    """The audit of one month of one account and mode. Reads only.

    `as_of` (exclusive) is an upper limit: the audit's own is the instant at which the month's
    oldest extract was read. Objects created less than `grace` before it are not judged.
    `confirm(resource, id)` asks Stripe about single objects that files cannot decide; without it
    the files decide alone. `now` is stated as the end of the audit.
    Raises: GrowthError when the database is away or the engine fails; a missing or damaged extract
    is a finding, not an error.
    """
    sources = read_sources(lake, scope, month, as_of)
    frame = Frame(scope, month)
    cutoff = sources.as_of - grace
    window = Window(
        start=int(month.start.timestamp()),
        end=int(month.end.timestamp()),
        as_of=int(sources.as_of.timestamp()),
        cutoff=int(cutoff.timestamp()),
    )
    books = store.booked_payments(scope, start=month.start, end=month.end)
    asker = Asker(confirm)
    result = _Result()
    if "charges" in sources.month:
        matcher = Matcher(
            engine,
            sources,
            scope,
            window,
            books,
            intents_of=lambda invoices: store.invoice_intents(scope, invoices),
        )
        desk = Desk(
            scope=scope,
            window=window,
            sources=sources,
            matcher=matcher,
            store=store,
            asker=asker,
            fresh=FreshPayments(asker, sources.api_version()),
        )
        result = _examine(desk, store, frame)
    view = View(scope, month, window, sources, engine, store, asker, frame)
    sections = [examine(view) for examine in EXAMINERS]
    problems = [*sources.problems, *result.problems]
    problems += [problem for section in sections for problem in section.problems]
    problems += [Problem(resource, reason) for resource, reason in asker.failures.items()]
    findings = result.findings + [one for section in sections for one in section.findings]
    findings += [
        source_finding(resource, reason, frame)
        for resource, reason in source_reasons(problems).items()
    ]
    read = {"resource": "billing.payments", "rows": books.height, "read_at": now.isoformat()}
    read |= {"not_judged": result.not_judged, "asked_stripe": asker.asked}
    read |= {"not_asked": asker.not_asked}
    read |= {"grace_minutes": int(grace.total_seconds() // 60)}
    return Audit(
        scope=scope,
        month=month,
        state=month.state(sources.as_of),
        as_of=sources.as_of,
        started_at=started_at,
        finished_at=now,
        grace=grace,
        verdict=verdict_of(
            findings,
            moved={currency: one.moved for currency, one in result.totals.items()},
            gross={c: one.stripe.gross_minor for c, one in result.totals.items()},
            remainders=[one.remainder for one in result.totals.values()],
        ),
        findings=tuple(sort_findings(findings)),
        totals=result.totals,
        sources=(*sources.certificates(), read),
        run_id=run_id,
        sections=tuple(section.to_dict() for section in sections),
    )


@dataclass
class _Result:
    """What an examination came to; empty when there was nothing to compare with."""

    findings: list[Finding] = field(default_factory=list)
    totals: dict[str, CurrencyTotals] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    not_judged: int = 0


def _examine(desk: Desk, store: Books, frame: Frame) -> _Result:
    examination = Examination(desk)
    judged = examination.run()
    findings = _payment_findings(judged, desk, store, frame)
    findings += [
        stuck_refund_finding(refund, desk.window.as_of, frame)
        for refund in desk.matcher.stuck_refunds()
    ]
    findings += [orphan_part_finding(part, frame) for part in _orphan_parts(desk)]
    fees, unlinked = desk.matcher.balance_check()
    desk.ledger.add_sums("stripe", fees)
    findings += [unlinked_finding(one, frame) for one in _without_source(desk, unlinked)]
    desk.ledger.explain(findings)
    totals = desk.ledger.totals()
    findings += [
        bridge_finding(currency, one.to_dict(), frame)
        for currency, one in totals.items()
        if one.remainder
    ]
    return _Result(findings, totals, desk.problems, examination.not_judged)


def _payment_findings(
    judged: Iterable[Judged], desk: Desk, store: Books, frame: Frame
) -> list[Finding]:
    """Findings of judged payments, with their causes from the event ledger."""
    listed = list(judged)
    traced = listed[:TRACED_FINDINGS]
    charges = {one.pair.object_id for one in traced if one.pair.object == "charge"}
    parts = desk.matcher.parts(charges) if charges else {}
    behind = {id(one): objects_behind(one, parts.get(one.pair.object_id, ())) for one in listed}
    wanted = {key for one in traced for key in behind[id(one)]}
    trace = _trace(desk, store, wanted)
    return [payment_finding(one, behind[id(one)], trace, frame) for one in listed]


def _trace(desk: Desk, store: Books, objects: set[Key]) -> Trace:
    if not objects:
        return Trace()
    mirrored = {
        (one["object"], one["id"]): one
        for one in store.mirrored(objects)
        if (one["account_id"], one["livemode"]) == desk.scope
    }
    events: dict[Key, list[Row]] = {}
    for event in store.events_of(desk.scope, objects):
        key = (event.pop("object"), event.pop("id"))
        events.setdefault(key, []).append(event)
    return Trace(mirrored, events)


def _orphan_parts(desk: Desk) -> list[Row]:
    """Refunds and disputes of the month whose charge exists on neither side."""
    parts = desk.matcher.parts_without_charge()
    unknown = _charges_unknown(desk, {part["charge"] for part in parts})
    return [part for part in parts if part["charge"] in unknown]


def _charges_unknown(desk: Desk, charges: set[str]) -> set[str]:
    left = {key for _, key in desk.unknown_anywhere({("charge", one) for one in charges})}
    if not left:
        return left
    booked = desk.store.payments_of_ids(charges=left, payment_intents=(), invoices=())
    return left - set(booked["charge_id"])


def _without_source(desk: Desk, transactions: Iterable[Row]) -> list[Row]:
    """Balance transactions whose source is in no file, not in the mirror and not at Stripe."""
    if not {"refunds", "disputes"} <= desk.sources.month.keys():
        return []
    listed = list(transactions)
    keys = {one["source"]: _source_key(one["source"]) for one in listed if one["source"]}
    known_kinds = {key for key in keys.values() if key[0] in LIST_OF}
    unknown = desk.unknown_anywhere(known_kinds)
    return [
        one
        for one in listed
        if not one["source"] or keys[one["source"]] in unknown or keys[one["source"]][0] == ""
    ]


def _source_key(source: str) -> Key:
    """(object, id) of a balance transaction's source, by the prefix of the id; "" if not ours."""
    return _SOURCE_OF_PREFIX.get(source.partition("_")[0], ""), source


def with_artifacts(audit: Audit, artifacts: Mapping[str, str]) -> Audit:
    """The same audit, knowing where its reports lie."""
    return replace(audit, artifacts={**audit.artifacts, **artifacts})
