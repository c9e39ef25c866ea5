"""The revenue audit of one month: reads both sides, judges, and returns one typed answer.

Reads only, but for the file of a month that it closes. What it finds is stored by store.py and
written up by report.py.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from growth_pipeline.audit.confirm import Asker, Confirm, FreshPayments
from growth_pipeline.audit.deliveries import Deliveries, LedgerReader, read_event_files
from growth_pipeline.audit.evidence import (
    Frame,
    bridge_finding,
    orphan_part_finding,
    source_finding,
    stuck_refund_finding,
)
from growth_pipeline.audit.examiners import EXAMINERS
from growth_pipeline.audit.explain import explain, explain_payments, without_repeats
from growth_pipeline.audit.findings import (
    Finding,
    Verdict,
    count_by_code,
    count_by_severity,
    sort_findings,
    verdict_of,
    without_twins,
)
from growth_pipeline.audit.months.boundaries import BookedSums, boundaries_of
from growth_pipeline.audit.months.closing import Past
from growth_pipeline.audit.months.history import History, InHand, LedgerNews, earlier_of, tell
from growth_pipeline.audit.months.judged import in_order, still_open, unjudged_without
from growth_pipeline.audit.payments.earlier import remembered
from growth_pipeline.audit.payments.examine import Examination
from growth_pipeline.audit.payments.matching import Matcher
from growth_pipeline.audit.payments.totals import CurrencyTotals
from growth_pipeline.audit.payments.whereabouts import Desk, Records
from growth_pipeline.audit.queries import QueryEngine, Row
from growth_pipeline.audit.sections import View
from growth_pipeline.audit.sources import (
    ManifestReader,
    Problem,
    Sources,
    read_sources,
    source_reasons,
)
from growth_pipeline.audit.suppressions import Suppression, moved_in_sight, suppress
from growth_pipeline.audit.unasked import with_unasked
from growth_pipeline.audit.window import Window
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import UTC_NAME, Month, PeriodState, ZonedMonth

if TYPE_CHECKING:
    from growth_pipeline.audit.payments.books import BookedPayments
    from growth_pipeline.storage.engine import Spool

DEFINITION: Final = "audit@1"
_NAMESPACE: Final = uuid.UUID("6f4f2a3e-5d0c-5b7a-9a51-1c0f3f1f5f8e")


class Decisions(Protocol):
    """What is asked of people's decisions."""

    def suppressions(self, scope: Scope) -> list[Suppression]:
        """Decisions of an account and mode not to count some findings, lifted ones left out."""
        ...


class Books(Records, Protocol):
    """What is asked of the database: the books and the event ledger."""

    def booked_payments(
        self, scope: Scope, *, start: datetime, end: datetime, spool: Spool
    ) -> BookedPayments:
        """Booked rows of the range, and rows of other months that repeat one of them."""
        ...

    def invoice_intents(self, scope: Scope, invoices: Iterable[str]) -> dict[str, str]:
        """The one payment intent that paid each invoice, where the mirror knows it."""
        ...

    @property
    def ledger(self) -> LedgerReader:
        """Answers about how objects reached the database."""
        ...

    @property
    def decisions(self) -> Decisions:
        """What people decided about findings."""
        ...

    @property
    def history(self) -> MonthHistory:
        """Answers about the month over time."""
        ...


class MonthHistory(LedgerNews, BookedSums, Protocol):
    """What is asked of the database about a month over time."""


