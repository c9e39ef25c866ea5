"""A backfill as people and scripts read it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from markdown_it import MarkdownIt

from growth_pipeline.billing.backfill import (
    Backfill,
    ChangedRow,
    Counts,
    Field,
    KnownSize,
    Money,
    MoneyChange,
    Part,
    Plan,
    RowChange,
    Sample,
    SinceDryRun,
    Span,
    parts_of,
    plan_reading,
)
from growth_pipeline.billing.backfill_report import (
    plan_lines,
    requests_line,
    to_dict,
    to_markdown,
)
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

OCTOBER = Span(datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC))
LATER = datetime(2025, 11, 15, 9, 30, tzinfo=UTC)
DRY_RUN_AT = datetime(2025, 11, 15, 8, tzinfo=UTC)


def a_row(id="re_1", change=RowChange.UPDATE, object="refund") -> ChangedRow:
    return ChangedRow("acct_1", object, id, change, "aa")


def a_backfill(**changed) -> Backfill:
    base = Backfill(
        scopes=[Scope("acct_1", False)],
        span=OCTOBER,
        resources=("refunds", "charges"),
        dry_run=True,
        finished_at=LATER,
        counts={"refund": Counts(update=1, skip=4, newer=1), "charge": Counts(insert=2, delete=1)},
        payments=Counts(insert=2, update=1),
        money={"usd": MoneyChange(Money(1, 500), Money(3, 2900, refunded_minor=150))},
        samples=[
            Sample(
                a_row(),
                [Field("amount", 100, 150, is_shown=True), Field("metadata")],
            ),
            Sample(a_row("ch_9", RowChange.DELETE, "charge")),
        ],
        row_count=7,
        refused=(),
        confirmed=1,
        requests=None,
        run_id="run",
    )
    return replace(base, **changed)


def test_a_dry_run_says_first_that_nothing_was_changed_and_then_what_would_be():
    lines = to_markdown(a_backfill()).splitlines()
    assert lines[0] == "# Backfill 2025-10 to 2025-10: dry run, nothing was changed"
    assert lines[2] == (
        "**2 objects would be inserted, 1 updated, 1 marked as deleted, 4 skipped; "
        "2 payments would be booked, 1 changed.**"
    )


def test_an_apply_says_what_was_done():
    page = to_markdown(a_backfill(dry_run=False))
    assert page.startswith("# Backfill 2025-10 to 2025-10: applied\n")
    assert "2 objects were inserted" in page


def test_a_second_run_says_that_there_is_nothing_to_change():
    empty = a_backfill(
        counts={"charge": Counts(skip=9)}, payments=Counts(), money={}, samples=(), row_count=0
    )
    page = to_markdown(empty)
    assert "Nothing to change: mirror and books already hold what Stripe says." in page
    assert to_dict(empty)["is_empty"] is True
    assert "## Money" not in page


def test_one_changed_object_is_enough_not_to_be_empty():
    changed = a_backfill(counts={"coupon": Counts(update=1)}, payments=Counts())
    assert not changed.is_empty
    assert "0 objects would be inserted, 1 updated" in to_markdown(changed)


def test_one_object_one_payment_and_one_row_are_said_in_the_singular():
    one = {"counts": {"charge": Counts(insert=1)}, "payments": Counts(insert=1)}
    assert "**1 object would be inserted, 0 updated, 0 marked as deleted, 0 skipped; " in (
        to_markdown(a_backfill(**one))
    )
    since = SinceDryRun(DRY_RUN_AT, same=1, undone=0, more=0, other=0)
    page = to_markdown(a_backfill(**one, dry_run=False, since_dry_run=since))
    assert "**1 object was inserted, " in page
    assert "; 1 payment was booked, 0 changed.**" in page
    assert "said: 1 row." in page
    assert "- 1 object that their list no longer has was asked for by id." in page


def test_every_kind_has_its_row_and_all_of_them_a_sum():
    page = to_markdown(a_backfill())
    assert "| `refund` | 0 | 1 | 4 | 0 | 1 |" in page
    assert "| `charge` | 2 | 0 | 0 | 1 | 0 |" in page
    assert "| **all** | 2 | 1 | 4 | 1 | 1 |" in page


def test_money_stands_before_after_and_as_a_difference_in_its_own_currency():
    page = to_markdown(a_backfill())
    assert "| `USD` settled payments | 1 | 3 | 2 |" in page
    assert "| `USD` gross | USD 5.00 | USD 29.00 | +USD 24.00 |" in page
    assert "| `USD` refunded | USD 0.00 | USD 1.50 | +USD 1.50 |" in page
    assert "| `USD` **net** | USD 5.00 | USD 27.50 | +USD 22.50 |" in page
    assert "disputed" not in page, "nothing before and nothing after is no line"


def test_rows_show_values_where_they_are_nobodys_data():
    page = to_markdown(a_backfill())
    assert "## Rows (2 of 7)" in page
    assert "| update | `refund` `re_1` | amount `100` to `150`; metadata |" in page


def test_the_file_with_all_rows_is_named_on_the_page_and_in_json():
    report = a_backfill(rows_kept_in="reports/backfill/x/dry-run.parquet")
    page = to_markdown(report)
    assert "All rows, before and after, in the lake: `reports/backfill/x/dry-run.parquet`" in page
    assert to_dict(report)["rows_kept_in"] == "reports/backfill/x/dry-run.parquet"


def test_long_changes_are_cut_and_say_so():
    fields = [Field(f"field{number}") for number in range(9)]
    page = to_markdown(a_backfill(samples=[Sample(a_row(), fields)]))
    assert "field5; 3 more |" in page


def test_an_apply_as_it_was_foretold_says_so_in_one_line():
    since = SinceDryRun(DRY_RUN_AT, same=7, undone=0, more=0, other=0)
    page = to_markdown(a_backfill(dry_run=False, since_dry_run=since))
    assert "Exactly as the dry run of 2025-11-15 08:00:00 UTC said: 7 rows." in page


def test_an_apply_that_differs_from_its_dry_run_names_what_changed_since():
    since = SinceDryRun(DRY_RUN_AT, 4, 2, 1, 0, [("more", a_row("re_7", RowChange.INSERT))])
    report = a_backfill(dry_run=False, since_dry_run=since)
    page = to_markdown(report)
    assert "## Since the dry run of 2025-11-15 08:00:00 UTC" in page
    assert "| not named | insert | `refund` `re_7` |" in page
    assert to_dict(report)["since_dry_run"] == {
        "dry_run_at": "2025-11-15T08:00:00+00:00",
        "is_as_said": False,
        "same": 4,
        "not_done": 2,
        "more": 1,
        "other_content": 0,
        "examples": [
            {
                "what": "more",
                "account_id": "acct_1",
                "object": "refund",
                "id": "re_7",
                "change": "insert",
            }
        ],
    }


def test_what_the_mirror_cannot_use_is_named_with_the_reason():
    report = a_backfill(
        refused=[("charge", "ch_odd", "unknown_value: no amount")],
        counts={"charge": Counts(skip=3, refused=1)},
        payments=Counts(),
    )
    assert "**1 object cannot be used. 0 objects would be inserted" in to_markdown(report)
    assert not report.is_empty
    assert "- **Refused**: `charge` `ch_odd`: `unknown_value: no amount`" in to_markdown(report)
    assert to_dict(report)["refused_sample"] == [
        {"object": "charge", "id": "ch_odd", "reason": "unknown_value: no amount"}
    ]


def test_a_month_that_was_not_over_is_provisional():
    assert "was not over" not in to_markdown(a_backfill())
    early = a_backfill(finished_at=datetime(2025, 10, 20, tzinfo=UTC))
    assert "- The last month was not over when it was read" in to_markdown(early)


def test_json_holds_counts_and_money_in_minor_units_with_the_difference():
    document = json.loads(json.dumps(to_dict(a_backfill())))
    assert document["total"] == {
        "insert": 2,
        "update": 1,
        "skip": 4,
        "delete": 1,
        "newer_in_mirror": 1,
        "refused": 0,
    }
    assert document["payments"] == {"insert": 2, "update": 1}
    assert document["money_minor"]["usd"]["difference"] == {
        "payments": 2,
        "gross_minor": 2400,
        "refunded_minor": 150,
        "disputed_minor": 0,
        "fees_minor": 0,
        "net_minor": 2250,
    }
    assert (document["since"], document["until"]) == (
        "2025-10-01T00:00:00+00:00",
        "2025-11-01T00:00:00+00:00",
    )
    assert document["sample"][0]["fields"] == [
        {"field": "amount", "before": 100, "after": 150},
        {"field": "metadata"},
    ]


def test_text_from_stripe_is_never_markup():
    evil = "x`|<script>alert(1)</script>\n# [a](http://evil)"
    page = to_markdown(
        a_backfill(
            samples=[Sample(a_row(evil), [Field("status", evil, evil + "!", is_shown=True)])],
            refused=[("coupon", evil, evil)],
        )
    )
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert "<script>" not in html
    assert "<a " not in html
    assert html.count("<h1>") == 1
    assert html.count("<table>") == 3


def a_plan(*scopes: Scope) -> Plan:
    """October of two lists; only the first account's 240,000 charges are known."""
    return plan_reading(
        parts_of(["charges", "refunds"], scopes, [Month(2025, 10)]),
        {Part(scopes[0], "charges", Month(2025, 10)): KnownSize(240_000)},
        requests_per_second=20,
        endpoint_requests_per_second=20,
    )


def test_the_plan_is_said_as_an_estimate_and_what_is_unknown_is_said_too():
    plan = a_plan(Scope("acct_1", False))
    assert plan_lines(plan, OCTOBER) == [
        "plan: objects created 2025-10-01 to 2025-11-01 (exclusive), UTC: 1 month of 2 lists",
        "plan: about 2,401 requests, about 2 min at 20 requests a second (20 for one list); "
        "an estimate",
        "plan: nothing is known yet of 1 of 2 extracts; each counts as one request, it may be more",
    ]


def test_the_plan_of_several_accounts_says_how_many():
    first, *_, last = plan_lines(a_plan(Scope("acct_1", False), Scope("acct_2", False)), OCTOBER)
    assert first.endswith("1 month of 2 lists of 2 accounts")
    assert "3 of 4 extracts" in last


def test_the_requests_that_were_made_stand_beside_the_planned_ones():
    plan = a_plan(Scope("acct_1", False))
    assert requests_line(plan, 2412) == (
        "\nReading the lists took 2,412 requests; the plan said about 2,401.\n"
    )
    assert "took 1 request;" in requests_line(plan, 1)
    assert requests_line(plan, None) == ""
    assert to_dict(a_backfill(requests=2412))["requests"] == 2412
