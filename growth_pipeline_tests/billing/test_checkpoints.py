"""Pages on their way: what a kill leaves is used, what is not the same reading is not."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from growth_pipeline.billing.checkpoints import Journal, state_of
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.shards import Cursor, Shard

NOW = datetime(2025, 12, 1, tzinfo=UTC)
ABOUT = {"path": "charges", "params": {}}


def a_journal(folder: Path | None, *, about=None, now: datetime = NOW, **options) -> Journal:
    return Journal(
        folder, "charges-2025-10", about=about or ABOUT, fresh={"reading": "1"}, now=now, **options
    )


def a_shard(**fields) -> Shard:
    return Shard(**({"number": 0, "gte": 0, "lt": 1_000} | fields))


def with_a_page(folder: Path) -> Path:
    journal = a_journal(folder)
    shard = a_shard(pages=1, objects=2, cursor=Cursor("ch_1", 900), first_id="ch_2", last_id="ch_1")
    journal.append({"shards": [state_of(shard)], "requests": 3, "fetched": ["a", "b"]}, b"two rows")
    journal.close()
    assert journal.path is not None
    return journal.path


def test_what_was_kept_is_there_again(tmp_path):
    with_a_page(tmp_path)
    journal = a_journal(tmp_path, now=NOW + timedelta(hours=23))
    (shard,) = journal.shards()
    assert journal.resumed
    assert (shard.cursor, shard.pages, shard.objects) == (("ch_1", 900), 1, 2)
    assert list(journal.blocks(0)) == [b"two rows"]
    assert (journal.requests, journal.fetched_from, journal.fetched_to) == (3, "a", "b")
    assert journal.head["as_of"] == NOW.isoformat()


@pytest.mark.parametrize(
    "options",
    [
        {"now": NOW + timedelta(days=1)},
        {"now": NOW - timedelta(seconds=1)},
        {"about": {"path": "charges", "params": {"status": "all"}}},
        {"is_usable": lambda head: head["reading"] != "1"},
    ],
    ids=["a day old", "from the future", "another list", "in the lake already"],
)
def test_what_is_too_old_or_about_something_else_is_begun_anew(tmp_path, options):
    with_a_page(tmp_path)
    journal = a_journal(tmp_path, **options)
    assert not journal.resumed
    assert journal.shards() == []
    assert list(journal.blocks(0)) == []


def test_a_record_that_was_cut_by_the_kill_is_not_there_and_the_next_takes_its_place(tmp_path):
    path = with_a_page(tmp_path)
    whole = path.read_bytes()
    start = whole.index(b"gxp1", 1)
    for length in range(start, len(whole), 7):
        path.write_bytes(whole[:length])
        journal = a_journal(tmp_path)
        assert journal.resumed
        assert journal.shards() == []
        journal.append({"shards": [state_of(a_shard(pages=1))]}, b"again")
        journal.close()
        again = a_journal(tmp_path)
        assert list(again.blocks(0)) == [b"again"]
        again.close()


def test_a_byte_that_changed_ends_what_is_believed(tmp_path):
    path = with_a_page(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert a_journal(tmp_path).shards() == []


def test_of_a_window_that_was_cut_only_the_bound_counts_until_its_page_is_kept(tmp_path):
    journal = a_journal(tmp_path)
    cut = {"number": 0, "gte": 400, "lt": 1_000}
    journal.append({"cut": cut, "shards": [state_of(a_shard(number=1, lt=400))]})
    journal.close()
    newer, older = a_journal(tmp_path).shards()
    assert (newer.gte, newer.lt, newer.pages, newer.cursor) == (400, 1_000, 0, None)
    assert (older.gte, older.lt) == (0, 400)


def test_two_readings_of_one_list_at_once_do_not_share_a_file(tmp_path):
    first = a_journal(tmp_path)
    second = a_journal(tmp_path)
    assert (first.path is None, second.path) == (False, None)
    second.append({"shards": []}, b"")
    second.discard()
    assert first.path is not None
    assert first.path.exists()
    first.discard()
    assert not first.path.exists()


def test_without_a_folder_nothing_stays(tmp_path):
    journal = a_journal(None)
    journal.append({"shards": [state_of(a_shard())]}, b"rows")
    assert list(journal.blocks(0)) == [b"rows"]
    journal.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(GrowthError, match="cannot keep pages in") as caught:
        a_journal(tmp_path / "extracts")
    assert caught.value.retryable


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    (tmp_path / "extracts").write_text("")
    with pytest.raises(GrowthError, match="cannot keep pages in") as caught:
        a_journal(tmp_path / "extracts")
    assert "GROWTH_STATE_DIR" in caught.value.remedy
