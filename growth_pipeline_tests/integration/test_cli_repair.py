"""`growth repair` from a shell on a company of its own: looked at, carried out, taken back."""

from __future__ import annotations

import json

import psycopg
import pytest

from growth_pipeline.audit.repair.rules import RULES, Way
from growth_pipeline_tests.fakes.running_demo import SMALL, own_demo


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A demo of its own: what a repair mends here was planted for others to find."""
    folder = tmp_path_factory.mktemp("repaired")
    with own_demo(folder, *SMALL) as demo:
        yield demo


@pytest.fixture(scope="module")
def worst_month(company):
    months = [problem["month"] for problem in company.truth()["planted"]]
    return max(company.months()[:-1], key=months.count)


def findings_of(company, month):
    """Classes of the open findings about booked rows, after a new audit."""
    done = company.growth("audit", "--month", month, "--json")
    codes = {finding["code"] for finding in json.loads(done.stdout)["findings"]}
    return {code for code in codes if RULES[code].way is Way.BOOK}


def books(company):
    with psycopg.connect(company.variables()["GROWTH_DATABASE_URL"]) as connection:
        rows = connection.execute("select p::text from billing.payments p").fetchall()
    return sorted(row[0] for row in rows)


def test_a_month_is_looked_at_repaired_audited_and_taken_back(company, worst_month):
    found = findings_of(company, worst_month) - {"period_cutoff"}
    assert found, "the demo planted something in its books"
    before = books(company)

    unseen = company.growth("repair", "--month", worst_month, "--apply", "--dry-run")
    assert unseen.returncode == 2

    unshown = company.growth("repair", "--month", worst_month, "--apply")
    assert (unshown.returncode, books(company) == before) == (1, True)
    assert unshown.stdout.startswith("# Repair plan, not carried out")

    looked = company.growth("repair", "--month", worst_month, "--output", "plan.json")
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout == "", "the plan is in the file"
    plan = json.loads((company.folder / "plan.json").read_text())
    assert {one["code"] for one in plan["classes"]} >= found
    assert plan["next"] == f"growth repair --month {worst_month} --apply"
    assert books(company) == before

    done = company.growth("repair", "--month", worst_month, "--apply", "--json")
    assert done.returncode == 0, done.stderr
    repaired = json.loads(done.stdout)
    assert (repaired["outcome"], repaired["hash"]) == ("applied", plan["hash"])
    assert books(company) != before
    assert findings_of(company, worst_month) <= {"period_cutoff"}

    again = company.growth("repair", "--month", worst_month, "--apply")
    assert (again.returncode, again.stdout.partition(":")[0]) == (0, "# Nothing to repair")

    undone = company.growth("repair", "--undo", repaired["plan_id"])
    assert undone.returncode == 0, undone.stderr
    assert books(company) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--month", "2020-13"], "is not a month"),
        (["--month", "2020-01", "--only", "amounts"], "no class of finding"),
        ([], "name a month to repair, or a repair to undo"),
        (["--undo", "deadbeef"], "there was no repair"),
        (["--month", "2020-01", "--undo", "deadbeef"], "--month and --undo exclude each other"),
    ],
)
def test_wrong_words_are_code_2_with_a_remedy(company, words, said):
    done = company.growth("repair", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "  next: " in done.stderr


def test_a_month_that_was_never_audited_says_what_to_do(company):
    done = company.growth("repair", "--month", "2020-01")
    assert done.returncode == 1
    assert "growth audit --month 2020-01" in done.stderr
