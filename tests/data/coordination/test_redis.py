"""Coordination in Valkey: the suite, and what two processes share."""

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from groundplan.data.coordination.port import Coordination
from groundplan.data.coordination.redis import RedisCoordination
from groundplan.data.valkey import Link
from groundplan.testing.app import until
from groundplan.testing.coordination_suite import CoordinationSuite
from groundplan.testing.servers import ValkeyServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def link(valkey: ValkeyServer) -> AsyncIterator[Link]:
    link = Link(valkey.url, deadline=2.0)
    await link.open()
    yield link
    await link.close()


class TestRedisCoordination(CoordinationSuite):
    @pytest.fixture
    def engine(self, link: Link) -> Coordination:
        return RedisCoordination(link, "test")


async def test_processes_share_what_they_take(link: Link, valkey: ValkeyServer) -> None:
    beside = Link(valkey.url, deadline=2.0)
    await beside.open()
    one, other, name = RedisCoordination(link, "test"), RedisCoordination(beside, "test"), uuid4().hex
    lock = await one.acquire(name, 60)

    assert [(await engine.take(name, 3, 600)).remaining for engine in (one, other, one)] == [2, 1, 0]
    assert lock is not None and await other.acquire(name, 60) is None
    assert await other.release(lock)
    await beside.close()


async def test_nothing_comes_back_before_a_window_has_passed(link: Link) -> None:
    engine, window = RedisCoordination(link, "test"), 0.5

    async def waited() -> float:
        """Not less than the time between what was taken on the server."""
        subject, before = uuid4().hex, time.monotonic()

        async def taken() -> bool:
            return (await engine.take(subject, 1, window)).allowed

        assert await taken()
        await until(taken)
        return time.monotonic() - before

    assert all([await waited() >= window for _ in range(3)])


async def test_a_server_that_lost_the_last_token_gives_a_higher_one(link: Link) -> None:
    engine, app = RedisCoordination(link, "lost"), "lost"
    before = await engine.acquire(f"{app} 1", 60)
    await link.run("return redis.call('DEL', KEYS[1])", [engine._key("token")], [])
    after = await engine.acquire(f"{app} 2", 60)

    assert before is not None and after is not None
    assert after.token > before.token
