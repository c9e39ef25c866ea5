"""Kit's API v4, as much of it as is used: reads, and one request for each thing that is added.

A write is never repeated here: whoever asked for it reads back what became of it. Source: Kit API
v4 reference (Subscribers, Tags, Sequences, Pagination, Errors).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

import httpx
import orjson
import stamina

from growth_pipeline.lifecycle.kit.errors import (
    KitRefusedError,
    KitUnknownError,
    KitUnreadableError,
)
from growth_pipeline.lifecycle.kit.gate import KitGate
from growth_pipeline.lifecycle.kit.transport import (
    ForbiddenAddressError,
    KitTransport,
    read_answer,
)

API_BASE: Final = "https://api.kit.com/v4"
_PAGE: Final = 500
_MOST_PAGES: Final = 2000
_READ_SECONDS: Final = 20.0
_ATTEMPTS: Final = 3
_OK: Final = range(200, 300)
_TOO_MANY: Final = 429
_SERVER: Final = 500
_TIMED_OUT: Final = 408
_NOT_FOUND: Final = 404
_REFUSES_KEY: Final = frozenset({401, 403})


class State(StrEnum):
    """What a subscriber is at Kit. A word that is not known is never taken for active."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    COMPLAINED = "complained"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Grain: one subscriber of the Kit account. The address is never shown."""

    kit_id: int
    state: State
    created_at: datetime | None = None
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = field(repr=False)

    def json(self) -> Mapping[str, Any]:
        """Raises: KitUnreadableError for what is no object."""
        try:
            told = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            raise KitUnreadableError("Kit answered something that is no JSON object")
        return told


