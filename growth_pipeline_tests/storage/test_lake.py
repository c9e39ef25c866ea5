"""The lake on a folder and on an fsspec object store: whole files, manifests, certificates."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.lake import (
    ROW_GROUP_ROWS,
    FileSystemOps,
    Lake,
    LakeUnreadableError,
    LakeWriteError,
)

OCTOBER = {"account": "acct_1", "mode": "test", "month": "2025-10"}
NOVEMBER = OCTOBER | {"month": "2025-11"}
CERTIFICATE = {"window": [1, 2], "complete": True}
SCHEMA = {"id": pl.String, "amount": pl.Int64}


def frame(*rows: tuple[str | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


@pytest.fixture(params=["folder", "memory", "file"])
def any_lake(request, tmp_path) -> Lake:
    """The same promises on a folder, a file:// URL, and an object store."""
    places = {
        "folder": str(tmp_path / "lake"),
        "file": f"file://{tmp_path}/lake",
        "memory": f"memory://lake-{uuid.uuid4().hex}",
    }
    return Lake(places[request.param])


def test_a_partition_is_read_back_with_its_rows_and_certificate(any_lake):
    written = any_lake.write_partition(
        "stripe/charges", OCTOBER, [frame(("ch_1", 5)), frame(("ch_2", None))], CERTIFICATE
    )

    manifest = any_lake.read_manifest("stripe/charges", OCTOBER)

    assert manifest == written
    assert (manifest.dataset, manifest.partition, manifest.row_count) == (
        "stripe/charges",
        OCTOBER,
        2,
    )
    assert manifest.certificate == CERTIFICATE
    assert any_lake.read(manifest).rows() == [("ch_1", 5), ("ch_2", None)]
    assert any_lake.read(manifest, ["amount"]).columns == ["amount"]
    any_lake.verify(manifest)


def test_a_partition_never_written_is_none_and_not_an_empty_one(any_lake):
    assert any_lake.read_manifest("stripe/charges", OCTOBER) is None
    assert any_lake.manifests("stripe/charges") == []

    any_lake.write_partition("stripe/charges", OCTOBER, [frame()], {})

    manifest = any_lake.read_manifest("stripe/charges", OCTOBER)
    assert manifest.row_count == 0
    assert any_lake.read(manifest).schema == SCHEMA


def test_a_new_version_replaces_the_old_whose_file_stays_until_it_is_pruned(any_lake):
    old = any_lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    new = any_lake.write_partition("d", OCTOBER, [frame(("a", 2))], {})
    any_lake.write_partition("d", NOVEMBER, [frame(("a", 1))], {})

    assert any_lake.read_manifest("d", OCTOBER) == new
    assert any_lake.read(old).rows() == [("a", 1)]
    assert [m.partition["month"] for m in any_lake.manifests("d")] == ["2025-10", "2025-11"]

    assert any_lake.prune("d") == 0  # younger than an hour: somebody may be about to name it
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert any_lake.prune("d", keep=2, now=tomorrow) == 0
    assert any_lake.prune("d", now=tomorrow) == 1

    assert any_lake.read(new).rows() == [("a", 2)]
    with pytest.raises(LakeUnreadableError):
        any_lake.read(old)


def test_equal_content_written_twice_changes_nothing(any_lake):
    first = any_lake.write_partition("d", OCTOBER, [frame(("a", 1), ("b", 2))], CERTIFICATE)
    later = datetime(2030, 1, 1, tzinfo=UTC)

    again = any_lake.write_partition(
        "d", OCTOBER, [frame(("a", 1)), frame(), frame(("b", 2))], dict(CERTIFICATE), now=later
    )

    assert again == first


def test_equal_rows_under_a_new_certificate_are_a_new_manifest_of_the_same_file(any_lake):
    first = any_lake.write_partition("d", OCTOBER, [frame(("a", 1))], {"as_of": "monday"})
    again = any_lake.write_partition("d", OCTOBER, [frame(("a", 1))], {"as_of": "tuesday"})

    assert again.path == first.path
    assert any_lake.read_manifest("d", OCTOBER).certificate == {"as_of": "tuesday"}


def test_a_file_is_named_by_the_hash_of_its_bytes(lake):
    manifest = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})

    content = Path(manifest.path).read_bytes()

    assert Path(manifest.path).is_absolute()
    assert Path(manifest.path).name == f"{hashlib.sha256(content).hexdigest()}.parquet"
    assert manifest.byte_count == len(content)
    assert (
        Path(manifest.path).parent.relative_to(lake.url).as_posix()
        == "d/account=acct_1/mode=test/month=2025-10"
    )


