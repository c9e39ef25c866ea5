"""The one list of all events of the catalogue, and how they are found by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.catalogue import (
    acquisition,
    activation,
    billing,
    collaboration,
    engagement,
    support,
)
from growth_pipeline.events.catalogue.model import Assertion, CatalogueEvent, Kind

# In the order of the documents: by category, then as a user meets them; old versions before new.
EVENTS: Final[tuple[type[CatalogueEvent], ...]] = (
    acquisition.SignupStarted,
    acquisition.UserSignedUp,
    acquisition.EmailVerified,
    acquisition.ReferralAccepted,
    acquisition.DemoRequested,
    activation.WorkspaceCreated,
    activation.OnboardingStepCompleted,
    activation.OnboardingCompleted,
    activation.ProjectCreated,
    activation.IntegrationConnected,
    activation.DataImported,
    engagement.UserSignedIn,
    engagement.FeatureUsed,
    engagement.ReportViewed,
    engagement.ReportExported,
    engagement.SearchPerformed,
    engagement.ProjectArchived,
    collaboration.InvitationSent,
    collaboration.InvitationAccepted,
    collaboration.MemberRoleChanged,
    collaboration.MemberRemoved,
    collaboration.CommentAdded,
    collaboration.ProjectShared,
    billing.PricingViewed,
    billing.CheckoutStarted,
    billing.TrialStarted,
    billing.SubscriptionStarted,
    billing.SubscriptionUpgraded,
    billing.SubscriptionDowngraded,
    billing.SubscriptionCanceledV1,
    billing.SubscriptionCanceled,
    billing.SubscriptionPaused,
    billing.SubscriptionResumed,
    billing.PaymentSucceeded,
    billing.PaymentFailed,
    billing.PaymentRefunded,
    billing.PaymentMethodAdded,
    support.HelpArticleViewed,
    support.TicketOpened,
    support.TicketSolved,
    support.FeedbackSubmitted,
    support.DeletionRequested,
)

Versions = tuple[type[CatalogueEvent], ...]


def by_name(events: Iterable[type[CatalogueEvent]]) -> dict[str, Versions]:
    """Versions of each event, the newest first.

    Raises: ValueError for two models of one event and version, which would hide each other.
    """
    found: defaultdict[str, dict[int, type[CatalogueEvent]]] = defaultdict(dict)
    for model in events:
        about = model.about
        if found[about.event].setdefault(about.version, model) is not model:
            raise ValueError(f"{about.event}@{about.version} is in the catalogue twice")
    return {
        event: tuple(models[version] for version in sorted(models, reverse=True))
        for event, models in found.items()
    }


CATALOGUE: Final[Mapping[str, Versions]] = by_name(EVENTS)

ACTIVITY_EVENTS: Final = frozenset(
    event for event, versions in CATALOGUE.items() if versions[0].about.activity
)
"""Events that a user does: a list of qualifying events for activity and retention."""

ASSERTIONS: Final[Mapping[str, Assertion]] = {
    event: versions[0].about.assertion
    for event, versions in CATALOGUE.items()
    if versions[0].about.assertion is not None
}
"""Events that say something about Stripe, and what."""


def versions_of(event: str) -> Versions:
    """All versions of an event, the newest first.

    Raises: UsageError naming the nearest names for an event that is not in the catalogue.
    """
    try:
        return CATALOGUE[event]
    except KeyError:
        near = get_close_matches(event, CATALOGUE, n=3, cutoff=0.5)
        raise UsageError(
            f"there is no event {event!r} in the catalogue",
            remedy=f"did you mean {' or '.join(near)}?"
            if near
            else "growth events schema --format md lists them",
        ) from None


def personal_fields(event: str) -> dict[str, Kind]:
    """Properties of an event, in any version, that may hold personal data.

    Raises: UsageError for an event that is not in the catalogue: nothing is known of it.
    """
    return {
        name: kind
        for model in reversed(versions_of(event))
        for name, kind in model.personal_fields().items()
    }
