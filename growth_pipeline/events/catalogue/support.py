"""Trouble and opinion: what users ask, report and say about the product."""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    CatalogueEvent,
    Category,
    Count,
    FreeText,
    Id,
    Score,
    Word,
    maybe,
    prop,
)

_OWNER = "team:support"


class HelpArticleViewed(CatalogueEvent):
    """A user opened an article of the help pages."""

    about = About("Help Article Viewed", Category.SUPPORT, _OWNER)

    article: Word = prop("invite-your-team", "Name of the article in its address.")
    was_helpful: bool | None = maybe(True, "What the user answered below it.")


class TicketOpened(CatalogueEvent):
    """A user asked the support."""

    about = About("Ticket Opened", Category.SUPPORT, _OWNER)

    ticket_id: Id = prop("ticket_3", "The ticket.")
    topic: Word | None = maybe("billing", "What it is about.")
    priority: Literal["low", "normal", "high", "urgent"] = prop("normal", "How urgent it is.")


class TicketSolved(CatalogueEvent):
    """The support closed a ticket as solved; the user is the one who had asked."""

    about = About("Ticket Solved", Category.SUPPORT, _OWNER, activity=False)

    ticket_id: Id = prop("ticket_3", "The ticket.")
    seconds_taken: Count | None = maybe(7200, "Seconds since it was opened.")


class FeedbackSubmitted(CatalogueEvent):
    """A user answered a survey, or rated something."""

    about = About("Feedback Submitted", Category.SUPPORT, _OWNER)

    survey: Word = prop("nps_2026_q4", "Name of the survey.")
    score: Score = prop(9, "0 to 10, 10 is best.")
    comment: FreeText | None = maybe("I like the new reports.", "What the user wrote.")


class DeletionRequested(CatalogueEvent):
    """A user asked that their data be deleted."""

    about = About("Deletion Requested", Category.SUPPORT, _OWNER)

    scope: Literal["user", "workspace"] = prop("user", "What is to be deleted.")
    reason: FreeText | None = maybe("I no longer need it.", "What the user wrote.")
