"""`growth lifecycle …`: what a person sees, what a script gets, and that no address shows."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.choice import rules_of
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.operate.doctor import examine_lifecycle, judge_lifecycle
from growth_pipeline.settings import LifecycleSettings, Settings
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.kit_outbox import fill_outbox
from growth_pipeline_tests.fakes.running_demo import GROWTH, plain_environment
from growth_pipeline_tests.lifecycle.lifecycle_company import SCOPE, Company

TODAY = datetime.now(UTC).date()
RULES = rules_of(LifecycleSettings(), tz="UTC", policies=["growth"])
ROWS = ("1", "2a", "2b", "2c", "2d", "3", "4", "5", "6", "7", "8", "9", "10", "11")


def ago(count):
    return TODAY - timedelta(days=count)


@pytest.fixture
def company(database, database_url):
    """Ann signed up 20 days ago, made a project two days later, and was there yesterday."""
    made = Company(database_url)
    made.sign_up("ann", ago(20))
    made.use("ann", "Project Created", ago(18))
    made.use("ann", "Report Viewed", ago(1))
    made.sign_up("bob", ago(40))
    refresh_stages(database, [SCOPE], RULES, now=datetime.now(UTC))
    made.connection.execute(
        "insert into activity.told_users (user_key, user_id, email)"
        " values (activity.user_key('ann'), 'ann', 'ann@example.com')"
        " on conflict (user_key) do update set email = excluded.email"
    )
    yield made
    made.close()


@pytest.fixture
def growth(database_url, tmp_path):
    environment = {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
        "GROWTH_LIFECYCLE_SEND": "false",
    }

    def run(*words, code=0):
        done = CliRunner().invoke(app, ["lifecycle", *words], env=environment)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return run


@pytest.fixture
def refused(database_url, tmp_path):
    """The error of a command that is refused."""
    environment = {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(tmp_path / "state")}

    def run(*words):
        done = CliRunner().invoke(app, ["lifecycle", *words], env=environment)
        assert isinstance(done.exception, UsageError), done.output
        return done.exception

    return run


# --- explain --------------------------------------------------------------------------------------


def test_explain_tells_of_every_rule_whether_it_is_true_and_which_decides(company, growth):
    told = growth("explain", "ann", "--json")
    assert (told["user"], told["day"], told["stage"], told["row"]) == (
        *("ann", ago(1).isoformat(), "activated", "10"),
    )
    assert tuple(row["row"] for row in told["rows"]) == ROWS
    assert {row["row"] for row in told["rows"] if row["is_true"]} == {"10", "11"}
    (decisive,) = [row for row in told["rows"] if row["decides"]]
    assert decisive["evidence"]["activated_on"] == ago(18).isoformat()


def test_explain_tells_what_adds_what_to_the_score(company, growth):
    score = growth("explain", "ann", "--json")["score"]
    assert [part["of"] for part in score["parts"]] == [40, 35, 25]
    assert sum(part["points"] for part in score["parts"]) == score["value"] > 0
    recency = score["parts"][1]
    assert (recency["share"], recency["points"]) == (1.0, 35)  # was there on the day itself
    assert score["is_young"]


def test_explain_of_an_earlier_day_knows_nothing_later(company, growth):
    told = growth("explain", "ann", "--day", ago(19).isoformat(), "--json")
    assert (told["stage"], told["row"]) == ("signed_up", "11")
    assert told["facts"]["features_last_used_on"] == {}


def test_explain_shows_the_history_with_its_evidence(company, growth):
    told = growth("explain", "ann", "--json")["transitions"]
    assert [(one["day"], one["from_stage"], one["to_stage"]) for one in told] == [
        (ago(20).isoformat(), None, "signed_up"),
        (ago(18).isoformat(), "signed_up", "activated"),
    ]
    assert [one["evidence"]["row"] for one in told] == ["11", "10"]


def test_explain_marks_what_later_facts_made_untrue(company, growth, database):
    now = datetime.now(UTC)
    late = datetime.combine(ago(19), datetime.min.time(), UTC) + timedelta(hours=12)
    company.tell("ann", "Project Created", late, received=now)
    refresh_stages(database, [SCOPE], RULES, now=now + timedelta(minutes=1))
    page = growth("explain", "ann")
    assert f"{ago(18)}  signed_up -> activated (row 10)" in page
    (line,) = [line for line in page.splitlines() if line.startswith(f"  {ago(18)}  signed_up")]
    assert line.endswith("(no longer true)")
    assert f"  {ago(19)}  signed_up -> activated (row 10)" in page


def test_explain_shows_journeys_messages_and_suppression_and_no_address(
    company, growth, database_url
):
    fill_outbox(database_url)
    growth("suppress", "ann@example.com", "--reason", "unsubscribed")
    page = growth("explain", "ann")
    assert "welcome/hello  pending" in page
    assert "Suppressed: unsubscribed since" in page
    told = growth("explain", "ann", "--json")
    assert [one["message"] for one in told["messages"]] == ["welcome/hello"]
    assert [one["reason"] for one in told["suppressions"]] == ["unsubscribed"]
    assert "ann@example.com" not in page + json.dumps(told)
    hashed = company.rows("select encode(lifecycle.address_hash('ann@example.com'), 'hex')")
    assert hashed[0][0] not in page + json.dumps(told)


def test_who_has_no_address_is_said_to_get_nothing(company, growth):
    assert "none is known, so nothing can be sent" in growth("explain", "bob")


@pytest.mark.parametrize(
    ("user", "remedy"),
    [
        ("nobody", "identify calls"),
        ("ann@example.com", "nobody is known here by an address"),
        ("cus_1", "not Stripe's id"),
    ],
)
def test_an_unknown_user_is_told_which_id_is_meant(company, refused, user, remedy):
    error = refused("explain", user)
    assert remedy in error.remedy
    assert "@" not in str(error)


def test_before_the_first_run_explain_says_that_one_is_needed(refused):
    assert "growth lifecycle run" in refused("explain", "ann").remedy


def test_an_excluded_user_is_said_to_be_excluded(company, refused):
    company.connection.execute(
        "insert into activity.excluded_users (user_key, reason)"
        " values (activity.user_key('ann'), 'internal')"
    )
    assert "excluded" in str(refused("explain", "ann"))


def test_days_that_are_not_over_or_lie_before_the_user_are_refused(company, refused):
    assert "is not over" in str(refused("explain", "ann", "--day", TODAY.isoformat()))
    assert str(ago(20)) in str(refused("explain", "ann", "--day", ago(30).isoformat()))
    assert "2026-10-31" in refused("explain", "ann", "--day", "yesterday").remedy


# --- journeys, preview, lift ----------------------------------------------------------------------

FILE = """
from datetime import date, timedelta
from growth_pipeline.lifecycle.journeys.model import EntersStage, Journey, Step

