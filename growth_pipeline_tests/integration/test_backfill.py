"""A backfill of the audit as Dagster's UI starts it: it ends, and shows failed checks, never crashes."""

from growth_pipeline_tests.fakes.dagster_backfill import ask, launch_backfill, wait_for_backfill

# On the small demo that other files share; a backfill adds runs and changes no row of the books.

ASSETS = ["audit/findings", "audit/report"]


def test_a_backfill_from_the_ui_ends_green_and_shows_what_the_audits_found(demo):
    months = demo.months()
    state = wait_for_backfill(demo, launch_backfill(demo, ASSETS, months), seconds=240)
    assert state["status"] == "COMPLETED_SUCCESS", state
    assert [run["status"] for run in state["runs"]] == ["SUCCESS"] * len(months)
    checks = ask(
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
