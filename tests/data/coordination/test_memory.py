"""Coordination in one process: the suite, and its bounds."""

import pytest

from groundplan.data.coordination.memory import MemoryCoordination
from groundplan.data.coordination.port import Coordination
from groundplan.testing.clock import ManualClock
from groundplan.testing.coordination_suite import CoordinationSuite


class TestMemoryCoordination(CoordinationSuite):
    @pytest.fixture
    async def engine(self) -> Coordination:
        self.clock = ManualClock()
        return MemoryCoordination(self.clock)

    async def pass_time(self, engine: Coordination, seconds: float) -> None:
        self.clock.seconds += seconds


@pytest.mark.anyio
async def test_names_are_bounded_and_locks_in_use_are_kept() -> None:
    clock = ManualClock()
    engine = MemoryCoordination(clock, most_names=10)
    for number in range(100):
        await engine.take(str(number), 1, 60)
        await engine.count(str(number), 1, 60)
        await engine.acquire(str(number), 60 if number < 5 else 0.5)
        clock.seconds += 0.1

    assert [len(each) for each in (engine._taken, engine._counts)] == [10, 10]
    assert len(engine._locks) < 20
    assert await engine.acquire("0", 60) is None
    assert not (await engine.take("99", 1, 60)).allowed
