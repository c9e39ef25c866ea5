"""Bodies are read within bounds of bytes and time; the slowest give way when memory runs short."""

import asyncio

import pytest

from growth_pipeline.web.headers import announced_size
from growth_pipeline.web.ingest.bodies import (
    Bodies,
    BodyTooLargeError,
    SenderGoneError,
    TooSlowError,
    may_be_left,
)

MIB = 1024 * 1024


class Sender:
    """A request whose bytes come when they are told to; `chunks` come at once."""

    def __init__(self, *chunks, announced=None, ends=True):
        self.scope = {"type": "http", "headers": []}
        if announced is not None:
            self.scope["headers"].append((b"content-length", str(announced).encode()))
        self.queue = asyncio.Queue()
        self.taken = 0
        for chunk in chunks:
            self.send(chunk, more=True)
        if ends:
            self.send(b"")

    def send(self, chunk, *, more=False):
        self.queue.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def leave(self):
        self.queue.put_nowait({"type": "http.disconnect"})

    async def receive(self):
        message = await self.queue.get()
        self.taken += len(message.get("body", b""))
        return message

    async def read_into(self, bodies):
        async with bodies.reading() as reading:
            return await reading.read(self.scope, self.receive)


def bodies_of(*, limit=100, total=1000, seconds=60.0):
    return Bodies(limit=limit, total=total, seconds=seconds)


def test_a_body_comes_in_any_number_of_chunks():
    async def read():
        assert await Sender(b"ab", b"", b"c").read_into(bodies_of()) == b"abc"
        assert await Sender(*[b"x"] * 100).read_into(bodies_of()) == b"x" * 100
        assert await Sender().read_into(bodies_of()) == b""

    asyncio.run(read())


@pytest.mark.parametrize("announced", [None, 101])
def test_a_body_that_is_a_little_too_large_is_taken_off_the_wire(announced):
    async def read():
        sender = Sender(b"x" * 60, b"x" * 41, announced=announced)
        with pytest.raises(BodyTooLargeError) as error:
            await sender.read_into(bodies_of())
        assert error.value.ended
        assert sender.taken == 101

    asyncio.run(read())


def test_an_endless_body_is_left():
    async def read():
        sender = Sender(*[b"x" * MIB] * 6, ends=False)
        with pytest.raises(BodyTooLargeError) as error:
            await sender.read_into(bodies_of())
        assert not error.value.ended
        assert sender.taken <= 5 * MIB

    asyncio.run(read())


@pytest.mark.parametrize("announced", [10**9, "9" * 5000])
def test_a_body_that_is_announced_as_huge_is_not_read_at_all(announced):
    async def read():
        sender = Sender(announced=announced)
        with pytest.raises(BodyTooLargeError) as error:
            await sender.read_into(bodies_of())
        assert not error.value.ended
        assert not sender.queue.empty()

    asyncio.run(read())


def test_a_sender_that_goes_away_is_no_body():
    async def read():
        sender = Sender(b"half", ends=False)
        sender.leave()
        with pytest.raises(SenderGoneError):
            await sender.read_into(bodies_of())

    asyncio.run(read())


def test_a_sender_that_takes_too_long_is_given_up():
    async def read():
        with pytest.raises(TooSlowError):
            await Sender(b"half", ends=False).read_into(bodies_of(seconds=0.01))

    asyncio.run(read())


def test_the_longest_open_give_way_and_honest_senders_go_on():
    async def read():
        bodies = bodies_of(limit=100, total=1000)
        slow = [Sender(b"x" * 99, ends=False) for _ in range(50)]
        tasks = [asyncio.create_task(sender.read_into(bodies)) for sender in slow]
        await asyncio.sleep(0)
        for _ in range(200):
            assert await Sender(b"y" * 100).read_into(bodies) == b"y" * 100
        done, waiting = await asyncio.wait(tasks, timeout=0)
        assert all(isinstance(task.exception(), TooSlowError) for task in done)
        assert len(waiting) <= 10, "ten of them fill the memory"
        assert set(waiting) == set(tasks[-len(waiting) :]), "the longest open gave way"
        for sender in slow:
            sender.send(b"x")
        assert {len(body) for body in await asyncio.gather(*waiting)} == {100}

    asyncio.run(read())


def test_what_was_read_makes_room_again():
    async def read():
        bodies = bodies_of(limit=100, total=100)
        for _ in range(10):
            assert len(await Sender(b"x" * 100).read_into(bodies)) == 100

    asyncio.run(read())


def test_a_body_may_be_left_unread_if_its_end_is_near():
    assert may_be_left({"headers": [(b"content-length", b"500000")]})
    assert may_be_left({"headers": []})
    assert not may_be_left({"headers": [(b"content-length", b"5000000")]})
    assert not may_be_left({"headers": [(b"transfer-encoding", b"chunked")]})


@pytest.mark.parametrize(
    ("text", "size"), [(b"", 0), (b"7", 7), (b"-7", 0), (b"x", 0), (b"9" * 5000, 10**18)]
)
def test_announced_sizes_are_numbers_or_nothing(text, size):
    found = announced_size({"headers": [(b"content-length", text)]})
    assert found == size or found >= size > 10**9
