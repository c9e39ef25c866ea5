"""Pages and probes for people and machines. They show no data of the company: no login yet.

State is read when asked; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from fastapi import FastAPI, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse

from growth_pipeline.web.security import ROUTE_RULES

_STEP_LIMIT: Final = 200  # characters of a step shown in the banner
_NOTHING_TO_SAY: Final = "Successful Response"  # what FastAPI writes for a 200 without words


class Readiness(NamedTuple):
    """Whether events can be stored; `reason` and `remedy` are empty when they can."""

    is_ready: bool
    reason: str = ""
    remedy: str = ""


class DemoStatus(NamedTuple):
    """How far a demo is: `warming_up` or `ready`, and the step it is at."""

    state: str
    step: str


@dataclass(frozen=True)
class PageFacts:
    """What pages show; functions are asked at each request."""

    version: str
    dagster_url: str
    demo_status_path: Path
    has_webhook_secret: bool
    readiness: Callable[[], Readiness]
    warnings: Callable[[], list[str]]


def read_demo_status(path: Path) -> DemoStatus | None:
    """The demo's state as its starter wrote it; None when there is no demo or no readable file."""
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(content, dict):
        return None
    state, step = content.get("state"), content.get("step", "")
    if state not in {"warming_up", "ready"} or not isinstance(step, str):
        return None
    return DemoStatus(state, step[:_STEP_LIMIT])


def add_pages(app: FastAPI, facts: PageFacts) -> None:
    """Add the landing page, the list of routes, the three probes, and readable errors."""
    templates = page_templates()

    @app.get("/", response_class=HTMLResponse, summary="Landing page")
    def show_landing_page() -> HTMLResponse:
        """Where things are, and whether they are ready."""
        page = templates.get_template("landing.html")
        status = read_demo_status(facts.demo_status_path)
        return HTMLResponse(page.render(facts=facts, ready=facts.readiness(), demo=status))

    @app.get("/docs", response_class=HTMLResponse, summary="This list of routes")
    def show_routes(request: Request) -> HTMLResponse:
        """Every route with its credential and answers."""
        page = templates.get_template("docs.html")
        return HTMLResponse(page.render(facts=facts, routes=_described(request.app)))

    @app.get("/healthz", summary="The process answers")
    def show_health() -> Mapping[str, Any]:
        """Always 200 while the process lives; look at /readyz for the database."""
        return {"status": "ok"}

    @app.get(
        "/readyz",
        summary="Events can be stored",
        responses={503: {"description": "Database away or not migrated"}},
    )
    def show_readiness() -> Response:
        """Whether the database answers and is migrated, and warnings for the operator."""
        ready = facts.readiness()
        content = {"ready": ready.is_ready, "warnings": facts.warnings()}
        if not ready.is_ready:
            content |= {"reason": ready.reason, "remedy": ready.remedy}
        return JSONResponse(content, status_code=200 if ready.is_ready else 503)

    @app.get("/version", summary="Version of the program")
    def show_version() -> Mapping[str, str]:
        """Name and version."""
        return {"name": "growth_pipeline", "version": facts.version}

    _add_error_page(app, facts, templates)


def _add_error_page(app: FastAPI, facts: PageFacts, templates: Environment) -> None:
    """A readable page for people who take a wrong turn; JSON for everybody else."""
    page = templates.get_template("error.html")

    async def show_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = str(error.detail) if isinstance(error, HTTPException) else "Internal error"
        headers = error.headers if isinstance(error, HTTPException) else None
        if "text/html" in request.headers.get("accept", ""):
            content = page.render(facts=facts, status=status, detail=detail)
            return HTMLResponse(content, status_code=status, headers=headers)
        return JSONResponse({"detail": detail}, status_code=status, headers=headers)

    app.add_exception_handler(HTTPException, show_error)


def page_templates() -> Environment:
    """The templates of all pages."""
    return Environment(
        loader=PackageLoader("growth_pipeline.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _described(app: FastAPI) -> list[dict[str, Any]]:
    """Routes as OpenAPI describes them, each with the credential it asks for."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "credential": ROUTE_RULES[f"{method.upper()} {path}"].value,
            "summary": operation.get("summary", ""),
            "description": operation.get("description", ""),
            "responses": {
                status: answer.get("description", "")
                for status, answer in operation.get("responses", {}).items()
                if answer.get("description") != _NOTHING_TO_SAY
            },
        }
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    ]
