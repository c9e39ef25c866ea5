"""Which credential each route asks for, and the headers every answer carries.

A route without a rule keeps the app from starting. Contract: docs/reliability.md, "Security".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from growth_pipeline.core.errors import GrowthError

_log: Final = structlog.get_logger(__name__)


class Credential(StrEnum):
    """What a caller must show."""

    NONE = "none"
    STRIPE_SIGNATURE = "stripe signature"
    WRITE_KEY = "write key"
    ORIGIN = "origin of a write key"
    PATH_SECRET = "secret in the path"  # noqa: S105 - a kind of credential, not one
    SIGNED_LINK = "signed link"
    API_TOKEN = "bearer token"  # noqa: S105 - a kind of credential, not one


_TRACK_PATHS: Final = (
    *(f"/v1/{name}" for name in ("batch", "track", "identify", "page", "screen", "group", "alias")),
    *(f"/v1/{name}" for name in ("b", "t", "i", "p", "s", "g", "a")),
    "/api/v1/events",
)

# Every route of the app. Those without credential show no data of the company.
ROUTE_RULES: Final[Mapping[str, Credential]] = {
    "POST /webhooks/stripe": Credential.STRIPE_SIGNATURE,
    **{f"POST {path}": Credential.WRITE_KEY for path in _TRACK_PATHS},
    **{f"OPTIONS {path}": Credential.ORIGIN for path in _TRACK_PATHS},
    "POST /webhooks/kit/{secret}": Credential.PATH_SECRET,
    "GET /unsubscribe/{token}": Credential.SIGNED_LINK,
    "POST /unsubscribe/{token}": Credential.SIGNED_LINK,
    "POST /v1/unsubscribe": Credential.API_TOKEN,
    "GET /": Credential.NONE,
    "GET /docs": Credential.NONE,
    "GET /openapi.json": Credential.NONE,
    "GET /healthz": Credential.NONE,
    "GET /readyz": Credential.NONE,
    "GET /version": Credential.NONE,
    "GET /static/*": Credential.NONE,
}

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_RAW_HEADERS: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
_FOR_FILES: Final = (b"cache-control", b"public, max-age=300")
_FOR_ANSWERS: Final = (b"cache-control", b"no-store")
_FOR_TLS: Final = (b"strict-transport-security", b"max-age=31536000")


# What follows in these paths is a credential.
_SECRET_PATHS: Final = ("/webhooks/kit/", "/unsubscribe/")


class RouteRuleError(GrowthError):
    """A route has no rule, or a rule no route: the app must not start."""


def routes_of(app: FastAPI) -> list[str]:
    """All routes as `METHOD /path`; a mounted folder counts as `GET /folder/*`."""
    return sorted(name for route in app.routes for name in _names(route))


def check_routes(routes: Iterable[str], rules: Mapping[str, Credential] = ROUTE_RULES) -> None:
    """Refuse routes that no rule covers, and rules that cover nothing.

    Raises: RouteRuleError naming them.
    """
    found = set(routes)
    problems = [f"{name} has no rule" for name in sorted(found - set(rules))]
    problems += [f"the rule of {name} has no route" for name in sorted(set(rules) - found)]
    if problems:
        raise RouteRuleError(
            "routes and rules differ: " + "; ".join(problems),
            remedy="give each route its credential in ROUTE_RULES of web/security.py",
        )


def _names(route: BaseRoute) -> Iterator[str]:
    if isinstance(route, Mount):
        yield f"GET {route.path}/*"
    elif isinstance(route, Route | APIRoute):
        for method in (route.methods or set()) - {"HEAD"}:
            yield f"{method} {route.path}"
    else:
        yield f"ANY {getattr(route, 'path', type(route).__name__)}"


class Gate:
    """The outermost layer: a request id, the headers above, one log line, and no bare error.

    An exception nobody handled becomes a plain 500 without a word of its text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        began = time.perf_counter()
        status = 0
        extra = _extra_headers(scope, request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = {name.lower() for name, _ in message.get("headers", ())}
                added = [item for item in extra if item[0] not in names]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        # Never unbound: a request has a task of its own, and the binding ends with its context.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:  # noqa: BLE001 - the last layer: nothing may reach the sender
            _log.exception("request_failed", path=_shown_path(scope))
            if status == 0:
                answer = PlainTextResponse("internal error\n", status_code=500)
                await answer(scope, receive, send_with_headers)
        _log_request(scope, status, time.perf_counter() - began)


def _extra_headers(scope: Scope, request_id: str) -> list[tuple[bytes, bytes]]:
    caching = _FOR_FILES if scope["path"].startswith("/static/") else _FOR_ANSWERS
    headers = [*_RAW_HEADERS, caching, (b"x-request-id", request_id.encode())]
    if scope.get("scheme") == "https":
        headers.append(_FOR_TLS)
    return headers


def _shown_path(scope: Scope) -> str:
    """The path without what is secret in it."""
    path: str = scope["path"]
    hidden = next((start for start in _SECRET_PATHS if path.startswith(start)), None)
    return path if hidden is None else f"{hidden}…"


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """One line a request; the query is left out, it may hold what a person typed."""
    log = _log.info if status >= 400 else _log.debug  # noqa: PLR2004 - the first error status
    log(
        "request",
        method=scope["method"],
        path=_shown_path(scope),
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )
