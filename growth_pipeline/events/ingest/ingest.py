"""A request's calls turned into rows to store, calls to set aside, and the answer. Pure.

A call that is wrong is rejected alone: its neighbours are stored.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from growth_pipeline.events.catalogue.check import check_track, event_version
from growth_pipeline.events.ingest.body import TooLargeError, write_anything, write_json
from growth_pipeline.events.ingest.clock import LONGEST, settle
from growth_pipeline.events.ingest.segment import (
    EVENT_LIMIT,
    EVENTS_LIMIT,
    Call,
    Refusal,
    read_call,
)

_NULL: Final = b"\\u0000"
_REPLACED: Final = "\ufffd"
NO_MESSAGE_ID: Final = "no_message_id"
NULL_CHARACTER: Final = "null_character"
REFUSED: Final = "refused_by_database: the database refuses a value of this call"
_OVERHEAD: Final = 1000  # bytes of a row in memory beside its body and its properties


class Row(NamedTuple):
    """One row of events.events. Units: instants in UTC; `properties` and `body` are JSON."""

    source_id: int
    message_id: str
    key_id: int
    type: str
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    occurred_at: datetime
    received_at: datetime
    sent_at: datetime | None
    flags: str
    properties: str | None
    body: bytes


class DeadLetter(NamedTuple):
    """One row of events.dead_letters."""

    source_id: int
    body_hash: bytes
    key_id: int
    reason: str
    is_typed: bool
    received_at: datetime
    sent_at: str | None
    body: bytes


class Rejected(NamedTuple):
    """One rejected call: its place in the batch from 0, and why."""

    place: int
    reason: str


@dataclass
class Taken:
    """What a request brought. Every call is either in `rows`, or in `rejected` and `dead`.

    `places`: of each row its place in the batch.
    """

    rows: list[Row] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of it that count against what may wait in memory."""
        rows = sum(2 * len(row.body) + _OVERHEAD for row in self.rows)
        return rows + sum(len(letter.body) + _OVERHEAD for letter in self.dead)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when calls arrived.

    `is_typed`: by the route that holds them against the catalogue. `sent_at`: sentAt of the batch.
    """

    source_id: int
    received_at: datetime
    is_typed: bool = False
    sent_at: object = None
    key_id: int = 0


class NotABatchError(ValueError):
    """The body is JSON but neither a call nor a batch of calls. Not retryable."""


def calls_of(document: object, kind: str | None, *, or_track: bool = False) -> list[Any]:
    """The calls of a request: of a batch as they are, of a single call with the route's type.

    `or_track`: a batch or a single call may come, and without a type it is a track call.
    Raises: NotABatchError; TooLargeError for more calls than a batch may hold, or a single call
    over its limit.
    """
    if not isinstance(document, dict):
        raise NotABatchError("the body must be a JSON object")
    if or_track and "batch" not in document:
        return [_single({"type": "track", **document})]
    if kind is not None:
        return [_single({**document, "type": kind})]
    batch = document.get("batch")
    if not isinstance(batch, list):
        raise NotABatchError("the body needs batch, a list of calls")
    if len(batch) > EVENTS_LIMIT:
        raise TooLargeError
    if or_track:
        return [{"type": "track", **one} if isinstance(one, dict) else one for one in batch]
    return batch


def take(calls: list[Any], origin: Origin, *, taken: Taken | None = None) -> Taken:
    """Each call accepted or rejected, in order; after those of `taken`, if that is given."""
    taken = Taken() if taken is None else taken
    for place, given in enumerate(calls, start=len(taken.rows) + len(taken.rejected)):
        value = _without_key(given)
        answer = take_one(value, origin)
        if isinstance(answer, Row):
            taken.rows.append(answer)
            taken.places.append(place)
        else:
            taken.rejected.append(Rejected(place, str(answer)))
            taken.dead.append(
                _dead_letter(write_json(value) or write_anything(value), str(answer), origin)
            )
    return taken


def set_aside(row: Row, origin: Origin) -> DeadLetter:
    """A call that passed every rule here, and that the database refuses all the same."""
    return _dead_letter(row.body, REFUSED, origin)


def take_one(value: Any, origin: Origin) -> Row | Refusal:
    """One call as a row, or why it is none."""
    body = write_json(value)
    if body is None:
        return Refusal("not_json", "it holds a value that JSON does not know (NaN, half a pair)")
    if len(body) > EVENT_LIMIT:
        return Refusal("too_large", f"a call may have {EVENT_LIMIT} bytes")
    call = read_call(value)
    if isinstance(call, Refusal):
        return call
    flags, problem = _catalogue_flags(call, is_typed=origin.is_typed)
    if problem is not None:
        return problem
    return _row(value, call, body, flags, origin)


def _row(value: dict[str, Any], call: Call, body: bytes, flags: list[str], origin: Origin) -> Row:
    own = value.get("sentAt")
    timed = settle(
        value.get("timestamp"),
        origin.sent_at if own is None else own,
        received_at=origin.received_at,
    )
    flags.extend(timed.flags)
    if call.message_id is None:
        flags.append(NO_MESSAGE_ID)
        call = call._replace(message_id=_made_id(value))
    if _NULL in body:
        cleaned = Call(*(_without_null(part) for part in call))
        if cleaned != call:
            flags.append(NULL_CHARACTER)
            call = cleaned
    return Row(
        origin.source_id,
        call.message_id or "",
        origin.key_id,
        call.type,
        call.event,
        call.user_id,
        call.anonymous_id,
        timed.occurred_at,
        origin.received_at,
        timed.sent_at,
        ",".join(flags),
        None if call.properties is None else (write_json(call.properties) or b"").decode(),
        body,
    )


def _catalogue_flags(call: Call, *, is_typed: bool) -> tuple[list[str], Refusal | None]:
    if call.event is None:
        return [], None
    checked = check_track(call.event, call.properties, version=event_version(call.context))
    if is_typed and checked.problems:
        return [], Refusal("properties_differ", checked.sentence)
    return [str(flag) for flag in checked.flags], None


def _made_id(value: dict[str, Any]) -> str:
    """An id for a call without one: of its content if that has a time, so that a repeat is one."""
    if value.get("timestamp") is None:
        return str(uuid.uuid4())
    content = {name: part for name, part in value.items() if name != "sentAt"}
    return f"sha256_{hashlib.sha256(write_anything(content)).hexdigest()}"


def _without_key(value: Any) -> Any:
    """A call less the write key that browsers put into it: of a key only its hash is stored."""
    if isinstance(value, dict) and "writeKey" in value:
        return {name: part for name, part in value.items() if name != "writeKey"}
    return value


def _without_null(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", _REPLACED)
    if isinstance(value, dict):
        return {_without_null(name): _without_null(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_null(part) for part in value]
    return value


def _single(value: dict[str, Any]) -> dict[str, Any]:
    """Raises: TooLargeError: a single call that is too large is the whole request."""
    written = write_json(value)
    if written is not None and len(written) > EVENT_LIMIT:
        raise TooLargeError
    return value


def _dead_letter(body: bytes, reason: str, origin: Origin) -> DeadLetter:
    mark = b"typed" if origin.is_typed else b"segment"
    return DeadLetter(
        origin.source_id,
        hashlib.sha256(mark + b"\n" + body).digest(),
        origin.key_id,
        reason,
        origin.is_typed,
        origin.received_at,
        _kept_sent_at(origin.sent_at),
        body,
    )


def _kept_sent_at(sent: object) -> str | None:
    """What may be an instant: it stands in each letter, so a long text would fill the memory."""
    if isinstance(sent, str) and len(sent) <= LONGEST and sent.isascii():
        return sent.replace("\0", _REPLACED)
    return None
