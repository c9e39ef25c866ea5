"""The check reads the written faces back: right ones pass, and no changed digit does."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest

from growth_pipeline.insights.figures import all_figures
from growth_pipeline.insights.report.judge import check_figures
from growth_pipeline.insights.report.write import to_json, to_markdown
from growth_pipeline.insights.rules import claims_of
from growth_pipeline.insights.verifier.verify import sift
from growth_pipeline_tests.fakes import growth_digests
from growth_pipeline_tests.insights.report.weekly_reports import (
    a_claim,
    a_digest,
    a_report,
    a_whole_digest,
    a_whole_report,
    money_of,
    users,
)

CHANGES = 100


def faults(report, *, markdown=None, document=None):
    return check_figures(
        report,
        markdown=to_markdown(report) if markdown is None else markdown,
        document=to_json(report) if document is None else document,
    )


@pytest.fixture(scope="module")
def report():
    return a_whole_report()


@pytest.fixture(scope="module")
def faces(report):
    return to_markdown(report), to_json(report)


def test_a_report_that_was_written_whole_has_no_fault(report):
    assert faults(report) == []


def test_claims_of_the_real_rules_have_no_fault_and_all_of_them_are_written():
    digest = a_whole_digest()
    claims, refused = sift(claims_of(digest), digest)
    report = a_report(digest, claims, refused=refused)
    assert len(claims) > 5
    assert faults(report) == []
    assert len(json.loads(to_json(report))["claims"]) == len(claims)


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd", "xx1"])
def test_money_of_any_currency_has_no_fault(currency):
    assert faults(a_report(a_digest(money_of(currency)), ())) == []


def test_a_digest_that_somebody_else_made_up_has_no_fault():
    digest = growth_digests.with_free_text(growth_digests.a_digest(), "a@b.c 12 [x](https://y.z)")
    assert faults(a_report(digest, ())) == []
    assert faults(a_report(growth_digests.a_digest(), ())) == []


def test_the_picture_of_the_page_has_no_fault(report, faces):
    assert faults(report, markdown=to_markdown(report, pictures=True)) == []


def test_every_changed_digit_of_the_page_is_found(report, faces, seed):
    markdown, document = faces
    draw = random.Random(seed)
    places = draw.sample([one.start() for one in re.finditer(r"\d", markdown)], CHANGES)
    missed = []
    for at in places:
        other = str((int(markdown[at]) + draw.randint(1, 9)) % 10)
        changed = markdown[:at] + other + markdown[at + 1 :]
        if not check_figures(report, markdown=changed, document=document):
            missed.append(changed[max(0, at - 60) : at + 20])
    # A date or a count may become another one of the same report; hardly ever.
    assert len(missed) <= CHANGES // 50, missed


def test_a_figure_of_another_fact_in_a_cell_is_found(report, faces, seed):
    markdown, document = faces
    draw = random.Random(seed)
    figures = sorted({text for text in all_figures(report.digest).values() if text[-1].isdigit()})
    lines = [
        line
        for line in markdown.splitlines()
        if line.startswith("| ") and re.search(r"\| \S.*\d", line) and "UTC" not in line
    ]
    missed = []
    for line in draw.sample(lines, 30):
        cells = line.split(" | ")
        at = draw.choice([n for n, cell in enumerate(cells) if n and re.search(r"\d", cell)])
        other = draw.choice([one for one in figures if one not in cells[at]])
        swapped = " | ".join([*cells[:at], other, *cells[at + 1 :]])
        if not check_figures(report, markdown=markdown.replace(line, swapped), document=document):
            missed.append((line, swapped))
    assert missed == []


def test_a_row_told_under_another_name_is_found(report, faces):
    markdown, document = faces
    renamed = markdown.replace("| Day 7 retention |", "| Day 1 retention |")
    assert renamed != markdown
    assert check_figures(report, markdown=renamed, document=document)


def test_a_sentence_that_was_added_by_hand_is_found(report, faces):
    markdown, document = faces
    for told in ("MRR doubled to USD 99,999.00.", "- Sign-ups: 181", "| Sign-ups | 999 |"):
        assert check_figures(report, markdown=f"{markdown}\n{told}\n", document=document), told


def test_a_true_figure_beside_the_wrong_name_is_found(report, faces):
    markdown, document = faces
    wrong = markdown.replace("- Sign-ups: 180, +60", "- Sign-ups: 356, +60")
    assert wrong != markdown
    assert check_figures(report, markdown=wrong, document=document)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["claims"][0].update(rendered="MRR rose by USD 5.00."),
        lambda told: told["claims"][0]["references"][0].update(text="USD 5.00"),
        lambda told: told["claims"][0].update(text="{mrr.usd:value}"),
        lambda told: told["claims"][0].update(recommendation="Wait 5 days."),
        lambda told: told["claims"].pop(),
        lambda told: told["figures"].update({"mrr.usd:value": "USD 5.00"}),
        lambda told: told["figures"].update({"mrr.eur:value": "EUR 5.00"}),
        lambda told: told["digest"]["facts"][0].update(value=5),
        lambda told: told.update(digest_sha256="0" * 64),
        lambda told: told["graded"][0].update(value_now=5),
        lambda told: told["model"].update(calls=1),
        lambda told: told.update(week_start="2026-11-08"),
    ],
)
def test_a_changed_document_is_found(report, faces, change):
    markdown, document = faces
    told = json.loads(document)
    change(told)
    assert check_figures(report, markdown=markdown, document=json.dumps(told))


def test_what_is_no_json_is_found(report, faces):
    assert check_figures(report, markdown=faces[0], document="{") == ["the JSON face is no JSON"]


@pytest.mark.parametrize(
    "text",
    [
        "{mrr.usd:label} rose by 99 %.",
        "{mrr.usd:label} rose by ½.",
        "{mrr.eur:label} rose.",
        "{mrr.usd:nothing} rose.",
        "{mrr.usd rose.",
        " ",
    ],
)
def test_a_claim_that_cannot_be_written_is_left_out_of_every_face_and_told(text):
    report = a_report(a_whole_digest(), (a_claim(text),))
    assert json.loads(to_json(report))["claims"] == []
    assert "- 1 could not be written as it was" in to_markdown(report)
    assert [one for one in faults(report) if "is not shown" in one]


def test_small_companies_and_unknown_weeks_have_no_fault():
    series = list(users())
    unknown = [
        replace(one, points=(*one.points[:-1], replace(one.points[-1], value=None, reason="later")))
        for one in series
    ]
    few = [
        replace(one, points=tuple(replace(p, value=(p.value or 0) // 50) for p in one.points))
        for one in series
    ]
    for some in (unknown, few, [replace(one, points=one.points[-1:]) for one in series], []):
        assert faults(a_report(a_digest(some, statuses=()), ())) == []
