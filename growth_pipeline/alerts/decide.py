"""What deserves a person's attention: outcomes of checks and runs in, alerts out.

Pure: no clock, no I/O. Which words go to which channel is decided here, their escaping is not:
a channel escapes for its own markup. Contract: docs/alerts.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from growth_pipeline.alerts.signals import (
    Kind,
    Level,
    RunOutcome,
    Signal,
    SummaryFacts,
    inert,
)
from growth_pipeline.core.ids import fingerprint

AlertKind = Literal[
    "failed_check",
    "run_failure",
    "recovery",
    "summary",
    "escalation",
    "missed_audit",
    "heartbeat",
    "test",
    "report",
]
# Who gets an alert: channels with a thread for each problem (log, GitHub), channels that are read
# as a stream (Slack), both, the heartbeat alone, or who gets the weekly report: both, but of two
# ways to Slack the one that shows its picture.
Audience = Literal["all", "issues", "messages", "heartbeat", "reports"]

TITLE_LENGTH = 200
REPORT_LINES = 40
_REPORT = "report:"
_LEVELS: tuple[Level, ...] = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
_CLASSES_NAMED = 4


@dataclass(frozen=True)
class AlertPolicy:
    """After how long something that lasts, or stays away, is worth an alert. 0: never."""

    escalate_after_days: int = 3
    audit_hours: int = 26


@dataclass(frozen=True)
class Problem:
    """What is known of one fingerprint: what was last said, since when, and how it escalated."""

    fingerprint: str
    kind: Kind
    level: Level
    title: str
    opened_at: datetime
    closed_at: datetime | None = None
    step: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.closed_at is None


@dataclass(frozen=True)
class Alert:
    """One thing to say. Its key makes the same decision of the same run a single alert.

    `mentions`: the channel names the configured person or team. `picture`: a PNG, for channels that
    show one.
    """

    key: str
    kind: AlertKind
    fingerprint: str
    title: str
    body: str
    level: Level = "HIGH"
    audience: Audience = "all"
    picture: bytes | None = field(default=None, repr=False)

    @property
    def mentions(self) -> bool:
        """Whether a person is named in it: only an escalation does so."""
        return self.kind == "escalation"


def decide_alerts(
    run: RunOutcome, signals: Sequence[Signal], known: Mapping[str, Problem]
) -> list[Alert]:
    """Alerts worth sending now: what went bad, changed while bad, or is good again.

    `known` holds the problems of these fingerprints. A class of findings is one thread (an issue),
    and all news of one audit are one message. A backfill is one message for all its months.
    """
    bad = [one for one in signals if one.bad and _is_news(one, known.get(one.fingerprint))]
    good = [one for one in signals if not one.bad and _is_over(one, known.get(one.fingerprint))]
    alerts = [_alert(run, one, known.get(one.fingerprint)) for one in bad]
    alerts += [_recovery(run, one, known[one.fingerprint]) for one in good]
    return alerts + _messages(run, bad, good)


def decide_escalations(
    problems: Iterable[Problem], now: datetime, *, after_days: int, url: str = ""
) -> list[Alert]:
    """Problems that lasted too long, each once a step: after n days, then 2n, 4n and so on.

    Each step is told one level higher than the last. `after_days` 0: none.
    """
    if after_days == 0:
        return []
    due = [one for one in problems if one.is_open and now >= due_at(one, after_days)]
    return [_escalation(one, now, url) for one in due]


def due_at(problem: Problem, after_days: int) -> datetime:
    """When an open problem's next step is due."""
    return problem.opened_at + timedelta(days=after_days * 2**problem.step)


def raised(level: Level) -> Level:
    """One level above; nothing is above CRITICAL."""
    return _LEVELS[min(_LEVELS.index(level) + 1, len(_LEVELS) - 1)]


def heartbeat(run: RunOutcome) -> list[Alert]:
    """A sign of life to an outside watcher when a daily audit has run, whatever its verdict."""
    if not run.is_daily_audit or run.failure:
        return []
    name = fingerprint("heartbeat")
    title = inert(f"The daily audit of {run.partition or 'its month'} has run", TITLE_LENGTH)
    key = f"{name}:{run.run_id}"
    return [Alert(key, "heartbeat", name, title, "", level="LOW", audience="heartbeat")]


def report_alert(
    *, report_id: str, week_start: date, title: str, body: str, picture: bytes | None
) -> Alert:
    """A weekly growth report: no problem, so nothing that lasts, escalates or recovers.

    Its fingerprint is its week: the same week written again is one thread with the first.
    """
    name = f"{_REPORT}{week_start.isoformat()}"
    lines = [line for line in map(inert, body.splitlines()) if line]
    return Alert(
        key=f"{name}:{report_id}",
        kind="report",
        fingerprint=name,
        title=inert(title, TITLE_LENGTH),
        body="\n".join(lines[:REPORT_LINES]),
        level="LOW",
        audience="reports",
        picture=picture,
    )


def is_older_report(fingerprint: str, newest: str) -> bool:
    """Whether one fingerprint is of a weekly report, and of an earlier week than another."""
    both = fingerprint.startswith(_REPORT) and newest.startswith(_REPORT)
    return both and fingerprint < newest


