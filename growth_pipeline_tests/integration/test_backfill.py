"""A backfill of the audit as Dagster's UI starts it: it ends, and shows failed checks, never crashes."""

import time

import httpx

# On the small demo that other files share; a backfill adds runs and changes no row of the books.

ASSETS = [["audit", "findings"], ["audit", "report"]]


def _ask(demo, query, **variables):
    answer = httpx.post(
        f"{demo.dagster}/graphql",
        json={"query": query, "variables": variables},
        timeout=30,
        trust_env=False,
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _launch(demo, months):
    data = _ask(
        demo,
        """mutation ($params: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
          }
        }""",
        params={
            "assetSelection": [{"path": path} for path in ASSETS],
            "partitionNames": months,
            "title": "audit again",
        },
    )["launchPartitionBackfill"]
    assert data["__typename"] == "LaunchBackfillSuccess", data
    return data["backfillId"]


def _wait(demo, backfill, seconds):
    deadline = time.monotonic() + seconds
    query = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
      ... on PartitionBackfill { status runs { status tags { key value } } } } }"""
    while True:
        state = _ask(demo, query, id=backfill)["partitionBackfillOrError"]
        if state["status"] not in {"REQUESTED", "CANCELING"}:
            return state
        assert time.monotonic() < deadline, state
        time.sleep(1)


def test_a_backfill_from_the_ui_ends_green_and_shows_what_the_audits_found(demo):
    months = demo.months()
    state = _wait(demo, _launch(demo, months), seconds=240)
    assert state["status"] == "COMPLETED_SUCCESS", state
    assert [run["status"] for run in state["runs"]] == ["SUCCESS"] * len(months)
    checks = _ask(
        demo,
        """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
          assetChecksOrError { ... on AssetChecks { checks {
            name executionForLatestMaterialization { status evaluation { success severity } }
          } } } } } }""",
        key={"path": ["audit", "findings"]},
    )["assetNodeOrError"]["assetChecksOrError"]["checks"]
    assert len(checks) >= 10
    evaluated = [check for check in checks if check["executionForLatestMaterialization"]]
    assert {check["executionForLatestMaterialization"]["status"] for check in evaluated} <= {
        "SUCCEEDED",
        "FAILED",
    }
