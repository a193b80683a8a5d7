"""The sliding window against an oracle that remembers every moment."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundplan.core.errors import Misuse
from groundplan.data.coordination.memory import MemoryCoordination
from groundplan.data.coordination.port import PARTS
from groundplan.data.coordination.windows import check
from groundplan.testing.clock import ManualClock

STEPS = st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 4)), min_size=1, max_size=80)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.floats(0, 1000), st.integers(4, 12))
def test_never_more_than_the_limit_in_any_window_and_back_after_one_and_a_tenth(
    steps: list[tuple[float, int]], start: float, limit: int
) -> None:
    """No tolerance above: not one more in any window. Below: a tenth of a window, for which it may be stricter."""

    async def run() -> None:
        window, clock = 30.0, ManualClock()
        clock.seconds = start
        engine, taken = MemoryCoordination(clock), list[tuple[float, int]]()

        def within(seconds: float) -> int:
            return sum(cost for moment, cost in taken if moment > clock.seconds - seconds)

        for wait, cost in steps:
            clock.seconds += wait
            decision = await engine.take("subject", limit, window, cost)
            assert decision.allowed or within(window * (PARTS + 1) / PARTS + 1e-6) + cost > limit
            if decision.allowed:
                taken.append((clock.seconds, cost))
            assert within(window) <= limit
            assert decision.remaining <= limit - within(window)
            assert 0 < decision.reset <= window * (PARTS + 1) / PARTS + 1e-6

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(4, 12), st.integers(1, 4))
def test_what_a_refusal_says_is_true(steps: list[tuple[float, int]], limit: int, wanted: int) -> None:
    async def run() -> None:
        clock = ManualClock()
        engine = MemoryCoordination(clock)
        for wait, cost in steps:
            clock.seconds += wait
            await engine.take("subject", limit, 30.0, cost)
        refused = await engine.take("subject", limit, 30.0, wanted)
        if not refused.allowed:
            clock.seconds += refused.reset + 1e-6
            assert (await engine.take("subject", limit, 30.0, wanted)).allowed

    asyncio.run(run())


@pytest.mark.parametrize(("limit", "window", "cost"), [(0, 1, 1), (1, 1, 0), (1, 0, 1), (1, -1, 1), (2, 1, 3)])
def test_what_makes_no_sense_is_refused(limit: int, window: float, cost: int) -> None:
    with pytest.raises(Misuse, match="makes no sense"):
        check(limit, window, cost)
