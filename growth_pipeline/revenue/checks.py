"""What must hold of published revenue, as asset checks; the rules are SQL and pure modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.invariants import MOVEMENT_RULES, RECEIPT_RULES, RULES, STATE_RULES

if TYPE_CHECKING:
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.receipt_store import ReceiptStore
    from growth_pipeline.revenue.spell_store import SpellStore
    from growth_pipeline.storage.lake import Lake

STATES_KEY = dg.AssetKey(["revenue", "subscription_states"])
MRR_KEY = dg.AssetKey(["revenue", "mrr"])
MOVEMENTS_KEY = dg.AssetKey(["revenue", "movements"])
RECEIPTS_KEY = dg.AssetKey(["revenue", "receipts"])
_EXAMPLES = 10

STATE_CHECKS = [
    dg.AssetCheckSpec(name, asset=STATES_KEY, description=description, blocking=True)
    for name, description in STATE_RULES.items()
]
MRR_CHECKS = [
    dg.AssetCheckSpec(name, asset=MRR_KEY, description=description, blocking=True)
    for name, description in RULES.items()
]
MOVEMENT_CHECKS = [
    dg.AssetCheckSpec(name, asset=MOVEMENTS_KEY, description=description, blocking=True)
    for name, description in MOVEMENT_RULES.items()
]
RECEIPT_CHECKS = [
    dg.AssetCheckSpec(name, asset=RECEIPTS_KEY, description=description)
    for name, description in RECEIPT_RULES.items()
]


def check_states(faults: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckResult]:
    """One result a rule: what breaks it."""
    return [result(rule, faults[rule]) for rule in STATE_RULES]


def check_receipts(
    store: ReceiptStore, policies: Sequence[str], lake: Lake
) -> list[dg.AssetCheckResult]:
    """One result a rule. Raises: RemoteUnavailableError; LakeUnreadableError."""
    gone = [path for path in store.artifacts(policies) if lake.find_artifact(path) is None]
    return [
        result("figures_have_receipts", store.faults(policies)),
        result("rows_of_receipts_are_there", gone),
    ]


def check_movements(store: MovementsStore, policies: Sequence[str]) -> list[dg.AssetCheckResult]:
    """One result a rule, over all policies, read again from Postgres.

    Raises: RemoteUnavailableError.
    """
    faults = store.faults(policies)
    return [result(rule, faults.get(rule, [])) for rule in MOVEMENT_RULES]


def check_mrr(
    store: SpellStore, policies: Sequence[str], scopes: Sequence[Scope]
) -> list[dg.AssetCheckResult]:
    """One result a rule, over all policies. Raises: RemoteUnavailableError."""
    return [
        result(
            rule,
            [
                f"{policy}: {fault}"
                for policy in policies
                for fault in store.faults(rule, policy, scopes)
            ],
        )
        for rule in RULES
    ]


def result(name: str, faults: Sequence[str]) -> dg.AssetCheckResult:
    """Passed without faults, else with the first of them."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults[:_EXAMPLES]) or None,
        metadata={"faults": len(faults)},
    )
