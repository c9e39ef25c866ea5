"""`growth lifecycle`: stages, scores, journeys and messages, by hand. Parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growth_pipeline.core import arguments

lifecycle_app = typer.Typer(
    help="Stages and scores of users, journeys, and e-mails sent at most once.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
outbox_app = typer.Typer(
    help="Messages: what waits, what became of them, and what a person must decide.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
lifecycle_app.add_typer(outbox_app, name="outbox")
consent_app = typer.Typer(
    help="Consents to be written to.", no_args_is_help=True, rich_markup_mode=None
)
lifecycle_app.add_typer(consent_app, name="consent")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Address = Annotated[str, typer.Argument(help="The e-mail address; - reads it from stdin.")]
_States = Annotated[
    list[str] | None,
    typer.Option(help="pending, sending, sent, unknown, parked or skipped; again for more."),
]
_OPEN_STATES = ("pending", "sending", "unknown", "parked")


@lifecycle_app.command("run")
def run(
    *,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Read everything from the sources again; the same comes out."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Bring stages and scores up to date and look at journeys, as every hour.

    Nothing is sent until GROWTH_LIFECYCLE_SEND=true. Ends with 3 if a check fails.
    """
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.run import run_lifecycle

    done = run_lifecycle(anew=anew, say=say)
    if as_json:
        emit_json(done.to_dict())
    else:
        emit("\n".join(done.lines()))
    _end(holds=done.holds)


