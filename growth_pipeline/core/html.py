"""The HTML face of a document: one file that asks nobody for anything and runs nothing.

Every text passes Jinja's escaping; the page's own policy forbids scripts, frames, forms and foreign
requests, and allows the one style sheet by its hash. Pictures are images, in which no script runs.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.documents import Document, parts_of
from growth_pipeline.core.plain_text import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = "templates"


def render_html(document: Document) -> str:
    """The document as one HTML page, for light and dark screens and for paper.

    Shapes: headings in order from one `h1`; tables have captions and named columns; no script, no
    foreign address but links to safe ones.
    """
    page = _environment().get_template("report.html")
    return str(page.render(document=document, style=_style(), policy=content_policy()))


def content_policy() -> str:
    """The Content-Security-Policy the page carries: only its own style sheet and its pictures."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def drawing_address(svg: str) -> str:
    """A drawing as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@cache
def _style() -> str:
    folder = files("growth_pipeline.core")
    parts = (folder / "static" / "colours.css", folder / _FOLDER / "report.css")
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only when a page is written

    environment = Environment(
        loader=PackageLoader("growth_pipeline.core", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["kind"] = _is_kind
    environment.filters["parts"] = parts_of
    environment.filters["one_line"] = one_line
    environment.filters["drawing"] = drawing_address
    return environment


def _is_kind(value: Any, name: str) -> bool:
    """Whether a block or a piece of text is of a kind, by its class's name."""
    return type(value).__name__ == name
