"""What must hold of published spells, days and movements: rules, and what finds faults."""

from __future__ import annotations

from typing import Final

STATES_COMPLETE: Final = "each_subscription_has_a_state"
STATES_IN_ORDER: Final = "states_follow_each_other"
STATE_RULES: Final = {
    STATES_COMPLETE: "Each subscription that the mirror knew when the states were read has one.",
    STATES_IN_ORDER: "A state of a subscription begins where the one before ends, without gap, "
    "overlap or second end; all are of one customer.",
}
RULES: Final = {
    "items_add_up_to_customers": "Shares of the items of a customer are its rounded MRR, whenever "
    "one of them changes; no item counts twice.",
    "mrr_follows_the_mirror": "No subscription has MRR after it ended, and each active one has a "
    "spell.",
    "customers_add_up_to_days": "The MRR, customers and subscriptions of each month end are those "
    "of the spells live then.",
}
STATEMENTS: Final = {
    "items_add_up_to_customers": "faults_of_shares",
    "mrr_follows_the_mirror": "faults_of_ends",
    "customers_add_up_to_days": "faults_of_days",
}
MOVEMENT_RULES: Final = {
    "start_plus_movements_is_end": "In every period and currency, the MRR and the customers at the "
    "start, with what moved them, are those at the end.",
    "a_period_starts_where_the_one_before_ended": "MRR and customers at the start of a period are "
    "those at the end of the one before.",
    "mrr_is_never_below_zero": "No MRR and no number of customers is below 0.",
    "causes_and_segments_add_up": "Causes of churn add up to it, segments of MRR, customers and "
    "movements to the whole.",
    "customers_add_up_to_movements": "Changes of customers add up to the movements of their month.",
    "days_and_months_agree": "The MRR of a month is that of its last day.",
}

RECEIPT_RULES: Final = {
    "figures_have_receipts": "Each figure of a closed month has a receipt that tells its value.",
    "rows_of_receipts_are_there": "The ids of the rows behind each receipt lie in the lake.",
}
"""Rule -> what must hold of receipts."""
