"""R18: a failing disk never costs the lake its old version, and never goes unnoticed.

ENOSPC, EDQUOT, EIO and EINTR at the n-th call of each file operation, every n; files cut at each
KB; with --full a real full disk under the lake and under Postgres (needs root for the mount).
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.lake import (
    FileSystemOps,
    Lake,
    LakeUnreadableError,
    LakeWriteError,
    Manifest,
)
from growth_pipeline.storage.postgres import Database, copy_in

OPERATIONS = (
    "make_folder",
    "create",
    "write",
    "fsync",
    "close",
    "replace",
    "fsync_folder",
    "remove",
)
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR)
DATASET = "stripe/charges"
PARTITION = {"account": "acct_1", "mode": "test", "month": "2025-10"}


class FailingDisk(FileSystemOps):
    """A disk whose n-th call of one operation fails; a write first brings half of its bytes."""

    def __init__(self, operation: str, n: int, code: int) -> None:
        self.left = n
        self.failed = False
        self._operation = operation
        self._code = code

    def _due(self, operation: str) -> bool:
        if operation == self._operation:
            self.left -= 1
            self.failed = self.failed or self.left == 0
            return self.left == 0
        return False

    def _fail(self, path: object) -> None:
        raise OSError(self._code, os.strerror(self._code), str(path))

    def make_folder(self, path: Path) -> None:
        if self._due("make_folder"):
            self._fail(path)
        super().make_folder(path)

    def create(self, path: Path) -> int:
        if self._due("create"):
            self._fail(path)
        return super().create(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self._due("write"):
            super().write(descriptor, data[: len(data) // 2])
            self._fail(descriptor)
        return super().write(
            descriptor, data[:5_000]
        )  # a disk may take fewer bytes than it is given

    def fsync(self, descriptor: int) -> None:
        if self._due("fsync"):
            self._fail(descriptor)
        super().fsync(descriptor)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)  # Linux frees the descriptor even when close complains
        if self._due("close"):
            self._fail(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        if self._due("replace"):
            self._fail(target)
        super().replace(source, target)

    def fsync_folder(self, path: Path) -> None:
        if self._due("fsync_folder"):
            self._fail(path)
        super().fsync_folder(path)

    def remove(self, path: Path) -> None:
        if self._due("remove"):
            self._fail(path)
        super().remove(path)


def charges(seed: int, rows: int) -> pl.DataFrame:
    chance = random.Random(seed)
    return pl.DataFrame(
        {
            "id": [f"ch_{chance.getrandbits(80):020x}" for _ in range(rows)],
            "amount": [chance.randrange(1, 10**6) for _ in range(rows)],
        }
    )


def leftovers(root: Path) -> list[str]:
    return [str(path) for path in root.rglob(".tmp-*")]


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def held(lake: Lake) -> tuple[str, list[Any]] | None:
    """What a reader sees: the hash, and the rows of a verified file."""
    manifest = lake.read_manifest(DATASET, PARTITION)
    if manifest is None:
        return None
    lake.verify(manifest)
    return manifest.sha256, lake.read(manifest).rows()


def write_on(lake: Lake, frame: pl.DataFrame) -> LakeWriteError | None:
    try:
        lake.write_partition(DATASET, PARTITION, [frame], {"version": "new"})
    except LakeWriteError as error:
        return error
    return None


def wrong_outcome(
    error: LakeWriteError | None,
    seen: tuple[str, list[Any]] | None,
    before: tuple[str, list[Any]] | None,
    new: pl.DataFrame,
) -> list[str]:
    """A success shows the new version; an error is clear and shows the old one, or the new one whole."""
    is_new = seen is not None and seen[1] == new.rows()
    if error is None:
        return [] if is_new else ["success without the new version"]
    clear = "month=2025-10" in str(error) and error.remedy
    return [
        *([] if is_new or seen == before else ["neither the old version nor the new one"]),
        *([] if clear else [f"unclear: {error}"]),
    ]


def one_fault(
    root: Path, failing: FailingDisk, old: pl.DataFrame | None, new: pl.DataFrame
) -> list[str]:
    """Write once on the failing disk, then once on a healthy one; what was broken by it."""
    healthy = Lake(str(root))
    if old is not None:
        healthy.write_partition(DATASET, PARTITION, [old], {"version": "old"})
    before, files = held(healthy), open_files()
    error = write_on(Lake(str(root), operations=failing), new)
    violations = wrong_outcome(error, held(healthy), before, new)
    if leftovers(root):
        violations.append(f"left: {leftovers(root)}")
    if open_files() != files:
        violations.append("a file stayed open")
    if write_on(healthy, new) or held(healthy)[1] != new.rows() or leftovers(root):
        violations.append("the run after it did not mend it")
    return violations


@pytest.mark.parametrize("first", [True, False], ids=["first version", "second version"])
def test_a_failing_file_operation_leaves_the_old_version_whole(
    tmp_path, seed, acceptance_line, full, first
):
    old = None if first else charges(seed, 900)
    new = charges(seed + 1, 20_000 if full else 900)
    violations: list[str] = []
    points: dict[str, int] = {}
    for operation in OPERATIONS:
        for code in ERRORS:
            n = 0
            while True:
                n += 1
                failing = FailingDisk(operation, n, code)
                root = tmp_path / f"{operation}-{code}-{n}"
                found = one_fault(root, failing, old, new)
                violations += [
                    f"{operation} #{n} {errno.errorcode[code]}: {text}" for text in found
                ]
                if not failing.failed:
                    break  # the writing has fewer calls of this operation than n
                points[operation] = points.get(operation, 0) + 1

    assert points.keys() == set(OPERATIONS) - (set() if first else {"make_folder"})
    acceptance_line(
        "R18",
        case=f"fault at every file operation, {'first' if first else 'second'} version",
        load={"rows": new.height},
        faults=points,
        violations=violations,
    )


def cut_everywhere(manifest: Manifest, step: int) -> Iterator[int]:
    path = Path(manifest.path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), step), len(whole) - 1]:
        path.write_bytes(whole[:size])
        yield size
    path.write_bytes(whole)


def notices(action: Callable[[], object]) -> bool:
    try:
        action()
    except LakeUnreadableError:
        return True
    return False


def test_a_cut_file_is_unreadable_and_never_empty(lake, engine, seed, acceptance_line, full):
    manifest = lake.write_partition(
        DATASET, PARTITION, [charges(seed, 100_000 if full else 4_000)], {}
    )
    violations, cuts = [], 0
    query = "select count(*) as n from charges"
    for size in cut_everywhere(manifest, 1024):
        cuts += 1
        readers: dict[str, Callable[[], object]] = {
            "read_manifest": lambda: lake.read_manifest(DATASET, PARTITION),
            "manifests": lambda: lake.manifests(DATASET),
            "read": lambda: lake.read(manifest),
            "verify": lambda: lake.verify(manifest),
            "engine": lambda: engine.query(query, {"charges": [manifest.path]}),
        }
        violations += [
            f"{name} at {size} bytes" for name, read in readers.items() if not notices(read)
        ]
    lake.verify(manifest)

    assert cuts > 20
    acceptance_line(
        "R18",
        case="file cut at each KB",
        load={"bytes": manifest.byte_count},
        faults={"cuts": cuts},
        violations=violations,
    )


# --- a real full disk ----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.full
def test_a_full_disk_of_8_mb_keeps_the_old_version(small_disk, seed, acceptance_line):
    lake = Lake(str(small_disk / "lake"))
    old = charges(seed, 20_000)
    lake.write_partition(DATASET, PARTITION, [old], {})
    before, violations, refused = held(lake), [], 0
    for turn in range(3):
        try:
            lake.write_partition(DATASET, PARTITION, [charges(seed + 1 + turn, 1_000_000)], {})
            violations.append("32 MB fitted on 8 MB")
        except LakeWriteError as error:
            refused += "No space left on device" in str(error)
    if held(lake) != before or leftovers(small_disk):
        violations.append(f"old version or leftovers: {leftovers(small_disk)}")
    lake.write_partition(DATASET, PARTITION, [charges(seed + 9, 20_000)], {})

    assert refused == 3
    acceptance_line(
        "R18",
        case="8 MB disk",
        load={"rows": 1_000_000},
        faults={"ENOSPC": refused},
        violations=violations,
    )


@pytest.mark.full
def test_a_full_disk_under_postgres_is_one_clear_sentence(
    small_disk, postgres_server, database_url, seed, acceptance_line
):
    data_dir = getattr(postgres_server, "data_dir", None)
    if data_dir is None:
        pytest.skip("a given server keeps its files elsewhere")
    place = small_disk / "tablespace"
    place.mkdir()
    owner = data_dir.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    for folder in place.parents:
        folder.chmod(folder.stat().st_mode | 0o001)
    admin = Database(postgres_server.url("postgres"))
    with Database(database_url) as database, admin:
        violations = fill_postgres(database, database_url, place)
    acceptance_line(
        "R18",
        case="Postgres 53100",
        load={"rows": 200_000},
        faults={"disk full": 1},
        violations=violations,
    )


def fill_postgres(database: Database, database_url: str, place: Path) -> list[str]:
    import psycopg

    violations = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"create tablespace growth_small location '{place}'")
        connection.execute("create table filling (n int8, note text) tablespace growth_small")
        connection.execute("insert into filling values (1, 'old')")
    try:
        with database.connection() as connection:
            rows = ((n, "x" * 100) for n in range(200_000))
            copy_in(connection, "filling", ["n", "note"], ["int8", "text"], rows)
        violations.append("20 MB fitted on 8 MB")
    except GrowthError as error:
        if "the disk of the database is full" not in str(error) or not error.remedy:
            violations.append(f"unclear: {error}")
    with database.connection() as connection:
        if connection.execute("select n, note from filling").fetchall() != [(1, "old")]:
            violations.append("old rows changed")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop table filling")
        connection.execute("drop tablespace growth_small")
    return violations