JOURNEYS = [
    Journey(
        name="hello", version=1, trigger=EntersStage("activated"), starts_on=date(2020, 1, 1),
        steps=(Step("welcome", timedelta(days=1), tag="growth/hello"),),
        goal=EntersStage("paying"),
    )
]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "journeys.py"
    path.write_text(FILE)
    return path


def test_journeys_are_listed_and_a_file_is_checked(growth, refused, file, tmp_path):
    names = [one["journey"] for one in growth("journeys", "--json")]
    assert names == ["activation@1", "trial@1", "at-risk@1", "winback@1", "dormant@1"]
    assert "hello@1" in growth("journeys", "--file", str(file))
    wrong = tmp_path / "wrong.py"
    wrong.write_text(FILE.replace('"activated"', '"active"'))
    assert "there is no stage 'active'" in str(refused("journeys", "--file", str(wrong)))


def test_a_preview_tells_who_would_have_got_what_and_keeps_nothing(company, growth, file):
    told = growth("preview", "--journeys", str(file), "--json")
    assert (told["first"], told["last"]) == (ago(30).isoformat(), ago(1).isoformat())
    assert told["entered"] == {"hello": 1}
    assert told["messages"] == {"hello/welcome": 1}
    assert [one["user"] for one in told["who_gets_what"]] == ["ann"]
    assert told["audience_difference"]["hello"] == {"only_new": 1, "only_old": 0, "both": 0}
    assert company.rows("select count(*) from lifecycle.enrolments") == [(0,)]
    assert "hello: 1 only here" in growth("preview", "--journeys", str(file))


