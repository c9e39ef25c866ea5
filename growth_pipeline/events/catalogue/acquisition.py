"""How people come: the events until somebody is a user."""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    CatalogueEvent,
    Category,
    Count,
    Country,
    Email,
    FreeText,
    Id,
    Word,
    maybe,
    prop,
)

_OWNER = "team:growth"


class SignupStarted(CatalogueEvent):
    """A visitor opened the sign-up form, or chose a way to sign up."""

    about = About("Signup Started", Category.ACQUISITION, _OWNER)

    method: Literal["password", "google", "github", "sso", "invitation"] | None = maybe(
        "google", "The way that was chosen; missing while none is."
    )
    channel: Word | None = maybe("organic", "Where the visitor came from.")


class UserSignedUp(CatalogueEvent):
    """A user was made: the entry of cohorts by sign-up, told by the server."""

    about = About("User Signed Up", Category.ACQUISITION, _OWNER)

    method: Literal["password", "google", "github", "sso", "invitation"] = prop(
        "google", "The way that was used."
    )
    channel: Word | None = maybe("organic", "Where the user came from.")
    country: Country | None = maybe("DE", "Country of the user.")
    email: Email | None = maybe("ada@example.com", "Address that was given.")


class EmailVerified(CatalogueEvent):
    """A user followed the link that was sent to their address."""

    about = About("Email Verified", Category.ACQUISITION, _OWNER)

    seconds_taken: Count | None = maybe(95, "Seconds since the link was sent.")


class ReferralAccepted(CatalogueEvent):
    """A user signed up with another user's code."""

    about = About("Referral Accepted", Category.ACQUISITION, _OWNER)

    referral_code: Word = prop("ADA-7", "The code.")
    referrer_user_id: Id | None = maybe("user_7", "User whose code it is.")


class DemoRequested(CatalogueEvent):
    """A visitor or user asked to be shown the product."""

    about = About("Demo Requested", Category.ACQUISITION, _OWNER)

    email: Email = prop("ada@example.com", "Address for the answer.")
    company_size: Literal["1-10", "11-50", "51-250", "251+"] | None = maybe(
        "11-50", "People in the company."
    )
    message: FreeText | None = maybe("We are twelve people.", "What was written.")
