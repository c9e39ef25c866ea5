"""Ways out of e-mails: the page of a signed link, the application's call, and Kit's webhook.

No answer tells whether an address is known. A GET changes nothing: mail scanners open links.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.lifecycle.outbox.addresses import address_hash
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.lifecycle.suppression.store import SuppressionStore
from growth_pipeline.web.pages import PageFacts, page_templates
from growth_pipeline.web.security import HEADERS

_log: Final = structlog.get_logger(__name__)
_MOST_BYTES: Final = 64_000
_LONGEST_ADDRESS: Final = 320
_PAGE_HEADERS: Final = {
    "content-security-policy": HEADERS["content-security-policy"].replace(
        "form-action 'none'", "form-action 'self'"
    ),
    "x-robots-tag": "noindex",
}


class WaysOut:
    """What the routes do. A secret that is not set closes its route: 404, as if there was none."""

    def __init__(
        self,
        store: SuppressionStore,
        *,
        links: UnsubscribeLinks | None,
        webhook_secret: str | None,
        api_token: str | None,
    ) -> None:
        self._store = store
        self._links = links
        self._webhook_secret = webhook_secret
        self._api_token = api_token

    def address_of(self, token: str) -> bytes:
        """The hash of the address that a link is for. Raises: HTTPException 404."""
        found = self._links.read(token) if self._links else None
        if found is None:
            raise HTTPException(404, "This link is not valid")
        return found

    async def unsubscribe(self, known_as: bytes, source: str) -> None:
        """Nothing goes to the address once this returned. Raises: HTTPException 503."""
        await _stored(self._store.suppress, known_as, "unsubscribed", source)

    def check_secret(self, given: str) -> None:
        """Raises: HTTPException 404, as if there was no such route."""
        if not _is_same(given, self._webhook_secret):
            raise HTTPException(404, "Not Found")

    async def hear(self, body: bytes) -> None:
        """Kit says that a subscriber changed: nobody writes to them until Kit was asked.

        Raises: HTTPException 400 for what is not readable, 503.
        """
        told = _object(_object(_json(body)).get("subscriber"))
        address, kit_id = told.get("email_address"), told.get("id")
        if not isinstance(address, str) or not address.strip():
            raise HTTPException(400, "there is no subscriber with an e-mail address in it")
        known_as = address_hash(address)
        number = kit_id if isinstance(kit_id, int) and not isinstance(kit_id, bool) else None
        await _stored(self._store.hold, known_as, number, "kit_webhook")

    def check_token(self, given: str) -> None:
        """Raises: HTTPException 401."""
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not _is_same(token.strip(), self._api_token):
            raise HTTPException(401, "Unauthorized", {"www-authenticate": "Bearer"})


def add_ways_out(app: FastAPI, facts: PageFacts, ways: WaysOut) -> None:
    """Add the page, the call of the application, and Kit's webhook."""
    templates = page_templates()

    @app.get("/unsubscribe/{token}", response_class=HTMLResponse, summary="Unsubscribe: the page")
    def show_unsubscribe(token: str) -> HTMLResponse:
        """Asks whether to unsubscribe; opening it changes nothing."""
        ways.address_of(token)
        return _page(templates, facts, is_done=False)

    @app.post("/unsubscribe/{token}", response_class=HTMLResponse, summary="Unsubscribe: do it")
    async def do_unsubscribe(token: str) -> HTMLResponse:
        """Unsubscribes; also the one-click POST of mail programs (RFC 8058)."""
        await ways.unsubscribe(ways.address_of(token), "page")
        return _page(templates, facts, is_done=True)

    @app.post(
        "/v1/unsubscribe",
        summary="Unsubscribe an address, by the application",
        responses={401: {"description": "Wrong token"}, 503: {"description": "Try again"}},
    )
    async def unsubscribe_address(request: Request) -> Response:
        """Body: {"email": "..."}. The answer is the same whether the address is known or not."""
        ways.check_token(request.headers.get("authorization", ""))
        address = _object(_json(await _body(request))).get("email")
        if not isinstance(address, str) or not 0 < len(address.strip()) <= _LONGEST_ADDRESS:
            raise HTTPException(400, "email is missing or too long")
        await ways.unsubscribe(address_hash(address), "api")
        return JSONResponse({"unsubscribed": True})

    @app.post(
        "/webhooks/kit/{secret}",
        summary="A subscriber changed at Kit",
        responses={400: {"description": "Not readable"}, 503: {"description": "Try again"}},
    )
    async def hear_kit(secret: str, request: Request) -> Response:
        """A hint: nobody writes to the subscriber until their state was read at Kit."""
        ways.check_secret(secret)
        await ways.hear(await _body(request))
        return JSONResponse({"received": True})


def _page(templates: Environment, facts: PageFacts, *, is_done: bool) -> HTMLResponse:
    page = templates.get_template("unsubscribe.html").render(facts=facts, is_done=is_done)
    return HTMLResponse(page, headers=dict(_PAGE_HEADERS))


async def _stored(write: Callable[..., Any], *values: Any) -> None:
    """A write outside the event loop. Raises: HTTPException 503 when it is not stored."""
    try:
        await asyncio.to_thread(write, *values)
    except GrowthError as error:
        _log.error("suppression_not_stored", reason=error.message)
        raise HTTPException(503, "Not stored; try again", {"retry-after": "5"}) from None


async def _body(request: Request) -> bytes:
    """Raises: HTTPException 413."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "The body is too large")
    return body


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise HTTPException(400, "The body is no JSON") from None


def _object(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise HTTPException(400, "The body holds no object")
    return told


def _is_same(given: str, secret: str | None) -> bool:
    return secret is not None and hmac.compare_digest(given.encode(), secret.encode())
