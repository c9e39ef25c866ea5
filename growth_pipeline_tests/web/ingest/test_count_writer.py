"""Counts are written every few seconds; what cannot be written waits."""

import asyncio
from collections import Counter
from datetime import date

from growth_pipeline.core.errors import RemoteUnavailableError
from growth_pipeline.events.ingest.counts import Counted, KeyCounts, Outcome
from growth_pipeline.web.ingest.count_writer import CountWriter

DAY = date(2026, 10, 5)


class Book:
    """Counts in memory; can be away, or break in a way nobody thought of."""

    def __init__(self):
        self.written = Counter()
        self.trouble = None
        self.writes = 0

    async def add_counts(self, counts):
        if self.trouble is not None:
            raise self.trouble
        self.writes += 1
        self.written.update(counts)


def test_counts_of_one_day_key_and_outcome_are_one_number():
    counts, book = KeyCounts(), Book()
    counts.add(DAY, 1, Outcome.STORED, 5)
    counts.add(DAY, 1, Outcome.STORED)
    counts.add(DAY, 1, Outcome.REJECTED, 0)
    counts.add(DAY, 2, Outcome.STORED)
    asyncio.run(CountWriter(counts, book).write())
    assert book.written == {Counted(DAY, 1, "stored"): 6, Counted(DAY, 2, "stored"): 1}
    assert counts.since_start == {"stored": 7}


def test_nothing_to_write_writes_nothing():
    book = Book()
    asyncio.run(CountWriter(KeyCounts(), book).write())
    assert book.writes == 0


def test_what_cannot_be_written_waits_and_is_written_once():
    counts, book = KeyCounts(), Book()

    async def main():
        writer = CountWriter(counts, book)
        for trouble in (RemoteUnavailableError("away"), ValueError("odd")):
            counts.add(DAY, 1, Outcome.STORED)
            book.trouble = trouble
            await writer.write()
        book.trouble = None
        counts.add(DAY, 1, Outcome.STORED)
        await writer.write()
        await writer.write()

    asyncio.run(main())
    assert book.written == {Counted(DAY, 1, "stored"): 3}


def test_the_end_writes_what_waits():
    counts, book = KeyCounts(), Book()

    async def main():
        writer = CountWriter(counts, book, seconds=3600)
        writer.start()
        await asyncio.sleep(0)
        counts.add(DAY, 1, Outcome.CUT)
        await writer.stop()

    asyncio.run(main())
    assert book.written == {Counted(DAY, 1, "cut"): 1}


def test_it_writes_by_itself_again_and_again():
    counts, book = KeyCounts(), Book()

    async def main():
        writer = CountWriter(counts, book, seconds=0.001)
        writer.start()
        for number in range(1, 4):
            counts.add(DAY, 1, Outcome.STORED)
            async with asyncio.timeout(60):
                while book.written.total() < number:
                    await asyncio.sleep(0.001)
        await writer.stop()

    asyncio.run(main())
    assert book.writes >= 3
