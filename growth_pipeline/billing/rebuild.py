"""Builds mirror and booked payments again from the ledger alone, and says where they differ.

Needs no network. What a state means is decided where it is decided live: `fold.py`, `ledger.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from growth_pipeline.billing.fold import Snapshot, State, fold
from growth_pipeline.billing.ledger import EVER, ask_about, book, load_snapshots
from growth_pipeline.billing.store import BillingStore, MirrorTurn
from growth_pipeline.billing.tables import ObjectKey

_BATCH: Final = 500
_SAMPLE: Final = 20


class Rebuilt(NamedTuple):
    """How many objects and payments there are, and how many were not what the ledger says.

    `sample` names the first objects that differed, `charges` the first payments.
    """

    objects: int = 0
    different: int = 0
    payments: int = 0
    payments_different: int = 0
    sample: tuple[ObjectKey, ...] = ()
    charges: tuple[ObjectKey, ...] = ()

    def plus(self, other: Rebuilt) -> Rebuilt:
        """Both together."""
        return Rebuilt(
            self.objects + other.objects,
            self.different + other.different,
            self.payments + other.payments,
            self.payments_different + other.payments_different,
            (*self.sample, *other.sample)[:_SAMPLE],
            (*self.charges, *other.charges)[:_SAMPLE],
        )

    @property
    def is_equal(self) -> bool:
        """Whether everything was what the ledger says."""
        return self.different == self.payments_different == 0


def rebuild_mirror(
    store: BillingStore,
    *,
    now: datetime,
    check_only: bool = False,
    batch: int = _BATCH,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """Make every row of the mirror, and every payment booked from it, what the ledger says.

    Each batch is one transaction, in which nobody else changes the mirror. Rows that are right
    stay untouched. Events that wait are not applied. With `check_only` nothing is changed.
    Raises: RemoteUnavailableError when the database is away; earlier batches stay.
    """
    total = Rebuilt()
    for keys in _batches(store, batch):
        with store.mirror_turn() as turn:
            total = total.plus(_rebuild(turn, keys, now=now, check_only=check_only))
        on_progress(total.objects)
    after: ObjectKey | None = None
    while True:
        with store.mirror_turn() as turn:
            charges = turn.list_charges(after, limit=batch)
            if not charges:
                return total
            total = total.plus(_book(turn, charges, now=now, check_only=check_only))
        after = charges[-1]


def _batches(store: BillingStore, size: int) -> Iterator[list[ObjectKey]]:
    """Every object that the ledger or the mirror knows, once."""
    after: ObjectKey | None = None
    while True:
        with store.mirror_turn() as turn:
            keys = turn.list_ledger(after, limit=size)
        if not keys:
            break
        yield keys
        after = keys[-1]
    with store.mirror_turn() as turn:
        unfounded = iter(turn.list_unfounded())
    while keys := list(islice(unfounded, size)):
        yield keys


def _rebuild(
    turn: MirrorTurn, keys: Sequence[ObjectKey], *, now: datetime, check_only: bool
) -> Rebuilt:
    known = load_snapshots(turn, dict.fromkeys(keys, EVER))
    built = {key: fold(snapshots) for key in keys if (snapshots := known.get(key))}
    states = {key: state for key, state in built.items() if state.is_told}
    before = turn.dump_objects(keys)
    with turn.trial():
        _write(turn, keys, states, known, now=now)
        after = turn.dump_objects(keys)
    different = [key for key in keys if before.get(key) != after.get(key)]
    if different and not check_only:
        wanted = {key: states[key] for key in different if key in states}
        _write(turn, different, wanted, known, now=now)
    objects = len(states.keys() | before.keys())
    return Rebuilt(objects, len(different), sample=tuple(different[:_SAMPLE]))


def _write(
    turn: MirrorTurn,
    keys: Sequence[ObjectKey],
    states: Mapping[ObjectKey, State],
    known: Mapping[ObjectKey, Sequence[Snapshot]],
    *,
    now: datetime,
) -> None:
    """Replace everything the mirror holds of these objects, what lies nested in them too."""
    turn.forget_objects(keys)
    if states:
        incomplete = set(turn.save_states(states, now=now))
        turn.save_entries({key: (state, known[key]) for key, state in states.items()}, now=now)
        ask_about(turn, states, incomplete, now=now)


def _book(
    turn: MirrorTurn, charges: Sequence[ObjectKey], *, now: datetime, check_only: bool
) -> Rebuilt:
    payments = book(turn.load_charge_parts(charges))
    if check_only:
        with turn.trial():
            written = turn.upsert_payments(payments, now=now)
    else:
        written = turn.upsert_payments(payments, now=now)
    return Rebuilt(payments=len(payments), payments_different=len(written), charges=tuple(written))
