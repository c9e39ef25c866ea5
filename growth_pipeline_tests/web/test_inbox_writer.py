"""The writer behind the webhook route: few commits, and one bad event never sinks its batch."""

import asyncio

import pytest

from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.web.inbox_writer import InboxWriter
from growth_pipeline_tests.fakes.stripe_events import NOW


class Shelf:
    """A store in memory that can refuse one event, be away, or be slow until told."""

    def __init__(self, *, refused=(), away=None, is_open=True):
        self.batches = []
        self.refused, self.away = set(refused), away
        self.open = asyncio.Event()
        if is_open:
            self.open.set()

    async def insert_events(self, events):
        await self.open.wait()
        if self.away is not None:
            raise self.away
        if self.refused & {event.event_id for event in events}:
            raise ValueError("a value nobody expected")
        self.batches.append([event.event_id for event in events])


def an_event_row(number, size=10):
    return ReceivedEvent(
        "self", False, f"evt_{number}", "t", None, NOW, NOW, "webhook", b"x" * size
    )


def run(scenario, shelf, *, stored=None):
    """A scenario with a writer on a shelf, from start to stop."""

    async def main():
        writer = InboxWriter(shelf, on_stored=stored or (lambda: None))
        writer.start()
        result = await scenario(writer)
        await writer.stop()
        return result

    return asyncio.run(main())


def insert_all(shelf, events, *, stored=None):
    """Insert all at once; None or the error of each, in order."""

    async def insert(writer):
        tasks = [asyncio.ensure_future(writer.insert(event)) for event in events]
        await asyncio.sleep(0.05)
        shelf.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return run(insert, shelf, stored=stored)


def test_events_that_arrive_together_share_a_commit():
    shelf = Shelf(is_open=False)
    assert insert_all(shelf, [an_event_row(n) for n in range(100)]) == [None] * 100
    assert len(shelf.batches) <= 3
    assert sorted(name for batch in shelf.batches for name in batch) == sorted(
        f"evt_{n}" for n in range(100)
    )


def test_a_batch_has_a_bound():
    shelf = Shelf(is_open=False)
    assert insert_all(shelf, [an_event_row(n) for n in range(1000)]) == [None] * 1000
    assert max(len(batch) for batch in shelf.batches) <= 256


def test_the_worker_is_woken_after_a_commit():
    woken = []
    insert_all(Shelf(), [an_event_row(1)], stored=lambda: woken.append(True))
    assert woken


def test_one_event_that_is_refused_does_not_sink_the_others():
    shelf = Shelf(refused=["evt_3"], is_open=False)
    outcomes = insert_all(shelf, [an_event_row(n) for n in range(6)])
    assert [type(outcome) for outcome in outcomes].count(type(None)) == 5
    assert isinstance(outcomes[3], GrowthError)


@pytest.mark.parametrize("error", [RemoteUnavailableError("away"), ConfigurationError("no right")])
def test_everybody_is_told_when_the_database_is_away(error):
    assert insert_all(Shelf(away=error), [an_event_row(n) for n in range(5)]) == [error] * 5


def test_the_writer_goes_on_after_the_database_came_back():
    shelf = Shelf(away=RemoteUnavailableError("away"))

    async def come_back(writer):
        with pytest.raises(RemoteUnavailableError):
            await writer.insert(an_event_row(1))
        shelf.away = None
        await writer.insert(an_event_row(1))

    run(come_back, shelf)
    assert shelf.batches == [["evt_1"]]


def test_more_than_it_can_hold_is_refused_at_once():
    shelf = Shelf(is_open=False)
    outcomes = insert_all(shelf, [an_event_row(n) for n in range(2500)])
    refused = [outcome for outcome in outcomes if outcome is not None]
    assert 200 < len(refused) < 600
    assert all(isinstance(outcome, RemoteUnavailableError) for outcome in refused)


def test_a_batch_of_large_bodies_is_a_small_one():
    shelf = Shelf(is_open=False)
    large = [an_event_row(n, size=4 * 1024 * 1024) for n in range(12)]
    assert insert_all(shelf, large) == [None] * 12
    assert max(len(batch) for batch in shelf.batches) == 2


def test_few_large_bodies_fill_it_too():
    shelf = Shelf(is_open=False)
    outcomes = insert_all(shelf, [an_event_row(n, size=4 * 1024 * 1024) for n in range(40)])
    assert any(isinstance(outcome, RemoteUnavailableError) for outcome in outcomes)


def test_an_event_whose_sender_went_away_is_stored_all_the_same():
    shelf = Shelf(is_open=False)

    async def go_away(writer):
        task = asyncio.ensure_future(writer.insert(an_event_row(1)))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        shelf.open.set()
        await writer.insert(an_event_row(2))

    run(go_away, shelf)
    assert sorted(name for batch in shelf.batches for name in batch) == ["evt_1", "evt_2"]


def test_stopping_stores_what_waits_and_takes_no_more():
    shelf = Shelf(is_open=False)

    async def stop(writer):
        waiting = [asyncio.ensure_future(writer.insert(an_event_row(n))) for n in range(3)]
        await asyncio.sleep(0.05)
        ending = asyncio.ensure_future(writer.stop())
        await asyncio.sleep(0)
        with pytest.raises(RemoteUnavailableError):
            await writer.insert(an_event_row(9))
        shelf.open.set()
        await asyncio.gather(ending, *waiting)

    run(stop, shelf)
    assert sorted(name for batch in shelf.batches for name in batch) == ["evt_0", "evt_1", "evt_2"]
