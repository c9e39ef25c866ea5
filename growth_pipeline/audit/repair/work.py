"""What one repair does inside its transaction, and every row that is another one then.

Carried out for a plan too: then the caller rolls it back. Which findings are mended is decided in
`repair/rules.py`; what Stripe said was read before, in `repair/ask.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.audit.repair.ask import Told
from growth_pipeline.audit.repair.plan import (
    INBOX_TABLE,
    PAYMENTS_TABLE,
    Image,
    Plan,
    Purposes,
    Step,
)
from growth_pipeline.audit.repair.rules import (
    Note,
    Selection,
    corrected_values,
    is_as_seen,
    kept_of,
    rows_seen,
)
from growth_pipeline.audit.repair.store import BookedImage, Place, RepairStore, RepairTurn
from growth_pipeline.billing.fold import VOLATILE, State, says_the_same
from growth_pipeline.billing.inbox import ReceivedEvent, parse_envelope
from growth_pipeline.billing.ledger import ODD, apply_fetched_in, book_again
from growth_pipeline.billing.mirror import apply_batch
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.payments import charges_of, intent_of
from growth_pipeline.billing.store import EventKey, WaitingEvent
from growth_pipeline.billing.tables import ObjectKey

if TYPE_CHECKING:
    from growth_pipeline.audit.findings import Finding


class Work:
    """One repair, in the turn's transaction. `beside` reads how rows were before it.

    `elsewhere` are charges of other accounts, whose rows stood in this one's books.
    """

    def __init__(
        self,
        turn: RepairTurn,
        beside: RepairStore,
        selection: Selection,
        told: Told,
        *,
        elsewhere: Sequence[ObjectKey] = (),
        now: datetime,
    ) -> None:
        self._turn = turn
        self._beside = beside
        self._selection = selection
        self._told = told
        self._elsewhere = elsewhere
        self._now = now
        self._left: list[Note] = []
        self._purposes = Purposes()
        self._steps: list[Step] = []

    def carry_out(
        self, place: Place, audit_id: str, only: tuple[str, ...], *, later: int = 0
    ) -> Plan:
        """Do all of it; what was done, row by row. `later`: findings that wait for another one."""
        self._note_purposes()
        written = self._mirror() | self._book()
        looked_at = self._mend_rows()
        self._booked_steps(looked_at, written)
        self._steps.sort(key=lambda step: step.place)
        mended = list(self._mended())
        self._leave_rest(mended)
        return Plan(
            scope=place.scope,
            month=place.month,
            tz=place.tz,
            audit_id=audit_id,
            only=only,
            steps=tuple(self._steps),
            mended=tuple(mended),
            manual=self._selection.manual,
            left=(*self._selection.left, *self._left),
            later=later,
        )

    # --- what it is done for ----------------------------------------------------------------

    def _note_purposes(self) -> None:
        for finding in self._selection.mended:
            for key in self._told.asked_for.get(finding.fingerprint, ()):
                self._purposes.note_object(key.object, key.id, finding)
            for key in self._event_and_objects(finding):
                self._purposes.note_object(key.object, key.id, finding)
            for payment_id in rows_seen(finding):
                self._purposes.note_payment(payment_id, finding)
            reason = self._told.failed.get(finding.fingerprint)
            if reason:
                self._left.append(Note.of(finding, reason))

    def _event_and_objects(self, finding: Finding) -> list[ObjectKey]:
        """The missed event of a finding, its object, and charges that are booked with it."""
        event = self._told.events.get(finding.fingerprint)
        if event is None:
            return []
        named = _object_of(event)
        own = ObjectKey(event.account_id, event.livemode, "event", event.event_id)
        return [own, *([named] if named else []), *self._charges_of(event)]

    def _mended(self) -> Iterator[Finding]:
        """Findings that something is done for."""
        done = {name for step in self._steps for name in step.fingerprints}
        return (one for one in self._selection.mended if one.fingerprint in done)

    def _leave_rest(self, mended: Iterable[Finding]) -> None:
        """Say of the others why nothing is done for them."""
        named = {one.fingerprint for one in mended} | {note.fingerprint for note in self._left}
        said = "what a repair can mend is right already: audit the month again"
        rest = (one for one in self._selection.mended if one.fingerprint not in named)
        self._left += [Note.of(finding, said) for finding in rest]

    def _leave(self, key: ObjectKey, reason: str) -> None:
        for finding in self._purposes.by_object.get((key.object, key.id), ()):
            self._left.append(Note.of(finding, f"the mirror cannot use {key.id}: {reason}"))

    # --- ledger and mirror ------------------------------------------------------------------

    def _mirror(self) -> set[ObjectKey]:
        """Bring events and states into ledger and mirror; the charges that are booked by them.

        An object is one step, whoever told of it: the event, the answer, or both.
        """
        events = list({event.event_id: event for event in self._told.events.values()}.values())
        named = {key for key in map(_object_of, events) if key is not None}
        keys = sorted({*named, *self._told.states})
        before = self._states(keys)
        booked = self._insert_events(events) | self._take_states()
        after = self._states(keys)
        for key in keys:
            if _is_another(before.get(key), after.get(key)):
                self._mirror_step(key, before.get(key), after.get(key))
        return booked

    def _states(self, keys: Sequence[ObjectKey]) -> Mapping[ObjectKey, State]:
        return self._turn.mirror.load_states(keys) if keys else {}

    def _insert_events(self, events: Sequence[ReceivedEvent]) -> set[ObjectKey]:
        """Put events that were missed into the ledger and apply them; charges they touch."""
        new = self._turn.mirror.insert_events(events) if events else set()
        touched: set[ObjectKey] = set()
        for event in events:
            if EventKey(*event[:3]) in new:
                self._apply_event(event)
                after = {"type": event.type, "created_at": event.created_at.isoformat()}
                self._add(Step(INBOX_TABLE, event.event_id, None, after), "event", event.event_id)
                touched |= self._charges_of(event)
        return touched

    def _apply_event(self, event: ReceivedEvent) -> None:
        """Apply one; an odd one stays in the inbox, to be set aside there with its reason."""
        waiting = WaitingEvent(*event[:3], event.created_at, event.body)
        try:
            with self._turn.mirror.savepoint():
                apply_batch(self._turn.mirror, [waiting], now=self._now)
        except ODD:
            return

    def _charges_of(self, event: ReceivedEvent) -> set[ObjectKey]:
        payload = parse_envelope(event.body).payload
        if payload is None:
            return set()
        kind, scope = str(payload.get("object")), (event.account_id, event.livemode)
        charge, intent = charges_of(kind, payload), intent_of(kind, payload)
        found = {ObjectKey(*scope, "charge", charge)} if charge else set()
        intents = [(*scope, intent)] if intent else []
        return found | self._turn.mirror.charges_of_intents(intents)

    def _take_states(self) -> set[ObjectKey]:
        """Bring what Stripe showed through ledger and fold; the charges booked by it."""
        states = list(self._told.states.values())
        if not states:
            return set()
        outcome = apply_fetched_in(self._turn.mirror, states, source="refetch", now=self._now)
        for key, reason in outcome.refused:
            self._leave(key, reason)
        return {charge for charge, _ in outcome.charges}

    def _mirror_step(self, key: ObjectKey, before: State | None, after: State | None) -> None:
        was, now = _mirrored(before), _mirrored(after)
        names = sorted(
            name
            for name in {*(was or {}), *(now or {})} - VOLATILE
            if (was or {}).get(name) != (now or {}).get(name)
        )
        step = Step(
            f"stripe.{BY_OBJECT[key.object].resource}",
            key.id,
            None if was is None else {name: was.get(name) for name in names},
            None if now is None else {name: now.get(name) for name in names},
        )
        self._add(step, key.object, key.id)

    def _book(self) -> set[ObjectKey]:
        """Book the payments of the findings again, whether or not the mirror changed."""
        charges = {*self._told.charges.values(), *self._elsewhere}
        done = book_again(self._turn.mirror, sorted(charges), now=self._now)
        for key, reason in done.refused:
            self._leave(key, reason)
        return set(done.written)

    # --- rows of the books ------------------------------------------------------------------

    def _mend_rows(self) -> set[int]:
        """Take out and correct rows that the mirror cannot mend; numbers of all that were seen."""
        seen = {number for finding in self._selection.mended for number in rows_seen(finding)}
        rows = self._turn.hold_rows(seen)
        booked = self._turn.images((), self._told.charges.values()).values()
        own = {one.charge: one.payment_id for one in booked if one.charge}
        surplus: set[int] = set()
        for finding in self._selection.mended:
            surplus |= self._surplus(finding, rows, own)
        if surplus:
            self._turn.delete_rows(surplus)
        return seen

    def _surplus(
        self, finding: Finding, rows: Mapping[int, Image], own: Mapping[ObjectKey, int]
    ) -> set[int]:
        """A finding's rows to take out; that of a payment without a charge is corrected."""
        name, told = finding.fingerprint, self._told
        if name in told.failed:
            return set()
        if name in told.unknown:
            return self._others(finding, rows, None)
        if name in told.charges:
            kept = own.get(told.charges[name])
            return set() if kept is None else self._others(finding, rows, kept)
        kept = kept_of(finding) if name in told.payments else None
        return set() if kept is None else self._corrected(finding, rows, kept)

    def _corrected(self, finding: Finding, rows: Mapping[int, Image], kept: int) -> set[int]:
        if self._may_change(finding, rows, kept):
            values = corrected_values(self._told.payments[finding.fingerprint])
            self._turn.correct_row(kept, values, now=self._now)
        return self._others(finding, rows, kept)

    def _others(self, finding: Finding, rows: Mapping[int, Image], kept: int | None) -> set[int]:
        """The finding's rows but one, as far as they are still what the audit saw."""
        others = (number for number in rows_seen(finding) if number != kept)
        return {number for number in others if self._may_change(finding, rows, number)}

    def _may_change(self, finding: Finding, rows: Mapping[int, Image], number: int) -> bool:
        """Whether a row is still what the audit saw: another one was judged by nobody."""
        row = rows.get(number)
        if row is None:
            return False
        if is_as_seen(rows_seen(finding)[number], row):
            return True
        said = f"row {number} was changed since the audit: audit the month again"
        self._left.append(Note.of(finding, said))
        return False

    def _booked_steps(self, looked_at: set[int], written: set[ObjectKey]) -> None:
        """Every booked row that is another one now.

        How they were is read beside this transaction, where nothing of it is seen yet.
        """
        charges = written | set(self._told.charges.values())
        before = self._beside.images(looked_at, charges)
        after = self._turn.images(looked_at, charges)
        for number in sorted({*before, *after}):
            self._booked_step(number, before.get(number), after.get(number))

    def _booked_step(self, number: int, was: BookedImage | None, now: BookedImage | None) -> None:
        before, after = was and was.image, now and now.image
        if before == after:
            return
        row = was or now
        charge = row.charge.id if row and row.charge else ""
        key = str(number) if was else charge
        self._add(Step(PAYMENTS_TABLE, key, before, after), "charge", charge)

    def _add(self, step: Step, kind: str, object_id: str) -> None:
        self._steps.append(self._purposes.of(step, kind, object_id))


def _object_of(event: ReceivedEvent) -> ObjectKey | None:
    """The object that an event carries, if the mirror keeps its kind."""
    payload = parse_envelope(event.body).payload or {}
    kind, object_id = payload.get("object"), payload.get("id")
    if not isinstance(kind, str) or not isinstance(object_id, str) or kind not in BY_OBJECT:
        return None
    return ObjectKey(event.account_id, event.livemode, kind, object_id)


def _is_another(before: State | None, after: State | None) -> bool:
    """Whether the mirror's row of an object says something else now; instants do not count."""
    if before is None or after is None:
        return before is not after
    if (before.deleted_at is None) != (after.deleted_at is None):
        return True
    return after.deleted_at is None and not says_the_same(
        before.snapshot.payload, after.snapshot.payload
    )


def _mirrored(state: State | None) -> dict[str, Any] | None:
    """What the mirror holds of an object; that it is gone is a field of it."""
    if state is None:
        return None
    gone = {"deleted_at": state.deleted_at.isoformat()} if state.deleted_at else {}
    return {**state.snapshot.payload, **gone}
