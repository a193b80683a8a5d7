"""Coordination in one process, for one process."""

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from groundplan.core.clock import Clock
from groundplan.data.coordination.port import PARTS, Decision, Lock, Spent
from groundplan.data.coordination.windows import decide, standing

MOST_NAMES = 100_000
"""Of each kind. Beyond it the one that was used longest ago is forgotten; a lock never is while it is held."""


class _Count(NamedTuple):
    value: int
    ends_at: float


class MemoryCoordination:
    def __init__(self, clock: Clock, *, most_names: int = MOST_NAMES) -> None:
        self._clock = clock
        self._most_names = most_names
        self._taken: OrderedDict[tuple[str, float], deque[tuple[int, int]]] = OrderedDict()
        self._locks: dict[str, tuple[int, float]] = {}
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._token = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self._taken.clear()
        self._locks.clear()
        self._counts.clear()

    async def ping(self) -> str:
        return f"{len(self._taken):,} subjects have taken of their limits, {len(self._locks):,} locks."

    async def take(self, subject: str, limit: int, window: float, cost: int = 1) -> Decision:
        now = self._clock.monotonic() / (window / PARTS)
        taken = self._counting(subject, window, now)
        decision = decide(taken, now, limit, window, cost)
        if decision.allowed:
            _add(taken, math.floor(now), cost)
        return decision

    async def record(self, spent: Sequence[Spent]) -> list[Decision]:
        decisions = []
        for subject, limit, window, amount in spent:
            now = self._clock.monotonic() / (window / PARTS)
            taken = self._counting(subject, window, now)
            if amount:
                _add(taken, math.floor(now), amount)
            decisions.append(standing(taken, now, limit, window))
        return decisions

    async def acquire(self, name: str, lease: float) -> Lock | None:
        now = self._clock.monotonic()
        if name in self._locks and now < self._locks[name][1]:
            return None
        if len(self._locks) >= self._most_names:
            self._locks = {each: held for each, held in self._locks.items() if now < held[1]}
        self._token += 1
        self._locks[name] = (self._token, now + lease)
        return Lock(name, self._token)

    async def renew(self, lock: Lock, lease: float) -> bool:
        if not self._is_held(lock):
            return False
        self._locks[lock.name] = (lock.token, self._clock.monotonic() + lease)
        return True

    async def release(self, lock: Lock) -> bool:
        held = self._is_held(lock)
        if held:
            del self._locks[lock.name]
        return held

    async def count(self, name: str, amount: int, lifetime: float) -> int:
        now = self._clock.monotonic()
        count = self._counts.get(name)
        if count is None or count.ends_at <= now:
            count = _Count(0, now + lifetime)
        if amount:
            self._counts[name] = count = count._replace(value=count.value + amount)
            self._counts.move_to_end(name)
            while len(self._counts) > self._most_names:
                self._counts.popitem(last=False)
        return count.value

    def _counting(self, subject: str, window: float, now: float) -> deque[tuple[int, int]]:
        """What still counts of what the subject took; ``now`` is in parts of the window."""
        taken = self._taken.setdefault((subject, window), deque())
        self._taken.move_to_end((subject, window))
        oldest = math.floor(now) - PARTS
        while taken and taken[0][0] < oldest:
            taken.popleft()
        while len(self._taken) > self._most_names:
            self._taken.popitem(last=False)
        return taken

    def _is_held(self, lock: Lock) -> bool:
        token, ends_at = self._locks.get(lock.name, (0, 0.0))
        return token == lock.token and self._clock.monotonic() < ends_at


def _add(taken: deque[tuple[int, int]], part: int, amount: int) -> None:
    if taken and taken[-1][0] == part:
        taken[-1] = (part, taken[-1][1] + amount)
    else:
        taken.append((part, amount))
