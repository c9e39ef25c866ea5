"""The engine: files and frames as tables, bound values, bounds, no network."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.engine import CreatedBetween, Engine
from growth_pipeline.storage.lake import Lake, LakeUnreadableError

NOON = datetime(2025, 10, 31, 12, 0, tzinfo=UTC)
PARTITION = {"account": "acct_1", "mode": "test", "month": "2025-10"}


def payments() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "account": ["x", "y", "x"],
            "amount": [2**62, 2**62 - 1, None],
            "at": [NOON] * 3,
        }
    )


def test_files_frames_and_arrow_tables_are_joined_with_bound_values(engine, lake):
    manifest = lake.write_partition("d", PARTITION, [payments()], {})
    names = pl.DataFrame({"id": ["a", "b"], "name": ["Ann", "Bob'; --"]})
    limits = pa.table({"least": [1]})

    found = engine.query(
        "select p.account, n.name, p.amount, p.at from p join n using (id), l"
        " where p.amount >= l.least and n.name = $name order by all",
        {"p": [manifest.path], "n": names, "l": limits},
        {"name": "Bob'; --"},
    )

    assert found.rows() == [("y", "Bob'; --", 2**62 - 1, NOON)]
    assert found.schema["at"] == pl.Datetime("us", "UTC")


def test_folder_names_never_become_columns(engine, lake):
    manifest = lake.write_partition("d", PARTITION, [payments()], {})

    found = engine.query("select distinct account from d order by 1", {"d": [manifest.path]})

    assert found["account"].to_list() == ["x", "y"]  # the file's column, not the folder's acct_1


def test_of_files_only_rows_created_within_limits_count(engine, lake):
    frame = pl.DataFrame({"created": [9, 10, 19, 20]})
    paths = (lake.write_partition("d", PARTITION, [frame], {}).path,)

    def seen(table: CreatedBetween) -> list[int]:
        found = engine.query("select created from d order by 1", {"d": table})
        return found["created"].to_list()

    assert seen(CreatedBetween(paths, 10, 20)) == [10, 19]
    assert seen(CreatedBetween(paths, 10)) == [10, 19, 20]
    assert list(CreatedBetween(paths, 10)) == list(paths)


def test_several_files_are_one_table(engine, lake):
    paths = [
        lake.write_partition("d", PARTITION | {"month": month}, [payments()], {}).path
        for month in ("2025-10", "2025-11")
    ]

    assert engine.query("select count(*) as n from d", {"d": paths}).rows() == [(6,)]


def test_sums_of_whole_numbers_stay_whole_numbers(engine):
    found = engine.query("select sum(amount) as s, avg(1) as a from p", {"p": payments()})

    assert found.rows() == [(2**63 - 1, 1.0)]
    assert found.schema["s"] == pl.Int64


def test_a_sum_beyond_64_bits_is_an_error_not_a_wrong_number(engine):
    frame = pl.DataFrame({"amount": [2**62, 2**62]})

    with pytest.raises(GrowthError, match="more than 64 bits"):
        engine.query("select sum(amount) as s from p", {"p": frame})


def test_a_result_without_rows_keeps_its_columns(engine):
    found = engine.query(
        "select id, sum(amount) as s from p where false group by id", {"p": payments()}
    )

    assert found.schema == {"id": pl.String, "s": pl.Int64}


def test_a_cut_or_missing_file_is_unreadable_and_never_empty(engine, tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "empty.parquet").write_bytes(b"")

    for name in ("cut", "empty", "missing"):
        with pytest.raises(LakeUnreadableError):
            engine.query("select * from d", {"d": [str(tmp_path / f"{name}.parquet")]})


def test_a_table_without_files_must_be_said_to_be_empty(engine):
    with pytest.raises(GrowthError, match="table d has no files"):
        engine.query("select * from d", {"d": []})


def test_a_wrong_setting_is_one_sentence(tmp_path):
    with pytest.raises(GrowthError, match="Memory must have a number"):
        Engine(memory_limit="plenty", temp_dir=tmp_path).query("select 1", {})


def test_a_wrong_query_says_what_is_wrong(engine):
    with pytest.raises(GrowthError, match="nonsense"):
        engine.query("select nonsense from p", {"p": payments()})


def test_what_one_query_was_given_no_later_query_sees(engine, lake):
    files = [lake.write_partition("payments", PARTITION, [payments()], {}).path]
    assert (
        engine.query(
            "select 1 as n from files, frame", {"files": files, "frame": payments()}
        ).height
        == 9
    )

    for name in ("files", "frame"):
        with pytest.raises(GrowthError, match=name):
            engine.query(f"select * from {name}", {})
        other = pl.DataFrame({"n": [7]})
        assert engine.query(f"select * from {name}", {name: other}).rows() == [(7,)]


def test_a_file_written_anew_is_read_anew(engine, tmp_path):
    path = tmp_path / "one.parquet"
    for number in range(5):
        pl.DataFrame({"n": [number]}).write_parquet(path)
        assert engine.query("select n from f", {"f": [str(path)]}).rows() == [(number,)]


def test_after_queries_into_files_the_order_of_rows_is_kept_again(engine):
    rows = pl.DataFrame({"n": list(range(300_000))})
    with engine.spool() as spool:
        engine.query_to_file("select n from r", {"r": rows}, spool, "rows")
    assert engine.query(
        "select current_setting('preserve_insertion_order') as kept", {}
    ).rows() == [(True,)]


def test_a_variable_of_the_caller_is_no_table(engine):
    secret = payments()

    with pytest.raises(GrowthError, match="secret"):
        engine.query("select * from secret", {})

    assert secret.height == 3


def test_nothing_is_installed_or_loaded_from_outside(engine):
    settings = engine.query(
        "select name, value from duckdb_settings() where name like 'auto%extensions' order by 1", {}
    )
    assert settings.rows() == [
        ("autoinstall_known_extensions", "false"),
        ("autoload_known_extensions", "false"),
    ]
    with pytest.raises(GrowthError):
        engine.query("select * from read_parquet('https://127.0.0.1:1/x.parquet')", {})


def test_what_does_not_fit_in_memory_spills_into_the_given_folder(tmp_path):
    spill = tmp_path / "spill"
    query = "select count(*) as n, max(r) as m from (select i, row_number() over (order by hash(i)) as r from range($n) t(i))"
    small = Engine(memory_limit="60MB", threads=2, temp_dir=spill)

    with ThreadPoolExecutor(3) as threads:
        found = threads.map(lambda n: small.query(query, {}, {"n": n}).rows(), [4_000_000] * 3)

    assert list(found) == [[(4_000_000, 4_000_000)]] * 3
    assert list(spill.iterdir()) == []


def test_spill_folders_of_killed_processes_are_removed_after_a_day(tmp_path):
    for name, age in (("query-old", 90_000), ("query-new", 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "duckdb_temp").write_text("x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    Engine(temp_dir=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["query-new"]


def test_too_little_memory_and_disk_names_the_setting(tmp_path):
    tiny = Engine(memory_limit="1MB", threads=1, temp_dir=tmp_path / "spill")

    with pytest.raises(GrowthError, match="needs more than 1MB") as caught:
        tiny.query("select list(i) as l from range(3000000) t(i)", {})

    assert "GROWTH_ENGINE__MEMORY_LIMIT" in caught.value.remedy


def test_files_of_an_object_store_are_read_through_fsspec(engine):
    lake = Lake(f"memory://engine-{uuid.uuid4().hex}")
    manifest = lake.write_partition("d", PARTITION, [payments()], {})

    assert engine.query("select count(*) as n from d", {"d": [manifest.path]}).rows() == [(3,)]


def test_a_result_goes_to_a_file_that_other_queries_read(engine):
    with engine.spool() as spool:
        made = engine.query_to_file(
            "select * from p where amount is not null", {"p": payments()}, spool, "known"
        )
        assert made.rows == 2
        found = engine.query("select max(id) as last from k", {"k": [made.path]})
    assert found["last"].to_list() == ["b"]


def test_a_spool_given_up_takes_its_files_along(tmp_path):
    spool = Engine(temp_dir=tmp_path).spool()
    spool.write("rows", [payments(), payments()])
    folder = spool.folder
    assert pl.read_parquet(folder / "rows.parquet").height == 6
    del spool
    assert not folder.exists()


def test_spools_of_killed_processes_are_swept_after_a_day(tmp_path):
    old, young = tmp_path / "spool-old", tmp_path / "spool-young"
    for folder in (old, young):
        folder.mkdir()
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    Engine(temp_dir=tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_spool_file_needs_a_frame_to_know_its_columns(tmp_path):
    with Engine(temp_dir=tmp_path).spool() as spool, pytest.raises(ValueError, match="no frame"):
        spool.write("rows", [])
