"""A backfill as Dagster's UI starts it: through the UI's own door."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx

from growth_pipeline_tests.fakes.running_demo import RunningDemo


def ask(demo: RunningDemo, query: str, **variables: Any) -> dict[str, Any]:
    """The answer to a question in GraphQL."""
    answer = httpx.post(
        f"{demo.dagster}/graphql",
        json={"query": query, "variables": variables},
        timeout=30,
        trust_env=False,
    ).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def launch_backfill(demo: RunningDemo, assets: Sequence[str], months: Sequence[str]) -> str:
    """Start a backfill of these assets ("billing/mirror") over these months; its id."""
    data = ask(
        demo,
        """mutation ($params: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
          }
        }""",
        params={
            "assetSelection": [{"path": key.split("/")} for key in assets],
            "partitionNames": list(months),
            "title": "again",
        },
    )["launchPartitionBackfill"]
    assert data["__typename"] == "LaunchBackfillSuccess", data
    return str(data["backfillId"])


def wait_for_backfill(demo: RunningDemo, backfill: str, *, seconds: float) -> dict[str, Any]:
    """The backfill once it has ended: its status, and the runs with theirs."""
    deadline = time.monotonic() + seconds
    query = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
      ... on PartitionBackfill { status runs { id status tags { key value } } } } }"""
    while True:
        state: dict[str, Any] = ask(demo, query, id=backfill)["partitionBackfillOrError"]
        if state["status"] not in {"REQUESTED", "CANCELING"}:
            return state
        assert time.monotonic() < deadline, state
        time.sleep(1)
