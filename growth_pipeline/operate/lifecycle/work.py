"""What commands of lifecycle do with the database of this folder's configuration."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.errors import ConfigurationError, UsageError
from growth_pipeline.lifecycle.choice import rules_of, sending_policy_of
from growth_pipeline.lifecycle.explain import Explanation, explain_user, plain
from growth_pipeline.lifecycle.journeys.lift import Lift, measure_lift
from growth_pipeline.lifecycle.journeys.load import load_journeys
from growth_pipeline.lifecycle.journeys.model import DoesEvent, Journey, Trigger
from growth_pipeline.lifecycle.journeys.preview import Preview, preview
from growth_pipeline.lifecycle.outbox.addresses import address_hash
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.lifecycle.refresh.refresh import last_closed_day
from growth_pipeline.lifecycle.suppression.store import HOLD, REASONS, SuppressionStore
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from growth_pipeline.lifecycle.rules import LifecycleRules
    from growth_pipeline.storage.postgres import Database

Say = Callable[[str], None]
_PREVIEW_DAYS: Final = 30
_COLUMNS: Final = ("email", "given_at", "source", "wording")
_MOST_TOLD: Final = 20
DECISIONS: Final = {"sent": "sent", "skip": "skipped", "retry": "pending"}


@dataclass(frozen=True)
class Imported:
    """What became of a file of consents. `refused`: line and why; no line shows an address."""

    new: int
    known: int
    without_zone: int
    refused: Sequence[tuple[int, str]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "new": self.new,
            "known": self.known,
            "without_zone": self.without_zone,
            "refused": [{"line": line, "why": why} for line, why in self.refused],
        }


def explain(user_id: str, day: str | None, *, say: Say) -> Explanation:
    """Why a user has a stage and a score. Raises: UsageError; RemoteUnavailableError."""
    wanted = None if day is None else read_day(day)
    with _opened(say) as (settings, database):
        rules = _rules(settings)
        return explain_user(database, rules, user_id, day=wanted, now=_now())


def preview_journeys(
    journeys: Path | None,
    against: Path | None,
    first: str | None,
    last: str | None,
    *,
    say: Say,
) -> Preview:
    """What journeys would have done. A file is held against the configured ones, or `against`.

    Raises: UsageError; RemoteUnavailableError.
    """
    with _opened(say) as (settings, database):
        rules = _rules(settings)
        configured = settings.lifecycle.journeys
        mine = load_journeys(journeys or configured)
        other = None
        if against is not None or journeys is not None:
            other = load_journeys(against or configured)
        until = read_day(last) if last else last_closed_day(_now(), rules.tz)
        since = read_day(first) if first else until - timedelta(days=_PREVIEW_DAYS - 1)
        if until < since:
            raise UsageError(f"{since} is after {until}", remedy="give the earlier day first")
        if until > last_closed_day(_now(), rules.tz):
            raise UsageError(f"{until} is not over", remedy="journeys are played over past days")
        policy = sending_policy_of(settings.lifecycle, tz=rules.tz)
        return preview(database, mine, policy, rules, first=since, last=until, against=other)


def lift_of_journeys(*, say: Say) -> list[Lift]:
    """What journeys are worth. Raises: UsageError; RemoteUnavailableError."""
    with _opened(say) as (settings, database):
        journeys = load_journeys(settings.lifecycle.journeys)
        return measure_lift(database, journeys, _rules(settings), now=_now())


def journeys_told(file: Path | None) -> list[dict[str, Any]]:
    """Journeys of a file, or the configured ones. Raises: UsageError."""
    found = load_journeys(file or load_settings().lifecycle.journeys)
    return [_journey(one) for one in found]


def list_outbox(states: Sequence[str], limit: int, *, say: Say) -> dict[str, Any]:
    """Counts, and messages in some states, the newest first. Raises: RemoteUnavailableError."""
    with _opened(say) as (_, database):
        store = OutboxStore(database)
        rows = store.listed(tuple(states), limit)
        return {"counts": store.counts(), "messages": plain(rows)}


def decide_message(message_id: int, decision: str, reason: str, *, say: Say) -> None:
    """What a person decided about a message whose outcome nobody can tell.

    Raises: UsageError where no such message is parked or unknown; RemoteUnavailableError.
    """
    if decision not in DECISIONS:
        raise UsageError(f"{decision!r} decides nothing", remedy=f"use {', '.join(DECISIONS)}")
    with _opened(say, writes=True) as (_, database):
        if not OutboxStore(database).decide(message_id, DECISIONS[decision], reason):
            raise UsageError(
                f"message {message_id} waits for no decision",
                remedy="growth lifecycle outbox --state parked --state unknown lists those that do",
            )


def suppress(address: str, reason: str, *, say: Say) -> bool:
    """Never write to an address again; whether that is new.

    Raises: UsageError; RemoteUnavailableError.
    """
    if reason not in REASONS:
        raise UsageError(f"{reason!r} is no reason", remedy=f"use {', '.join(REASONS)}")
    known_as = address_hash(read_address(address))
    with _opened(say, writes=True) as (_, database):
        return SuppressionStore(database).suppress(known_as, reason, "cli")


def unsubscribe_path(address: str) -> str:
    """The path of the page of an address; the link holds its hash, signed.

    Raises: UsageError for what is no address; ConfigurationError without a secret to sign with.
    """
    from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks

    known_as = address_hash(read_address(address))
    secret = load_settings().lifecycle.link_secret
    if secret is None:
        raise ConfigurationError(
            "links cannot be signed",
            remedy="set GROWTH_LIFECYCLE__LINK_SECRET, for example to what openssl rand -hex 32 "
            "prints",
        )
    return f"/unsubscribe/{UnsubscribeLinks(secret.get_secret_value()).token(known_as)}"


def unsuppress(address: str, reason: str, why: str, *, say: Say) -> None:
    """End one suppression of an address, because the person asked for it.

    Raises: UsageError where there is none; RemoteUnavailableError.
    """
    if reason not in (*REASONS, HOLD):
        raise UsageError(f"{reason!r} is no reason", remedy=f"use {', '.join((*REASONS, HOLD))}")
    if not why.strip():
        raise UsageError("nobody says why", remedy="give --why, as in: asked for it by phone")
    known_as = address_hash(read_address(address))
    with _opened(say, writes=True) as (_, database):
        if not SuppressionStore(database).lift(known_as, reason, why):
            raise UsageError(
                f"the address is not suppressed as {reason}",
                remedy="growth lifecycle suppressions ADDRESS shows for what it is",
            )


def suppressions_of(address: str | None, *, say: Say) -> dict[str, Any]:
    """Suppressed addresses by reason, or all about one. Raises: UsageError."""
    with _opened(say) as (_, database):
        store = SuppressionStore(database)
        if address is None:
            return {"counts": store.counts()}
        found = store.of_address(address_hash(read_address(address)))
    return {"suppressions": [one.to_dict() for one in found]}


def import_consents(file: Path, source: str, *, say: Say) -> Imported:
    """Keep the consents of a CSV file: email, given_at, and if there, source and wording.

    An instant without a zone is read as UTC and counted.
    Raises: UsageError; RemoteUnavailableError.
    """
    rows = list(_consent_rows(file))
    new = known = without_zone = 0
    refused: list[tuple[int, str]] = []
    with _opened(say, writes=True) as (_, database):
        store = SuppressionStore(database)
        for line, row in rows:
            try:
                given_at, has_zone = _instant(row.get("given_at") or "")
                known_as = address_hash(read_address(row.get("email") or ""))
            except UsageError as error:
                refused.append((line, error.message))
                continue
            told = (row.get("source") or "").strip() or source
            wording = (row.get("wording") or "").strip()
            is_new = store.consent(known_as, given_at, told, wording)
            new, known = new + is_new, known + (not is_new)
            without_zone += not has_zone
    return Imported(new, known, without_zone, refused)


def read_day(text: str) -> date:
    """A day written as 2026-10-31. Raises: UsageError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a day", remedy="write days as 2026-10-31") from None


