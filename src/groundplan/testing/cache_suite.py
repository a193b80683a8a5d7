"""What every cache engine must do. An adapter's test subclasses the suite and says how to make one."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from groundplan.data.cache.port import Address, CacheStore, Claim, Kept

Make = Callable[[], Awaitable[CacheStore]]


async def put(store: CacheStore, address: Address, value: bytes, fresh: float = 60, stale: float = 0.0) -> bool:
    return await store.keep(await store.stamp(address), value, fresh, stale)


async def value_of(store: CacheStore, address: Address) -> bytes | None:
    kept = await store.get(address)
    return None if kept is None else kept.value


async def claimed(store: CacheStore, address: Address, lease: float = 60) -> Claim:
    claim = await store.claim(address, lease)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.anyio
class CacheStoreSuite:
    """A subclass has the fixture ``store``, an open engine, and may override ``pass_time``."""

    async def pass_time(self, store: CacheStore, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @pytest.fixture
    def scope(self) -> str:
        return f"suite:{uuid4()}"

    @pytest.fixture
    def address(self, scope: str) -> Address:
        return Address(scope, f"{scope}:one", (f"{scope}:key:one", f"{scope}:tag:a", f"{scope}:tag:b"))

    @pytest.fixture
    def other(self, scope: str) -> Address:
        return Address(scope, f"{scope}:two", (f"{scope}:key:two", f"{scope}:tag:b"))

    async def test_a_value_comes_back_as_it_went_in(self, store: CacheStore, address: Address) -> None:
        for value in (b"", b"\x00\xff\n", b"x" * 100_000):
            assert await put(store, address, value)
            assert await store.get(address) == Kept(value, True)

    async def test_a_name_that_was_never_kept(self, store: CacheStore, address: Address) -> None:
        assert await store.get(address) is None

    async def test_the_last_write_wins(self, store: CacheStore, address: Address) -> None:
        await put(store, address, b"one")
        await put(store, address, b"two")

        assert await value_of(store, address) == b"two"

    async def test_names_are_apart(self, store: CacheStore, address: Address, other: Address) -> None:
        await put(store, address, b"one")
        await put(store, other, b"two")

        assert [await value_of(store, address), await value_of(store, other)] == [b"one", b"two"]

    async def test_a_value_ends_with_its_lifetime(self, store: CacheStore, address: Address, other: Address) -> None:
        await put(store, address, b"short", 0.2)
        await put(store, other, b"long", 60)
        await self.pass_time(store, 0.3)

        assert [await value_of(store, address), await value_of(store, other)] == [None, b"long"]

    async def test_a_new_value_has_a_new_lifetime(self, store: CacheStore, address: Address) -> None:
        await put(store, address, b"one", 0.2)
        await put(store, address, b"two", 60)
        await self.pass_time(store, 0.3)

        assert await value_of(store, address) == b"two"

    async def test_a_stale_value_is_found_and_said_to_be(self, store: CacheStore, address: Address) -> None:
        await put(store, address, b"one", 1.0, 60)
        assert await store.get(address) == Kept(b"one", True)
        await self.pass_time(store, 1.1)

        assert await store.get(address) == Kept(b"one", False)
        assert isinstance(await store.claim(address, 60), Claim)

    async def test_stale_values_end_too(self, store: CacheStore, address: Address) -> None:
        await put(store, address, b"one", 0.1, 0.1)
        await self.pass_time(store, 0.3)

        assert await store.get(address) is None

    async def test_one_fills_at_a_time(self, store: CacheStore, address: Address, other: Address) -> None:
        claim = await claimed(store, address)

        assert await store.claim(address, 60) is None
        assert isinstance(await store.claim(other, 60), Claim)
        assert await store.keep(claim, b"made", 60)
        assert await store.claim(address, 60) == Kept(b"made", True)

    async def test_a_claim_that_is_released_is_free(self, store: CacheStore, address: Address) -> None:
        await store.release(await claimed(store, address))

        assert isinstance(await store.claim(address, 60), Claim)

    async def test_who_lost_a_claim_does_not_end_that_of_another(self, store: CacheStore, address: Address) -> None:
        lost = await claimed(store, address, 0.1)
        await self.pass_time(store, 0.2)
        await claimed(store, address)
        await store.release(lost)

        assert await store.claim(address, 60) is None

    async def test_the_claim_of_the_dead_ends(self, store: CacheStore, address: Address) -> None:
        dead = await claimed(store, address, 0.1)
        await self.pass_time(store, 0.2)
        alive = await claimed(store, address)

        assert alive.number > dead.number

    async def test_a_late_fill_never_replaces_a_later_one(self, store: CacheStore, address: Address) -> None:
        late = await claimed(store, address, 0.1)
        await self.pass_time(store, 0.2)
        assert await store.keep(await claimed(store, address), b"new", 60)

        assert not await store.keep(late, b"old", 60)
        assert await value_of(store, address) == b"new"

    async def test_a_slow_fill_is_kept_where_no_later_one_was(self, store: CacheStore, address: Address) -> None:
        slow = await claimed(store, address, 0.1)
        await self.pass_time(store, 0.2)

        assert await store.keep(slow, b"made", 60)

    @pytest.mark.parametrize("which", [0, 1, 2])
    async def test_each_of_its_tags_outdates_a_value(
        self, store: CacheStore, address: Address, other: Address, which: int
    ) -> None:
        await put(store, address, b"one", 0.2, 60)
        await put(store, other, b"two")
        await store.invalidate(address.scope, [address.tags[which]])

        assert await store.get(address) is None
        assert await value_of(store, other) == (None if address.tags[which] in other.tags else b"two")
        await put(store, address, b"three")
        assert await value_of(store, address) == b"three"

    async def test_a_fill_that_began_before_is_not_kept(self, store: CacheStore, address: Address) -> None:
        claim, stamp = await claimed(store, address), await store.stamp(address)
        await store.invalidate(address.scope, [address.tags[1]])

        assert not await store.keep(stamp, b"old", 60)
        assert not await store.keep(claim, b"old", 60)
        assert await store.get(address) is None

    async def test_after_an_invalidation_nobody_waits_for_the_outdated(
        self, store: CacheStore, address: Address
    ) -> None:
        outdated = await claimed(store, address)
        await store.invalidate(address.scope, [address.tags[1]])
        claim = await claimed(store, address)

        assert not await store.keep(outdated, b"old", 60)
        assert await store.claim(address, 60) is None
        assert await store.keep(claim, b"new", 60)
        assert await value_of(store, address) == b"new"

    async def test_what_never_was_may_be_invalidated(self, store: CacheStore, scope: str) -> None:
        await store.invalidate(scope, [f"{scope}:tag:never"])
        await store.invalidate(scope, [f"{scope}:tag:{number}" for number in range(3000)])

    async def test_listeners_hear_of_it(self, store: CacheStore, address: Address) -> None:
        heard = list[str]()
        store.listen(heard.extend)
        await store.invalidate(address.scope, address.tags)

        assert set(heard) >= set(address.tags)

    async def test_it_says_how_it_is_doing(self, store: CacheStore) -> None:
        assert await store.ping()
