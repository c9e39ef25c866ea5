"""The digest of a week: what is published is read, and becomes facts.

Only complete weeks are compared; what is not known up to a week's end is open, with the reason.
Contract: docs/insights.md, "The digest".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from growth_pipeline.events.catalogue.registry import EVENTS
from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.digest.money import mrr_series, payment_series
from growth_pipeline.insights.digest.people import (
    RETENTION_DAYS,
    active_series,
    last_calendar_end,
    lifecycle_series,
    retention_series,
    signup_series,
)
from growth_pipeline.insights.digest.product import event_series, funnel_series
from growth_pipeline.insights.digest.restated import restated_since
from growth_pipeline.insights.digest.weeks import (
    WEEK_DAYS,
    Weeks,
    last_week_end,
    local_day,
)
from growth_pipeline.insights.facts import (
    Digest,
    Group,
    Kind,
    Point,
    Series,
    Source,
    State,
    Status,
    Unit,
)
from growth_pipeline.revenue.from_files.definition import MovementsDefinition
from growth_pipeline.revenue.from_files.identities import BrokenIdentityError
from growth_pipeline.revenue.movements_store import PublishedPolicy
from growth_pipeline.revenue.published.answer import movements_of_spells

if TYPE_CHECKING:
    from growth_pipeline.insights.digest_store import DigestStore
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.storage.engine import Engine

__all__ = ["DIGEST_VERSION", "DigestSources", "last_week_end", "measure_digest"]

DIGEST_VERSION: Final = "digest@1"
LEAST_WEEKS: Final = 8
_FUNNEL_REACH: Final = timedelta(days=400)
_SEVERITIES: Final = ("HIGH", "MEDIUM", "LOW")
_VERDICTS: Final = ("FAIL", "WARNING", "PASS")


@dataclass(frozen=True, kw_only=True)
class DigestSources:
    """What facts are read from, and in which zones and weeks.

    `policy`: name of the published policy of MRR, as `growth@1`. `revenue_tz`: zone of money;
    `activity_tz`: of users and events. `week_start`: of the report; `cohort_entry`: whose
    retention is told.
    """

    store: DigestStore
    movements: MovementsStore
    engine: Engine
    policy: str
    revenue_tz: str
    activity_tz: str
    week_start: str
    cohort_entry: str = "signup"


def measure_digest(
    sources: DigestSources,
    *,
    week_end: date,
    weeks: int,
    now: datetime,
    previous: Mapping[str, Any] | None = None,
) -> Digest:
    """All facts of `weeks` weeks that end with `week_end` (exclusive), as they are known now.

    `previous`: the digest of an earlier week, for what changed in past numbers.
    Raises: RemoteUnavailableError; BrokenIdentityError when movements do not add up.
    """
    measuring = _Measuring(sources, week_end, max(weeks, LEAST_WEEKS) + 1, now)
    series = [one for one in measuring.all_series() if one.points]
    facts = facts_of(series)
    since = datetime.fromisoformat(previous["made_at"]) if previous else now
    return Digest(
        week_start=week_end - timedelta(days=WEEK_DAYS),
        week_end=week_end,
        weeks=weeks,
        made_at=now,
        facts=facts,
        statuses=tuple(measuring.statuses()),
        restated=restated_since(
            previous,
            facts,
            restated_currencies={
                row["currency"] for row in sources.store.restated_mrr(sources.policy, since)
            },
        ),
        notes=tuple(measuring.notes),
        options={
            "version": DIGEST_VERSION,
            "policy": sources.policy,
            "revenue_timezone": sources.revenue_tz,
            "activity_timezone": sources.activity_tz,
            "week_start": sources.week_start,
            "cohort_entry": sources.cohort_entry,
        },
    )


@dataclass
class _Measuring:
    """One digest at work. `count`: periods that are read."""

    sources: DigestSources
    week_end: date
    count: int
    now: datetime
    notes: list[str] = field(default_factory=list)

    def all_series(self) -> Iterator[Series]:
        yield from self._mrr()
        yield from self._payments()
        yield from self._signups()
        yield from self._activity()
        yield from self._retention()
        yield from self._events()
        yield from self._funnels()
        yield from self._audit()

    def _weeks(self, tz: str, as_of: datetime | None) -> Weeks:
        return Weeks.before(self.week_end, self.count, tz=tz, as_of=as_of)

    # --- money ---------------------------------------------------------------------------------

    def _mrr(self) -> Iterator[Series]:
        given = self.sources
        row = given.store.policy(given.policy)
        if row is None:
            self.notes.append(
                f"MRR under the policy {given.policy} is not published: growth mrr refresh does so."
            )
            return
        begins = given.store.mrr_begins(given.policy)
        first = min(begins.values(), default=None)
        if first is None:
            self.notes.append("No subscription ever had MRR.")
            return
        weeks = self._weeks(row["tz"], row["as_of"]).since(first)
        if self._is_short("MRR", first, weeks):
            return
        source = Source(
            "revenue.mrr_spells", row["tz"], row["as_of"], given.policy, row["inputs_sha256"][:16]
        )
        try:
            answer = self._movements(PublishedPolicy(given.policy, row["tz"], row["as_of"]), weeks)
        except BrokenIdentityError as error:
            self.notes.append(f"MRR is left out, its movements do not add up: {error.message}.")
            return
        series = list(mrr_series(weeks, source, answer.periods, answer.movements))
        yield from self._agreeing(series, given.policy)
        self.notes += answer.notes

    def _agreeing(self, series: Sequence[Series], policy: str) -> Iterator[Series]:
        """Without the movements of a currency whose MRR by day is another one, and with a note."""
        day = timedelta(days=1)
        stocks = {one.currency: one for one in series if one.family == "mrr"}
        ends = sorted({point.end - day for one in stocks.values() for point in one.points})
        told = self.sources.store.mrr_at(policy, ends)
        wrong = {
            currency
            for currency, one in stocks.items()
            for point in one.points
            if point.state is State.CLOSED
            and point.value != told.get((currency, point.end - day), 0)
        }
        for currency in sorted(wrong):
            self.notes.append(
                f"MRR by week and by day differ in {currency}, so its movements are left out: "
                "growth mrr refresh publishes both again."
            )
        for one in series:
            if not (one.part_of and one.currency in wrong):
                yield one

    def _movements(self, policy: PublishedPolicy, weeks: Weeks) -> Any:
        definition = MovementsDefinition(
            as_of=policy.as_of,
            grain="week",
            tz=policy.tz,
            week_start=self.sources.week_start,
            first=weeks.first,
            last=weeks.end - timedelta(days=1),
        )
        with self.sources.engine.spool() as spool:
            spells = self.sources.movements.read_spells(spool, policy)
            return movements_of_spells(self.sources.engine, spool, spells, definition)

    def _payments(self) -> Iterator[Series]:
        """Known as far as sweeps have read Stripe; without any, nobody knows what is missing."""
        store, tz = self.sources.store, self.sources.revenue_tz
        first, swept_to = store.payments_known()
        if first is None:
            self.notes.append("The books hold no settled payment: growth backfill brings them.")
            return
        as_of = swept_to or self.now
        weeks = self._weeks(tz, as_of).since(local_day(tz, first))
        if not self._is_short("Payments", local_day(tz, first), weeks):
            source = Source("billing.payments", tz, as_of)
            rows = store.payments(tz, weeks.starts_at, weeks.ends_at)
            yield from payment_series(weeks, source, rows)

    def _is_short(self, what: str, first: date, weeks: Weeks) -> bool:
        """Whether no whole week of something is over; a note says so."""
        if not weeks.spans:
            self.notes.append(f"{what} begin on {first}: no whole week of the report is over.")
        return not weeks.spans

    # --- users ---------------------------------------------------------------------------------

    def _signups(self) -> Iterator[Series]:
        store = self.sources.store
        known = store.cohorts_known(self.sources.cohort_entry) or store.cohorts_known("signup")
        if known is None:
            self.notes.append("Cohorts are not published: growth cohorts refresh does so.")
            return
        first = store.first_signup()
        if first is None:
            self.notes.append("Nobody has signed up yet.")
            return
        tz = self._zone(known)
        weeks = self._weeks(tz, known["as_of"]).since(first)
        if not self._is_short("Sign-ups", first, weeks):
            source = Source("cohorts.user_cohorts", tz, known["as_of"])
            yield signup_series(weeks, source, store.signups(weeks.first, weeks.end))

    def _activity(self) -> Iterator[Series]:
        store = self.sources.store
        known = {row["question"]: row for row in store.questions() if not row["name"]}
        if "active_users" not in known:
            self.notes.append("Active users are not published: growth cohorts activity does so.")
            return
        row, first = known["active_users"], store.first_active_day()
        tz = self._zone(row)
        weeks = self._weeks(tz, row["as_of"]).since(first)
        if first is None:
            self.notes.append("Nobody has been active yet.")
        elif not self._is_short("Active users", first, weeks):
            source = Source("cohorts.active_users", tz, row["as_of"], receipt_id=_receipt(row))
            rows = store.active(weeks.first, weeks.end)
            yield from active_series(weeks, source, rows)
        if "lifecycle" in known:
            yield from self._lifecycle(known["lifecycle"])

    def _lifecycle(self, row: Mapping[str, Any]) -> Iterator[Series]:
        newest = last_calendar_end(self.week_end, str(row["options"].get("week_start", "monday")))
        first = newest - timedelta(days=WEEK_DAYS * self.count)
        begins = self.sources.store.first_active_day()
        rows = [
            one
            for one in self.sources.store.lifecycle(first, newest)
            if begins is not None and one["period_start"] >= begins
        ]
        source = Source(
            "cohorts.lifecycle", self._zone(row), row["as_of"], receipt_id=_receipt(row)
        )
        yield from lifecycle_series(source, rows, newest_end=newest)

    def _retention(self) -> Iterator[Series]:
        store, entry = self.sources.store, self.sources.cohort_entry
        known = store.cohorts_known(entry)
        if known is None:
            return  # said of sign-ups
        tz = self._zone(known)
        weeks = self._weeks(tz, known["as_of"])
        rows = store.retention(entry, RETENTION_DAYS, weeks.first, weeks.end)
        source = Source("cohorts.retention_metrics", tz, known["as_of"], receipt_id=_receipt(known))
        yield from retention_series(weeks, source, rows, known["first_day"])

    def _zone(self, row: Mapping[str, Any]) -> str:
        """The zone in which something was published; that of the settings may be a new one."""
        return str(row["options"].get("tz") or self.sources.activity_tz)

    # --- product -------------------------------------------------------------------------------

    def _events(self) -> Iterator[Series]:
        store, tz = self.sources.store, self.sources.activity_tz
        weeks = self._weeks(tz, self.now)
        is_older, has_excluded = store.events_known(weeks.starts_at)
        rows = store.events(tz, weeks.starts_at, weeks.ends_at, excludes=has_excluded)
        if not is_older:
            first = min((row["day"] for row in rows), default=None)
            if first is None:
                self.notes.append("No product event came: docs/events.md says how they are told.")
                return
            weeks = weeks.since(first)
            if self._is_short("Events", first, weeks):
                return
        yield from event_series(
            weeks, Source("activity.source_events", tz, self.now), rows, _categories()
        )

    def _funnels(self) -> Iterator[Series]:
        store = self.sources.store
        sources = {
            row["name"]: Source(
                "cohorts.funnels", self._zone(row), row["as_of"], receipt_id=_receipt(row)
            )
            for row in store.questions()
            if row["question"] == "funnel"
        }
        rows = store.funnels(self.week_end - _FUNNEL_REACH, self.week_end)
        told = [row for row in rows if row["funnel"] in sources]
        yield from funnel_series(sources, told, count=self.count, newest_end=self.week_end)

    # --- statuses ------------------------------------------------------------------------------

    @cached_property
    def _audits(self) -> dict[date, _MonthAudit | None]:
        """The month of the last day and the one before, the newer first, as last audited."""
        running = (self.week_end - timedelta(days=1)).replace(day=1)
        before = (running - timedelta(days=1)).replace(day=1)
        rows = self.sources.store.audits([before, running])
        return {
            month: _MonthAudit.of([row for row in rows if row["month"] == month])
            for month in (running, before)
        }

    def _audit(self) -> Iterator[Series]:
        """Findings that are open now; there is no history of them, so nothing is compared."""
        audited = [one for one in self._audits.values() if one is not None]
        if not audited:
            return
        week = self.week_end - timedelta(days=WEEK_DAYS)
        findings = sum(one.findings["HIGH"] for one in audited)
        yield Series(
            fact_id="audit.high",
            group=Group.REVENUE,
            family="audit",
            label="Open HIGH findings of the revenue audit",
            kind=Kind.STOCK,
            unit=Unit.COUNT,
            noun="findings",
            more_is="bad",
            points=(Point(week, self.week_end, findings),),
            source=Source("audit.findings", "UTC", min(one.as_of for one in audited)),
        )

    def statuses(self) -> Iterator[Status]:
        """What the newest audits of the running month and the one before said."""
        for month, one in self._audits.items():
            if one is None:
                self.notes.append(
                    f"{month:%Y-%m} was not audited: growth audit --month {month:%Y-%m}."
                )
                continue
            told = ", ".join(f"{count} {severity}" for severity, count in one.findings.items())
            yield Status(
                status_id=f"audit.{month:%Y-%m}",
                label=f"Revenue audit of {month:%Y-%m}",
                value=one.verdict,
                detail=f"{told} open",
                as_of=one.as_of,
            )


@dataclass(frozen=True)
class _MonthAudit:
    """The newest audits of a month, of all accounts together: the worst verdict counts."""

    verdict: str
    findings: Mapping[str, int]
    as_of: datetime

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> _MonthAudit | None:
        if not rows:
            return None
        open_of = [row["open_findings"] or {} for row in rows]
        return cls(
            verdict=min((row["verdict"] for row in rows), key=_VERDICTS.index),
            findings={name: sum(one.get(name, 0) for one in open_of) for name in _SEVERITIES},
            as_of=min(row["as_of"] for row in rows),
        )


def _receipt(row: Mapping[str, Any]) -> str:
    """Names what was published: the question with every option, and how far it is known."""
    said = orjson.dumps([row["options"], row["as_of"]], option=orjson.OPT_SORT_KEYS)
    return sha256(said).hexdigest()[:16]


def _categories() -> dict[str, str]:
    """Name of each event of the catalogue -> its category."""
    return {model.about.event: str(model.about.category) for model in EVENTS}