class KitClient:
    """One Kit account. For one thread; close it, or use it as a context manager.

    `within` of a write bounds the whole call in seconds: after it nothing more is sent.
    """

    def __init__(
        self, key: str, gate: KitGate, *, base: str = API_BASE, allow_loopback: bool = False
    ) -> None:
        self._gate = gate
        self._base = base.rstrip("/")
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=KitTransport(allow_loopback=allow_loopback),
            headers={
                "X-Kit-Api-Key": key,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "growth-pipeline",
            },
            follow_redirects=False,
            trust_env=False,
            timeout=_READ_SECONDS,  # of each part; every call has a bound for all of it too
        )
        self._tags: dict[str, int] = {}

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    # --- reads ---

    def find(self, address: str) -> Subscriber | None:
        """The subscriber of an address, in any state; None: Kit knows nobody of it.

        Raises: KitUnreadableError, KitRefusedError.
        """
        told = self._read("/subscribers", email_address=address, status="all")
        wanted = _plain_address(address)
        for one in _list(told, "subscribers"):
            found = _subscriber(one)
            if _plain_address(found.address) == wanted:
                return found
        return None

    def subscriber(self, kit_id: int) -> Subscriber | None:
        """A subscriber by Kit's id; None: Kit has none (any more)."""
        answer = self._ask(f"/subscribers/{int(kit_id)}")
        if answer.status == _NOT_FOUND:
            return None
        return _subscriber(_object(_told(answer), "subscriber"))

    def tags_of(self, kit_id: int) -> set[str]:
        """Names of all tags of a subscriber.

        Raises: KitRefusedError (`only_this` where Kit has the subscriber no more),
        KitUnreadableError.
        """
        pages = self._pages(f"/subscribers/{int(kit_id)}/tags", "tags")
        return {str(one["name"]) for one in pages if "name" in one}

    def tag_id(self, name: str) -> int:
        """Kit's id of a tag; it is made if there is none: a tag by itself sends nothing."""
        if name not in self._tags:
            for one in self._pages("/tags", "tags"):
                if isinstance(one.get("id"), int):
                    self._tags.setdefault(str(one.get("name")), one["id"])
        if name not in self._tags:
            made = _told(self._ask("/tags", method="POST", content={"name": name}))
            found = _object(made, "tag").get("id")
            if not isinstance(found, int):
                raise KitUnreadableError("Kit made a tag and did not say its id")
            self._tags[name] = found
        return self._tags[name]

    def in_sequence(self, sequence_id: int, kit_id: int) -> bool:
        """Whether a subscriber was added to a sequence, whatever became of it since."""
        path = f"/sequences/{int(sequence_id)}/subscribers"
        return any(
            one.get("id") == kit_id for one in self._pages(path, "subscribers", status="all")
        )

    def not_active_since(self, state: State, since: datetime) -> Iterator[Subscriber]:
        """Subscribers in a state whose record changed since an instant, and some from before it.

        Kit filters by days, of a zone that it does not name.
        """
        told = (since.astimezone(UTC) - timedelta(days=2)).strftime("%Y-%m-%d")
        pages = self._pages("/subscribers", "subscribers", status=str(state), updated_after=told)
        return (_subscriber(one) for one in pages)

    # --- writes: each takes a place first, and is made once ---

    def reserve(self) -> int:
        """A place within Kit's limit for one write. Raises: KitRefusedError, nothing was sent."""
        return self._gate.enter()

    def release(self, place: int) -> None:
        """A place that is not used after all."""
        self._gate.give_back(place)

    def add_tag(self, tag_id: int, kit_id: int, *, place: int, within: float) -> None:
        """Give a subscriber a tag. Raises: KitRefusedError (not done), KitUnknownError."""
        self._write(f"/tags/{int(tag_id)}/subscribers/{int(kit_id)}", place, within)

    def add_to_sequence(self, sequence_id: int, kit_id: int, *, place: int, within: float) -> None:
        """Add a subscriber to a sequence. Raises: KitRefusedError, KitUnknownError."""
        self._write(f"/sequences/{int(sequence_id)}/subscribers/{int(kit_id)}", place, within)

    def unsubscribe(self, kit_id: int) -> None:
        """Unsubscribe somebody; twice is harmless. Raises: KitRefusedError, KitUnknownError."""
        self._write(f"/subscribers/{int(kit_id)}/unsubscribe", self.reserve(), _READ_SECONDS)

    def create(self, address: str, *, place: int, within: float) -> Subscriber:
        """Make a subscriber of an address that Kit does not know, and of no other.

        Kit leaves the state of one that is there as it is. Raises: KitRefusedError,
        KitUnknownError.
        """
        answer = self._write("/subscribers", place, within, {"email_address": address})
        return _subscriber(_object(answer.json(), "subscriber"))

    # --- inside ---

    def _write(
        self,
        path: str,
        place: int,
        within: float,
        content: Mapping[str, Any] | None = None,
    ) -> _Answer:
        request = self._request(path, "POST", content or {})
        try:
            answer = self._send(request, within)
        except ForbiddenAddressError as error:
            raise _forbidden(error) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise KitRefusedError("Kit does not answer") from None
        except (httpx.HTTPError, TimeoutError, OSError):
            raise KitUnknownError("Kit's answer was lost") from None
        finally:
            self._gate.leave(place)
        self._check(answer)
        if answer.status not in _OK:
            raise KitUnknownError(f"Kit answered {answer.status}")
        return answer

    def _read(self, path: str, **asked: str) -> Mapping[str, Any]:
        return _told(self._ask(path, asked=asked))

    @stamina.retry(on=KitUnreadableError, attempts=_ATTEMPTS, wait_initial=0.2, wait_max=5.0)
    def _ask(
        self,
        path: str,
        *,
        method: str = "GET",
        content: Mapping[str, Any] | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> _Answer:
        place = self._gate.enter()
        try:
            answer = self._send(self._request(path, method, content, asked), _READ_SECONDS)
        except ForbiddenAddressError as error:
            raise _forbidden(error) from None
        except (httpx.HTTPError, TimeoutError, OSError):
            raise KitUnreadableError("Kit does not answer") from None
        finally:
            self._gate.leave(place)
        self._check(answer, missing_is_told=True)
        if answer.status >= _SERVER or answer.status == _TIMED_OUT:
            raise KitUnreadableError(f"Kit answered {answer.status}")
        return answer

    def _pages(self, path: str, name: str, **asked: str) -> Iterator[Mapping[str, Any]]:
        """Every entry of a list, page after page."""
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            told = self._read(path, per_page=str(_PAGE), **asked, **after)
            yield from _list(told, name)
            pages = told.get("pagination")
            if not isinstance(pages, dict) or pages.get("has_next_page") is not True:
                return
            cursor = pages.get("end_cursor")
            if not isinstance(cursor, str) or after == {"after": cursor}:
                raise KitUnreadableError("a list of Kit does not say how it goes on")
            after = {"after": cursor}
        raise KitUnreadableError("a list of Kit does not end")

    def _request(
        self,
        path: str,
        method: str,
        content: Mapping[str, Any] | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        url = f"{self._base}{path}"
        return self._client.build_request(method, url, json=content, params=asked or None)

    def _send(self, request: httpx.Request, within: float) -> _Answer:
        status, body = self._runner.run(read_answer(self._client, request, within=within))
        return _Answer(status, body)

    def _check(self, answer: _Answer, *, missing_is_told: bool = False) -> None:
        """Raises: KitRefusedError for an answer that says that nothing was done."""
        if answer.status == _TOO_MANY:
            self._gate.block("Kit answered 429")
            raise KitRefusedError("Kit was asked too often", too_many=True)
        if answer.status in _REFUSES_KEY:
            raise KitRefusedError(
                f"Kit refuses the key ({answer.status})",
                remedy="correct GROWTH_LIFECYCLE__KIT_API_KEY; messages wait",
                is_setting=True,
            )
        refused = range(400, _SERVER)
        told = missing_is_told and answer.status == _NOT_FOUND
        if answer.status in refused and answer.status != _TIMED_OUT and not told:
            raise KitRefusedError(f"Kit refuses it ({answer.status})", only_this=True)


def _forbidden(error: ForbiddenAddressError) -> KitRefusedError:
    return KitRefusedError(
        str(error), remedy="correct GROWTH_LIFECYCLE__KIT_API_BASE; messages wait", is_setting=True
    )


def _told(answer: _Answer) -> Mapping[str, Any]:
    if answer.status == _NOT_FOUND:
        raise KitRefusedError("Kit has it no more (404)", only_this=True)
    if answer.status not in _OK:
        raise KitUnreadableError(f"Kit answered {answer.status}")
    return answer.json()


def _list(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = told.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise KitUnreadableError(f"Kit's answer holds no list of {name}")
    return found


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    if not isinstance(found, dict):
        raise KitUnreadableError(f"Kit's answer holds no {name}")
    return found


def _subscriber(told: Mapping[str, Any]) -> Subscriber:
    kit_id = told.get("id")
    if not isinstance(kit_id, int) or isinstance(kit_id, bool):
        raise KitUnreadableError("Kit told of a subscriber without an id")
    word = told.get("state")
    state = State(word) if word in set(State) else State.UNKNOWN
    return Subscriber(
        kit_id, state, _instant(told.get("created_at")), str(told.get("email_address") or "")
    )


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _plain_address(address: str) -> bytes:
    return address.strip(" \t\r\n").encode().lower()
