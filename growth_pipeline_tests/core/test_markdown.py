"""Somebody's text in a Markdown cell stays text."""

from growth_pipeline.core.markdown import code_span, escaped, money, signed_money, table_head


def test_a_code_span_is_one_line_that_nothing_ends():
    assert code_span("a`b|c\nd") == "`a'b\u00a6c\ufffdd`"
    assert code_span("") == "(empty)"
    assert len(code_span("x" * 999)) < 130


def test_our_own_words_cannot_become_markup():
    assert escaped("a_b *c* [d](e)\n|f") == r"a\_b \*c\* \[d\]\(e\) \|f"


def test_money_of_a_currency_that_does_not_exist_is_somebodys_text():
    assert money(1234, "usd") == "USD 12.34"
    assert signed_money(1234, "usd") == "+USD 12.34"
    assert money(5, "<b>") == "`5 minor units of '<b>'`"


def test_a_table_begins_with_its_names_and_a_rule():
    assert table_head("A", "B") == ["| A | B |", "| --- | --- |"]
