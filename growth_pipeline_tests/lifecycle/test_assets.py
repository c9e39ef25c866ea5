"""Lifecycle in Dagster: what a run does, what its checks see, and when it runs."""

import socket
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import psycopg
import pytest

from growth_pipeline.alerts.assets import outbox
from growth_pipeline.alerts.decide import AlertPolicy
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.definitions import defs
from growth_pipeline.lifecycle.assets import engagement_scores, messages, score_backtest, stages
from growth_pipeline.lifecycle.choice import HealthLimits, KitChoice
from growth_pipeline.lifecycle.journeys.model import (
    DoesEvent,
    EntersStage,
    Journey,
    SendingPolicy,
    Step,
)
from growth_pipeline_tests.fakes.kit_outbox import KEY, kit_account
from growth_pipeline_tests.fakes.untold_reports import Reports
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company

FIRST = date(2026, 3, 1)
NOW = datetime(2026, 3, 21, 12, tzinfo=UTC)
HELLO = Journey(
    name="hello",
    version=1,
    trigger=EntersStage("activated"),
    steps=(Step("welcome", timedelta(), tag="growth/hello/welcome"),),
    starts_on=FIRST,
    goal=DoesEvent("Report Viewed"),
)
DRY = KitChoice(send=False, why_not="nothing is sent until GROWTH_LIFECYCLE_SEND=true")


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


@pytest.fixture
def materialize(database, lake):
    def run(*assets, kit=DRY, now=NOW, partition=None, config=None, instance=None):
        chosen = list(assets) or [stages, messages]
        return dg.materialize(
            chosen,
            partition_key=partition,
            instance=instance,
            resources={
                "database": database,
                "lake": lake,
                "scopes": [SCOPE],
                "lifecycle_rules": RULES,
                "journeys": (HELLO,),
                "sending_policy": SendingPolicy(quiet_from=time(0), quiet_until=time(0)),
                "kit_choice": kit,
                "health_limits": HealthLimits(),
                "clock": lambda: now,
            },
            run_config=config or {},
            raise_on_error=False,
            tags={VIA_TAG: "test"},  # a person waits: a failed step is not tried again
        )

    return run


def told(result, asset):
    (made,) = result.asset_materializations_for_node(f"lifecycle__{asset}")
    return {name: value.value for name, value in made.metadata.items()}


def failing(result):
    return {one.check_name for one in result.get_asset_check_evaluations() if not one.passed}


