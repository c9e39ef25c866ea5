"""When the audit runs: every midnight UTC, for the month that ran and, at first, the one before.

Older months are audited again every Sunday, and sooner after a late refund or dispute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import dagster as dg

from growth_pipeline.billing.resources import database_url
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.periods import UTC_NAME, Month, ZonedMonth, zone_of
from growth_pipeline.settings import load_settings

AUDIT_DAY_TAG = "growth/audit_day"
FIRST_EXTRACT = dg.AssetKey(["billing", "charges_extract"])
_SUNDAY = 7  # ISO
_LATE_REACH = 12  # months back in which a refund or dispute is looked for every day
_AFTER_ALL_ELSE = {"dagster/priority": "-10"}
_CLOSING_TURNS = timedelta(days=2)  # a second midnight, should Stripe be away at the first

# Not billing/payments: booking again from the mirror would repair the very rows that are judged.
audit_job = dg.define_asset_job(
    "audit_job",
    selection=dg.AssetSelection.assets(dg.AssetKey(["audit", "report"])).upstream()
    - dg.AssetSelection.assets(dg.AssetKey(["billing", "payments"]))
    | dg.AssetSelection.checks_for_assets(dg.AssetKey(["billing", "inbox"])),
    description="All that the audit of one month needs: extracts, mirror, audit, report.",
    tags={"dagster/max_runtime": "7200"},
)


clean_reports_job = dg.define_asset_job(
    "clean_reports_job",
    selection=dg.AssetSelection.assets(dg.AssetKey(["audit", "kept_reports"])),
    description="Removes reports that are older than reports.keep_days and that nothing keeps.",
    tags={"dagster/max_runtime": "3600"},
)

weekly_report_cleaning_schedule = dg.ScheduleDefinition(
    name="weekly_report_cleaning_schedule",
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    job=clean_reports_job,
    description="Sundays at 03:00 UTC: removes reports that are too old and that nothing keeps.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def due_months(
    day: date, *, previous_month_days: int, close_after_days: int, tz: str = UTC_NAME
) -> list[Month]:
    """Months of a zone to audit at the UTC midnight that begins a day, the newest first.

    The month that was running a moment ago, and on the first days of a month the one before: at
    the very start of a month there is nothing in it yet, and late facts still reach the last one.
    Once more on the first two midnights at which the month before may be closed.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    running = ZonedMonth.of(midnight, tz)
    months = {ZonedMonth.of(midnight - timedelta(seconds=1), tz).month}
    before = ZonedMonth(running.month.previous, tz)
    closes_from = before.end + timedelta(days=close_after_days)
    if _day_in(midnight, tz) <= previous_month_days or _just_passed(closes_from, midnight):
        months.add(before.month)
    return sorted(months, reverse=True)


def _day_in(instant: datetime, tz: str) -> int:
    """Day of the month that a zone's clocks show."""
    return instant.astimezone(zone_of(tz)).day


def _just_passed(instant: datetime, midnight: datetime) -> bool:
    return instant <= midnight < instant + _CLOSING_TURNS


def due_by_settings(day: date) -> list[Month]:
    """`due_months` as the settings have it."""
    audit = load_settings().audit
    return due_months(
        day,
        previous_month_days=audit.previous_month_days,
        close_after_days=audit.close_after_days,
        tz=audit.time_zone,
    )


def request_audit(month: Month, day: date, *, kind: str) -> dg.RunRequest:
    """One audit of one month for one day; asked for twice it runs once."""
    return dg.RunRequest(
        run_key=f"{kind}:{day.isoformat()}:{month.key}",
        partition_key=month.key,
        tags={AUDIT_DAY_TAG: day.isoformat()},
    )


@dg.schedule(
    name="daily_audit_schedule",
    cron_schedule="0 0 * * *",
    execution_timezone="UTC",
    job=audit_job,
    description="Midnight UTC: audits the running month and, in its first days, the one before.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_audit_schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run a month that is due."""
    day = context.scheduled_execution_time.astimezone(UTC).date()
    for month in due_by_settings(day):
        yield request_audit(month, day, kind="daily")


def older_months(
    day: date, *, count: int, first: Month, due: Collection[Month], tz: str = UTC_NAME
) -> list[Month]:
    """The last `count` months of a zone before the running one, the newest first.

    Without those of `due`, which the day's own audits cover, and none before `first`.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    newest_first = islice(_before(ZonedMonth.of(midnight, tz).month, first), count)
    return [month for month in newest_first if month not in due]


def _before(month: Month, first: Month) -> Iterator[Month]:
    while month > first:
        month = month.previous
        yield month


def older_by_settings(day: date) -> list[Month]:
    """`older_months` as the settings have it."""
    settings = load_settings()
    return older_months(
        day,
        count=settings.audit.older_months,
        first=Month.parse(settings.history_start),
        due=due_by_settings(day),
        tz=settings.audit.time_zone,
    )


def request_older_audit(month: Month, day: date) -> dg.RunRequest:
    """One more audit of an older month: once a week on Sundays, once a day on others.

    It waits for every other run, and is no daily audit: a lack of those must not go unnoticed.
    """
    year, week, weekday = day.isocalendar()
    turn = f"{year}-W{week:02d}" if weekday == _SUNDAY else day.isoformat()
    return dg.RunRequest(
        run_key=f"older:{turn}:{month.key}", partition_key=month.key, tags=_AFTER_ALL_ELSE
    )


@dg.schedule(
    name="older_months_audit_schedule",
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    job=audit_job,
    description="03:00 UTC: audits the last GROWTH_AUDIT__OLDER_MONTHS months again, on Sundays "
    "all of them, on other days those with a refund or dispute since their last audit.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def older_months_audit_schedule(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run a month, the newest first. A Sunday does not ask the database."""
    if context.instance.get_latest_materialization_event(FIRST_EXTRACT) is None:
        return dg.SkipReason("nothing was extracted yet")
    day = context.scheduled_execution_time.astimezone(UTC).date()
    months = older_by_settings(day)
    if day.isoweekday() != _SUNDAY:
        try:
            months = _changed_late(months[:_LATE_REACH])
        except GrowthError as error:  # the next Sunday covers it
            return dg.SkipReason(f"the database cannot say what changed: {error.message}")
    if not months:
        return dg.SkipReason("no older month is to be audited again")
    return [request_older_audit(month, day) for month in months]


def _changed_late(months: Sequence[Month]) -> list[Month]:
    """Those of the months that a refund or dispute reached since their last audit."""
    if not months:
        return []
    from growth_pipeline.audit.months.late_store import late_months  # brings psycopg
    from growth_pipeline.storage.postgres import Database  # brings psycopg

    settings = load_settings()
    tz = settings.audit.time_zone
    first, end = ZonedMonth(min(months), tz), ZonedMonth(max(months).next, tz)
    with Database(database_url(settings), application_name="growth dagster") as database:
        changed = late_months(database, settings.stripe.scopes[0], first, end)
    return [month for month in months if month in changed]
