"""The parts of an audit beside the payments, in the order of the report. A list, no rule."""

from __future__ import annotations

from typing import Final

from growth_pipeline.audit.parts.balance import examine_balance
from growth_pipeline.audit.parts.customer_section import examine_customers
from growth_pipeline.audit.parts.events import examine_events
from growth_pipeline.audit.parts.invoices import examine_invoices
from growth_pipeline.audit.parts.payouts import examine_payouts
from growth_pipeline.audit.parts.subscription_section import examine_subscriptions
from growth_pipeline.audit.sections import Examiner

EXAMINERS: Final[tuple[Examiner, ...]] = (
    examine_invoices,
    examine_balance,
    examine_payouts,
    examine_subscriptions,
    examine_customers,
    examine_events,
)
