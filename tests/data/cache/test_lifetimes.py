"""What is served when: stale answers while a new one is made, absences, tags, users, and who waits for whom."""

import asyncio
import random
from uuid import UUID, uuid4

import pytest

from groundplan.core.errors import NotFound, Unavailable
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Claim
from groundplan.data.cache.read_through import Cache, Outcome
from groundplan.data.cache.tenant import TenantCache
from groundplan.testing.app import until
from groundplan.testing.clock import ManualClock
from tests.data.cache.test_read_through import Counter

pytestmark = pytest.mark.anyio

TENANT = UUID(int=1)


class Setting:
    """A cache, its clock, and what it observed."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.outcomes = list[Outcome]()
        store = MemoryCache(self.clock, max_entries=1000, max_bytes=10**7)
        self.cache = Cache(store, app="shop", version="1", random=random.Random(7), observe=self.outcomes.append)
        self.mine = self.cache.bind(TENANT)


@pytest.fixture
def setting() -> Setting:
    return Setting()


@pytest.fixture
def mine(setting: Setting) -> TenantCache:
    return setting.mine


async def test_one_makes_it_anew_and_the_others_get_the_old_one(setting: Setting, mine: TenantCache) -> None:
    counter = Counter()

    async def read() -> int:
        return await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int)

    assert await read() == 1
    setting.clock.seconds = 20
    counter.gate.clear()
    filler = asyncio.create_task(read())
    await until(lambda: counter.fills == 2)
    assert [await read() for _ in range(5)] == [1] * 5
    counter.gate.set()

    assert await filler == 2
    assert await read() == 2
    assert counter.fills == 2
    assert setting.outcomes == ["miss", *["stale"] * 5, "miss", "hit"]


async def test_with_a_refresh_nobody_waits(setting: Setting, mine: TenantCache) -> None:
    counter = Counter()

    async def read() -> int:
        return await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int, refresh=counter.fill)

    assert await read() == 1
    setting.clock.seconds = 20
    counter.gate.clear()
    assert [await read() for _ in range(5)] == [1] * 5
    await until(lambda: counter.fills == 2)
    counter.gate.set()
    await until(lambda: not setting.cache._refreshing)

    assert await read() == 2
    assert counter.fills == 2


async def test_a_refresh_that_fails_leaves_the_old_one_until_its_end(setting: Setting, mine: TenantCache) -> None:
    async def one() -> int:
        return 1

    async def fails() -> int:
        raise Unavailable("No.")

    async def read() -> int:
        return await mine.read_through("n", one, ttl=10, stale=30, type=int, refresh=fails)

    assert await read() == 1
    setting.clock.seconds = 20
    assert await read() == 1
    await until(lambda: "failed" in setting.outcomes)
    assert await read() == 1
    await setting.cache.close()


async def test_what_is_stale_and_outdated_is_served_to_nobody(setting: Setting, mine: TenantCache) -> None:
    counter = Counter()
    await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int, tags=["a"])
    setting.clock.seconds = 20
    await mine.invalidate(tags=["a"])

    assert await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int, tags=["a"]) == 2


async def test_while_another_process_fills_the_old_one_is_served(setting: Setting, mine: TenantCache) -> None:
    counter = Counter()
    await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int)
    setting.clock.seconds = 20
    address = mine._address("n", setting.cache.codec(int).stamp)
    assert isinstance(await setting.cache.store.claim(address, 60), Claim)

    assert await mine.read_through("n", counter.fill, ttl=10, stale=30, type=int) == 1
    assert counter.fills == 1


async def test_without_an_old_one_it_waits_for_the_other_process(setting: Setting, mine: TenantCache) -> None:
    counter = Counter()
    address = mine._address("n", setting.cache.codec(int).stamp)
    claim = await setting.cache.store.claim(address, 60)
    assert isinstance(claim, Claim)
    waiting = [asyncio.create_task(mine.read_through("n", counter.fill, ttl=10, type=int)) for _ in range(5)]
    await until(lambda: bool(setting.cache._flights))
    await setting.cache.store.keep(claim, setting.cache.codec(int).encode(42), 60)

    assert await asyncio.gather(*waiting) == [42] * 5
    assert counter.fills == 0


async def test_absences_have_a_lifetime_of_their_own(setting: Setting, mine: TenantCache) -> None:
    calls = list[str]()

    async def none() -> int | None:
        calls.append("none")
        return None

    async def missing() -> int:
        calls.append("missing")
        raise NotFound("There is no such thing.")

    async def read() -> None:
        assert await mine.read_through("a", none, ttl=100, negative=5, type=int | None) is None  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(NotFound, match="no such thing"):
                await mine.read_through("b", missing, ttl=100, negative=5, type=int)

    await read()
    await read()
    assert calls == ["none", "missing"]
    setting.clock.seconds = 6
    await read()
    assert calls == ["none", "missing"] * 2


async def test_not_found_is_not_kept_unless_asked_for(mine: TenantCache) -> None:
    calls = 0

    async def missing() -> int:
        nonlocal calls
        calls += 1
        raise NotFound("No.")

    for _ in range(2):
        with pytest.raises(NotFound):
            await mine.read_through("n", missing, ttl=60, type=int)
    assert calls == 2


async def test_tags_forget_what_has_them_and_nothing_else(setting: Setting, mine: TenantCache) -> None:
    counter, user = Counter(), uuid4()
    other = setting.cache.bind(UUID(int=2))

    async def read() -> list[int]:
        return [
            await mine.read_through("one", counter.fill, ttl=60, type=int, tags=["a", "b"]),
            await mine.read_through("two", counter.fill, ttl=60, type=int, tags=["b"]),
            await mine.read_through("one", counter.fill, ttl=60, type=int, tags=["a"], user=user),
            await other.read_through("one", counter.fill, ttl=60, type=int, tags=["a"]),
        ]

    assert await read() == [1, 2, 3, 4]
    await mine.invalidate(tags=["a"])
    assert await read() == [5, 2, 6, 4]
    await mine.invalidate("one")
    assert await read() == [7, 2, 6, 4]


async def test_an_invalidation_reaches_the_releases_beside_this_one(setting: Setting, mine: TenantCache) -> None:
    beside = Cache(setting.cache.store, app="shop", version="2", random=random.Random(7)).bind(TENANT)
    counter = Counter()
    for cache in (mine, beside):
        await cache.read_through("n", counter.fill, ttl=60, type=int, tags=["a"])
    await mine.invalidate(tags=["a"])
    assert [await cache.get("n", type=int) for cache in (mine, beside)] == [None, None]


async def test_a_thousand_on_one_cold_key_are_one_fill(mine: TenantCache) -> None:
    counter = Counter()
    counter.gate.clear()
    herd = [asyncio.create_task(mine.read_through("n", counter.fill, ttl=60, type=int)) for _ in range(1000)]
    await until(lambda: counter.fills > 0)
    counter.gate.set()

    assert await asyncio.gather(*herd) == [1] * 1000
    assert counter.fills == 1
