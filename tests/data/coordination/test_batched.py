"""Limits told in batches: near the limit whatever the processes do, refused without asking, strict in an outage."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.errors import Misuse, Unavailable
from groundplan.core.quotas import Quota
from groundplan.data.coordination.batched import AHEAD, BatchedLimits
from groundplan.data.coordination.limits import RateLimits
from groundplan.data.coordination.memory import MemoryCoordination
from groundplan.data.coordination.port import Decision, Spent
from groundplan.data.coordination.redis import RedisCoordination
from groundplan.data.valkey import Link
from groundplan.testing.app import until
from groundplan.testing.clock import ManualClock
from groundplan.testing.servers import ValkeyServer

pytestmark = pytest.mark.anyio

QUOTA = Quota(limit=200, window=3600)


class Engine(MemoryCoordination):
    """In this process, and it notes what it is told."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.told = list[list[Spent]]()
        self.is_away = False

    @property
    def amount(self) -> int:
        return sum(each.amount for batch in self.told for each in batch)

    async def record(self, spent: Sequence[Spent]) -> list[Decision]:
        if self.is_away:
            raise Unavailable("The engine is away.")
        await asyncio.sleep(0)
        decisions = await super().record(spent)
        self.told.append(list(spent))
        return decisions


class Places:
    """Processes' worth of limits on one engine, with a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock)
        self.observed = list[str]()

    def process(self) -> BatchedLimits:
        exact = RateLimits(self.engine, MemoryCoordination(self.clock), outage_share=0.25)
        return BatchedLimits(self.engine, exact, self.clock, observe=self.observed.append)


@pytest.fixture
def places() -> Places:
    return Places()


async def given(limits: BatchedLimits, times: int, *, subject: str = "one", quota: Quota = QUOTA) -> int:
    return sum([(await limits.take(subject, quota)).allowed for _ in range(times)])


async def test_one_process_gives_the_limit(places: Places) -> None:
    limits = places.process()
    assert await given(limits, 300) == 200
    decision = await limits.take("one", QUOTA)
    assert (decision.allowed, decision.limit, decision.remaining) == (False, 200, 0)
    assert 3000 < decision.reset <= 3960
    assert (places.observed.count("allowed"), places.observed.count("refused")) == (200, 101)
    await limits.close()
    assert places.engine.amount == 200


async def test_who_has_taken_all_is_refused_without_asking(places: Places) -> None:
    limits = places.process()
    await given(limits, 201)
    asked = len(places.engine.told)
    assert await given(limits, 500) == 0
    assert len(places.engine.told) == asked
    await limits.close()


async def test_the_engine_hears_of_many_at_once(places: Places) -> None:
    limits = places.process()
    for number in range(450):
        assert (await limits.take(f"visitor {number}", QUOTA)).remaining == 199
    await until(lambda: sum(map(len, places.engine.told)) == 450)
    assert [len(batch) for batch in places.engine.told] == [200, 200, 50]
    assert not (await places.engine.take("visitor 7", 200, 3600, cost=200)).allowed
    await limits.close()


async def test_together_processes_give_little_more_than_the_limit(places: Places) -> None:
    processes = [places.process() for _ in range(4)]
    total = sum(await asyncio.gather(*(given(process, 150) for process in processes)))
    assert QUOTA.limit <= total <= QUOTA.limit * (1 + 4 * AHEAD)
    for process in processes:
        await process.close()


@pytest.mark.parametrize("limit", [1, 3, 9])
async def test_a_small_limit_is_kept_by_one_process(places: Places, limit: int) -> None:
    limits = places.process()
    allowed = await asyncio.gather(*(limits.take("one", Quota(limit, 60)) for _ in range(30)))
    assert sum(each.allowed for each in allowed) == limit
    await limits.close()


async def test_what_was_taken_comes_back(places: Places) -> None:
    limits, quota = places.process(), Quota(20, 60)
    assert await given(limits, 30, quota=quota) == 20
    await until(lambda: places.engine.amount == 20)
    refused = await limits.take("one", quota)
    places.clock.seconds += refused.reset - 0.01
    assert await given(limits, 5, quota=quota) == 0
    places.clock.seconds += 0.02
    assert await given(limits, 30, quota=quota) == 20
    await limits.close()


async def test_while_the_engine_is_away_a_share_is_given(places: Places) -> None:
    limits = places.process()
    assert await given(limits, 5) == 5
    places.engine.is_away = True
    await limits.close()  # what it could not be told is forgotten
    places.engine.take = _away  # type: ignore[method-assign]
    assert await given(limits, 100) == 50
    places.engine.is_away = False
    assert (await limits.take("one", QUOTA)).limit == 50
    await until(lambda: not limits._is_away)
    assert (await limits.take("one", QUOTA)).limit == 200
    await limits.close()


async def _away(subject: str, limit: int, window: float, cost: int = 1) -> Decision:
    raise Unavailable("The engine is away.")


async def test_a_limit_that_makes_no_sense(places: Places) -> None:
    with pytest.raises(Misuse):
        await places.process().take("one", Quota(0, 60))


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def two(server: ValkeyServer) -> AsyncIterator[list[BatchedLimits]]:
    async with AsyncExitStack() as stack:
        limits = list[BatchedLimits]()
        for _ in range(2):
            link = Link(server.url)
            await link.open()
            stack.push_async_callback(link.close)
            shared = RedisCoordination(link, "test")
            exact = RateLimits(shared, MemoryCoordination(SystemClock()), outage_share=0.25)
            limits.append(BatchedLimits(shared, exact, SystemClock()))
            stack.push_async_callback(limits[-1].close)
        yield limits


async def test_two_processes_on_one_valkey(two: list[BatchedLimits]) -> None:
    subject = uuid4().hex
    totals = await asyncio.gather(*(given(limits, 200, subject=subject) for limits in two))
    assert 200 <= sum(totals) <= 240

    async def known_by_both() -> bool:
        return not any([(await limits.take(subject, QUOTA)).allowed for limits in two])

    await until(known_by_both)


async def test_valkey_freezes_and_comes_back(two: list[BatchedLimits], server: ValkeyServer) -> None:
    one, _ = two
    assert (await one.take("before", QUOTA)).limit == 200
    server.freeze()

    async def is_strict() -> bool:
        return (await one.take(uuid4().hex, QUOTA)).limit == 50

    await until(is_strict)
    assert await given(one, 100, subject="within") == 50
    server.thaw()

    async def is_shared() -> bool:
        return (await one.take("after", QUOTA)).limit == 200

    await until(is_shared)
