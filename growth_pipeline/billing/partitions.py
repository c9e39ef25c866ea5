"""Months as partitions, and what every asset of this code location has in common.

Every slice takes its months from here: one start, so that no downstream asset splits its months
differently. Some parameters used here are young in Dagster and warn when used; they are accepted in
this file only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from growth_pipeline.core.periods import Month
from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    Made: TypeAlias = dg.MaterializeResult[Any]
else:  # Dagster takes the bare class only on an asset with checks
    Made = dg.MaterializeResult

OWNERS = ["team:data-engineering"]


@cache
def monthly_partitions() -> dg.TimeWindowPartitionsDefinition:
    """Months in UTC from `history_start`, the running one included. Keys are `2025-10`."""
    return dg.MonthlyPartitionsDefinition(
        start_date=load_settings().history_start, fmt="%Y-%m", end_offset=1
    )


def months_of(context: dg.AssetExecutionContext) -> list[Month]:
    """Months that this run of a monthly asset covers, in order; one, or a range."""
    return [Month.parse(key) for key in sorted(context.partition_keys)]


def asset(
    slice_name: str,
    name: str,
    *,
    description: str,
    kinds: set[str],
    monthly: bool = False,
    ranged: bool = False,
    checks: Sequence[dg.AssetCheckSpec] = (),
    **arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with key, group, owner and partitions of this house.

    `ranged`: one run of a backfill takes all its months; else it takes one month, as an asset with
    `monthly_check`s must, because a range has one check result for all its months.
    """
    if monthly:
        arguments["partitions_def"] = monthly_partitions()
    with _young_features():
        if ranged:
            arguments["backfill_policy"] = dg.BackfillPolicy.single_run()
        made: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
            key=[slice_name, name],
            group_name=slice_name,
            owners=OWNERS,
            description=description,
            kinds=kinds,
            check_specs=list(checks),
            **arguments,
        )
        return made


def multi_asset(
    slice_name: str,
    name: str,
    *,
    specs: Sequence[dg.AssetSpec],
    monthly: bool = False,
    ranged: bool = False,
    checks: Sequence[dg.AssetCheckSpec] = (),
    **arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.multi_asset` of assets that one step makes, any of them alone if asked for.

    `name` is the step's, which progress and logs show as `slice/name`.
    """
    if monthly:
        arguments["partitions_def"] = monthly_partitions()
    with _young_features():
        if ranged:
            arguments["backfill_policy"] = dg.BackfillPolicy.single_run()
        made: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_asset(
            name=f"{slice_name}__{name}",
            specs=list(specs),
            check_specs=list(checks),
            can_subset=True,
            **arguments,
        )
        return made


def monthly_check(
    asset_key: Sequence[str], name: str, description: str, **arguments: Any
) -> dg.AssetCheckSpec:
    """A check with one result a month (a preview of Dagster; this is its only use).

    Only for assets that take one month a run: a range would give one result for all its months.
    """
    with _young_features():
        return dg.AssetCheckSpec(
            name,
            asset=dg.AssetKey(asset_key),
            description=description,
            partitions_def=monthly_partitions(),
            **arguments,
        )


def asset_spec(
    slice_name: str, name: str, *, description: str, kinds: set[str], **arguments: Any
) -> dg.AssetSpec:
    """`dg.AssetSpec` of something that another process writes."""
    return dg.AssetSpec(
        [slice_name, name],
        group_name=slice_name,
        owners=OWNERS,
        description=description,
        kinds=kinds,
        **arguments,
    )


def add_month_metadata(
    context: dg.AssetExecutionContext, month: Month, metadata: Mapping[str, Any]
) -> None:
    """Metadata on the materialisation of one month, also within a range."""
    context.add_asset_metadata(metadata, partition_key=month.key)


@contextmanager
def _young_features() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
