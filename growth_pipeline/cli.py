"""The `growth` command: parse, call, print. Never a rule.

Data goes to stdout, progress and messages to stderr. Everything heavy is imported inside the
command that needs it, so that `growth --help` answers at once. Contract: docs/cli.md.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from growth_pipeline.cohorts.active_users.commands import active_users
from growth_pipeline.cohorts.funnel.commands import funnel
from growth_pipeline.cohorts.retention.commands import retention
from growth_pipeline.core.errors import ExitCode, GrowthError, UsageError
from growth_pipeline.core.terminal import emit, emit_json, say
from growth_pipeline.events.commands import events_app
from growth_pipeline.operate.events.commands import dead_letters_app, keys_app
from growth_pipeline.operate.fx.commands import fx_app
from growth_pipeline.operate.insights.commands import insights_app
from growth_pipeline.operate.lifecycle.commands import lifecycle_app
from growth_pipeline.operate.published import (
    answer_active_users,
    answer_funnel,
    file_or_published,
)
from growth_pipeline.operate.revenue.commands import (
    bridge,
    metrics,
    refresh,
    restatements,
    verify,
)
from growth_pipeline.operate.revenue.movements import OPTIONS as MOVEMENT_OPTIONS
from growth_pipeline.operate.revenue.movements import answer_movements
from growth_pipeline.revenue.from_files.commands import movements
from growth_pipeline.revenue.items.commands import normalise

if TYPE_CHECKING:
    from growth_pipeline.operate.demo import Card
    from growth_pipeline.operate.doctor import Check
    from growth_pipeline.operate.findings import Done
    from growth_pipeline.operate.home import Home
    from growth_pipeline.settings import Settings

app = typer.Typer(
    name="growth",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the boxes alone cost 0.2 s
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Growth and revenue pipeline: mirrors Stripe and checks that the books agree with it.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 audit FAIL, 4 audit WARNING under "
    "--strict, 5 configuration missing or wrong, 6 remote system unavailable (retry helps).",
)
config_app = typer.Typer(
    help="Settings: what holds, and an example file.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")
webhooks_app = typer.Typer(
    help="Received events: dead letters, replay, trace.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(webhooks_app, name="webhooks")
mirror_app = typer.Typer(
    help="The mirror of Stripe: rebuild it.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(mirror_app, name="mirror")
findings_app = typer.Typer(
    help="What audits found: list, show, suppress, own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(findings_app, name="findings")
reports_app = typer.Typer(
    help="Stored reports: what there is, and cleaning.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(reports_app, name="reports")
alerts_app = typer.Typer(
    help="Alerts: what waits, and whether it arrives.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(alerts_app, name="alerts")
app.add_typer(events_app, name="events")
events_app.add_typer(keys_app, name="keys")
events_app.add_typer(dead_letters_app, name="dead-letters")
cohorts_app = typer.Typer(
    help="Cohorts and retention that are published: refresh them, write the report.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cohorts_app, name="cohorts")
mrr_app = typer.Typer(
    help="Monthly recurring revenue: movements, and what one subscription item is worth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(mrr_app, name="mrr")
app.add_typer(fx_app, name="fx")
app.add_typer(insights_app, name="insights")
app.add_typer(lifecycle_app, name="lifecycle")
mrr_app.command("movements")(
    file_or_published(movements, answer_movements, file="periods", asks=MOVEMENT_OPTIONS)
)
mrr_app.command("normalise")(normalise)
mrr_app.command("bridge")(bridge)
mrr_app.command("refresh")(refresh)
mrr_app.command("restatements")(restatements)
app.command("metrics")(metrics)
app.command("active-users")(
    file_or_published(
        active_users,
        answer_active_users,
        file="activity",
        asks=("kind", "grain", "windows", "first", "last", "segment", "form", "as_json", "output"),
    )
)
app.command("verify")(verify)
app.command("funnel")(
    file_or_published(
        funnel,
        answer_funnel,
        file="events",
        asks=("name", "grain", "first", "last", "segment", "form", "as_json", "output"),
    )
)
app.command("retention")(retention)

_GLOBAL_FLAGS = ("--debug", "--no-color")
_CARD_PROBLEMS = 10
_CARD_WIDTH = 120


class ReportFormat(StrEnum):
    """Faces of a report."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")
]


