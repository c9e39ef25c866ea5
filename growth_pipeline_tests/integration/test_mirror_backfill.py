"""A year brought into the mirror as Dagster's UI does it: one backfill over twelve months."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from growth_pipeline.billing.objects import BACKFILLED
from growth_pipeline_tests.fakes.dagster_backfill import ask, launch_backfill, wait_for_backfill
from growth_pipeline_tests.fakes.running_demo import own_demo

# A demo of its own: this backfill repairs what was planted for the others to find.
YEAR = ["--months", "13", "--customers", "12", "--port", "0", "--dagster-port", "0"]


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    folder = tmp_path_factory.mktemp("year")
    with own_demo(folder, *YEAR) as demo:
        yield demo


def charges_at_stripe(demo, months) -> set[str]:
    """Ids of all charges that Stripe lists, of the given months, page by page."""
    variables = demo.variables()
    headers = {"Authorization": f"Bearer {variables['GROWTH_STRIPE__API_KEY']}"}
    found: list[dict] = []
    with httpx.Client(
        base_url=variables["GROWTH_STRIPE__API_BASE"], headers=headers, trust_env=False
    ) as client:
        params = {"limit": 100}
        while True:
            page = client.get("/v1/charges", params=params).raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                break
            params["starting_after"] = found[-1]["id"]
    start, end = months_between(months)
    return {charge["id"] for charge in found if start <= charge["created"] < end}


def months_between(months) -> tuple[int, int]:
    from growth_pipeline.core.periods import Month

    first, last = Month.parse(months[0]), Month.parse(months[-1])
    return int(first.start.timestamp()), int(last.end.timestamp())


def charges_in_the_books(demo, months) -> set[str]:
    start, end = months_between(months)
    with psycopg.connect(demo.variables()["GROWTH_DATABASE_URL"]) as connection:
        rows = connection.execute(
            """select charge_id from billing.payments where written_by = 'mirror'
            and created_at >= to_timestamp(%s) and created_at < to_timestamp(%s)""",
            [start, end],
        ).fetchall()
    return {charge for (charge,) in rows}


def test_a_backfill_of_a_year_brings_every_charge_into_the_books_in_a_run_a_step(year):
    months = year.months()[:12]
    assert len(months) == 12
    wanted = charges_at_stripe(year, months)
    lost = wanted - charges_in_the_books(year, months)
    assert lost, "the demo lost some events on purpose"
    extracts = [f"billing/{name}_extract" for name in BACKFILLED]

    backfill = launch_backfill(year, [*extracts, "billing/mirror_backfill"], months)
    state = wait_for_backfill(year, backfill, seconds=240)

    assert state["status"] == "COMPLETED_SUCCESS", state
    # Lists by month, lists without months, and the mirror: never a run for each month.
    assert [run["status"] for run in state["runs"]] == ["SUCCESS"] * 3
    assert charges_in_the_books(year, months) == wanted
    node = ask(
        year,
        """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
          partitionStats { numMaterialized numFailed }
          assetChecksOrError { ... on AssetChecks { checks {
            name executionForLatestMaterialization { status } } } }
          assetMaterializations(limit: 1) { metadataEntries { label
            ... on MarkdownMetadataEntry { mdStr } } }
        } } }""",
        key={"path": ["billing", "mirror_backfill"]},
    )["assetNodeOrError"]
    assert node["partitionStats"] == {"numMaterialized": 12, "numFailed": 0}
    (check,) = node["assetChecksOrError"]["checks"]
    assert check["executionForLatestMaterialization"]["status"] == "SUCCEEDED"
    pages = [
        entry["mdStr"]
        for entry in node["assetMaterializations"][0]["metadataEntries"]
        if entry["label"] == "report"
    ]
    assert pages[0].startswith(f"# Backfill {months[0]} to {months[-1]}: applied")
