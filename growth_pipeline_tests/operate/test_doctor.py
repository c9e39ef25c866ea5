"""What the doctor says of Stripe's webhook endpoints and of modes."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.billing.sweep import LostSpan
from growth_pipeline.core.errors import ConfigurationError, ExitCode
from growth_pipeline.operate.doctor import (
    examine_engine,
    exit_code_of,
    judge_endpoints,
    judge_sweep,
)
from growth_pipeline.operate.home import bind_stripe_mode
from growth_pipeline.settings import Settings

VERSION = "2026-10-28.endive"
TYPES = ("charge.succeeded", "invoice.paid")


def an_endpoint(**fields):
    endpoint = {
        "id": "we_1",
        "object": "webhook_endpoint",
        "api_version": VERSION,
        "enabled_events": ["*"],
        "status": "enabled",
        "url": "https://app.example.test/webhooks/stripe",
    }
    return endpoint | fields


def judge(*endpoints):
    return list(judge_endpoints(endpoints, VERSION, TYPES))


def test_an_endpoint_pinned_to_our_version_is_in_order():
    (check,) = judge(an_endpoint())
    assert (check.state, check.fix) == ("ok", "")
    assert check.sentence == (
        "we_1 (app.example.test) is pinned to 2026-10-28.endive and sends what is applied"
    )
    (check,) = judge(
        an_endpoint(enabled_events=["invoice.paid", "charge.succeeded", "topup.failed"])
    )
    assert check.state == "ok"


@pytest.mark.parametrize(
    ("fields", "state", "said"),
    [
        ({"api_version": None}, "warn", "is not pinned"),
        ({"api_version": "2026-06-24.dahlia"}, "warn", "pinned to 2026-06-24.dahlia"),
        ({"api_version": "2027-04-01.fennel"}, "fail", "2027-04-01.fennel, which is not known"),
        ({"api_version": "2019-05-16"}, "fail", "2019-05-16, which is not known"),
        ({"status": "disabled"}, "fail", "is disabled"),
        (
            {"enabled_events": ["charge.succeeded"]},
            "warn",
            "leaves out 1 types, the first is invoice.paid",
        ),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_said_with_a_fix(fields, state, said):
    (check,) = judge(an_endpoint(**fields))
    assert check.state == state
    assert said in check.sentence
    assert check.fix
    assert exit_code_of([check]) == (ExitCode.CONFIGURATION if state == "fail" else ExitCode.DONE)


def test_only_endpoints_that_send_to_our_route_are_judged_each_for_itself():
    others = an_endpoint(id="we_2", url="https://shop.example.test/hooks", api_version=None)
    old = an_endpoint(id="we_3", url="https://old.example.test/webhooks/stripe/", api_version=None)
    checks = judge(an_endpoint(), others, old)
    assert [check.state for check in checks] == ["ok", "warn"]
    assert "we_3" in checks[1].sentence
    assert "remove we_3" in checks[1].fix


@pytest.mark.parametrize("endpoints", [[], [an_endpoint(url="https://shop.example.test/hooks")]])
def test_without_an_endpoint_of_ours_the_doctor_says_how_to_make_one(endpoints):
    (check,) = judge(*endpoints)
    assert check.state == "warn"
    assert "/webhooks/stripe in API version 2026-10-28.endive" in check.fix


def computed_on(url, lake="s3://bucket/lake"):
    return Settings(engine={"backend": "spark", "url": url}, lake_url=lake)


def test_the_doctor_says_where_the_cluster_answers_and_never_its_token():
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"127.0.0.1:{there.getsockname()[1]}"
        (check,) = examine_engine(computed_on(f"sc://{address}/;token=hush"))
        assert (check.state, check.sentence) == ("ok", f"a Spark cluster answers at {address}")
        found, lake = examine_engine(computed_on(f"spark://{address}", lake="/var/lake"))
    assert (found.state, lake.state) == ("ok", "warn")
    assert "every worker" in lake.fix


def test_the_doctor_says_what_to_do_about_a_cluster_that_does_not_answer():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening: every connection is refused
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"answers at {address}") as caught:
            list(examine_engine(computed_on(f"sc://{address}/;token=hush")))
    assert "GROWTH_ENGINE__URL" in caught.value.remedy
    assert "hush" not in caught.value.message + caught.value.remedy


def test_the_doctor_says_nothing_of_clusters_where_none_is_named():
    assert list(examine_engine(Settings())) == []


def settings_with(key):
    return Settings(_env_file=None, stripe={"api_key": key} if key else {})


def test_a_command_with_a_key_of_the_other_mode_is_stopped_at_the_door(database_url):
    bind_stripe_mode(database_url, settings_with(None))
    bind_stripe_mode(database_url, settings_with("rk_live_GrowthCanary1"))
    bind_stripe_mode(database_url, settings_with("sk_live_GrowthCanary2"))
    with pytest.raises(ConfigurationError, match="holds live-mode rows") as caught:
        bind_stripe_mode(database_url, settings_with("rk_test_GrowthCanary3"))
    assert "GrowthCanary" not in str(caught.value) + caught.value.remedy


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("minutes_ago", "lost", "every", "state", "said"),
    [
        (59, [], 60, "ok", "swept 59 minutes ago"),
        (180, [], 60, "ok", "swept 180 minutes ago"),
        (181, [], 60, "warn", "swept 181 minutes ago"),
        (None, [], 60, "warn", "never swept"),
        (None, [], 0, "warn", "switched off"),
        (5, [LostSpan(NOON - 40 * DAY, NOON - 29 * DAY)], 60, "fail", "since 2029-11-22 12:00"),
    ],
)
def test_the_doctor_says_when_the_events_were_swept_last(minutes_ago, lost, every, state, said):
    finished_at = None if minutes_ago is None else NOON - timedelta(minutes=minutes_ago)
    check = judge_sweep(finished_at, lost, NOON, minutes=every)
    assert (check.state, bool(check.fix)) == (state, state != "ok")
    assert said in check.sentence
