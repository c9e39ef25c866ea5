"""Findings of all months in a terminal: list, show, decide that one does not count, give an owner.

What a suppression means is decided in audit/suppressions.py; here it is asked for and put in words.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import uuid4

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.commands import command_of
from growth_pipeline.audit.decision_store import DecisionStore
from growth_pipeline.audit.suppressions import (
    OUTGROWN,
    Extent,
    Suppression,
    checked,
    decision_on,
    last_first,
)
from growth_pipeline.core.display import format_signed_money
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import UTC_NAME, Month, ZonedMonth
from growth_pipeline.operate.database import open_database
from growth_pipeline.operate.home import is_demo_stopped, place_of
from growth_pipeline.settings import load_settings

Say = Callable[[str], None]

FEWEST_DIGITS: Final = 6
_OWNER_LIMIT: Final = 200
_SHOWN: Final = ("repair", "link")
_NOT_RAW: Final = frozenset({*_SHOWN, "kept", "effects"})  # the last two are for the next audit


@contextmanager
def open_decisions(say: Say) -> Iterator[DecisionStore]:
    """Findings and decisions of this folder's configuration, or of the demo that runs here.

    Raises: ConfigurationError, RemoteUnavailableError.
    """
    with _opened(say) as (_, store):
        yield store


@contextmanager
def _opened(say: Say) -> Iterator[tuple[str, DecisionStore]]:
    """Which database that is, in words without secrets, and what it knows."""
    with open_database(say) as (home, database):
        yield place_of(home), DecisionStore(database)


# --- looking -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which findings a list shows."""

    month: Month | None = None
    code: str | None = None
    severity: str | None = None
    with_closed: bool = False
    limit: int = 100
    tz: str | None = None


@dataclass(frozen=True)
class FindingList:
    """Findings that fit, the newest month and the worst first; `total` counts those cut off too."""

    findings: Sequence[Mapping[str, Any]]
    total: int
    audited: Sequence[ZonedMonth] = ()
    place: str = ""
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Money in minor units of the finding's currency; null is unknown."""
        months = [{"month": one.month.key, "tz": one.tz} for one in self.audited]
        return {"total": self.total, "audited_months": months, "findings": list(self.findings)}

    def lines(self) -> list[str]:
        """For a person."""
        lines = [_line(one) for one in self.findings]
        if self.total > len(self.findings):
            lines.append(f"and {self.total - len(self.findings)} more: give a larger --limit")
        return lines or [self._nothing()]

    def _nothing(self) -> str:
        if not self.audited:
            return _plain(f"nothing was audited yet in {self.place}{self.hint}")
        months = f"{len(self.audited)} audited month{'s' * (len(self.audited) != 1)}"
        return _plain(f"no open finding that fits, in {months} of {self.place}")


def list_findings(wanted: Wanted, *, today: date, say: Say) -> FindingList:
    """Open findings of every month, or those that fit."""
    _check_words(wanted)
    hint = "; the demo is stopped: growth demo" if is_demo_stopped(load_settings()) else ""
    with _opened(say) as (place, store):
        audited = store.audited_months(month=wanted.month, tz=wanted.tz)
        rows = store.list_findings(
            month=wanted.month,
            tz=wanted.tz,
            code=wanted.code,
            severity=wanted.severity,
            with_closed=wanted.with_closed,
        )
        shown = rows[: wanted.limit]
        in_force = {
            scope: last_first(store.suppressions(scope), today)
            for scope in {_scope(one) for one in shown}
        }
    found = [_document(one, in_force[_scope(one)]) for one in shown]
    return FindingList(found, len(rows), audited, place, hint)


def _check_words(wanted: Wanted) -> None:
    if wanted.code is not None and wanted.code not in CODES:
        raise UsageError(
            f"{wanted.code!r} is no class of findings", remedy="docs/metrics.md lists them"
        )
    if wanted.severity is not None and wanted.severity not in list(Severity):
        raise UsageError(f"{wanted.severity!r} is no severity", remedy="choose HIGH, MEDIUM or LOW")


def show_finding(digits: str, *, today: date, say: Say) -> dict[str, Any]:
    """One finding with all its evidence. Raises: UsageError for none or several of that name."""
    with open_decisions(say) as store:
        row = _find(store, digits)
        return _document(row, last_first(store.suppressions(_scope(row)), today))


