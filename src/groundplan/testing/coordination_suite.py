"""What every coordination engine must do. An adapter's test subclasses the suite and says how to make one."""

import asyncio
from uuid import uuid4

import pytest

from groundplan.data.coordination.port import PARTS, Coordination, Spent


@pytest.mark.anyio
class CoordinationSuite:
    """A subclass has the fixture ``engine``, open, and may override ``pass_time``."""

    async def pass_time(self, engine: Coordination, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @pytest.fixture
    def name(self) -> str:
        return f"a name: with\0 odd parts {uuid4()}"

    async def test_a_limit_is_given_once(self, engine: Coordination, name: str) -> None:
        decisions = [await engine.take(name, 3, 600) for _ in range(5)]

        assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
        assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
        assert all(decision.limit == 3 and 0 < decision.reset <= 660 for decision in decisions)
        assert decisions[-1].reset > 500

    async def test_what_was_refused_takes_nothing(self, engine: Coordination, name: str) -> None:
        assert (await engine.take(name, 10, 600, cost=7)).remaining == 3
        assert not (await engine.take(name, 10, 600, cost=4)).allowed
        decision = await engine.take(name, 10, 600, cost=3)
        assert (decision.allowed, decision.remaining) == (True, 0)

    async def test_subjects_and_windows_are_apart(self, engine: Coordination, name: str) -> None:
        assert (await engine.take(name, 1, 600)).allowed
        assert (await engine.take(f"{name} other", 1, 600)).allowed
        assert (await engine.take(name, 1, 60)).allowed
        assert not (await engine.take(name, 1, 600)).allowed

    async def test_it_comes_back_when_it_was_said_to(self, engine: Coordination, name: str) -> None:
        assert (await engine.take(name, 1, 0.5)).allowed
        refused = await engine.take(name, 1, 0.5)
        await self.pass_time(engine, max(refused.reset, 0) + 0.05)

        assert (await engine.take(name, 1, 0.5)).allowed

    async def test_as_much_is_free_as_the_wait_was_for(self, engine: Coordination, name: str) -> None:
        window = 2.0
        assert (await engine.take(name, 4, window, cost=1)).allowed
        await self.pass_time(engine, 2 * window / PARTS)
        assert (await engine.take(name, 4, window, cost=3)).allowed
        for_one, for_four = await engine.take(name, 4, window, 1), await engine.take(name, 4, window, 4)

        assert not for_one.allowed and not for_four.allowed
        assert for_one.reset < for_four.reset <= window * (PARTS + 1) / PARTS
        await self.pass_time(engine, for_four.reset + 0.05)
        assert (await engine.take(name, 4, window, 4)).allowed

    async def test_those_who_take_at_once_get_no_more(self, engine: Coordination, name: str) -> None:
        decisions = await asyncio.gather(*(engine.take(name, 20, 600) for _ in range(60)))

        assert sum(decision.allowed for decision in decisions) == 20

    async def test_what_was_given_already_is_counted_though_it_is_too_much(
        self, engine: Coordination, name: str
    ) -> None:
        other, full = f"{name} other", f"{name} full"
        assert (await engine.take(name, 10, 600, cost=4)).allowed
        told = await engine.record([Spent(name, 10, 600, 3), Spent(other, 10, 600, 25), Spent(full, 10, 600, 10)])

        assert [(each.allowed, each.remaining) for each in told] == [(True, 3), (False, 0), (False, 0)]
        assert all(each.limit == 10 and 0 < each.reset <= 660 for each in told)
        assert (await engine.take(name, 10, 600, cost=3)).remaining == 0
        assert not (await engine.take(other, 10, 600)).allowed
        assert [each.remaining for each in await engine.record([Spent(f"{name} idle", 10, 600, 0)])] == [10]
        assert await engine.record([]) == []

    async def test_what_was_given_beyond_a_limit_comes_back_first(self, engine: Coordination, name: str) -> None:
        window = 2.0
        await engine.record([Spent(name, 2, window, 1)])
        await self.pass_time(engine, 2 * window / PARTS)
        (told,) = await engine.record([Spent(name, 2, window, 2)])

        assert not told.allowed and told.reset > window * (PARTS - 1) / PARTS
        await self.pass_time(engine, told.reset + 0.05)
        assert (await engine.take(name, 2, window, cost=2)).allowed

    async def test_one_holds_a_lock(self, engine: Coordination, name: str) -> None:
        lock = await engine.acquire(name, 60)

        assert lock is not None and lock.name == name
        assert await engine.acquire(name, 60) is None
        assert await engine.acquire(f"{name} other", 60) is not None
        assert await engine.release(lock)
        assert not await engine.release(lock)
        assert await engine.acquire(name, 60) is not None

    async def test_a_lock_ends_with_its_lease(self, engine: Coordination, name: str) -> None:
        lost = await engine.acquire(name, 0.1)
        await self.pass_time(engine, 0.2)
        held = await engine.acquire(name, 60)

        assert lost is not None and held is not None
        assert held.token > lost.token
        assert not await engine.renew(lost, 60)
        assert not await engine.release(lost)
        assert await engine.acquire(name, 60) is None

    async def test_a_lock_that_is_renewed_goes_on(self, engine: Coordination, name: str) -> None:
        lock = await engine.acquire(name, 1.0)
        assert lock is not None and await engine.renew(lock, 60)
        await self.pass_time(engine, 1.2)

        assert await engine.acquire(name, 60) is None
        assert await engine.release(lock)

    async def test_tokens_only_rise(self, engine: Coordination, name: str) -> None:
        tokens = list[int]()
        for number in range(20):
            lock = await engine.acquire(f"{name} {number % 3}", 60)
            assert lock is not None and await engine.release(lock)
            tokens.append(lock.token)

        assert tokens == sorted(set(tokens))

    async def test_those_who_come_at_once_are_one_holder(self, engine: Coordination, name: str) -> None:
        locks = await asyncio.gather(*(engine.acquire(name, 60) for _ in range(50)))

        assert sum(lock is not None for lock in locks) == 1

    async def test_counters_count(self, engine: Coordination, name: str) -> None:
        assert await engine.count(name, 0, 60) == 0
        assert [await engine.count(name, amount, 60) for amount in (1, 5, -2, 0)] == [1, 6, 4, 4]
        assert await engine.count(f"{name} other", 1, 60) == 1

    async def test_a_counter_ends_with_its_lifetime(self, engine: Coordination, name: str) -> None:
        await engine.count(name, 3, 0.3)
        await self.pass_time(engine, 0.4)

        assert await engine.count(name, 1, 60) == 1

    async def test_it_says_how_it_is_doing(self, engine: Coordination) -> None:
        assert await engine.ping()
