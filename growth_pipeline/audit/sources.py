"""Which files of the lake an audit may rely on, and what is missing for a verdict.

A file counts when its certificate says that the list was read to its end, its window covers the
month, and its bytes have the manifest's hash. Nothing here reads a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Manifest

# Parts of a payment that may be younger than its month: looked for in every later month too.
LATER_PARTS = ("refunds", "disputes", "balance_transactions")


_REASONS_SHOWN = 3


class ManifestReader(Protocol):
    """What is asked of the lake."""

    def manifests(self, dataset: str) -> list[Manifest]:
        """Manifests of all partitions of a dataset."""
        ...

    def verify(self, manifest: Manifest) -> None:
        """Compare a file's bytes with its manifest's hash; raise when they differ."""
        ...


@dataclass(frozen=True)
class Problem:
    """One source without a verdict: what is missing, in words for people."""

    resource: str
    reason: str


@dataclass
class Sources:
    """Files of one audit by resource.

    `month`: those of the audited month. `others`: those of other months of the scope, for look-ups
    only. `foreign`: those of other accounts and modes. `complete`: resources whose files cover
    every instant from the month's start to `as_of`.
    """

    as_of: datetime
    month: dict[str, Manifest] = field(default_factory=dict)
    others: dict[str, list[Manifest]] = field(default_factory=dict)
    foreign: dict[str, list[tuple[Scope, Manifest]]] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)

    def paths(self, resource: str) -> list[str]:
        """Files of the month."""
        return [self.month[resource].path] if resource in self.month else []

    def paths_from_month_on(self, resource: str) -> list[str]:
        """Files of the month and of every later one."""
        return [one.path for one in self._from_month_on(resource)]

    def paths_of_all(self, resource: str) -> list[str]:
        """Files of every month of the scope."""
        return self.paths(resource) + [one.path for one in self.others.get(resource, [])]

    def fetched_from(self, resources: Iterable[str]) -> datetime:
        """The instant before which everything in these resources' files was read."""
        instants = [
            datetime.fromisoformat(one.certificate["fetched_from"])
            for resource in resources
            for one in self._from_month_on(resource)
            if one.certificate.get("fetched_from")
        ]
        return min(instants, default=self.as_of)

    def api_version(self) -> str:
        """Version of the API in which the month's charges were read."""
        return str(self.month["charges"].certificate["api_version"])

    def certificates(self) -> list[dict[str, Any]]:
        """What was read for the month, and proof that it was read to the end; one per resource."""
        return [_certificate(resource, self.month.get(resource)) for resource in AUDITED_OBJECTS]

    def _from_month_on(self, resource: str) -> list[Manifest]:
        if resource not in self.month:
            return []
        first = self.month[resource].partition["month"]
        later = [one for one in self.others[resource] if one.partition["month"] > first]
        return [self.month[resource], *later]


def window_of(manifest: Manifest) -> tuple[int, int]:
    """Half-open range of `created` that a file covers, Unix seconds; empty when it does not say."""
    window = manifest.certificate.get("window") or (0, 0)
    return int(window[0]), int(window[1])


def read_sources(lake: ManifestReader, scope: Scope, month: Month, as_of: datetime) -> Sources:
    """The files that speak for a month at `as_of`, and what is wrong with the others.

    The as-of instant becomes the oldest one that any file of the month was read at: what happened
    after that, no file can know.
    """
    sources = Sources(as_of=as_of)
    for resource in AUDITED_OBJECTS:
        try:
            manifests = lake.manifests(f"stripe/{resource}")
        except GrowthError as error:
            sources.problems.append(Problem(resource, error.message))
            continue
        _sort(sources, resource, manifests, scope, month)
    read_at = [_read_at(one) for one in sources.month.values()]
    sources.as_of = min([as_of, *read_at])
    for resource in AUDITED_OBJECTS:
        _check(sources, resource, lake, month)
    sources.complete = frozenset(
        resource for resource in LATER_PARTS if _covers_all(sources, resource, month)
    )
    return sources


def _sort(
    sources: Sources, resource: str, manifests: Iterable[Manifest], scope: Scope, month: Month
) -> None:
    sources.others[resource] = []
    sources.foreign[resource] = []
    for manifest in manifests:
        partition = manifest.partition
        owner = Scope(partition["account"], partition["mode"] == "live")
        if not _read_to_its_end(manifest) and (owner, partition["month"]) != (scope, month.key):
            continue
        if owner != scope:
            sources.foreign[resource].append((owner, manifest))
        elif partition["month"] == month.key:
            sources.month[resource] = manifest
        else:
            sources.others[resource].append(manifest)


def _check(sources: Sources, resource: str, lake: ManifestReader, month: Month) -> None:
    """Drop the month's file when it cannot be relied on, and say why."""
    if any(problem.resource == resource for problem in sources.problems):
        return
    manifest = sources.month.get(resource)
    reason = _objection(manifest, lake, month, sources.as_of)
    if reason:
        sources.month.pop(resource, None)
        sources.problems.append(Problem(resource, reason))


def _objection(
    manifest: Manifest | None, lake: ManifestReader, month: Month, as_of: datetime
) -> str | None:
    if manifest is None:
        return f"{month} was not extracted"
    if not _read_to_its_end(manifest):
        return f"the list of {month} was not read to its end"
    gte, lt = window_of(manifest)
    until = min(month.end, as_of)
    if gte > month.start.timestamp() or lt < int(until.timestamp()):
        return f"the file does not cover {month} up to {until:%Y-%m-%d %H:%M} UTC"
    try:
        lake.verify(manifest)
    except GrowthError as error:
        return error.message
    return None


def _read_to_its_end(manifest: Manifest) -> bool:
    certificate = manifest.certificate
    return certificate.get("complete") is True and certificate.get("has_more") is False


def _read_at(manifest: Manifest) -> datetime:
    stated = manifest.certificate.get("as_of")
    return datetime.fromisoformat(stated) if stated else manifest.written_at


def _covers_all(sources: Sources, resource: str, month: Month) -> bool:
    """Whether the files leave no gap from the month's start to the as-of instant."""
    if resource not in sources.month:
        return False
    windows = [window_of(one) for one in [sources.month[resource], *sources.others[resource]]]
    reached, until = int(month.start.timestamp()), int(sources.as_of.timestamp())
    for gte, lt in sorted(windows):
        if gte <= reached:
            reached = max(reached, lt)
    return reached >= until


def _certificate(resource: str, manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {"resource": resource, "complete": False}
    return {
        **manifest.certificate,
        "resource": resource,
        "rows": manifest.row_count,
        "sha256": manifest.sha256,
        "path": manifest.path,
        "written_at": manifest.written_at.astimezone(UTC).isoformat(),
    }


def source_reasons(problems: Iterable[Problem]) -> dict[str, str]:
    """Reasons by resource; several about one resource in one sentence, long lists cut short."""
    reasons: dict[str, list[str]] = {}
    for problem in problems:
        known = reasons.setdefault(problem.resource, [])
        if problem.reason not in known:
            known.append(problem.reason)
    return {resource: _sentence(known) for resource, known in reasons.items()}


def _sentence(reasons: list[str]) -> str:
    shown = "; ".join(reasons[:_REASONS_SHOWN])
    left = len(reasons) - _REASONS_SHOWN
    return f"{shown}; and {left} more" if left > 0 else shown