@app.callback(invoke_without_command=True)
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours; so does NO_COLOR.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Options of every command."""
    del debug, no_color  # `main` takes them out of the arguments, so that they may stand anywhere
    if version:
        from growth_pipeline import __version__

        emit(__version__)
        raise typer.Exit


@app.command()
def demo(
    *,
    months: Annotated[int, typer.Option(min=1, max=60, help="Months of history.")] = 13,
    customers: Annotated[int, typer.Option(min=1, help="Customers of the company.")] = 80,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the web app; 0: any.")] = 8600,
    dagster_port: Annotated[int, typer.Option(help="Port of Dagster's UI; 0: any.")] = 3000,
    reset: Annotated[bool, typer.Option("--reset", help="Forget the last demo first.")] = False,
    exit_when_green: Annotated[
        bool,
        typer.Option(
            "--exit-when-green",
            help="End with 0 once every planted fault is found and nothing else; else with 1.",
        ),
    ] = False,
) -> None:
    """Show it all on a simulated company.

    Needs no keys and no network; everything stays in the state folder. Ctrl-C ends it.
    """
    from growth_pipeline.operate.demo import DemoOptions, run_demo

    chosen = DemoOptions(months, customers, seed, port, dagster_port, reset, exit_when_green)
    raise typer.Exit(run_demo(chosen, say=say, show=_show_card))


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Check this installation; each fault with its fix."""
    from growth_pipeline.operate.doctor import examine, exit_code_of

    results = list(examine())
    if as_json:
        emit_json([result.as_dict() for result in results])
    else:
        for result in results:
            _print_check(result)
    raise typer.Exit(exit_code_of(results))


@app.command()
def migrate(dry_run: DryRunFlag = False, as_json: JsonFlag = False) -> None:
    """Bring the database to this version's schema.

    Forward only. Killed anywhere, it is run again.
    """
    from growth_pipeline.operate.home import migrate_home, open_home
    from growth_pipeline.storage.migrations import head, pending

    with open_home() as home:
        waiting = pending(home.database_url)
        applied = [] if dry_run else migrate_home(home, explicitly=True)
    document = {"head": head(), "pending": waiting, "applied": applied, "dry_run": dry_run}
    if as_json:
        emit_json(document)
    elif not waiting:
        emit(f"up to date: {head()}")
    else:
        verb = "would apply" if dry_run else "applied"
        emit("\n".join(f"{verb} {name}" for name in (waiting if dry_run else applied)))


@app.command()
def audit(
    *,
    month: Annotated[str, typer.Option(help="Month to audit: 2025-10.")],
    tz: Annotated[
        str,
        typer.Option(help="Zone whose month it is (Europe/Berlin); default: audit.time_zone."),
    ] = "",
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Write the report into this file instead of stdout; may be repeated."),
    ] = None,
    report_format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Report as; default: by the file's ending, else md."),
    ] = None,
    github_summary: Annotated[
        bool,
        typer.Option("--github-summary", help="Also append it to the summary of the GitHub job."),
    ] = False,
    as_json: JsonFlag = False,
    dry_run: DryRunFlag = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 4 when the verdict is WARNING.")
    ] = False,
) -> None:
    """Compare a month's booked payments with Stripe.

    Reports every difference. The run stands in Dagster's history like one started in its UI.
    Exit code 3: verdict FAIL.
    """
    from growth_pipeline.core.periods import Month
    from growth_pipeline.operate import audit as operate

    now = datetime.now(UTC)
    chosen = operate.month_to_audit(Month.parse(month), now=now, tz=tz)
    targets = [operate.check_output(path) for path in output or ()]
    summary = operate.summary_file() if github_summary else None
    wanted: list[Path | None] = [*targets] or [None]
    faces = [_face(report_format, path, as_json=as_json) for path in wanted]
    report = operate.audit_month(chosen, now=now, dry_run=dry_run, say=say)
    for target, face in zip(targets, faces, strict=False):
        report.write(target, face)
        say(f"report written to {target}")
    if summary is not None:
        report.append_summary(summary)
    if as_json:
        emit(report.text("json"))
    elif not targets:
        emit(report.text(faces[0]))
    raise typer.Exit(report.exit_code(strict=strict))


