"""The in-process engine: the suite, its bounds, and what goes first."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import CacheStore
from groundplan.testing.cache_suite import CacheStoreSuite
from groundplan.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestMemoryCache(CacheStoreSuite):
    @pytest.fixture
    async def store(self, clock: ManualClock) -> AsyncIterator[CacheStore]:
        self.clock = clock
        store = MemoryCache(clock, max_entries=100, max_bytes=1_000_000)
        await store.open()
        yield store
        await store.close()

    async def pass_time(self, store: CacheStore, seconds: float) -> None:
        self.clock.seconds += seconds


@pytest.mark.anyio
async def test_the_least_recently_used_goes_first(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=3, max_bytes=1_000_000)
    for key in "abc":
        await store.set(key, b"1", 60)
    await store.get("a")
    await store.set("d", b"1", 60)

    assert [key for key in "abcd" if await store.get(key)] == ["a", "c", "d"]


@pytest.mark.anyio
async def test_bytes_are_bounded(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=1000, max_bytes=10_000)
    for number in range(100):
        await store.set(str(number), b"x" * 1000, 60)

    assert [number for number in range(100) if await store.get(str(number))] == list(range(92, 100))


@pytest.mark.anyio
async def test_what_is_too_large_is_not_kept_and_replaces_what_was(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=10, max_bytes=10_000)
    await store.set("other", b"1", 60)
    await store.set("key", b"1", 60)
    await store.set("key", b"x" * 10_000, 60)

    assert await store.get("key") is None
    assert await store.get("other") == b"1"


@pytest.mark.anyio
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("sgd"), st.sampled_from("abcdef"), st.integers(0, 400)), max_size=60))
async def test_the_account_of_its_bytes_is_right(steps: list[tuple[str, str, int]]) -> None:
    clock = ManualClock()
    store = MemoryCache(clock, max_entries=4, max_bytes=1500)
    for act, key, number in steps:
        if act == "s":
            await store.set(key, b"x" * number, 1 + number % 7)
        elif act == "g":
            await store.get(key)
            clock.seconds += number / 100
        else:
            await store.delete(key)
        entries = store._entries
        assert store._bytes == sum(entry.size for entry in entries.values()) <= 1500
        assert len(entries) <= 4
