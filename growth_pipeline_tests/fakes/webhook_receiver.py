"""A webhook endpoint that keeps what it is sent, and refuses as often as a test wants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass
class Received:
    """One request: its exact body and headers."""

    body: bytes
    headers: dict[str, str]


@dataclass
class WebhookReceiver:
    """`refuse_first`: how often each body is answered with 503 before it is taken."""

    refuse_first: int = 0
    redirect: bool = False
    received: list[Received] = field(default_factory=list)
    refused: Counter[bytes] = field(default_factory=Counter)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/webhooks", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if self.redirect:
            return Response(status_code=302, headers={"Location": "/elsewhere"})
        if self.refused[body] < self.refuse_first:
            self.refused[body] += 1
            return Response(status_code=503)
        self.received.append(Received(body, dict(request.headers)))
        return Response()
