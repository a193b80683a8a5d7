"""The server of the cache killed, stopped or frozen: the answer is right, nobody waits long, and it is used again."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import UUID, uuid4

import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.errors import Unavailable
from groundplan.data.cache import redis
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address
from groundplan.data.cache.read_through import Cache, Outcome
from groundplan.data.cache.redis import RedisCache
from groundplan.data.cache.tenant import TenantCache
from groundplan.data.valkey import FAILURES, Link
from groundplan.testing.app import PATIENCE_SECONDS, until
from groundplan.testing.servers import Server, ValkeyServer

pytestmark = pytest.mark.anyio

TENANT = UUID(int=1)
DEADLINE = 0.4
"""Longer than in production, so that a busy machine is not taken for a server that is away."""


class Process:
    """What one process has of the cache."""

    def __init__(self, url: str, app: str) -> None:
        self.states = list[bool]()
        self.outcomes = list[Outcome]()
        self.link = Link(url, deadline=DEADLINE, told=self.states.append)
        self.store = RedisCache(self.link, MemoryCache(SystemClock(), max_entries=1000, max_bytes=10**7), app)
        self.cache = Cache(self.store, app=app, version="1", random=random.Random(7), observe=self.outcomes.append)
        self.fills = 0

    @property
    def mine(self) -> TenantCache:
        return self.cache.bind(TENANT)

    async def read(self, key: str = "n", value: str = "", ttl: float = 600) -> str:
        async def fill() -> str:
            self.fills += 1
            return value or f"{self.fills}"

        return await self.mine.read_through(key, fill, ttl=ttl, type=str, tags=["a"])

    def address(self, key: str) -> Address:
        return self.mine._address(key, self.cache.codec(str).stamp, ["a"])

    async def open(self) -> None:
        await self.link.open()
        await self.cache.open()

    async def close(self) -> None:
        await self.cache.close()
        await self.link.close()

    async def until_up(self) -> None:
        await until(lambda: self.link._is_up and self.store._hears)


@pytest.fixture
def server() -> Iterator[Server]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def process(server: Server) -> AsyncIterator[Callable[[], Process]]:
    made, app = list[Process](), f"test-{uuid4().hex}"

    def make() -> Process:
        made.append(Process(server.url, app))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def one(process: Callable[[], Process]) -> Process:
    one = process()
    await one.open()
    await one.until_up()
    return one


@pytest.mark.parametrize("how", ["freeze", "kill", "stop"])
async def test_without_the_server_each_read_is_right_and_it_comes_back(server: Server, one: Process, how: str) -> None:
    assert await one.read("before") == "1"
    await asyncio.to_thread(getattr(server, how))
    answers = [await one.read(f"cold {number}") for number in range(20)]

    assert answers == [f"{number}" for number in range(2, 22)]
    assert one.states[-1] is False
    with pytest.raises(Unavailable, match="does not answer"):
        await one.cache.ping()
    server.thaw() if how == "freeze" else await asyncio.to_thread(server.start)
    await one.until_up()

    assert one.states[-1] is True
    assert await one.cache.ping()

    async def kept() -> bool:
        return await one.read("after", "one") == await one.read("after", "other")

    await until(kept)


async def test_only_the_first_reads_wait_for_a_frozen_server(server: Server, one: Process) -> None:
    """Counted, not timed: what the server is asked while it counts as away is nothing."""
    asked = 0
    real = asyncio.timeout

    def counting(seconds: float | None) -> asyncio.Timeout:
        nonlocal asked
        asked += seconds == DEADLINE
        return real(seconds)

    server.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "timeout", counting)
        for number in range(50):
            await one.read(f"cold {number}")
    server.thaw()

    assert one.fills == 50
    assert FAILURES <= asked < 2 * FAILURES, "a claim without an answer is taken back in the background"


async def test_it_starts_without_the_server(server: Server, process: Callable[[], Process]) -> None:
    await asyncio.to_thread(server.kill)
    one = process()
    await one.open()
    assert [await one.read(), await one.read()] == ["1", "2"]
    await asyncio.to_thread(server.start)
    await one.until_up()

    async def kept() -> bool:
        return await one.read() == await one.read()

    await until(kept)


async def test_what_changed_while_the_server_was_away_is_told_when_it_is_back(
    server: Server, one: Process, process: Callable[[], Process]
) -> None:
    other = process()
    await other.open()
    await other.until_up()
    assert [await one.read("n", "old"), await other.read("n", "unused")] == ["old", "old"]
    server.freeze()
    await one.mine.invalidate(tags=["a"])
    assert await one.read("n", "new") == "new"
    server.thaw()
    await until(lambda: not one.store._pending)

    assert await one.read("n", "new") == "new"

    async def heard() -> bool:
        return await other.read("n", "new") == "new"

    await until(heard)


async def test_a_process_never_reads_what_it_could_not_yet_outdate(
    server: Server, one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "PAUSE", 3600)
    assert await one.read("n", "old") == "old"
    server.freeze()
    await one.mine.invalidate("n")
    server.thaw()
    assert one.store._pending

    assert await one.read("n", "new") == "new"


async def test_a_claim_whose_answer_never_came_holds_nobody_up(
    server: Server, one: Process, process: Callable[[], Process]
) -> None:
    other = process()
    await other.open()
    await other.until_up()
    assert await one.read("first", "one") == "one"
    claiming = asyncio.create_task(one.store.claim(one.address("n"), 600))
    server.freeze()
    await asyncio.wait([claiming])
    assert await one.read("n", "one") == "one"
    server.thaw()
    await one.until_up()
    await until(lambda: len(one.store._tasks) == 1)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await other.read("n", "other") in ("one", "other")


async def test_a_lost_message_is_made_up_for_by_the_near_levels_own_end(
    one: Process, process: Callable[[], Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "NEAR_SECONDS", 0.2)
    other = process()
    await other.open()
    await other.until_up()

    async def deaf(*_: object) -> None:
        """Hears nothing."""

    monkeypatch.setattr(other.store._near, "invalidate", deaf)
    assert [await one.read("n", "old"), await other.read("n", "old")] == ["old", "old"]
    await one.mine.invalidate(tags=["a"])
    assert await one.read("n", "new") == "new"

    async def new() -> bool:
        return await other.read("n", "new") == "new"

    await until(new)


async def test_tenants_are_apart_in_the_server_too(one: Process) -> None:
    other = one.cache.bind(UUID(int=2))

    async def fill() -> str:
        return "theirs"

    assert await one.read("n", "mine") == "mine"
    assert await other.read_through("n", fill, ttl=600, type=str, tags=["a"]) == "theirs"
    await one.mine.invalidate(tags=["a"])
    assert await one.mine.get("n", type=str) is None
    assert await other.get("n", type=str) == "theirs"


async def test_too_many_to_tell_one_by_one_outdate_everything(server: Server, one: Process) -> None:
    assert await one.read("n", "old") == "old"
    server.freeze()
    await one.mine.invalidate(tags=[f"tag {number}" for number in range(redis.MOST_PENDING + 1)])
    assert len(one.store._pending) == 1
    server.thaw()
    await until(lambda: not one.store._pending)
    await one.until_up()

    async def anew() -> bool:
        return await one.read("n", "new") == "new"

    await until(anew)


async def test_a_channel_that_broke_leaves_nothing_near(
    server: Server, one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "NEAR_SECONDS", 3600)
    await one.read()
    assert one.store._near._entries
    await asyncio.to_thread(server.stop)
    await until(lambda: not one.store._hears)
    with pytest.raises(Unavailable):
        await one.store.get(one.address("n"))
    await asyncio.to_thread(server.start)
    await one.until_up()

    assert not one.store._near._entries


async def test_a_silent_channel_counts_as_broken(server: Server, one: Process) -> None:
    await one.read()
    server.freeze()
    await until(lambda: not one.store._hears)
    server.thaw()
    await one.until_up()
