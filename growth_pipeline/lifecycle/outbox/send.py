"""Sends what is due, each message at most once.

A message is claimed, Kit is read, and only then is the one call made: with the address locked, so
that no suppression comes between the last look and the call. A call whose answer is lost is never
made again; what became of it is read back. Contract: docs/lifecycle.md, "At most once".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.lifecycle.kit.client import KitClient, State, Subscriber
from growth_pipeline.lifecycle.kit.errors import (
    KitRefusedError,
    KitUnknownError,
    KitUnreadableError,
)
from growth_pipeline.lifecycle.outbox.addresses import AddressBook, address_hash
from growth_pipeline.lifecycle.outbox.store import LOST_CLAIM, Held, Message, OutboxStore

LATER: Final = timedelta(hours=1)
MOST_UNREADABLE: Final = 3
# What a subscriber's state at Kit says about writing to them.
_SUPPRESSES: Final = {
    State.CANCELLED: "unsubscribed",
    State.BOUNCED: "bounced",
    State.COMPLAINED: "complained",
}


@dataclass(frozen=True)
class SendLimits:
    """Bounds of sending.

    `within`: seconds of the one call, and with it how long a suppression may have to wait.
    `lease`: after it a silent sender is dead. `settle_after`: how long Kit may take to show what a
    lost call did; read back twice, that far apart, before it counts as not done. `attempts`: calls
    that did nothing, after which a person decides. `parked_after`: how long an outcome may stay
    unknown. `most`: messages of one run.
    """

    within: float = 0.8
    lease: timedelta = timedelta(minutes=5)
    settle_after: timedelta = timedelta(minutes=10)
    attempts: int = 5
    parked_after: timedelta = timedelta(hours=24)
    most: int = 1_000
    may_create: bool = False


@dataclass
class SendReport:
    """What a run did. `skipped`: by reason. `stopped`: why it ended before its work did."""

    sent: int = 0
    already: int = 0
    settled: int = 0
    unknown: int = 0
    parked: int = 0
    waiting: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {**vars(self), "skipped": dict(self.skipped)}

    def in_words(self) -> str:
        """For a person."""
        skipped = ", ".join(f"{reason} {count}" for reason, count in sorted(self.skipped.items()))
        return (
            f"{self.sent} sent, {self.already} were there already, {self.settled} settled, "
            f"{self.unknown} unknown, {self.parked} parked, {self.waiting} wait; "
            f"skipped: {skipped or 'none'}" + (f"; stopped: {self.stopped}" if self.stopped else "")
        )


def send_due(
    store: OutboxStore,
    kit: KitClient,
    book: AddressBook,
    *,
    limits: SendLimits | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> SendReport:
    """Settle what is unknown, then send what is due. Kit's faults end the run, not the pipeline.

    Raises: RemoteUnavailableError when the database is away.
    """
    run = _Run(store, kit, book, limits or SendLimits())
    store.expire(run.limits.lease)
    try:
        run.settle()
        run.report.skipped["too_late"] += store.skip_late()
        run.send()
    except (KitRefusedError, KitUnreadableError) as error:
        run.report.stopped = error.message
    run.report.skipped = +run.report.skipped
    tell(run.report.in_words())
    return run.report


@dataclass(frozen=True)
class _Outcome:
    """What became of a message; `ends_run`: Kit takes nothing now."""

    state: str
    reason: str = ""
    wait: timedelta | None = None
    ends_run: KitRefusedError | None = None


class _Run:
    """One run of one sender."""

    def __init__(
        self, store: OutboxStore, kit: KitClient, book: AddressBook, limits: SendLimits
    ) -> None:
        self.limits = limits
        self.report = SendReport()
        self._store = store
        self._kit = kit
        self._book = book
        self._unreadable = 0

    # --- unknown outcomes ---

    def settle(self) -> None:
        """Read back what became of calls whose answers were lost."""
        for _ in range(self.limits.most):
            message = self._store.claim_unknown(self.limits.settle_after, self.limits.parked_after)
            if message is None:
                return
            with self._going_on():
                self._settle(message)

    def _settle(self, message: Message) -> None:
        try:
            is_there = self._is_there(message, message.kit_id)
        except (KitRefusedError, KitUnreadableError) as error:
            is_gone = isinstance(error, KitRefusedError) and error.only_this
            if is_gone or message.is_old:
                why = error.message if is_gone else "Kit could not tell for a day"
                self._store.mark(message, "parked", reason=why)
                self.report.parked += 1
            else:
                self._store.release(message)
            raise
        if is_there:
            self.report.settled += self._store.mark(message, "sent", reason="read back")
        elif not message.absent:
            self._store.mark_absent(message)
            self.report.unknown += 1
        elif message.attempts >= self.limits.attempts:
            self._store.mark(message, "parked", reason="several calls did nothing")
            self.report.parked += 1
        else:
            reason = "an earlier call did nothing"
            self._store.mark(message, "pending", reason=reason, wait=timedelta())
            self.report.waiting += 1

    # --- due messages ---

    def send(self) -> None:
        """Message after message, while there is one and Kit takes it."""
        for _ in range(self.limits.most):
            message = self._store.claim()
            if message is None:
                return
            with self._going_on():
                self._try(message)

    def _try(self, message: Message) -> None:
        """One message; what cannot be read about it waits, what Kit refuses of it is parked."""
        try:
            self._send(message)
        except KitUnreadableError as error:
            self._wait(message, error, LATER)
            raise
        except KitRefusedError as error:
            if error.only_this:
                self._store.mark(message, "parked", reason=error.message)
                self.report.parked += 1
            else:
                self._wait(message, error, timedelta(minutes=1))
            raise

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """One message that is at fault stops nobody else; several in a row mean Kit itself."""
        try:
            yield
        except KitUnreadableError:
            self._unreadable += 1
            if self._unreadable >= MOST_UNREADABLE:
                raise
        except KitRefusedError as error:
            if not error.only_this:
                raise
        else:
            self._unreadable = 0

    def _wait(self, message: Message, error: GrowthError, wait: timedelta) -> None:
        """Nothing was sent: the message is tried again."""
        if self._store.mark(message, "pending", reason=error.message, wait=wait):
            self.report.waiting += 1

    def _send(self, message: Message) -> None:
        address = self._book.addresses([message.user_number]).get(message.user_number)
        if address is None:
            self._skip(message, "no_address")
            return
        known_as = address_hash(address)
        if against := self._store.set_address(message, known_as):
            self._skip(message, against)
            return
        subscriber = self._subscriber(message, address, known_as)
        if subscriber is None:
            return
        if self._is_there(message, subscriber.kit_id):
            self.report.already += 1
            self._store.mark(message, "sent", reason="was there already")
            return
        if message.basis == "consent":
            self._store.keep_consent(message, known_as, subscriber.created_at)
        self._call(message, subscriber, known_as)

    def _subscriber(self, message: Message, address: str, known_as: bytes) -> Subscriber | None:
        """Who may be written to; None: nobody, and the message was told why."""
        found = self._kit.find(address)
        if found is None and self.limits.may_create and self._store.has_consent(known_as):
            return self._created(message, address, known_as)
        if found is None:
            self._skip(message, "not_subscribed")
        elif found.state in _SUPPRESSES:
            self._store.suppress(known_as, _SUPPRESSES[found.state], "kit")
            self._skip(message, "suppressed")
        elif found.state is not State.ACTIVE:
            self.report.waiting += 1
            reason = f"the subscriber is {found.state} at Kit"
            self._store.mark(message, "pending", reason=reason, wait=6 * LATER)
        else:
            return found
        return None

    def _created(self, message: Message, address: str, known_as: bytes) -> Subscriber | None:
        """A new subscriber who is active; None: whoever it is is looked at again, or was skipped.

        With the address locked, as a call that sends: nobody is made active after they left.
        """
        place, was_used = self._kit.reserve(), False
        try:
            with self._store.hold(message, known_as) as held:
                if held.against:
                    self._skip(message, held.against, held=held)
                    return None
                was_used = True
                made = self._kit.create(address, place=place, within=self.limits.within)
        except KitUnknownError as error:
            self._wait(message, error, LATER)
            return None
        finally:
            if not was_used:
                self._kit.release(place)
        if made.state is not State.ACTIVE:
            self._wait(message, KitUnreadableError(f"the new subscriber is {made.state}"), LATER)
            return None
        return made

    def _is_there(self, message: Message, kit_id: int | None) -> bool:
        """Whether Kit has what the message adds. Raises: KitUnreadableError, KitRefusedError."""
        if kit_id is None:
            raise KitUnreadableError("the message does not say whose it is")
        if message.action == "tag":
            return message.target in self._kit.tags_of(kit_id)
        return self._kit.in_sequence(int(message.target), kit_id)

    def _call(self, message: Message, subscriber: Subscriber, known_as: bytes) -> None:
        tag_id = self._kit.tag_id(message.target) if message.action == "tag" else None
        place = self._kit.reserve()
        was_used = False
        try:
            if not self._store.mark_called(message, subscriber.kit_id):
                self._skip(message, LOST_CLAIM)
                return
            with self._store.hold(message, known_as) as held:
                if held.against:
                    self._skip(message, held.against, held=held)
                    return
                was_used = True
                outcome = self._add(message, subscriber, tag_id, place)
                self._store.mark(
                    message, outcome.state, reason=outcome.reason, wait=outcome.wait, held=held
                )
        finally:
            if not was_used:
                self._kit.release(place)
        self._count(outcome)
        if outcome.ends_run is not None:
            raise outcome.ends_run

    def _add(
        self, message: Message, subscriber: Subscriber, tag_id: int | None, place: int
    ) -> _Outcome:
        """The one call."""
        kit_id, within = subscriber.kit_id, self.limits.within
        try:
            if tag_id is not None:
                self._kit.add_tag(tag_id, kit_id, place=place, within=within)
            else:
                self._kit.add_to_sequence(int(message.target), kit_id, place=place, within=within)
        except KitUnknownError as error:
            return _Outcome("unknown", error.message)
        except KitRefusedError as error:
            if error.only_this:
                return _Outcome("parked", error.message)
            return _Outcome("pending", error.message, timedelta(minutes=1), error)
        return _Outcome("sent")

    def _count(self, outcome: _Outcome) -> None:
        self.report.sent += outcome.state == "sent"
        self.report.unknown += outcome.state == "unknown"
        self.report.parked += outcome.state == "parked"
        self.report.waiting += outcome.state == "pending"

    def _skip(self, message: Message, reason: str, *, held: Held | None = None) -> None:
        if reason != LOST_CLAIM:
            self._store.mark(message, "skipped", reason=reason, held=held)
        self.report.skipped[reason] += 1
