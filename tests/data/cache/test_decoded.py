"""Values are decoded once where they can be shared, and nobody can change what another reads."""

import random
from collections.abc import Callable
from enum import Enum
from functools import cached_property
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.data.cache.codec import Codec
from groundplan.data.cache.decoded import Decoded
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.read_through import Cache
from groundplan.data.cache.tenant import TenantCache
from groundplan.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


class Size(Enum):
    SMALL = "s"


class Frozen(msgspec.Struct, frozen=True):
    id: UUID
    size: Size | None = None
    words: tuple[str, ...] = ()
    below: "Frozen | None" = None


class Open(msgspec.Struct):
    title: str


class Holding(msgspec.Struct, frozen=True):
    """Cannot be changed itself, but what it holds can."""

    titles: list[str]


class Noting(msgspec.Struct, frozen=True, dict=True):
    """What is made of it is kept in it."""

    title: str

    @cached_property
    def words(self) -> list[str]:
        return self.title.split()


@pytest.fixture
def cache() -> TenantCache:
    store = MemoryCache(ManualClock(), max_entries=100, max_bytes=1_000_000)
    return Cache(store, app="shop", version="1", random=random.Random(7)).bind(UUID(int=1))


async def read(cache: TenantCache, kind: Any, made: Any, key: str = "key") -> Any:
    async def fill() -> Any:
        return made

    return await cache.read_through(key, fill, ttl=60, type=kind)


@pytest.mark.parametrize(
    ("kind", "made", "change"),
    [
        (list[int], [1], lambda value: value.append(2)),
        (list[Frozen], [Frozen(uuid4())], lambda value: value.clear()),
        (dict[str, int], {"a": 1}, lambda value: value.update(a=2)),
        (Open, Open("Tea"), lambda value: setattr(value, "title", "Mud")),
        (list[Open], [Open("Tea")], lambda value: setattr(value[0], "title", "Mud")),
        (Holding, Holding(["Tea"]), lambda value: value.titles.append("Mud")),
        (tuple[list[int], ...], ([1],), lambda value: value[0].append(2)),
        (dict[str, list[int]], {"a": [1]}, lambda value: value["a"].append(2)),
        (Noting, Noting("Tea"), lambda value: value.words.append("Mud")),
        (Any, {"a": [1]}, lambda value: value["a"].append(2)),
    ],
)
async def test_what_one_reader_does_to_a_value_no_other_sees(
    cache: TenantCache, kind: Any, made: Any, change: Callable[[Any], None]
) -> None:
    untouched = msgspec.msgpack.encode(made)
    for _ in range(3):
        value = await read(cache, kind, made)
        assert msgspec.msgpack.encode(value) == untouched
        assert getattr(value, "words", ["Tea"]) == ["Tea"]
        change(value)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (Frozen, Frozen(uuid4(), Size.SMALL, ("a", "b"), Frozen(uuid4()))),
        (tuple[Frozen, ...], (Frozen(uuid4()),)),
        (frozenset[int], frozenset({1_000_000})),
    ],
)
async def test_what_cannot_change_is_decoded_once(cache: TenantCache, kind: Any, made: Any) -> None:
    await read(cache, kind, made)
    first, second = await read(cache, kind, None), await read(cache, kind, None)
    assert first == made
    assert first is second


async def test_the_items_of_a_list_are_decoded_once_and_the_list_is_everybodys_own(cache: TenantCache) -> None:
    made = [Frozen(uuid4()), Frozen(uuid4())]
    await read(cache, list[Frozen], made)
    first, second = await read(cache, list[Frozen], None), await read(cache, list[Frozen], None)
    assert first == second == made
    assert first is not second
    assert first[0] is second[0]


async def test_after_an_invalidation_the_new_value_is_read(cache: TenantCache) -> None:
    for title in ("old", "new"):
        await read(cache, tuple[str, ...], (title,))
        assert await read(cache, tuple[str, ...], None) == (title,)
        await cache.invalidate("key")


async def test_a_type_of_the_same_name_and_shape_gets_its_own_values() -> None:
    one, other = (msgspec.defstruct("View", [("a", int)], frozen=True) for _ in range(2))
    ours, theirs = Codec(one), Codec(other)
    decoded, encoded = Decoded(1_000), ours.encode(one(1))
    assert decoded.value("name", encoded, ours) == (one(1),)
    assert decoded.value("name", encoded, theirs) == (other(1),)


async def test_nothing_is_found_where_the_bytes_are_no_value() -> None:
    codec = Codec(tuple[int, ...])
    assert Decoded(1_000).value("name", b"\x00\xff", codec) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30), st.integers(0, 30))
def test_it_only_ever_says_what_decoding_would(reads: list[tuple[Literal["a"], int]], most: int) -> None:
    codec = Codec(tuple[int, ...])
    decoded = Decoded(most)
    encoded = {count: codec.encode((7,) * count) for count in range(4)}
    for name, count in reads:
        assert decoded.value(name, encoded[count], codec) == codec.decode(encoded[count])


def test_so_many_bytes_are_remembered_and_the_latest_of_them() -> None:
    codec = Codec(tuple[int, ...])
    encoded = [codec.encode((1_000_000, number)) for number in range(3)]
    decoded = Decoded(len(encoded[0]) + len(encoded[1]))

    def read(number: int) -> Any:
        return decoded.value(str(number), encoded[number], codec)

    first, second = read(0)[0], read(1)[0]
    assert read(0)[0] is first
    read(2)
    assert read(0)[0] is first
    assert read(1)[0] is not second


def test_what_is_larger_than_all_that_may_be_remembered_is_decoded_each_time() -> None:
    codec = Codec(str)
    encoded = codec.encode("x" * 100)
    decoded = Decoded(100)
    assert decoded.value("name", encoded, codec) == decoded.value("name", encoded, codec) == ("x" * 100,)
