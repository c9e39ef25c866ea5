"""What the demo's audits found against what the sandbox planted. Pure; decides nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One problem as both sides name it. Units: impact in minor units of its currency."""

    month: str
    code: str
    object_id: str
    currency: str | None
    impact_minor: int | None

    def __str__(self) -> str:
        """As a person reads it in a list."""
        impact = "unknown" if self.impact_minor is None else f"{self.impact_minor:+d}"
        return f"{self.month} {self.code} {self.object_id} {impact} {self.currency or ''}".rstrip()


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
    """Match every finding with one planted problem of its month, class, object and impact.

    Shapes: both sides are JSON objects with month, code, object_id, currency, impact_minor. A
    problem found twice is unexpected once.
    """
    expected = [_problem(one) for one in planted]
    missed = list(expected)
    unexpected = []
    for finding in sorted((_problem(one) for one in findings), key=str):
        if finding in missed:
            missed.remove(finding)
        else:
            unexpected.append(finding)
    return Outcome(len(expected), sorted(missed, key=str), unexpected)


def _problem(one: Mapping[str, Any]) -> Problem:
    impact = one.get("impact_minor")
    return Problem(
        month=str(one["month"]),
        code=str(one["code"]),
        object_id=str(one["object_id"]),
        currency=one.get("currency"),
        impact_minor=None if impact is None else int(impact),
    )
