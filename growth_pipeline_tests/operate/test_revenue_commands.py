"""Bridge, bitemporal view, restatements and verification as their user asks for them."""

import fcntl
import json
import subprocess

import pytest

from growth_pipeline.cli import app
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import publish_mrr, refresh_states
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline.revenue.receipt_store import ReceiptStore
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.running_demo import GROWTH, plain_environment
from growth_pipeline_tests.revenue.test_publish import SCOPES, at, change, receive, told

# at(0) is 1 January 2030. Ana pays 10.00, from 26 January 15.00. Bo pays 5.00 from 6 January, as
# was known on 10 February; on 11 February an event of 16 January came: 50.00 from then on.
KNOWN_BEFORE = "2030-02-10"


@pytest.fixture
def growth(tmp_path, database_url):
    environment = {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(tmp_path / "state")}

    def run(*words, code=0):
        done = CliRunner().invoke(app, list(words), env=environment)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return run


@pytest.fixture
def company(tmp_path, database, engine):
    lake = Lake(str(tmp_path / "state" / "lake"))

    def publish(day):
        refresh_states(database, lake, SCOPES, now=at(day))
        publish_mrr(database, lake, SCOPES, [PRESETS["growth"]], tz="UTC")
        publish_movements(engine, MovementsStore(database, SCOPES), now=at(day))
        ReceiptStore(database).write("growth@1", lake)

    start = {"start_date": int(at(5).timestamp())}
    receive(database, told(1, 0, 1000), told(2, 5, 500, **start), told(1, 25, 1500), day=40)
    receive(database, told(3, 40, 1, start_date=int(at(40).timestamp())), day=40)
    publish(40)
    receive(database, told(2, 15, 5000, **start), day=41)
    publish(42)


@pytest.fixture
def in_demo(tmp_path, database_url):
    """Runs `growth` in a folder beside a demo that runs, on this test's database."""
    folder, here = tmp_path / ".growth" / "demo", tmp_path / "here"
    folder.mkdir(parents=True)
    here.mkdir()
    (folder / "demo.env").write_text(
        f"GROWTH_DATABASE_URL={database_url}\nGROWTH_DAGSTER_DATABASE_URL={database_url}\n"
        f"DAGSTER_HOME={folder}/dagster\nGROWTH_STATE_DIR={tmp_path}/state\n"
    )

    def run(*words):
        done = subprocess.run(
            [*GROWTH, *words],
            cwd=here,
            env=plain_environment(GROWTH_STATE_DIR=str(tmp_path / ".growth")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "the running demo is used" in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
        return done.stdout

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run


def test_files_are_those_of_the_folder_of_a_person_also_beside_a_demo(in_demo, company, tmp_path):
    here, folder = tmp_path / "here", tmp_path / ".growth" / "demo"
    (here / "rates.csv").write_text("date,currency,rate\n2030-01-31,eur,1.1\n")
    before = {path.name for path in folder.iterdir()}
    done = in_demo("fx", "import", "rates.csv", "--reporting-currency", "usd")
    assert done.startswith("1 rates are new")
    in_demo("metrics", "--month", "2030-01", "--output", "metrics.md")
    walk = ("--from", "stripe", "--to", "growth", "--month", "2030-01")
    in_demo("mrr", "bridge", *walk, "--output", "bridge.md")
    in_demo("mrr", "movements", "--format", "csv", "--output", "movements.csv")
    written = {path.name: path.read_text() for path in here.iterdir()}
    assert set(written) == {"rates.csv", "metrics.md", "bridge.md", "movements.csv"}
    assert written["metrics.md"].startswith("# Figures of 2030-01")
    assert {path.name for path in folder.iterdir()} == before


def figure(document, name):
    return next(one["value"] for one in document["figures"] if one["metric"] == name)


def test_january_as_known_now_and_as_known_before_the_late_event(growth, company):
    now = growth("metrics", "--month", "2030-01", "--json")
    then = growth("metrics", "--month", "2030-01", "--known-at", KNOWN_BEFORE, "--json")
    assert [float(figure(one, "mrr")) for one in (now, then)] == [6500, 2000]
    assert [float(figure(one, "arr")) for one in (now, then)] == [78_000, 24_000]
    assert [float(figure(one, "new_mrr")) for one in (now, then)] == [6500, 2000]
    bridges = [
        growth(
            *("mrr", "bridge", "--from", "stripe", "--to", "default"),
            *("--month", "2030-01", "--json", *more),
        )
        for more in ((), ("--known-at", KNOWN_BEFORE))
    ]
    ends = [one["steps"][-1]["amount_minor"] for one in bridges]
    assert ends == [6500, 2000]
    assert [one["remainder_minor"] for one in bridges] == [{"usd": 0}, {"usd": 0}]


def test_a_month_that_the_mirror_does_not_hold_whole_has_no_bridge_whenever_it_is_known(
    growth, company
):
    walk = ("--from", "stripe", "--to", "default", "--month", "2030-03", "--known-at", "2031-01-01")
    growth("mrr", "bridge", *walk, code=1)


def test_a_restatement_names_the_event_behind_it(growth, company):
    found = growth("mrr", "restatements", "--month", "2030-01", "--json")
    assert [
        (one["customer_id"], one["before_minor"], one["now_minor"], one["told_by"]) for one in found
    ] == [("cus_2", 500, 5000, ["evt_2_15"])]
    assert growth("mrr", "restatements", "--month", "2030-02", "--json") == []
    assert "cus_2 usd: 500 -> 5000" in growth("mrr", "restatements")


def test_verify_ends_with_three_once_a_published_row_was_changed(growth, company, database):
    found = growth("verify", "all", "--month", "2030-01", "--json")
    assert found["holds"]
    assert all(one["same"] for one in found["figures"])
    change(database, "update revenue.mrr_spells set mrr_minor = 1 where customer_id = 'cus_1'")
    told_of = growth("verify", "mrr", "--month", "2030-01", code=3)
    assert "DOES NOT HOLD" in told_of
    assert "only published: cus_1" in told_of


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mrr", "bridge", "--from", "stripe", "--to", "mine", "--month", "2030-01"), "'mine'"),
        (("mrr", "bridge", "--from", "stripe", "--to", "growth", "--month", "2030-13"), "month"),
        (("mrr", "bridge", "--from", "stripe", "--to", "growth", "--month", "2030-02"), "not over"),
        (("verify", "mmr", "--month", "2030-01"), "no figure 'mmr'"),
        (("verify", "mrr", "--month", "2030-02"), "no receipt"),
        (("metrics", "--month", "2030-01", "--known-at", "April"), "not an instant"),
        (("metrics", "--month", "2030-01", "--known-at", "2029-12-01"), "nothing of 2030-01"),
    ],
)
def test_wrong_questions_are_answered_in_one_sentence(
    tmp_path, database_url, company, words, sentence
):
    environment = {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(tmp_path / "state")}
    done = CliRunner().invoke(app, list(words), env=environment)
    assert done.exit_code != 0
    assert sentence in str(done.exception)
