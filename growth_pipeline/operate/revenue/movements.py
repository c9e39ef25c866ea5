"""`growth mrr movements` without a file: of what is published in this database."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core import arguments
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth_pipeline.revenue.movements_store import PublishedPolicy

OPTIONS: Final = (
    *("policy", "snapshot", "grain", "first", "last", "timezone", "week_start", "anchor", "as_of"),
    *("movement_kind", "reactivation_window", "sign", "free_customer", "level", "denominator"),
    *("churn_window", "count_paused", "horizons", "returned_members", "open_cells", "memory"),
    *("form", "as_json", "output"),
)


def answer_movements(**options: Any) -> None:
    """Tell the movements of a published policy, with any option about movements.

    Raises: UsageError; GrowthError when the policy is not published; RemoteUnavailableError.
    """
    from growth_pipeline.operate.database import open_database
    from growth_pipeline.revenue.from_files.asked import SWITCHES, definer, policy_with
    from growth_pipeline.revenue.from_files.faces import face_of
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.policies import policy_named
    from growth_pipeline.revenue.published.answer import movements_of_spells
    from growth_pipeline.settings import load_settings
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading

    settings = load_settings()
    chosen = policy_named(options["policy"] or settings.revenue.policies[0])
    policy = policy_with(chosen, options)
    engine = Engine(memory_limit=arguments.memory(options["memory"]))
    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        store = MovementsStore(database, settings.stripe.scopes)
        published = _published(store.policies(), chosen.definition)
        tz = options["timezone"] or published.tz
        as_of = published.as_of
        if options["as_of"] is not None:
            as_of = Reading(tz=tz).instant(options["as_of"])
        if as_of > published.as_of:
            raise UsageError(
                f"--as-of is later than what is published, which reaches to "
                f"{published.as_of.isoformat()}",
                remedy="give an earlier one, or leave it out",
            )
        definition = definer(policy, options, tz=tz)(as_of=as_of)
        with engine.spool() as spool:
            source = store.read_spells(spool, replace(published, as_of=as_of))
            answer = movements_of_spells(engine, spool, source, definition)
    said = {
        "policy": policy.definition,
        "assumed": sorted(policy.assumed & set(SWITCHES.values())),
    }
    answer = replace(answer, definition={**answer.definition, **said})
    form = "json" if options["as_json"] else options["form"].value
    for note in answer.notes if form == "csv" else ():
        sys.stderr.write(f"{note}\n")
    arguments.hand_over(face_of(answer, form), options["output"])


def _published(policies: Sequence[PublishedPolicy], wanted: str) -> PublishedPolicy:
    """The policy that is asked for. Raises: GrowthError when it is not published."""
    for policy in policies:
        if policy.policy == wanted:
            return policy
    there = ", ".join(policy.policy for policy in policies) or "none"
    raise GrowthError(
        f"MRR under the policy {wanted} is not published; published: {there}",
        remedy="name it in GROWTH_REVENUE__POLICIES and run growth mrr refresh",
    )
