"""Companies whose right answer is known: Stripe objects, booked rows, and what an audit must find.

It shares no code with the product and imports nothing of it; the parts are in the folder `oracle`.
Every expected impact is written down where its defect is planted, from the change itself, never
from a formula over both sides.
"""

from __future__ import annotations

from growth_pipeline_tests.acceptance.oracle.base import (
    CURRENCIES,
    DAY,
    DECEMBER,
    EVENT_DAYS,
    GRACE,
    NOVEMBER,
    OCTOBER,
    RESOURCES,
    SEPTEMBER,
    VERSION,
    Expected,
    Object,
    Row,
    impact,
    instant,
    month_after,
    month_of,
)
from growth_pipeline_tests.acceptance.oracle.company import Company, Payment
from growth_pipeline_tests.acceptance.oracle.defects import plant
from growth_pipeline_tests.acceptance.oracle.events import told
from growth_pipeline_tests.acceptance.oracle.server import OracleStripe
from growth_pipeline_tests.acceptance.oracle.whole import (
    KINDS_OF_DEFECTS,
    clean_company,
    planted_company,
)

__all__ = [
    "CURRENCIES",
    "DAY",
    "DECEMBER",
    "EVENT_DAYS",
    "GRACE",
    "KINDS_OF_DEFECTS",
    "NOVEMBER",
    "OCTOBER",
    "RESOURCES",
    "SEPTEMBER",
    "VERSION",
    "Company",
    "Expected",
    "Object",
    "OracleStripe",
    "Payment",
    "Row",
    "clean_company",
    "impact",
    "instant",
    "month_after",
    "month_of",
    "plant",
    "planted_company",
    "told",
]