def read_address(text: str) -> str:
    """An e-mail address. Raises: UsageError, which does not repeat it."""
    name, at, host = text.strip().partition("@")
    if not (name and at and host) or any(sign.isspace() for sign in text.strip()):
        raise UsageError("this is no e-mail address", remedy="write it as name@example.com")
    return text


# --- inside --------------------------------------------------------------------------------------


@contextmanager
def _opened(say: Say, *, writes: bool = False) -> Iterator[tuple[Settings, Database]]:
    with open_database(say, read_only=not writes, tells_demo=True) as (_, database):
        yield load_settings(), database


def _rules(settings: Settings) -> LifecycleRules:
    return rules_of(
        settings.lifecycle, tz=settings.events.timezone, policies=settings.revenue.policies
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _consent_rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"email", "given_at"} <= set(reader.fieldnames or ()):
                raise UsageError(
                    f"{file.name} has no columns email and given_at",
                    remedy=f"begin it with {','.join(_COLUMNS)}",
                )
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{file.name} cannot be read: {type(error).__name__}",
            remedy="give a CSV file in UTF-8",
        ) from error


def _instant(text: str) -> tuple[datetime, bool]:
    """An instant, and whether it names its zone. Raises: UsageError."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            "given_at is no instant", remedy="write it as 2026-10-31T12:00:00Z"
        ) from None
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC), False
    return found.astimezone(UTC), True


def _journey(one: Journey) -> dict[str, Any]:
    return {
        "journey": one.definition,
        "what": one.what,
        "enters": _trigger(one.trigger),
        "steps": [
            {
                "step": step.name,
                "after_hours": step.after / timedelta(hours=1),
                step.action: step.target,
                "only_in": [str(stage) for stage in step.only_in],
            }
            for step in one.steps
        ],
        "goal": None if one.goal is None else _trigger(one.goal),
        "goal_days": one.goal_days,
        "exits": [str(stage) for stage in one.exits],
        "priority": one.priority,
        "holdout": one.holdout,
        "basis": one.basis,
        "starts_on": one.starts_on.isoformat(),
    }


def _trigger(trigger: Trigger) -> str:
    if isinstance(trigger, DoesEvent):
        return f"does {trigger.event}"
    came = f" from {'/'.join(trigger.from_)}" if trigger.from_ else ""
    return f"enters {'/'.join(trigger.stages)}{came}"
