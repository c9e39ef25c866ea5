"""All faces of a weekly report as texts and as files: Markdown, HTML, JSON, CSV, a picture.

No number is made here. What people read is built once, in page.py, and written twice; what machines
read is in tables.py. Contract: docs/insights.md, "The report".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from growth_pipeline.core.html import render_html
from growth_pipeline.core.markdown import render_markdown
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.report.choice import first_claims, key_figures, no_change_said
from growth_pipeline.insights.report.cleaning import FOLDER
from growth_pipeline.insights.report.page import build_page, key_figure, title_of
from growth_pipeline.insights.report.page_how import kept_out, who_wrote
from growth_pipeline.insights.report.page_sections import claim_cell
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.tables import to_csv, to_dict, to_json
from growth_pipeline.insights.report.wording import careful, flat_text

__all__ = [
    "FACES",
    "FOLDER",
    "highlights",
    "path_of",
    "save_report",
    "to_csv",
    "to_dict",
    "to_face",
    "to_html",
    "to_json",
    "to_markdown",
]

FACES: Final = ("md", "html", "json", "csv", "png")
MOST_LINES: Final = 12
_MOST_FIGURES: Final = 4
_MOST_AUDITS: Final = 2
_LONGEST_LINE: Final = 400


def to_markdown(report: WeeklyReport, *, pictures: bool = False) -> str:
    """The report for GitHub, Dagster's pages and terminals; nothing in it is loaded or a link.

    `pictures`: whether the one of the highlights stands in it, as a data URI.
    """
    drawn = None
    if pictures:
        from growth_pipeline.insights.report.charts import addresses  # brings altair

        drawn = addresses(report)
    return render_markdown(build_page(report, drawn), captions=True)


def to_html(report: WeeklyReport) -> str:
    """The report as one page that runs nothing, loads nothing and links nowhere."""
    from growth_pipeline.insights.report.charts import drawings  # brings altair

    return render_html(build_page(report, drawings(report)))


def to_face(report: WeeklyReport, form: str) -> bytes:
    """One face of the report. `form`: one of FACES. A picture of nothing is empty.

    Raises: KeyError for another form.
    """
    return _WRITTEN[form](report)


def _png(report: WeeklyReport) -> bytes:
    from growth_pipeline.insights.report.charts import highlight_png  # brings altair

    return highlight_png(report)


_WRITTEN: Final[Mapping[str, Callable[[WeeklyReport], bytes]]] = {
    "md": lambda report: to_markdown(report).encode("utf-8", "replace"),
    "html": lambda report: to_html(report).encode("utf-8", "replace"),
    "json": lambda report: to_json(report).encode(),
    "csv": lambda report: to_csv(report).encode("utf-8", "replace"),
    "png": _png,
}


# --- the few lines that an issue and a message carry ---------------------------------------------


def highlights(report: WeeklyReport) -> str:
    """At most 12 lines of plain text: what matters most, key figures, audits, where the rest is.

    Shapes: the first line is the title, the last two who wrote it and the path of the Markdown.
    Names that somebody gave stand in it only where they are plain words.
    """
    lines = [title_of(report), *_first_lines(report), *_figure_lines(report)]
    lines += [
        flat_text((careful(one.label), ": ", careful(one.value)))
        for one in report.digest.statuses[:_MOST_AUDITS]
    ]
    if report.digest.restated:
        lines.append("Numbers that earlier reports told are others now; the report lists them.")
    if report.refused:
        lines.append(f"{kept_out(len(report.refused))}.")
    last = [flat_text(who_wrote(report)), f"Report: {path_of(report, 'md')}"]
    shown = [*lines[: MOST_LINES - len(last)], *last]
    return "\n".join(one_line(line, _LONGEST_LINE) for line in shown)


def _first_lines(report: WeeklyReport) -> list[str]:
    claims = first_claims(report)
    if not claims:
        return [no_change_said(report)]
    return [flat_text(claim_cell(report, one, author=False, advice=False)) for one in claims]


def _figure_lines(report: WeeklyReport) -> list[str]:
    facts = [fact for fact in key_figures(report) if fact.is_known][:_MOST_FIGURES]
    return [flat_text((careful(one.series.label), ": ", key_figure(one))) for one in facts]


# --- files ---------------------------------------------------------------------------------------


class ArtifactWriter(Protocol):
    """What is asked of the lake."""

    def put_artifact(self, path: str, data: bytes) -> Any:
        """Store a small file whole."""
        ...


def save_report(report: WeeklyReport, lake: ArtifactWriter) -> dict[str, str]:
    """Write the report's faces into the lake; path by face, as in FACES. No picture of nothing.

    A file's name is the hash of its content, so the same report writes the same files.
    Raises: LakeWriteError.
    """
    paths = {}
    for form in FACES:
        data = to_face(report, form)
        if data:
            paths[form] = _path(report, form, data)
            lake.put_artifact(paths[form], data)
    return paths


def path_of(report: WeeklyReport, form: str) -> str:
    """Where a face of the report lies in the lake."""
    return _path(report, form, to_face(report, form))


def _path(report: WeeklyReport, form: str, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    return f"{FOLDER}/{report.digest.week_start}/{name}.{form}"
