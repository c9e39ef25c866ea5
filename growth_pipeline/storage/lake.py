"""The Parquet lake: partitions that appear whole or not at all, on a folder or an object store.

A data file is named by its hash and never changes; `manifest.json` beside it says which one counts.
What the columns mean is the business of the slice that writes them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    import polars as pl

# Fixed, so that equal rows give equal bytes however they arrive; small, because a writer holds one.
ROW_GROUP_ROWS = 5_000
_MANIFEST = "manifest.json"
_TEMPORARY = ".tmp-"
_CHUNK = 1 << 20
_READERS = 16  # small files asked of an object store at once
_YOUNG = timedelta(hours=1)  # a data file this young may be about to get its manifest
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*")


class LakeWriteError(GrowthError):
    """Nothing was published; the version before is untouched and no temporary file is left."""


class LakeUnreadableError(GrowthError):
    """A file of the lake is damaged or gone. Never the same as a partition without rows."""


@dataclass(frozen=True)
class Manifest:
    """What one partition holds now: the file that counts and the certificate of its content.

    `path` is absolute, or a URL; `certificate` is whatever the writer wants to prove later.
    """

    dataset: str
    partition: dict[str, str]
    path: str
    sha256: str
    row_count: int
    byte_count: int
    written_at: datetime
    certificate: dict[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A stored report or picture: its path in the lake, its address, hash and size."""

    path: str
    url: str
    sha256: str
    byte_count: int


@dataclass(frozen=True)
class ArtifactFile:
    """A small file as a listing shows it: its path in the lake, size, and when it was written."""

    path: str
    byte_count: int
    modified_at: datetime


class FileSystemOps:
    """Every call by which the lake changes a local disk, one method each: the seam for faults."""

    def make_folder(self, path: Path) -> None:
        """Make one folder; there already is fine."""
        path.mkdir(exist_ok=True)

    def create(self, path: Path) -> int:
        """Open a new file for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the bytes; how many."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Bring a file's bytes to the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a finished file its name, in place of what had it."""
        os.replace(source, target)  # noqa: PTH105 - the one call POSIX promises to be atomic

    def fsync_folder(self, path: Path) -> None:
        """Bring a folder's names to the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file; gone already is fine."""
        path.unlink(missing_ok=True)


