"""The in-process engine: the suite, its bounds, and what goes first."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address, CacheStore
from groundplan.testing.cache_suite import CacheStoreSuite, put, value_of
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


def at(name: str, *tags: str) -> Address:
    return Address("", name, tags)


@pytest.mark.anyio
async def test_the_least_recently_used_goes_first(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=3, max_bytes=1_000_000)
    for name in "abc":
        await put(store, at(name), b"1")
    await store.get(at("a"))
    await put(store, at("d"), b"1")

    assert [name for name in "abcd" if await store.get(at(name))] == ["a", "c", "d"]


@pytest.mark.anyio
async def test_bytes_are_bounded(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=1000, max_bytes=10_000)
    for number in range(100):
        await put(store, at(str(number)), b"x" * 1000)

    assert [number for number in range(100) if await store.get(at(str(number)))] == list(range(92, 100))


@pytest.mark.anyio
async def test_what_is_too_large_is_not_kept_and_replaces_what_was(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=10, max_bytes=10_000)
    await put(store, at("other"), b"1")
    await put(store, at("name"), b"1")

    assert not await put(store, at("name"), b"x" * 10_000)
    assert await store.get(at("name")) is None
    assert await value_of(store, at("other")) == b"1"


@pytest.mark.anyio
async def test_what_is_older_than_the_tags_it_remembers_counts_as_outdated(clock: ManualClock) -> None:
    store = MemoryCache(clock, max_entries=3, max_bytes=10_000)
    await store.invalidate("", ["a"])
    await put(store, at("old", "a"), b"1")
    before = await store.stamp(at("slow", "x"))
    await store.invalidate("", ["b", "c", "d", "e"])
    await put(store, at("new", "b"), b"1")

    assert len(store._outdated) == 3
    assert await store.get(at("old", "a")) is None
    assert not await store.keep(before, b"1", 60)
    assert await value_of(store, at("new", "b")) == b"1"


@pytest.mark.anyio
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("sgd"), st.sampled_from("abcdef"), st.integers(0, 400)), max_size=60))
async def test_the_account_of_its_bytes_is_right(steps: list[tuple[str, str, int]]) -> None:
    clock = ManualClock()
    store = MemoryCache(clock, max_entries=4, max_bytes=1500)
    for act, name, number in steps:
        if act == "s":
            await put(store, at(name, name), b"x" * number, 1 + number % 7, number % 3)
        elif act == "g":
            await store.get(at(name, name))
            clock.seconds += number / 100
        else:
            await store.invalidate("", [name])
        entries = store._entries
        assert store._bytes == sum(entry.size for entry in entries.values()) <= 1500
        assert len(entries) <= 4
