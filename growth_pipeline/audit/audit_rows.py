"""Audits and findings as their tables hold them, and back. No statement, no rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.findings import Finding, Verdict
from growth_pipeline.audit.months.closing import Past
from growth_pipeline.audit.months.history_store import dump, month_key
from growth_pipeline.audit.payments.totals import CurrencyTotals
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import PeriodState, ZonedMonth
from growth_pipeline.storage.postgres import raw_json


def audit_row(audit: Audit) -> dict[str, Any]:
    """What the table of audits holds of one."""
    return {
        **month_key(audit.scope, ZonedMonth(audit.month, audit.tz)),
        "audit_id": audit.audit_id,
        "definition": audit.definition,
        "state": str(audit.state),
        "as_of": audit.as_of,
        "started_at": audit.started_at,
        "finished_at": audit.finished_at,
        "verdict": str(audit.verdict),
        "counts": raw_json(dump(audit.counts)),
        "totals": raw_json(
            dump({currency: one.to_dict() for currency, one in audit.totals.items()})
        ),
        "sources": raw_json(dump(list(audit.sources))),
        "artifacts": raw_json(dump(dict(audit.artifacts))),
        "sections": raw_json(dump(list(audit.sections))),
        "changes": audit.changes and raw_json(dump(dict(audit.changes))),
        "boundaries": audit.boundaries and raw_json(dump(dict(audit.boundaries))),
        "close": audit.close and raw_json(dump(dict(audit.close))),
        "run_id": audit.run_id,
    }


def audit_of(
    row: Mapping[str, Any],
    *,
    scope: Scope,
    period: ZonedMonth,
    findings: Iterable[Finding],
    past: Past,
) -> Audit:
    """A stored audit with its findings; close and log are those of now."""
    books = row["sources"][-1]
    return Audit(
        scope=scope,
        month=period.month,
        state=PeriodState(row["state"]),
        as_of=row["as_of"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        grace=timedelta(minutes=books["grace_minutes"]),
        verdict=Verdict(row["verdict"]),
        findings=tuple(findings),
        totals={
            currency: CurrencyTotals.from_dict(stored)
            for currency, stored in sorted(row["totals"].items())
        },
        sources=tuple(row["sources"]),
        run_id=row["run_id"],
        definition=row["definition"],
        artifacts=row["artifacts"],
        sections=tuple(row["sections"]),
        tz=period.tz,
        changes=row["changes"],
        close=row["close"] if past.close else None,
        restatements=tuple(past.entries()),
        boundaries=row["boundaries"],
        unjudged=tuple(books.get("unjudged", ())),
        past=past,
    )


def finding_of(row: Mapping[str, Any]) -> Finding:
    """A stored finding; the impact in every currency lies in its evidence."""
    evidence = dict(row["evidence"])
    impacts = evidence.pop("impacts_minor", None)
    return Finding(
        code=row["code"],
        severity=Severity(row["severity"]),
        object=row["object"],
        object_id=row["object_id"],
        currency=row["currency"],
        impacts=impacts,
        also=tuple(row["also"]),
        cause=Cause(row["cause"]),
        action=row["action"],
        command=row["command"],
        evidence=evidence,
        fingerprint=row["fingerprint"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        owner=row["owner"],
        suppression=row["suppression"],
    )
