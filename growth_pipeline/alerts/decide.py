"""What deserves a person's attention after a run: outcomes of checks in, alerts out.

Pure: no clock, no I/O. Which words go to which channel is decided here, their escaping is not:
a channel escapes for its own markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from growth_pipeline.core.ids import fingerprint

Kind = Literal["failed_check", "run_failure", "recovery"]
Level = Literal["HIGH", "MEDIUM", "LOW"]

VERDICT_CHECK = "verdict"
TITLE_LENGTH = 200
LINE_LENGTH = 600


@dataclass(frozen=True)
class RunOutcome:
    """One finished run. `failure` is its one sentence, empty for a run that succeeded."""

    run_id: str
    job_name: str
    partition: str | None = None
    backfill_id: str | None = None
    failure: str = ""
    remedy: str = ""
    url: str = ""


@dataclass(frozen=True)
class CheckOutcome:
    """One evaluation of one asset check, as the run recorded it."""

    asset: str
    check: str
    passed: bool
    level: Level = "HIGH"
    partition: str | None = None
    description: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class LastAlert:
    """What was last said about a fingerprint; the same again is not said twice."""

    kind: Kind
    title: str


@dataclass(frozen=True)
class Alert:
    """One thing to say. Its key makes the same decision of the same run a single alert."""

    key: str
    kind: Kind
    fingerprint: str
    title: str
    body: str


@dataclass(frozen=True)
class Signal:
    """State of one fingerprint after a run: bad (worth an alert) or good again."""

    fingerprint: str
    bad: bool
    kind: Kind
    title: str
    lines: tuple[str, ...]


def inert(text: str, limit: int = LINE_LENGTH) -> str:
    """One printable line: no control, zero-width or direction characters, at most `limit` long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def read_signals(run: RunOutcome, checks: Iterable[CheckOutcome]) -> list[Signal]:
    """Signals of one run, in a fixed order: the run itself first, then its checks.

    A failed run says nothing about checks it did not reach, so they neither alert nor recover.
    LOW outcomes count as good: the report lists them, nobody is called. The verdict is left out
    when a class of the same asset and month says more.
    """
    known = sorted(checks, key=lambda one: (one.asset, one.partition or "", one.check))
    telling = {(one.asset, one.partition) for one in known if _is_bad(one) and not _is_verdict(one)}
    spoken = [
        one for one in known if not (_is_verdict(one) and (one.asset, one.partition) in telling)
    ]
    return [_run_signal(run), *(_check_signal(one) for one in spoken)]


def decide_alerts(
    run: RunOutcome, signals: Sequence[Signal], last: Mapping[str, LastAlert]
) -> list[Alert]:
    """Alerts worth sending now: what went bad, changed while bad, or is good again.

    `last` holds the newest alert of each fingerprint. A backfill says one thing for all its bad
    months, under one key, so that twelve months are not twelve messages.
    """
    bad = [one for one in signals if one.bad and _is_news(one, last.get(one.fingerprint))]
    good = [one for one in signals if not one.bad and _was_bad(last.get(one.fingerprint))]
    alerts = [_alert(run, one) for one in bad]
    if run.backfill_id and bad:
        alerts = [_backfill_alert(run, bad)]
    return alerts + [_recovery(run, one, last[one.fingerprint]) for one in good]


def _is_bad(outcome: CheckOutcome) -> bool:
    return not outcome.passed and outcome.level != "LOW"


def _is_verdict(outcome: CheckOutcome) -> bool:
    return outcome.check == VERDICT_CHECK


def _is_news(signal: Signal, last: LastAlert | None) -> bool:
    """A run that goes on failing words it differently each time (request ids): said once."""
    if last is None or last.kind == "recovery":
        return True
    return signal.kind == "failed_check" and last.title != signal.title


def _was_bad(last: LastAlert | None) -> bool:
    return last is not None and last.kind != "recovery"


def _run_signal(run: RunOutcome) -> Signal:
    place = " ".join(part for part in (run.job_name, run.partition) if part)
    return Signal(
        fingerprint=fingerprint("run", run.job_name, run.partition or ""),
        bad=bool(run.failure),
        kind="run_failure",
        title=inert(f"{place}: the run failed: {run.failure}", TITLE_LENGTH),
        lines=tuple(inert(text) for text in (run.failure, run.remedy) if text),
    )


def _check_signal(outcome: CheckOutcome) -> Signal:
    place = " ".join(part for part in (outcome.asset, outcome.partition) if part)
    said = f": {outcome.description}" if outcome.description else ""
    return Signal(
        fingerprint=fingerprint("check", outcome.asset, outcome.check, outcome.partition or ""),
        bad=_is_bad(outcome),
        kind="failed_check",
        title=inert(f"{place}: {outcome.check} failed{said}", TITLE_LENGTH),
        lines=tuple(inert(text) for text in (outcome.description, outcome.remedy) if text),
    )


def _body(lines: Iterable[str], run: RunOutcome) -> str:
    return "\n".join([*lines, inert(f"Run: {run.url or run.run_id}")])


def _alert(run: RunOutcome, signal: Signal) -> Alert:
    return Alert(
        key=f"{signal.fingerprint}:{run.run_id}",
        kind=signal.kind,
        fingerprint=signal.fingerprint,
        title=signal.title,
        body=_body(signal.lines, run),
    )


def _recovery(run: RunOutcome, signal: Signal, last: LastAlert) -> Alert:
    return Alert(
        key=f"{signal.fingerprint}:{run.run_id}",
        kind="recovery",
        fingerprint=signal.fingerprint,
        title=inert(f"Recovered: {last.title}", TITLE_LENGTH),
        body=_body([], run),
    )


def _backfill_alert(run: RunOutcome, bad: Sequence[Signal]) -> Alert:
    name = fingerprint("backfill", run.backfill_id or "")
    return Alert(
        key=name,
        kind=bad[0].kind,
        fingerprint=name,
        title=inert(f"Backfill {run.backfill_id}: months with problems", TITLE_LENGTH),
        body=_body(["First seen:", *(one.title for one in bad)], run),
    )
