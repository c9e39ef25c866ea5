"""All billing events of a span held against the mirror: counts, findings, and what is in doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.assertions.compare import (
    MEANINGS,
    Code,
    Doubt,
    Finding,
    Known,
    Told,
    judge,
)
from growth_pipeline.events.assertions.facts import Facts

USUAL_SPAN: Final = timedelta(days=30)
KEPT: Final = 1000


class Assertions(Protocol):
    """What is asked of the store."""

    def known(self) -> Known:
        """How far the mirror can speak."""
        ...

    def told(self, since: datetime, until: datetime) -> Iterator[list[Told]]:
        """Billing events received in [since, until), in pages."""
        ...

    def facts(self, references: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Facts]:
        """What the mirror knows, by reference."""
        ...

    def customers(self, user_ids: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """Customers of users."""
        ...


@dataclass
class Verified:
    """The answer. Counts are of all events; `findings` holds the first `KEPT` of them."""

    since: datetime
    until: datetime
    known: Known
    agreed: int = 0
    doubts: Counter[Doubt] = field(default_factory=Counter)
    codes: Counter[Code] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def contradicted(self) -> int:
        """Events that Stripe contradicts."""
        return sum(self.codes.values())

    @property
    def compared(self) -> int:
        """Billing events of the span."""
        return self.agreed + self.contradicted + sum(self.doubts.values())

    def to_dict(self, *, limit: int = KEPT) -> dict[str, Any]:
        """For JSON. `findings` are cut at `limit`; the counts are not."""
        as_of = self.known.as_of
        return {
            "metric": "billing_events",
            "definition": "billing_events@1",
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "as_of": as_of.isoformat() if as_of else None,
            "events": self.compared,
            "agreed": self.agreed,
            "contradicted": {str(code): self.codes[code] for code in Code},
            "undecided": {str(doubt): self.doubts[doubt] for doubt in Doubt},
            "findings": [one.to_dict() for one in self.findings[:limit]],
        }

    def lines(self, *, limit: int = 100) -> list[str]:
        """For a person: the answer, then each finding in a line."""
        undecided = sum(self.doubts.values())
        first = (
            f"{self.compared} billing events: Stripe agrees with {self.agreed}, contradicts "
            f"{self.contradicted}, {undecided} undecided"
        )
        reasons = ", ".join(
            f"{str(doubt).replace('_', ' ')}: {self.doubts[doubt]}"
            for doubt in Doubt
            if self.doubts[doubt]
        )
        shown = [_line(one) for one in self.findings[:limit]]
        left = self.contradicted - len(shown)
        more = [f"and {left} more"] if left > 0 else []
        return [f"{first} ({reasons})" if reasons else first, *shown, *more]


def verify_billing(
    assertions: Assertions, *, now: datetime, since: datetime | None = None
) -> Verified:
    """Compare every billing event that was received in [since, now).

    `since` defaults to 30 days before. Later knowledge of the mirror may settle what is in doubt,
    so it is run again.
    Raises: UsageError when `since` is not before `now`.
    """
    start = since if since is not None else now - USUAL_SPAN
    if start >= now:
        raise UsageError(
            f"--since {start.isoformat()} is not in the past", remedy="name an earlier instant"
        )
    verified = Verified(start, now, assertions.known())
    for page in assertions.told(start, now):
        facts = assertions.facts(one.reference for one in page if one.reference)
        customers = assertions.customers(one.user_id for one in page if one.user_id)
        for told in page:
            own = customers.get(told.user_id or "", frozenset())
            found = facts.get(told.reference) if told.reference else None
            _count(verified, judge(told, found, verified.known, customers=own))
    verified.findings.sort(key=lambda one: (list(Code).index(one.code), one.told.at))
    return verified


def _count(verified: Verified, answer: Finding | Doubt | None) -> None:
    if answer is None:
        verified.agreed += 1
    elif isinstance(answer, Doubt):
        verified.doubts[answer] += 1
    else:
        verified.codes[answer.code] += 1
        if len(verified.findings) < KEPT:
            verified.findings.append(answer)


def _line(one: Finding) -> str:
    told = one.told
    return (
        f"{one.severity:<6} {one.code}  {told.at:%Y-%m-%d %H:%M} UTC  {told.event}  "
        f"{one.object} {one.object_id}: {MEANINGS[one.code]}"
    )