class Lake:
    """A lake at a folder or an fsspec URL (`s3://bucket/lake`). Safe for many writers at once."""

    def __init__(self, url: str, *, operations: FileSystemOps | None = None) -> None:
        self.url = url
        self._store = _store(url, operations or FileSystemOps())

    def __repr__(self) -> str:
        return f"Lake({self._store.address('')})"

    def write_partition(
        self,
        dataset: str,
        partition: Mapping[str, str],
        frames: Iterable[pl.DataFrame],
        certificate: Mapping[str, Any],
        *,
        now: datetime | None = None,
    ) -> Manifest:
        """Publish new content of one partition; readers see the old or the new, nothing between.

        Frames are written one by one, so memory is bounded by the largest. Give at least one, with
        no rows if there are none: a file without rows keeps its columns. The certificate is read
        after the last frame, so it may state what was found on the way. Equal rows and an equal
        certificate change nothing. The file before stays until `prune`.
        Raises: LakeWriteError (disk full, no rights, …); GrowthError when frames differ in columns.
        """
        folder = _partition_folder(dataset, partition)
        with self._writing(folder) as workspace:
            with _temporary_file(self._store.operations, workspace) as sink:
                row_count = _write_parquet(sink, frames)
                kept = json.loads(_json(certificate))
                sink.finish()
                sha256, byte_count = sink.sha256, sink.byte_count
                before = self._read_manifest_or_none(folder)
                path = f"{folder}/{sha256}.parquet"
                self._store.publish(sink.path, path)  # also mends a damaged file of that name
            if before and (before.sha256, before.certificate) == (sha256, kept):
                return before
            manifest = Manifest(
                dataset=dataset,
                partition=dict(partition),
                path=self._store.address(path),
                sha256=sha256,
                row_count=row_count,
                byte_count=byte_count,
                written_at=now or datetime.now(UTC),
                certificate=kept,
            )
            self._put(workspace, f"{folder}/{_MANIFEST}", _manifest_bytes(manifest))
        return manifest

    def read_manifest(self, dataset: str, partition: Mapping[str, str]) -> Manifest | None:
        """What a partition holds, or None when it was never written.

        Raises: LakeUnreadableError when the manifest or its file is damaged, cut, or gone.
        """
        return self._read_manifest(_partition_folder(dataset, partition))

    def manifests(self, dataset: str) -> list[Manifest]:
        """Manifests of all partitions of a dataset, in the order of their folders.

        Raises: LakeUnreadableError when one of them is damaged: none is skipped.
        """
        folders = [
            path.removesuffix(f"/{_MANIFEST}")
            for path in sorted(self._store.walk(_checked(dataset)))
            if path.endswith(f"/{_MANIFEST}")
        ]
        with self._store.reading() as each:
            found = list(each(self._read_manifest, folders))
        return [manifest for manifest in found if manifest is not None]

    def read(self, manifest: Manifest, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of a partition.

        Raises: LakeUnreadableError when the file is damaged or gone.
        """
        import pyarrow.parquet as pq
        from polars import from_arrow
        from pyarrow import ArrowException

        try:
            with self._store.open(self._relative(manifest)) as stream:
                table = pq.ParquetFile(stream).read(list(columns) if columns else None)
        except (OSError, ArrowException) as error:
            raise _unreadable(manifest.path, error) from error
        frame: pl.DataFrame = from_arrow(table)  # type: ignore[assignment]
        return frame

    def read_batches(
        self, manifest: Manifest, columns: Sequence[str] | None = None, *, rows: int = 2_000
    ) -> Iterator[pl.DataFrame]:
        """The rows of a partition in their order, a frame of at most `rows` at a time.

        Raises: LakeUnreadableError when the file is damaged or gone.
        """
        import pyarrow.parquet as pq
        from polars import from_arrow
        from pyarrow import ArrowException

        try:
            with (
                self._store.open(self._relative(manifest)) as stream,
                pq.ParquetFile(stream) as file,
            ):
                for batch in file.iter_batches(rows, columns=list(columns) if columns else None):
                    frame: pl.DataFrame = from_arrow(batch)  # type: ignore[assignment]
                    yield frame
        except (OSError, ArrowException) as error:
            raise _unreadable(manifest.path, error) from error

    def verify(self, manifest: Manifest) -> None:
        """Read the whole file again and compare its hash with the manifest's.

        Raises: LakeUnreadableError when they differ.
        """
        digest = hashlib.sha256()
        try:
            with self._store.open(self._relative(manifest)) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise _unreadable(manifest.path, error) from error
        if digest.hexdigest() != manifest.sha256:
            raise _unreadable(manifest.path, "its hash is not the manifest's")

    def put_artifact(self, path: str, data: bytes) -> Artifact:
        """Store a small file (a report, a picture) whole, in place of what had its path.

        Raises: LakeWriteError.
        """
        folder = _checked(path).rpartition("/")[0]
        with self._writing(folder) as workspace:
            self._put(workspace, path, data)
        return Artifact(
            path=path,
            url=self._store.address(path),
            sha256=hashlib.sha256(data).hexdigest(),
            byte_count=len(data),
        )

    def read_artifact(self, path: str) -> bytes:
        """Bytes of a stored file.

        Raises: LakeUnreadableError when it is not there or cannot be read.
        """
        try:
            with self._store.open(_checked(path)) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise _unreadable(self._store.address(path), error) from error

    def find_artifact(self, path: str) -> bytes | None:
        """Bytes of a small file that may never have been stored; None if it was not.

        Raises: LakeUnreadableError when it is there and cannot be read.
        """
        try:
            with self._store.open(_checked(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._store.address(path), error) from error

    def list_artifacts(self, folder: str) -> list[ArtifactFile]:
        """All files below a folder, in the order of their paths; none when there is no such folder.

        Raises: LakeUnreadableError.
        """
        found = []
        try:
            for path in sorted(self._store.walk(_checked(folder))):
                with suppress(FileNotFoundError):  # removed since it was seen
                    size, modified_at = self._store.size(path), self._store.modified_at(path)
                    found.append(ArtifactFile(path, size, modified_at))
        except OSError as error:
            raise _unreadable(self._store.address(folder), error) from error
        return found

    def remove_artifact(self, path: str, *, older_than: datetime) -> bool:
        """Remove a small file, unless it was written since `older_than`; whether it is gone.

        Gone already is fine. Raises: LakeWriteError.
        """
        try:
            if self._store.modified_at(_checked(path)) >= older_than:
                return False
            self._store.remove(path)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise LakeWriteError(
                f"cannot remove {self._store.address(path)}: {error.strerror or error}",
                remedy="correct the rights there, then run again",
            ) from error
        return True

    def prune(self, dataset: str, keep: int = 1, *, now: datetime | None = None) -> int:
        """Remove data files that no manifest names, but for the newest `keep - 1` a partition.

        Files younger than an hour stay: their manifest may be on its way. How many were removed.
        """
        horizon = (now or datetime.now(UTC)) - _YOUNG
        named = {manifest.path for manifest in self.manifests(dataset)}
        spare: dict[str, list[tuple[datetime, str]]] = {}
        for path in self._store.walk(_checked(dataset)):
            if path.endswith(".parquet") and self._store.address(path) not in named:
                folder = path.rpartition("/")[0]
                spare.setdefault(folder, []).append((self._store.modified_at(path), path))
        gone = [
            path
            for files in spare.values()
            for modified_at, path in sorted(files, reverse=True)[max(keep - 1, 0) :]
            if modified_at < horizon
        ]
        for path in gone:
            self._store.remove(path)
        return len(gone)

    # --- inside ---------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, folder: str) -> Iterator[Path]:
        """A local folder for unfinished files; turns the disk's complaints into one sentence."""
        try:
            with self._store.workspace(folder) as workspace:
                yield workspace
        except OSError as error:
            raise LakeWriteError(
                f"cannot write to {self._store.address(folder)}: {error.strerror or error}",
                remedy="free space or correct the rights there, then run again; "
                "the version before is untouched",
                retryable=True,
            ) from error

    def _put(self, workspace: Path, path: str, data: bytes) -> None:
        with _temporary_file(self._store.operations, workspace) as sink:
            sink.write(data)
            sink.finish()
            self._store.publish(sink.path, path)

    def _relative(self, manifest: Manifest) -> str:
        folder = _partition_folder(manifest.dataset, manifest.partition)
        return f"{folder}/{manifest.sha256}.parquet"

    def _read_manifest(self, folder: str) -> Manifest | None:
        path = f"{folder}/{_MANIFEST}"
        try:
            with self._store.open(path) as stream:
                content = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._store.address(path), error) from error
        try:
            fields = json.loads(content)
            data_path = f"{folder}/{fields.pop('file')}"
            fields["written_at"] = datetime.fromisoformat(fields["written_at"])
            manifest = Manifest(path=self._store.address(data_path), **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unreadable(self._store.address(path), error) from error
        self._check_size(manifest, data_path)
        return manifest

    def _read_manifest_or_none(self, folder: str) -> Manifest | None:
        """The version before, when it is readable: a damaged one is replaced, not an obstacle."""
        try:
            return self._read_manifest(folder)
        except LakeUnreadableError:
            return None

    def _check_size(self, manifest: Manifest, path: str) -> None:
        try:
            size = self._store.size(path)
        except OSError as error:
            raise _unreadable(manifest.path, error) from error
        if size != manifest.byte_count:
            raise _unreadable(
                manifest.path, f"it has {size} bytes, its manifest says {manifest.byte_count}"
            )


# --- names and manifests -------------------------------------------------------------------------


def _checked(path: str) -> str:
    """A path below the lake; parts may come from outside (account ids), so none may climb."""
    for part in path.split("/"):
        if not _SAFE_NAME.fullmatch(part):
            raise GrowthError(f"{path!r} is no path in the lake: {part!r} is not a plain name")
    return path


def _partition_folder(dataset: str, partition: Mapping[str, str]) -> str:
    for value in partition.values():
        if "/" in _checked(value):
            raise GrowthError(f"{value!r} is no path in the lake: a partition's value has no /")
    return _checked("/".join([dataset, *(f"{key}={value}" for key, value in partition.items())]))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, ensure_ascii=False)


