"""Keys are kept at hand; the database is asked about unknown ones, and seldom."""

import asyncio

import pytest

from growth_pipeline.core.errors import RemoteUnavailableError
from growth_pipeline.events.ingest.keys import KeyRing, WriteKey, hash_key
from growth_pipeline.web.ingest.write_keys import WriteKeys


class Table:
    """Keys in memory; counts how often it was asked, and can be away."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.asked = 0
        self.is_away = False

    async def keys(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise RemoteUnavailableError("away")
        return KeyRing(
            {
                hash_key(text): WriteKey(number, 1, "app", ("https://app.example",))
                for number, text in enumerate(self.texts)
            }
        )


def run(scenario, table):
    async def main():
        keys = WriteKeys(table)
        try:
            await scenario(keys)
        finally:
            await keys.stop()

    asyncio.run(main())


def test_the_first_request_finds_its_key():
    async def find(keys):
        assert keys.known("gwk_a") is None
        assert (await keys.find("gwk_a")).key_id == 0
        assert keys.known("gwk_a").key_id == 0

    run(find, Table("gwk_a"))


def test_a_known_key_asks_nobody():
    table = Table("gwk_a")

    async def find(keys):
        await keys.find("gwk_a")
        asked = table.asked
        for _ in range(1000):
            await keys.find("gwk_a")
        assert table.asked == asked

    run(find, table)


def test_many_unknown_keys_at_once_are_looked_up_together():
    table = Table("gwk_a")

    async def find(keys):
        found = await asyncio.gather(*(keys.find(f"gwk_{n}") for n in range(500)))
        assert found == [None] * 500
        assert table.asked <= 3

    run(find, table)


def test_a_key_made_after_the_last_look_is_found():
    table = Table()

    async def find(keys):
        assert await keys.find("gwk_new") is None
        table.texts.append("gwk_new")
        assert await keys.find("gwk_new") is not None

    run(find, table)


def test_nobody_says_that_a_key_is_unknown_while_the_database_is_away():
    table = Table("gwk_a")
    table.is_away = True

    async def find(keys):
        with pytest.raises(RemoteUnavailableError):
            await keys.find("gwk_a")
        table.is_away = False
        assert await keys.find("gwk_a") is not None
        table.is_away = True
        assert await keys.find("gwk_a") is not None, "known before"

    run(find, table)


def test_a_key_that_was_revoked_while_nobody_asked_is_refused_at_the_first_request():
    table = Table("gwk_a")

    async def find():
        keys = WriteKeys(table, seconds=0.01)
        keys.start()
        assert await keys.find("gwk_a") is not None
        table.texts.clear()
        asked = table.asked
        while table.asked < asked + 2:  # in the background, without any request
            await asyncio.sleep(0.01)
        assert await keys.find("gwk_a") is None
        await keys.stop()

    asyncio.run(find())


def test_known_keys_stay_good_while_the_database_is_away_and_are_looked_at_again():
    table = Table("gwk_a")

    async def find():
        keys = WriteKeys(table, seconds=0.01)
        keys.start()
        assert await keys.find("gwk_a") is not None
        table.is_away = True
        asked = table.asked
        while table.asked < asked + 2:
            await asyncio.sleep(0.01)
        assert await keys.find("gwk_a") is not None
        table.is_away = False
        table.texts.clear()
        while await keys.find("gwk_a") is not None:
            await asyncio.sleep(0.01)
        await keys.stop()

    asyncio.run(find())


def test_a_page_that_no_key_names_is_looked_up_before_it_is_refused():
    table = Table()

    async def ask(keys):
        assert not await keys.allows("https://app.example")
        table.texts.append("gwk_a")
        assert await keys.allows("https://app.example")
        assert keys.is_known_origin("https://app.example")
        assert not await keys.allows("https://other.example")

    run(ask, table)


def test_a_cancelled_look_does_not_keep_others_waiting():
    table = Table("gwk_a")

    async def find(keys):
        first = asyncio.create_task(keys.find("gwk_x"))
        await asyncio.sleep(0)
        first.cancel()
        assert await keys.find("gwk_a") is not None
        assert (await asyncio.gather(first, return_exceptions=True))[0] is not None

    run(find, table)
