"""What the demo's audits found against what the sandbox planted. Pure; decides nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One problem as both sides name it. Units: impact in minor units of its currency.

    A planted problem whose cause is empty has several true ones.
    """

    month: str
    code: str
    object_id: str
    currency: str | None
    impact_minor: int | None
    severity: str = ""
    cause: str = ""

    def __str__(self) -> str:
        """As a person reads it in a list."""
        impact = "unknown" if self.impact_minor is None else f"{self.impact_minor:+d}"
        said = f"{self.month} {self.code} {self.object_id} {impact} {self.currency or ''}".rstrip()
        return " ".join(filter(None, (said, self.severity, self.cause)))

    def fits(self, finding: Problem) -> bool:
        """Whether a finding is this problem, with all that is known of it."""
        mine = (*self[:5], self.severity or finding.severity, self.cause or finding.cause)
        return mine == tuple(finding)


@dataclass(frozen=True)
class Outcome:
    """Planted problems that were found, those that were missed, and findings nobody planted."""

    planted: int
    missed: Sequence[Problem]
    unexpected: Sequence[Problem]

    @property
    def found(self) -> int:
        """How many planted problems were found, with exactly their impact."""
        return self.planted - len(self.missed)

    @property
    def is_green(self) -> bool:
        """Whether everything planted was found and nothing else."""
        return not self.missed and not self.unexpected


def compare_with_truth(
    planted: Iterable[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]]
) -> Outcome:
    """Match every finding with one planted problem of its month, class, object, impact and cause.

    Shapes: both sides are JSON objects with month, code, object_id, currency, impact_minor,
    severity and cause. A problem found twice is unexpected once.
    """
    expected = [_problem(one) for one in planted]
    missed = list(expected)
    unexpected = []
    for finding in sorted((_problem(one) for one in findings), key=str):
        fitting = next((one for one in missed if one.fits(finding)), None)
        if fitting is None:
            unexpected.append(finding)
        else:
            missed.remove(fitting)
    return Outcome(len(expected), sorted(missed, key=str), unexpected)


def _problem(one: Mapping[str, Any]) -> Problem:
    impact = one.get("impact_minor")
    return Problem(
        month=str(one["month"]),
        code=str(one["code"]),
        object_id=str(one["object_id"]),
        currency=one.get("currency"),
        impact_minor=None if impact is None else int(impact),
        severity=str(one.get("severity") or ""),
        cause=str(one.get("cause") or ""),
    )