def _manifest_bytes(manifest: Manifest) -> bytes:
    fields = dict(vars(manifest)) | {
        "file": f"{manifest.sha256}.parquet",
        "written_at": manifest.written_at.astimezone(UTC).isoformat(),
    }
    del fields["path"]  # the lake may move; the file lies beside its manifest
    return (_json(fields) + "\n").encode()


def _unreadable(path: str, reason: object) -> LakeUnreadableError:
    return LakeUnreadableError(
        f"{path} cannot be read: {reason}",
        remedy="run the step that writes it again; unreadable is never taken for empty",
    )


# --- writing one file ----------------------------------------------------------------------------


class _Sink:
    """An unfinished file: bytes are counted and hashed on their way to the disk."""

    closed = False  # pyarrow asks its stream

    def __init__(self, operations: FileSystemOps, folder: Path) -> None:
        self.byte_count = 0
        self._operations = operations
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self.path, descriptor = _create_locked(operations, folder)
        self._descriptor: int | None = descriptor

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        self._waiting += data
        if len(self._waiting) >= _CHUNK:
            self._drain()
        return len(data)

    def tell(self) -> int:
        return self.byte_count + len(self._waiting)

    def flush(self) -> None:
        """Nothing to do before `finish`; pyarrow calls it."""

    def close(self) -> None:
        """Pyarrow's close; ours is `finish`."""

    def finish(self) -> None:
        """All bytes on the disk; the file may get its name now. It stays open and locked."""
        self._drain()
        if self._descriptor is not None:
            self._operations.fsync(self._descriptor)

    def release(self) -> None:
        """Close the file. What counts is on the disk already, so a complaint changes nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                self._operations.close(descriptor)

    def _drain(self) -> None:
        if self._descriptor is None:
            return  # released: a dying Parquet writer still wants to write its footer
        data = bytes(self._waiting)
        self._waiting.clear()
        self._digest.update(data)
        self.byte_count += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._operations.write(self._descriptor, rest) :]


def _create_locked(operations: FileSystemOps, folder: Path) -> tuple[Path, int]:
    """A new file that is ours while we live: its lock tells a sweeper that its writer does.

    A sweeper may remove it between its making and its lock; then it is made again.
    """
    while True:
        path = folder / f"{_TEMPORARY}{uuid.uuid4().hex}"
        descriptor = operations.create(path)
        with suppress(OSError):  # without locks there (some network disks) nothing is swept either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        operations.close(descriptor)


@contextmanager
def _temporary_file(operations: FileSystemOps, folder: Path) -> Iterator[_Sink]:
    """An unfinished file in a folder; gone at the end unless it got its name."""
    sink = _Sink(operations, folder)
    try:
        yield sink
    finally:
        with suppress(OSError):
            operations.remove(sink.path)
        sink.release()


def _write_parquet(sink: _Sink, frames: Iterable[pl.DataFrame]) -> int:
    """All rows as one Parquet file with row groups of a fixed size; the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_count = 0
    writer: pq.ParquetWriter | None = None
    try:
        for table in _row_groups(frames):
            if writer is None:
                writer = pq.ParquetWriter(
                    pa.PythonFile(sink, mode="w"), table.schema, compression="zstd"
                )
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            row_count += table.num_rows
        if writer is None:
            raise GrowthError("a partition needs at least one frame, without rows if it has none")
        writer.close()
    except BaseException:
        sink.release()
        raise
    return row_count