def finding_lines(finding: Mapping[str, Any]) -> list[str]:
    """One finding for a person."""
    told = finding["evidence"]
    raw = {name: value for name, value in told.items() if name not in _NOT_RAW}
    evidence = json.dumps(raw, indent=2, ensure_ascii=True, default=str)
    suppression = finding["suppression"]
    lines = [
        _line(finding),
        f"  is:       {_plain(CODES[finding['code']].meaning)}",
        f"  money:    {_money(finding) or 'none differs'}",
        f"  cause:    {finding['cause'].replace('_', ' ')}",
        *(f"  {name + ':':<9} {_plain(str(told[name]))}" for name in _SHOWN if told.get(name)),
        f"  do:       {_plain(finding['action'])}",
        f"  next:     {_plain(finding['command'])}",
        f"  owner:    {_plain(finding['owner'] or 'nobody')}",
        f"  seen:     first {finding['first_seen_at']}, last {finding['last_seen_at']}",
    ]
    if finding["closed_at"]:
        lines.append(f"  closed:   {finding['closed_at']}")
    if suppression:
        said = f"until {suppression['until']} by {suppression['by']}: {suppression['reason']}"
        lines.append(f"  does not count {_plain(said)}")
    if outgrown := finding[OUTGROWN]:
        said = f"until {outgrown['until']} by {outgrown['by']}: {outgrown['reason']}"
        lines.append(f"  counts:   {_plain(outgrown['why'])}; the suppression {_plain(said)}")
    return [*lines, "  evidence:", *(f"    {line}" for line in evidence.splitlines())]


def _find(store: DecisionStore, digits: str) -> dict[str, Any]:
    wanted = digits.strip().lower()
    if len(wanted) < FEWEST_DIGITS:
        raise UsageError(
            f"{digits!r} is too short for the name of a finding",
            remedy=f"give at least {FEWEST_DIGITS} digits; growth findings list shows them",
        )
    found = store.find_findings(wanted)
    if not found:
        raise UsageError(
            f"there is no finding {digits}", remedy="growth findings list --closed shows them all"
        )
    if len({one["fingerprint"] for one in found}) > 1:
        raise UsageError(f"several findings begin with {digits}", remedy="give more of its digits")
    return found[0]


def _document(row: Mapping[str, Any], in_force: Sequence[Suppression]) -> dict[str, Any]:
    """A stored finding as JSON knows it, with the suppression that holds today."""
    beside = {"impacts_minor", OUTGROWN}
    evidence = {name: value for name, value in row["evidence"].items() if name not in beside}
    month = _month(row)
    decided = decision_on(in_force, row["code"], row["fingerprint"], month, _extent(row))
    return {
        "fingerprint": row["fingerprint"],
        "month": month.key,
        "tz": row["tz"],
        "account_id": row["account_id"],
        "livemode": row["livemode"],
        **{name: row[name] for name in ("code", "severity", "object", "object_id", "currency")},
        "impact_minor": row["impact_minor"],
        "impacts_minor": row["evidence"].get("impacts_minor"),
        **{name: row[name] for name in ("also", "cause", "action")},
        "command": command_of(
            row["code"],
            row["object"],
            also=row["also"],
            month=month,
            tz=row["tz"],
            otherwise=row["command"],
        ),
        "owner": row["owner"],
        "suppression": decided.suppression,
        OUTGROWN: decided.outgrown,
        "evidence": evidence,
        **{name: _iso(row[name]) for name in ("first_seen_at", "last_seen_at", "closed_at")},
    }


def _line(finding: Mapping[str, Any]) -> str:
    money = _money(finding)
    notes = [
        f"owner {finding['owner']}" if finding["owner"] else "",
        f"suppressed until {finding['suppression']['until']}" if finding["suppression"] else "",
        f"no longer suppressed: {finding[OUTGROWN]['why']}" if finding[OUTGROWN] else "",
        "closed" if finding["closed_at"] else "",
    ]
    words = [
        *(
            finding["fingerprint"],
            finding["month"] + _zone(finding),
            f"{finding['severity']:<6}",
            finding["code"],
        ),
        *(f"{finding['object']} {finding['object_id']}", money, *notes),
    ]
    return _plain("  ".join(word for word in words if word))


def _money(finding: Mapping[str, Any]) -> str:
    """Impacts of all currencies; of findings stored without them, the one of their currency."""
    impact, impacts = finding["impact_minor"], finding.get("impacts_minor")
    if impact is None and not impacts:
        return "unknown"
    told = impacts or {finding["currency"]: impact}
    return ", ".join(
        format_signed_money(minor, name) for name, minor in sorted(told.items()) if name and minor
    )


# --- deciding ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """What a command did, or in a dry run would do."""

    sentence: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class About:
    """Which findings a decision is about: one by its name, or a class, in a month or in all."""

    finding: str | None = None
    code: str | None = None
    month: Month | None = None

    def __post_init__(self) -> None:
        """Raises: UsageError unless it is one of both."""
        if (self.finding is None) == (self.code is None) or (self.finding and self.month):
            raise UsageError(
                "name one finding, or a class with --code, then perhaps a month with --month",
                remedy="growth findings list shows names and classes",
            )


