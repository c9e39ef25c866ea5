"""Working together: invitations, members, what users share and say to each other."""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    CatalogueEvent,
    Category,
    Count,
    Email,
    Id,
    PersonName,
    maybe,
    prop,
)

_OWNER = "team:product"


class InvitationSent(CatalogueEvent):
    """A user invited somebody; one event for each address."""

    about = About("Invitation Sent", Category.COLLABORATION, _OWNER)

    invitation_id: Id = prop("inv_1", "The invitation.")
    role: Literal["owner", "admin", "member", "guest"] = prop("member", "Role that was offered.")
    invitee_email: Email | None = maybe("bo@example.com", "Address it went to.")
    invitee_name: PersonName | None = maybe("Bo", "Name that was given.")


class InvitationAccepted(CatalogueEvent):
    """The invited person joined; the user is the one who was invited."""

    about = About("Invitation Accepted", Category.COLLABORATION, _OWNER)

    invitation_id: Id = prop("inv_1", "The invitation.")
    inviter_user_id: Id | None = maybe("user_7", "User who had sent it.")


class MemberRoleChanged(CatalogueEvent):
    """A user's role in a workspace was changed by another user."""

    about = About("Member Role Changed", Category.COLLABORATION, _OWNER, activity=False)

    workspace_id: Id = prop("ws_1", "The workspace.")
    from_role: Literal["owner", "admin", "member", "guest"] = prop("member", "Role before.")
    to_role: Literal["owner", "admin", "member", "guest"] = prop("admin", "Role after.")


class MemberRemoved(CatalogueEvent):
    """A user was taken out of a workspace; the user is the one who was removed."""

    about = About("Member Removed", Category.COLLABORATION, _OWNER, activity=False)

    workspace_id: Id = prop("ws_1", "The workspace.")
    removed_by: Literal["self", "admin", "system"] = prop("admin", "Who did it.")


class CommentAdded(CatalogueEvent):
    """A user wrote a comment. The text stays in the product."""

    about = About("Comment Added", Category.COLLABORATION, _OWNER)

    comment_id: Id = prop("comment_5", "The comment.")
    project_id: Id | None = maybe("proj_1", "Project it was written in.")
    mention_count: Count | None = maybe(1, "Users whom it mentions.")


class ProjectShared(CatalogueEvent):
    """A user gave others access to a project."""

    about = About("Project Shared", Category.COLLABORATION, _OWNER)

    project_id: Id = prop("proj_1", "The project.")
    audience: Literal["person", "workspace", "link", "public"] = prop("link", "To whom.")
