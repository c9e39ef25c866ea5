"""Which files of the lake an audit may rely on, and what is missing for a verdict.

A file counts when its certificate says that the list was read to its end, its window covers the
month, and its bytes have the manifest's hash. A month of another zone than UTC lies in the files of
the two months in UTC that it reaches into. Nothing here reads a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import UTC_NAME, Month, PeriodState, ZonedMonth
from growth_pipeline.storage.engine import CreatedBetween

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Manifest

# Parts of a payment that may be younger than its month: looked for in every later month too.
LATER_PARTS = ("refunds", "disputes", "balance_transactions", "invoice_payments")

# Files that make up one month must not know it at instants further apart than this.
FILES_APART: Final = timedelta(hours=24)
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

    `month`: the file of the audited month; where it lies in several, the first of them, with the
    rows of all. `files`: all files of the month. `others`: those of other months of the scope, for
    look-ups only. `foreign`: those of other accounts and modes. `complete`: resources whose files
    cover every instant from the month's start to `as_of`.
    """

    as_of: datetime
    period: ZonedMonth
    month: dict[str, Manifest] = field(default_factory=dict)
    files: dict[str, list[Manifest]] = field(default_factory=dict)
    others: dict[str, list[Manifest]] = field(default_factory=dict)
    foreign: dict[str, list[tuple[Scope, Manifest]]] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)

    def paths(self, resource: str) -> Sequence[str]:
        """Files of the month; of one of another zone, only what was created in it counts."""
        return self._within(self.files.get(resource, ()), int(self.period.end.timestamp()))

    def paths_from_month_on(self, resource: str) -> Sequence[str]:
        """Files of the month and of every later one."""
        return self._within(self._from_month_on(resource), None)

    def paths_of_all(self, resource: str) -> list[str]:
        """Files of every month of the scope."""
        files = [*self.files.get(resource, ()), *self.others.get(resource, ())]
        return [one.path for one in files]

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
        """What was read for the month, and proof that it was read to the end; one per file."""
        found: list[dict[str, Any]] = []
        for resource in AUDITED_OBJECTS:
            files = self.files.get(resource, ())
            found += [_certificate(resource, one) for one in files]
            if not files:
                found.append({"resource": resource, "complete": False})
        return found

    def _within(self, manifests: Iterable[Manifest], end: int | None) -> Sequence[str]:
        paths = [one.path for one in manifests]
        if not paths or self.period.tz == UTC_NAME:
            return paths  # the files are cut where the month is
        return CreatedBetween(tuple(paths), int(self.period.start.timestamp()), end)

    def _from_month_on(self, resource: str) -> list[Manifest]:
        own = self.files.get(resource)
        if not own:
            return []
        last = self.period.utc_months[-1].key
        later = [one for one in self.others[resource] if one.partition["month"] > last]
        return [*own, *later]


def window_of(manifest: Manifest) -> tuple[int, int]:
    """Half-open range of `created` that a file covers, Unix seconds; empty when it does not say."""
    window = manifest.certificate.get("window") or (0, 0)
    return int(window[0]), int(window[1])


def read_sources(
    lake: ManifestReader, scope: Scope, month: Month, as_of: datetime, *, tz: str = UTC_NAME
) -> Sources:
    """The files that speak for a zone's month at `as_of`, and what is wrong with the others.

    The as-of instant becomes the oldest one that any file of the month was read at: what happened
    after that, no file can know.
    """
    sources = Sources(as_of=as_of, period=ZonedMonth(month, tz))
    for resource in AUDITED_OBJECTS:
        try:
            manifests = lake.manifests(f"stripe/{resource}")
        except GrowthError as error:
            sources.problems.append(Problem(resource, error.message))
            continue
        _sort(sources, resource, manifests, scope)
    _drop_outdated(sources)
    read_at = [_read_at(one) for files in sources.files.values() for one in files]
    sources.as_of = min([as_of, *read_at])
    for resource in AUDITED_OBJECTS:
        _check(sources, resource, lake)
    sources.complete = frozenset(
        resource
        for resource in LATER_PARTS
        if covers(sources, resource, int(sources.as_of.timestamp()))
    )
    return sources


