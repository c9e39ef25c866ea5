"""What commands of lifecycle say to a person, line by line. No address is in any of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from growth_pipeline.lifecycle.journeys.lift import Lift
from growth_pipeline.lifecycle.journeys.preview import Preview


def journey_lines(journeys: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each journey with its steps."""
    for one in journeys:
        yield f"{one['journey']}  {one['what']}"
        held = f", held out {one['holdout']:.0%}" if one["holdout"] else ""
        yield (
            f"    who {one['enters']}, from {one['starts_on']}; priority {one['priority']}, "
            f"basis {one['basis']}{held}"
        )
        for step in one["steps"]:
            what = f"tag {step['tag']}" if "tag" in step else f"sequence {step['sequence']}"
            only = f", only in {'/'.join(step['only_in'])}" if step["only_in"] else ""
            yield f"    {step['step']}: after {_time(step['after_hours'])}, {what}{only}"
        goal = f"goal: {one['goal']} within {one['goal_days']} days" if one["goal"] else "no goal"
        yield f"    {goal}; ends in {', '.join(one['exits']) or 'no stage'}"


def _time(hours: float) -> str:
    return f"{hours:g} h" if hours % 24 else f"{hours / 24:g} d"


def preview_lines(found: Preview, limit: int) -> Iterator[str]:
    """Who would have entered, what would have gone out, and what would have been held back."""
    told = found.to_dict()
    yield f"{found.first} to {found.last}: {found.users:,} users looked at"
    yield f"entered:   {counts(told['entered'])}"
    yield f"held out:  {counts(told['held_out'])}"
    yield f"messages:  {counts(told['messages'])}"
    yield f"held back: {counts(told['held_back'])}"
    yield f"ended:     {counts(told['ended'])}"
    yield f"messages over the cap, if there was none: {told['cap_violations_without_a_cap']:,}"
    if found.against is not None:
        yield "audiences against the other definition:"
        yield from (
            f"  {name}: {one['only_new']:,} only here, {one['only_old']:,} only there, "
            f"{one['both']:,} in both"
            for name, one in found.differences.items()
        )
    shown = sorted(told["who_gets_what"], key=lambda one: str(one["at"]))[:limit]
    yield from (f"  {one['at'][:16]}  {one['user']}  {one['message']}" for one in shown)
    if len(told["who_gets_what"]) > limit:
        yield "  ... more with --limit, or with --json"


def lift_lines(found: Sequence[Lift]) -> Iterator[str]:
    """Shares of both sides, and their difference with its interval."""
    if not found:
        yield "No journey has a goal."
    for one in found:
        treated = f"{one.treated_goals:,} of {one.treated:,} with messages"
        held = f"{one.holdout_goals:,} of {one.holdout:,} held out"
        yield f"{one.journey}: goal reached by {treated}, {held}; {one.open:,} still open"
        if one.difference is None:
            yield "    nothing to compare: one side is empty"
        elif one.low is None or one.high is None:
            yield f"    difference {one.difference * 100:+.1f} points: too few users to tell"
        else:
            yield (
                f"    difference {one.difference * 100:+.1f} points "
                f"(95 %: {one.low * 100:+.1f} to {one.high * 100:+.1f})"
            )


def outbox_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Counts, then one line a message."""
    yield f"messages: {counts(found['counts'])}"
    for one in found["messages"]:
        why = f"  {one['reason']}" if one["reason"] else ""
        at = one["sent_at"] or one["called_at"] or one["due_at"]
        user = one["user_id"] or "(deleted user)"
        yield f"{one['message_id']}  {one['state']}  {at[:16]}  {user}  {one['message']}{why}"


def suppression_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Counts by reason, or what is known of one address."""
    if "counts" in found:
        yield f"suppressed addresses: {counts(found['counts'])}"
    elif not found["suppressions"]:
        yield "not suppressed"
    for one in found.get("suppressions", ()):
        lifted = f", lifted {one['lifted_at'][:16]}" if one["lifted_at"] else ""
        yield f"{one['reason']} since {one['since'][:16]}, told by {one['source']}{lifted}"


def counts(told: Mapping[str, int]) -> str:
    """Counts by name, the names in order."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(told.items())) or "none"
