"""The report of an audit in files and in a job's summary."""

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.operate.audit import Report, check_output, in_words, summary_file

LIMIT = 1 << 20


def a_report(text: bytes) -> Report:
    return Report({"md": text}, "PASS")


def test_a_summary_is_appended_to_what_other_steps_wrote(tmp_path):
    path = tmp_path / "summary"
    path.write_text("before\n")
    a_report(b"# Report\n").append_summary(path)
    assert path.read_text() == "before\n# Report\n"


@pytest.mark.parametrize("before", [0, 1000, LIMIT - 10, LIMIT + 10])
def test_a_summary_never_exceeds_what_github_takes_and_is_cut_at_a_line(tmp_path, before):
    path = tmp_path / "summary"
    path.write_bytes(b"x" * before)
    line = ("| ä " * 30 + "|\n").encode()
    a_report(line * 20_000).append_summary(path)
    written = path.read_bytes()[before:]
    assert len(written) + before <= max(LIMIT, before)
    if before < LIMIT - 1000:
        assert written.decode().endswith("the rest is in its files.\n")
        assert written.count(line) > 1000


def test_a_summary_that_fits_is_whole(tmp_path):
    a_report(b"x" * LIMIT).append_summary(tmp_path / "summary")
    assert (tmp_path / "summary").stat().st_size == LIMIT


def test_outside_a_job_of_github_there_is_no_summary(monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with pytest.raises(UsageError, match="GITHUB_STEP_SUMMARY") as raised:
        summary_file()
    assert "--output" in raised.value.remedy
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert summary_file() == tmp_path / "summary.md"


def test_a_face_that_cannot_be_written_is_told_in_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        a_report(b"x").append_summary(tmp_path / "no" / "folder")


def test_a_folder_is_no_file_for_a_report(tmp_path):
    with pytest.raises(UsageError, match="it is a folder"):
        check_output(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("billing/balance_transactions_extract", "reading balance transactions from Stripe"),
        (
            "billing/inbox_no_events_are_quarantined",
            "checking that no received event was set aside",
        ),
        ("audit 2025-10: PASS, 0 findings", "audit 2025-10: PASS, 0 findings"),
    ],
)
def test_progress_is_told_in_words(line, words):
    assert in_words(line) == words