def _row_groups(frames: Iterable[pl.DataFrame]) -> Iterator[Any]:
    """Tables of exactly ROW_GROUP_ROWS rows, the last one smaller, however the frames are cut."""
    import polars as pl
    import pyarrow as pa

    oldest = pl.CompatLevel.oldest()
    waiting: Any = None
    for frame in frames:
        table = frame.to_arrow(compat_level=oldest)
        if waiting is not None and table.schema != waiting.schema:
            raise GrowthError(
                "the frames of one partition differ in their columns",
                remedy="give all frames the schema of the dataset",
            )
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while waiting.num_rows > ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS)
            waiting = waiting.slice(ROW_GROUP_ROWS)
    if waiting is not None:
        yield waiting.combine_chunks()


# --- where it lies -------------------------------------------------------------------------------


class _Store(Protocol):
    """A place for whole files: what a folder and an object store have in common."""

    operations: FileSystemOps

    def address(self, path: str) -> str: ...
    def workspace(self, folder: str) -> Any: ...
    def publish(self, temporary: Path, path: str) -> None: ...
    def reading(self) -> Any: ...
    def open(self, path: str) -> Any: ...
    def size(self, path: str) -> int: ...
    def modified_at(self, path: str) -> datetime: ...
    def walk(self, folder: str) -> list[str]: ...
    def remove(self, path: str) -> None: ...


