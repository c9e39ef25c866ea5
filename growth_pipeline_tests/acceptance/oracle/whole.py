"""Companies with everything: payments, subscriptions, an application, payouts and events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from growth_pipeline_tests.acceptance.oracle.company import Company
from growth_pipeline_tests.acceptance.oracle.defects import DEFECTS, Defect, Lenders
from growth_pipeline_tests.acceptance.oracle.defects_beyond import BEYOND, OF_PAYOUTS
from growth_pipeline_tests.acceptance.oracle.events import expect_gaps
from growth_pipeline_tests.acceptance.oracle.money import add_money, pay_out, tell_payouts
from growth_pipeline_tests.acceptance.oracle.plans import add_plans, tell_plans

KINDS_OF_DEFECTS = len(DEFECTS) + len(BEYOND)


def clean_company(seed: int, *, plans: int, odd: int, **options: Any) -> Company:
    """A company of normal life only."""
    company = Company(seed, **options)
    add_plans(company, plans)
    add_money(company, odd)
    return finished(company)


def planted_company(
    seed: int, *, plans: int, odd: int, lenders: Lenders, per_month: int, **options: Any
) -> Company:
    """A company with `per_month` defects in each month, all kinds in turn, payouts' own last.

    What one defect brings along (an event that is listed and was never received) comes on top.
    """
    company = Company(seed, **options)
    add_plans(company, plans)
    add_money(company, odd)
    kinds: Sequence[Defect] = [*DEFECTS, *BEYOND]
    turns = cycle(kinds)
    for month in company.months:
        with company.within(month):
            for _ in range(per_month):
                next(turns)(company, lenders)
    pay_out(company)
    of_payouts = cycle(OF_PAYOUTS)
    for month in company.months:
        with company.within(month):
            for _ in range(min(len(OF_PAYOUTS), -(-per_month // 20))):
                next(of_payouts)(company, lenders)
    tell_payouts(company)
    tell_plans(company)
    expect_gaps(company)
    return company


def finished(company: Company) -> Company:
    """The same company with its balance paid out and everything told."""
    pay_out(company)
    tell_payouts(company)
    tell_plans(company)
    expect_gaps(company)
    return company
