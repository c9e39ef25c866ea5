"""Rows of the tables of schema `stripe`: from a state to what Postgres stores, and back. Pure.

What a column holds is decided in `columns.py`, in which order it stands in `table_statements.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

import orjson

from growth_pipeline.billing.children import DISCOUNTS, Entry
from growth_pipeline.billing.columns import COLUMNS, kept_fields, told_values, typed_values
from growth_pipeline.billing.fold import Snapshot, State, is_final
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import adapter_for

_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

# The one kind that says `date` where all others say `created`.
_DATED: Final = "invoiceitem"

Row = tuple[Any, ...]
# Account, livemode, kind, id: an ObjectKey of `tables.py`.
Key = tuple[str, bool, str, str]


def typed_columns(resource: str) -> tuple[tuple[str, str], ...]:
    """Names and types of the typed columns of a table, in the order of its rows."""
    return tuple((name, column.postgres_type) for name, column in COLUMNS[resource].items())


def object_row(key: Key, state: State, now: datetime) -> Row:
    """The row of an object, in the order of its table's columns.

    Raises: UnknownValueError naming object and field if a promised field is missing.
    """
    account_id, livemode, object_name, object_id = key
    snapshot = state.snapshot
    resource = BY_OBJECT[object_name].resource
    payload = kept_fields(resource, snapshot.payload)
    version = adapter_for(snapshot.api_version)
    read = typed_values if state.deleted_at is None else told_values
    if snapshot.created_at is None and state.deleted_at is None and object_name != _DATED:
        raise UnknownValueError(
            f"{object_name} {object_id}: created is not a Unix time",
            remedy="the API version may have moved the field: extend its adapter, then replay",
        )
    return (
        account_id,
        livemode,
        object_id,
        *_for_table(resource, read(resource, version, payload), payload),
        snapshot.api_version,
        _json(payload),
        snapshot.created_at,
        snapshot.state_from,
        snapshot.state_at,
        snapshot.origin,
        snapshot.event_id,
        state.undecided,
        is_final(snapshot),
        state.deleted_at,
        now,
    )


def entry_row(parent: Key, entry: Entry, now: datetime) -> Row:
    """The row of an entry of a nested list; what is not told of it is null."""
    account_id, livemode, object_name, object_id = parent
    name = entry.key.table
    version = adapter_for(entry.parent.api_version)
    if entry.payload is None:
        typed: list[Any] = [None] * len(COLUMNS[name])
    else:
        values = typed_values(name, version, entry.payload, entry.parent.payload)
        typed = _for_table(name, values, entry.payload)
    within = (object_name, object_id, entry.key.owner_id) if name == DISCOUNTS else (object_id,)
    return (
        account_id,
        livemode,
        *within,
        entry.key.id,
        *typed,
        entry.parent.api_version,
        None if entry.payload is None else _json(entry.payload),
        entry.deleted_at,
        now,
    )


def _json(payload: Mapping[str, Any]) -> str:
    return orjson.dumps(payload).decode()


def _for_table(resource: str, values: list[Any], found: Mapping[str, Any]) -> list[Any]:
    """Values of a file as a table holds them: instants and decimals have types of their own."""
    for place, name, convert in _conversions(resource):
        value = values[place]
        if value is not None:
            try:
                values[place] = convert(value)
            except (ValueError, InvalidOperation) as error:
                raise UnknownValueError(
                    f"{found.get('object', 'object')} {found.get('id')}: field {name!r} is"
                    f" {value!r}, which is no {convert.__name__.strip('_')}"
                ) from error
    return values


def _instant(seconds: int) -> datetime:
    if not 0 <= seconds <= _LAST_SECOND:
        raise ValueError
    return datetime.fromtimestamp(seconds, UTC)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError
    return value


_CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "timestamptz": _instant,
    "numeric": _decimal,
    "float8": float,  # JSON may write a whole number; one array has one type
}


@cache
def _conversions(resource: str) -> tuple[tuple[int, str, Callable[[Any], Any]], ...]:
    return tuple(
        (place, name, _CONVERSIONS[type])
        for place, (name, type) in enumerate(typed_columns(resource))
        if type in _CONVERSIONS
    )


def read_state(object_name: str, row: Sequence[Any]) -> State:
    """The state that a stored row tells; the row begins with the object's id."""
    object_id, payload, version, state_from, state_at, *rest = row
    origin, event_id, undecided, deleted_at = rest
    snapshot = Snapshot(
        object=object_name,
        object_id=object_id,
        payload=orjson.loads(payload),
        api_version=version,
        state_from=state_from,
        state_at=state_at,
        origin=origin,
        event_id=event_id,
        is_tombstone=deleted_at is not None,
    )
    return State(snapshot, undecided=undecided, deleted_at=deleted_at)
