"""What requests brought is stored together; one odd call sinks nothing else; all is counted."""

import asyncio
import io
from datetime import UTC, datetime

import pytest
import structlog

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.events.ingest.counts import KeyCounts
from growth_pipeline.events.ingest.ingest import Origin, take
from growth_pipeline.web.group_writer import FullError
from growth_pipeline.web.ingest.event_writer import EventWriter

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)


class Shelf:
    """Events in memory, each once; can refuse a message, be away, or be shut until told."""

    def __init__(self, *, refused=(), away=None, is_open=True):
        self.known, self.dead, self.batches = set(), [], 0
        self.refused, self.away = set(refused), away
        self.open = asyncio.Event()
        if is_open:
            self.open.set()

    async def insert(self, rows, dead):
        await self.open.wait()
        if self.away is not None:
            raise self.away
        if self.refused & {row.message_id for row in rows}:
            raise GrowthError("a value nobody expected")
        self.batches += 1
        self.dead += dead
        new = {}
        for row in rows:
            if (row.source_id, row.message_id) not in self.known:
                self.known.add((row.source_id, row.message_id))
                new[row.key_id] = new.get(row.key_id, 0) + 1
        return new


def a_call(message_id, size=0):
    return {
        "type": "page",
        "userId": "u",
        "messageId": message_id,
        "properties": {"text": "x" * size},
    }


def origin(key_id=1):
    return Origin(1, NOW, key_id=key_id)


def brought(*message_ids, key_id=1, size=0):
    return take([a_call(one, size) for one in message_ids], origin(key_id))


def run(scenario, shelf):
    counts = KeyCounts()

    async def main():
        writer = EventWriter(shelf, counts)
        writer.start()
        await scenario(writer)
        await writer.stop()

    asyncio.run(main())
    return {(key.key_id, key.outcome): count for key, count in counts.take().items()}


def test_requests_that_arrive_together_share_commits_and_are_counted_by_key():
    shelf = Shelf(is_open=False)

    async def store(writer):
        tasks = [
            asyncio.create_task(writer.store(brought(f"m{n % 50}", key_id=1 + n % 2), origin()))
            for n in range(100)
        ]
        await asyncio.sleep(0)
        shelf.open.set()
        await asyncio.gather(*tasks)

    counts = run(store, shelf)
    assert shelf.batches <= 5
    assert counts == {
        **{(1, "stored"): 25, (1, "repeated"): 25},
        **{(2, "stored"): 25, (2, "repeated"): 25},
    }


def test_a_call_that_only_the_store_refuses_is_set_aside_and_named():
    shelf = Shelf(refused=["m1"])

    async def store(writer):
        taken = take([a_call("m0"), a_call("m1"), 7, a_call("m3")], origin())
        stored = await writer.store(taken, origin())
        assert [one.place for one in stored.rejected] == [1, 2]

    counts = run(store, shelf)
    assert {message_id for _, message_id in shelf.known} == {"m0", "m3"}
    assert sorted(letter.reason.split(":")[0] for letter in shelf.dead) == [
        "not_an_object",
        "refused_by_database",
    ]
    assert counts == {(1, "stored"): 2, (1, "rejected"): 2}


def test_the_odd_call_of_a_large_batch_is_found_in_few_commits():
    shelf = Shelf(refused=["m1234"])

    async def store(writer):
        stored = await writer.store(brought(*(f"m{n}" for n in range(2500))), origin())
        assert [one.place for one in stored.rejected] == [1234]

    counts = run(store, shelf)
    assert shelf.batches <= 20
    assert len(shelf.known) == 2499
    assert counts == {(1, "stored"): 2499, (1, "rejected"): 1}


def test_a_neighbour_of_an_odd_request_is_stored():
    shelf = Shelf(refused=["odd"], is_open=False)

    async def store(writer):
        tasks = [
            asyncio.create_task(writer.store(brought(one), origin())) for one in ("a", "odd", "b")
        ]
        await asyncio.sleep(0)
        shelf.open.set()
        results = await asyncio.gather(*tasks)
        assert [len(result.rejected) for result in results] == [0, 1, 0]

    run(store, shelf)
    assert {message_id for _, message_id in shelf.known} == {"a", "b"}


@pytest.mark.parametrize("error", [RemoteUnavailableError("away"), ConfigurationError("no right")])
def test_a_store_that_is_away_is_said_and_nothing_is_set_aside(error):
    shelf = Shelf(away=error)

    async def store(writer):
        with pytest.raises(type(error)):
            await writer.store(brought("m1"), origin())

    assert run(store, shelf) == {}
    assert shelf.dead == []


@pytest.fixture
def closed_log():
    """Log lines go to a file that is closed, as to a pipe whose reader died."""
    kept = structlog.get_config()
    file = io.StringIO()
    file.close()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file))
    yield
    structlog.configure(**kept)


@pytest.mark.usefixtures("closed_log")
def test_nobody_waits_for_ever_because_the_log_cannot_be_written():
    shelf = Shelf(refused=["odd"])

    async def store(writer):
        async with asyncio.timeout(30):
            for number in range(5):  # more than there are lanes
                stored = await writer.store(brought(f"m{number}", "odd"), origin())
                assert [one.place for one in stored.rejected] == [1]
            shelf.away = RemoteUnavailableError("away")
            for _ in range(5):
                with pytest.raises(RemoteUnavailableError):
                    await writer.store(brought("later"), origin())
            shelf.away = None
            await writer.store(brought("later"), origin())
            assert not writer.is_full

    run(store, shelf)
    assert len(shelf.known) == 6


def test_more_bytes_than_may_wait_are_refused_as_full_and_taken_later():
    shelf = Shelf(is_open=False)

    async def store(writer):
        large = [brought(f"m{n}", size=30_000) for n in range(600)]
        tasks = [asyncio.create_task(writer.store(one, origin())) for one in large]
        await asyncio.sleep(0)
        assert writer.is_full
        shelf.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        full = [result for result in results if isinstance(result, FullError)]
        assert 0 < len(full) < 600
        assert not writer.is_full
        await writer.store(large[-1], origin())

    run(store, shelf)
