"""What every cache engine must do. An adapter's test subclasses the suite and says how to make one."""

import asyncio
from uuid import uuid4

import pytest

from groundplan.data.cache.port import CacheStore


@pytest.mark.anyio
class CacheStoreSuite:
    """A subclass has the fixture ``store``, an open engine, and may override ``pass_time``."""

    async def pass_time(self, store: CacheStore, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @pytest.fixture
    def key(self) -> str:
        return f"suite:{uuid4()}"

    async def test_a_value_comes_back_as_it_went_in(self, store: CacheStore, key: str) -> None:
        for value in (b"", b"\x00\xff\n", b"x" * 100_000):
            await store.set(key, value, 60)
            assert await store.get(key) == value

    async def test_a_key_that_was_never_set(self, store: CacheStore, key: str) -> None:
        assert await store.get(key) is None

    async def test_the_last_write_wins(self, store: CacheStore, key: str) -> None:
        await store.set(key, b"one", 60)
        await store.set(key, b"two", 60)

        assert await store.get(key) == b"two"

    async def test_keys_are_apart(self, store: CacheStore, key: str) -> None:
        await store.set(key, b"one", 60)
        await store.set(f"{key}:é \n", b"two", 60)

        assert await store.get(key) == b"one"
        assert await store.get(f"{key}:é \n") == b"two"

    async def test_a_value_ends_with_its_lifetime(self, store: CacheStore, key: str) -> None:
        await store.set(key, b"short", 0.2)
        await store.set(f"{key}:long", b"long", 60)
        await self.pass_time(store, 0.3)

        assert await store.get(key) is None
        assert await store.get(f"{key}:long") == b"long"

    async def test_a_new_value_has_a_new_lifetime(self, store: CacheStore, key: str) -> None:
        await store.set(key, b"one", 0.2)
        await store.set(key, b"two", 60)
        await self.pass_time(store, 0.3)

        assert await store.get(key) == b"two"

    async def test_deleted_keys_are_gone(self, store: CacheStore, key: str) -> None:
        await store.set(key, b"one", 60)
        await store.set(f"{key}:2", b"two", 60)
        await store.delete(key, f"{key}:2", f"{key}:never")
        await store.delete()

        assert await store.get(key) is None
        assert await store.get(f"{key}:2") is None

    async def test_it_says_how_it_is_doing(self, store: CacheStore) -> None:
        assert await store.ping()
