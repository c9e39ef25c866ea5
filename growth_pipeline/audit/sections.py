"""What every part of an audit beside the payments looks like: what it is given, what it answers.

A part is one kind of Stripe object compared with what the database has of it. The list of all
parts is examiners.py; each part's rules are in a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from growth_pipeline.audit.causes import Key, Trace
from growth_pipeline.audit.confirm import Asker
from growth_pipeline.audit.deliveries import Deliveries
from growth_pipeline.audit.evidence import Frame
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.matching import Matcher
from growth_pipeline.audit.queries import QueryEngine, Row, Table, or_empty, query_rows
from growth_pipeline.audit.sources import Problem, Sources
from growth_pipeline.audit.window import Window
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month


@dataclass(frozen=True)
class View:
    """What a part of the audit may look at: the files, the database, Stripe itself. Reads only.

    `store` is asked by SQL statements of the audit slice; each part states in a Protocol of its
    own which methods it needs.
    """

    scope: Scope
    month: Month
    window: Window
    sources: Sources
    engine: QueryEngine
    store: Any
    asker: Asker
    frame: Frame
    deliveries: Deliveries | None = None
    matcher: Matcher | None = None  # none without the month's charges

    def trace(self, objects: Iterable[Key]) -> Trace:
        """What is known of how these (object, id) pairs reached us: causes.cause_of_object asks it.

        One call for all objects of a part: it reads ledger, mirror and files once.
        """
        return self.deliveries.trace(objects) if self.deliveries else Trace()

    def has(self, resource: str) -> bool:
        """Whether the month's list of a resource can be relied on."""
        return resource in self.sources.month

    def of_month(self, resource: str) -> Table:
        """The month's objects; an empty table where the list is missing."""
        return or_empty(self.sources.paths(resource), resource)

    def from_month_on(self, resource: str) -> Table:
        """Objects of the month and of every later one."""
        return or_empty(self.sources.paths_from_month_on(resource), resource)

    def of_all_months(self, resource: str) -> Table:
        """Objects of every month that was extracted."""
        return or_empty(self.sources.paths_of_all(resource), resource)

    def rows(
        self,
        statement: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object] | None = None,
    ) -> list[Row]:
        """Result of one statement of sql/audit/ in the engine."""
        return query_rows(self.engine, statement, tables, params)


@dataclass(frozen=True)
class Section:
    """What one part of the audit found.

    `judged`: objects of the month that were compared. `sides`: figures of both sides by measure,
    each `{"stripe": ..., "database": ..., "currency": ... or None}`; money in minor units, None is
    unknown. `problems`: sources without a verdict. `not_judged`: why a part was left out, in one
    sentence for people each; that is no finding. `unjudged`: classes that were not judged as a
    whole; their open findings do not close. `is_silent`: the application told nothing, so neither
    do open findings that rest on what it told before.
    """

    name: str
    judged: int = 0
    findings: tuple[Finding, ...] = ()
    sides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    not_judged: tuple[str, ...] = ()
    unjudged: frozenset[str] = frozenset()
    is_silent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The section as JSON knows it, without its findings."""
        return {
            "section": self.name,
            "judged": self.judged,
            "findings": len(self.findings),
            # Postgres sorts the keys of JSON: the place keeps the order of a bridge's lines.
            "sides": {
                name: {**side, "place": place}
                for place, (name, side) in enumerate(self.sides.items())
            },
            "not_judged": list(self.not_judged),
            "unjudged": sorted(self.unjudged),
        }


Examiner: TypeAlias = Callable[[View], Section]