def test_a_preview_of_days_that_are_not_over_is_refused(company, refused):
    assert "is not over" in str(refused("preview", "--to", TODAY.isoformat()))


def test_lift_has_a_row_for_each_journey_with_a_goal(company, growth):
    told = growth("lift", "--json")
    assert [one["journey"] for one in told] == [
        *("activation", "trial", "at-risk", "winback", "dormant"),
    ]
    assert all(one["too_few"] for one in told)
    assert "nothing to compare" in growth("lift")


# --- outbox ---------------------------------------------------------------------------------------


def test_the_outbox_lists_what_is_not_over_and_a_person_decides_what_is_parked(
    company, growth, refused, database_url
):
    fill_outbox(database_url)
    company.connection.execute(
        "update lifecycle.outbox set state = 'parked', reason = 'nobody knows' where user_number = 1"
    )
    told = growth("outbox", "--json")
    assert (told["counts"]["parked"], told["counts"]["pending"]) == (1, 1)
    (parked,) = growth("outbox", "--state", "parked", "--json")["messages"]
    assert (parked["message"], parked["reason"]) == ("welcome/hello", "nobody knows")
    growth("outbox", "decide", str(parked["message_id"]), "sent", "--why", "the tag is there")
    assert growth("outbox", "--state", "parked", "--json")["messages"] == []
    again = refused("outbox", "decide", str(parked["message_id"]), "skip", "--why", "x")
    assert "waits for no decision" in str(again)
    assert "use sent, skip, retry" in refused("outbox", "decide", "1", "maybe", "--why", "x").remedy


# --- suppression and consent ----------------------------------------------------------------------


def test_an_address_is_suppressed_listed_and_lifted_and_never_repeated(growth, refused):
    assert growth("suppress", " Ann@Example.com ") == "suppressed\n"
    assert "already" in growth("suppress", "ann@example.com")
    (told,) = growth("suppressions", "ann@example.com", "--json")["suppressions"]
    assert (told["reason"], told["source"], told["lifted_at"]) == ("manual", "cli", None)
    assert growth("suppressions", "--json") == {"counts": {"manual": 1}}
    growth("unsuppress", "ann@example.com", "--reason", "manual", "--why", "asked by phone")
    assert growth("suppressions", "--json") == {"counts": {}}
    error = refused("unsuppress", "ann@example.com", "--reason", "bounced", "--why", "x")
    assert "not suppressed as bounced" in str(error)
    assert "ann" not in str(refused("suppress", "ann-at-example.com"))


def test_consents_are_imported_and_refused_lines_are_named_by_their_number(growth, tmp_path):
    file = tmp_path / "consents.csv"
    file.write_text(
        "email,given_at,wording\n"
        "ann@example.com,2026-01-05T10:00:00Z,Yes to news\n"
        "bob@example.com,2026-01-06,\n"
        "carl at example.com,2026-01-07T00:00:00Z,\n"
        "dora@example.com,soon,\n"
    )
    told = growth("consent", "import", str(file), "--json", code=1)
    assert (told["new"], told["known"], told["without_zone"]) == (2, 0, 1)
    assert [one["line"] for one in told["refused"]] == [4, 5]
    assert "@" not in json.dumps(told)
    again = growth("consent", "import", str(file), "--json", code=1)
    assert (again["new"], again["known"]) == (0, 2)


