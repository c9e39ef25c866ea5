"""Values of closed periods that an earlier digest told otherwise. Pure.

Contract: docs/insights.md, "What changed in past numbers".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from growth_pipeline.insights.facts import Fact, Group, Kind, Restated, Series, State, Unit, Value

_INEXACT: Final = (Unit.RATE, Unit.AVERAGE)
TOLD_LATER: Final = "Stripe told of it later"
PAID_LATER: Final = "payments were booked or corrected later"
ACTIVITY_LATER: Final = "activity arrived late, was merged or left out"
MEASURED_OTHERWISE: Final = "it is measured in another zone or under another policy now"
OTHERWISE: Final = "it was published again with other inputs"


def restated_since(
    previous: Mapping[str, Any] | None,
    facts: Iterable[Fact],
    *,
    restated_currencies: Collection[str] = (),
) -> tuple[Restated, ...]:
    """Closed values that are other ones now, by fact, then by period.

    `previous`: the digest that was told before, as `Digest.to_dict()`. `restated_currencies`: those
    in which MRR of the past became known otherwise.
    """
    if previous is None:
        return ()
    told = {fact["fact_id"]: fact for fact in previous["facts"]}
    return tuple(
        one
        for fact in facts
        # A funnel keeps its number only while the funnels before it are the same.
        if fact.fact_id in told and told[fact.fact_id]["name"] == fact.series.name
        for one in _changed(told[fact.fact_id], fact, restated_currencies)
    )


def _changed(
    told: Mapping[str, Any], fact: Fact, currencies: Collection[str]
) -> Iterator[Restated]:
    series = fact.series
    before_of = {
        point["start"]: point["value"] for point in told["points"] if point["state"] == State.CLOSED
    }
    source = told["source"]
    is_other = (source["tz"], source["policy"]) != (series.source.tz, series.source.policy)
    for point in series.points:
        before = _value(series, before_of.get(point.start.isoformat()))
        if before is None or point.state is not State.CLOSED or before == point.value:
            continue
        yield Restated(
            fact_id=fact.fact_id,
            label=series.label,
            unit=series.unit,
            currency=series.currency,
            start=point.start,
            before=before,
            now=point.value,
            reason=MEASURED_OTHERWISE if is_other else _reason(series, currencies),
        )


def _value(series: Series, told: Any) -> Value:
    if told is None:
        return None
    if series.unit in _INEXACT or series.kind is Kind.RATE:
        return Decimal(str(told))
    return int(told)


def _reason(series: Series, currencies: Collection[str]) -> str:
    if series.family.startswith(("mrr", "customers")):
        return TOLD_LATER if series.currency in currencies else OTHERWISE
    if series.group is Group.REVENUE:
        return PAID_LATER
    return ACTIVITY_LATER
