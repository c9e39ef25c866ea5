"""`growth events keys` and `growth events dead-letters`: parse, call, print."""

from __future__ import annotations

from typing import Annotated

import typer

from growth_pipeline.core.terminal import emit, emit_json, say

keys_app = typer.Typer(
    help="Write keys: who may tell events, and what came of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
dead_letters_app = typer.Typer(
    help="Calls that were rejected: list, show, replay.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")
]


@keys_app.command("create")
def create(
    source: Annotated[str, typer.Argument(help="Name of the application or site: web-app.")],
    *,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin whose pages may use the key (https://app.example), * for any; may be "
            "repeated. None: servers only."
        ),
    ] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a write key; it is shown once. A message counts once for its source, by any key."""
    from growth_pipeline.operate.events.keys import create_key

    created = create_key(source, origin or [], dry_run=dry_run, say=say)
    if as_json:
        emit_json(created.to_dict())
        return
    for line in created.told():
        say(line)
    if created.key is not None:
        emit(created.key.key)


@keys_app.command("list")
def list_(
    *,
    days: Annotated[int, typer.Option(min=1, help="Days (UTC) that are counted.")] = 7,
    as_json: JsonFlag = False,
) -> None:
    """Write keys, and what became of what they brought."""
    from growth_pipeline.operate.events.keys import list_keys

    listed = list_keys(days, say=say)
    if as_json:
        emit_json(listed.to_dict())
    else:
        emit("\n".join(listed.lines()))


@keys_app.command("revoke")
def revoke(
    key: Annotated[int, typer.Argument(help="Id of the key, as `list` shows it.")],
    *,
    dry_run: DryRunFlag = False,
) -> None:
    """End a write key; web processes refuse it within seconds. What it brought stays."""
    from growth_pipeline.operate.events.keys import revoke_key

    revoked_at = revoke_key(key, dry_run=dry_run, say=say)
    prefix = "dry run: would be " if dry_run else ""
    say(f"{prefix}revoked at {revoked_at:%Y-%m-%d %H:%M:%S} UTC")


@dead_letters_app.command("list")
def list_dead_letters(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Calls at most.")] = 100,
    reason: Annotated[str | None, typer.Option(help="Only those with this code.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that a replay took since.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Rejected calls with their reason, the newest first."""
    from growth_pipeline.operate.events.dead_letters import list_letters

    found = list_letters(limit, replayed=everything, reason=reason, say=say)
    if as_json:
        emit_json(found.to_dict())
    else:
        emit("\n".join(found.lines()))


@dead_letters_app.command("show")
def show_dead_letter(
    letter: Annotated[int, typer.Argument(help="Id of the call, as `list` shows it.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """One rejected call as it came. It may hold personal data."""
    from growth_pipeline.operate.events.dead_letters import show_letter

    shown = show_letter(letter, say=say)
    body = shown.body.decode("utf-8", "replace")
    if as_json:
        emit_json(shown._asdict() | {"body": body})
    else:
        say(f"{shown.source}, received {shown.received_at:%Y-%m-%d %H:%M} UTC: {shown.reason}")
        emit(body)


@dead_letters_app.command("replay")
def replay_dead_letters(
    letter: Annotated[int | None, typer.Argument(help="Id of one call.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    reason: Annotated[str | None, typer.Option(help="Those with this code.")] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Read rejected calls again by today's rules and catalogue; code 1 if some stay rejected."""
    from growth_pipeline.operate.events.dead_letters import exit_code_of, replay_letters

    done = replay_letters(letter, everything=everything, reason=reason, dry_run=dry_run, say=say)
    if dry_run:
        say("dry run: nothing was changed")
    if as_json:
        emit_json(done.to_dict())
    else:
        emit("\n".join(done.lines()))
    if code := exit_code_of(done):
        raise typer.Exit(code)
