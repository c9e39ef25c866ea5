"""From the ledger to the mirror: states told by events and shown by fetches, folded and written.

What is written here is all that changes the mirror, whoever brought the states. Reading the inbox
is `mirror.py`, asking Stripe `refetch.py`; the rules are in `fold.py` and `payments.py`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

import orjson

from growth_pipeline.billing.children import follows_from_newest, has_lists
from growth_pipeline.billing.columns import kept_fields
from growth_pipeline.billing.fold import (
    SETTLED_AFTER,
    Change,
    Snapshot,
    State,
    is_final,
    may_be_reborn,
    merge,
    needs_history,
    says_the_same,
)
from growth_pipeline.billing.inbox import Envelope, parse_envelope
from growth_pipeline.billing.objects import BY_OBJECT, KEPT_FOR_EVER
from growth_pipeline.billing.payments import (
    Payment,
    book_payment,
    charges_of,
    check_shape,
    intent_of,
)
from growth_pipeline.billing.store import (
    BillingStore,
    FetchedRow,
    LedgerEntry,
    MirrorTurn,
    Question,
)
from growth_pipeline.billing.tables import ChargePart, ObjectKey
from growth_pipeline.core.errors import ConfigurationError, UnknownValueError
from growth_pipeline.storage.postgres import RowsRefusedError
from growth_pipeline.stripe_api.versions import adapter_for

Source = Literal["backfill", "sweep", "refetch", "relist"]

# What a single odd event or object can raise. It is set aside with its reason; others go on.
ODD: Final = (
    *(RowsRefusedError, UnknownValueError),
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)

_SAMPLE: Final = 100
EVER: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One state of one object that Stripe showed when it was asked.

    `payload` is None if Stripe knows no such id; an object that says it is deleted counts the same.
    `raw` is its JSON text. Units: Stripe saw this state between the two fetched instants, UTC.
    """

    key: ObjectKey
    payload: dict[str, Any] | None
    raw: bytes
    api_version: str
    fetched_from: datetime
    fetched_to: datetime

    @property
    def is_gone(self) -> bool:
        """Whether Stripe said that the object is no more."""
        return self.payload is None or self.payload.get("deleted") is True


class Counts(NamedTuple):
    """Number of objects by what became of them.

    `unchanged`: the mirror said the same already; `stale`: it knows something newer; `refused`: the
    state was stored with a reason, the mirror cannot use it.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0
    refused: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both numbers together."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What fetched states did to the mirror and to the books.

    Shapes: `counts` by kind of object, in Stripe's words. `sample` holds the first changed objects
    with what became of them, `refused` the first that could not be used with the reason, at most a
    hundred of each. `payments_*` are booked payments that were written. `rows` and `charges` name
    every changed object and every written payment, with the effect, within one transaction only.
    """

    counts: Mapping[str, Counts] = field(default_factory=dict)
    sample: tuple[tuple[ObjectKey, str], ...] = ()
    refused: tuple[tuple[ObjectKey, str], ...] = ()
    payments_inserted: int = 0
    payments_updated: int = 0
    rows: tuple[tuple[ObjectKey, str], ...] = field(default=(), repr=False)
    charges: tuple[tuple[ObjectKey, str], ...] = field(default=(), repr=False)

    @property
    def total(self) -> Counts:
        """All kinds together."""
        total = Counts()
        for counts in self.counts.values():
            total = total.plus(counts)
        return total

    @property
    def changed(self) -> int:
        """Objects whose content is another one now."""
        return self.total.inserted + self.total.updated + self.total.deleted

    def plus(self, other: Outcome) -> Outcome:
        """Both together."""
        counts = dict(self.counts)
        for name, more in other.counts.items():
            counts[name] = counts.get(name, Counts()).plus(more)
        return Outcome(
            counts,
            (*self.sample, *other.sample)[:_SAMPLE],
            (*self.refused, *other.refused)[:_SAMPLE],
            self.payments_inserted + other.payments_inserted,
            self.payments_updated + other.payments_updated,
            (*self.rows, *other.rows),
            (*self.charges, *other.charges),
        )

    def without_rows(self) -> Outcome:
        """The same without what grows with the number of objects."""
        return replace(self, rows=(), charges=())


