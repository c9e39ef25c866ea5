"""What all plantings share: the problems, what is lost, what is changed by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from growth_pipeline.sandbox.company import Company
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.names import Names
from growth_pipeline.sandbox.store import Store

LOST, BY_HAND, AT_STRIPE = "never_delivered", "written_by_hand", "happened_at_stripe"
UNSAID = ""  # several causes are true


@dataclass(frozen=True)
class Problem:
    """One planted discrepancy and the finding it must give.

    Units: minor units. `currency` is the booked one (Stripe's where no row is booked),
    `impact_minor` the impact in it, `impacts_minor` in every currency: booked - Stripe. `cause` in
    the words of the contract.
    """

    code: str
    severity: str
    object: str
    object_id: str
    month: str
    currency: str | None
    impact_minor: int
    impacts_minor: dict[str, int]
    how: str
    cause: str


@dataclass
class Planting:
    """Everything planted: the problems, the events that are lost, what is changed by hand."""

    problems: list[Problem] = field(default_factory=list)
    lost_events: list[str] = field(default_factory=list)
    tampering: list[Json] = field(default_factory=list)

    def to_dict(self) -> Json:
        """As JSON."""
        return asdict(self)


class Planter:
    """Chooses a different charge for each kind and records what is done to it."""

    def __init__(self, store: Store, company: Company) -> None:
        self.store = store
        self.names = Names(company.seed, "planted")
        self.planting = Planting()
        self.used: set[str] = set()
        self.company = company
        self._seed = company.seed

    def choose(self, code: str, rows: Sequence[Json], id_of: str) -> Json | None:
        """One of the rows whose object carries no problem yet, by chance of the seed; taken now."""
        free = [row for row in rows if row[id_of] not in self.used]
        if not free:
            return None
        row = random.Random(f"{self._seed}/{code}").choice(free)
        self.used.add(row[id_of])
        return row

    def add(
        self,
        code: str,
        severity: str,
        thing: tuple[str, str],
        month: str,
        *,
        currency: str | None,
        impacts: Mapping[str, int],
        how: str,
        cause: str,
    ) -> None:
        """Notes one problem. `thing`: Stripe's word of the object, and its id."""
        kept = {key: value for key, value in impacts.items() if value}
        problem = Problem(
            code=code,
            severity=severity,
            object=thing[0],
            object_id=thing[1],
            month=month,
            currency=currency,
            impact_minor=impacts.get(currency or "", 0),
            impacts_minor=kept,
            how=how,
            cause=cause,
        )
        self.planting.problems.append(problem)

    def lose(self, event_ids: Sequence[str]) -> None:
        """Events that never reach the endpoint."""
        self.planting.lost_events += event_ids

    def change(self, row: Json, **values: Any) -> None:
        """Another value in the booked row of a charge."""
        self.planting.tampering.append(
            {"action": "update", "charge_id": row["charge_id"], "set": values}
        )

    def step(self, **step: Any) -> None:
        """A change of the application's tables by hand."""
        self.planting.tampering.append(step)

    def find(self, table: str, object_id: str) -> Json | None:
        """An object as it is now; None for one that is gone or never was."""
        row = self.store.find(RESOURCES[table], object_id)
        return None if row is None or row.hidden else dict(orjson.loads(row.body))

    def snapshots(self, object_id: str) -> list[tuple[str, str, Json]]:
        """Id, type and object of each event about an object."""
        return [
            (event.id, event.type, orjson.loads(event.body)["data"]["object"])
            for event in self.store.events_of(object_id)
        ]
