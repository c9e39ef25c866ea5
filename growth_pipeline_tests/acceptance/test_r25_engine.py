"""R25 for files: whatever stands in their names, columns and rows, the engine gets the same SQL texts.

The texts are those of DuckDB's own log, with what its views say. Files of harmless texts go first,
then the same files of texts made to leave their quotes; no text may come that did not come before.
sqlmap is no part of this: what is run is seen here, so nothing has to be guessed from answers.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from growth_pipeline.cli import app as growth
from growth_pipeline.cohorts.active_users.definition import ActiveUsersDefinition
from growth_pipeline.cohorts.active_users.measure import measure_active_users
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.files.facts import read_history
from growth_pipeline.cohorts.retention.from_files import retention_of_files
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.engine import Engine, Table
from growth_pipeline_tests.acceptance.injection_texts import injections
from growth_pipeline_tests.acceptance.statement_log import shape_of
from growth_pipeline_tests.fakes.command_line import CliRunner

if TYPE_CHECKING:
    import duckdb

AT_ONCE = 20  # texts of one set of files
AS_OF = datetime(2031, 6, 1, tzinfo=UTC)
_LOG = "select message from duckdb_logs where type = 'QueryLog'"
_VIEWS = "select sql from duckdb_views() where not internal"
OPTIONS = [
    *("--grain month", "--entry signup", "--timezone Europe/Berlin", "--week-start monday"),
    *("--anchor 2031-05-05", "--as-of 2031-06-01T00:00:00Z", "--brackets 0,1-3", "--events Login"),
    *("--segment plan", "--total all", "--unit user", "--exclude u1", "--currency eur"),
    *("--memory 1GiB", "--target-events Login", "--round refuse", "--money net"),
    "--mode recurring",
]
# Names that DuckDB makes up anew for each relation.
_SOURCE = re.compile(r"\b(__duckdb_source_[0-9a-f]+_\d+|unnamed_relation_[0-9a-f]+)\b")


class RecordingEngine(Engine):
    """An engine that keeps the texts that its databases were given."""

    def __init__(self, temp_dir: Path) -> None:
        super().__init__(threads=1, temp_dir=temp_dir)
        self.texts: set[str] = set()

    @contextmanager
    def _tables(self, tables: Mapping[str, Table]) -> Iterator[duckdb.DuckDBPyConnection]:
        with super()._tables(tables) as connection:
            connection.execute("call enable_logging('QueryLog')")
            connection.execute("call truncate_duckdb_logs()")
            try:
                yield connection
            finally:
                said = connection.execute(f"{_LOG} union all {_VIEWS}").fetchall()
                self.texts |= {shape_of(_SOURCE.sub("source", text)) for (text,) in said}


@dataclass(frozen=True)
class Files:
    """Files of people and what they did, and the texts that stand in them."""

    users: Path
    activity: Path
    aliases: Path
    texts: list[str]


def written(folder: Path, texts: list[str], ending: str) -> Files:
    """Every text as a column, a user, an event, a segment and an alias; one is in the names."""
    folder.mkdir()
    # Beside a * or a ? DuckDB takes a backslash for the end of a folder's name, and refuses the file.
    name = re.sub(r"[/\\]", "_", texts[0]).encode()[:100].decode(errors="ignore")
    days = [f"2031-05-{1 + number % 28:02}" for number in range(len(texts))]
    ids = [f"{text}{number}" for number, text in enumerate(texts)]
    users = {"user_id": ids, "signed_up_at": ["2031-05-01"] * len(ids)}
    activity = {"user_id": ids, "occurred_at": days, "event": texts}
    for text in texts:
        users[text], activity[text] = texts, texts
    users[texts[1]] = ids  # a column of ids in both, to be the unit
    activity[texts[1]] = ids
    aliases = {"anonymous_id": [f"{one}a" for one in ids], "user_id": ids}
    paths = [folder / f"{name}{place}{ending}" for place in ("users", "activity", "aliases")]
    for path, columns in zip(paths, (users, activity, aliases), strict=True):
        write(path, columns)
    return Files(*paths, texts)


def write(path: Path, columns: dict[str, list[str]]) -> None:
    if path.suffix == ".parquet":
        with path.open("wb") as stream:  # by its name, a ? in it would be a pattern
            pl.DataFrame(columns).write_parquet(stream)
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def measure(engine: Engine, files: Files) -> list[int]:
    """What both commands do with the files; rows of their answers."""
    first, second, *rest = files.texts
    events = tuple(files.texts)
    given: dict[str, Any] = {"users": files.users, "activity": files.activity}
    given |= {"aliases": files.aliases, "excluded": tuple(rest[:3]), "segment": first}
    rows = []
    for unit, kind, segment in (("user", "lifecycle", first), (second, "rolling", None)):
        with engine.spool() as spool:
            history = read_history(engine, spool, unit=unit, **given)
            retention = RetentionDefinition(
                as_of=AS_OF, entry="first_event", events=events, target_events=events, segment=first
            )
            rows.append(
                len(retention_of_files(engine, spool, history, retention, total="all").cells)
            )
            active = ActiveUsersDefinition(
                as_of=AS_OF, kind=kind, events=events, segment=segment, unit=unit
            )
            rows.append(len(list(measure_active_users(engine, spool, history, active).rows)))
    return rows


def sets_of(seed: int, count: int) -> list[list[str]]:
    """Texts as files can hold them; none stands for the same column as another of its set.

    Blanks around a text of a file are not read, so that it could not be asked for by them.
    """
    texts = [text.replace("\0", "").strip() for text in injections(seed, count)]
    return [
        [f"{text}~{number}" for number, text in enumerate(texts[at : at + AT_ONCE])]
        for at in range(0, count, AT_ONCE)
    ]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_no_file_says_more_to_the_engine(ending, tmp_path, seed, full, acceptance_line):
    sets = sets_of(seed + 3, 2_000 if full else 100)
    engine = RecordingEngine(tmp_path / "engine")
    place = tmp_path / "place"
    place.mkdir()
    words = [f"a word {n}" for n in range(AT_ONCE)]  # as columns, quoted for the blank
    harmless = written(tmp_path / "harmless", words, ending)
    with chdir(place):
        rows = measure(engine, harmless)
        known = set(engine.texts)
        violations = []
        for number, texts in enumerate(sets):
            files = written(tmp_path / str(number), texts, ending)
            if (found := measure(engine, files)) != rows:
                violations.append(f"rows {found} instead of {rows}: {texts}")
    violations += sorted(engine.texts - known)
    violations += [f"left: {path}" for path in place.iterdir()]
    assert len(known) > 10
    acceptance_line(
        "R25",
        part=f"files{ending}",
        load={"texts": sum(map(len, sets)), "statements": len(known)},
        violations=violations,
    )


def test_no_option_of_a_command_on_files_is_run(tmp_path, seed, full, acceptance_line):
    """An answer or a refusal in words, and nothing left beside the files."""
    files = written(tmp_path / "files", [f"plan{n}" for n in range(AT_ONCE)], ".csv")
    place = tmp_path / "place"
    place.mkdir()
    random_ = random.Random(seed)
    texts = [text.replace("\0", "") for text in injections(seed + 4, 2_000 if full else 100)]
    violations = []
    with chdir(place):
        for text in texts:
            option, value = random_.choice(OPTIONS).split(" ")
            command = random_.choice(("retention", "active-users --kind rolling")).split(" ")
            words = [*command, "--users", str(files.users), "--activity", str(files.activity)]
            error = CliRunner().invoke(growth, [*words, option, f"{value}{text}"]).exception
            if not (error is None or isinstance(error, GrowthError | SystemExit)):
                violations.append(f"{option} {value}{text!r}: {type(error).__name__}: {error}")
    violations += [f"left: {path}" for path in place.iterdir()]
    acceptance_line(
        "R25",
        part="options of files",
        load={"texts": len(texts), "options": len(OPTIONS)},
        violations=violations,
    )


def test_a_text_that_leaves_its_quotes_in_the_engine_is_seen(tmp_path):
    """A careless statement, as no product code has it."""
    engine = RecordingEngine(tmp_path)
    table = {"people": pl.DataFrame({"word": ["sings"]})}

    def careless(value: str) -> set[str]:
        before = set(engine.texts)
        engine.query(f"select word from people where word = '{value}'", table)
        return engine.texts - before

    assert careless("abc")
    assert careless("d''ef") == set()
    assert careless("' or 1=1 --") == {
        shape_of("select word from people where word = '' or 1=1 --")
    }
