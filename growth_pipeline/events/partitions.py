"""Days as partitions of activity and of what is made of it; the day that runs is not among them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import dagster as dg

from growth_pipeline.settings import load_settings


@cache
def daily_partitions() -> dg.DailyPartitionsDefinition:
    """Days from the first of the month `history_start`, each once it is over in UTC.

    Keys are `2025-10-31`.
    """
    return dg.DailyPartitionsDefinition(start_date=f"{load_settings().history_start}-01")


def daily_asset(**arguments: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` by days, of which a range is one run; that parameter is young in Dagster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        made: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
            partitions_def=daily_partitions(),
            backfill_policy=dg.BackfillPolicy.single_run(),
            **arguments,
        )
        return made
