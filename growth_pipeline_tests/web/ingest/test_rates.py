"""How many events a key may tell in ten seconds."""

import asyncio

from growth_pipeline.web.ingest.rates import KeyRates


def test_a_key_over_its_bound_waits_and_others_do_not():
    async def tell():
        rates = KeyRates(100)
        for _ in range(20):  # a machine that stands still for ten seconds gives the key new time
            await rates.note(1, 2000)
            seconds = await rates.wait_seconds(1)
            if seconds is not None:
                break
        assert 1 <= seconds <= 10
        assert await rates.wait_seconds(2) is None

    asyncio.run(tell())


def test_a_batch_is_never_cut_however_low_the_bound():
    async def tell():
        rates = KeyRates(1)
        assert await rates.wait_seconds(1) is None
        await rates.note(1, 2500)
        await rates.note(1, 0)

    asyncio.run(tell())


def test_without_a_bound_nobody_waits():
    async def tell():
        rates = KeyRates(0)
        await rates.note(1, 10**9)
        assert await rates.wait_seconds(1) is None

    asyncio.run(tell())