@lifecycle_app.command("scores")
def scores(
    *,
    first: Annotated[str | None, typer.Option("--from", help="First day, as 2026-10-01.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day; by default the last that is over.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Score every user on days that are over, and count stages and bands. Code 3 if a check fails.

    Without --from only the last day is scored.
    """
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.run import score_days
    from growth_pipeline.operate.lifecycle.work import read_day

    done = score_days(read_day(first) if first else None, read_day(last) if last else None, say=say)
    if as_json:
        emit_json(done.to_dict())
    else:
        emit("\n".join(done.lines()))
    _end(holds=done.holds)


@lifecycle_app.command("explain")
def explain(
    user: Annotated[str, typer.Argument(help="Id of the user, or an anonymous id of theirs.")],
    *,
    day: Annotated[
        str | None, typer.Option(help="Local day, as 2026-10-31; by default the last one over.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Why a user has this stage and this score, and everything that was written to them."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.work import explain as work

    found = work(user, day, say=say)
    if as_json:
        emit_json(found.to_dict())
    else:
        emit("\n".join(found.lines()))


@lifecycle_app.command("journeys")
def journeys(
    *,
    file: Annotated[
        Path | None, typer.Option(help="A file of journeys; by default the configured ones.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """The journeys: who enters, what they get and when, and what ends it. A file is checked."""
    from growth_pipeline.core.terminal import emit, emit_json
    from growth_pipeline.operate.lifecycle.pages import journey_lines
    from growth_pipeline.operate.lifecycle.work import journeys_told

    found = journeys_told(arguments.fixed(file))
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(journey_lines(found)))


@lifecycle_app.command("preview")
def preview(
    *,
    file: Annotated[
        Path | None,
        typer.Option("--journeys", help="A file of journeys; by default the configured ones."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Another file to compare with; by default the configured ones."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day; by default 30 days in all.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day; by default the last that is over.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Messages to show.")] = 20,
    as_json: _Json = False,
) -> None:
    """Play journeys over past days: who would have got what, and when. Nothing is kept or sent."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.pages import preview_lines
    from growth_pipeline.operate.lifecycle.work import preview_journeys

    found = preview_journeys(arguments.fixed(file), arguments.fixed(against), first, last, say=say)
    if as_json:
        emit_json(found.to_dict())
    else:
        emit("\n".join(preview_lines(found, limit)))


@lifecycle_app.command("lift")
def lift(*, as_json: _Json = False) -> None:
    """What each journey is worth: goals of those who got messages, and of those held out."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.pages import lift_lines
    from growth_pipeline.operate.lifecycle.work import lift_of_journeys

    found = lift_of_journeys(say=say)
    if as_json:
        emit_json([one.to_dict() for one in found])
    else:
        emit("\n".join(lift_lines(found)))


@lifecycle_app.command("suppress")
def suppress(
    address: _Address,
    *,
    reason: Annotated[
        str, typer.Option(help="unsubscribed, bounced, complained, erased or manual.")
    ] = "manual",
    as_json: _Json = False,
) -> None:
    """Never write to an address again. When the command ends, nothing more goes out to it."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.work import suppress as work

    is_new = work(_read(address), reason, say=say)
    if as_json:
        emit_json({"suppressed": True, "reason": reason, "is_new": is_new})
    else:
        emit("suppressed" if is_new else "it was suppressed for that already")


@lifecycle_app.command("link")
def link(address: _Address, *, as_json: _Json = False) -> None:
    """The path of the page on which the person of an address unsubscribes."""
    from growth_pipeline.core.terminal import emit, emit_json
    from growth_pipeline.operate.lifecycle.work import unsubscribe_path

    path = unsubscribe_path(_read(address))
    if as_json:
        emit_json({"path": path})
    else:
        emit(path)


@lifecycle_app.command("unsuppress")
def unsuppress(
    address: _Address,
    *,
    reason: Annotated[str, typer.Option(help="Which suppression ends, as in manual or hold.")],
    why: Annotated[str, typer.Option(help="Why; the person must have asked to be written to.")],
    as_json: _Json = False,
) -> None:
    """End one suppression of an address, because the person asked to be written to."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.work import unsuppress as work

    work(_read(address), reason, why, say=say)
    if as_json:
        emit_json({"lifted": True, "reason": reason})
    else:
        emit("lifted; Kit keeps its own state, and only the person can change that")


@lifecycle_app.command("suppressions")
def suppressions(
    address: Annotated[
        str | None, typer.Argument(help="An address, - reads it from stdin; none: counts.")
    ] = None,
    *,
    as_json: _Json = False,
) -> None:
    """How many addresses are suppressed and why, or everything about one."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.pages import suppression_lines
    from growth_pipeline.operate.lifecycle.work import suppressions_of

    found = suppressions_of(None if address is None else _read(address), say=say)
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(suppression_lines(found)))


@outbox_app.callback()
def outbox(
    context: typer.Context,
    state: _States = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 50,
    *,
    as_json: _Json = False,
) -> None:
    """Messages by state, and those that are not over. No address is shown."""
    if context.invoked_subcommand is not None:
        return
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.pages import outbox_lines
    from growth_pipeline.operate.lifecycle.work import list_outbox

    found = list_outbox(state or _OPEN_STATES, limit, say=say)
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(outbox_lines(found)))


@outbox_app.command("decide")
def decide(
    message_id: Annotated[int, typer.Argument(help="Number of a parked or unknown message.")],
    decision: Annotated[str, typer.Argument(help="sent, skip, or retry.")],
    *,
    why: Annotated[str, typer.Option(help="What you saw at Kit.")],
    as_json: _Json = False,
) -> None:
    """Say what became of a message of which nobody can tell; look at Kit first.

    sent: Kit has it. skip: it shall not go out. retry: Kit does not have it, send it once more.
    """
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.work import decide_message

    decide_message(message_id, decision, why, say=say)
    if as_json:
        emit_json({"message_id": message_id, "decision": decision})
    else:
        emit(f"message {message_id}: {decision}")


@consent_app.command("import")
def consent_import(
    file: Annotated[Path, typer.Argument(help="CSV with email, given_at [, source, wording].")],
    *,
    source: Annotated[str, typer.Option(help="Where they were given, for lines without.")] = "file",
    as_json: _Json = False,
) -> None:
    """Keep who consented to be written to, and when. Whoever left since is not written to."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.lifecycle.work import import_consents

    done = import_consents(file.absolute(), source, say=say)
    if as_json:
        emit_json(done.to_dict())
    else:
        emit(f"{done.new} new, {done.known} known before, {len(done.refused)} refused")
        if done.without_zone:
            emit(f"{done.without_zone} instants had no zone and were read as UTC")
    for line, why in done.refused[:20]:
        say(f"line {line}: {why}")
    if done.refused:
        raise typer.Exit(1)


def _read(address: str) -> str:
    """The address, or the first line of stdin, so that it need not stand in a shell's history."""
    import sys

    return sys.stdin.readline() if address == "-" else address


def _end(*, holds: bool) -> None:
    from growth_pipeline.core.errors import ExitCode

    if not holds:
        raise typer.Exit(int(ExitCode.AUDIT_FAIL))
