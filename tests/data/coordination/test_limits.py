"""Limits while the engine is away: stricter, by this process alone, and shared again afterwards."""

from collections.abc import AsyncIterator, Iterator

import pytest

from groundplan.core.errors import Unavailable
from groundplan.core.quotas import Quota
from groundplan.data.coordination.limits import RateLimits
from groundplan.data.coordination.memory import MemoryCoordination
from groundplan.data.coordination.redis import RedisCoordination
from groundplan.data.valkey import Link
from groundplan.testing.app import until
from groundplan.testing.clock import ManualClock
from groundplan.testing.servers import ValkeyServer

pytestmark = pytest.mark.anyio

QUOTA = Quota(limit=20, window=3600)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def link(server: ValkeyServer) -> AsyncIterator[Link]:
    link = Link(server.url)
    await link.open()
    yield link
    await link.close()


async def test_while_the_server_is_frozen_a_share_is_given(server: ValkeyServer, link: Link) -> None:
    observed = list[str]()
    shared = RedisCoordination(link, "test")
    limits = RateLimits(shared, MemoryCoordination(ManualClock()), outage_share=0.25, observe=observed.append)

    async def allowed(times: int) -> list[bool]:
        return [(await limits.take("subject", QUOTA)).allowed for _ in range(times)]

    await until(lambda: link._is_up)
    server.freeze()
    assert await allowed(8) == [True] * 5 + [False] * 3
    assert (await limits.take("subject", QUOTA)).limit == 5
    assert observed.count("local") == 9
    with pytest.raises(Unavailable):
        await shared.acquire("lock", 60)
    server.thaw()

    async def shared_again() -> bool:
        return (await limits.take("another", QUOTA)).limit == 20

    await until(shared_again)


async def test_the_share_is_one_at_least_and_what_is_taken_at_once(link: Link) -> None:
    await link.close()
    limits = RateLimits(RedisCoordination(link, "test"), MemoryCoordination(ManualClock()), outage_share=0.0)
    assert [(await limits.take("one", QUOTA)).allowed for _ in range(2)] == [True, False]
    assert (await limits.take("many", QUOTA, cost=7)).allowed
