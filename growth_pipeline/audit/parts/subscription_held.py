"""What a part of the audit saw and did not judge, so that the report can say so.

A candidate without an answer is no finding and not fine either: it is counted, by its class.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import in_table_order
from growth_pipeline.audit.sources import Problem


@dataclass
class Held:
    """Candidates of one part that were left open.

    `objects`: what they are, in plural. `changed`: those that seem to differ, but changed too
    lately.
    """

    objects: str
    changed: int = 0
    _unasked: Counter[str] = field(default_factory=Counter)
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)

    def left_open(
        self, code: str, resource: str, *, can_ask: bool, severity: Severity | None = None
    ) -> None:
        """Count a candidate that Stripe did not answer about.

        `resource`: the list that was asked. Where there is someone to ask and the class is HIGH,
        the list has no verdict.
        """
        self._unasked[code] += 1
        if can_ask and (severity or CODES[code].severity) is Severity.HIGH:
            self._open[resource, code] += 1

    @property
    def unjudged(self) -> frozenset[str]:
        """Classes of candidates that Stripe did not answer about; what is open of them stays so."""
        return frozenset(self._unasked)

    def sentences(self) -> Iterator[str]:
        """What was not judged and why, for people."""
        if self.changed:
            yield (
                f"{self.objects.capitalize()} that seem to differ, but changed in the grace period "
                f"or after their list was read: {self.changed}. The next audit judges them."
            )
        for code in in_table_order(self._unasked):
            yield (
                f"{self.objects.capitalize()} that may be {code}, but about which Stripe gave no "
                f"answer: {self._unasked[code]}. An audit asks about a limited number of objects."
            )

    def problems(self) -> Iterator[Problem]:
        """Lists without a verdict, because candidates of HIGH classes were left open."""
        for (resource, code), number in sorted(self._open.items()):
            reason = f"Stripe gave no answer about {number} {self.objects} that may be {code}"
            yield Problem(resource, f"{reason}: extract the month again")
