"""Lists again what can still change, says what differs from the mirror, and then repairs it.

Which lists are read and whom absence concerns is decided by `watch.py`; statements are in
`sweep_store.py`, repairing is `ledger.py`. Contract: docs/stripe.md, "Listing again".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import structlog

from growth_pipeline.billing.columns import COLUMNS, told_values
from growth_pipeline.billing.fold import VOLATILE, Snapshot, State, is_lifted, says_the_same
from growth_pipeline.billing.ledger import (
    Fetched,
    Outcome,
    apply_fetched,
    refuse_other_account,
    snapshot_of_answer,
)
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.refetch import fetch, refetch_waiting
from growth_pipeline.billing.sweep import LostSpan, Swept, sweep
from growth_pipeline.billing.sweep_store import Drift
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.watch import (
    ASKED_A_NIGHT,
    List,
    Sight,
    asked_tonight,
    changes_inside,
    is_listed,
    is_told,
    list_back_to,
    list_between,
    outage_sights,
    owners_of,
)
from growth_pipeline.billing.witness import check_account
from growth_pipeline.core.errors import GrowthError, IncompleteError
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripeUnreachableError,
)
from growth_pipeline.stripe_api.versions import adapter_for

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.billing.sweep_store import SweepStore
    from growth_pipeline.stripe_api.client import Page, StripeReader
    from growth_pipeline.stripe_api.versions import Object

_log: Final = structlog.get_logger(__name__)

Reason = Literal["nightly", "outage"]

# Differing objects that are held in memory before they are reported and repaired.
_BATCH: Final = 1_000
_EXAMPLES: Final = 20


class Found(NamedTuple):
    """One object that differs from the mirror, as Stripe shows it now."""

    fetched: Fetched
    difference: str
    fields: tuple[str, ...] = ()

    @property
    def key(self) -> ObjectKey:
        """Its key in the mirror."""
        return self.fetched.key

    @property
    def status(self) -> str:
        """Its status at Stripe; empty for an object without one."""
        return str((self.fetched.payload or {}).get("status", ""))


@dataclass
class Relisted:
    """What one re-list saw and did.

    Units: objects. `drift` counts by (kind, difference) what neither webhooks nor sweep had
    brought; `learned` is what no event could have told. `postponed` objects wait for another night.
    `unrepaired` are drifted objects that the mirror still shows otherwise.
    """

    listed: int = 0
    asked: int = 0
    postponed: int = 0
    learned: int = 0
    requests: int = 0
    drift: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    unrepaired: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def drifted(self) -> int:
        """Number of drifted objects."""
        return sum(self.drift.values())


def relist(
    sights: Sequence[Sight],
    reader: StripeReader,
    store: BillingStore,
    sweeps: SweepStore,
    *,
    reason: Reason,
    now: datetime,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Relisted:
    """Read these lists to their ends and bring the mirror up to what they say.

    Differences are on record (billing.drift) before the first of them is repaired. What is known
    and was not listed is asked for by its id, and only what Stripe says is gone gets a tombstone.
    Idempotent; a kill leaves a mirror that is newer, never older.
    Raises: StripeError and its kinds, naming list and window: nothing is concluded from a list
    that was not read to its end. The other lists are read and repaired before, unless Stripe is
    away or does not take the key. ConfigurationError, before anything is written, for a key of
    another account. RemoteUnavailableError when the database is away.
    """
    before = reader.request_count
    check_account(reader.scope, store, partial(fetch, reader))
    look = _Look(reader, store, sweeps, reason=reason, now=now, clock=clock)
    failed: list[GrowthError] = []
    for sight in sights:
        try:
            look.at(sight)
        except StripeAuthError:
            raise
        except (StripeError, IncompleteError) as error:
            _log.warning("list_failed", object=sight.object, reason=error.message)
            failed.append(error)
            if isinstance(error, StripeUnreachableError):
                break
    failed += look.finish()
    if failed:
        raise failed[0]
    look.result.requests = reader.request_count - before
    return look.result


class CaughtUp(NamedTuple):
    """What one sweep brought, which events were lost, and what was listed again for them."""

    swept: Swept
    lost: LostSpan | None = None
    relisted: Relisted | None = None
    requests: int = 0


def catch_up(
    reader: StripeReader,
    store: BillingStore,
    sweeps: SweepStore,
    *,
    now: datetime,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CaughtUp:
    """Bring the mirror up to everything that Stripe can still tell of one account.

    Sweep the events, apply them, list again what lost events may have changed, and ask about the
    objects that events show only in part.
    Raises: StripeError and its kinds; RemoteUnavailableError. What was reached by then stays.
    ConfigurationError, before anything is written, for a key of another account.
    """
    before = reader.request_count
    check_account(reader.scope, store, partial(fetch, reader))
    swept = sweep(reader, store, sweeps, now=now, clock=clock)
    apply_waiting(store, now=clock())
    caught = CaughtUp(swept)
    lost = _lost(sweeps.open_outages(reader.scope))
    if lost is not None:
        relisted = repair_outage(lost, reader, store, sweeps, now=now, clock=clock)
        caught = CaughtUp(swept, lost, relisted)
    refetch_waiting(store, reader, now=clock(), limit=ASKED_A_NIGHT)
    return caught._replace(requests=reader.request_count - before)


def repair_outage(
    lost: LostSpan,
    reader: StripeReader,
    store: BillingStore,
    sweeps: SweepStore,
    *,
    now: datetime,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Relisted:
    """List again what may have changed while events were lost, and close the outages inside.

    An outage stays open until all its lists ended and everything absent was asked for.
    Raises: as `relist`; the outage is then still open.
    """
    sights = outage_sights(lost, now)
    done = relist(sights, reader, store, sweeps, reason="outage", now=now, clock=clock)
    sweeps.close_outages(reader.scope, lost, now=clock())
    return done


def _lost(spans: Sequence[LostSpan]) -> LostSpan | None:
    """One span around all of them; None for none."""
    if not spans:
        return None
    return LostSpan(min(span.start for span in spans), max(span.end for span in spans))


def difference_of(ours: State | None, theirs: Fetched) -> Found | None:
    """How an object that Stripe shows differs from the mirror; None if it says the same.

    A state of the mirror that is newer than the answer is no difference. Payloads of one version
    are compared field by field, those of two by the columns that both have.
    Raises: UnknownValueError for a version that is not known.
    """
    if ours is not None and ours.snapshot.state_from > theirs.fetched_to:
        return None
    if theirs.is_gone:
        is_known = ours is not None and ours.deleted_at is None
        return Found(theirs, "gone") if is_known else None
    if ours is None or not ours.is_told:
        return Found(theirs, "missing")
    if ours.deleted_at is not None:
        is_back = is_lifted(ours, snapshot_of_answer(theirs))
        return Found(theirs, "missing") if is_back else None
    fields = differing_fields(ours.snapshot, theirs)
    return Found(theirs, "changed", fields) if fields else None


def differing_fields(ours: Snapshot, theirs: Fetched) -> tuple[str, ...]:
    """Names of the fields in which a state of the mirror and an answer differ, in order."""
    mine, told = ours.payload, theirs.payload or {}
    if ours.api_version == theirs.api_version:
        names = (mine.keys() | told.keys()) - VOLATILE
        return tuple(
            sorted(
                name
                for name in names
                if not says_the_same({name: mine.get(name)}, {name: told.get(name)})
            )
        )
    resource = BY_OBJECT[ours.object].resource
    pairs = zip(
        COLUMNS[resource],
        told_values(resource, adapter_for(ours.api_version), mine),
        told_values(resource, adapter_for(theirs.api_version), told),
        strict=True,
    )
    return tuple(name for name, one, other in pairs if one != other)


class _Look:
    """One re-list under way: what differs and is not yet repaired, and what was found so far."""

    def __init__(
        self,
        reader: StripeReader,
        store: BillingStore,
        sweeps: SweepStore,
        *,
        reason: Reason,
        now: datetime,
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._store = store
        self._sweeps = sweeps
        self._reason = reason
        self._now = now
        self._clock = clock
        self._told_since = sweeps.told_since(reader.scope)
        self._found: dict[ObjectKey, Found] = {}
        self._seen: set[ObjectKey] = set()
        self._owners: set[ObjectKey] = set()
        self.result = Relisted()

    def at(self, sight: Sight) -> None:
        """Read the lists of one kind, then look for what is known and was not in them."""
        unseen = self._sweeps.known_ids(self._reader.scope, sight)
        for one in sight.lists:
            self._read(sight.object, one, unseen)
        back = self._list_back(sight, unseen)
        if back is not None:
            self._read(sight.object, back, unseen)
        asked, postponed = asked_tonight(unseen, sight, now=self._now)
        self.result.postponed += postponed
        self._ask(self._key(sight.object, id_) for id_ in asked)

    def _list_back(self, sight: Sight, unseen: set[str]) -> List | None:
        """The list that shows many of the unseen at once; None if asking is cheaper."""
        if len(unseen) <= 1 or not is_listed(sight.object):
            return None
        end = sight.since or sight.until
        ranked = self._sweeps.rank_unseen(self._reader.scope, sight.object, unseen, until=end)
        start = list_back_to(ranked)
        return None if start is None else list_between(sight.object, start, end)

    def _read(self, object_name: str, one: List, unseen: set[str]) -> None:
        """Compare a list, read to its end, and take what it shows from the unseen."""
        path, ended = BY_OBJECT[object_name].path, one.window.is_empty
        for page in self._reader.list_window(path, *one.window, one.params):
            ended = not page.has_more
            unseen -= {found["id"] for found in page.objects}
            self._compare(object_name, page)
        if not ended:
            raise IncompleteError(f"{path} of {one.window} stopped before the end")

    def finish(self) -> list[GrowthError]:
        """Ask for the objects that the differing ones changed too, then report and repair all.

        An owner about which Stripe says nothing holds up no repair; the failure is returned.
        Raises: StripeError when the last look at the events fails.
        """
        failed: list[GrowthError] = []
        try:
            self._ask(sorted(self._owners - self._seen))
        except StripeAuthError:
            raise
        except StripeError as error:
            failed.append(error)
        self._settle()
        return failed

    def _key(self, object_name: str, id_: str) -> ObjectKey:
        return ObjectKey(*self._reader.scope, object_name, id_)

    def _compare(self, object_name: str, page: Page) -> None:
        """Keep what differs of one page of a list."""
        fetched = [
            Fetched(
                self._key(object_name, found["id"]),
                found,
                raw.encode(),
                self._reader.api_version,
                page.fetched_from,
                page.fetched_to,
            )
            for found, raw in zip(page.objects, page.raws, strict=True)
        ]
        self.result.listed += len(fetched)
        self._keep(fetched)

    def _ask(self, keys: Iterable[ObjectKey]) -> None:
        """Keep what differs of objects that are asked for one by one."""
        for key in keys:
            self.result.asked += 1
            answer = fetch(self._reader, key)
            refuse_other_account([answer])
            self._keep([answer])

    def _keep(self, fetched: Sequence[Fetched]) -> None:
        states = self._sweeps.load_states([one.key for one in fetched])
        self._seen.update(one.key for one in fetched if one.key.object in _OWNING)
        for shown in fetched:
            inside = changes_inside(shown.key.object, shown.payload or {})
            one = self._whole(shown) if inside else shown
            found = difference_of(states.get(one.key), one)
            if found is not None:
                self._found[one.key] = found._replace(fetched=self._whole(one))
                owners = owners_of(one.key.object, one.payload or {})
                self._owners.update(self._key(*owner) for owner in owners)
        if len(self._found) >= _BATCH:
            self._settle()

    def _whole(self, fetched: Fetched) -> Fetched:
        """The same with its nested lists whole; Stripe puts only the first ten inside."""
        payload = fetched.payload
        if payload is None:
            return fetched
        whole: Object = payload
        for name in BY_OBJECT[fetched.key.object].nested:
            whole = self._reader.complete_nested(whole, name)
        if whole is payload:
            return fetched
        return replace(
            fetched,
            payload=whole,
            raw=raw_text(whole).encode(),
            fetched_to=max(fetched.fetched_to, self._clock()),
        )

    def _settle(self) -> None:
        """Report what differs for certain, then repair it.

        An object may have changed a moment ago, with its event still under way: what a last look
        at the events explains is no drift.
        """
        if not self._found:
            return
        sweep(self._reader, self._store, self._sweeps, now=self._clock(), clock=self._clock)
        apply_waiting(self._store, now=self._clock())
        found = self._still_differing()
        drifts = [
            Drift(one.key, one.difference, one.fields) for one in found if self._is_drift(one)
        ]
        self._sweeps.insert_drift(drifts, reason=self._reason, found_at=self._now)
        self._tell(drifts, learned=len(found) - len(drifts))
        outcome = apply_fetched(
            self._store, [one.fetched for one in found], source="relist", now=self._clock()
        )
        self.result.outcome = self.result.outcome.plus(outcome)
        self._mark_repaired([one.key for one in drifts])
        self._found.clear()

    def _is_drift(self, one: Found) -> bool:
        """Whether somebody should have heard of it: not of what was there before we listened."""
        created = (one.fetched.payload or {}).get("created")
        if one.difference == "missing" and isinstance(created, int):
            since = self._told_since
            if since is None or created < int(since.timestamp()):
                return False
        return is_told(one.key.object, one.difference, one.fields, one.status)

    def _still_differing(self) -> list[Found]:
        states = self._sweeps.load_states(self._found)
        again = (difference_of(states.get(key), one.fetched) for key, one in self._found.items())
        return [one for one in again if one is not None]

    def _tell(self, drifts: Sequence[Drift], *, learned: int) -> None:
        self.result.learned += learned
        for drift in drifts:
            self.result.drift[drift.key.object, drift.difference] += 1
            if len(self.result.examples) < _EXAMPLES:
                self.result.examples.append(_in_words(drift))
        if drifts:
            kinds = Counter(drift.key.object for drift in drifts)
            _log.warning("mirror_drifted", reason=self._reason, objects=dict(kinds))

    def _mark_repaired(self, keys: Sequence[ObjectKey]) -> None:
        states = self._sweeps.load_states(keys)
        repaired = [
            key for key in keys if difference_of(states.get(key), self._found[key].fetched) is None
        ]
        self._sweeps.mark_repaired(repaired, found_at=self._now, now=self._clock())
        for key in sorted(set(keys) - set(repaired)):
            state = states.get(key)
            if state is None or not state.undecided:  # a doubt is being asked about
                self.result.unrepaired.append(f"{key.object} {key.id}")


_OWNING: Final = frozenset({"charge", "payment_intent", "invoice"})


def _in_words(drift: Drift) -> str:
    said = f" ({', '.join(drift.fields)})" if drift.fields else ""
    return f"{drift.key.object} {drift.key.id}: {drift.difference}{said}"
