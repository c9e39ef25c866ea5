"""`growth demo` as a person starts it: what it shows, what it leaves alone, and that it ends."""

import json
import random
import signal
import socket
import time
from contextlib import suppress

import httpx
import psutil
import psycopg

from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.fakes.running_demo import (
    SMALL,
    marked,
    seconds_of_first_page,
    start_demo,
    wait_for_card,
)

# What a promise allows, and what a machine busy with other tests is given.
PAGE_SECONDS = {True: 10, False: 60}
END_SECONDS = {True: 5, False: 30}
FEWEST_PROCESSES = 10  # Postgres alone is several, Dagster and the web app are four more
FEWEST_LISTENERS = 3  # the web app, Dagster's UI, the sandbox


def each_alive(demo, read):
    """What is read of each process by its name; short-lived ones may end meanwhile."""
    found = []
    for process in marked(demo.folder):
        with suppress(psutil.NoSuchProcess):
            found.append((process.name(), read(process)))
    return found


def _finish(process):
    process.wait(60)
    process.stdout.close()


# --- a demo that is up ---------------------------------------------------------------------------


def test_the_card_says_where_things_are_and_that_all_was_found(demo):
    assert demo.web in demo.card
    assert demo.dagster in demo.card
    planted = len(demo.truth()["planted"])
    assert planted >= 5
    assert f"found {planted} of {planted} planted problems, 0 not planted" in demo.card
    for month in demo.months():
        assert month in demo.card


def test_the_first_page_comes_within_ten_seconds_of_the_start(demo, full, record_property):
    seconds = seconds_of_first_page(demo)
    record_property("first_page_seconds", seconds)
    assert seconds < PAGE_SECONDS[full]


def test_pages_and_dagster_answer_and_the_banner_is_gone(demo):
    page = httpx.get(demo.web, trust_env=False)
    assert page.status_code == 200
    assert "Warming up" not in page.text
    assert httpx.get(f"{demo.web}/readyz", trust_env=False).json()["ready"] is True
    info = httpx.get(f"{demo.dagster}/server_info", trust_env=False).json()
    assert "dagster_webserver_version" in info


def test_people_who_use_the_product_are_in_cohorts(demo):
    lake = Lake(str(demo.folder / ".growth" / "demo" / "lake"))
    cells = lake.read(lake.read_manifest("retention_cells", {"grain": "month"}))
    assert cells.unique("cohort_start")["cohort_size"].sum() == 20
    assert cells.filter(period_index=1, state="closed")["users"].sum() > 0
    assert cells["revenue_minor"].sum() > 0


def test_cohorts_in_a_second_shell_of_the_folder_are_the_demos(demo):
    report = demo.folder / "cohorts.md"
    shown = demo.growth("cohorts", "report", "--grain", "month", "--output", "cohorts.md")
    assert shown.returncode == 0, shown.stderr
    assert "the running demo is used" in shown.stderr
    assert "## Cohorts by month" in report.read_text()
    assert "## By country, cohorts by month" in report.read_text()
    again = demo.growth("cohorts", "refresh", "--json")
    assert again.returncode == 0, again.stderr
    published = json.loads(again.stdout)["postgres"]["cells"]
    assert [(one["segment_by"], one["grain"], one["withdrawn"]) for one in published] == [
        (segment_by, grain, 0)
        for segment_by in (None, "country")
        for grain in ("day", "week", "month")
    ]


