"""The cache in Valkey: the suite on both levels, and what reaches the near level of another process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from groundplan.core.clock import SystemClock
from groundplan.data.cache import redis
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address, CacheStore
from groundplan.data.cache.redis import RedisCache
from groundplan.data.valkey import Link
from groundplan.testing.app import until
from groundplan.testing.cache_suite import CacheStoreSuite, Make, put, value_of
from groundplan.testing.servers import ValkeyServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def make(valkey: ValkeyServer) -> AsyncIterator[Make]:
    """Each is as in a process of its own: a link, a near level. Open, and hearing the channel."""
    app = f"test-{uuid4().hex}"
    async with AsyncExitStack() as stack:

        async def make() -> CacheStore:
            link = Link(valkey.url, deadline=2.0)
            store = RedisCache(link, MemoryCache(SystemClock(), max_entries=1000, max_bytes=10**7), app)
            for part in (link, store):
                await part.open()
                stack.push_async_callback(part.close)
            await until(lambda: store._hears)
            return store

        yield make


@pytest.fixture
async def store(make: Make) -> CacheStore:
    return await make()


class TestRedisCache(CacheStoreSuite):
    pass


class TestWithoutTheNearLevel(CacheStoreSuite):
    """What the server does by itself: as for a process that has just started."""

    @pytest.fixture
    async def store(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> CacheStore:
        store = await make()
        assert isinstance(store, RedisCache)

        async def nothing(*_: object) -> None:
            """Keeps nothing near."""

        monkeypatch.setattr(store, "_keep_near", nothing)
        return store


@pytest.fixture
def address() -> Address:
    scope = f"suite:{uuid4()}"
    return Address(scope, f"{scope}:one", (f"{scope}:key:one", f"{scope}:tag:a"))


async def test_an_invalidation_reaches_the_near_level_of_another_process(make: Make, address: Address) -> None:
    one, other = await make(), await make()
    await put(one, address, b"old")
    assert [await value_of(store, address) for store in (one, other)] == [b"old"] * 2
    heard = list[str]()
    other.listen(heard.extend)
    await one.invalidate(address.scope, [address.tags[1]])
    await until(lambda: address.tags[1] in heard)

    assert await value_of(other, address) is None


async def test_one_fills_over_all_processes(make: Make, address: Address) -> None:
    one, other = await make(), await make()
    claim = await one.claim(address, 60)

    assert claim is not None
    assert await other.claim(address, 60) is None


async def test_the_oldest_tags_are_forgotten_together_with_what_has_them(
    store: CacheStore, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "MOST_TAGS", 10)
    await store.invalidate(address.scope, [address.tags[0]])
    before = await store.stamp(address)
    for number in range(3):
        await store.invalidate(address.scope, [f"{address.scope}:tag:{number}:{each}" for each in range(5)])
    after = await store.stamp(address)

    assert not await store.keep(before, b"old", 60)
    assert await store.keep(after, b"new", 60)
    assert await value_of(store, address) == b"new"


async def test_a_server_that_lost_its_tags_has_nothing_left_that_had_them(
    store: CacheStore, make: Make, address: Address
) -> None:
    claim = await store.stamp(address)
    await put(store, address, b"old")
    assert isinstance(store, RedisCache)
    await store._link.run("return redis.call('DEL', KEYS[1])", [store._scope(address.scope)], [])

    assert await value_of(await make(), address) is None
    assert not await store.keep(claim, b"old", 60)
    await put(store, address, b"new")
    assert await value_of(await make(), address) == b"new"