def test_frames_are_written_as_they_come_in_row_groups_of_one_size(lake):
    import pyarrow.parquet as pq

    alive: list[int] = []

    def frames():
        for start in range(0, 12_500, 3_500):
            alive.append(start)
            numbers = range(start, min(start + 3_500, 12_500))
            yield pl.DataFrame({"id": [str(n) for n in numbers], "amount": list(numbers)})

    manifest = lake.write_partition("d", OCTOBER, frames(), {})

    file = pq.ParquetFile(manifest.path)
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert ROW_GROUP_ROWS == 5_000
    assert sizes == [5_000, 5_000, 2_500]
    assert lake.read(manifest)["amount"].to_list() == list(range(12_500))
    assert alive == [0, 3_500, 7_000, 10_500]


def test_a_source_that_fails_midway_publishes_nothing(lake):
    old = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})

    def frames():
        yield frame(("b", 2))
        raise GrowthError("the source broke off")

    with pytest.raises(GrowthError, match="the source broke off"):
        lake.write_partition("d", OCTOBER, frames(), {})

    assert lake.read_manifest("d", OCTOBER) == old
    assert [path.name for path in Path(old.path).parent.glob(".*")] == []


def test_frames_of_different_columns_are_refused(lake):
    with pytest.raises(GrowthError, match="differ in their columns"):
        lake.write_partition("d", OCTOBER, [frame(("a", 1)), pl.DataFrame({"id": ["b"]})], {})
    with pytest.raises(GrowthError, match="at least one frame"):
        lake.write_partition("d", OCTOBER, [], {})

    assert lake.manifests("d") == []


@pytest.mark.parametrize(
    "part", ["..", "a/../b", "", ".hidden", "a b", "a\nb", "/etc", "ü", "a\\b"]
)
def test_no_name_climbs_out_of_the_lake(lake, part):
    with pytest.raises(GrowthError, match="is no path in the lake"):
        lake.write_partition("d", {"account": part}, [frame()], {})
    with pytest.raises(GrowthError, match="is no path in the lake"):
        lake.put_artifact(f"reports/{part}/x.md", b"")


def test_artifacts_are_stored_and_read_whole(any_lake):
    artifact = any_lake.put_artifact("reports/audit/2025-10/a.md", b"# Audit\n")

    assert any_lake.read_artifact(artifact.path) == b"# Audit\n"
    assert (artifact.byte_count, artifact.sha256) == (8, hashlib.sha256(b"# Audit\n").hexdigest())
    assert any_lake.put_artifact(artifact.path, b"# Audit\n") == artifact
    with pytest.raises(LakeUnreadableError, match=r"nothing\.md cannot be read"):
        any_lake.read_artifact("reports/nothing.md")


def test_rows_come_in_frames_of_the_asked_size_and_in_their_order(any_lake):
    manifest = any_lake.write_partition(
        "stripe/charges", OCTOBER, [frame(*((f"ch_{n}", n) for n in range(7)))], CERTIFICATE
    )
    frames = list(any_lake.read_batches(manifest, ["id"], rows=3))
    assert [one["id"].to_list() for one in frames] == [
        ["ch_0", "ch_1", "ch_2"],
        ["ch_3", "ch_4", "ch_5"],
        ["ch_6"],
    ]


def test_a_file_that_is_gone_is_unreadable_by_frames_too(lake):
    manifest = lake.write_partition("stripe/charges", OCTOBER, [frame(("ch_1", 1))], CERTIFICATE)
    Path(manifest.path).unlink()
    with pytest.raises(LakeUnreadableError, match="cannot be read"):
        list(lake.read_batches(manifest))


def test_an_artifact_that_was_never_stored_is_none(any_lake):
    assert any_lake.find_artifact("reports/backfill/dry-run.json") is None
    any_lake.put_artifact("reports/backfill/dry-run.json", b"{}")
    assert any_lake.find_artifact("reports/backfill/dry-run.json") == b"{}"


def test_an_artifact_that_cannot_be_read_is_not_taken_for_none(lake):
    stored = lake.put_artifact("reports/a.json", b"{}")
    Path(stored.url).unlink()
    Path(stored.url).mkdir()
    with pytest.raises(LakeUnreadableError, match="cannot be read"):
        lake.find_artifact("reports/a.json")


def test_the_lake_can_be_moved(lake, tmp_path):
    before = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    Path(lake.url).rename(tmp_path / "elsewhere")

    moved = Lake(str(tmp_path / "elsewhere"))
    manifest = moved.read_manifest("d", OCTOBER)

    assert manifest.path != before.path
    assert moved.read(manifest).rows() == [("a", 1)]


# --- damage --------------------------------------------------------------------------------------


def test_a_manifest_cut_anywhere_is_unreadable_and_never_none(lake):
    lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    [path] = Path(lake.url).rglob("manifest.json")
    whole = path.read_bytes()

    for size in range(len(whole.rstrip())):
        path.write_bytes(whole[:size])
        with pytest.raises(LakeUnreadableError, match=r"manifest\.json cannot be read"):
            lake.read_manifest("d", OCTOBER)
        with pytest.raises(LakeUnreadableError):
            lake.manifests("d")


