"""Coordination in Redis or Valkey, for all processes that share the server."""

from collections.abc import Sequence
from typing import Any

from groundplan.core.names import joined
from groundplan.data.coordination.port import PARTS, Decision, Lock, Spent
from groundplan.data.coordination.scripts import ACQUIRE, COUNT, RECORD, RELEASE, RENEW, TAKE
from groundplan.data.coordination.windows import decide, standing
from groundplan.data.valkey import Link


class RedisCoordination:
    """A replica that takes over, or a server that comes back from its file, may have forgotten the last locks and
    counts: where that matters, the token of a lock is what holds."""

    def __init__(self, link: Link, app: str) -> None:
        self._link = link
        self._app = app

    async def open(self) -> None:
        """Nothing of its own: the link opens by itself."""

    async def close(self) -> None:
        """Nothing of its own."""

    async def ping(self) -> str:
        return await self._link.ping()

    async def take(self, subject: str, limit: int, window: float, cost: int = 1) -> Decision:
        length = _length(window)
        answer = await self._link.run(TAKE, [self._limit_key(subject, length)], [limit, length, PARTS, cost])
        now, taken = _counted(answer)
        return decide(taken, now, limit, window, cost)

    async def record(self, spent: Sequence[Spent]) -> list[Decision]:
        lengths = [_length(each.window) for each in spent]
        keys = [self._limit_key(each.subject, length) for each, length in zip(spent, lengths, strict=True)]
        amounts = [number for each, length in zip(spent, lengths, strict=True) for number in (length, each.amount)]
        answers = await self._link.run(RECORD, keys, [PARTS, *amounts])
        decisions = []
        for each, answer in zip(spent, answers, strict=True):
            now, taken = _counted(answer)
            decisions.append(standing(taken, now, each.limit, each.window))
        return decisions

    async def acquire(self, name: str, lease: float) -> Lock | None:
        keys = [self._key("lock", name), self._key("token")]
        token = await self._link.run(ACQUIRE, keys, [_milliseconds(lease)])
        return Lock(name, token) if token else None

    async def renew(self, lock: Lock, lease: float) -> bool:
        return bool(await self._link.run(RENEW, [self._key("lock", lock.name)], [lock.token, _milliseconds(lease)]))

    async def release(self, lock: Lock) -> bool:
        return bool(await self._link.run(RELEASE, [self._key("lock", lock.name)], [lock.token]))

    async def count(self, name: str, amount: int, lifetime: float) -> int:
        return int(await self._link.run(COUNT, [self._key("count", name)], [amount, _milliseconds(lifetime)]))

    def _limit_key(self, subject: str, length: int) -> str:
        return self._key("limit", subject, f"{length}")

    def _key(self, *parts: str) -> str:
        return joined(self._app, "coordination", *parts)


def _length(window: float) -> int:
    """Of a part, in microseconds."""
    return max(1, round(window * 1_000_000 / PARTS))


def _counted(answer: Sequence[Any]) -> tuple[float, list[tuple[int, int]]]:
    now, *counted = answer
    return float(now), [(int(part), amount) for part, amount in zip(counted[::2], counted[1::2], strict=True)]


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
