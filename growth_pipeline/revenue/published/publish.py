"""From published spells to published movements and figures, of every policy and grain.

Always computed whole: movements are sums over few rows, and what a late fact moves need not be
found out. Contract: docs/metrics.md, "Published movements".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.revenue.from_files.definition import MovementsDefinition
from growth_pipeline.revenue.movements_store import MovementsPublication, PublishedPolicy
from growth_pipeline.revenue.policies import MrrPolicy, policy_named
from growth_pipeline.revenue.published.measure import (
    Answer,
    changes_of,
    measure_published,
    measure_segments,
)
from growth_pipeline.revenue.published.rows import (
    change_rows,
    figure_rows,
    movement_rows,
    usage_rows,
)
from growth_pipeline.revenue.published.source import periods_before
from growth_pipeline.revenue.usage import usage_run_rate

if TYPE_CHECKING:
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.published.source import PublishedSpells
    from growth_pipeline.storage.engine import Engine

DAYS_SHOWN: Final = 400
_HORIZONS: Final = {"month": (1, 3, 12)}
_SPLIT: Final = ("month", "quarter", "year")
GRAINS: Final = ("month", "day", "week", "quarter", "year")


@dataclass(frozen=True)
class PublishedMovements:
    """What was published of one policy."""

    policy: PublishedPolicy
    publication: MovementsPublication
    movements: int
    changes: int
    figures: int

    def in_words(self) -> str:
        """`growth@1: 504 movements, 1,204 figures; 12 rows written, 0 withdrawn`."""
        return (
            f"{self.policy.policy}: {self.movements:,} movements, {self.figures:,} figures; "
            f"{self.publication.in_words()}"
        )


def publish_movements(
    engine: Engine,
    store: MovementsStore,
    *,
    now: datetime,
    segments: Sequence[str] = (),
    week_start: str = "monday",
    tell: Callable[[str], None] = lambda _: None,
) -> list[PublishedMovements]:
    """Publish movements and figures of every policy whose spells are published.

    `segments`: plan, interval, country, metadata.<key>. Raises: GrowthError without any policy;
    BrokenIdentityError, before anything of the policy is written; RemoteUnavailableError.
    """
    policies = store.policies()
    if not policies:
        raise GrowthError(
            "no MRR is published yet, so nothing moves it",
            remedy="run growth mrr refresh",
        )
    done = []
    for policy in policies:
        rows = _Rows(policy)
        with engine.spool() as spool:
            source = store.read_spells(spool, policy)
            for answer in answers_of(
                engine, source, policy, segments=segments, week_start=week_start, add=rows.changes
            ):
                rows.add(answer)
        rate = usage_run_rate(store.read_usage(policy), policy_named(policy.policy))
        rows.told["figures"].extend(usage_rows(rate, policy.policy, policy.as_of))
        publication = store.publish(policy.policy, rows.told, now=now)
        sizes = {name: len(told) for name, told in rows.told.items()}
        done.append(PublishedMovements(policy, publication, **sizes))
        tell(done[-1].in_words())
    store.forget_others([policy.policy for policy in policies])
    return done


def answers_of(
    engine: Engine,
    source: PublishedSpells,
    policy: PublishedPolicy,
    *,
    segments: Sequence[str] = (),
    week_start: str = "monday",
    add: Callable[[Any, Answer], None] = lambda _changes, _answer: None,
) -> Iterator[Answer]:
    """Figures of every grain, whole and by segment. `add` gets the changes of the months.

    Shapes: an answer is read before the next one is asked for, whose files replace its own.
    """
    switches = policy_named(policy.policy)
    changes: str | None = None
    with engine.spool() as spool:
        periods = periods_before(
            engine, spool, source, as_of=policy.as_of, tz=policy.tz, level=switches.level
        )
        for grain in GRAINS if periods.first_day is not None else ():
            definition = definition_of(
                switches, policy, grain=grain, week_start=week_start, first_day=periods.first_day
            )
            is_split = grain in _SPLIT
            whole = measure_published(
                engine,
                spool,
                source,
                periods,
                definition,
                with_subscriptions=is_split,
                changes=changes,
            )
            changes = whole.changes_file
            if grain == "month":
                add(changes_of(engine, periods, whole), whole)
            yield whole
            for segment_by in segments if is_split else ():
                yield measure_segments(engine, spool, source, periods, whole, segment_by)


def definition_of(
    switches: MrrPolicy,
    policy: PublishedPolicy,
    *,
    grain: str,
    week_start: str = "monday",
    first_day: int | None = None,
) -> MovementsDefinition:
    """The question that a policy puts to its spells, by grain. Days are the last 400.

    `first_day`: the first on which a spell begins; earlier days are not asked for.
    """
    first = None
    if grain == "day":
        local = policy.as_of.astimezone(zone_of(policy.tz)).date()
        first = local - timedelta(days=DAYS_SHOWN)
        if first_day is not None:
            first = max(first, date_of(first_day))
    return MovementsDefinition(
        as_of=policy.as_of,
        grain=grain,
        tz=policy.tz,
        week_start=week_start,
        snapshot=switches.snapshot,
        level=switches.level,
        first=first,
        movements=switches.movements,
        reactivation_window=switches.reactivation_window_days,
        free_customer=switches.free_customer,
        denominator=switches.churn_denominator,
        window_days=switches.churn_window_days,
        count_paused=switches.count_paused,
        horizons=_HORIZONS.get(grain, (1,)),
        returned_members=switches.returned_members,
    )


# --- inside --------------------------------------------------------------------------------------


class _Rows:
    """Rows of one policy, as its answers come in."""

    def __init__(self, policy: PublishedPolicy) -> None:
        self.policy = policy
        self.told: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("movements", "changes", "figures")
        }

    def add(self, answer: Answer) -> None:
        """Rows of a grain, whole or by segment."""
        name = self.policy.policy
        self.told["movements"].extend(movement_rows(answer, name))
        self.told["figures"].extend(figure_rows(answer, name, self.policy.as_of))

    def changes(self, changes: Any, answer: Answer) -> None:
        """Rows of customers' changes."""
        self.told["changes"].extend(change_rows(changes, answer, self.policy.policy))
