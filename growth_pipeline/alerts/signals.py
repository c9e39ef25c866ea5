"""What one finished run says about each problem it may have: good, bad, or nothing certain.

Pure. A signal stands for one fingerprint: one class of findings of one month, one check, or one
kind of run. What is told, and to whom, is decided in decide.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from growth_pipeline.alerts.troubleshoot import troubleshoot
from growth_pipeline.core.ids import fingerprint

Kind = Literal["failed_check", "run_failure", "missed_audit"]
Level = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]

VERDICT_CHECK = "verdict"
# While a source was not read to its end, a class without findings is unknown, not good.
INCOMPLETE = "source_incomplete"
TITLE_LENGTH = 200
LINE_LENGTH = 600


@dataclass(frozen=True)
class RunOutcome:
    """One finished run. `failure` is its one sentence, empty for a run that succeeded.

    `failure_kind` is the name of the error's type, for the steps that help against it.
    """

    run_id: str
    job_name: str
    partition: str | None = None
    backfill_id: str | None = None
    failure: str = ""
    remedy: str = ""
    url: str = ""
    failure_kind: str = ""
    is_daily_audit: bool = False


@dataclass(frozen=True)
class ClassOutcome:
    """Findings of one class in one audit that count. `money`: as people read it, with currency.

    `suppressed`: findings that somebody decided not to count. `certain` is False for a class that
    the audit did not judge: without findings it is unknown, not good.
    """

    code: str
    findings: int
    level: Level = "HIGH"
    money: str = ""
    action: str = ""
    suppressed: int = 0
    certain: bool = True


@dataclass(frozen=True)
class CheckOutcome:
    """One evaluation of one asset check, as the run recorded it.

    `classes`: the classes of findings that the check stands for, with and without findings; empty
    for a check of another kind. `at_risk` is told by the verdict alone.
    """

    asset: str
    check: str
    passed: bool
    level: Level = "HIGH"
    partition: str | None = None
    description: str = ""
    remedy: str = ""
    classes: tuple[ClassOutcome, ...] = ()
    verdict: str = ""
    at_risk: str = ""


@dataclass(frozen=True)
class SummaryFacts:
    """What the message about one audit says beside its news."""

    asset: str
    partition: str
    verdict: str
    at_risk: str
    next_command: str


@dataclass(frozen=True)
class Signal:
    """State of one fingerprint after a run: bad (worth an alert) or good again.

    `name` is its short name in a message of many. `certain` is False when the run could not tell
    that it is good. `summary`: the audit whose message tells it; None: it is told by itself.
    """

    fingerprint: str
    bad: bool
    kind: Kind
    title: str
    lines: tuple[str, ...]
    level: Level = "HIGH"
    name: str = ""
    certain: bool = True
    summary: SummaryFacts | None = field(default=None, repr=False)


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
    facts = {(one.asset, one.partition): _facts(one) for one in known if _is_verdict(one)}
    unread = {(one.asset, one.partition) for one in known if _is_unread(one)}
    telling = {(one.asset, one.partition) for one in known if _is_bad(one) and not _is_verdict(one)}
    signals = [_run_signal(run)]
    for one in known:
        place = (one.asset, one.partition)
        if one.classes:
            certain = place not in unread
            signals += _class_signals(one, _summary_of(one, facts), certain=certain)
        elif not (_is_verdict(one) and place in telling):
            signals.append(_check_signal(one))
    return signals


def _is_bad(outcome: CheckOutcome) -> bool:
    return not outcome.passed and outcome.level != "LOW"


def _is_verdict(outcome: CheckOutcome) -> bool:
    return outcome.check == VERDICT_CHECK


def _is_unread(outcome: CheckOutcome) -> bool:
    return any(one.code == INCOMPLETE and one.findings for one in outcome.classes)


def _facts(verdict: CheckOutcome) -> SummaryFacts:
    month = verdict.partition or ""
    return SummaryFacts(
        asset=verdict.asset,
        partition=month,
        verdict=verdict.verdict or ("PASS" if verdict.passed else "FAIL"),
        at_risk=verdict.at_risk,
        next_command=_audit_command(month),
    )


def _audit_command(month: str) -> str:
    """`growth audit --month 2026-10`, with the zone of a month that is not of UTC."""
    name, _, zone = month.removesuffix(")").partition(" (")
    return f"growth audit --month {name}" + (f" --tz {zone}" if zone else "")


def _summary_of(
    outcome: CheckOutcome, facts: Mapping[tuple[str, str | None], SummaryFacts]
) -> SummaryFacts:
    found = facts.get((outcome.asset, outcome.partition))
    return found or _facts(outcome)


def _run_signal(run: RunOutcome) -> Signal:
    place = " ".join(part for part in (run.job_name, run.partition) if part)
    remedies = [run.remedy] if run.remedy else []
    steps = [
        f"{number}. {step}" for number, step in enumerate(troubleshoot(run.failure_kind), start=1)
    ]
    lines: Sequence[str] = [run.failure, *remedies, *steps] if run.failure else []
    return Signal(
        fingerprint=fingerprint("run", run.job_name, run.partition or ""),
        bad=bool(run.failure),
        kind="run_failure",
        title=inert(f"{place}: the run failed: {run.failure}", TITLE_LENGTH),
        lines=tuple(inert(text) for text in lines if text),
        name=place,
    )


def _class_signals(
    outcome: CheckOutcome, summary: SummaryFacts, *, certain: bool
) -> Iterable[Signal]:
    """One signal a class, and a good one for the check itself: it is told by its classes alone."""
    for one in outcome.classes:
        # What was found is found, whatever else was not read.
        certain_of_it = (certain and one.certain) or one.code == INCOMPLETE
        yield _class_signal(outcome, one, summary, certain=certain_of_it)
    if outcome.passed and certain and all(one.certain for one in outcome.classes):
        yield _check_signal(outcome)


def _class_signal(
    outcome: CheckOutcome, of_class: ClassOutcome, summary: SummaryFacts, *, certain: bool
) -> Signal:
    count = f"{of_class.findings} finding{'s' * (of_class.findings != 1)}"
    said = ", ".join(part for part in (count, of_class.money) if part)
    place = " ".join(part for part in (outcome.asset, outcome.partition) if part)
    bad = of_class.findings > 0 and of_class.level != "LOW"
    hushed = f"{of_class.suppressed} of its findings are suppressed and do not count."
    lines = [said, of_class.action] if bad else []
    lines += [hushed] if of_class.suppressed else []
    return Signal(
        fingerprint=fingerprint("class", outcome.asset, of_class.code, outcome.partition or ""),
        bad=bad,
        kind="failed_check",
        title=inert(f"{place}: {of_class.code}: {said}", TITLE_LENGTH),
        lines=tuple(inert(text) for text in lines if text),
        level=of_class.level,
        name=f"{of_class.code} {of_class.findings}" if bad else of_class.code,
        certain=certain,
        summary=summary,
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
        level=outcome.level,
        name=outcome.check,
    )