def _sort(sources: Sources, resource: str, manifests: Iterable[Manifest], scope: Scope) -> None:
    own: list[Manifest] = []
    sources.others[resource] = []
    sources.foreign[resource] = []
    wanted = {month.key for month in sources.period.utc_months}
    for manifest in manifests:
        partition = manifest.partition
        owner = Scope(partition["account"], partition["mode"] == "live")
        is_own = owner == scope and partition["month"] in wanted
        if is_own:
            own.append(manifest)
        elif not _read_to_its_end(manifest):
            continue
        elif owner != scope:
            sources.foreign[resource].append((owner, manifest))
        else:
            sources.others[resource].append(manifest)
    sources.files[resource] = sorted(own, key=lambda one: one.partition["month"])


def _drop_outdated(sources: Sources) -> None:
    """Leave out files of a neighbour month that were read long before the others of the month.

    Else the oldest of them would set the as-of instant, and little of the month would be judged.
    """
    if len(sources.period.utc_months) == 1:
        return
    read_at = [_read_at(one) for files in sources.files.values() for one in files]
    newest = max(read_at, default=sources.as_of)
    limit = min(newest - FILES_APART, sources.period.end)
    for resource, files in sources.files.items():
        old = [one for one in files if _read_at(one) < limit]
        sources.files[resource] = [one for one in files if one not in old]
        sources.problems += [
            Problem(
                resource,
                f"{one.partition['month']} was read at {_read_at(one):%Y-%m-%d %H:%M} UTC, long "
                f"before the rest of {_name(sources.period)}: extract it again",
            )
            for one in old
        ]


def _check(sources: Sources, resource: str, lake: ManifestReader) -> None:
    """Drop the month's files when they cannot be relied on, and say why; else they are its."""
    if any(problem.resource == resource for problem in sources.problems):
        sources.files.pop(resource, None)
        return
    by_month = {one.partition["month"]: one for one in sources.files.get(resource, ())}
    reasons = [
        _objection(by_month.get(month.key), lake, month, sources)
        for month in sources.period.utc_months
        if month.state(sources.as_of) is not PeriodState.NOT_BEGUN or month.key in by_month
    ]
    objections = [reason for reason in reasons if reason]
    sources.problems += [Problem(resource, reason) for reason in objections]
    if objections or not by_month:
        sources.files.pop(resource, None)
        if not objections:
            sources.problems.append(Problem(resource, f"{sources.period.month} was not extracted"))
        return
    sources.month[resource] = sources.files[resource][0]


def _objection(
    manifest: Manifest | None, lake: ManifestReader, month: Month, sources: Sources
) -> str | None:
    period = sources.period
    if manifest is None:
        reaching = "" if period.tz == UTC_NAME else f", into which {_name(period)} reaches"
        return f"{month} was not extracted{reaching}"
    if not _read_to_its_end(manifest):
        return f"the list of {month} was not read to its end"
    gte, lt = window_of(manifest)
    since = max(month.start, period.start)
    until = min(month.end, period.end, sources.as_of)
    if gte > since.timestamp() or lt < int(until.timestamp()):
        return f"the file does not cover {month} up to {until:%Y-%m-%d %H:%M} UTC"
    try:
        lake.verify(manifest)
    except GrowthError as error:
        return error.message
    return None


def _name(period: ZonedMonth) -> str:
    return f"{period.month} of {period.tz}"


def _read_to_its_end(manifest: Manifest) -> bool:
    certificate = manifest.certificate
    return certificate.get("complete") is True and certificate.get("has_more") is False


def _read_at(manifest: Manifest) -> datetime:
    stated = manifest.certificate.get("as_of")
    return datetime.fromisoformat(stated) if stated else manifest.written_at


def covers(sources: Sources, resource: str, until: int) -> bool:
    """Whether the files leave no gap from the month's start to an instant (epoch seconds)."""
    if resource not in sources.month:
        return False
    windows = [window_of(one) for one in [*sources.files[resource], *sources.others[resource]]]
    reached = int(sources.period.start.timestamp())
    for gte, lt in sorted(windows):
        if gte <= reached:
            reached = max(reached, lt)
    return reached >= until


def _certificate(resource: str, manifest: Manifest) -> dict[str, Any]:
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