def _store(url: str, operations: FileSystemOps) -> _Store:
    if "://" not in url:
        return _Folder(Path(url).expanduser().resolve(), operations)
    from fsspec.core import url_to_fs

    try:
        filesystem, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise GrowthError(
            f"the lake's address {url.partition('://')[0]}:// is not understood: {error}",
            remedy="install growth-pipeline[s3] or [gcs], or use a folder",
        ) from error
    if url.startswith(("file://", "local://")):
        return _Folder(Path(root), operations)
    return _ObjectStore(filesystem, root, operations)


class _Folder:
    """A local folder: temporary file beside its place, fsync, rename, fsync of the folder."""

    def __init__(self, root: Path, operations: FileSystemOps) -> None:
        self.root = root
        self.operations = operations

    def address(self, path: str) -> str:
        return f"{self.root}/{path}" if path else str(self.root)

    @contextmanager
    def workspace(self, folder: str) -> Iterator[Path]:
        target = self.root / folder
        self._make(target)
        self._sweep(target)
        yield target

    def publish(self, temporary: Path, path: str) -> None:
        target = self.root / path
        self.operations.replace(temporary, target)
        self.operations.fsync_folder(target.parent)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        yield map

    def open(self, path: str) -> Any:
        return open(self.address(path), "rb")  # noqa: PTH123 - called for thousands of manifests

    def size(self, path: str) -> int:
        return os.stat(self.address(path)).st_size  # noqa: PTH116 - likewise

    def modified_at(self, path: str) -> datetime:
        return datetime.fromtimestamp((self.root / path).stat().st_mtime, UTC)

    def walk(self, folder: str) -> list[str]:
        # As plain text: a path object for each of thousands of files takes five times as long.
        start = len(str(self.root)) + 1
        return [
            f"{place[start:]}/{name}"
            for place, _, names in os.walk(self.root / folder)
            for name in names
            if not name.startswith(_TEMPORARY)
        ]

    def remove(self, path: str) -> None:
        self.operations.remove(self.root / path)

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make(folder.parent)
        self.operations.make_folder(folder)
        self.operations.fsync_folder(folder.parent)

    def _sweep(self, folder: Path) -> None:
        """Remove unfinished files of killed writers; a living writer holds its file's lock."""
        for path in folder.glob(f"{_TEMPORARY}*"):
            with suppress(OSError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.operations.remove(path)


class _ObjectStore:
    """A bucket: files are finished in a local folder and uploaded; an upload is atomic there."""

    def __init__(self, filesystem: Any, root: str, operations: FileSystemOps) -> None:
        self.root = root.rstrip("/")
        self.operations = operations
        self._filesystem = filesystem

    def address(self, path: str) -> str:
        return str(self._filesystem.unstrip_protocol(self._key(path)))

    @contextmanager
    def workspace(self, folder: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="growth-lake-") as local:
            yield Path(local)

    def publish(self, temporary: Path, path: str) -> None:
        key = self._key(path)
        self._filesystem.makedirs(key.rpartition("/")[0], exist_ok=True)
        self._filesystem.put_file(str(temporary), key)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        with ThreadPoolExecutor(_READERS) as pool:  # each waits for an answer of the network
            yield pool.map

    def open(self, path: str) -> Any:
        return self._filesystem.open(self._key(path), "rb")

    def size(self, path: str) -> int:
        return int(self._filesystem.size(self._key(path)))

    def modified_at(self, path: str) -> datetime:
        modified: datetime = self._filesystem.modified(self._key(path))
        return modified if modified.tzinfo else modified.replace(tzinfo=UTC)

    def walk(self, folder: str) -> list[str]:
        self._filesystem.invalidate_cache()
        found: list[str] = self._filesystem.find(self._key(folder))
        return [path.removeprefix(self.root).lstrip("/") for path in found]

    def remove(self, path: str) -> None:
        self._filesystem.rm_file(self._key(path))

    def _key(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root
