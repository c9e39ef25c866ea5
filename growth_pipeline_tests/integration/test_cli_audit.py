"""`growth audit` against a running demo: numbers equal to what the sandbox planted, every exit code."""

import json
from collections import Counter

import httpx
import psycopg
import pytest

from growth_pipeline.audit.codes import CODES


@pytest.fixture(scope="module")
def planted(demo):
    """Planted problems by month."""
    by_month = {month: [] for month in demo.months()}
    for problem in demo.truth()["planted"]:
        by_month[problem["month"]].append(problem)
    return by_month


@pytest.fixture(scope="module")
def worst_month(planted):
    return max(planted, key=lambda month: len(planted[month]))


@pytest.fixture
def books(demo):
    """A connection to the demo's database; what a test changes, it changes back."""
    with psycopg.connect(demo.variables()["GROWTH_DATABASE_URL"], autocommit=True) as connection:
        yield connection


def one_document(done):
    """The one JSON document on stdout; anything beside it fails."""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def done(demo, worst_month):
    """One audit with both outputs, looked at by several tests: an audit takes seconds."""
    options = ("--json", "--format", "csv", "--output", "findings.txt")
    return demo.growth("audit", "--month", worst_month, *options)


def assert_as_planted(report, problems):
    assert report["counts"] == dict(Counter(problem["code"] for problem in problems))
    expected = Counter()
    for problem in problems:
        if CODES[problem["code"]].bridged:  # what lies beside the payments moves no total
            expected.update(problem["impacts_minor"])
    found = {
        currency: minor for currency, minor in report["money_difference_minor"].items() if minor
    }
    assert found == {currency: minor for currency, minor in expected.items() if minor}


def test_json_has_verdict_counts_and_money_exactly_as_planted(done, planted, worst_month):
    report = one_document(done)
    assert (report["month"], report["state"]) == (worst_month, "closed")
    assert len(planted[worst_month]) >= 3
    assert_as_planted(report, planted[worst_month])
    assert report["verdict"] == "FAIL"
    assert done.returncode == 3


def test_a_file_takes_another_format_than_stdout(demo, done):
    assert (demo.folder / "findings.txt").read_text().startswith("severity,code,")
    assert f"report written to {demo.folder}/findings.txt" in done.stderr


def test_one_audit_writes_several_files_and_the_summary_of_a_github_job(demo, worst_month):
    files = ("--output", "report.html", "--output", "report.csv")
    summary = demo.folder / "summary.md"
    done = demo.growth(
        *("audit", "--month", worst_month, *files, "--github-summary"),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert (done.returncode, done.stdout) == (3, "")
    page = (demo.folder / "report.html").read_text()
    assert f'<h1 class="bad">Revenue audit {worst_month}: FAIL</h1>' in page
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert (demo.folder / "report.csv").read_text().startswith("severity,code,")
    assert summary.read_text().startswith(f"# Revenue audit {worst_month}: FAIL\n")


def test_the_report_of_an_audit_is_stored_and_kept(demo, done, worst_month):
    told = json.loads(demo.growth("reports", "list", "--json").stdout)
    newest = next(one for one in told["reports"] if one["month"] == worst_month)
    assert "newest of its month" in newest["kept_because"]
    assert len(newest["files"]) == 4
    clean = json.loads(demo.growth("reports", "clean", "--dry-run", "--json").stdout)
    assert clean["removed"] == []


def test_progress_is_on_stderr_and_nothing_is_coloured_without_a_terminal(done, worst_month):
    assert f"auditing {worst_month}" in done.stderr
    assert "from Stripe" in done.stderr
    assert "\x1b[" not in done.stdout + done.stderr


def test_a_run_of_the_terminal_stands_in_dagsters_history(demo, done, worst_month):
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { jobName status tags { key value } } } }"
    variables = {"id": one_document(done)["run_id"]}
    answer = httpx.post(
        f"{demo.dagster}/graphql", json={"query": query, "variables": variables}, trust_env=False
    ).json()
    run = answer["data"]["runOrError"]
    assert (run["jobName"], run["status"]) == ("audit_job", "SUCCESS")
    assert {"key": "dagster/partition", "value": worst_month} in run["tags"]