def query(url, statement, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else None


def activate(company, user, day):
    company.sign_up(user, FIRST)
    company.use(user, "Project Created", day)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def insert_message(url, *, user=1, message="a/b", state="sent", called="now()", **more):
    columns = {
        "user_key": f"sha256('{user}-{message}'::bytea)",
        "user_number": str(user),
        "message": f"'{message}'",
        "journey": "'a'",
        "version": "1",
        "step": "'b'",
        "action": "'tag'",
        "target": "'t'",
        "priority": "1",
        "basis": "'consent'",
        "trigger_at": "now()",
        "due_at": called,
        "late_at": "now()",
        "state": f"'{state}'",
        "called_at": called,
        "sent_at": called,
        **more,
    }
    query(
        url,
        f"insert into lifecycle.outbox ({', '.join(columns)}) values ({', '.join(columns.values())})",
    )


# --- what a run does ------------------------------------------------------------------------------


def test_a_run_decides_stages_and_tells_what_it_would_send_and_keeps_none_of_it(
    company, materialize, database_url
):
    activate(company, "ann", date(2026, 3, 20))
    company.sign_up("bob", FIRST)
    result = materialize()
    assert result.success
    assert failing(result) == set()
    first = told(result, "stages")
    assert (first["decided_on"], first["looked_at"], first["written"]) == ("2026-03-20", 2, 3)
    plan = told(result, "messages")
    assert plan["is_dry_run"]
    assert plan["why_nothing_is_sent"] == DRY.why_not
    assert (plan["entered"], plan["messages"]) == ({"hello": 1}, {"hello/welcome": 1})
    assert query(database_url, "select count(*) from lifecycle.outbox") == [(0,)]
    assert query(database_url, "select count(*) from lifecycle.enrolments") == [(0,)]


def test_the_next_run_looks_at_nobody(company, materialize):
    activate(company, "ann", date(2026, 3, 20))
    materialize()
    assert told(materialize(), "stages")["looked_at"] == 0


def test_everything_read_anew_gives_the_same_stages(company, materialize):
    activate(company, "ann", date(2026, 3, 20))
    materialize()
    before = company.transitions("ann")
    again = materialize(config={"ops": {"lifecycle__stages": {"config": {"anew": True}}}})
    assert told(again, "stages")["anew"]
    assert told(again, "stages")["written"] == 0
    assert company.transitions("ann") == before


def test_once_sending_is_on_a_message_goes_out_and_no_second_run_repeats_it(
    company, materialize, database_url
):
    now = datetime.now(UTC)  # what is late is told by the database's clock
    company.sign_up("ann", now.date() - timedelta(days=3))
    company.use("ann", "Project Created", now.date() - timedelta(days=1))
    materialize(now=now)
    query(
        database_url,
        "insert into activity.told_users (user_key, user_id, email)"
        " values (activity.user_key('ann'), 'ann', 'ann@example.com')"
        " on conflict (user_key) do update set email = excluded.email",
    )
    with kit_account() as (account, base):
        kit = KitChoice(send=True, key=KEY, base=base, allow_loopback=True)
        account.add("ann@example.com", "active")
        done = [told(materialize(kit=kit, now=now), "messages") for _ in range(3)]
    assert [one["is_dry_run"] for one in done] == [False] * 3
    assert [one["sent"] for one in done] == [1, 0, 0], done
    outbox = query(database_url, "select message, state from lifecycle.outbox")
    assert outbox == [("hello/welcome", "sent")]


def test_scores_of_a_day_are_counted_by_stage_and_band(company, materialize, database_url):
    activate(company, "ann", date(2026, 3, 20))
    company.sign_up("bob", FIRST)
    materialize(stages)
    result = materialize(engagement_scores, partition="2026-03-20")
    assert result.success
    assert failing(result) == set()
    scored = told(result, "engagement_scores")
    assert scored["dagster/row_count"] == 2
    assert scored["stages"] == {"activated": 1, "signed_up": 1}
    assert sum(scored["bands"].values()) == 2
    assert query(
        database_url, "select day, stage, users from lifecycle.stage_days order by stage"
    ) == [(date(2026, 3, 20), "activated", 1), (date(2026, 3, 20), "signed_up", 1)]


def test_a_day_that_is_not_decided_fails_with_what_to_do(company, materialize):
    company.sign_up("bob", FIRST)
    materialize(stages)
    result = materialize(engagement_scores, partition="2026-03-21")
    assert not result.success
    failure = result.failure_data_for_node("lifecycle__engagement_scores").user_failure_data
    assert "cannot be scored" in failure.description
    assert "growth lifecycle run" in failure.metadata["remedy"].value


def test_a_back_test_without_history_says_so(company, materialize):
    company.sign_up("bob", date(2026, 3, 19))
    materialize(stages)
    result = materialize(score_backtest)
    assert result.success
    assert "nothing to hold the score against" in told(result, "score_backtest")["backtest"]
    assert failing(result) == set()


# --- what checks see ------------------------------------------------------------------------------


def test_more_messages_than_the_cap_allows_are_seen(company, materialize, database_url):
    company.sign_up("ann", FIRST)
    for number in range(3):
        insert_message(database_url, message=f"a/{number}")
    assert "caps_are_kept" in failing(materialize())


def test_two_messages_in_a_week_are_no_fault(company, materialize, database_url):
    company.sign_up("ann", FIRST)
    for number in range(2):
        insert_message(database_url, message=f"a/{number}")
    assert failing(materialize()) == set()


def test_a_call_after_a_suppression_is_seen_and_one_before_it_is_not(
    company, materialize, database_url
):
    company.sign_up("ann", FIRST)
    known_as = "lifecycle.address_hash('ann@example.com')"
    insert_message(database_url, address_hash=known_as, called="now() - interval '1 hour'")
    query(database_url, f"select lifecycle.suppress({known_as}, 'unsubscribed', 'page')")
    assert failing(materialize()) == set()
    insert_message(
        database_url, address_hash=known_as, message="a/late", called="clock_timestamp()"
    )
    assert failing(materialize()) == {"nobody_mailed_after_suppression"}


@pytest.mark.parametrize(
    ("reason", "check"), [("bounced", "bounce_rate"), ("complained", "complaint_rate")]
)
def test_two_faults_of_ten_addresses_are_an_error_and_one_is_chance(
    reason, check, company, materialize, database_url
):
    company.sign_up("ann", FIRST)
    for number in range(10):
        known_as = f"lifecycle.address_hash('u{number}@example.com')"
        earlier = "now() - interval '2 hours'"
        insert_message(database_url, user=number + 10, address_hash=known_as, called=earlier)
        if number == 0:
            query(database_url, f"select lifecycle.suppress({known_as}, '{reason}', 'kit')")
    assert failing(materialize()) == set()
    second = "lifecycle.address_hash('u1@example.com')"
    query(database_url, f"select lifecycle.suppress({second}, '{reason}', 'kit')")
    result = materialize()
    assert failing(result) == {check}
    (seen,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert seen.severity is dg.AssetCheckSeverity.ERROR
    assert "2 of 10" in seen.description


def test_too_many_bounces_are_told_as_an_alert(company, materialize, database, database_url):
    company.sign_up("ann", FIRST)
    for number in range(10):
        known_as = f"lifecycle.address_hash('u{number}@example.com')"
        earlier = "now() - interval '2 hours'"
        insert_message(database_url, user=number + 10, address_hash=known_as, called=earlier)
        if number < 2:
            query(database_url, f"select lifecycle.suppress({known_as}, 'bounced', 'kit')")
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance=instance)
        assert dg.materialize(
            [outbox],
            instance=instance,
            run_config={"ops": {"alerts__outbox": {"config": {"run_id": result.run_id}}}},
            resources={
                "alert_store": AlertStore(database),
                "alert_channels": [],
                "alert_policy": AlertPolicy(escalate_after_days=0, audit_hours=0),
                "report_outlet": Reports(),
                "dagster_url": "http://dagster",
                "clock": lambda: datetime.now(UTC),
            },
        ).success
    told = query(database_url, "select title from alerts.outbox where kind <> 'heartbeat'")
    assert any("bounce_rate" in title for (title,) in told), told


def test_a_parked_message_is_a_warning_that_names_the_command(company, materialize, database_url):
    company.sign_up("ann", FIRST)
    insert_message(database_url, state="parked")
    result = materialize()
    (seen,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (seen.check_name, seen.severity) == ("outcomes_are_known", dg.AssetCheckSeverity.WARN)
    assert "growth lifecycle outbox --state parked" in seen.description


def test_a_kit_that_does_not_answer_is_a_warning_and_fails_no_run(company, materialize):
    company.sign_up("ann", FIRST)
    nobody = KitChoice(
        send=True, key=KEY, base=f"http://127.0.0.1:{free_port()}/v4", allow_loopback=True
    )
    result = materialize(kit=nobody)
    assert result.success
    (seen,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (seen.check_name, seen.severity) == ("kit_answers", dg.AssetCheckSeverity.WARN)
    assert KEY not in str(seen)


def test_a_user_without_a_stage_is_seen(company, materialize, database_url):
    company.sign_up("ann", FIRST)
    company.sign_up("bob", FIRST)
    materialize(stages)
    query(database_url, "delete from lifecycle.users where user_number = 1")
    result = materialize(engagement_scores, partition="2026-03-20")
    assert "one_stage_each" in failing(result)


# --- when -----------------------------------------------------------------------------------------


def test_stages_and_messages_run_every_hour_and_scores_once_a_day():
    hourly = defs.resolve_schedule_def("hourly_lifecycle_schedule")
    assert (hourly.cron_schedule, hourly.execution_timezone) == ("17 * * * *", "UTC")
    assert {
        key.to_user_string()
        for key in defs.resolve_job_def("lifecycle_job").asset_layer.executable_asset_keys
    } == {
        "lifecycle/stages",
        "lifecycle/messages",
    }
    daily = defs.resolve_schedule_def("daily_scores_schedule")
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 3, 21, 13, tzinfo=UTC),
        repository_def=defs.get_repository_def(),
    )
    (asked,) = daily.evaluate_tick(context).run_requests
    assert asked.partition_key == "2026-03-20"


def test_messages_are_never_tried_again_by_dagster_itself():
    assert messages.op.retry_policy is None
