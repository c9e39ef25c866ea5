import asyncio
import subprocess
import sys
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
    assert instants[-1] - instants[0] < 20


def test_another_endpoint_does_not_wait_for_a_busy_one():
    started = monotonic()
    _instants(
        RequestBudget(1000, 0.02),  # a second one there would wait for most of a minute
        ["list charges", "list refunds", "list disputes", "list customers"],
    )
    assert monotonic() - started < 30


def test_high_rates_are_not_slowed_down():
    started = monotonic()
    _instants(RequestBudget(5000, 5000), ["list charges"] * 300)
    assert monotonic() - started < 30


def test_readers_of_one_account_and_mode_spend_from_one_budget():
    test, live = Scope("acct_1", False), Scope("acct_1", True)
    budget = shared_budget(test, "https://api.stripe.com", 20, 20)
    assert shared_budget(test, "https://api.stripe.com", 20, 20) is budget
    assert shared_budget(live, "https://api.stripe.com", 20, 20) is not budget


# --- slower after a 429, and with others ---------------------------------------------------------


def test_a_429_about_an_endpoint_slows_that_endpoint_alone_and_answers_bring_it_back():
    budget = RequestBudget(1_000, 100)
    assert budget.rate_of("list charges") == 100
    budget.heard("list charges", 429, "endpoint-rate")
    assert budget.rate_of("list charges") == 100 / 1.6
    assert budget.rate_of("list refunds") == 100
    for _ in range(95):
        budget.heard("list charges", 200, None)
    assert budget.rate_of("list charges") == 100


@pytest.mark.parametrize("reason", [None, "global-rate", "global-concurrency"])
def test_a_429_about_the_account_slows_every_endpoint(reason):
    budget = RequestBudget(100, 100)
    budget.heard("list charges", 429, reason)
    assert budget.rate_of("list refunds") == 100 / 1.6


def test_several_429s_at_once_are_one_storm():
    budget = RequestBudget(1_000, 100)
    for _ in range(20):
        budget.heard("list charges", 429, "endpoint-rate")
    assert budget.rate_of("list charges") == 100 / 1.6


def test_lists_that_are_read_at_once_share_the_account():
    budget = RequestBudget(100, 25)
    assert [budget.rate_of("list charges", sharing) for sharing in (1, 4, 8)] == [25, 25, 12.5]


def test_a_slowed_endpoint_lets_fewer_requests_through():
    budget = RequestBudget(1_000, 50)
    budget.heard("list charges", 429, "endpoint-rate")
    instants = _instants(budget, ["list charges"] * 50)
    assert _most_in_a_second(instants) <= 50 / 1.6 * 1.2 + 2


def test_tasks_of_one_loop_share_the_rate():
    async def all_at_once(budget: RequestBudget) -> list[float]:
        taken: list[float] = []

        async def ask() -> None:
            await budget.wait_async("list charges")
            taken.append(monotonic())

        await asyncio.gather(*(ask() for _ in range(35)))
        return sorted(taken)

    instants = asyncio.run(all_at_once(RequestBudget(500, 20)))
    assert _most_in_a_second(instants) <= 20 * 1.2 + 1


_TAKE = """
import sys, time
from pathlib import Path
from growth_pipeline.stripe_api.rate_limit import RequestBudget
budget = RequestBudget(1000, 20, folder=Path(sys.argv[1]), name="acct_1")
for _ in range(20):
    budget.wait("list charges")
    print(time.monotonic())
"""


def test_processes_of_one_machine_share_a_budget_by_its_folder(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    told = [process.communicate(timeout=60)[0] for process in processes]
    instants = sorted(float(line) for text in told for line in text.split())
    assert len(instants) == 60
    assert _most_in_a_second(instants) <= 20 * 1.2 + 1


def test_a_shared_budget_from_a_clock_that_was_set_back_is_forgotten(tmp_path):
    RequestBudget(1_000, 1, folder=tmp_path).wait("list charges")
    for file in tmp_path.iterdir():
        file.write_bytes((2**62).to_bytes(8, "little"))
    started = monotonic()
    RequestBudget(1_000, 1, folder=tmp_path).wait("list charges")
    assert monotonic() - started < 30


def test_a_folder_that_cannot_be_written_leaves_each_process_its_own_budget(tmp_path):
    (tmp_path / "limits").write_text("")
    budget = shared_budget(Scope("acct_1", False), "https://a", 500, 500, tmp_path / "limits")
    budget.wait("list charges")