@app.command()
def backfill(
    *,
    since: Annotated[str, typer.Option(help="First month (2025-10) or day (2025-10-05), in UTC.")],
    until: Annotated[
        str | None,
        typer.Option(help="Last month, included; or a day, not included. Default: this month."),
    ] = None,
    objects: Annotated[
        str | None, typer.Option(help="Only these, by commas: charges,refunds. Default: all.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; else it is a dry run.")] = False,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring Stripe's history into the mirror.

    Without --apply it is a dry run: it reads everything, prints what would change row by row and
    in money, and changes nothing.
    """
    from growth_pipeline.operate import backfill as operate

    if apply and dry_run:
        raise UsageError(
            "--apply and --dry-run exclude each other",
            remedy="look at the dry run first, then give --apply alone",
        )
    wanted = operate.Wanted(since, until, objects, apply)
    report = operate.backfill(wanted, now=datetime.now(UTC), say=say)
    if as_json:
        emit_json(report.document)
    else:
        emit(report.page)
    raise typer.Exit(report.exit_code)


@app.command()
def repair(
    *,
    month: Annotated[
        str | None, typer.Option(help="Month whose open findings are repaired: 2025-10.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option(help="Zone whose month it is; default: as audits have it.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this class of finding; may be repeated.")
    ] = None,
    undo: Annotated[
        str | None, typer.Option(metavar="ID", help="Put back the booked rows of a repair.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Carry out the plan that was shown last.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the plan into this file: .json, else Markdown.")
    ] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Mend what an audit found: show the plan, then carry it out.

    Without --apply it prints every row that would change and the money of it, and changes nothing.
    With --apply it does exactly that in one transaction; if anything changed since it was shown,
    it prints the new plan and ends with code 1.
    """
    from growth_pipeline.operate import repair as operate

    for one, other, both in (
        ("--apply", "--dry-run", apply and dry_run),
        ("--month", "--undo", month is not None and undo is not None),
        ("--apply", "--undo", apply and undo is not None),
    ):
        if both:
            raise UsageError(f"{one} and {other} exclude each other", remedy="leave one out")
    if output is not None and output.suffix.lower() not in {"", ".md", ".json"}:
        raise UsageError(
            f"a plan cannot be written as {output.suffix}", remedy="name the file .md or .json"
        )
    if month is None and undo is None:
        raise UsageError(
            "name a month to repair, or a repair to undo",
            remedy="growth repair --month 2025-10, look at it, then the same with --apply; "
            "or growth repair --undo ID",
        )
    now = datetime.now(UTC)
    if undo is not None:
        report = operate.undo(undo, now=now, dry_run=dry_run, say=say)
    else:
        wanted = operate.wanted(month, tz=tz, only=only, apply=apply, dry_run=dry_run, now=now)
        target = operate.check_output(output) if output else None
        report = operate.repair(wanted, now=now, say=say)
        report.write(target, say=say)
    if as_json:
        emit_json(report.document)
    elif output is None:
        emit(report.page)
    raise typer.Exit(report.exit_code)


@app.command()
def serve(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Dagster's UI and its daemon too.")
    ] = False,
) -> None:
    """Run the web app: webhook receiver and pages."""
    from growth_pipeline.operate import serve as operate

    _supervised(lambda home, given: operate.serve(home, given, with_dagster=everything, say=say))


@app.command()
def dev() -> None:
    """Run all parts, reloading changed code."""
    from growth_pipeline.operate import serve as operate

    _supervised(lambda home, settings: operate.develop(home, settings, say=say))


