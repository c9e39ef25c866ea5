"""The page: the answer first, every figure with its period, unknown and too few said plainly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from growth_pipeline.core.documents import (
    Data,
    Facts,
    Heading,
    Paragraph,
    Steps,
    Table,
    Tone,
    parts_of,
)
from growth_pipeline.insights.claims import ClaimKind, Refused, Severity
from growth_pipeline.insights.facts import Group, State
from growth_pipeline.insights.report.page import build_page
from growth_pipeline.insights.report.write import to_markdown
from growth_pipeline_tests.insights.report.weekly_reports import (
    WEEK_END,
    a_claim,
    a_digest,
    a_report,
    a_series,
    a_whole_digest,
    a_whole_report,
    engagement,
    event_id,
    money_of,
    product,
    users,
    weeks,
)


def text_of(cell):
    return "".join(part.text for part in parts_of(cell))


def tables(report):
    return [block for block in build_page(report).blocks if isinstance(block, Table)]


def table(report, word):
    return next(one for one in tables(report) if word in one.caption)


def row(report, label):
    """The row of a figure, by what its first cell begins with, under its head."""
    for one in tables(report):
        for cells in one.rows:
            if text_of(cells[0]).startswith(label) and "Value" in one.head:
                return dict(zip(one.head, map(text_of, cells), strict=True))
    raise AssertionError(label)


def headings(report):
    return [block.text for block in build_page(report).blocks if isinstance(block, Heading)]


def key_figures(report):
    facts = next(block for block in build_page(report).blocks if isinstance(block, Facts))
    return {name: text_of(value) for name, value in facts.rows}


# --- the answer ----------------------------------------------------------------------------------


def test_the_title_has_the_days_and_the_first_words_are_the_gravest_claims():
    page = build_page(a_whole_report())
    assert page.title == "Weekly growth report, 2026-11-15 to 2026-11-21"
    said, steps, wrote = page.blocks[:3]
    assert text_of(said.cell) == "What matters most this week"
    assert [text_of(item).split()[0] for item in steps.items] == ["HIGH", "GOOD", "GOOD"]
    assert text_of(wrote.cell) == (
        "Written by rules and Claude (claude-model-5-20260101): every figure comes from the digest."
    )
    assert page.tone is Tone.BAD


def test_without_a_model_the_page_says_so_and_why():
    wrote = build_page(a_report(a_whole_digest())).blocks[2]
    assert text_of(wrote.cell) == "Written by rules. Claude was not asked: no key is set."


def test_one_change_is_told_once_however_many_claims_tell_of_it():
    claims = [
        a_claim("{mrr.usd:label} rose by {mrr.usd:size}.", number=n, severity=Severity.HIGH)
        for n in range(3)
    ]
    claims.append(a_claim("{signups:label} rose by {signups:size}.", group=Group.USERS))
    steps = build_page(a_report(a_whole_digest(), claims)).blocks[1]
    assert [text_of(item) for item in steps.items] == [
        "HIGH MRR (USD) rose by USD 806.00.",
        "LOW Sign-ups rose by 60.",
    ]


def test_recommendations_alone_and_flat_facts_are_no_answer():
    claims = [
        a_claim("Ask about {mrr.usd:label}, {mrr.usd:size}.", kind=ClaimKind.RECOMMENDATION),
        a_claim("{customers.usd:label} moved by {customers.usd:change}."),
    ]
    flat = a_digest(money_of("usd"))
    first = build_page(a_report(flat, claims)).blocks[1]
    assert "Sign-ups" not in text_of(first.items[0])
    assert text_of(first.items[0]).startswith("MRR (USD): USD 12,374.00")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([100] * 9, "No clear change this week."),
        ([5] * 9, "Too few cases for any claim about this week."),
        ([None] * 9, "Nothing is known of this week yet."),
        ([100], "There is nothing yet to compare this week with."),
    ],
)
def test_where_nothing_moved_the_page_says_why(values, said):
    report = a_report(a_digest([a_series("signups", weeks(values))], statuses=()), ())
    assert text_of(build_page(report).blocks[0].cell) == said


def test_what_asks_for_something_comes_before_good_news_though_no_figure_moved():
    claims = [
        a_claim("{mrr.usd:label} rose by {mrr.usd:size}.", severity=Severity.GOOD),
        a_claim("The audit of revenue failed.", severity=Severity.HIGH),
    ]
    steps = build_page(a_report(a_whole_digest(), claims)).blocks[1]
    assert [text_of(item).split()[0] for item in steps.items] == ["HIGH", "GOOD"]
    assert text_of(steps.items[0]) == "HIGH The audit of revenue failed."


def test_the_currency_with_most_customers_comes_first():
    eur = [
        replace(one, points=tuple(replace(p, value=9 * (p.value or 0)) for p in one.points))
        if one.family == "customers"
        else one
        for one in money_of("eur")
    ]
    report = a_report(a_digest([*money_of("aed"), *eur, *money_of("usd")]), ())
    assert next(iter(key_figures(report))) == "MRR (EUR)"


# --- figures -------------------------------------------------------------------------------------


def test_key_figures_stand_with_change_and_percent_or_in_words_why_not():
    told = key_figures(a_whole_report())
    assert told["MRR (USD)"] == "USD 12,374.00, +USD 806.00 (+7.0 %)"
    assert told["Paying customers (USD)"] == "204, +3: no clear change"
    few = a_digest([a_series("signups", weeks([5] * 8 + [9]), label="Sign-ups")])
    assert key_figures(a_report(few, ()))["Sign-ups"] == "9, +4: too few to say"
    new = a_digest([a_series("signups", weeks([90]), label="Sign-ups")])
    assert key_figures(a_report(new, ()))["Sign-ups"] == "90, nothing to compare with"


def test_what_is_not_known_is_open_with_its_reason_and_never_zero():
    digest = a_digest([a_series("signups", weeks([120] * 8 + [None]), label="Sign-ups")])
    told = row(a_report(digest, ()), "Sign-ups")
    assert told["Figure"] == "Sign-ups: known only up to 2026-11-20 10:00 UTC"
    assert (told["Value"], told["Before"], told["Change"], told["Percent"]) == (
        "open",
        "120",
        "unknown",
        "unknown",
    )
    wait = [b for b in build_page(a_report(digest, ())).blocks if isinstance(b, Paragraph)]
    assert "1 figure is not known up to the end of the week yet" in " ".join(
        text_of(block.cell) for block in wait
    )


def test_a_closed_week_without_a_value_is_unknown():
    points = weeks([120] * 9)
    lost = replace(points[-1], value=None, reason="an item has an unknown price")
    digest = a_digest([a_series("signups", (*points[:-1], lost), label="Sign-ups")])
    assert lost.state is State.CLOSED
    assert row(a_report(digest, ()), "Sign-ups")["Value"] == "unknown"


def test_counts_under_twenty_have_no_percent():
    digest = a_digest([a_series("signups", weeks([10] * 8 + [19]), label="Sign-ups")])
    told = row(a_report(digest, ()), "Sign-ups")
    assert (told["Value"], told["Change"]) == ("19", "+9")
    assert (told["Percent"], told["Against usual"]) == ("too few", "too few")


def test_a_rise_from_nothing_has_no_percent():
    digest = a_digest([a_series("signups", weeks([0] * 8 + [40]), label="Sign-ups")])
    assert row(a_report(digest, ()), "Sign-ups")["Percent"] in ("too few", "none before")


def test_rates_differ_in_points_and_show_their_cases():
    told = row(a_whole_report(), "Day 7 retention")
    assert (told["Value"], told["Change"], told["Percent"]) == (
        "33.9 %",
        "+3.2 points",
        "in points",
    )
    assert told["Rests on"] == "42 of 124"


def test_few_cases_are_not_counted_out():
    digest = a_digest([a_series("signups", weeks([900] * 9, samples=[3] * 9), label="S")])
    assert row(a_report(digest, ()), "S")["Rests on"] == "fewer than 5"


def test_another_period_than_the_reports_week_stands_in_its_row():
    report = a_whole_report()
    assert row(report, "Dormant users")["Figure"] == "Dormant users (2026-11-09 to 2026-11-15)"
    assert row(report, "Active users on Sunday")["Figure"] == "Active users on Sunday (2026-11-15)"
    assert row(report, "Sign-ups")["Figure"] == "Sign-ups"


def test_a_claim_about_another_period_says_it():
    assert "(2026-11-01 to 2026-11-07)" in to_markdown(a_whole_report())


@pytest.mark.parametrize(
    ("currency", "scale", "value", "change"),
    [
        ("usd", 1, "USD 12,374.00", "+USD 806.00"),
        ("jpy", 1, "JPY 1,237,400", "+JPY 80,600"),
        ("kwd", 10, "KWD 12,374.000", "+KWD 806.000"),
    ],
)
def test_money_has_the_decimals_of_its_currency(currency, scale, value, change):
    told = row(a_report(a_digest(money_of(currency, scale)), ()), f"MRR ({currency.upper()})")
    assert (told["Value"], told["Change"]) == (value, change)


def test_currencies_stand_apart_and_only_two_are_key_figures():
    codes = ("usd", "eur", "jpy", "kwd")
    report = a_report(a_digest([one for code in codes for one in money_of(code)]), ())
    assert [name for name in headings(report) if name.startswith("Money")] == [
        f"Money in {code.upper()}" for code in codes
    ]
    assert len([name for name in key_figures(report) if name.startswith("MRR")]) == 2


def test_every_table_has_a_caption_and_all_figures_flush_right():
    for one in tables(a_whole_report()):
        assert one.caption
        named = {one.head[at] for at in one.numbers}
        assert {"Value", "Before", "Change", "Share", "Told before"} & set(one.head) <= named


# --- drivers, weeks, groups ----------------------------------------------------------------------


def test_drivers_are_ranked_and_add_up_to_the_change():
    drivers = table(a_whole_report(), "Drivers of MRR")
    told = [(text_of(cells[0]), text_of(cells[1])) for cells in drivers.rows]
    assert told == [
        ("New MRR (USD)", "+USD 840.00"),
        ("Expansion MRR (USD)", "+USD 120.00"),
        ("Churn MRR (USD)", "-USD 114.00"),
        ("Contraction MRR (USD)", "-USD 40.00"),
        ("Together", "+USD 806.00"),
    ]
    assert 840 + 120 - 114 - 40 == 806


def test_shares_are_told_only_where_the_whole_moved():
    product_group = {"group": Group.PRODUCT}
    parts = [
        a_series(
            f"events.{name}",
            weeks([4_500] * 8 + [value]),
            part_of="events",
            label=f"{name} events",
            **product_group,
        )
        for name, value in (("first", 4_600), ("other", 4_500))
    ]
    whole = a_series("events", weeks([9_000] * 8 + [9_100]), label="Events", **product_group)
    drivers = table(a_report(a_digest([whole, *parts]), ()), "Drivers")
    assert [tuple(map(text_of, cells)) for cells in drivers.rows] == [
        ("first events", "+100", ""),
        ("Together", "+100", ""),
    ]


def test_the_weeks_of_the_report_are_listed_and_no_more():
    report = a_whole_report(digest=a_whole_digest(weeks_shown=3))
    starts = [text_of(cells[0]) for cells in table(report, "MRR at the end").rows]
    assert starts == ["2026-11-01", "2026-11-08", "2026-11-15"]


def test_movements_that_never_were_have_no_column():
    nothing = a_series(
        "mrr_paused.usd",
        weeks([0] * 9),
        group=Group.REVENUE,
        currency="usd",
        label="Paused MRR (USD)",
        part_of="mrr.usd",
    )
    report = a_report(a_digest([*money_of("usd"), nothing]), ())
    assert "Paused MRR (USD)" not in table(report, "MRR at the end").head


def test_claims_stand_in_their_group_with_severity_advice_and_author():
    blocks = build_page(a_whole_report()).blocks
    at = next(n for n, b in enumerate(blocks) if isinstance(b, Heading) and b.text == "Revenue")
    items = [text_of(item) for item in blocks[at + 1].items]
    assert items == [
        "LOW MRR (USD) moved by +USD 806.00, driven by New MRR (USD) of USD 840.00. Repeat what "
        "brought them. (model)",
        "GOOD MRR (USD) rose by USD 806.00 (7.0 %) to USD 12,374.00. Ask the new customers what "
        "brought them. (rule mrr_moved)",
    ]


def test_names_of_events_and_steps_are_data():
    report = a_report(a_digest(product(["<b>Buy</b>"], ["`Paid`"], funnel="|x|")), ())
    found = {
        part.text
        for one in tables(report)
        for cells in one.rows
        for part in parts_of(cells[0])
        if isinstance(part, Data)
    }
    assert found >= {"<b>Buy</b>", "`Paid`", "|x|"}


def test_tied_and_long_names_stay_apart():
    names = ["n" * 3_000, "n" * 2_999, ""]
    report = a_report(a_digest(product(names, ["s" * 500])), ())
    assert len(table(report, "Events by name").rows) == 2
    assert max(map(len, to_markdown(report).splitlines())) < 2_000


# --- later parts ---------------------------------------------------------------------------------


def test_sections_stand_in_their_order():
    assert [one for one in headings(a_whole_report()) if one[0] != "M"] == [
        "Key figures",
        "Revenue",
        "Users",
        "Engagement",
        "By weekday",
        "Retention",
        "Product",
        "Events that changed most",
        "Funnels",
        "Audit",
        "What changed in past numbers",
        "What was predicted last week",
        "What is expected of next week",
        "What was kept out",
        "How this was computed",
        "Notes",
    ]


def test_what_changed_shows_both_values_and_the_reason():
    (cells,) = table(a_whole_report(), "were told before").rows
    assert [text_of(cell) for cell in cells] == [
        "MRR (USD)",
        "2026-11-01",
        "USD 10,814.00",
        "USD 10,799.00",
        "Stripe told of it later",
    ]


def test_predictions_are_graded_and_a_fact_that_is_gone_cannot_be_told():
    report = a_whole_report()
    assert "1 of 1 predictions that can be told held." in to_markdown(report)
    graded = [[text_of(cell) for cell in cells] for cells in table(report, "earlier reports").rows]
    assert graded == [
        ["Sign-ups", "up", "up", "120", "180", "held", "rule"],
        ["gone.eur", "down", "unknown", "unknown", "unknown", "cannot be told", "model"],
    ]


def test_what_was_kept_out_is_counted_with_reasons_and_never_quoted():
    secret = a_claim("Buy now at evil dot example", written_by="model")
    refused = [
        Refused(claim=secret, reasons=('it says "Buy now", 99 times', "no reference")),
        Refused(claim=secret, reasons=("no reference",)),
    ]
    told = to_markdown(a_report(a_whole_digest(), refused=tuple(refused)))
    assert "2 claims were kept out, 2 of the model and 0 of rules." in told
    assert "- 2 \N{MULTIPLICATION SIGN} no reference" in told
    assert "Buy" not in told
    assert "99" not in told.split("What was kept out")[1].split("##")[0]


def test_how_it_was_computed_names_hash_sources_rules_and_cost():
    report = a_whole_report()
    told = to_markdown(report).split("## How this was computed")[1]
    assert report.digest.sha256 in told
    for said in (
        "8 weeks that were over, up to 2026-11-22 (exclusive)",
        "| `revenue.mrr_spells` | `UTC` | 2026-11-22 09:00:00 UTC | `growth@1` |",
        "| `cohorts.active_users` | `Europe/Berlin` | 2026-11-22 07:00:00 UTC |",
        "2 calls, 8,412 tokens in, 1,204 tokens out, 14.3 seconds, cost USD 0.0433",
        "Counts under 20 on either side",
    ):
        assert said in told.replace("\\", ""), said


def test_an_unknown_cost_is_unknown():
    report = a_whole_report()
    use = replace(report.use, cost_usd=None, calls=1, from_cache=True)
    told = to_markdown(replace(report, use=use))
    assert "1 call, 8,412 tokens in" in told
    assert "cost unknown; the answer to the same question was there" in told


# --- small pages ---------------------------------------------------------------------------------


def test_an_empty_company_gets_a_whole_page():
    notes = ("No product event has come: docs/events.md says how they are told.",)
    report = a_report(a_digest([], statuses=(), notes=notes), ())
    page = build_page(report)
    assert text_of(page.blocks[0].cell) == "Nothing is known of this week yet."
    assert [one for one in headings(report)][-1] == "Notes"
    assert "Key figures" not in headings(report)
    assert to_markdown(report).count("There are no figures; the notes say why.") == 4


def test_one_week_of_data_is_shown_without_comparison():
    series = [
        replace(one, points=one.points[-1:])
        for one in (*money_of("usd"), *users(), *engagement(), *product(["A"], ["B"]))
    ]
    report = a_report(a_digest(series, weeks_shown=1), ())
    told = row(report, "MRR (USD)")
    assert (told["Value"], told["Before"], told["Change"], told["Trend"]) == (
        "USD 12,374.00",
        "unknown",
        "unknown",
        "unknown",
    )
    assert "The report shows 1 week that was over" in to_markdown(report)
    assert not [one for one in tables(report) if "Drivers" in one.caption]


def test_where_everything_is_unknown_no_number_is_a_value():
    series = [
        replace(
            one,
            points=tuple(
                replace(point, value=None, state=State.OPEN, reason="nothing is known of it yet")
                for point in one.points
            ),
        )
        for one in (*money_of("usd"), *users())
    ]
    report = a_report(a_digest(series), ())
    for one in tables(report):
        if "Value" in one.head:
            at = one.head.index("Value")
            assert {text_of(cells[at]) for cells in one.rows} == {"open"}
        if one.head[0] == "Week from":
            assert {text_of(cell) for cells in one.rows for cell in cells[1:]} == {"open"}


def test_a_model_that_added_nothing_is_still_named_as_asked():
    report = replace(a_whole_report(), why_no_model="Claude refused to answer.", claims=())
    told = to_markdown(report)
    assert "Written by rules. Claude refused to answer." in told
    assert "8,412 tokens in" in told


def test_a_week_that_begins_on_a_monday_is_named_by_its_days():
    digest = replace(
        a_whole_digest(), week_end=WEEK_END + timedelta(days=1), week_start=WEEK_END - timedelta(6)
    )
    assert build_page(a_report(digest, ())).title == (
        "Weekly growth report, 2026-11-16 to 2026-11-22"
    )


def test_the_same_report_is_the_same_page():
    assert build_page(a_whole_report()) == build_page(a_whole_report())
    assert event_id("A") == event_id("A")


def test_unordered_lists_hold_the_claims():
    found = [block for block in build_page(a_whole_report()).blocks if isinstance(block, Steps)]
    assert all(not one.numbered for one in found)
