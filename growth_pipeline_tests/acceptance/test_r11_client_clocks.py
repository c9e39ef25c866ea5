"""R11: whatever the clock of a sender says, an event is within 1 s of when it happened, or flagged.

What is expected is worked out in whole microseconds since 1970, without the product's code and
without a library of dates, from a truth that only this test knows.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from growth_pipeline_tests.fakes.ingest_server import ingest_serving
from growth_pipeline_tests.fakes.web_server import Clock

SECOND = 1_000_000
DAY = 86_400 * SECOND
YEAR = 365 * DAY
BATCH = 250
YEAR_1 = -719_162 * DAY
KINDS = (
    *("wrong clock", "clock at the year 1", "queue", "no sentAt", "ahead without sentAt"),
    *("leap second", "far years", "unreadable", "none"),
)


def text_of(micros: int, offset_minutes: int = 0) -> str:
    """An instant as a client writes it, in a zone of its own; civil date by Hinnant's algorithm."""
    local = micros + offset_minutes * 60 * SECOND
    days, rest = divmod(local, DAY)
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month, year = (month + 3, year + era * 400) if month < 10 else (month - 9, year + era * 400 + 1)
    seconds, fraction = divmod(rest, SECOND)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    sign, minutes = ("-" if offset_minutes < 0 else "+"), abs(offset_minutes)
    zone = f"{sign}{minutes // 60:02}:{minutes % 60:02}" if offset_minutes else "Z"
    return f"{year:04}-{month:02}-{day:02}T{clock}{zone}"


def a_case(kind: str, now: int, random_: random.Random):
    """Fields of the call, when it must have happened, and the flags it must have."""
    offset = random_.choice([0, 330, -570, 765, -720, 840])
    happened = now - random_.randrange(7 * DAY)
    wrong = random_.randrange(-10 * YEAR, 10 * YEAR)
    if kind == "clock at the year 1":
        wrong = YEAR_1 + 20 * DAY - now
    sent = {"sentAt": text_of(now + wrong, offset)}
    if kind in ("wrong clock", "clock at the year 1", "queue"):
        happened = now - 7 * DAY if kind == "queue" else happened
        return {"timestamp": text_of(happened + wrong, offset)} | sent, happened, set()
    if kind in ("no sentAt", "ahead without sentAt"):
        return unsent_case(kind, now, random_, offset)
    if kind == "leap second":
        midnight = (now // DAY - random_.randrange(7)) * DAY
        told = text_of(midnight - SECOND)[:17] + "60Z"
        return {"timestamp": told, "sentAt": text_of(now)}, midnight, set()
    if kind == "far years":
        told = random_.choice(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01"])
        return {"timestamp": told} | sent, now, {"clock_wrong"}
    if kind == "unreadable":
        told = random_.choice(["soon", "", "2026-13-01", 1_759_665_600, "2026-10-05T99:00:00Z"])
        return {"timestamp": told} | sent, now, {"timestamp_unreadable"}
    return sent, now, {"no_timestamp"}


def unsent_case(kind: str, now: int, random_: random.Random, offset: int):
    """Without sentAt the clock is believed, unless it is more than a day ahead."""
    if kind == "no sentAt":
        told = now - random_.randrange(20 * YEAR)
        return {"timestamp": text_of(told, offset)}, told, {"no_sent_at"}
    told = now + DAY + random_.randrange(SECOND, 10 * YEAR)
    return {"timestamp": text_of(told, offset)}, now, {"no_sent_at", "clock_wrong"}


def run(server, clock, events, random_):
    now = int(clock.now.timestamp()) * SECOND
    expected = {}
    for first in range(0, events, BATCH):
        calls = []
        for number in range(first, min(first + BATCH, events)):
            fields, happened, flags = a_case(KINDS[number % len(KINDS)], now, random_)
            expected[f"m{number}"] = (happened, flags)
            calls.append({"type": "page", "userId": "u", "messageId": f"m{number}"} | fields)
        answer = server.post("/v1/batch", {"batch": calls})
        assert answer.json() == {"success": True}
    return expected


def compare(server, expected):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows = server.rows("select message_id, occurred_at, flags from events.events")
    found = {row["message_id"]: row for row in rows}
    problems: Counter[str] = Counter()
    problems["dropped"] = len(expected.keys() - found.keys())
    worst = 0.0
    for message_id, row in found.items():
        happened, flags = expected[message_id]
        since = row["occurred_at"] - epoch
        micros = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds
        worst = max(worst, abs(micros - happened) / SECOND)
        problems["over 1 s"] += abs(micros - happened) > SECOND
        problems["other flags"] += set(row["flags"]) != flags
    return {name: count for name, count in problems.items() if count}, worst


@pytest.mark.parametrize(
    "events", [5_000, pytest.param(100_000, marks=pytest.mark.full)], ids=["fast", "full"]
)
def test_every_event_is_within_a_second_of_the_truth_or_flagged(
    database_url, tmp_path, seed, acceptance_line, events
):
    clock = Clock()
    with ingest_serving(database_url, tmp_path, clock=clock, key_events_per_second=0) as server:
        expected = run(server, clock, events, random.Random(seed))
        violations, worst = compare(server, expected)
    load = {"events": events, "kinds": len(KINDS)}
    acceptance_line("R11", violations=violations, load=load, worst_seconds=worst)