class Written(NamedTuple):
    """What more snapshots did: rows before, rows that are another now, booked payments.

    `charges` are the charges whose payment row was written, with the effect; `made_of` the objects
    that each of these payments is made of.
    """

    before: Mapping[ObjectKey, State]
    after: Mapping[ObjectKey, State]
    charges: Mapping[ObjectKey, str]
    made_of: Mapping[ObjectKey, frozenset[ObjectKey]]


def apply_fetched(
    store: BillingStore,
    states: Iterable[Fetched],
    *,
    source: Source,
    now: datetime,
    batch: int = 2000,
) -> Outcome:
    """Put fetched states into ledger, mirror and books; each batch is one transaction.

    Idempotent. A state never replaces a newer one, whatever arrives when: each carries the instant
    of its request. Objects the mirror cannot use are counted as refused and hold nobody up.
    Raises: RemoteUnavailableError (retryable) when the database is away; earlier batches stay.
    ConfigurationError as `refuse_other_account`.
    """
    outcome = Outcome()
    for chunk in _chunks(states, batch):
        with store.mirror_turn() as turn:
            done = apply_fetched_in(turn, chunk, source=source, now=now)
        outcome = outcome.plus(done.without_rows())
    return outcome


def apply_fetched_in(
    turn: MirrorTurn, states: Sequence[Fetched], *, source: Source, now: datetime
) -> Outcome:
    """Like `apply_fetched`, inside the caller's transaction.

    Raises: ConfigurationError as `refuse_other_account`; then nothing was written.
    """
    refuse_other_account(states)
    rows: dict[tuple[ObjectKey, bytes], _Shown] = {}
    for state in map(_kept, states):
        shown = _shown(state)
        known = rows.get((shown.row.key, shown.row.fingerprint))
        rows[shown.row.key, shown.row.fingerprint] = known.later(shown) if known else shown
    turn.store_fetched([shown.row for shown in rows.values()], source=source, now=now)
    return _apply_apart(turn, list(rows.values()), now=now)


def refuse_other_account(answers: Iterable[Fetched]) -> None:
    """Refuse what Stripe would never say of this account: that it knows no such charge.

    A key of another account gets that answer for every id; taken for deletions, it would bury the
    mirror for ever. In test mode all data may be deleted at once; in live mode Stripe keeps these
    kinds, so that the answer can only be another account's.
    Raises: ConfigurationError naming the object and the account.
    """
    for answer in answers:
        key = answer.key
        if key.livemode and answer.payload is None and key.object in KEPT_FOR_EVER:
            raise ConfigurationError(
                f"Stripe knows no {key.object} {key.id}, and in live mode it never deletes one",
                remedy=f"check that GROWTH_STRIPE__API_KEY belongs to account {key.account_id}",
            )


def fold_into_mirror(
    turn: MirrorTurn, incoming: Mapping[ObjectKey, Sequence[Snapshot]], *, now: datetime
) -> Written:
    """Merge more snapshots into the mirror, book the payments they touch, queue what is unclear.

    The fetched ones among them must be in the ledger already.
    """
    before = turn.load_states(incoming)
    history = _load_history(turn, before, incoming)
    after, entries = {}, {}
    for key, snapshots in incoming.items():
        earlier = history.get(key, ())
        done = merge(before.get(key), snapshots, earlier)
        if done.decision is Change.TAKEN and done.state.is_told:
            after[key] = done.state
        # The ledger holds the fetched ones already, with the instants it keeps of them.
        told = [*earlier, *(_told_by_events(snapshots) if earlier else snapshots)]
        if done.state.is_told and _needs_all(before.get(key), done.state, told, snapshots):
            entries[key] = (done.state, told)
    charges, made_of = write_states(turn, after, now=now) if after else ({}, {})
    if entries:
        turn.save_entries(entries, now=now)
    return Written(before, after, charges, made_of)