def test_an_open_month_without_differences_is_code_0_provisional_and_markdown(demo, planted):
    month = demo.months()[-1]
    assert planted[month] == []
    done = demo.growth("audit", "--month", month)
    assert done.returncode == 0
    assert done.stdout.startswith(f"# Revenue audit {month}: PASS\n")
    assert f"{month} is not over: every number is provisional" in done.stderr


def test_a_warning_is_code_0_and_under_strict_code_4(demo, books):
    month = demo.months()[-1]
    found = books.execute(
        """select max(payment_id) from billing.payments where status = 'succeeded' and captured
        and refunded_minor = 0 and disputed_minor = 0 and created_at >= %s
        and created_at < now() - interval '3 hours'""",
        [f"{month}-01"],
    ).fetchone()
    change = "update billing.payments set amount_minor = amount_minor + %s where payment_id = %s"
    books.execute(change, [1, found[0]])
    try:
        plain = demo.growth("audit", "--month", month, "--output", "report.json")
        report = json.loads((demo.folder / "report.json").read_text())
        assert (report["verdict"], report["counts"]) == ("WARNING", {"amount_rounding": 1})
        assert plain.returncode == 0
        assert plain.stdout == "", "the report is in the file"
        assert demo.growth("audit", "--month", month, "--strict").returncode == 4
    finally:
        books.execute(change, [-1, found[0]])


def test_a_dry_run_reports_the_same_and_keeps_nothing(demo, done, books, worst_month):
    def kept():
        count = "select count(*), max(finished_at) from audit.audits"
        runs = '{ runsOrError(filter: {pipelineName: "audit_job"}) { ... on Runs { count } } }'
        answer = httpx.post(f"{demo.dagster}/graphql", json={"query": runs}, trust_env=False).json()
        files = sorted(str(path) for path in (demo.state / "lake").rglob("*"))
        return books.execute(count).fetchone(), answer["data"]["runsOrError"]["count"], files

    before = kept()
    dry = demo.growth("audit", "--month", worst_month, "--json", "--dry-run")
    assert kept() == before
    assert dry.returncode == 3
    for name in ("verdict", "counts", "money_difference_minor"):
        assert one_document(dry)[name] == one_document(done)[name], name


def test_a_month_of_a_business_zone_tells_both_limits_and_the_money_between(demo, worst_month):
    zone = "America/New_York"
    done = demo.growth("audit", "--month", worst_month, "--tz", zone, "--json")
    report = one_document(done)
    assert (report["tz"], report["month"], report["state"]) == (zone, worst_month, "closed")
    boundaries = report["boundaries"]
    assert boundaries["utc_start"] < boundaries["start"]
    assert boundaries["utc_end"] < boundaries["end"]
    assert [one["counted_in"] for one in boundaries["between"]] == ["utc", "zone"]
    assert {one["remainder"] for one in report["totals"].values()} == {0}
    assert f"auditing {worst_month} of {zone}" in done.stderr
    assert done.returncode in {0, 3}


def test_an_audit_again_takes_over_what_did_not_move(demo, done, planted, worst_month):
    first = one_document(done)
    again = one_document(demo.growth("audit", "--month", worst_month, "--json"))
    assert again["findings"] != []
    assert again["counts"] == first["counts"]
    assert again["totals"] == first["totals"]
    payments = again["changes"]["payments"]
    assert payments["taken_over"] > 0
    assert payments["judged_again"] < len(again["findings"])
    assert again["changes"]["findings"]["new"] == 0


def test_a_zone_that_does_not_exist_is_code_2_before_anything_runs(demo, worst_month):
    done = demo.growth("audit", "--month", worst_month, "--tz", "Mars/Base")
    assert done.returncode == 2
    assert "'Mars/Base' is not a time zone" in done.stderr
    assert "auditing" not in done.stderr


def test_a_file_that_cannot_be_written_is_code_2_before_anything_runs(demo, worst_month):
    done = demo.growth("audit", "--month", worst_month, "--output", "no/such/folder/r.md")
    assert done.returncode == 2
    assert "no/such/folder" in done.stderr
    assert "auditing" not in done.stderr