def test_a_manifest_of_something_else_is_unreadable(lake):
    lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    [path] = Path(lake.url).rglob("manifest.json")

    for content in (
        "[]",
        "{}",
        "null",
        json.dumps({"file": "x.parquet", "written_at": "yesterday"}),
    ):
        path.write_text(content)
        with pytest.raises(LakeUnreadableError):
            lake.read_manifest("d", OCTOBER)


def test_a_missing_or_altered_file_is_noticed(lake):
    manifest = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    path = Path(manifest.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(LakeUnreadableError, match="its hash is not the manifest's"):
        lake.verify(manifest)

    path.unlink()
    with pytest.raises(LakeUnreadableError):
        lake.read_manifest("d", OCTOBER)


def test_writing_again_mends_a_damaged_partition(lake):
    lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    [path] = Path(lake.url).rglob("manifest.json")
    path.write_text("{")

    written = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})

    assert lake.read_manifest("d", OCTOBER) == written


def test_an_altered_file_is_replaced_by_the_next_writing_of_its_content(lake):
    manifest = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    Path(manifest.path).write_bytes(b"x" * manifest.byte_count)

    lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})

    lake.verify(lake.read_manifest("d", OCTOBER))


# --- many writers --------------------------------------------------------------------------------


def test_unfinished_files_of_killed_writers_are_swept_those_of_living_ones_are_not(lake):
    manifest = lake.write_partition("d", OCTOBER, [frame(("a", 1))], {})
    folder = Path(manifest.path).parent
    (folder / ".tmp-killed").write_bytes(b"half")
    living = os.open(folder / ".tmp-living", os.O_CREAT | os.O_WRONLY)
    fcntl.flock(living, fcntl.LOCK_EX)

    lake.write_partition("d", OCTOBER, [frame(("a", 2))], {})

    assert [path.name for path in folder.glob(".tmp-*")] == [".tmp-living"]
    os.close(living)


def test_writers_at_once_leave_one_whole_version(lake):
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            for turn in range(5):
                lake.write_partition(
                    "d", OCTOBER, [frame((f"w{number}", turn))], {"writer": number}
                )
        except GrowthError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    manifest = lake.read_manifest("d", OCTOBER)
    lake.verify(manifest)
    assert lake.read(manifest).rows() == [(f"w{manifest.certificate['writer']}", 4)]
    assert list(Path(manifest.path).parent.glob(".tmp-*")) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "lake").write_text("not a folder")

    with pytest.raises(
        LakeWriteError, match=rf"cannot write to {tmp_path}/lake/d/account=acct_1"
    ) as caught:
        Lake(str(tmp_path / "lake")).write_partition("d", {"account": "acct_1"}, [frame()], {})

    assert "untouched" in caught.value.remedy


def test_an_unknown_kind_of_address_says_what_to_install():
    with pytest.raises(GrowthError, match="carrier-pigeon:// is not understood"):
        Lake("carrier-pigeon://lake")


def test_small_files_are_listed_with_size_and_age_and_removed_only_if_they_are_old(any_lake):
    assert any_lake.list_artifacts("reports") == []
    for name in ("a/one.md", "a/b/two.csv"):
        any_lake.put_artifact(f"reports/{name}", b"12345")
    any_lake.put_artifact("elsewhere/three.md", b"1")
    listed = any_lake.list_artifacts("reports")
    assert [(file.path, file.byte_count) for file in listed] == [
        ("reports/a/b/two.csv", 5),
        ("reports/a/one.md", 5),
    ]
    written = listed[1].modified_at
    assert any_lake.remove_artifact("reports/a/one.md", older_than=written) is False
    later = written + timedelta(seconds=1)
    assert any_lake.remove_artifact("reports/a/one.md", older_than=later) is True
    assert any_lake.remove_artifact("reports/a/one.md", older_than=later) is True
    assert [file.path for file in any_lake.list_artifacts("reports")] == ["reports/a/b/two.csv"]


def test_no_path_outside_the_lake_is_listed_or_removed(any_lake):
    with pytest.raises(GrowthError):
        any_lake.list_artifacts("../reports")
    with pytest.raises(GrowthError):
        any_lake.remove_artifact("../secret", older_than=datetime.now(UTC))


def test_a_file_that_may_not_be_removed_is_one_sentence(tmp_path):
    class Refusing(FileSystemOps):
        def remove(self, path):
            raise PermissionError(13, "Permission denied")

    Lake(str(tmp_path)).put_artifact("reports/x.md", b"1")
    lake = Lake(str(tmp_path), operations=Refusing())
    with pytest.raises(LakeWriteError, match=r"cannot remove .*x\.md: Permission denied"):
        lake.remove_artifact("reports/x.md", older_than=datetime(2100, 1, 1, tzinfo=UTC))
