"""The bulkhead: so many at once, a short wait, then no."""

import asyncio

import pytest

from groundplan.core.errors import PeerUnavailable
from groundplan.net.bulkhead import Bulkhead

pytestmark = pytest.mark.anyio


async def test_one_too_many_is_refused_after_a_short_wait() -> None:
    bulkhead = Bulkhead("pay.example:443", 2, wait=0.01)
    async with bulkhead.place(60), bulkhead.place(60):
        with pytest.raises(PeerUnavailable, match=r"2 calls to pay\.example:443 are running.* within 0\.01 s"):
            async with bulkhead.place(60):
                raise AssertionError("there was no place")
    async with bulkhead.place(60):
        assert bulkhead.inside == 1


async def test_a_call_with_less_time_waits_less() -> None:
    bulkhead = Bulkhead("peer", 1, wait=60)
    async with bulkhead.place(60):
        with pytest.raises(PeerUnavailable, match=r"0\.02 s"):
            async with bulkhead.place(0.02):
                pass


async def test_a_place_that_comes_free_is_taken() -> None:
    bulkhead = Bulkhead("peer", 1, wait=60)
    order: list[str] = []

    async def second() -> None:
        async with bulkhead.place(60):
            order.append("second")

    async with bulkhead.place(60):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        assert bulkhead.inside == 2
        order.append("first")
    await waiting
    assert order == ["first", "second"]
    assert bulkhead.inside == 0


async def test_whoever_is_cancelled_leaves_no_place_taken() -> None:
    bulkhead = Bulkhead("peer", 1, wait=60)

    async def hold() -> None:
        async with bulkhead.place(60):
            await asyncio.Event().wait()

    inside, waiting = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(0)
    assert bulkhead.inside == 2
    waiting.cancel()
    inside.cancel()
    await asyncio.gather(inside, waiting, return_exceptions=True)
    async with bulkhead.place(0.01):
        assert bulkhead.inside == 1
