"""One fill under a herd, namespaces, jitter, invalidation, and an engine that is down."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.context import RequestContext, changed, entered, refuse_expired
from groundplan.core.errors import DeadlineExceeded, Misuse, TransactionOpen, Unavailable
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address, CacheStore, Claim, Kept
from groundplan.data.cache.read_through import Cache, Outcome
from groundplan.data.cache.tenant import TenantCache
from groundplan.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)


class Product(msgspec.Struct):
    id: UUID
    title: str
    price: int


class BrokenEngine(MemoryCache):
    """Does not answer while ``down``."""

    down = True

    async def get(self, address: Address) -> Kept | None:
        self._answer()
        return await super().get(address)

    async def claim(self, address: Address, lease: float) -> Claim | Kept | None:
        self._answer()
        return await super().claim(address, lease)

    async def stamp(self, address: Address) -> Claim:
        self._answer()
        return await super().stamp(address)

    async def keep(self, claim: Claim, value: bytes, fresh: float, stale: float = 0.0) -> bool:
        self._answer()
        return await super().keep(claim, value, fresh, stale)

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The cache does not answer.")


class Counter:
    """Something slow to make, that counts how often it was made."""

    def __init__(self) -> None:
        self.fills = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fill(self) -> int:
        self.fills += 1
        made = self.fills
        await self.gate.wait()
        return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
def cache(clock: ManualClock, outcomes: list[Outcome]) -> Cache:
    return made(MemoryCache(clock, max_entries=1000, max_bytes=10**7), outcomes)


@pytest.fixture
def mine(cache: Cache) -> TenantCache:
    return cache.bind(TENANT)


def made(store: CacheStore, outcomes: list[Outcome], version: str = "1") -> Cache:
    return Cache(store, app="shop", version=version, random=random.Random(7), observe=outcomes.append)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("It never became true.")


async def test_the_second_read_is_a_hit(mine: TenantCache, outcomes: list[Outcome]) -> None:
    counter = Counter()
    values = [await mine.read_through("n", counter.fill, ttl=60, type=int) for _ in range(3)]

    assert (values, counter.fills, outcomes) == ([1, 1, 1], 1, ["miss", "hit", "hit"])


async def test_typed_values_come_back_typed(mine: TenantCache) -> None:
    product = Product(id=uuid4(), title="Oats", price=199)

    async def fill() -> list[Product]:
        return [product]

    for _ in range(2):
        assert await mine.read_through("all", fill, ttl=60, type=list[Product]) == [product]
    await mine.set("one", product, ttl=60, type=Product)
    assert await mine.get("one", type=Product) == product


async def test_who_changes_a_value_changes_only_their_own(mine: TenantCache) -> None:
    async def fill() -> list[int]:
        return [1]

    async def changes_it() -> None:
        (await mine.read_through("n", fill, ttl=60, type=list[int])).append(2)

    await asyncio.gather(changes_it(), changes_it(), changes_it())
    assert await mine.read_through("n", fill, ttl=60, type=list[int]) == [1]


async def test_one_fill_under_a_herd(mine: TenantCache, outcomes: list[Outcome]) -> None:
    counter = Counter()
    counter.gate.clear()
    herd = [asyncio.create_task(mine.read_through("n", counter.fill, ttl=60, type=int)) for _ in range(500)]
    await asyncio.sleep(0.01)
    counter.gate.set()

    assert await asyncio.gather(*herd) == [1] * 500
    assert counter.fills == 1
    assert (outcomes.count("miss"), outcomes.count("shared")) == (1, 499)


async def test_different_keys_do_not_wait_for_each_other(mine: TenantCache) -> None:
    slow, fast = Counter(), Counter()
    slow.gate.clear()
    waiting = asyncio.create_task(mine.read_through("slow", slow.fill, ttl=60, type=int))
    await until(lambda: slow.fills == 1)

    assert await mine.read_through("fast", fast.fill, ttl=60, type=int) == 1
    slow.gate.set()
    await waiting


async def test_a_failed_fill_fails_those_who_wait_and_nobody_later(mine: TenantCache) -> None:
    counter = Counter()
    counter.gate.clear()

    async def fails() -> int:
        await counter.fill()
        raise Unavailable("No.")

    herd = [asyncio.create_task(mine.read_through("n", fails, ttl=60, type=int)) for _ in range(10)]
    await until(lambda: counter.fills == 1)
    counter.gate.set()
    results = await asyncio.gather(*herd, return_exceptions=True)

    assert all(isinstance(result, Unavailable) for result in results)
    assert counter.fills == 1
    assert await mine.read_through("n", counter.fill, ttl=60, type=int) == 2


async def test_who_has_no_time_left_takes_it_from_nobody_else(mine: TenantCache) -> None:
    counter = Counter()
    counter.gate.clear()

    async def fill() -> int:
        made = await counter.fill()
        refuse_expired("it was filled")
        return made

    async def read(deadline: float) -> int:
        with entered(RequestContext(deadline=deadline)):
            return await mine.read_through("n", fill, ttl=60, type=int)

    hurried, *rest = [asyncio.create_task(read(deadline)) for deadline in (0.0, *[time.monotonic() + 3600] * 9)]
    await until(lambda: counter.fills == 1)
    counter.gate.set()

    assert await asyncio.gather(*rest) == [2] * 9
    with pytest.raises(DeadlineExceeded):
        await hurried


async def test_a_cancelled_fill_is_taken_over(mine: TenantCache) -> None:
    counter = Counter()
    counter.gate.clear()
    first, *rest = [asyncio.create_task(mine.read_through("n", counter.fill, ttl=60, type=int)) for _ in range(10)]
    await until(lambda: counter.fills == 1)
    first.cancel()
    await until(lambda: counter.fills == 2)
    counter.gate.set()

    assert await asyncio.gather(*rest) == [2] * 9
    assert counter.fills == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_stops_waiting_disturbs_nobody(mine: TenantCache) -> None:
    counter = Counter()
    counter.gate.clear()
    tasks = [asyncio.create_task(mine.read_through("n", counter.fill, ttl=60, type=int)) for _ in range(3)]
    await until(lambda: counter.fills == 1)
    await asyncio.sleep(0)
    tasks[2].cancel()
    counter.gate.set()

    assert await asyncio.gather(*tasks[:2]) == [1, 1]


async def test_tenants_users_and_releases_are_apart(cache: Cache, outcomes: list[Outcome]) -> None:
    counter = Counter()
    user = uuid4()
    places = [
        cache.bind(TENANT),
        cache.bind(OTHER_TENANT),
        cache.bind(TENANT).for_user(user),
        cache.bind(OTHER_TENANT).for_user(user),
        made(cache.store, outcomes, version="2").bind(TENANT),
    ]
    for _ in range(2):
        assert [await p.read_through("n", counter.fill, ttl=60, type=int) for p in places] == [1, 2, 3, 4, 5]


async def test_no_key_of_one_tenant_reaches_into_another_namespace(cache: Cache) -> None:
    user = uuid4()
    await cache.bind(TENANT).for_user(user).set("n", "private", ttl=60, type=str)

    for key in (f"{user}:n", f":{user}:n", f"../{user}:n"):
        assert await cache.bind(TENANT).get(key, type=str) is None


async def test_lifetimes_are_spread_and_never_longer_than_asked(mine: TenantCache, clock: ManualClock) -> None:
    for number in range(200):
        await mine.set(str(number), number, ttl=100, type=int)

    async def alive() -> int:
        return sum([await mine.get(str(number), type=int) is not None for number in range(200)])

    clock.seconds = 89
    assert await alive() == 200
    clock.seconds = 95
    assert 50 < await alive() < 150
    clock.seconds = 100
    assert await alive() == 0


async def test_an_invalidated_value_is_filled_again(mine: TenantCache) -> None:
    counter = Counter()
    await mine.read_through("n", counter.fill, ttl=60, type=int)
    await mine.invalidate("n", "other")

    assert await mine.read_through("n", counter.fill, ttl=60, type=int) == 2


async def test_a_fill_that_began_before_the_invalidation_is_not_kept(mine: TenantCache) -> None:
    old, new = Counter(), Counter()
    new.fills = 100
    old.gate.clear()
    reading = asyncio.create_task(mine.read_through("n", old.fill, ttl=60, type=int))
    await until(lambda: old.fills == 1)
    await mine.invalidate("n")

    assert await mine.read_through("n", new.fill, ttl=60, type=int) == 101
    old.gate.set()
    assert await reading == 1
    assert await mine.read_through("n", new.fill, ttl=60, type=int) != 1


async def test_who_reads_after_the_invalidation_does_not_wait_for_an_older_fill(mine: TenantCache) -> None:
    old, new = Counter(), Counter()
    new.fills = 100
    old.gate.clear()
    reading = asyncio.create_task(mine.read_through("n", old.fill, ttl=60, type=int, tags=["a"]))
    await until(lambda: old.fills == 1)
    await mine.invalidate(tags=["a"])
    later = [asyncio.create_task(mine.read_through("n", new.fill, ttl=60, type=int, tags=["a"])) for _ in range(9)]

    assert await asyncio.gather(*later) == [101] * 9
    old.gate.set()
    assert await reading == 1
    assert await mine.read_through("n", new.fill, ttl=60, type=int, tags=["a"]) == 101


async def test_a_down_engine_is_slower_and_never_wrong(clock: ManualClock, outcomes: list[Outcome]) -> None:
    engine = BrokenEngine(clock, max_entries=10, max_bytes=10**6)
    mine = made(engine, outcomes).bind(TENANT)
    counter = Counter()

    assert [await mine.read_through("n", counter.fill, ttl=60, type=int) for _ in range(2)] == [1, 2]
    assert await mine.get("n", type=int) is None
    await mine.set("n", 1, ttl=60, type=int)
    assert outcomes.count("error") == 6

    engine.down = False
    assert [await mine.read_through("n", counter.fill, ttl=60, type=int) for _ in range(2)] == [3, 3]


async def test_what_was_kept_in_another_shape_is_filled_again(mine: TenantCache) -> None:
    await mine.set("n", {"not": "a number"}, ttl=60, type=dict[str, str])
    counter = Counter()

    assert await mine.get("n", type=int) is None
    assert await mine.read_through("n", counter.fill, ttl=60, type=int) == 1


async def test_a_fill_of_another_type_is_a_mistake(mine: TenantCache) -> None:
    async def fill() -> str:
        return "text"

    wrong: Callable[[], Awaitable[int]] = fill  # type: ignore[assignment]
    with pytest.raises(Misuse, match="not of the type"):
        await mine.read_through("n", wrong, ttl=60, type=int)


async def test_no_cache_inside_a_transaction(mine: TenantCache) -> None:
    counter = Counter()
    acts: list[Callable[[], Awaitable[object]]] = [
        partial(mine.read_through, "n", counter.fill, ttl=60, type=int),
        partial(mine.get, "n", type=int),
        partial(mine.set, "n", 1, ttl=60, type=int),
        partial(mine.invalidate, "n"),
    ]
    with changed(in_transaction=True):
        for act in acts:
            with pytest.raises(TransactionOpen):
                await act()


async def test_the_trace_shows_what_the_cache_did(mine: TenantCache) -> None:
    context = RequestContext()
    with entered(context):
        counter = Counter()
        for _ in range(2):
            await mine.read_through("products", counter.fill, ttl=60, type=int)

    assert [(s.component, s.name, s.attributes["outcome"]) for s in context.spans] == [
        ("Cache", "products", "miss"),
        ("Cache", "products", "hit"),
    ]
