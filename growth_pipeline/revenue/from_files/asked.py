"""What a person asks of movements, from words of the command line. Pure.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from growth_pipeline.core import arguments
from growth_pipeline.revenue.from_files.definition import (
    MovementsDefinition,
    day_of_period,
    window_days,
)
from growth_pipeline.revenue.policies import MrrPolicy

SWITCHES: Final[Mapping[str, str]] = {
    "snapshot": "snapshot",
    "end_dates": "end_dates",
    "movement_kind": "movements",
    "sign": "sign",
    "free_customer": "free_customer",
    "level": "level",
    "denominator": "churn_denominator",
    "returned_members": "returned_members",
    "timezone": "tz",
    "count_paused": "count_paused",
    "churn_window": "churn_window_days",
    "reactivation_window": "reactivation_window_days",
}
"""Option of the command -> switch of the policy."""


def policy_with(chosen: MrrPolicy, options: Mapping[str, Any]) -> MrrPolicy:
    """A policy with the switches that were given. Raises: UsageError."""
    told = {
        switch: _text(option, options[option])
        for option, switch in SWITCHES.items()
        if options.get(option) is not None
    }
    return chosen.with_switches(told)


def definer(
    policy: MrrPolicy, options: Mapping[str, Any], *, tz: str
) -> Callable[..., MovementsDefinition]:
    """The question, but for its as_of. Raises: UsageError."""
    return partial(
        MovementsDefinition,
        grain=options["grain"],
        tz=tz,
        week_start=options["week_start"].strip().lower(),
        anchor=arguments.day("--anchor", options["anchor"]),
        snapshot=policy.snapshot,
        end_dates=policy.end_dates,
        level=policy.level,
        first=day_of_period("--from", options["first"]),
        last=day_of_period("--to", options["last"]),
        movements=policy.movements,
        reactivation_window=policy.reactivation_window_days,
        sign=policy.sign,
        free_customer=policy.free_customer,
        denominator=policy.churn_denominator,
        window_days=policy.churn_window_days,
        count_paused=policy.count_paused,
        horizons=tuple(
            arguments.whole("--horizons", word)
            for word in arguments.words("--horizons", options["horizons"]) or ()
        ),
        returned_members=policy.returned_members,
        open_cells=options["open_cells"],
    )


def _text(option: str, value: Any) -> str:
    """A switch as a policy takes it: 60d is 60, calendar is none."""
    if option == "churn_window":
        return str(window_days(value) or "none")
    if option == "reactivation_window":
        return str(value).strip().lower().removesuffix("d")
    return str(value).lower() if isinstance(value, bool) else str(value)
