"""What breaks the rules that must hold of the states in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history_store import mirrored_until
from growth_pipeline.revenue.invariants import STATE_RULES, STATES_COMPLETE, STATES_IN_ORDER
from growth_pipeline.revenue.state_lake import manifests_of, read_marks

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database

_KEY: Final = ["account_id", "subscription_id"]


def faults_of_states(
    database: Database, lake: Lake, scopes: Sequence[Scope]
) -> dict[str, list[str]]:
    """Rule -> what breaks it, by account and subscription; empty lists before the first states.

    Raises: RemoteUnavailableError; LakeUnreadableError.
    """
    import polars as pl

    columns = [*_KEY, "customer_id", "from_at", "until_at"]
    frames = [lake.read(one, columns) for one in manifests_of(lake)]
    marks = read_marks(lake)
    if marks is None or not frames:
        return {rule: [] for rule in STATE_RULES}
    states = pl.concat(frames)
    known = mirrored_until(database, scopes, marks.known_at)
    return {
        STATES_COMPLETE: _missing(states, known),
        STATES_IN_ORDER: _out_of_order(states),
    }


def _missing(states: pl.DataFrame, mirrored: Sequence[tuple[str, str]]) -> list[str]:
    told = set(states.select(_KEY).unique().iter_rows())
    return [f"{account}/{one} has no state" for account, one in sorted(set(mirrored) - told)]


def _out_of_order(states: pl.DataFrame) -> list[str]:
    import polars as pl

    ordered = states.sort([*_KEY, "from_at"]).with_columns(
        following=pl.col("from_at").shift(-1).over(_KEY),
        next_customer=pl.col("customer_id").shift(-1).over(_KEY),
    )
    broken = ordered.filter(
        ~pl.col("until_at").eq_missing(pl.col("following"))
        | (pl.col("until_at") <= pl.col("from_at"))
        | (pl.col("next_customer") != pl.col("customer_id"))
    )
    return [
        f"{account}/{one} is broken at {at}"
        for account, one, at in broken.select([*_KEY, "from_at"]).iter_rows()
    ]
