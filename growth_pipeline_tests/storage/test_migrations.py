"""Migrations on a real Postgres: each file once, whole or not at all, and clear words when not."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.storage.migrations import (
    MigrationError,
    head,
    migrate,
    pending,
    read_migrations,
    statements_of,
)

FILES = [path.stem for path in sorted((Path(__file__).parents[2] / "sql/migrations").glob("*.sql"))]


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.removeprefix('_')}.sql").write_text(text)
    return folder


def test_a_new_database_gets_every_file_once_in_order(empty_database_url):
    assert pending(empty_database_url) == FILES
    committed: list[str] = []

    assert migrate(empty_database_url, on_progress=committed.append) == FILES

    assert committed == FILES
    assert pending(empty_database_url) == []
    assert migrate(empty_database_url) == []
    assert head() == FILES[-1]
    assert ask(empty_database_url, "select name from growth.migrations order by applied_at") == [
        (name,) for name in FILES
    ]
    assert ask(empty_database_url, "select version_num from growth.schema_version") == [
        (FILES[-1][:4],)
    ]


def test_only_what_is_missing_is_applied(empty_database_url, tmp_path):
    write(tmp_path, _0001_create_one="-- Why: test.\ncreate table one (n int);")
    assert migrate(empty_database_url, directory=tmp_path) == ["0001_create_one"]
    write(tmp_path, _0002_fill_one="insert into one select 100 % 7; insert into one values (3)")

    assert pending(empty_database_url, directory=tmp_path) == ["0002_fill_one"]
    assert migrate(empty_database_url, directory=tmp_path) == ["0002_fill_one"]

    assert ask(empty_database_url, "select n from one order by n") == [(2,), (3,)]


def test_a_failing_file_leaves_nothing_and_is_named_with_its_line(empty_database_url, tmp_path):
    write(
        tmp_path,
        _0001_create_one="create table one (n int);",
        _0002_break_things="-- a comment\ncreate table two (n int);\n\ninsert into one\nvalues ('x');",
    )

    with pytest.raises(
        MigrationError, match="0002_break_things, line 4 failed: invalid input"
    ) as caught:
        migrate(empty_database_url, directory=tmp_path)

    assert "growth migrate" in caught.value.remedy
    assert caught.value.retryable is False
    assert ask(
        empty_database_url, "select to_regclass('one') is null, to_regclass('two') is null"
    ) == [(False, True)]
    assert pending(empty_database_url, directory=tmp_path) == ["0002_break_things"]


def test_a_file_changed_after_it_was_applied_is_refused_but_line_endings_do_not_count(
    empty_database_url, tmp_path
):
    write(tmp_path, _0001_create_one="create table one (n int);\n")
    migrate(empty_database_url, directory=tmp_path)
    (tmp_path / "0001_create_one.sql").write_bytes(b"create table one (n int);\r\n")
    assert migrate(empty_database_url, directory=tmp_path) == []

    write(tmp_path, _0001_create_one="create table one (n bigint);\n")

    with pytest.raises(
        MigrationError, match=r"0001_create_one\.sql was changed after it was applied"
    ):
        migrate(empty_database_url, directory=tmp_path)


def test_a_database_newer_than_the_program_is_left_alone(empty_database_url, tmp_path):
    write(
        tmp_path,
        _0001_create_one="create table one (n int);",
        _0002_create_two="create table two (n int);",
    )
    migrate(empty_database_url, directory=tmp_path)
    (tmp_path / "0002_create_two.sql").unlink()

    for check in (migrate, pending):
        with pytest.raises(
            ConfigurationError, match="has migration 0002_create_two, this program ends at"
        ):
            check(empty_database_url, directory=tmp_path)


def test_a_gap_a_double_number_or_an_odd_name_is_refused_before_anything_runs(tmp_path):
    for names in (["0002_b"], ["0001_a", "0001_b"], ["0001_a", "0003_c"], ["0001-a"], ["1_a"]):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for name in names:
            (folder / f"{name}.sql").write_text("select 1;")
        with pytest.raises(GrowthError, match="breaks the order"):
            read_migrations(folder)


def test_a_role_without_rights_is_told_which_right_is_missing(empty_database_url):
    role = "growth_test_no_rights"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'hunter2'")
    try:
        as_role = psycopg.conninfo.conninfo_to_dict(empty_database_url) | {"user": role}
        address = f"postgresql://{role}:hunter2@/{as_role['dbname']}?host={as_role['host']}&port={as_role['port']}"
        with pytest.raises(ConfigurationError, match="permission denied for database") as caught:
            migrate(address)
        assert "GRANT" in caught.value.remedy
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute(f"drop role {role}")


def test_a_server_that_is_away_is_not_a_failed_migration():
    with pytest.raises(RemoteUnavailableError, match="does not answer"):
        migrate("postgresql://u@127.0.0.1:1/growth")


def test_a_lock_held_by_another_session_is_waited_for_in_short_tries(empty_database_url, tmp_path):
    write(
        tmp_path,
        _0001_create_one="create table one (n int);",
        _0002_widen_one="alter table one add m int;",
    )
    migrate(empty_database_url, directory=tmp_path)
    write(tmp_path, _0003_widen_one="alter table one add k int;")
    with psycopg.connect(empty_database_url) as holder:
        holder.execute("lock table one in access exclusive mode")
        tries: list[int] = []

        def release_on_third_try(_: str, number: int) -> None:
            tries.append(number)
            if len(tries) == 3:
                holder.commit()

        applied = migrate(
            empty_database_url,
            directory=tmp_path,
            lock_timeout="100ms",
            on_statement=release_on_third_try,
        )

    assert applied == ["0003_widen_one"]
    assert tries == [1, 1, 1, 2]  # two refusals, then the statement, then its version


def test_migrators_at_once_apply_each_file_once(empty_database_url):
    applied: list[str] = []
    threads = [
        threading.Thread(target=lambda: applied.extend(migrate(empty_database_url)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied) == FILES


# --- cutting a file into statements --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-- only; a comment\n/* and; another */\n;;", []),
        ("select 1", [(1, "select 1")]),
        ("select 1;\n\n  select 2 ;", [(1, "select 1"), (3, "select 2 ")]),
        ("-- first; not this\nselect 1;", [(2, "select 1")]),
        ("select ';', 'it''s;' ; x", [(1, "select ';', 'it''s;' "), (1, "x")]),
        (r"select E'\';', 2; x", [(1, r"select E'\';', 2"), (1, "x")]),
        ('select "a;""b"; x', [(1, 'select "a;""b"'), (1, "x")]),
        ("do $$ begin; end; $$; x", [(1, "do $$ begin; end; $$"), (1, "x")]),
        ("do $a$ ; $$ ; $a$; x", [(1, "do $a$ ; $$ ; $a$"), (1, "x")]),
        ("'a'; 'b'", [(1, "'a'"), (1, "'b'")]),
        ("select 1 -- why;\n+ 1; x", [(1, "select 1 -- why;\n+ 1"), (2, "x")]),
        ("select /* ; */ 1; x", [(1, "select /* ; */ 1"), (1, "x")]),
        ("select a1$b$c; x$", [(1, "select a1$b$c"), (1, "x$")]),
    ],
)
def test_a_file_is_cut_at_the_semicolons_that_end_statements(text, expected):
    assert statements_of(text) == expected


def test_cutting_our_own_files_loses_nothing_but_comments_between_statements():
    for migration in read_migrations():
        found = statements_of(migration.text)
        assert len(found) == sum(
            line.rstrip().endswith(";")
            for line in re.sub(r"\$\$.*?\$\$", "body", migration.text, flags=re.DOTALL).splitlines()
            if not line.startswith("--")
        )
        lines = migration.text.splitlines()
        assert all(lines[line - 1].startswith(text.splitlines()[0]) for line, text in found)
