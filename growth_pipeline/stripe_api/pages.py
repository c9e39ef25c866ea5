"""What one page of a list must be before it counts, for every way of reading lists.

Pure: no network. What an answer is by its status, answers.py; reading whole lists, lists.py and
client.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, TryAgain, read_answer
from growth_pipeline.stripe_api.errors import StripeIncompleteError
from growth_pipeline.stripe_api.time_windows import Window
from growth_pipeline.stripe_api.versions import Object

PAGE_SIZE = 100  # the most Stripe gives
# A list that is cut off this often without giving one new object will not end.
FRUITLESS_RESTARTS = 5


@dataclass(frozen=True)
class ListAnswer:
    """Objects of one page as Stripe gave them, repeated ones included."""

    objects: list[Object]
    has_more: bool
    answer: Answer


def read_page(
    answer: Answer,
    access: StripeAccess,
    subject: str,
    *,
    window: Window | None,
    already_given: Callable[[list[Object]], bool],
) -> ListAnswer:
    """A page of a list that may count.

    `already_given` says whether a page holds nothing but what was listed before.
    Raises: TryAgain for a page that may be better next time; what `read_answer` raises;
    ConfigurationError for objects of another mode, or in another version than was asked for.
    """
    objects, has_more = _list_of(read_answer(answer, subject))
    if has_more and not objects:
        raise TryAgain("answered with an empty page and says there is more")
    if objects and already_given(objects):
        raise TryAgain("answered with a page that it had already given")
    if window and not all(window.holds(found.get("created")) for found in objects):
        raise TryAgain("answered with objects from outside the window")
    refuse_foreign(objects, answer, access, subject)
    return ListAnswer(objects, has_more, answer)


def refuse_foreign(
    objects: Iterable[Object], answer: Answer, access: StripeAccess, subject: str
) -> None:
    """Raises: ConfigurationError for objects of the other mode or an answer in another version."""
    livemode = access.livemode
    if any(found.get("livemode", livemode) is not livemode for found in objects):
        raise ConfigurationError(
            f"{subject}: Stripe answered with objects that are not of {access.scope.mode} mode",
            remedy="check which account and mode GROWTH_STRIPE__API_KEY belongs to",
        )
    version = answer.headers.get("stripe-version", access.api_version)
    if version != access.api_version:
        raise ConfigurationError(
            f"{subject}: Stripe answered in API version {version!r}, not {access.api_version!r}",
            remedy="set GROWTH_STRIPE__API_VERSION to a version that Stripe offers",
        )


def first_of_each(objects: list[Object], known: set[str]) -> list[Object]:
    """Objects whose id is not known yet, each once; their ids become known."""
    fresh = []
    for found in objects:
        if found["id"] not in known:
            known.add(found["id"])
            fresh.append(found)
    return fresh


def never_ends(subject: str) -> StripeIncompleteError:
    """The error of a list whose cursor object is gone and that cannot be resumed by time."""
    return StripeIncompleteError(
        f"{subject} could not be read to the end: "
        "Stripe no longer knows the object to continue from",
        remedy="run it again later; an unfinished reading never counts",
    )


def _list_of(body: Any) -> tuple[list[Object], bool]:
    objects = body.get("data") if isinstance(body, dict) else None
    if not isinstance(objects, list) or not isinstance(body.get("has_more"), bool):
        raise TryAgain("answered with JSON that is not a list")
    if not all(isinstance(found, dict) and isinstance(found.get("id"), str) for found in objects):
        raise TryAgain("answered with a list of things that are not Stripe objects")
    return objects, body["has_more"]