def _told_by_events(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    return [snapshot for snapshot in snapshots if snapshot.origin == "event"]


def _needs_all(
    before: State | None, newest: State, told: Sequence[Snapshot], incoming: Sequence[Snapshot]
) -> bool:
    """Whether rows of nested entries follow from all states only, not from the newest alone."""
    if not has_lists(newest.snapshot.object):
        return False
    if _is_out_of_order(before, incoming):
        return True
    # What a single newer state lacks ended with it; of several, perhaps with an earlier one.
    return len(incoming) > 1 and not follows_from_newest(newest, told)


def _is_out_of_order(known: State | None, incoming: Sequence[Snapshot]) -> bool:
    """Whether some state is not newer than all that was known before."""
    if known is None:
        return False
    if known.deleted_at is not None:
        return True
    return any(told.deletes or told.state_from <= known.snapshot.state_at for told in incoming)


def write_states(
    turn: MirrorTurn, states: Mapping[ObjectKey, State], *, now: datetime
) -> tuple[dict[ObjectKey, str], dict[ObjectKey, frozenset[ObjectKey]]]:
    """Write the newest states of objects, and what follows from them; as `Written` tells it."""
    incomplete = set(turn.save_states(states, now=now))
    ask_about(turn, states, incomplete, now=now)
    return book_touched(turn, states, now=now)


def ask_about(
    turn: MirrorTurn,
    states: Mapping[ObjectKey, State],
    incomplete: set[ObjectKey],
    *,
    now: datetime,
) -> None:
    """Queue a question to Stripe for each state that is in doubt or not whole; drop the others'."""
    questions, settled = [], []
    for key, state in states.items():
        if state.undecided or (key in incomplete and state.deleted_at is None):
            reason = "undecided" if state.undecided else "incomplete"
            questions.append(Question(key, reason, state.snapshot.state_at + SETTLED_AFTER))
        else:
            settled.append(key)
    turn.queue_refetches(questions, now=now)
    turn.drop_refetches(settled)


def settled_at(instant: datetime) -> datetime:
    """From when on an answer of Stripe is newer than anything it did at an instant."""
    return instant + SETTLED_AFTER


# --- snapshots -----------------------------------------------------------------------------------


def snapshot_of_event(envelope: Envelope) -> Snapshot:
    """The state an applicable event brings.

    Raises: UnknownValueError for an event without an object.
    """
    payload, at = envelope.payload, envelope.created_at
    if payload is None or at is None:
        raise UnknownValueError(f"{envelope.event_id} carries no object")
    return Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=envelope.api_version or "",
        state_from=at,
        state_at=at,
        origin="event",
        event_id=envelope.event_id,
        event_type=envelope.type,
        previous=envelope.previous,
    )


def snapshot_of_answer(state: Fetched) -> Snapshot:
    """The state that Stripe showed when it was asked."""
    return Snapshot(
        object=state.key.object,
        object_id=state.key.id,
        payload=state.payload or {},
        api_version=state.api_version,
        state_from=state.fetched_from,
        state_at=state.fetched_to,
        origin="fetch",
        is_tombstone=state.is_gone,
    )


def load_snapshots(
    turn: MirrorTurn, since: Mapping[ObjectKey, datetime], *, known_at: datetime | None = None
) -> dict[ObjectKey, list[Snapshot]]:
    """Every state that the ledger holds of these objects, from their instant on.

    `known_at`: only what had been applied or fetched by then.
    """
    return {
        key: [told for entry in entries if (told := _snapshot_of(key, entry)) is not None]
        for key, entries in turn.load_history(since, known_at=known_at).items()
    }


