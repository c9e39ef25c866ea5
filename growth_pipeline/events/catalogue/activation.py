"""First steps: what a new user must have done to get something out of the product."""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    CatalogueEvent,
    Category,
    Count,
    Id,
    Place,
    Word,
    maybe,
    prop,
)

_OWNER = "team:product"


class WorkspaceCreated(CatalogueEvent):
    """A user made a workspace, usually right after signing up."""

    about = About("Workspace Created", Category.ACTIVATION, _OWNER)

    workspace_id: Id = prop("ws_1", "The workspace.")
    is_first: bool | None = maybe(True, "Whether it is the user's first one.")


class OnboardingStepCompleted(CatalogueEvent):
    """A user finished one step of the introduction."""

    about = About("Onboarding Step Completed", Category.ACTIVATION, _OWNER)

    step: Word = prop("invite_team", "Name of the step.")
    position: Place | None = maybe(2, "Its place in the introduction, from 1 on.")


class OnboardingCompleted(CatalogueEvent):
    """A user finished the last step of the introduction, or skipped the rest of it."""

    about = About("Onboarding Completed", Category.ACTIVATION, _OWNER)

    skipped_steps: Count = prop(0, "Steps that were skipped.")
    seconds_taken: Count | None = maybe(340, "Seconds since it was begun.")


class ProjectCreated(CatalogueEvent):
    """A user made a project, empty or from a template."""

    about = About("Project Created", Category.ACTIVATION, _OWNER)

    project_id: Id = prop("proj_1", "The project.")
    workspace_id: Id | None = maybe("ws_1", "Workspace it lies in.")
    template: Word | None = maybe("roadmap", "Template it was made from; missing for an empty one.")


class IntegrationConnected(CatalogueEvent):
    """A user connected another system, and a first call to it succeeded."""

    about = About("Integration Connected", Category.ACTIVATION, _OWNER)

    integration: Word = prop("slack", "Name of the other system.")
    workspace_id: Id | None = maybe("ws_1", "Workspace that it was connected to.")


class DataImported(CatalogueEvent):
    """An import that a user started ended well."""

    about = About("Data Imported", Category.ACTIVATION, _OWNER)

    source: Literal["csv", "api", "integration"] = prop("csv", "Where the data came from.")
    row_count: Count = prop(1200, "Rows that were taken.")
    refused_count: Count | None = maybe(3, "Rows that were not.")
