"""One document, two faces: both say the same, and neither acts on somebody's text."""

from __future__ import annotations

import html.parser
import re

import pytest
from markdown_it import MarkdownIt

from growth_pipeline.core.documents import (
    Amount,
    Code,
    Data,
    Document,
    Facts,
    Heading,
    Link,
    Paragraph,
    Picture,
    Steps,
    Table,
    Tone,
    Words,
    joined,
    money_part,
    parts_of,
    quoted,
)
from growth_pipeline.core.html import content_policy, render_html
from growth_pipeline.core.markdown import prose, render_markdown

SAFE = "https://dashboard.stripe.com/acct_1/payments/ch_1"


def markdown(*blocks) -> str:
    return render_markdown(Document("Title", blocks)).split("\n\n", 1)[1]


def page(*blocks) -> str:
    return render_html(Document("Title", blocks))


class Outline(html.parser.HTMLParser):
    """Headings by level, scopes of header cells, and the texts of cells."""

    def __init__(self, text):
        super().__init__()
        self.levels, self.scopes, self.images = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))
        if tag == "img":
            self.images.append(dict(attrs))


def test_a_cell_is_made_of_pieces_however_they_are_nested():
    cell = ("a ", (Data("b"), (" c", Code("d"))), Words("e"))
    assert list(parts_of(cell)) == [Words("a "), Data("b"), Words(" c"), Code("d"), Words("e")]
    assert joined([]) == ()
    assert list(parts_of(joined(["a", Data("b")]))) == [Words("a"), Words(", "), Data("b")]


def test_backticks_of_a_sentence_set_somebodys_text_apart():
    assert quoted("run `growth audit` now") == (Words("run "), Data("growth audit"), Words(" now"))
    assert quoted("") == ()


def test_money_of_a_currency_that_does_not_exist_is_somebodys_text():
    assert money_part(-7450, "kwd", signed=True) == Amount("-KWD 7.450")
    assert money_part(5, "<b>") == Data("5 minor units of '<b>'")


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [
        (SAFE, True),
        ("https://dashboard.stripe.com/a?x=1", False),
        ("https://dashboard.stripe.com/a#b", False),
        ("https://user@dashboard.stripe.com/a", False),
        ("https://dashboard.stripe.com:8443/a", False),
        ("http://dashboard.stripe.com/a", False),
        ("javascript:alert(1)", False),
        ("https://dashboard.stripe.com/a)[x](http://evil.example", False),
        ('https://dashboard.stripe.com/a" onclick="x', False),
        ("", False),
    ],
)
def test_only_a_plain_address_becomes_a_link(address, is_safe):
    link = Link("ch_1", address)
    assert link.is_safe is is_safe
    assert ("](" in markdown(Paragraph(link))) is is_safe
    assert ("<a " in page(Paragraph(link))) is is_safe
    assert "ch_1" in page(Paragraph(link))


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("ask @ann about it", "ask `@ann` about it"),
        ("see http://evil.example now", "see `http://evil.example` now"),
        ("see www.evil.example", "see `www.evil.example`"),
        ("as in #12 and GH-7", "as in `#12` and `GH-7`"),
        ("commit 0123abc", "commit `0123abc`"),
        ("a_b *c* [d] <e>", r"a\_b \*c\* \[d\] \<e\>"),
        ("1,234 of USD 5.00 (net)", "1,234 of USD 5.00 (net)"),
        ("a\nb", "a\ufffdb"),
    ],
)
def test_words_that_github_would_make_active_stand_in_code(words, written):
    assert prose(words) == written


@pytest.mark.parametrize("start", ["- a", "+ a", "1. a", "10) a", "---", "==="])
def test_no_sentence_turns_into_a_list_or_a_rule(start):
    parsed = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(Paragraph(start)))
    assert parsed == f"<p>{start}</p>\n"


def test_a_table_has_a_caption_named_columns_and_a_name_in_each_row():
    table = Table("One thing a row", ("Thing", "Count"), (("a|b", "1"),), frozenset({1}))
    assert markdown(table) == "| Thing | Count |\n| --- | ---: |\n| a\\|b | 1 |\n"
    text = page(table)
    assert "<caption>One thing a row</caption>" in text
    assert Outline(text).scopes == ["col", "col", "row"]
    assert '<td class="number">1</td>' in text


def test_lists_and_facts_have_both_faces():
    assert markdown(Steps(("a", Code("b")))) == "1. a\n2. `b`\n"
    assert markdown(Steps(("a",), numbered=False)) == "- a\n"
    assert markdown(Facts((("Name", Data("v")),))) == "- Name: `v`\n"
    assert "<ol>" in page(Steps(("a",)))
    assert "<ul>" in page(Steps(("a",), numbered=False))
    assert '<dt>Name</dt><dd><bdi><code class="data">v</code></bdi></dd>' in page(
        Facts((("Name", Data("v")),))
    )


def test_blanks_between_pieces_survive_in_both_faces():
    cell = (Data("USD"), Words(" net", strong=True), " of ", Code("x"))
    assert markdown(Paragraph(cell)) == "`USD` **net** of `x`\n"
    assert "</bdi><strong> net</strong> of <code" in page(Paragraph(cell))


def test_a_tone_is_a_colour_beside_the_word_and_never_alone():
    assert '<span class="tone bad">FAIL</span>' in page(Paragraph(Words("FAIL", tone=Tone.BAD)))
    assert markdown(Paragraph(Words("FAIL", tone=Tone.BAD))) == "FAIL\n"


def test_headings_come_in_order_below_one_title():
    text = page(Heading(2, "A"), Heading(3, "B"), Heading(2, "C"))
    assert Outline(text).levels == [1, 2, 3, 2]
    assert markdown(Heading(2, "A"), Heading(3, "B")) == "## A\n\n### B\n"


def test_a_picture_says_in_words_what_it_shows_and_has_one_for_dark_pages():
    svg, dark = "<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg id='dark'/>"
    text = page(Picture('Findings "by" class', svg=svg, dark_svg=dark))
    (image,) = Outline(text).images
    assert image["alt"] == 'Findings "by" class'
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert '<source media="(prefers-color-scheme: dark)"' in text
    assert markdown(Paragraph("x"), Picture("alt", svg=svg)) == "x\n", "no address, no picture"
    assert markdown(Picture("alt", address="data:image/png;base64,AA")) == (
        "![alt](data:image/png;base64,AA)\n"
    )


def test_a_page_asks_nobody_and_allows_its_own_style_alone():
    text = page(Paragraph("x"))
    assert content_policy().startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in content_policy()
    assert text.count("<style>") == 1
    assert not re.search(r"<(script|link|iframe|object|embed|form|base)\b", text)
    assert "style=" not in text


@pytest.mark.parametrize("text", ["<b>&\"'</b>", "</code><script>", "{{ 1 }}", "\u202egnp.exe"])
def test_every_piece_is_escaped_wherever_it_stands(text):
    blocks = (
        Heading(2, text),
        Paragraph((text, Data(text), Code(text), Words(text, strong=True), Link(text, SAFE))),
        Facts(((text, Data(text)),)),
        Table(text, (text,), ((text,),)),
        Steps((Data(text),)),
        Picture(text, svg="<svg/>"),
    )
    written = render_html(Document(text, blocks))
    body = written.split("</style>", 1)[1]
    assert "<b>" not in body
    assert "<script" not in body
    assert "\"'" not in body.replace("&#34;", "")
    assert "49" not in body