def _snapshot_of(key: ObjectKey, entry: LedgerEntry) -> Snapshot | None:
    """One state of an object as the ledger holds it; None for a thin event, which brings none."""
    if entry.event_id is not None:
        envelope = parse_envelope(entry.body or b"")
        return None if envelope.is_thin else snapshot_of_event(envelope)
    return Snapshot(
        object=key.object,
        object_id=key.id,
        payload={} if entry.body is None else orjson.loads(entry.body),
        api_version=entry.api_version or "",
        state_from=entry.state_from,
        state_at=entry.state_at,
        origin="fetch",
        is_tombstone=entry.is_gone,
    )


def _kept(state: Fetched) -> Fetched:
    """The state without what must not be stored anywhere, the ledger included."""
    kind = BY_OBJECT.get(state.key.object)
    if state.payload is None or kind is None:
        return state
    payload = kept_fields(kind.resource, state.payload)
    if payload is state.payload:
        return state
    return replace(state, payload=payload, raw=orjson.dumps(payload))


class _Shown(NamedTuple):
    """A fetched state as a row of the ledger, and as the fold sees it."""

    row: FetchedRow
    snapshot: Snapshot

    def later(self, other: _Shown) -> _Shown:
        """The same state seen twice: it was true until the later instant."""
        state_from = max(self.row.state_from, other.row.state_from)
        state_at = max(self.row.state_at, other.row.state_at)
        return _Shown(
            self.row._replace(state_from=state_from, state_at=state_at),
            replace(self.snapshot, state_from=state_from, state_at=state_at),
        )


def _shown(state: Fetched) -> _Shown:
    body = None if state.payload is None else state.raw
    told = body if not state.is_gone else str(state.fetched_to.timestamp()).encode()
    row = FetchedRow(
        *state.key,
        fingerprint=_fingerprint(told or b"", state.api_version, is_gone=state.is_gone),
        body=body,
        api_version=state.api_version,
        state_from=state.fetched_from,
        state_at=state.fetched_to,
        is_gone=state.is_gone,
    )
    return _Shown(row, snapshot_of_answer(state))


def _fingerprint(told: bytes, api_version: str, *, is_gone: bool) -> bytes:
    """Hash of what was told. Each word that an object is gone is kept: the first one counts."""
    digest = hashlib.blake2b(told, digest_size=16)
    digest.update(f"\0{api_version}\0{is_gone}".encode())
    return digest.digest()


# --- applying fetched states ---------------------------------------------------------------------


def _apply_apart(turn: MirrorTurn, shown: Sequence[_Shown], *, now: datetime) -> Outcome:
    """Apply; if something is refused, halve until the odd one stands alone, and set it aside."""
    if not shown:
        return Outcome()
    try:
        with turn.savepoint():
            return _apply(turn, shown, now=now)
    except ODD as error:
        if len(shown) == 1:
            row, reason = shown[0].row, reason_of(error)
            turn.refuse_fetched([(row, reason)])
            counts = {row.object: Counts(refused=1)}
            return Outcome(counts, refused=((row.key, reason),))
    middle = len(shown) // 2
    first = _apply_apart(turn, shown[:middle], now=now)
    return first.plus(_apply_apart(turn, shown[middle:], now=now))


def _apply(turn: MirrorTurn, shown: Sequence[_Shown], *, now: datetime) -> Outcome:
    incoming: dict[ObjectKey, list[Snapshot]] = defaultdict(list)
    for row, snapshot in shown:
        incoming[row.key].append(snapshot)
    before = turn.load_states(incoming)
    plain = _plainly_newer(turn, before, incoming)
    rest = {key: snapshots for key, snapshots in incoming.items() if key not in plain}
    _check_shapes(incoming)
    outcome = _outcome(incoming, _take(turn, before, plain, now=now), plain) if plain else Outcome()
    if rest:
        outcome = outcome.plus(_outcome(incoming, fold_into_mirror(turn, rest, now=now), rest))
    return outcome


def _check_shapes(incoming: Mapping[ObjectKey, Sequence[Snapshot]]) -> None:
    """Refuse what no payment could be booked from; a charge is refused when it is booked."""
    for key, snapshots in incoming.items():
        for told in snapshots:
            if not told.deletes and (key.object != "charge" or len(snapshots) > 1):
                adapter = adapter_for(told.api_version)
                check_shape(key.object, told.payload, adapter=adapter)


