"""Figures of months computed again from any spells, as they are published but nowhere written.

Contract: docs/metrics.md, "Receipts".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.revenue.published.figures import Figure, Place, figures_of
from growth_pipeline.revenue.published.publish import answers_of
from growth_pipeline.revenue.spell_store import contract_minor

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.revenue.movements_store import MovementsStore, PublishedPolicy
    from growth_pipeline.revenue.policies import MrrPolicy
    from growth_pipeline.revenue.spells import Spell
    from growth_pipeline.storage.engine import Engine


def figures_again(
    spells: Iterable[Spell],
    policy: PublishedPolicy,
    switches: MrrPolicy,
    movements: MovementsStore,
    engine: Engine,
) -> Iterator[tuple[Place, Figure]]:
    """Figures of all months, whole, from these spells instead of the published ones.

    Subscriptions that were told to end are counted as the mirror has them now.
    Raises: BrokenIdentityError; RemoteUnavailableError.
    """
    with engine.spool() as spool:
        source = movements.read_spells(spool, policy)
        path = spool.write("spells_again", [_frame(spells, policy.as_of, switches)]).path
        months = next(answers_of(engine, replace(source, spells=path), policy), None)
        if months is not None:
            yield from (told for told in figures_of(months) if not told[0].segment_by)


def _frame(spells: Iterable[Spell], as_of: datetime, policy: MrrPolicy) -> pl.DataFrame:
    """Spells with the columns of `spells_of_policy.sql`."""
    import polars as pl

    rows = [_row(spell, policy) for spell in spells if spell.from_at < as_of.timestamp()]
    text = ("account_id", "customer_id", "currency", "subscription_id", "item_id")
    schema: dict[str, Any] = dict.fromkeys((*text, "product", "every"), pl.String)
    schema |= {"mrr_minor": pl.Int64, "contract_minor": pl.Int64, "ends_by": pl.String}
    schema |= {"is_leaving": pl.Boolean, "from_us": pl.Int64, "until_us": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(spell: Spell, policy: MrrPolicy) -> tuple[Any, ...]:
    price = spell.item.price
    every = price.interval
    if every is not None and price.interval_count > 1:
        every = f"{price.interval_count} {every}"
    return (
        spell.account_id,
        spell.customer_id,
        spell.currency,
        spell.subscription_id,
        spell.item.id,
        price.product or price.id,
        every,
        spell.minor,
        contract_minor(spell, policy),
        spell.ends_by,
        spell.cancels_at is not None,
        spell.from_at * 1_000_000,
        None if spell.until_at is None else spell.until_at * 1_000_000,
    )
