"""Texts that try to leave the place where a value stands in SQL; drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

CANARY = "public.canary_of_injections"

QUOTES = [
    "'",
    "''",
    "\\'",
    "\\\\'",
    '"',
    '""',
    "`",
    "\u00b4",
    "\u02bc",
    "\uff07",
    "\u2019",
    "%27",
    "%bf%27",
    "&#39;",
    "$$",
    "$a$",
    "]",
    "')",
    "'))",
    '")',
    "');",
    "E'",
    "U&'\\0027",
]
PAYLOADS = [
    f"; drop table {CANARY}",
    f"; delete from {CANARY}",
    f"; update {CANARY} set word = 'x'",
    f"; insert into {CANARY} values ('x')",
    f" or exists (select from {CANARY})",
    " or 1=1",
    " or '1'='1",
    " or true",
    " and 1=cast((select current_user) as int)",
    " and extractvalue(1, concat(0x7e, version()))",
    " union select null",
    " union all select table_name, null from information_schema.tables",
    " order by 99",
    " limit 0 offset 1",
    "||(select current_user)||",
    "||pg_sleep(20)",
    "; select pg_sleep(20)",
    "; copy (select 1) to program 'touch /tmp/canary_of_injections'",
    "; set role none",
    "; reset all; begin; commit",
    "; create role canary_of_injections superuser",
    "; grant all on all tables in schema billing to public",
    "::int",
    "::text[]",
    "%s",
    "%(month)s",
    "%",
    "%%",
    "_%",
    "{0}",
    "{}",
    "{month}",
    ":name",
    "?",
    "$1",
    "${jndi:x}",
    "\\",
    "\\x27",
    "\x00",
    "\x1a",
    "\r\n",
    "\ud7ff",
    "\u202e",
    "' at time zone 'UTC",
    " returning *",
    " for update",
    " into outfile 'x'",
    " having 1=1",
    "), (select 1",
    "}, {",
    "/**/or/**/1=1",
    "/*!50000or*/1=1",
    " waitfor delay '0:0:20'",
    "'; attach 'x.db'; --",
    "'; copy (select 1) to 'canary.csv'; --",
    "' || read_text('/etc/passwd') || '",
]
ENDINGS = ["", "--", "-- ", "#", "/*", ";", ";--", "'", '"', "\x00", " and '1'='1", "*/", "$$", ")"]


def injections(seed: int, count: int) -> Iterator[str]:
    """So many texts; every payload comes before one comes again."""
    random_ = random.Random(seed)
    for number in range(count):
        if number % len(PAYLOADS) == 0:
            order = random_.sample(PAYLOADS, len(PAYLOADS))
        quote = random_.choice([*QUOTES, "'", "'", ""])
        yield quote + order[number % len(PAYLOADS)] + random_.choice(ENDINGS)
