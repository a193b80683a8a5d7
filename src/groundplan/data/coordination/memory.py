"""Coordination in one process, for one process."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from groundplan.core.clock import Clock
from groundplan.data.coordination.port import PARTS, Decision, Lock, Spent
from groundplan.data.coordination.windows import decide, seconds_until_back, standing

MOST_NAMES = 100_000
"""Of each kind. Beyond it the one that was used longest ago is forgotten; a lock never is while it is held."""


class _Taken:
    """By a subject of its limit: the parts of the window that count, oldest first, and their sum."""

    __slots__ = ("parts", "sum")

    def __init__(self) -> None:
        self.parts: deque[tuple[int, int]] = deque()
        self.sum = 0

    def add(self, part: int, amount: int) -> None:
        self.sum += amount
        if self.parts and self.parts[-1][0] == part:
            amount += self.parts.pop()[1]
        self.parts.append((part, amount))

    def forget_before(self, part: int) -> None:
        while self.parts and self.parts[0][0] < part:
            self.sum -= self.parts.popleft()[1]


class _Count(NamedTuple):
    value: int
    ends_at: float


class MemoryCoordination:
    def __init__(self, clock: Clock, *, most_names: int = MOST_NAMES) -> None:
        self._clock = clock
        self._most_names = most_names
        self._taken: OrderedDict[tuple[str, float], _Taken] = OrderedDict()
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
        free = limit - taken.sum
        if cost > free:
            return decide(taken.parts, now, limit, window, cost)
        taken.add(int(now), cost)
        return Decision(True, limit, free - cost, seconds_until_back(taken.parts[0][0], now, window))

    async def record(self, spent: Sequence[Spent]) -> list[Decision]:
        decisions = []
        for subject, limit, window, amount in spent:
            now = self._clock.monotonic() / (window / PARTS)
            taken = self._counting(subject, window, now)
            if amount:
                taken.add(int(now), amount)
            decisions.append(standing(taken.parts, now, limit, window))
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

    def _counting(self, subject: str, window: float, now: float) -> _Taken:
        """What still counts of what the subject took; ``now`` is in parts of the window."""
        key = (subject, window)
        taken = self._taken.get(key)
        if taken is None:
            taken = self._taken[key] = _Taken()
            while len(self._taken) > self._most_names:
                self._taken.popitem(last=False)
        else:
            self._taken.move_to_end(key)
        taken.forget_before(int(now) - PARTS)
        return taken

    def _is_held(self, lock: Lock) -> bool:
        token, ends_at = self._locks.get(lock.name, (0, 0.0))
        return token == lock.token and self._clock.monotonic() < ends_at