@dataclass(frozen=True)
class Audit:
    """One audit of one month, account and mode.

    Grain: one audit. Units: minor units by currency. `totals` is empty when there was no side to
    compare with; then the verdict is FAIL and the findings say which source is missing.
    `tz` is the zone the month is of. `changes` says what is new since the audit before, `close`
    what was frozen when the month was closed, `restatements` what changed since then, `boundaries`
    where the month begins and ends in its zone and in UTC. `unjudged`: classes that this audit
    did not judge, in table order; what was open of them stays open. `past` is what the store keeps
    of it.
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
    tz: str = "UTC"
    changes: Mapping[str, Any] | None = None
    close: Mapping[str, Any] | None = None
    restatements: tuple[Mapping[str, Any], ...] = ()
    boundaries: Mapping[str, Any] | None = None
    unjudged: tuple[str, ...] = ()
    past: Past = field(default_factory=Past, repr=False)

    @property
    def audit_id(self) -> uuid.UUID:
        """Name of this audit: the same run gives the same name, so that it is stored once."""
        return _audit_id(self.scope, ZonedMonth(self.month, self.tz), self.run_id, self.started_at)

    @property
    def counts(self) -> dict[str, int]:
        """Findings that count per code, in table order; suppressed ones are left out."""
        return count_by_code(one for one in self.findings if one.counts)

    @property
    def severities(self) -> dict[str, int]:
        """Findings that count per severity; all three keys."""
        return count_by_severity(one for one in self.findings if one.counts)

    @property
    def money_difference(self) -> dict[str, int]:
        """Booked net - Stripe net by currency."""
        return {currency: one.difference for currency, one in self.totals.items()}

    @property
    def impact_by_code(self) -> dict[str, dict[str, int]]:
        """Impact per code and currency, of findings whose impact is known; in table order."""
        impacts: dict[str, dict[str, int]] = {code: {} for code in count_by_code(self.findings)}
        for finding in self.findings:
            sums = impacts[finding.code]
            for currency, impact_minor in (finding.impacts or {}).items():
                sums[currency] = sums.get(currency, 0) + impact_minor
        return {code: dict(sorted(sums.items())) for code, sums in impacts.items()}


def _audit_id(
    scope: Scope, period: ZonedMonth, run_id: str | None, started_at: datetime
) -> uuid.UUID:
    parts = (*scope, period.month.key, run_id, started_at.isoformat())
    zone = () if period.tz == UTC_NAME else (period.tz,)
    return uuid.uuid5(_NAMESPACE, "|".join(map(str, (*parts, *zone))))


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
    tz: str = UTC_NAME,
    history: History | None = None,
) -> Audit:
    """The audit of one month, in UTC or another zone, of one account and mode. Reads only.

    `as_of` (exclusive) is an upper limit: the audit's own is the instant at which the month's
    oldest extract was read. Objects created less than `grace` before it are not judged.
    `confirm(resource, id)` asks Stripe about single objects that files cannot decide; without it
    the files decide alone. `now` is stated as the end of the audit. With `history` the audit tells
    what is new since the one before, looks again only at what moved, closes a month that is due
    (the one thing it writes), and compares a closed one.
    Raises: UsageError for an unknown zone; GrowthError when the database is away or the engine
    fails; a missing or damaged extract is a finding, not an error.
    """
    sources = read_sources(lake, scope, month, as_of, tz=tz)
    period = sources.period
    frame = Frame(scope, month, tz)
    window = _window(sources, grace)
    books = store.booked_payments(scope, start=period.start, end=period.end, spool=engine.spool())
    asker = Asker(confirm)
    deliveries = Deliveries(scope, store.ledger, engine, sources, read_event_files(lake, scope))
    result = _Result()
    matcher: Matcher | None = None
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
            earlier=earlier_of(history, store.history, scope, DEFINITION, sources.as_of),
        )
        result = _examine(desk, deliveries, frame)
    view = View(scope, month, window, sources, engine, store, asker, frame, deliveries, matcher)
    sections = without_repeats([examine(view) for examine in EXAMINERS], result.findings)
    sections = with_unasked(sections, asker.unasked)
    problems = [*sources.problems, *result.problems]
    problems += [problem for section in sections for problem in section.problems]
    problems += [Problem(resource, reason) for resource, reason in asker.failures.items()]
    findings = result.findings + [one for section in sections for one in section.findings]
    findings += [
        source_finding(resource, reason, frame)
        for resource, reason in source_reasons(problems).items()
    ]
    findings = explain(without_twins(findings), deliveries, month)
    unjudged = unjudged_without({problem.resource for problem in problems}).union(
        *(section.unjudged for section in sections)
    )
    before = history.previous.findings if history and history.previous else ()
    silent = {section.name for section in sections if section.is_silent}
    findings += still_open(before, findings, unjudged, sources.as_of, silent=silent)
    findings = suppress(findings, store.decisions.suppressions(scope), month, now.date())
    read = {"resource": "billing.payments", "rows": books.rows, "read_at": now.isoformat()}
    read |= {"not_judged": result.not_judged, "asked_stripe": asker.asked}
    read |= {"not_asked": asker.not_asked}
    read |= {"grace_minutes": int(grace.total_seconds() // 60)}
    verdict = verdict_of(
        findings,
        moved=moved_in_sight(
            {currency: one.moved for currency, one in result.totals.items()}, findings
        ),
        gross={c: one.stripe.gross_minor for c, one in result.totals.items()},
        remainders=[one.remainder for one in result.totals.values()],
    )
    hand = InHand(
        scope=scope,
        engine=engine,
        sources=sources,
        desk=result.desk,
        counted=result.counted,
        is_complete=not problems,
        grace=grace,
        now=now,
        audit_id=str(_audit_id(scope, period, run_id, started_at)),
        definition=DEFINITION,
        verdict=str(verdict),
    )
    told = tell(history, hand, findings)
    read |= {"state": told.state, "unjudged": list(in_order(unjudged))}
    return Audit(
        scope=scope,
        month=month,
        state=period.state(sources.as_of),
        as_of=sources.as_of,
        started_at=started_at,
        finished_at=now,
        grace=grace,
        verdict=verdict,
        findings=tuple(sort_findings(findings)),
        totals=result.totals,
        sources=(*sources.certificates(), read),
        run_id=run_id,
        sections=tuple(section.to_dict() for section in sections),
        tz=tz,
        changes=told.changes,
        close=told.past.close_dict(),
        restatements=tuple(told.past.entries()),
        boundaries=boundaries_of(
            period, scope, sources=sources, engine=engine, store=store.history
        ),
        unjudged=in_order(unjudged),
        past=told.past,
    )


def _window(sources: Sources, grace: timedelta) -> Window:
    return Window(
        start=int(sources.period.start.timestamp()),
        end=int(sources.period.end.timestamp()),
        as_of=int(sources.as_of.timestamp()),
        cutoff=int((sources.as_of - grace).timestamp()),
    )


@dataclass
class _Result:
    """What an examination came to; empty when there was nothing to compare with."""

    findings: list[Finding] = field(default_factory=list)
    totals: dict[str, CurrencyTotals] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    not_judged: int = 0
    counted: int = 0
    desk: Desk | None = None


def _examine(desk: Desk, deliveries: Deliveries, frame: Frame) -> _Result:
    examination = Examination(desk)
    judged = examination.run()
    explained = explain_payments(judged, deliveries, desk.matcher.parts, frame)
    findings = [
        remembered(finding, one.state, one.effects)
        for finding, one in zip(explained, judged, strict=True)
    ]
    findings += desk.earlier.taken
    findings += [
        stuck_refund_finding(refund, desk.window.as_of, frame)
        for refund in desk.matcher.stuck_refunds()
    ]
    findings += [orphan_part_finding(part, frame) for part in _orphan_parts(desk)]
    desk.ledger.add_sums("stripe", desk.matcher.fees())
    desk.ledger.explain(findings)
    totals = desk.ledger.totals()
    findings += [
        bridge_finding(currency, one.to_dict(), frame)
        for currency, one in totals.items()
        if one.remainder
    ]
    return _Result(findings, totals, desk.problems, examination.not_judged, len(judged), desk)


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


def with_artifacts(audit: Audit, artifacts: Mapping[str, str]) -> Audit:
    """The same audit, knowing where its reports lie."""
    return replace(audit, artifacts={**audit.artifacts, **artifacts})
