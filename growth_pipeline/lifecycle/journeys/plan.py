"""What is due for one user at one instant: who enters, what is written, what waits and why. Pure.

One rule for the hourly run and for a preview. Contract: docs/lifecycle.md, "Journeys".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.facts import Stage
from growth_pipeline.lifecycle.journeys.model import (
    LATEST,
    DoesEvent,
    EntersStage,
    Journey,
    SendingPolicy,
    Step,
    Trigger,
)
from growth_pipeline.lifecycle.journeys.quiet import quiet_from, quiet_until
from growth_pipeline.lifecycle.journeys.records import (
    Decisions,
    Ended,
    Enrolment,
    HeldBack,
    Intent,
    UserView,
)

_SHARES: Final = 2**32


def advance(
    user: UserView,
    enrolments: Sequence[Enrolment],
    sent: Sequence[datetime],
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    now: datetime,
) -> Decisions:
    """What is due for a user now.

    `sent`: when each earlier message to them went out, or may, of all journeys. The same arguments
    decide the same; a later look at the same state decides nothing twice.
    """
    look = _Look(user, {journey.name: journey for journey in journeys}, policy, now)
    decided = Decisions([])
    held = {one.journey: one for one in enrolments}
    for journey in journeys:
        if journey.name not in held:
            entered = look.entered(journey)
            if entered is not None:
                held[journey.name] = entered
                decided.entered.append(entered)
    for name, enrolment in held.items():
        held[name] = look.ended(enrolment)
    look.go_on(held, sent, decided)
    decided.enrolments = list(held.values())
    return decided


def is_held_out(journey: Journey, user_key: bytes) -> bool:
    """Whether a user is in the share of a journey that gets nothing: by hash, the same for ever."""
    digest = hashlib.sha256(f"holdout:{journey.name}:".encode() + user_key).digest()
    return int.from_bytes(digest[:4]) < round(journey.holdout * _SHARES)


def reached(user: UserView, goal: Trigger | None, since: datetime) -> datetime | None:
    """When a user first came to a stage, or did an event, after an instant; None: not yet."""
    if isinstance(goal, EntersStage):
        hits = (
            change.at
            for change in user.changes
            if change.at > since
            and change.to_stage in goal.stages
            and (not goal.from_ or change.from_stage in goal.from_)
        )
        return min(hits, default=None)
    if isinstance(goal, DoesEvent):
        done = (one.at for one in user.events if one.event == goal.event and one.at > since)
        return min(done, default=None)
    return None


def goal_reached(user: UserView, journey: Journey, entered_at: datetime) -> datetime | None:
    """When the goal was reached in the time that a journey has for it; None: not."""
    at = reached(user, journey.goal, entered_at)
    return at if at is not None and at <= entered_at + timedelta(days=journey.goal_days) else None


# --- inside --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """One look at one user."""

    user: UserView
    known: dict[str, Journey]
    policy: SendingPolicy
    now: datetime

    # --- entering ---

    def entered(self, journey: Journey) -> Enrolment | None:
        """The enrolment that a trigger of the last days begins; None: none does."""
        found = self._triggered(journey)
        if found is None or not self._is_audience(journey):
            return None
        at, told = found
        due_at = at + journey.steps[0].after
        return Enrolment(
            journey=journey.name,
            version=journey.version,
            entered_at=at,
            is_holdout=is_held_out(journey, self.user.user_key),
            trigger=told,
            next_at=due_at,
            due_at=due_at,
        )

    def _triggered(self, journey: Journey) -> tuple[datetime, str] | None:
        trigger = journey.trigger
        starts = datetime.combine(journey.starts_on, time(), zone_of(self.policy.tz))
        oldest = self.now - LATEST
        if isinstance(trigger, EntersStage):
            last = self.user.changes[-1] if self.user.changes else None  # earlier ones are over
            if last is None or last.to_stage not in trigger.stages:
                return None
            if trigger.from_ and last.from_stage not in trigger.from_:
                return None
            # `at` is the end of its day: at midnight it is the day before that ended.
            if not (oldest <= last.at <= self.now and starts.astimezone(UTC) < last.at):
                return None
            return last.at, f"{last.from_stage or 'new'} -> {last.to_stage}"
        done = [
            one.at
            for one in self.user.events
            if one.event == trigger.event and max(oldest, starts) <= one.at <= self.now
        ]
        return (max(done), trigger.event) if done else None

    def _is_audience(self, journey: Journey) -> bool:
        asked, stage = journey.audience, self.user.stage
        if stage in (None, Stage.DELETED) or (asked.stages and stage not in asked.stages):
            return False  # None: the first day is not over
        if not asked.needs_facts:
            return True
        standing = self.user.standing()
        if standing is None or (asked.bands and standing.band not in asked.bands):
            return False
        if asked.active_within_days is not None and (
            standing.inactive_days is None or standing.inactive_days >= asked.active_within_days
        ):
            return False
        return asked.scores[0] <= standing.score <= asked.scores[1]

    # --- ending ---

    def ended(self, enrolment: Enrolment) -> Enrolment:
        """The enrolment after a look at goal and exits; whichever was first counts.

        A holdout gets nothing and is only watched. After the last step the goal is watched on, and
        exits as long as a message may still wait to be sent.
        """
        journey = self.known.get(enrolment.journey)
        if enrolment.state not in (Ended.ACTIVE, Ended.FINISHED):
            return enrolment
        if journey is None:
            return self._end_active(enrolment, Ended.EXITED, "the journey is gone")
        goal_at = goal_reached(self.user, journey, enrolment.entered_at)
        exit_at, reason = self._left(enrolment, journey)
        if goal_at is not None and (exit_at is None or goal_at <= exit_at):
            return replace(self._end(enrolment, Ended.GOAL, "goal reached"), goal_at=goal_at)
        if exit_at is not None and self._may_wait(enrolment):
            return self._end(enrolment, Ended.EXITED, reason)
        if enrolment.is_holdout:
            return self._end_active(enrolment, Ended.FINISHED, "holdout")
        return enrolment

    def _left(self, enrolment: Enrolment, journey: Journey) -> tuple[datetime | None, str]:
        """When a user left a journey before its end, and how."""
        exits = (*journey.exits, Stage.DELETED)
        since, changes = enrolment.entered_at, self.user.changes
        for change in changes:
            if change.at > since and change.to_stage in exits:
                return change.at, f"stage {change.to_stage}"
        began = journey.trigger
        if (
            isinstance(began, EntersStage)
            and enrolment.version == journey.version
            and self.user.stage not in began.stages
            and not (changes and changes[-1].at > since)
        ):
            return self.now, "its beginning is untrue by later facts"
        return None, ""

    def _may_wait(self, enrolment: Enrolment) -> bool:
        """Whether a step or a message of the journey may still wait."""
        if enrolment.state is Ended.ACTIVE:
            return True
        is_recent = enrolment.ended_at is not None and self.now <= enrolment.ended_at + LATEST
        return is_recent and not enrolment.is_holdout

    def _end(self, enrolment: Enrolment, state: Ended, reason: str) -> Enrolment:
        return replace(
            enrolment, state=state, next_at=None, due_at=None, ended_at=self.now, end_reason=reason
        )

    def _end_active(self, enrolment: Enrolment, state: Ended, reason: str) -> Enrolment:
        is_active = enrolment.state is Ended.ACTIVE
        return self._end(enrolment, state, reason) if is_active else enrolment

    # --- steps ---

    def go_on(
        self, held: dict[str, Enrolment], sent: Sequence[datetime], decided: Decisions
    ) -> None:
        """Due steps, the most important first, until nothing is due any more."""
        window = [at for at in sent if at > self.now - timedelta(days=self.policy.cap_days)]
        while (enrolment := self._most_important(held)) is not None:
            journey = self.known[enrolment.journey]
            step = journey.step(enrolment.next_step)
            if step is None:
                held[journey.name] = self._end(enrolment, Ended.FINISHED, "all steps done")
                continue
            against = self._against(enrolment, step, window)
            if against is None:
                decided.messages.append(self._intent(journey, step, enrolment))
                window.append(self.now)
            else:
                decided.held_back.append(against)
            if against is None or against.until is None:
                held[journey.name] = self._after(enrolment, journey)
            else:
                held[journey.name] = replace(enrolment, next_at=against.until)

    def _most_important(self, held: dict[str, Enrolment]) -> Enrolment | None:
        due = [
            (-self.known[one.journey].priority, one.next_at, one.journey)
            for one in held.values()
            if one.state is Ended.ACTIVE and one.next_at is not None and one.next_at <= self.now
        ]
        return held[min(due)[2]] if due else None

    def _against(
        self, enrolment: Enrolment, step: Step, window: Sequence[datetime]
    ) -> HeldBack | None:
        """What speaks against a due step; None: nothing."""
        late_at = (enrolment.due_at or self.now) + LATEST
        held = HeldBack(enrolment.journey, step.name, "")
        if step.only_in and self.user.stage not in step.only_in:
            return replace(held, reason="other_stage")
        if self.now > late_at:
            return replace(held, reason="too_late")
        if len(window) >= self.policy.cap_messages:
            free = sorted(window)[-self.policy.cap_messages] + timedelta(days=self.policy.cap_days)
            return replace(held, reason="cap", until=free if free <= late_at else None)
        until = quiet_until(self.now, self.policy, self.user.zone)
        if until is not None:
            return replace(held, reason="quiet_hours", until=until)
        return None

    def _after(self, enrolment: Enrolment, journey: Journey) -> Enrolment:
        """The enrolment with its next step; ended after the last."""
        number = enrolment.next_step + 1
        following = journey.step(number)
        if following is None:
            done = replace(enrolment, next_step=number)
            return self._end(done, Ended.FINISHED, "all steps done")
        due_at = self.now + following.after
        return replace(enrolment, next_step=number, next_at=due_at, due_at=due_at)

    def _intent(self, journey: Journey, step: Step, enrolment: Enrolment) -> Intent:
        return Intent(
            journey=journey.name,
            version=journey.version,
            step=step.name,
            action=step.action,
            target=step.target,
            priority=journey.priority,
            basis=journey.basis,
            trigger_at=enrolment.entered_at,
            due_at=self.now,
            late_at=(enrolment.due_at or self.now) + LATEST,
            quiet_at=quiet_from(self.now, self.policy, self.user.zone),
        )
