"""Whether the properties of a track call are what the catalogue says. Pure.

What becomes of a call that is not is decided where calls are received. A reason names the property
and never quotes its value, which may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from growth_pipeline.events.catalogue.model import CatalogueEvent
from growth_pipeline.events.catalogue.registry import CATALOGUE, Versions

_SHOWN: Final = 5


class Flag(StrEnum):
    """What is said about an event that is kept all the same."""

    NOT_IN_CATALOGUE = "not_in_catalogue"
    UNKNOWN_VERSION = "unknown_version"
    DEPRECATED_VERSION = "deprecated_version"
    PROPERTIES_DIFFER = "properties_differ"


class Problem(NamedTuple):
    """One property that is not what the catalogue says."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer about one call.

    `version`: the version that it was held against; None where there was none to hold it against.
    `flags`: words for the event's row. `problems` is empty unless a known version is broken.
    """

    event: str
    version: int | None
    flags: tuple[Flag, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def sentence(self) -> str:
        """The problems in one line, for the answer to the caller; "" without any."""
        if not self.problems:
            return ""
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.problems[:_SHOWN])
        left = len(self.problems) - _SHOWN
        more = f"; and {left} more" if left > 0 else ""
        return f"properties of {self.event}@{self.version}: {shown}{more}"


def check_track(event: str, properties: object, *, version: object = None) -> Checked:
    """Hold the properties of a track call against the catalogue.

    `properties` as they came (null counts as none); `version` as the call names it in
    `context.protocols.event_version`, a number or its digits. Without it any version of the event
    will do, so that an old application goes on while a new version is brought in; the problems are
    then those of the newest. An event or version that is not in the catalogue has no problems, only
    a flag: the application may know more than this server.
    """
    versions = CATALOGUE.get(event)
    if versions is None:
        return Checked(event, None, (Flag.NOT_IN_CATALOGUE,))
    asked = _asked(versions, version)
    if not asked:
        return Checked(event, None, (Flag.UNKNOWN_VERSION,))
    given = {} if properties is None else properties
    answers = (_against(model, given) for model in asked)
    newest = next(answers)
    if not newest.problems:
        return newest
    return next((one for one in answers if not one.problems), newest)


def event_version(context: object) -> object:
    """The version that a call names in its `context`; None for none."""
    protocols = context.get("protocols") if isinstance(context, Mapping) else None
    return protocols.get("event_version") if isinstance(protocols, Mapping) else None


def _asked(versions: Versions, version: object) -> Versions:
    if version is None:
        return versions
    if not isinstance(version, int | str) or isinstance(version, bool):
        return ()
    return tuple(
        model for model in versions if version in (model.about.version, str(model.about.version))
    )


def _against(model: type[CatalogueEvent], properties: Any) -> Checked:
    about = model.about
    flags = (Flag.DEPRECATED_VERSION,) if about.deprecated else ()
    try:
        model.model_validate(properties)
    except ValidationError as error:
        return Checked(about.event, about.version, (Flag.PROPERTIES_DIFFER,), _problems(error))
    return Checked(about.event, about.version, flags)


def _problems(error: ValidationError) -> tuple[Problem, ...]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        Problem(".".join(str(step) for step in one["loc"]) or "properties", one["msg"])
        for one in found
    )