@app.command()
def adopt(
    *,
    users: Annotated[str | None, typer.Option(help="Table of users (auth.users).")] = None,
    id: Annotated[str, typer.Option("--id", help="Its column of the id.")] = "id",
    created: Annotated[str, typer.Option(help="Its column of the sign-up.")] = "created_at",
    email: Annotated[str | None, typer.Option(help="Its column of the e-mail address.")] = None,
    activity: Annotated[
        list[str] | None,
        typer.Option(
            help="Table of activity and its columns: app.sessions?user=user_id&at=started_at"
            "&event=name&received=stored_at; the last two may be missing. May be repeated."
        ),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Its column by which cohorts may be split (plan). May be repeated."),
    ] = None,
    trigger: Annotated[
        bool,
        typer.Option("--trigger", help="Put a trigger on the table of users, which never fails."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the SQL.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take users and activity from tables of your own; nothing is written to them."""
    from growth_pipeline.operate import activity as operate

    adopted = operate.adopt(
        users=users,
        id=id,
        created=created,
        email=email,
        activity=activity or [],
        segments=segment or [],
        trigger=trigger,
        dry_run=dry_run,
        say=say,
    )
    if as_json:
        emit_json(adopted.to_dict())
    else:
        emit("\n".join(adopted.lines()))


@events_app.command("rollup")
def events_rollup(
    *,
    since: Annotated[
        str | None,
        typer.Option(help="Every local day from this one (2026-10-05); default: only what is new."),
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option("--timezone", help="Zone of the days; default: GROWTH_EVENTS__TIMEZONE."),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Events that count, by commas; default: any. Needs --name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of this set of events.")] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Make every day again, as after another zone in the settings."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring the activity in the lake up to date: one row per user and day."""
    from growth_pipeline.operate.activity import chosen_set, roll_up_activity

    wanted = tuple(filter(None, map(str.strip, events.split(",")))) if events else None
    rolled = roll_up_activity(
        since=since,
        anew=anew,
        qualifying=chosen_set(name, wanted, tz),
        now=datetime.now(UTC),
        say=say,
    )
    if as_json:
        emit_json(rolled.to_dict())
    else:
        emit(rolled.in_words())


@events_app.command("import")
def events_import(
    *,
    users: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of users: user_id, signed_up_at.")
    ] = None,
    activity: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of activity: user_id, occurred_at, event.")
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Column of users by which cohorts may be split. May be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read the files and say what is in them.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take users and activity from files, each file once; the next rollup counts them."""
    from growth_pipeline.operate.events.imports import import_files

    done = import_files(
        users=users,
        activity=activity,
        segments=segment or (),
        now=datetime.now(UTC),
        dry_run=dry_run,
        say=say,
    )
    if as_json:
        emit_json({"dry_run": dry_run, "files": [one.to_dict() for one in done]})
    else:
        emit("\n".join(line for one in done for line in one.lines()))
        say("dry run: nothing was stored" if dry_run else "next: growth events rollup")


@events_app.command("exclude")
def events_exclude(
    user_id: Annotated[str, typer.Argument(help="Id of the user.")],
    *,
    reason: Annotated[str, typer.Option(help="Why the user does not count.")],
) -> None:
    """Leave an internal or test user out of every number."""
    from growth_pipeline.operate.activity import exclude_user

    exclude_user(user_id, reason, say=say)
    say("done; the next rollup reads the user's days again")


@events_app.command("merge")
def events_merge(
    anonymous_id: Annotated[str, typer.Argument(help="Id before the user was known.")],
    user_id: Annotated[str, typer.Argument(help="Id of the user.")],
) -> None:
    """Count what an anonymous id did as a user's."""
    from growth_pipeline.operate.activity import merge_user

    merge_user(anonymous_id, user_id, say=say)
    say("done; the next rollup reads the user's days again")


@events_app.command("verify")
def events_verify(
    *,
    billing: Annotated[
        bool, typer.Option("--billing", help="Billing events against the mirror of Stripe.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="First day of receipt in UTC (2026-10-05); default: 30 days back."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Hold what was received against what is known elsewhere.

    With --billing: whether Stripe says what billing events say. Reads only.
    """
    from growth_pipeline.operate.assertions import verify_billing_events

    if not billing:
        raise UsageError("say what to verify", remedy="growth events verify --billing")
    verified = verify_billing_events(since, now=datetime.now(UTC), say=say)
    if as_json:
        emit_json(verified.to_dict(limit=limit))
    else:
        emit("\n".join(verified.lines(limit=limit)))


@webhooks_app.command("list")
def webhooks_list(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Events at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Events that could not be applied, with the reason."""
    from growth_pipeline.operate.webhooks import list_dead_letters

    found = list_dead_letters(limit, say=say)
    if as_json:
        emit_json(found.as_dict())
    else:
        emit("\n".join(found.lines()))


@webhooks_app.command("replay")
def webhooks_replay(
    *,
    event: Annotated[
        str | None, typer.Argument(metavar="[EVENT]", help="Id of one event that was set aside.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All quarantined events.")] = False,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Read events again that were set aside.

    Their bytes are as received. Exit code 1: some could still not be applied.
    """
    from growth_pipeline.operate.webhooks import replay

    if (event is None) != everything:
        raise UsageError("name one event, or give --all", remedy="growth webhooks list shows them")
    done = replay(event, now=datetime.now(UTC), dry_run=dry_run, say=say)
    if as_json:
        emit_json(done.as_dict())
    else:
        emit("\n".join(done.lines()))
    raise typer.Exit(done.exit_code)


@webhooks_app.command("trace")
def webhooks_trace(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event: evt_...")],
    as_json: JsonFlag = False,
) -> None:
    """What one event changed, in the mirror and in the books."""
    from growth_pipeline.operate.webhooks import trace, trace_lines

    found = trace(event, say=say)
    if as_json:
        emit_json([each.as_dict() for each in found])
    else:
        emit("\n".join(line for each in found for line in trace_lines(each)))


@mirror_app.command("rebuild")
def mirror_rebuild(
    *,
    check: Annotated[
        bool, typer.Option("--check", "--dry-run", help="Only compare; change nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build mirror and payments again from the ledger.

    Needs no network. Rows that are right stay untouched. Exit code 1: --check found a difference.
    """
    from growth_pipeline.operate.rebuild import document_of, lines_of, rebuild

    rebuilt = rebuild(now=datetime.now(UTC), check_only=check, say=say)
    if as_json:
        emit_json(document_of(rebuilt, check_only=check))
    else:
        emit("\n".join(lines_of(rebuilt, check_only=check)))
    raise typer.Exit(int(ExitCode.FAILED if check and not rebuilt.is_equal else ExitCode.DONE))


@reports_app.command("list")
def reports_list(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Reports at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Stored reports of audits, and which of them are kept for ever."""
    from growth_pipeline.operate.reports import list_reports

    found = list_reports(limit, say=say)
    if as_json:
        emit_json(found.as_dict())
    else:
        emit("\n".join(found.lines()))


@reports_app.command("clean")
def reports_clean(dry_run: DryRunFlag = False, as_json: JsonFlag = False) -> None:
    """Remove reports that are too old and that nothing keeps."""
    from growth_pipeline.operate.reports import clean

    done = clean(now=datetime.now(UTC), dry_run=dry_run, say=say)
    if as_json:
        emit_json(done.as_dict())
    else:
        emit("\n".join(done.lines()))


@cohorts_app.callback()
def cohorts() -> None:
    """Cohorts and retention that are published: refresh them, write the report."""


@cohorts_app.command("refresh")
def cohorts_refresh(
    *,
    grain: Annotated[
        list[str] | None, typer.Option(help="day, week or month; again for more. Default: all.")
    ] = None,
    entry: Annotated[
        str | None,
        typer.Option(
            help="signup, first_activity or first_payment; default: that of the settings."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Compute days from this date on again, changed or not.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="With --since: the last of these days. Default: all.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of local days; default: that of the rollup.")
    ] = None,
    week_start: Annotated[
        str | None, typer.Option(help="First weekday of a week; default: that of the settings.")
    ] = None,
    dry_run: DryRunFlag = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the report: a file ending in .md, .html or .json.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute the cohort cells that new, late or corrected facts touch, and publish them."""
    from growth_pipeline.cohorts.refresh.run import Wanted
    from growth_pipeline.core import arguments
    from growth_pipeline.operate.cohorts import (
        configured_entry,
        configured_week_start,
        refresh_cohorts,
    )

    wanted = Wanted(
        grains=_grains(grain),
        since=arguments.day("--since", since),
        until=arguments.day("--until", until),
        tz=timezone,
        week_start=(week_start or configured_week_start()).strip().lower(),
        entry=entry or configured_entry(),
    )
    done = refresh_cohorts(wanted, now=datetime.now(UTC), dry_run=dry_run, output=output, say=say)
    if as_json:
        emit_json(done.as_dict())
    else:
        emit("\n".join(done.lines()))


@cohorts_app.command("activity")
def cohorts_activity(as_json: JsonFlag = False) -> None:
    """Count active users and funnels where new or late activity touches them, and publish both."""
    from growth_pipeline.operate.count_activity import count_activity

    done = count_activity(now=datetime.now(UTC), say=say)
    if as_json:
        emit_json(done.as_dict())
    else:
        emit("\n".join(done.lines()))


@cohorts_app.command("report")
def cohorts_report(
    *,
    grain: Annotated[
        list[str] | None, typer.Option(help="day, week or month; again for more. Default: all.")
    ] = None,
    entry: Annotated[
        str | None,
        typer.Option(
            help="signup, first_activity or first_payment; default: that of the settings."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the report with pictures: a file ending in .md, .html or .json."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """The cohort report of what the last refresh computed, to the terminal or into a file."""
    from growth_pipeline.cohorts.refresh.run import Wanted
    from growth_pipeline.operate.cohorts import configured_entry, report_cohorts

    wanted = Wanted(grains=_grains(grain), entry=entry or configured_entry())
    told = report_cohorts(wanted.grains, entry=wanted.entry, output=output, say=say)
    if as_json:
        emit(told.face("json").decode().rstrip("\n"))
    elif output is None:
        emit(told.face("md").decode().rstrip("\n"))


def _grains(named: list[str] | None) -> tuple[str, ...]:
    return tuple(named or ("day", "week", "month"))


@cohorts_app.command("assign")
def cohorts_assign(dry_run: DryRunFlag = False, as_json: JsonFlag = False) -> None:
    """Put every user there is into the cohort of the sign-up; the next refresh does so too."""
    from growth_pipeline.operate.cohort_users import assign_users

    done = assign_users(now=datetime.now(UTC), dry_run=dry_run, say=say)
    if as_json:
        emit_json(done.as_dict())
    else:
        emit("\n".join(done.lines()))


@findings_app.command("list")
def findings_list(
    *,
    month: Annotated[str | None, typer.Option(help="Only this month: 2025-10.")] = None,
    code: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    severity: Annotated[str | None, typer.Option(help="Only HIGH, MEDIUM or LOW.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that are gone.")] = False,
    tz: Annotated[str | None, typer.Option(help="Only months of this zone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Open findings, the newest month and the worst first."""
    from growth_pipeline.core.periods import Month
    from growth_pipeline.operate import findings as operate

    wanted = operate.Wanted(
        Month.parse(month) if month else None,
        code,
        severity.upper() if severity else None,
        closed,
        limit,
        tz,
    )
    found = operate.list_findings(wanted, today=datetime.now(UTC).date(), say=say)
    if as_json:
        emit_json(found.as_dict())
    else:
        emit("\n".join(found.lines()))


@findings_app.command("show")
def findings_show(
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="Its name, or the beginning.")],
    as_json: JsonFlag = False,
) -> None:
    """One finding with its cause and all its evidence."""
    from growth_pipeline.operate.findings import finding_lines, show_finding

    found = show_finding(finding, today=datetime.now(UTC).date(), say=say)
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(finding_lines(found)))


FindingArgument = Annotated[
    str | None, typer.Argument(metavar="FINDING", help="Its name, or the beginning.")
]
CodeOption = Annotated[str | None, typer.Option(help="A whole class instead of one finding.")]
DecidedMonth = Annotated[
    str | None, typer.Option(help="With --code: only this month; default: every one.")
]
ByOption = Annotated[str | None, typer.Option(help="Who decides; default: your login.")]


@findings_app.command("suppress")
def findings_suppress(
    *,
    finding: FindingArgument = None,
    code: CodeOption = None,
    month: DecidedMonth = None,
    reason: Annotated[str, typer.Option(help="Why it need not be mended.")],
    until: Annotated[str, typer.Option(help="First day on which it counts again: 2027-01-31.")],
    by: ByOption = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Let findings not count for a while.

    They are still printed, and count neither for the verdict nor for checks and alerts. A year at
    most.
    """
    from growth_pipeline.core.periods import Month
    from growth_pipeline.operate import findings as operate

    about = operate.About(finding, code, Month.parse(month) if month else None)
    now = datetime.now(UTC)
    _emit_done(
        operate.suppress(
            about, reason=reason, by=by, until=until, now=now, dry_run=dry_run, say=say
        ),
        as_json=as_json,
    )


@findings_app.command("unsuppress")
def findings_unsuppress(
    *,
    finding: FindingArgument = None,
    code: CodeOption = None,
    month: DecidedMonth = None,
    by: ByOption = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Let suppressed findings count again."""
    from growth_pipeline.core.periods import Month
    from growth_pipeline.operate import findings as operate

    about = operate.About(finding, code, Month.parse(month) if month else None)
    done = operate.unsuppress(about, by=by, now=datetime.now(UTC), dry_run=dry_run, say=say)
    _emit_done(done, as_json=as_json)


@findings_app.command("own")
def findings_own(
    *,
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="Its name, or the beginning.")],
    owner: Annotated[str | None, typer.Argument(metavar="NAME", help="Who looks after it.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody does any more.")] = False,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Say who looks after a finding."""
    from growth_pipeline.operate.findings import give_owner

    if (owner is None) != nobody:
        raise UsageError("name an owner, or give --nobody", remedy="growth findings own 3f2a91 ada")
    _emit_done(give_owner(finding, owner, dry_run=dry_run, say=say), as_json=as_json)


def _emit_done(done: Done, *, as_json: bool) -> None:
    """What a decision came to: one sentence, or its JSON."""
    if as_json:
        emit_json(done.document)
    else:
        emit(done.sentence)


@alerts_app.command("list")
def alerts_list(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Alerts at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Problems that last, and alerts that have not arrived."""
    from growth_pipeline.operate.alerts import list_alerts

    found = list_alerts(limit, say=say)
    if as_json:
        emit_json(found.as_dict())
    else:
        emit("\n".join(found.lines()))


@alerts_app.command("test")
def alerts_test(as_json: JsonFlag = False) -> None:
    """Send a test to every configured channel.

    On GitHub it opens one issue and closes it. Exit code 5: a setting is wrong; 6: try later.
    """
    from growth_pipeline.operate.alerts import test_channels

    tested = test_channels(now=datetime.now(UTC), say=say)
    if as_json:
        emit_json(tested.as_dict())
    else:
        emit("\n".join(tested.lines()))
    raise typer.Exit(tested.exit_code)


@config_app.command("show")
def config_show(as_json: JsonFlag = False) -> None:
    """Every setting and its value; secrets are masked."""
    from growth_pipeline.operate.env_example import variables
    from growth_pipeline.settings import load_settings

    found = variables(load_settings())
    if as_json:
        emit_json({variable.name: variable.value for variable in found})
    else:
        emit("\n".join(f"{variable.name}={variable.value or ''}" for variable in found))


@config_app.command("example")
def config_example() -> None:
    """The text of `.env.example`, generated from the settings model."""
    from growth_pipeline.operate.env_example import env_example

    emit(env_example())


@config_app.command("assets")
def config_assets() -> None:
    """The text of `docs/assets.md`, generated from the definitions."""
    from growth_pipeline.operate.assets_page import assets_page

    emit(assets_page())


# --- the way in and out --------------------------------------------------------------------------


def main() -> NoReturn:
    """Entry point of `growth`."""
    arguments = sys.argv[1:]
    flags = {word for word in arguments if word in _GLOBAL_FLAGS}
    rest = [word for word in arguments if word not in flags]
    if "--no-color" in flags:
        from growth_pipeline.settings import environment

        environment()["NO_COLOR"] = "1"
    signal.signal(signal.SIGTERM, _terminate)
    code = run(lambda: app(args=rest, prog_name="growth"), debug="--debug" in flags)
    with suppress(OSError):
        sys.stdout.flush()
    sys.exit(code)


def run(command: Callable[[], object], *, debug: bool) -> int:
    """The command's exit code; an error becomes a sentence, its remedy and a code."""
    try:
        command()
    except GrowthError as error:
        _print_error(error.message, error.remedy, debug=debug)
        return int(error.exit_code)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return int(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the last door: a person reads a sentence, not a stack
        _print_error(
            f"an unexpected error ({type(error).__name__})",
            "run it again with --debug, and report what it shows",
            debug=debug,
        )
        return int(ExitCode.FAILED)
    return int(ExitCode.DONE)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM unwinds like Ctrl-C: locks are freed and the embedded server is stopped."""
    raise SystemExit(128 + number)


def _supervised(command: Callable[[Home, Settings], None]) -> NoReturn:
    """Run a command that stays; a signal ends it, which is no failure once all is up."""
    from growth_pipeline.operate.home import open_home
    from growth_pipeline.operate.processes import Interrupted
    from growth_pipeline.settings import load_settings

    try:
        with open_home() as home:
            command(home, load_settings())
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.exit_code) from None
    raise typer.Exit


# --- printing ------------------------------------------------------------------------------------

_MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def _print_error(sentence: str, remedy: str, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(_without_secrets(traceback.format_exc()))
    say(f"growth: {_without_secrets(sentence)}")
    if remedy:
        say(f"  next: {_without_secrets(remedy)}")


def _without_secrets(text: str) -> str:
    """The text with every configured secret masked: a vendor's message may quote one."""
    from growth_pipeline.operate.env_example import mask_secrets

    return mask_secrets(text)


def _print_check(result: Check) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{_MARKS[result.state]} {escape(f'{result.name:<20} {result.sentence}')}")
    if result.fix:
        console.print(f"{'':25} fix: {escape(result.fix)}")


def _show_card(card: Card) -> None:
    """The one card of a demo that is up."""
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    outcome = card.outcome
    months = {
        verdict: [month for month, said in card.verdicts.items() if said == verdict]
        for verdict in ("FAIL", "WARNING", "PASS")
    }
    colour = "green" if outcome.is_green else "red"
    rows = Table.grid(padding=(0, 3))
    rows.add_row("Pages", escape(card.web))
    rows.add_row("Dagster", escape(card.dagster))
    rows.add_row("Stripe", f"{escape(card.stripe)}  (the sandbox)")
    rows.add_row("Postgres", escape(card.database_url))
    rows.add_row(
        "Audit",
        f"[{colour}]found {outcome.found} of {outcome.planted} planted problems, "
        f"{len(outcome.unexpected)} not planted[/]",
    )
    for verdict, keys in months.items():
        if keys:
            rows.add_row("", f"{verdict:<7} {', '.join(keys)}")
    for word, problems in (("missed", outcome.missed), ("not planted", outcome.unexpected)):
        for problem in problems[:_CARD_PROBLEMS]:
            rows.add_row("", f"[red]{word}: {escape(str(problem))}[/]")
    telling = (months["FAIL"] or months["WARNING"] or months["PASS"])[-1]
    rows.add_row("Next", f"growth audit --month {telling}")
    rows.add_row("", "growth lifecycle preview")
    rows.add_row("", "growth doctor")
    rows.add_row("Logs", escape(str(card.logs)))
    title = f"growth demo is up ({card.seconds:.0f} s)"
    end = "stop: Ctrl-C   again: growth demo   wipe: growth demo --reset"
    width = None if sys.stdout.isatty() else _CARD_WIDTH
    console = Console(highlight=False, width=width)
    console.print(Panel(rows, title=title, subtitle=end, expand=False))


def _face(chosen: ReportFormat | None, output: Path | None, *, as_json: bool) -> str:
    """Which face of the report is wanted: as said, else by the file's ending, else Markdown."""
    if chosen is not None:
        if as_json and output is None and chosen is not ReportFormat.JSON:
            raise UsageError(
                f"--json and --format {chosen.value} both want stdout",
                remedy="leave one out, or give the report a file with --output",
            )
        return chosen.value
    ending = output.suffix.lstrip(".").lower() if output else ""
    if ending and ending not in list(ReportFormat):
        raise UsageError(
            f"a report cannot be written as .{ending}",
            remedy="end the file's name in .md, .html, .json or .csv, or give --format",
        )
    return ending if ending in list(ReportFormat) else ReportFormat.MARKDOWN.value


if __name__ == "__main__":
    main()
