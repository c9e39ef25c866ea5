"""The ledger of contracts: what customers agreed to, told by their lives and not by Stripe."""

from collections import Counter
from pathlib import Path

import httpx
import orjson

from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.store import Store
from growth_pipeline_tests.sandbox.conftest import AS_OF


def contracts_of(path: Path, **options) -> list[dict]:
    store = Store(path)
    build(Company(as_of=AS_OF, **options), store)
    found = list(store.contracts())
    store.close()
    return found


def test_every_subscription_has_a_contract_that_began(store: Store, objects):
    began = {row["contract_id"] for row in store.contracts() if row["what"] == "began"}
    assert began == {one["id"] for one in objects["subscriptions"]}


def test_a_contract_that_is_not_over_agrees_to_what_stripe_lists(store: Store, objects):
    agreed = {}
    for row in store.contracts():
        if "items" in row:
            agreed[row["contract_id"]] = {one["item"]: one["quantity"] for one in row["items"]}
    for one in objects["subscriptions"]:
        if one["status"] not in {"canceled", "incomplete_expired"} and not one["items"]["has_more"]:
            listed = {item["id"]: item["quantity"] for item in one["items"]["data"]}
            assert agreed[one["id"]] == listed


def test_the_last_state_of_a_contract_is_that_of_its_subscription(store: Store, objects):
    words = {"trialing": "trial", "canceled": "ended", "incomplete_expired": "ended"}
    last = {row["contract_id"]: row["state"] for row in store.contracts() if row["what"] == "state"}
    for one in objects["subscriptions"]:
        assert last[one["id"]] == words.get(one["status"], one["status"])


def test_a_company_of_variety_does_everything_that_contracts_allow(tmp_path):
    rows = contracts_of(tmp_path / "c.sqlite", variety=True, customers=60, months=14)
    counts = Counter(row["what"] for row in rows)
    states = {row["state"] for row in rows if row["what"] == "state"}
    levels = {row["level"] for row in rows if row["what"] == "given"}
    intervals = {item["price"]["interval"] for row in rows for item in row.get("items", ())}
    assert min(counts[one] for one in ("given", "taken", "collection", "cancels")) > 0
    every = {"incomplete", "trial", "active", "past_due", "paused", "ended", "unpaid"}
    assert states == every
    assert levels == {"item", "contract", "customer"}
    assert intervals == {"day", "week", "month", "year"}


def test_the_same_seed_tells_the_same_contracts_and_another_others(tmp_path):
    options = {"variety": True, "customers": 5, "months": 3}
    first = contracts_of(tmp_path / "a.sqlite", seed=4, **options)
    assert first == contracts_of(tmp_path / "b.sqlite", seed=4, **options)
    assert first != contracts_of(tmp_path / "c.sqlite", seed=5, **options)


def test_contracts_are_shown_one_a_line(api: httpx.Client, store: Store):
    answer = api.get("/_sandbox/contracts", headers={"X-Sandbox-Key": "rk_test_sandbox"})
    assert [orjson.loads(line) for line in answer.iter_lines()] == list(store.contracts())