def test_a_month_before_the_history_is_code_2(demo):
    done = demo.growth("audit", "--month", "2019-01")
    assert done.returncode == 2
    assert "2019-01 is before" in done.stderr


# --- bad input: one sentence, a remedy, the code, nothing lost -----------------------------------


@pytest.fixture
def real_settings(demo, database_url, tmp_path):
    """Settings of a user of their own: another database and folder, the demo's Stripe."""
    variables = demo.variables()
    return {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
        "GROWTH_STRIPE__API_KEY": variables["GROWTH_STRIPE__API_KEY"],
        "GROWTH_STRIPE__API_BASE": variables["GROWTH_STRIPE__API_BASE"],
        "GROWTH_STRIPE__ACCOUNT_ID": variables["GROWTH_STRIPE__ACCOUNT_ID"],
        "GROWTH_STRIPE__RETRY_SECONDS": "1",
        "GROWTH_HISTORY_START": demo.months()[0],
    }


def assert_one_sentence(done, code, sentence, remedy):
    """Behind the progress, stderr ends with one sentence and one remedy; stdout is empty."""
    assert done.returncode == code, done.stderr
    *_, said, following = done.stderr.splitlines()
    assert said.startswith("growth: ")
    assert sentence in said
    assert following.startswith("  next: ")
    assert remedy in following
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def assert_nothing_was_booked(database_url):
    with psycopg.connect(database_url) as connection:
        for table in ("audit.audits", "audit.findings", "billing.payments"):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table


def test_a_wrong_stripe_key_is_code_5(demo, real_settings, database_url):
    settings = real_settings | {"GROWTH_STRIPE__API_KEY": "rk_test_revoked"}
    done = demo.growth("audit", "--month", demo.months()[0], **settings)
    assert_one_sentence(done, 5, "key", "GROWTH_STRIPE__API_KEY")
    assert "rk_test_revoked" not in done.stderr
    assert_nothing_was_booked(database_url)


def test_a_missing_stripe_key_is_code_5(demo, real_settings, database_url):
    settings = real_settings | {"GROWTH_STRIPE__API_KEY": ""}
    done = demo.growth("audit", "--month", demo.months()[0], **settings)
    assert_one_sentence(done, 5, "GROWTH_STRIPE__API_KEY", "restricted")


def test_an_unreachable_stripe_is_code_6_and_its_retries_are_told(
    demo, real_settings, database_url
):
    settings = real_settings | {"GROWTH_STRIPE__API_BASE": "http://127.0.0.1:9"}
    done = demo.growth("audit", "--month", demo.months()[0], **settings)
    assert_one_sentence(done, 6, "cannot be reached", "GROWTH_STRIPE__API_BASE")
    assert "trying again in" in done.stderr
    assert_nothing_was_booked(database_url)


def test_answers_of_stripe_that_are_cut_off_are_code_1_and_never_a_success(
    demo, real_settings, database_url
):
    base, key = (real_settings[f"GROWTH_STRIPE__API_{name}"] for name in ("BASE", "KEY"))
    control = httpx.Client(base_url=base, headers={"X-Sandbox-Key": key}, trust_env=False)
    fault = {"resource": "charges", "kind": "truncated", "times": 1000}
    control.post("/_sandbox/faults", json=fault).raise_for_status()
    try:
        done = demo.growth("audit", "--month", demo.months()[0], **real_settings)
    finally:
        control.delete("/_sandbox/faults").raise_for_status()
    assert_one_sentence(done, 1, "charges", "again")
    assert_nothing_was_booked(database_url)


def test_a_database_of_a_demo_is_refused_to_a_real_key(demo, real_settings):
    settings = real_settings | {"GROWTH_DATABASE_URL": demo.variables()["GROWTH_DATABASE_URL"]}
    done = demo.growth("audit", "--month", demo.months()[0], **settings)
    assert_one_sentence(done, 5, "this database holds a demo", "GROWTH_DATABASE_URL")
