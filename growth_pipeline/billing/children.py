"""What a state of an object shows of the lists that lie in it, and what became of each entry. Pure.

Items lie in subscriptions, lines in invoices, discounts in customers, subscriptions, their items,
and invoices. Their rows follow from all known states of the object they lie in: the newest that
shows an entry says what it is, and the next one with a whole list that lacks it says when it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from growth_pipeline.billing.fold import Snapshot, State, in_order
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, adapter_for, field_of

ITEMS: Final = "subscription_items"
LINES: Final = "invoice_line_items"
DISCOUNTS: Final = "discounts"


class EntryKey(NamedTuple):
    """Key of one entry within the object it lies in; `owner_id` is what a discount lowers."""

    table: str
    owner_id: str
    id: str


class Shown(NamedTuple):
    """One list as one state shows it.

    `entries`: None where only the id is told. `is_whole`: False where the list goes on.
    """

    table: str
    entries: dict[EntryKey, Object | None]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one entry. `parent` is the object's state that told `payload`."""

    key: EntryKey
    payload: Object | None
    parent: Snapshot
    deleted_at: datetime | None


def lists_of(snapshot: Snapshot) -> list[Shown]:
    """The nested lists that a state tells; none for kinds without, and for sparse tombstones.

    Raises: UnknownValueError if a field is absent that the state's version promises.
    """
    read = _READERS.get(snapshot.object)
    if read is None or "created" not in snapshot.payload:
        return []
    return read(adapter_for(snapshot.api_version), snapshot.payload)


def has_lists(object_name: str) -> bool:
    """Whether anything lies in objects of this kind."""
    return object_name in _READERS


def follows_from_newest(newest: State, others: Iterable[Snapshot]) -> bool:
    """Whether the rows of an object's entries need no older state than its newest.

    False when another of the states merged at one time shows an entry that the newest does not, or
    tells what the newest only names.
    """
    told: dict[EntryKey, bool] = {}
    for shown in lists_of(newest.snapshot):
        told |= {key: payload is not None for key, payload in shown.entries.items()}
    return all(
        told.get(key, False) or (key in told and payload is None)
        for snapshot in others
        for shown in lists_of(snapshot)
        for key, payload in shown.entries.items()
    )


def entries_of(newest: State, known: Iterable[Snapshot]) -> list[Entry]:
    """All entries that an object ever showed, as its states tell them; in the order of their keys.

    `known` are its states in any order, repeated or not; those later than the newest count not.
    Shapes: an equal set of states gives equal entries.
    """
    last = newest.snapshot
    earlier = [one for one in known if one.state_at <= last.state_at and not one.deletes]
    told: dict[EntryKey, tuple[Object | None, Snapshot]] = {}
    ended: dict[EntryKey, datetime] = {}
    for snapshot in (*in_order(earlier), last):
        for shown in lists_of(snapshot):
            for key, payload in shown.entries.items():
                ended.pop(key, None)
                if payload is not None or key not in told:
                    told[key] = (payload, snapshot)
            if shown.is_whole:
                for key in told.keys() - shown.entries.keys():
                    if key.table == shown.table:
                        ended.setdefault(key, snapshot.state_at)
    return [
        Entry(key, payload, parent, ended.get(key, newest.deleted_at))
        for key, (payload, parent) in sorted(told.items(), key=lambda item: item[0])
    ]


# --- where the lists lie -------------------------------------------------------------------------


def _of_subscription(version: VersionAdapter, found: Object) -> list[Shown]:
    items, is_whole = _list(version, field_of(found, "items", version.api_version))
    discounts = _discounts(version, found)
    for item in items:
        discounts |= _discounts(version, item)
    return [_shown(ITEMS, items, is_whole), Shown(DISCOUNTS, discounts, is_whole)]


def _of_invoice(version: VersionAdapter, found: Object) -> list[Shown]:
    shown = [Shown(DISCOUNTS, _discounts(version, found), True)]
    if found.get("lines") is not None:
        lines, is_whole = _list(version, found["lines"])
        shown.append(_shown(LINES, lines, is_whole))
    return shown


def _of_customer(version: VersionAdapter, found: Object) -> list[Shown]:
    return [Shown(DISCOUNTS, _discounts(version, found), True)]


_READERS: Final[Mapping[str, Callable[[VersionAdapter, Object], list[Shown]]]] = {
    "subscription": _of_subscription,
    "invoice": _of_invoice,
    "customer": _of_customer,
}


def _list(version: VersionAdapter, value: Any) -> tuple[Sequence[Object], bool]:
    return field_of(value, "data", version.api_version), value.get("has_more") is not True


def _shown(table: str, entries: Sequence[Object], is_whole: bool) -> Shown:
    return Shown(table, {EntryKey(table, "", str(one["id"])): one for one in entries}, is_whole)


def _discounts(version: VersionAdapter, owner: Object) -> dict[EntryKey, Object | None]:
    found: dict[EntryKey, Object | None] = {}
    for one in version.discounts_of(owner):
        if isinstance(one, str):
            found[EntryKey(DISCOUNTS, owner["id"], one)] = None
        else:
            found[EntryKey(DISCOUNTS, owner["id"], str(one["id"]))] = one
    return found
