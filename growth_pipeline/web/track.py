"""The routes that take events: those of Segment's SDKs below /v1, and `POST /api/v1/events`.

Contract: docs/events.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from growth_pipeline.events.ingest.body import BATCH_LIMIT
from growth_pipeline.events.ingest.counts import KeyCounts
from growth_pipeline.events.ingest.segment import ROUTES
from growth_pipeline.events.store import AsyncIngest
from growth_pipeline.web.ingest.bodies import Bodies
from growth_pipeline.web.ingest.count_writer import CountWriter
from growth_pipeline.web.ingest.event_writer import EventWriter
from growth_pipeline.web.ingest.rates import KeyRates
from growth_pipeline.web.ingest.receiver import EventReceiver, Route
from growth_pipeline.web.ingest.write_keys import WriteKeys

TYPED_PATH: Final = "/api/v1/events"
PATHS: Final[Mapping[str, Route]] = {
    **{f"/v1/{name}": Route(kind) for name, kind in ROUTES.items()},
    TYPED_PATH: Route(None, is_typed=True),
}
_BODIES_BYTES: Final = 12 * 1024 * 1024
_BODY_SECONDS: Final = 30.0


class Ingest:
    """All that receives events, put together. Starts and stops with the app."""

    def __init__(
        self, store: AsyncIngest, *, events_per_second: int, clock: Callable[[], datetime]
    ) -> None:
        self.counts = KeyCounts()
        self._keys = WriteKeys(store)
        self._writer = EventWriter(store, self.counts)
        self._count_writer = CountWriter(self.counts, store)
        self.receiver = EventReceiver(
            PATHS,
            keys=self._keys,
            writer=self._writer,
            bodies=Bodies(limit=BATCH_LIMIT, total=_BODIES_BYTES, seconds=_BODY_SECONDS),
            rates=KeyRates(events_per_second),
            counts=self.counts,
            clock=clock,
        )

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._keys.start()
        self._writer.start()
        self._count_writer.start()

    async def stop(self) -> None:
        """Store what waits, then end."""
        await self._writer.stop()
        await self._keys.stop()
        await self._count_writer.stop()


_CALL: Final = {"type": "object", "properties": {"messageId": {"type": "string", "maxLength": 100}}}
_BATCH: Final = {
    "type": "object",
    "properties": {
        "batch": {"type": "array", "items": _CALL, "maxItems": 2500},
        "sentAt": {"type": "string", "format": "date-time"},
        "writeKey": {"type": "string"},
    },
}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Every call is on disk, or named in `rejected` with its index"},
    400: {"description": "No JSON, or neither a call nor a batch"},
    401: {"description": "No active write key"},
    403: {"description": "The write key does not allow this origin"},
    408: {"description": "The body came too slowly: send it again"},
    413: {"description": "Over 500 KiB inflated, or a single call over 32 KiB"},
    415: {"description": "A content encoding other than gzip"},
    429: {"description": "Too much at this moment: send it again after Retry-After"},
    503: {"description": "Not stored: send it again"},
}


def add_track_routes(app: FastAPI, receiver: EventReceiver) -> None:
    """Add every route that takes events, each with its preflight."""
    for path, route in PATHS.items():
        for method, described in (("POST", True), ("OPTIONS", False)):
            app.router.routes.append(
                _route(path, route, receiver, method=method, described=described)
            )


def _route(
    path: str, route: Route, receiver: EventReceiver, *, method: str, described: bool
) -> APIRoute:
    def receive_events() -> None:
        """Check each call, store them, commit, answer 200. Write key: Basic, or `writeKey`."""

    what = "typed events" if route.is_typed else f"a {route.kind} call" if route.kind else "a batch"
    content = {"application/json": {"schema": _CALL if route.kind else _BATCH}}
    made = APIRoute(
        path,
        receive_events,  # only what it says is used
        methods=[method],
        response_model=None,
        response_class=JSONResponse,
        summary=f"Receive {what}",
        include_in_schema=described,
        openapi_extra={"requestBody": {"required": True, "content": content}},
        responses=_ANSWERS,
        operation_id=f"receive{path.replace('/', '_')}_{method.lower()}",
    )
    made.app = receiver
    return made
