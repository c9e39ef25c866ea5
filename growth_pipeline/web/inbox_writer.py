"""Stores received webhooks: those that arrive together share a commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.web.group_writer import Bounds, GroupWriter

_BOUNDS: Final = Bounds(
    batch=256, batch_bytes=8 * 1024 * 1024, waiting=2_000, waiting_bytes=64 * 1024 * 1024
)


class EventStore(Protocol):
    """Where events are stored; `AsyncInbox` is one."""

    async def insert_events(self, events: Sequence[ReceivedEvent]) -> None:
        """Store events durably, each once."""
        ...


class InboxWriter(GroupWriter[ReceivedEvent, None]):
    """The writer of the inbox; `on_stored` is called after each commit."""

    def __init__(self, store: EventStore, *, on_stored: Callable[[], None]) -> None:
        super().__init__(
            store.insert_events,
            name="inbox",
            bounds=_BOUNDS,
            size_of=lambda event: len(event.body),
            label_of=lambda event: event.event_id,
            on_stored=lambda _events, _answer: on_stored(),
        )
