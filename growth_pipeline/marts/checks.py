"""What must hold of the tables kept for BI tools, as asset checks; the rules are in sql/marts/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

KEPT_KEY = dg.AssetKey(["marts", "kept_tables"])
_EXAMPLES = 10
_RULES = {
    "mrr_customer_months": (
        "customer_months_add_up_to_mrr",
        "Customers of a closed month add up to the published MRR of its last day.",
    ),
    "payments_daily": (
        "payments_add_up_to_the_books",
        "Payments by day add up to the settled payments of the books.",
    ),
}

KEPT_CHECKS = [
    dg.AssetCheckSpec(name, asset=KEPT_KEY, description=description)
    for name, description in _RULES.values()
]


def check_kept(faults: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckResult]:
    """One result a table that has a rule."""
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not faults[table],
            description="; ".join(faults[table][:_EXAMPLES]) or None,
            metadata={"faults": len(faults[table])},
        )
        for table, (name, _) in _RULES.items()
    ]
