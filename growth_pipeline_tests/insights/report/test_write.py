from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace

import pytest

from growth_pipeline.insights.claims import Refused
from growth_pipeline.insights.figures import all_figures
from growth_pipeline.insights.report.write import (
    FACES,
    highlights,
    path_of,
    save_report,
    to_csv,
    to_face,
    to_html,
    to_json,
    to_markdown,
)
from growth_pipeline_tests.insights.report.weekly_reports import (
    a_claim,
    a_digest,
    a_report,
    a_whole_digest,
    a_whole_report,
    event_id,
    money_of,
    product,
)


@pytest.fixture(scope="module")
def report():
    return a_whole_report()


def test_json_has_claims_as_written_and_as_they_read(report):
    told = json.loads(to_json(report))
    first = told["claims"][1]
    assert first["text"].startswith("{mrr.usd:label} rose by {mrr.usd:size}")
    assert first["rendered"] == "MRR (USD) rose by USD 806.00 (7.0 %) to USD 12,374.00."
    assert first["references"][1] == {
        "fact_id": "mrr.usd",
        "field": "size",
        "text": "USD 806.00",
    }
    assert told["figures"] == all_figures(report.digest)
    assert told["digest"] == json.loads(report.digest.to_json())
    assert told["written_by"] == "rules and model"
    assert told["model"]["cost_usd"] == "0.043296"
    assert (told["predictions_held"], told["predictions_told"]) == (1, 1)


def test_json_never_has_what_was_refused(report):
    text = to_json(report)
    assert "double" not in text
    assert json.loads(text)["refused"][0]["reasons"] == [
        "the word […] tells of a number",
        "mrr.usd:size is told with a direction, […] of them, that the fact has not",
    ]


def test_json_shows_nothing_that_is_unseen_or_markup_and_gives_the_text_back():
    name = "a<b>\u202e\u200b\U000e0041&\x9f"
    text = to_json(a_report(a_digest(product([name], ["x"])), ()))
    assert not set(text) & set(name) - set("ab")
    facts = json.loads(text)["digest"]["facts"]
    assert name in {fact["name"] for fact in facts}


def test_csv_has_a_line_a_fact_with_numbers_as_numbers(report):
    rows = list(csv.DictReader(io.StringIO(to_csv(report), newline="")))
    assert len(rows) == len(report.digest.facts)
    mrr = rows[0]
    assert (mrr["fact_id"], mrr["value"], mrr["before"], mrr["change"]) == (
        "mrr.usd",
        "1237400",
        "1156800",
        "80600",
    )
    churn = next(row for row in rows if row["fact_id"] == "mrr_churn.usd")
    assert churn["value"] == "-11400"
    wau = next(row for row in rows if row["fact_id"] == "wau")
    assert wau["percent"].startswith("-0.1317")
    assert (wau["direction"], wau["usual_direction"]) == ("down", "down")


def test_csv_leaves_unknown_empty():
    digest = a_digest(money_of("usd"))
    fact = digest.facts[0]
    last = replace(fact.series.points[-1], value=None)
    series = replace(fact.series, points=(*fact.series.points[:-1], last))
    (row,) = csv.DictReader(io.StringIO(to_csv(a_report(a_digest([series]), ()))))
    assert (row["value"], row["change"], row["percent"]) == ("", "", "")


def test_html_is_one_page_with_pictures_for_light_and_dark(report):
    page = to_html(report)
    assert page.count("<img ") == 2
    assert page.count('media="(prefers-color-scheme: dark)"') == 2
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_markdown_has_a_picture_only_where_it_is_asked_for(report):
    assert "![" not in to_markdown(report)
    assert to_markdown(report, pictures=True).count("](data:image/png;base64,") == 1


def test_files_are_named_by_their_content_and_the_same_report_writes_the_same(report, lake):
    paths = save_report(report, lake)
    assert tuple(paths) == FACES
    assert paths == save_report(a_whole_report(), lake)
    for form, path in paths.items():
        data = lake.read_artifact(path)
        assert data == to_face(report, form)
        assert path == f"reports/insights/2026-11-15/{hashlib.sha256(data).hexdigest()}.{form}"
    assert path_of(report, "md") == paths["md"]
    assert len(lake.list_artifacts("reports/insights")) == len(FACES)


def test_a_report_without_anything_to_draw_has_no_picture(lake):
    paths = save_report(a_report(a_digest([], statuses=()), ()), lake)
    assert tuple(paths) == ("md", "html", "json", "csv")


def test_an_unknown_form_is_refused(report):
    with pytest.raises(KeyError):
        to_face(report, "pdf")


# --- highlights ----------------------------------------------------------------------------------


def test_highlights_are_a_few_plain_lines(report):
    lines = highlights(report).splitlines()
    assert lines == [
        "Weekly growth report, 2026-11-15 to 2026-11-21",
        "HIGH Weekly active users (WAU) fell by 54 (13.2 %) to 356.",
        "GOOD Sign-ups rose from 120 to 180, by 50.0 %.",
        "GOOD MRR (USD) rose by USD 806.00 (7.0 %) to USD 12,374.00.",
        "MRR (USD): USD 12,374.00, +USD 806.00 (+7.0 %)",
        "Paying customers (USD): 204, +3: no clear change",
        "Payments (USD): USD 4,240.00, +USD 70.00: no clear change",
        "Sign-ups: 180, +60 (+50.0 %)",
        "Revenue audit of 2026-11: WARNING",
        "Revenue audit of 2026-10: PASS",
        "Written by rules and Claude (claude-model-5-20260101): every figure comes from the digest.",
        f"Report: {path_of(report, 'md')}",
    ]


def test_highlights_of_an_empty_company_say_so():
    report = a_report(a_digest([], statuses=()), ())
    lines = highlights(report).splitlines()
    assert lines[1] == "Nothing is known of this week yet."
    assert len(lines) == 4


def test_highlights_never_have_more_than_twelve_lines_and_always_their_last_two():
    codes = ("usd", "eur", "jpy")
    digest = a_digest([one for code in codes for one in money_of(code)])
    refused = Refused(claim=a_claim("x"), reasons=("no reference",))
    lines = highlights(a_report(digest, (), refused=(refused,) * 9)).splitlines()
    assert len(lines) <= 12
    assert lines[-2].startswith("Written by rules.")
    assert lines[-1].startswith("Report: reports/insights/2026-11-15/")


@pytest.mark.parametrize(
    ("name", "shown"), [("Plan Bought", "Plan Bought"), ("<!channel> [x](http://a.b)", "[…]")]
)
def test_a_name_stands_in_highlights_only_as_plain_words(name, shown):
    event = event_id(name)
    digest = a_digest(product([name], ["x"]))
    claim = a_claim(f"{{{event}:label}} rose by {{{event}:size}}.")
    assert f"Event {shown} rose by 120." in highlights(a_report(digest, (claim,)))


def test_highlights_tell_of_restated_numbers_and_claims_kept_out():
    digest = a_whole_digest()
    refused = Refused(claim=a_claim("x"), reasons=("no reference",))
    report = a_report(replace(digest, statuses=()), (), refused=(refused,))
    lines = highlights(report).splitlines()
    assert "Numbers that earlier reports told are others now; the report lists them." in lines
    assert "1 claim was kept out." in lines
