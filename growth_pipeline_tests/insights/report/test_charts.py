from __future__ import annotations

import json
import struct
from dataclasses import replace

from growth_pipeline.insights.report.charts import (
    addresses,
    drawings,
    highlight_picture,
    highlight_png,
    mrr_picture,
    picture_alt,
    users_picture,
)
from growth_pipeline_tests.insights.report.weekly_reports import (
    a_digest,
    a_report,
    a_series,
    a_whole_report,
    engagement,
    money_of,
    product,
    users,
    weeks,
)

LIMIT = 100_000


def rows(spec, at):
    return spec["vconcat"][at]["data"]["values"]


def test_mrr_is_drawn_in_major_units_a_dot_a_week():
    spec = mrr_picture(a_whole_report(), "usd")
    drawn = [(row["week"], row["value"]) for row in rows(spec, 0)]
    assert drawn[0] == ("2026-09-20", 9_300.0)
    assert drawn[-1] == ("2026-11-15", 12_374.0)
    assert len(drawn) == 9


def test_movements_are_drawn_with_their_sign_and_only_those_that_were():
    spec = mrr_picture(a_whole_report(), "usd")
    last = {row["part"]: row["value"] for row in rows(spec, 1) if row["week"] == "2026-11-15"}
    assert last == {"new": 840.0, "expansion": 120.0, "contraction": -40.0, "churn": -114.0}


def test_a_currency_without_decimals_is_drawn_as_it_is():
    report = a_report(a_digest(money_of("jpy")), ())
    assert rows(mrr_picture(report, "jpy"), 0)[-1]["value"] == 1_237_400.0


def test_an_unknown_week_is_a_gap():
    series = a_series("wau", weeks([400, None, 410, 420]), label="WAU")
    spec = users_picture(a_report(a_digest([series]), ()))
    assert [row["value"] for row in rows(spec, 0)] == [400.0, None, 410.0, 420.0]


def test_nothing_is_drawn_of_one_week_or_of_nothing_or_of_no_currency():
    one_week = [replace(one, points=one.points[-1:]) for one in (*money_of("usd"), *users())]
    for series in ([], one_week, list(money_of("<x>"))):
        report = a_report(a_digest(series), ())
        assert drawings(report) == {}
        assert addresses(report) == {}
        assert highlight_png(report) == b""


def test_the_highlights_are_one_small_picture_the_same_each_time():
    report = a_whole_report()
    png = highlight_png(report)
    assert png == highlight_png(a_whole_report())
    assert len(png) < LIMIT
    width, height = struct.unpack(">II", png[16:24])
    assert 600 < width < 1_200
    assert 300 < height < 800


def test_the_largest_picture_fits_into_a_message_and_an_event_log():
    count = 104
    series = [*money_of("kwd", 1_000_000, count=count)]
    series += [
        a_series(name, weeks(range(10**6, 10**6 + count)), label=name)
        for name in ("wau", "signups")
    ]
    report = a_report(a_digest(series, weeks_shown=count), ())
    assert len(highlight_png(report)) < LIMIT
    assert addresses(report)["overview"].address.startswith("data:image/png;base64,")


def test_pictures_come_light_and_dark_with_words_that_say_what_they_show():
    drawn = drawings(a_whole_report())
    assert list(drawn) == ["mrr.usd", "users"]
    assert drawn == drawings(a_whole_report())
    for picture in drawn.values():
        assert picture.svg.startswith("<svg")
        assert picture.svg != picture.dark_svg
        assert "<script" not in picture.svg
    assert drawn["mrr.usd"].alt == (
        "MRR (USD) by week and what moved it, USD 12,374.00 at the end; the tables beside say the "
        "same"
    )
    assert picture_alt(a_whole_report()) == (
        "Week by week: MRR (USD) USD 12,374.00, Weekly active users (WAU) 356, Sign-ups 180; the "
        "tables say the same"
    )


def test_no_name_of_an_event_is_drawn_and_no_unit_of_time_is_local():
    names = ["Secret Name"]
    series = [*money_of("usd"), *users(), *engagement(), *product(names, names, funnel=names[0])]
    report = a_report(a_digest(series), ())
    text = json.dumps(highlight_picture(report))
    assert "Secret" not in text
    assert "timeUnit" not in text
    assert ":T" not in text
    assert '"temporal"' not in text
