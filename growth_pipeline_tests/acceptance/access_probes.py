"""What a role can really do: every command on every object, and what its answers give away.

Every table holds a row of Ann's and one of Bob's, told apart by words. Whatever a role is shown -
rows, counts, error texts, notices, plans - is searched for words that are not its own.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from growth_pipeline_tests.acceptance.access_rules import (
    CALLABLE,
    FOR_EVERYBODY,
    OWN_ROWS,
    READABLE,
    READERS,
    WITHOUT_POLICY,
    Connection,
    relations_of,
)

ANN, BOB = "word_of_ann", "word_of_bob"
_DENIED = "42501"  # insufficient_privilege: no grant, or a policy refuses the new row
_NOT_FOR_SECURED = "0A000"  # COPY FROM into a table whose row security binds the role


class Actor(NamedTuple):
    """A role, and whom its token names."""

    name: str
    role: str
    claims: str
    word: str | None = None  # the word of the rows that are its own


ACTORS = (
    Actor("anon", "anon", json.dumps({"sub": ANN, "role": "authenticated"})),
    Actor("user A", "authenticated", json.dumps({"sub": ANN}), ANN),
    Actor("user B", "authenticated", json.dumps({"sub": BOB}), BOB),
    Actor("growth_ro", "growth_ro", ""),
    Actor("service", "service_role", ""),
    Actor("stranger", "nobody_in_particular", json.dumps({"sub": BOB})),
)
BAD_TOKENS = (
    *("", "{", "[]", "null", '"word_of_ann"', "{}", '{"sub": null}', '{"sub": ""}', '{"sub": 1}'),
    *('{"sub": ["word_of_ann"]}', '{"sub": {"sub": "word_of_ann"}}', '{"SUB": "word_of_ann"}'),
    *(
        '{"sub": "WORD_OF_ANN"}',
        '{"sub": "word_of_ann "}',
        '{"sub": "%"}',
        '{"sub": "word\\u0000"}',
    ),
    *('{"sub": "x\' or true --"}', '{"role": "service_role"}', "[" * 20_000),
)


@dataclass
class Answer:
    """What a role was told: `rows` is the number of rows shown or changed."""

    state: str = ""
    rows: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.told)


# Rows that views can show.
_SEEN_BY_VIEWS = (
    "update events.events set type = 'page'",
    "update activity.user_numbers set signed_up_at = '2032-01-01Z', deleted_at = null",
    "update activity.excluded_users set user_key = sha256(user_key)",
    "delete from cohorts.calendar where not is_only",  # its zone is no zone
    "update activity.merged_ids set merged_key = sha256(merged_key)",
    "update revenue.mrr_spells set from_on = '2031-01-01', until_on = null",
    "update revenue.figures set grain = 'month', segment_by = ''",
    "insert into revenue.mrr_movements select (jsonb_populate_record(m, told)).* from"
    " revenue.mrr_movements as m cross join (values (jsonb_build_object('reporting_currency', '',"
    " 'segment_by', '', 'cause', '')), (jsonb_build_object('reporting_currency', '', 'segment_by',"
    " '')), (jsonb_build_object('reporting_currency', '', 'cause', '')),"
    " (jsonb_build_object('segment_by', '', 'cause', ''))) as views (told)",
)


# --- rows of Ann and Bob -----------------------------------------------------------------------


def fill_tables(connection: Connection) -> None:
    """A row of Bob's and one of Ann's in every table, as a superuser; checks of values are dropped.

    Row security and rights are as they were: nothing of them depends on a check.
    """
    connection.execute("set local session_replication_role = replica")
    tables = [name for name, kind in relations_of(connection) if kind in "rp"]
    for table in tables:
        for (name,) in connection.execute(
            "select conname from pg_constraint where conrelid = %s::regclass and contype in ('c', 'f')",
            [table],
        ).fetchall():
            connection.execute(_named("alter table {} drop constraint {}", table, name))
    for table in tables:
        for number, word in enumerate((BOB, ANN), start=1):
            insertion = _insertion(table, _columns(connection, table), number, word)
            connection.execute(f"{insertion} on conflict do nothing")
    for statement in _SEEN_BY_VIEWS:
        connection.execute(statement)


def _insertion(table: str, columns: list[tuple[str, str]], number: int, word: str) -> str:
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values = ", ".join(_value(kind, number, word) for _, kind in columns)
    return f"insert into {table} ({names}) overriding system value values ({values})"


def _value(kind: str, number: int, word: str) -> str:
    plain = {"integer": number, "bigint": number, "numeric": number, "double precision": number}
    if kind in plain:
        return str(7_000 + plain[kind])
    values = {
        "boolean": "true" if number == 1 else "false",
        "uuid": f"'00000000-0000-0000-0000-00000000000{number}'",
        "date": f"'2031-05-0{number}'",
        "timestamp with time zone": f"'2031-05-0{number}Z'",
        "bytea": f"convert_to('{word}', 'UTF8')",
        "jsonb": f"""'{{"word": "{word}"}}'""",
        "text[]": f"array['{word}']",
        "numeric[]": "array[1]",
    }
    return values.get(kind, f"'{word}'")


def _named(template: str, *names: str) -> sql.Composed:
    return sql.SQL(template).format(*(sql.Identifier(*name.split(".")) for name in names))


# --- one statement as somebody -----------------------------------------------------------------


def ask(connection: Connection, actor: Actor, *statements: str, before: str = "") -> Answer:
    """Run statements as an actor, and undo them; the answer to the last one that was run.

    `before` runs with all rights, in the same session.
    """
    answer = Answer()

    def note(message: psycopg.errors.Diagnostic) -> None:
        answer.told.append(f"{message.message_primary} {message.message_detail}")

    connection.add_notice_handler(note)
    try:
        with connection.transaction(force_rollback=True):
            if before:
                connection.execute(before)
            connection.execute("select set_config('request.jwt.claims', %s, true)", [actor.claims])
            connection.execute(f"set local role {actor.role}")
            for statement in statements:
                _run(connection, statement, answer)
    except psycopg.Error as error:
        answer.state = error.sqlstate or "client"
        answer.told += [str(error), str(error.diag.message_detail), str(error.diag.context)]
    finally:
        connection.remove_notice_handler(note)
    return answer


def _run(connection: Connection, statement: str, answer: Answer) -> None:
    with closing(connection.cursor()) as cursor:
        if statement.startswith("copy "):
            with cursor.copy(statement) as copy:
                if " from stdin" in statement:
                    return
                rows: list[Any] = [bytes(line).decode() for line in copy]
        else:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        answer.rows = len(rows) if rows or cursor.description else max(cursor.rowcount, 0)
        answer.told += [_shown(value) for row in rows for value in row]


def _shown(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# --- every command -----------------------------------------------------------------------------


def _columns(connection: Connection, relation: str) -> list[tuple[str, str]]:
    return connection.execute(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = '' order by attidentity, attnum",
        [relation],
    ).fetchall()


def reads_of(relation: str, kind: str) -> dict[str, tuple[str, ...]]:
    """Statements that show rows of a relation to who may read it."""
    shout = (
        "create function pg_temp.shout(line text) returns boolean language plpgsql cost 0.0000001"
        " as $$ begin raise notice '%', line; return true; end $$"
    )
    whole = relation if kind in "rp" else f"(select * from {relation})"
    return {
        "select": (f"select * from {relation}",),
        "copy to": (f"copy {whole} to stdout",),
        "leaky condition": (shout, f"select * from {relation} as r where pg_temp.shout(r::text)"),
        "cursor": (f"declare c cursor for select * from {relation}", "fetch all from c"),
    }


def plans_of(relation: str) -> dict[str, tuple[str, ...]]:
    """Statements that show counts or plans, never rows."""
    return {
        "explain": (f"explain (analyze, verbose, timing off) select * from {relation}",),
        "division by what is there": (
            f"select 1 from {relation} as r where (r::text like '%word_of_%')::int / 0 = 1",
        ),
    }


def writes_of(connection: Connection, relation: str) -> dict[str, tuple[str, ...]]:
    """Statements that change rows, with RETURNING, ON CONFLICT and MERGE; of a table or a view."""
    columns = _columns(connection, relation)
    column = f'"{columns[0][0]}"'
    taken, fresh = (_insertion(relation, columns, n, w) for n, w in ((1, BOB), (9, "new")))
    return {
        "insert a key that is taken": (taken,),
        "insert a new key": (fresh,),
        "insert returning": (f"{fresh} returning *",),
        "insert on conflict do nothing": (f"{taken} on conflict do nothing",),
        "update": (f"update {relation} set {column} = {column}",),
        "update returning": (f"update {relation} set {column} = {column} returning *",),
        "update without a condition": (f"update {relation} set {column} = null",),
        "delete": (f"delete from {relation}",),
        "delete returning": (f"delete from {relation} returning *",),
        "merge": (
            f"merge into {relation} as t using (select 1) as s on true"
            f" when matched then update set {column} = t.{column}",
        ),
        "lock rows": (f"select * from {relation} for update",),
        "copy from": (f"copy {relation} from stdin",),
    }


def commands_of_owners(relation: str) -> dict[str, tuple[str, ...]]:
    """What only an owner does."""
    return {
        "truncate": (f"truncate {relation} cascade",),
        "lock": (f"lock table {relation} in access exclusive mode",),
        "alter": (f"alter table {relation} disable row level security",),
        "drop": (f"drop table {relation} cascade",),
        "policy": (f"create policy mine on {relation} using (true)",),
        "grant": (
            f"do $$ begin grant select on {relation} to public;"
            f" if not has_table_privilege('nobody_in_particular', '{relation}', 'select')"
            " then raise insufficient_privilege; end if; end $$",
        ),
        "without row security": ("set local row_security = off", f"table {relation}"),
        "trigger": (
            "create function pg_temp.spy() returns trigger language plpgsql as 'begin return new; end'",
            f"create trigger spy after insert on {relation} execute function pg_temp.spy()",
        ),
    }


def calls_of(connection: Connection) -> dict[str, str]:
    """A call of every function with nulls; name without schema -> statement."""
    rows = connection.execute(
        "select p.proname, n.nspname || '.' || p.proname, p.proargtypes::regtype[]::text[]"
        " from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname in (select distinct schemaname from pg_tables where tableowner = 'growth_owner')"
    ).fetchall()
    return {
        bare: f"select {name}({', '.join(f'null::{kind}' for kind in kinds)})"
        for bare, name, kinds in rows
    }


# --- what each may ------------------------------------------------------------------------------


def expected_rows(actor: Actor, relation: str, there: int) -> int | None:
    """Rows an actor is shown; None where it is refused."""
    if actor.role in READERS and relation in READABLE:
        return there
    return 1 if actor.word and relation == OWN_ROWS else None


def leaked(actor: Actor, relation: str, answer: Answer) -> list[str]:
    """Words in an answer that are not the actor's."""
    if actor.role in READERS and relation in READABLE:
        return []
    return [word for word in (ANN, BOB) if word in answer.text and word != actor.word]


