"""All faces of an audit's report as texts and as files: Markdown, HTML, JSON, CSV.

No number is made here. What people read is built once, in page.py, and written twice; what machines
read is in tables.py. Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.report.page import Pictures, build_page
from growth_pipeline.audit.report.retention import FACES, FOLDER
from growth_pipeline.audit.report.summary import TrendPoint
from growth_pipeline.audit.report.tables import to_csv, to_dict, to_json
from growth_pipeline.core.html import render_html
from growth_pipeline.core.markdown import render_markdown

__all__ = ["FACES", "save_report", "to_csv", "to_dict", "to_html", "to_json", "to_markdown"]


def to_markdown(
    audit: Audit, *, trend: Sequence[TrendPoint] = (), pictures: Pictures | None = None
) -> str:
    """The report for GitHub, Dagster's pages and terminals.

    `pictures`: those with a data URI; without them the tables beside say the same. Nothing else is
    loaded, and the only links lead to Stripe's dashboard.
    """
    return render_markdown(build_page(audit, trend=trend, pictures=pictures))


def to_html(
    audit: Audit, *, trend: Sequence[TrendPoint] = (), pictures: Pictures | None = None
) -> str:
    """The report as one page that runs nothing and loads nothing; `pictures`: those with drawings.

    The only links lead to Stripe's dashboard.
    """
    return render_html(build_page(audit, trend=trend, pictures=pictures))


class ArtifactWriter(Protocol):
    """What is asked of the lake."""

    def put_artifact(self, path: str, data: bytes) -> Any:
        """Store a small file whole."""
        ...


def save_report(
    audit: Audit, lake: ArtifactWriter, *, trend: Sequence[TrendPoint] = ()
) -> dict[str, str]:
    """Write the report's faces into the lake; path by face, as in FACES.

    A file's name is the hash of its content, so the same audit writes the same files.
    Raises: LakeWriteError.
    """
    from growth_pipeline.audit.report.charts import drawings  # brings altair

    pictures = drawings(audit, trend)
    faces = {
        "md": to_markdown(audit, trend=trend).encode("utf-8", "replace"),
        "html": to_html(audit, trend=trend, pictures=pictures).encode("utf-8", "replace"),
        "json": to_json(audit, trend=trend).encode(),
        "csv": to_csv(audit).encode("utf-8", "replace"),
    }
    paths = {}
    for face, data in faces.items():
        paths[face] = f"{folder_of(audit)}/{hashlib.sha256(data).hexdigest()}.{face}"
        lake.put_artifact(paths[face], data)
    return paths


def folder_of(audit: Audit) -> str:
    """Where the reports of an audit's month lie in the lake."""
    return f"{FOLDER}/{audit.scope.account_id}/{audit.scope.mode}/{audit.month}"
