from time import monotonic

import pytest

from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.rate_limit import RequestBudget, shared_budget


def _instants(budget: RequestBudget, endpoints: list[str]) -> list[float]:
    taken = []
    for endpoint in endpoints:
        budget.wait(endpoint)
        taken.append(monotonic())
    return taken


def _most_in_a_second(instants: list[float]) -> int:
    return max(sum(1 for other in instants if start <= other < start + 1) for start in instants)


@pytest.mark.parametrize(
    ("account", "endpoint", "rate"), [(500, 20, 20), (20, 500, 20), (8, 500, 8)]
)
def test_the_slower_of_both_rates_holds_in_every_second(account, endpoint, rate):
    instants = _instants(RequestBudget(account, endpoint), ["list charges"] * int(rate * 1.6))
    assert _most_in_a_second(instants) <= rate * 1.2 + 1
    assert instants[-1] - instants[0] < 6


def test_another_endpoint_does_not_wait_for_a_busy_one():
    started = monotonic()
    _instants(
        RequestBudget(1000, 0.5),
        ["list charges", "list refunds", "list disputes", "list customers"],
    )
    assert monotonic() - started < 3


def test_high_rates_are_not_slowed_down():
    started = monotonic()
    _instants(RequestBudget(5000, 5000), ["list charges"] * 300)
    assert monotonic() - started < 5


def test_readers_of_one_account_and_mode_spend_from_one_budget():
    test, live = Scope("acct_1", False), Scope("acct_1", True)
    budget = shared_budget(test, "https://api.stripe.com", 20, 20)
    assert shared_budget(test, "https://api.stripe.com", 20, 20) is budget
    assert shared_budget(live, "https://api.stripe.com", 20, 20) is not budget