def judge_daily_audit(
    audited_at: datetime | None, watched_since: datetime, now: datetime, *, hours: int
) -> Signal:
    """Whether the daily audit ran in the last hours; of a month that is due, by whomever started.

    Before the first one, hours count from when it was first watched.
    """
    silent = now - max(audited_at or watched_since, watched_since)
    last = f"{audited_at:%Y-%m-%d %H:%M} UTC" if audited_at else "never"
    return Signal(
        fingerprint=fingerprint("missed", "daily_audit"),
        bad=hours > 0 and silent > timedelta(hours=hours),
        kind="missed_audit",
        level="HIGH",
        # No running number of hours: the same silence is one alert, not one an hour.
        title=inert(f"The daily audit has not run for {hours} hours (last: {last})", TITLE_LENGTH),
        lines=(
            "See whether Dagster's daemon runs: growth serve --all starts it.",
            "See whether the schedule is on: daily_audit_schedule, in Dagster under Automation.",
            "Audit by hand: growth audit --month " + f"{now:%Y-%m}",
        ),
    )


def is_due(
    problems: Iterable[Problem], daily_audit: Signal, now: datetime, policy: AlertPolicy
) -> bool:
    """Whether time alone made something worth telling: a step of a problem, or a silent audit.

    `problems` are those that last.
    """
    lasting = {one.fingerprint: one for one in problems}
    if daily_audit.bad != (daily_audit.fingerprint in lasting):
        return True
    return bool(decide_escalations(lasting.values(), now, after_days=policy.escalate_after_days))


def _is_news(signal: Signal, known: Problem | None) -> bool:
    """What goes on failing words it differently each time (request ids): said once."""
    if known is None or not known.is_open:
        return True
    return signal.kind == "failed_check" and known.title != signal.title


def _is_over(signal: Signal, known: Problem | None) -> bool:
    return signal.certain and known is not None and known.is_open


def _body(lines: Iterable[str], run: RunOutcome) -> str:
    return "\n".join([*lines, inert(f"Run: {run.url or run.run_id}")])


def _alert(run: RunOutcome, signal: Signal, known: Problem | None) -> Alert:
    still_escalated = known is not None and known.is_open and known.step > 0
    return Alert(
        key=f"{signal.fingerprint}:{run.run_id}",
        kind=signal.kind,
        fingerprint=signal.fingerprint,
        title=signal.title,
        body=_body(signal.lines, run),
        level=known.level if known is not None and still_escalated else signal.level,
        audience="all" if signal.summary is None and not run.backfill_id else "issues",
    )


def _recovery(run: RunOutcome, signal: Signal, known: Problem) -> Alert:
    return Alert(
        key=f"{signal.fingerprint}:{run.run_id}",
        kind="recovery",
        fingerprint=signal.fingerprint,
        title=inert(f"Recovered: {known.title}", TITLE_LENGTH),
        body=_body(signal.lines, run),
        level=known.level,
        audience="all" if signal.summary is None else "issues",
    )


def _escalation(problem: Problem, now: datetime, url: str) -> Alert:
    days = (now - problem.opened_at).days
    level = raised(problem.level)
    opened = f"{problem.opened_at:%Y-%m-%d}"
    return Alert(
        key=f"{problem.fingerprint}:{problem.opened_at.isoformat()}:{problem.step + 1}",
        kind="escalation",
        fingerprint=problem.fingerprint,
        title=inert(f"{level}: open for {days} days: {problem.title}", TITLE_LENGTH),
        body="\n".join([f"Open since {opened}, told again as {level}.", *([url] if url else [])]),
        level=level,
    )


def _messages(run: RunOutcome, bad: Sequence[Signal], good: Sequence[Signal]) -> list[Alert]:
    """News of classes as one message an audit; what was bad in a backfill as one for all of it."""
    if run.backfill_id and bad:
        return [_backfill_message(run, bad), *_messages(run, [], good)]
    facts = list(dict.fromkeys(one.summary for one in (*bad, *good) if one.summary))
    return [_summary(run, about, bad, good) for about in facts]


def _summary(
    run: RunOutcome, about: SummaryFacts, bad: Sequence[Signal], good: Sequence[Signal]
) -> Alert:
    """The three lines that matter: verdict and month, money at risk, what to do next."""
    new = [one for one in bad if one.summary == about]
    over = [one for one in good if one.summary == about]
    news = [f"new: {_named(new)}"] if new else []
    news += [f"recovered: {_named(over)}"] if over else []
    level = _worst(new)
    name = fingerprint("summary", about.asset, about.partition)
    return Alert(
        key=f"{name}:{run.run_id}",
        kind="summary" if new else "recovery",
        fingerprint=name,
        title=inert(f"{about.verdict} {about.partition} · {' · '.join(news)}", TITLE_LENGTH),
        body="\n".join(
            [
                inert(f"Money at risk: {about.at_risk or 'none known'}"),
                inert(f"Next: {about.next_command} · {run.url or run.run_id}"),
            ]
        ),
        level=level,
        audience="messages",
    )


def _worst(signals: Sequence[Signal]) -> Level:
    return _LEVELS[max((_LEVELS.index(one.level) for one in signals), default=0)]


def _named(signals: Sequence[Signal]) -> str:
    names = [one.name for one in signals]
    more = len(names) - _CLASSES_NAMED
    return ", ".join(names[:_CLASSES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _backfill_message(run: RunOutcome, bad: Sequence[Signal]) -> Alert:
    name = fingerprint("backfill", run.backfill_id or "")
    return Alert(
        key=name,
        kind="summary",
        fingerprint=name,
        title=inert(f"Backfill {run.backfill_id}: months with problems", TITLE_LENGTH),
        body=_body(["First seen:", *(one.title for one in bad)], run),
        level=_worst(bad),
        audience="messages",
    )
