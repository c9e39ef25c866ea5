"""Daily use: what a user does with the product once it is of use to them."""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    CatalogueEvent,
    Category,
    Count,
    FreeText,
    Id,
    Word,
    maybe,
    prop,
)

_OWNER = "team:product"


class UserSignedIn(CatalogueEvent):
    """A user proved who they are. A session that goes on sends nothing."""

    about = About("User Signed In", Category.ENGAGEMENT, _OWNER)

    method: Literal["password", "google", "github", "sso", "link"] = prop(
        "password", "The way that was used."
    )


class FeatureUsed(CatalogueEvent):
    """A user did what a feature is for; opening its page does not count."""

    about = About("Feature Used", Category.ENGAGEMENT, _OWNER)

    feature: Word = prop("bulk_edit", "Name of the feature.")
    project_id: Id | None = maybe("proj_1", "Project it was used in.")


class ReportViewed(CatalogueEvent):
    """A report was drawn for a user, with data."""

    about = About("Report Viewed", Category.ENGAGEMENT, _OWNER)

    report_id: Id = prop("report_9", "The report.")
    load_milliseconds: Count | None = maybe(180, "Milliseconds until it was drawn.")


class ReportExported(CatalogueEvent):
    """A user took a report out as a file."""

    about = About("Report Exported", Category.ENGAGEMENT, _OWNER)

    report_id: Id = prop("report_9", "The report.")
    format: Literal["csv", "json", "parquet", "pdf", "png"] = prop("csv", "Kind of file.")
    row_count: Count | None = maybe(480, "Rows in the file.")


class SearchPerformed(CatalogueEvent):
    """A user searched and was shown the answer."""

    about = About("Search Performed", Category.ENGAGEMENT, _OWNER)

    result_count: Count = prop(12, "Answers that were found.")
    query: FreeText | None = maybe("budget 2026", "What was typed.")


class ProjectArchived(CatalogueEvent):
    """A user put a project away."""

    about = About("Project Archived", Category.ENGAGEMENT, _OWNER)

    project_id: Id = prop("proj_1", "The project.")