def suppress(
    about: About,
    *,
    reason: str,
    by: str | None,
    until: str,
    now: datetime,
    dry_run: bool,
    say: Say,
) -> Done:
    """Decide that findings do not count for a while.

    Raises: UsageError for what cannot be decided, as `checked` says.
    """
    with open_decisions(say) as store:
        row = _find(store, about.finding) if about.finding else None
        decision = Suppression(
            suppression_id=uuid4(),
            scope=_scope(row) if row else load_settings().stripe.scopes[0],
            fingerprint=row["fingerprint"] if row else None,
            code=about.code,
            month=about.month,
            reason=reason,
            suppressed_by=by or _person(),
            suppressed_at=now,
            until=_day(until),
            extent=_extent(row) if row else None,
        )
        checked(decision if row is None else _as_class(decision, row["code"]))
        if not dry_run:
            store.insert_suppression(decision)
    will = "would not count" if dry_run else "will not count"
    what = f"{row['code']} of {row['object_id']}{_in_zone(row)}" if row else _class_of(about)
    return Done(
        f"{_plain(what)} {will} until {decision.until}; the verdict follows with the next audit",
        {**decision.to_dict(), "dry_run": dry_run},
    )


def unsuppress(about: About, *, by: str | None, now: datetime, dry_run: bool, say: Say) -> Done:
    """Let findings count again; a decision about the whole class stays when one is named.

    Raises: UsageError where nothing of it is suppressed.
    """
    with open_decisions(say) as store:
        row = _find(store, about.finding) if about.finding else None
        scope = _scope(row) if row else load_settings().stripe.scopes[0]
        in_force = last_first(store.suppressions(scope), now.date())
        chosen = [one for one in in_force if _is_about(one, about, row)]
        if not chosen:
            raise _nothing_to_lift(in_force, row)
        if not dry_run:
            ids = [one.suppression_id for one in chosen]
            store.lift_suppressions(ids, lifted_by=by or _person(), now=now)
    verb = "would be" if dry_run else "is"
    return Done(
        f"{len(chosen)} suppression{'s' * (len(chosen) != 1)} {verb} lifted; "
        "the verdict follows with the next audit",
        {"lifted": [one.to_dict() for one in chosen], "dry_run": dry_run},
    )


def give_owner(finding: str, owner: str | None, *, dry_run: bool, say: Say) -> Done:
    """Say who looks after a finding; None for nobody.

    Raises: UsageError for no or an endless name.
    """
    name = owner.strip() if owner is not None else None
    if name is not None and (not name or len(name) > _OWNER_LIMIT or "\0" in name):
        raise UsageError("the owner needs a name", remedy="give one, or --nobody")
    with open_decisions(say) as store:
        row = _find(store, finding)
        if not dry_run:
            store.set_owner(_scope(row), row["fingerprint"], name)
    verb = "would look" if dry_run else "looks"
    what = f"{row['code']} of {row['object_id']}"
    return Done(
        _plain(f"{name or 'nobody'} {verb} after {what}"),
        {"fingerprint": row["fingerprint"], "owner": name, "dry_run": dry_run},
    )


def _is_about(one: Suppression, about: About, row: Mapping[str, Any] | None) -> bool:
    if row is not None:
        return one.fingerprint == str(row["fingerprint"])
    return one.code == about.code and one.month == about.month


def _nothing_to_lift(in_force: Sequence[Suppression], row: Mapping[str, Any] | None) -> UsageError:
    wider = _class_decision(in_force, row) if row else None
    if wider is not None:
        where = f" --month {wider.month}" if wider.month else ""
        return UsageError(
            f"the whole class {wider.code} is suppressed, not this finding alone",
            remedy=f"growth findings unsuppress --code {wider.code}{where}",
        )
    return UsageError("nothing of it is suppressed", remedy="growth findings list says what is")


def _class_decision(in_force: Sequence[Suppression], row: Mapping[str, Any]) -> Suppression | None:
    named = (row["code"], row["fingerprint"], _month(row))
    return next((one for one in in_force if one.code and one.is_about(*named)), None)


def _as_class(decision: Suppression, code: str) -> Suppression:
    """The decision as if it were about the finding's class, to ask whether that may be decided."""
    return replace(decision, fingerprint=None, code=code, extent=None)


def _extent(row: Mapping[str, Any]) -> Extent:
    """How bad a stored finding was when an audit last saw it."""
    codes = frozenset({row["code"], *row["also"]})
    return Extent(Severity(row["severity"]), codes, row["evidence"].get("impacts_minor"))


def _zone(finding: Mapping[str, Any]) -> str:
    return "" if finding["tz"] == UTC_NAME else f" {finding['tz']}"


def _in_zone(row: Mapping[str, Any]) -> str:
    zone = _zone(row)
    return f" in {_month(row)}{zone}" if zone else ""


def _class_of(about: About) -> str:
    return f"{about.code} of {about.month or 'every month'}"


def _person() -> str:
    """Name of who runs this command, as the operating system knows it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise UsageError(
            "nobody knows who you are here", remedy="say it: --by 'your name'"
        ) from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a day", remedy="write it as YYYY-MM-DD, as in 2027-01-31"
        ) from None


def _scope(row: Mapping[str, Any]) -> Scope:
    return Scope(row["account_id"], row["livemode"])


def _month(row: Mapping[str, Any]) -> Month:
    return Month(row["month"].year, row["month"].month)


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _plain(text: str) -> str:
    """One line without control signs: ids and reasons may come from anybody."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