def test_mrr_of_the_company_is_published_and_follows_from_its_receipt(demo):
    again = demo.growth("mrr", "refresh", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["holds"]
    month = demo.months()[0]  # the first of them is over
    shown = demo.growth("metrics", "--month", month, "--json")
    assert shown.returncode == 0, shown.stderr
    figures = json.loads(shown.stdout)["figures"]
    mrr = [one for one in figures if one["metric"] == "mrr"]
    assert {one["currency"] for one in mrr} >= {"eur", "usd"}
    assert all(one["value"] is not None and one["receipt"] for one in mrr)
    verified = demo.growth("verify", "all", "--month", month, "--json")
    assert verified.returncode == 0, verified.stdout
    bridge = demo.growth(
        *("mrr", "bridge", "--from", "stripe", "--to", "growth", "--month", month, "--json")
    )
    assert bridge.returncode == 0, bridge.stderr
    assert set(json.loads(bridge.stdout)["remainder_minor"].values()) == {0}


def test_dagster_shows_every_month_audited_and_the_schedule_running(demo):
    query = """{
      assetNodes(pipeline: null) { assetKey { path } groupName description owners { __typename } }
      runsOrError(filter: {statuses: [SUCCESS]}) { ... on Runs { results { jobName tags { key value } } } }
      instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
      schedulesOrError(repositorySelector: {
        repositoryName: "__repository__", repositoryLocationName: "growth_pipeline"
      }) { ... on Schedules { results { name scheduleState { status } } } }
    }"""
    answer = httpx.post(f"{demo.dagster}/graphql", json={"query": query}, trust_env=False).json()
    assert "errors" not in answer, answer
    data = answer["data"]
    months = {
        tag["value"]
        for run in data["runsOrError"]["results"]
        for tag in run["tags"]
        if tag["key"] == "dagster/partition"
    }
    assert months >= set(demo.months())
    assert {node["groupName"] for node in data["assetNodes"]} >= {"billing", "audit", "alerts"}
    states = {
        one["name"]: one["scheduleState"]["status"] for one in data["schedulesOrError"]["results"]
    }
    assert states["daily_audit_schedule"] == "RUNNING"


def test_everything_listens_on_loopback_only(demo):
    listening = [
        (name, connection.laddr)
        for name, connections in each_alive(demo, lambda one: one.net_connections(kind="inet"))
        for connection in connections
        if connection.status == "LISTEN"
    ]
    open_to_all = [one for one in listening if one[1].ip not in {"127.0.0.1", "::1"}]
    assert len(listening) >= FEWEST_LISTENERS
    assert open_to_all == []
    assert psutil.pid_exists(demo.process.pid)


def test_all_processes_together_stay_below_a_gigabyte(demo, record_property):
    # Shared pages count once (PSS), else Postgres's buffers would count for each connection.
    sizes = [info.pss for _, info in each_alive(demo, lambda one: one.memory_full_info())]
    total = sum(sizes)
    record_property("demo_memory_mb", total >> 20)
    assert len(sizes) >= FEWEST_PROCESSES
    assert total < 1 << 30


def test_a_second_demo_in_the_folder_is_refused_with_a_sentence(demo):
    done = demo.growth("demo", *SMALL)
    assert done.returncode == 1
    assert "a demo runs in" in done.stderr
    assert "Traceback" not in done.stderr
    assert demo.process.poll() is None


def test_files_with_keys_are_readable_by_their_owner_only(demo):
    for name in ("demo.env", "demo.json"):
        assert (demo.state / name).stat().st_mode & 0o077 == 0, name


def test_doctor_in_the_same_folder_looks_at_the_demo(demo):
    done = demo.growth("doctor", "--json")
    checks = {check["check"]: check["state"] for check in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert checks["demo"] == checks["stripe"] == checks["schema"] == checks["row security"] == "ok"


def test_serve_does_not_start_on_top_of_a_demo(demo):
    done = demo.growth("serve")
    assert done.returncode == 5
    assert "a demo runs in this folder" in done.stderr


# --- starting, ending, starting again ------------------------------------------------------------


def _assert_untouched(folder, demo, database_url):
    """Nothing of the user's own settings reached a process of the demo, nor the database."""
    for process in marked(folder):
        if process.pid != demo.process.pid:
            try:
                environment, command = process.environ(), process.cmdline()
                where = process.cwd()
            except psutil.NoSuchProcess:
                continue  # it was short-lived, and is over
            settings = {k: v for k, v in environment.items() if k.startswith("GROWTH_")}
            assert "rk_live_real" not in settings.values(), command
            assert database_url not in settings.values(), command
            assert where != str(folder), "its .env would be read"
    with psycopg.connect(database_url) as connection:
        count = (
            "select count(*) from pg_namespace where nspname in ('billing', 'growth', 'operate')"
        )
        assert connection.execute(count).fetchone() == (0,)


def test_a_demo_touches_nothing_configured_ends_on_ctrl_c_and_comes_back(
    tmp_path, empty_database_url, full
):
    (tmp_path / ".env").write_text("GROWTH_ALERTS__SLACK_WEBHOOK_URL=https://hooks.example/real\n")
    configured = {
        "GROWTH_DATABASE_URL": empty_database_url,
        "GROWTH_STRIPE__API_KEY": "rk_live_real",
        "GROWTH_STRIPE__API_BASE": "http://127.0.0.1:9",
    }
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        options = [*SMALL[:4], "--port", str(taken), "--dagster-port", "0"]
        demo = wait_for_card(tmp_path, start_demo(tmp_path, *options, **configured))
    assert any(f"port {taken} is taken: the web app listens on " in line for line in demo.progress)
    _assert_untouched(tmp_path, demo, empty_database_url)
    assert len(marked(tmp_path)) >= 8
    sent_at = time.monotonic()
    assert demo.stop(signal.SIGINT) == 0
    assert time.monotonic() - sent_at < END_SECONDS[full]
    assert marked(tmp_path) == []
    assert not (demo.state / "demo.env").exists(), "commands would still look for the demo"
    demo.process.stdout.close()

    process = start_demo(tmp_path, *SMALL, "--exit-when-green")
    card = process.stdout.read()
    _finish(process)
    assert process.returncode == 0, (tmp_path / "progress.txt").read_text()
    assert "using the company of the last demo" in (tmp_path / "progress.txt").read_text()
    assert "0 not planted" in card
    assert marked(tmp_path) == []


def test_a_killed_demo_is_followed_by_one_that_works(tmp_path, seed):
    process = start_demo(tmp_path, *SMALL)
    time.sleep(random.Random(seed).uniform(2, 12))
    process.kill()
    _finish(process)
    process = start_demo(tmp_path, *SMALL, "--reset", "--exit-when-green")
    card = process.stdout.read()
    _finish(process)
    assert process.returncode == 0, (tmp_path / "progress.txt").read_text()
    assert "growth demo is up" in card
    assert "0 not planted" in card
    assert marked(tmp_path) == []


def _wait_for_own_handlers(folder, process):
    """Until the program answers signals itself; what ends a Python that still imports is Python."""
    deadline = time.monotonic() + 120
    while not (folder / "progress.txt").stat().st_size:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_signal_at_any_instant_of_the_start_leaves_no_process(tmp_path, seed, full):
    chance = random.Random(seed)
    for _ in range(12 if full else 3):
        process = start_demo(tmp_path, *SMALL)
        _wait_for_own_handlers(tmp_path, process)
        time.sleep(chance.uniform(0, 12))
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        sent_at = time.monotonic()
        process.send_signal(number)
        _finish(process)
        assert time.monotonic() - sent_at < END_SECONDS[full]
        assert process.returncode in {128 + number, 0}
        assert marked(tmp_path) == []