def _plainly_newer(
    turn: MirrorTurn,
    before: Mapping[ObjectKey, State],
    incoming: Mapping[ObjectKey, Sequence[Snapshot]],
) -> dict[ObjectKey, State]:
    """States that need no rule: of new objects, or newer than all that is known and nothing odd."""
    alone = {key: told[0] for key, told in incoming.items() if len(told) == 1}
    gone = turn.list_gone([key for key in alone if key not in before])
    return {
        key: State(told)
        for key, told in alone.items()
        if key not in gone and not told.deletes and _is_plain(before.get(key), told)
    }


def _is_plain(known: State | None, told: Snapshot) -> bool:
    if known is None:
        return True
    if needs_history(known, [told]) or told.state_from <= known.snapshot.state_at:
        return False
    return is_final(told) or not is_final(known.snapshot)


def _take(
    turn: MirrorTurn,
    before: Mapping[ObjectKey, State],
    states: Mapping[ObjectKey, State],
    *,
    now: datetime,
) -> Written:
    """Write plainly newer states in bulk, and what follows from them."""
    turn.take_newer(states, now=now)
    ask_about(turn, states, set(), now=now)
    others = {
        key: state
        for key, state in states.items()
        if (known := before.get(key)) is None or known.snapshot.payload != state.snapshot.payload
    }
    charges, made_of = book_touched(turn, others, now=now) if others else ({}, {})
    return Written(before, states, charges, made_of)


def _outcome(
    incoming: Mapping[ObjectKey, Sequence[Snapshot]], written: Written, keys: Iterable[ObjectKey]
) -> Outcome:
    """What was done to these of the objects, and to the payments."""
    counts: dict[str, Counts] = {}
    rows: list[tuple[ObjectKey, str]] = []
    for key in keys:
        effect = _effect(incoming[key], written.before.get(key), written.after.get(key))
        counts[key.object] = counts.get(key.object, Counts()).plus(Counts(**{effect: 1}))
        if effect in {"inserted", "updated", "deleted"}:
            rows.append((key, effect))
    effects = list(written.charges.values())
    return Outcome(
        counts,
        tuple(rows[:_SAMPLE]),
        payments_inserted=effects.count("inserted"),
        payments_updated=effects.count("updated"),
        rows=tuple(rows),
        charges=tuple(written.charges.items()),
    )


def _effect(snapshots: Sequence[Snapshot], before: State | None, after: State | None) -> str:
    """What fetched states of one object did to its row, as `Counts` names it."""
    if before is None:
        return "inserted" if after is not None else "unchanged"
    state = after or before
    if state.deleted_at is not None:
        return "deleted" if before.deleted_at is None else "unchanged"
    if before.deleted_at is not None:
        return "inserted"
    if not says_the_same(before.snapshot.payload, state.snapshot.payload):
        return "updated"
    shown = any(says_the_same(told.payload, state.snapshot.payload) for told in snapshots)
    return "unchanged" if shown else "stale"


def _load_history(
    turn: MirrorTurn,
    known: Mapping[ObjectKey, State],
    incoming: Mapping[ObjectKey, Sequence[Snapshot]],
) -> dict[ObjectKey, list[Snapshot]]:
    """Earlier states of the objects whose known state alone is not enough to merge with."""
    since = dict.fromkeys(turn.list_gone(key for key in incoming if key not in known), EVER)
    for key, state in known.items():
        snapshots = incoming[key]
        for_entries = has_lists(key.object) and (
            len(snapshots) > 1 or _is_out_of_order(state, snapshots)
        )
        if for_entries or needs_history(state, snapshots):
            is_lasting = (
                state.deleted_at is not None
                or may_be_reborn(state)
                or any(snapshot.deletes for snapshot in snapshots)
            )
            since[key] = EVER if is_lasting or for_entries else state.snapshot.state_from
    return load_snapshots(turn, since)


