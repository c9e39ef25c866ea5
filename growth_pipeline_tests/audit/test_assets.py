"""The audit as Dagster runs it: a small Stripe, a real lake, engine and Postgres, planted faults."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import dagster as dg
import pytest

from growth_pipeline.audit.assets import findings, kept_reports, report
from growth_pipeline.audit.checks import GROUPS, check_report, findings_table
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.evidence import Frame
from growth_pipeline.audit.resources import remembering_store
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.assets import mirror, stripe_lists
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge, an_event

SCOPE = Scope("acct_1", False)
OCTOBER = Month(2025, 10)
NOW = datetime(2025, 11, 15, tzinfo=UTC)
NOON = 1_760_529_600  # 2025-10-15T12:00:00Z


def a_stripe_charge(id: str, **fields) -> dict:
    return a_charge(
        id,
        created=NOON,
        failure_code=None,
        invoice=None,
        customer=None,
        payment_intent=None,
        **fields,
    )


@pytest.fixture
def a_company(stripe, resources):
    """Three payments of 10.00 usd, which Stripe lists and whose events have arrived."""
    charges = [a_stripe_charge(f"ch_{number}") for number in (1, 2, 3)]
    stripe.objects["charges"] = charges
    for charge in charges:
        body = an_event("charge.succeeded", charge, id=f"evt_{charge['id']}", created=NOON)
        resources["billing_store"].insert_event(
            ReceivedEvent(
                "acct_1",
                False,
                f"evt_{charge['id']}",
                "charge.succeeded",
                NEW,
                NOW,
                NOW,
                "webhook",
                body,
            )
        )
    run([mirror], resources, month=None)
    run([stripe_lists], resources)


def run(assets, resources, month="2025-10"):
    needed = {key for asset in assets for key in asset.required_resource_keys}
    return dg.materialize(
        assets,
        partition_key=month,
        resources={key: resources[key] for key in needed if key in resources},
        raise_on_error=False,
        tags={VIA_TAG: "test"},
    )


def failed_checks(result) -> dict[str, tuple[str, str]]:
    return {
        one.check_name: (one.severity.value, one.description)
        for one in result.get_asset_check_evaluations()
        if not one.passed
    }


def made(result, key: str) -> dict:
    (event,) = result.asset_materializations_for_node(key)
    return {name: value.value for name, value in event.metadata.items()}


def execute(database, statement: str) -> None:
    with database.connection() as connection:
        connection.execute(statement)


def test_every_class_of_the_contract_is_in_exactly_one_check():
    grouped = [code for _, codes in GROUPS.values() for code in codes]
    assert sorted(grouped) == sorted(CODES)


def test_a_clean_month_passes_every_check(a_company, resources):
    result = run([findings], resources)
    assert result.success
    assert failed_checks(result) == {}
    checks = result.get_asset_check_evaluations()
    assert len(checks) == len(GROUPS) + 2, "the verdict, and the closed month"
    assert {check.partition for check in checks} == {"2025-10"}
    facts = made(result, "audit__findings")
    assert facts["verdict"] == "PASS"
    assert facts["money_difference_minor"] == {"usd": 0}


def test_planted_faults_fail_their_checks_with_the_exact_money_and_the_run_stays_green(
    a_company, resources, database
):
    execute(database, "delete from billing.payments where charge_id = 'ch_1'")
    execute(database, "update billing.payments set amount_minor = 1300 where charge_id = 'ch_2'")
    execute(database, "update billing.payments set refunded_minor = 250 where charge_id = 'ch_3'")
    result = run([findings], resources)
    assert result.success
    assert failed_checks(result) == {
        "settled_payments_are_booked": ("ERROR", "1 finding (missing_in_db 1), -10.00 usd"),
        "amounts_agree": ("ERROR", "1 finding (amount_mismatch 1), +3.00 usd"),
        "refunds_agree": ("ERROR", "1 finding (refund_excess 1), -2.50 usd"),
        "verdict": (
            "ERROR",
            "FAIL: 3 findings (missing_in_db 1, amount_mismatch 1, refund_excess 1), -9.50 usd",
        ),
    }
    facts = made(result, "audit__findings")
    assert facts["money_difference_minor"] == {"usd": -950}
    assert (facts["high"], facts["medium"], facts["low"]) == (3, 0, 0)
    stored = AuditStore(database).findings(SCOPE, OCTOBER)
    assert sorted(one.object_id for one in stored) == ["ch_1", "ch_2", "ch_3"]


def test_one_unit_of_rounding_is_a_warning(a_company, resources, database):
    execute(database, "update billing.payments set amount_minor = 1001 where charge_id = 'ch_2'")
    assert failed_checks(run([findings], resources)) == {
        "amounts_agree": ("ERROR", "1 finding (amount_rounding 1), +0.01 usd"),
        "verdict": ("WARN", "WARNING: 1 finding (amount_rounding 1), +0.01 usd"),
    }


def test_a_month_that_was_never_extracted_fails_its_check_and_not_its_run(resources):
    result = run([findings], resources)
    assert result.success
    failed = failed_checks(result)
    assert set(failed) == {"sources_are_complete", "verdict"}
    assert failed["sources_are_complete"][0] == "ERROR"
    assert made(result, "audit__findings")["counts"] == {"source_incomplete": 11}


def test_a_key_that_is_missing_is_not_needed_until_there_is_a_question(a_company, resources):
    def no_key():
        raise ConfigurationError("no key")

    resources["stripe"] = no_key
    assert failed_checks(run([findings], resources)) == {}


def test_the_report_shows_answer_picture_and_files(a_company, resources, database, lake):
    execute(database, "delete from billing.payments where charge_id = 'ch_1'")
    result = run([findings, report], resources)
    assert result.success
    facts = made(result, "audit__report")
    assert facts["report"].startswith("# Revenue audit 2025-10: FAIL")
    pictures = re.findall(r"\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", facts["report"])
    assert len(pictures) == 2, "the audit, and the trend of the last months"
    for picture in map(b64decode, pictures):
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 100_000
    assert sorted(facts["artifacts"]) == ["csv", "html", "json", "md"]
    answer = json.loads(lake.read_artifact(facts["artifacts"]["json"]))
    assert (answer["verdict"], answer["counts"]) == ("FAIL", {"missing_in_db": 1})
    assert [point["month"] for point in answer["trend"]] == ["2025-10"]
    assert AuditStore(database).latest(SCOPE, OCTOBER).artifacts == facts["artifacts"]


def test_a_cleaning_keeps_the_newest_report_and_says_when_one_is_gone(
    a_company, resources, database, lake
):
    resources["reports_keep"] = timedelta(days=90)
    run([findings], resources)
    facts = made(run([report], resources), "audit__report")
    resources["clock"] = lambda: datetime.now(UTC) + timedelta(days=4_000)
    cleaned = run([kept_reports], resources, month=None)
    assert failed_checks(cleaned) == {}
    assert made(cleaned, "audit__kept_reports")["removed"] == 0
    assert made(cleaned, "audit__kept_reports")["left_alone"] == {}
    assert lake.read_artifact(facts["artifacts"]["html"])

    (Path(lake.url) / facts["artifacts"]["html"]).unlink()
    assert set(failed_checks(run([kept_reports], resources, month=None))) == {
        "newest_and_good_reports_are_there"
    }


def test_a_cleaning_names_the_folders_of_accounts_that_this_database_does_not_know(
    a_company, resources, lake
):
    resources["reports_keep"] = timedelta(days=90)
    run([findings, report], resources)
    for name in ("1.md", "1.html"):
        lake.put_artifact(f"reports/audit/acct_9/live/2025-10/{name}", b"text")
    resources["clock"] = lambda: datetime.now(UTC) + timedelta(days=4_000)
    told = made(run([kept_reports], resources, month=None), "audit__kept_reports")
    assert told["left_alone"] == {"reports/audit/acct_9/live": 2}
    assert lake.read_artifact("reports/audit/acct_9/live/2025-10/1.md") == b"text"


def test_an_audit_of_older_data_leaves_checks_and_metadata_as_the_later_one_has_them(
    a_company, resources, database
):
    resources["clock"] = lambda: NOW - timedelta(days=2)
    execute(database, "update billing.payments set amount_minor = 1300 where charge_id = 'ch_2'")
    run([findings], resources)
    execute(database, "update billing.payments set amount_minor = 1000 where charge_id = 'ch_2'")
    resources["clock"] = lambda: NOW - timedelta(days=1)
    mended = run([findings], resources)
    assert failed_checks(mended) == {}
    assert made(mended, "audit__findings")["is_newest"] is True

    execute(database, "update billing.payments set amount_minor = 1300 where charge_id = 'ch_2'")
    resources["clock"] = lambda: NOW - timedelta(days=3)
    late = run([findings], resources)
    assert late.success
    assert failed_checks(late) == {}
    assert len(late.get_asset_check_evaluations()) == len(GROUPS) + 2
    told = made(late, "audit__findings")
    newest = AuditStore(database).latest(SCOPE, OCTOBER)
    assert (told["verdict"], told["is_newest"]) == ("PASS", False)
    assert told["audit_id"] == str(newest.audit_id) == made(mended, "audit__findings")["audit_id"]
    assert "as of 2025-11-12 00:00:00 UTC" in told["outrun"]
    assert f"audit {newest.audit_id} as of 2025-11-14 00:00:00 UTC" in told["outrun"]


def test_the_table_of_findings_shows_the_money_of_every_currency():
    impacts = {"eur": -2500, "jpy": 40}
    finding = Frame(SCOPE, OCTOBER).finding(
        "currency_mismatch", "charge", "ch_1", currency="eur", impacts=impacts, evidence={}
    )
    table = findings_table([finding], 50)
    (row,) = table.records
    assert [column.name for column in table.schema.columns][3:6] == [
        *("currency", "impact_minor", "impacts"),
    ]
    assert (row.data["currency"], row.data["impact_minor"]) == ("eur", "-2500")
    assert row.data["impacts"] == "eur -2500; jpy +40"
    (unknown,) = findings_table([replace(finding, impacts=None)], 50).records
    assert (unknown.data["impact_minor"], unknown.data["impacts"]) == ("unknown", "unknown")


def test_a_report_file_that_is_gone_or_changed_fails_its_check(lake):
    whole = lake.put_artifact(f"reports/{sha256(b'text').hexdigest()}.md", b"text").path
    assert check_report("id", {"md": whole}, lake).passed
    changed = lake.put_artifact("reports/0000.csv", b"text").path
    assert not check_report("id", {"md": whole, "csv": changed}, lake).passed
    assert not check_report("id", {"json": "reports/nowhere.json"}, lake).passed


def test_a_report_without_an_audit_is_one_sentence(resources):
    result = run([report], resources)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said.description == "2025-10 was not audited yet"
    assert "audit/findings" in said.metadata["remedy"].value


def test_a_dry_run_reports_what_it_found_and_keeps_nothing(a_company, resources, database):
    execute(database, "delete from billing.payments where charge_id = 'ch_1'")
    database.dry_run = True
    resources["audit_store"] = remembering_store(database)
    result = run([findings, report], resources)
    assert result.success
    assert "missing_in_db" in made(result, "audit__report")["report"]
    database.dry_run = False
    assert AuditStore(database).latest(SCOPE, OCTOBER) is None


def test_the_same_audit_again_closes_what_is_mended(a_company, resources, database):
    execute(database, "update billing.payments set amount_minor = 1300 where charge_id = 'ch_2'")
    run([findings], resources)
    execute(database, "update billing.payments set amount_minor = 1000 where charge_id = 'ch_2'")
    resources["clock"] = lambda: NOW + timedelta(minutes=1)
    assert failed_checks(run([findings], resources)) == {}
    assert AuditStore(database).findings(SCOPE, OCTOBER) == []