def test_an_address_can_come_from_stdin_so_that_no_history_of_a_shell_has_it(
    database_url, tmp_path, growth
):
    done = subprocess.run(
        [*GROWTH, "lifecycle", "suppress", "-", "--reason", "complained"],
        cwd=tmp_path,
        env=plain_environment(GROWTH_DATABASE_URL=database_url),
        input="ann@example.com\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "suppressed\n"), done.stderr
    assert growth("suppressions", "--json") == {"counts": {"complained": 1}}


def test_a_file_without_the_columns_is_refused(refused, tmp_path):
    file = tmp_path / "consents.csv"
    file.write_text("address\nann@example.com\n")
    assert "email,given_at" in refused("consent", "import", str(file)).remedy


# --- run ------------------------------------------------------------------------------------------


def test_run_and_scores_go_through_dagster_and_give_one_document(company, growth_here):
    done = growth_here("lifecycle", "run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["stages"]["decided_on"] == ago(1).isoformat()
    assert told["messages"]["is_dry_run"]
    assert "GROWTH_LIFECYCLE_SEND=true" in told["messages"]["why_nothing_is_sent"]
    assert told["scores"]["stages"] == {"activated": 1, "dormant": 1}
    assert (told["holds"], told["failed_checks"], len(told["run_ids"])) == (True, [], 2)
    scored = growth_here("lifecycle", "scores", "--from", str(ago(3)), "--to", str(ago(2)))
    assert scored.returncode == 0, scored.stderr
    assert f"scores of {ago(2)}" in scored.stdout
    days = company.rows("select distinct day from lifecycle.stage_days order by day")
    assert [day for (day,) in days] == [ago(3), ago(2), ago(1)]


# --- doctor ---------------------------------------------------------------------------------------


def doctor(**settings):
    return {
        (one.name, one.state): one.sentence
        for one in examine_lifecycle(Settings(**settings, _env_file=None))
    }


def test_doctor_says_that_nothing_is_sent_until_somebody_says_so():
    told = doctor()
    assert "GROWTH_LIFECYCLE_SEND=true" in told["e-mails", "ok"]
    assert told["lifecycle", "ok"].startswith("5 journeys that come along")


def test_doctor_says_how_far_stages_are_decided_and_whether_a_message_waits_for_a_person():
    told = [one.sentence for one in judge_lifecycle(ago(1), {"sent": 3, "pending": 2}, TODAY)]
    assert told == [
        f"decided up to {ago(1)}",
        "3 sent, 2 wait, 0 unknown, none waits for a person",
    ]
    late, parked = judge_lifecycle(ago(3), {"parked": 1}, TODAY)
    assert (late.state, parked.state) == ("warn", "warn")
    assert parked.fix == "growth lifecycle outbox --state parked"
    first, _ = judge_lifecycle(None, {}, TODAY)
    assert "no stage was decided yet" in first.sentence


def test_doctor_fails_where_mails_shall_be_sent_without_a_key():
    assert "Kit has no key" in doctor(lifecycle_send=True)["e-mails", "fail"]


def test_doctor_warns_while_kits_webhook_is_closed_and_shows_no_secret():
    kit = {
        "kit_api_key": "kit_1234",
        "kit_api_base": "http://127.0.0.1:9/v4",
        "allow_loopback": True,
    }
    told = doctor(lifecycle_send=True, lifecycle=kit)
    assert "within the hour only" in told["unsubscribes", "warn"]
    assert ("kit address", "warn") in told
    secret = "a" * 40
    keys = ("kit_webhook_secret", "link_secret", "api_token")
    all_set = doctor(lifecycle_send=True, lifecycle=kit | dict.fromkeys(keys, secret))
    assert ("unsubscribes", "ok") in all_set
    assert secret not in str(all_set)
    assert "kit_1234" not in str(all_set)


def test_a_link_is_that_of_the_page_and_needs_a_secret():
    environment = {"GROWTH_LIFECYCLE__LINK_SECRET": "l" * 40}
    done = CliRunner().invoke(app, ["lifecycle", "link", "Ann@example.com"], env=environment)
    path = done.stdout.strip()
    known_as = UnsubscribeLinks("l" * 40).read(path.removeprefix("/unsubscribe/"))
    assert known_as == hashlib.sha256(b"ann@example.com").digest()
    bare = {"GROWTH_LIFECYCLE__LINK_SECRET": ""}
    done = CliRunner().invoke(app, ["lifecycle", "link", "ann@example.com"], env=bare)
    assert "GROWTH_LIFECYCLE__LINK_SECRET" in done.exception.remedy