class Matrix:
    """Every actor and command on the relations of a filled database; collects what is wrong."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.problems: list[str] = []
        self.tried = 0

    def try_installed(self, relations: list[tuple[str, str]]) -> None:
        """Grants as they are: what is not allowed by name is refused, whatever the command."""
        for relation, kind in relations:
            there = self.count(relation)
            for actor in ACTORS:
                rows = expected_rows(actor, relation, there)
                if kind == "S":
                    self._refuse_sequence(actor, relation)
                    continue
                for name, statements in reads_of(relation, kind).items():
                    self._expect(actor, relation, name, statements, rows)
                for name, statements in plans_of(relation).items():
                    self._expect_no_word(actor, relation, name, statements, refused=rows is None)
                refused = writes_of(self.connection, relation) | commands_of_owners(relation)
                for name, statements in refused.items():
                    is_bypass = name == "without row security" and actor.role == "service_role"
                    self._expect(actor, relation, name, statements, rows if is_bypass else None)

    def try_granted(self, relations: list[tuple[str, str]]) -> None:
        """All four commands granted to everybody by mistake: row security alone must hold."""
        with self.connection.transaction(force_rollback=True):
            for schema in sorted({name.split(".")[0] for name, _ in relations}):
                for role in sorted({actor.role for actor in ACTORS}):
                    self.connection.execute(f"grant usage on schema {schema} to {role}")
                    self.connection.execute(
                        f"grant select, insert, update, delete on all tables in schema {schema} to {role}"
                    )
            for relation, kind in relations:
                if kind in "rpv" and relation not in WITHOUT_POLICY:
                    self._try_granted(relation, kind)

    def _try_granted(self, relation: str, kind: str) -> None:
        there = self.count(relation)
        for actor in ACTORS:
            if actor.role == "service_role":
                continue  # it passes row security by its nature: grants alone bind it
            rows = expected_rows(actor, relation, there) or 0
            for name, statements in reads_of(relation, kind).items():
                self._expect(actor, relation, f"{name}, granted", statements, rows)
            for name, statements in plans_of(relation).items():
                self._expect_no_word(actor, relation, name, statements, refused=False)
            self._expect_cached_plan(actor, relation, rows)
            if kind != "v":
                self._expect_no_change(actor, relation)

    def try_calls(self) -> None:
        """Every function as every actor."""
        for name, call in calls_of(self.connection).items():
            for actor in ACTORS:
                answer = self._ask(actor, call)
                allowed = name in FOR_EVERYBODY or name in CALLABLE.get(actor.role, ())
                # Whoever may not even use the schema is refused what everybody might call.
                reachable = actor.role in ("authenticated", *READERS)
                is_denied = answer.state == _DENIED
                if is_denied == (allowed and reachable):
                    self._note(actor, name, "call", answer)

    def try_tokens(self) -> None:
        """Tokens that name nobody show nothing."""
        for claims in BAD_TOKENS:
            actor = Actor(f"token {claims[:30]}", "authenticated", claims)
            self._expect(actor, OWN_ROWS, "bad token", (f"select * from {OWN_ROWS}",), 0)

    def count(self, relation: str) -> int:
        row = self.connection.execute(f"select count(*) from {relation}").fetchone()
        assert row is not None
        return int(row[0])

    def _ask(self, actor: Actor, *statements: str, before: str = "") -> Answer:
        self.tried += 1
        return ask(self.connection, actor, *statements, before=before)

    def _note(self, actor: Actor, relation: str, command: str, answer: Answer) -> None:
        said = answer.text[:120].replace("\n", " ")
        self.problems.append(
            f"{actor.name}, {command}, {relation}: {answer.state} {answer.rows} rows {said}"
        )

    def _expect(
        self,
        actor: Actor,
        relation: str,
        command: str,
        statements: tuple[str, ...],
        rows: int | None,
    ) -> None:
        answer = self._ask(actor, *statements)
        right = answer.state != "" if rows is None else (answer.state, answer.rows) == ("", rows)
        if rows is None and answer.state not in _REFUSALS.get(command, {_DENIED}):
            right = False
        if not right or leaked(actor, relation, answer):
            self._note(actor, relation, command, answer)

    def _expect_no_word(
        self,
        actor: Actor,
        relation: str,
        command: str,
        statements: tuple[str, ...],
        *,
        refused: bool,
    ) -> None:
        answer = self._ask(actor, *statements)
        wrong = refused and answer.state != _DENIED
        shown = expected_rows(actor, relation, 1)
        if not refused and command.startswith("division") and shown is None:
            wrong = answer.state != ""  # an error would say that somebody's row is there
        if wrong or leaked(actor, relation, answer):
            self._note(actor, relation, command, answer)

    def _refuse_sequence(self, actor: Actor, sequence: str) -> None:
        for call in (
            f"select * from {sequence}",
            f"select nextval('{sequence}')",
            f"select setval('{sequence}', 1)",
            f"select pg_sequence_last_value('{sequence}'::regclass)",
        ):
            answer = self._ask(actor, call)
            nothing = answer.state == "" and answer.told == ["None"]
            if answer.state != _DENIED and not nothing:
                self._note(actor, sequence, call, answer)

    def _expect_cached_plan(self, actor: Actor, relation: str, rows: int) -> None:
        """A plan made for who sees everything is not used for who does not."""
        answer = self._ask(
            actor,
            "execute everything",
            before="deallocate all; set local plan_cache_mode = force_generic_plan;"
            f" prepare everything as select * from {relation}; execute everything",
        )
        if (answer.state, answer.rows) != ("", rows) or leaked(actor, relation, answer):
            self._note(actor, relation, "cached plan", answer)

    def _expect_no_change(self, actor: Actor, table: str) -> None:
        answers: dict[str, Answer] = {}
        for name, statements in writes_of(self.connection, table).items():
            answer = answers[name] = self._ask(actor, *statements)
            is_refused = answer.state in {_DENIED, _NOT_FOR_SECURED}
            did_something = not is_refused and (answer.state or answer.rows)
            if did_something or leaked(actor, table, answer):
                self._note(actor, table, f"{name}, granted", answer)
        taken, fresh = (answers[f"insert a {key}"] for key in ("key that is taken", "new key"))
        if (taken.state, taken.told) != (fresh.state, fresh.told):
            self._note(actor, table, "probing of keys", taken)


# Which refusals besides a missing right are right: the command does not fit the kind of object.
_NOT_FOR_VIEWS = {_DENIED, "42809", "55000", _NOT_FOR_SECURED}
_REFUSALS = {
    name: _NOT_FOR_VIEWS
    for name in (
        *("truncate", "lock", "alter", "drop", "policy", "trigger", "copy from", "copy to"),
        *("merge", "lock rows", "update", "update returning", "update without a condition"),
        *("insert a key that is taken", "insert a new key", "insert returning"),
        *("insert on conflict do nothing", "delete", "delete returning"),
    )
}