def _chunks(states: Iterable[Fetched], size: int) -> Iterator[list[Fetched]]:
    rest = iter(states)
    while chunk := list(islice(rest, size)):
        yield chunk


# --- payments ------------------------------------------------------------------------------------


def book_touched(
    turn: MirrorTurn, states: Mapping[ObjectKey, State], *, now: datetime
) -> tuple[dict[ObjectKey, str], dict[ObjectKey, frozenset[ObjectKey]]]:
    """Book the payments that these objects are part of; rows written, and what they are made of."""
    charges = _charges_touched(turn, states)
    if not charges:
        return {}, {}
    parts = turn.load_charge_parts(charges)
    written = turn.upsert_payments(book(parts), now=now)
    made_of: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
    for part in parts:
        if part.charge in written:
            made_of[part.charge].add(
                part.charge._replace(object=part.object, id=part.payload["id"])
            )
    return written, {charge: frozenset(objects) for charge, objects in made_of.items()}


class BookedAgain(NamedTuple):
    """Payments that were booked again: rows written with the effect, charges no one can book."""

    written: Mapping[ObjectKey, str]
    refused: tuple[tuple[ObjectKey, str], ...] = ()


def book_again(turn: MirrorTurn, charges: Sequence[ObjectKey], *, now: datetime) -> BookedAgain:
    """Book the payments of these charges from the mirror, whether or not anything of them changed.

    Rows that are right stay untouched, those of other writers too. A charge that no payment can be
    booked from is named with the reason and holds nobody up.
    """
    if not charges:
        return BookedAgain({})
    try:
        with turn.savepoint():
            return BookedAgain(turn.upsert_payments(book(turn.load_charge_parts(charges)), now=now))
    except ODD as error:
        if len(charges) == 1:
            return BookedAgain({}, ((charges[0], reason_of(error)),))
    middle = len(charges) // 2
    first = book_again(turn, charges[:middle], now=now)
    rest = book_again(turn, charges[middle:], now=now)
    return BookedAgain({**first.written, **rest.written}, first.refused + rest.refused)


def book(parts: Iterable[ChargePart]) -> list[tuple[ObjectKey, Payment]]:
    """Payments of the charges among these parts; a refund waits until its charge is known."""
    by_charge: dict[ObjectKey, dict[str, list[ChargePart]]] = {}
    for part in parts:
        by_charge.setdefault(part.charge, defaultdict(list))[part.object].append(part)
    payments = []
    for key, groups in by_charge.items():
        for charge in groups["charge"]:
            payload: dict[str, list[dict[str, Any]]] = {
                name: [part.payload for part in group] for name, group in groups.items()
            }
            payment = book_payment(
                charge.payload,
                payload.get("refund", ()),
                payload.get("dispute", ()),
                next(iter(payload.get("balance_transaction", ())), None),
                adapter=adapter_for(charge.api_version),
                invoice_payments=payload.get("invoice_payment", ()),
            )
            payments.append((key, payment))
    return payments


def _charges_touched(turn: MirrorTurn, changed: Mapping[ObjectKey, State]) -> set[ObjectKey]:
    charges: set[ObjectKey] = set()
    intents: set[tuple[str, bool, str]] = set()
    for key, state in changed.items():
        payload = state.snapshot.payload
        charge = charges_of(key.object, payload)
        intent = intent_of(key.object, payload)
        if charge is not None:
            charges.add(ObjectKey(key.account_id, key.livemode, "charge", charge))
        if intent is not None:
            intents.add((key.account_id, key.livemode, intent))
    return charges | turn.charges_of_intents(sorted(intents))


def reason_of(error: Exception) -> str:
    """`code: sentence`, as inbox and ledger keep it."""
    if isinstance(error, UnknownValueError):
        return f"unknown_value: {error.message}"
    if isinstance(error, RowsRefusedError):
        return f"refused_by_database: {error.message}"
    return f"unexpected: {type(error).__name__}: {error}"
