"""What somebody wrote, where it is shown as it is."""

import pytest

from growth_pipeline.core.plain_text import one_line, printable, record


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\tc", "a b\ufffdc"),
        ("right\u202eleft", "right\ufffdleft"),
        ("zero\u200bwidth", "zero\ufffdwidth"),
        ("\x1b[31m", "\ufffd[31m"),
        ("\ud800", "\ufffd"),
        ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_becomes_a_mark(text, shown):
    assert one_line(text) == shown


def test_a_long_text_is_cut_and_says_so():
    assert one_line("x" * 500, limit=10) == "x" * 10 + "…"
    assert one_line(" " * 999 + "end", limit=10).endswith("…")
    assert one_line("x" * 10, limit=10) == "x" * 10


def test_a_terminal_keeps_its_line_breaks_and_nothing_else_that_acts():
    assert printable("a\n\tb\x1b]0;t\x07\x9b\r") == "a\n\tb\ufffd]0;t\ufffd\ufffd\ufffd"


def test_a_record_stays_on_its_line_with_its_blanks():
    assert record("  next: a\r\nINFO forged\nb") == "  next: a INFO forged b"
