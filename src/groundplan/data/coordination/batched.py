"""Limits for every request: counted here, and told to the engine in batches, because to ask it each time costs more
than most requests do."""

import asyncio
from collections.abc import Callable

from groundplan.core.clock import Clock
from groundplan.core.errors import Unavailable
from groundplan.core.quotas import Quota
from groundplan.data.coordination.limits import Limits
from groundplan.data.coordination.port import Coordination, Decision, Spent
from groundplan.data.coordination.windows import check

TELL_SECONDS = 0.1
"""After something was given, until the engine is told."""
AHEAD = 0.1
"""The share of a limit that a process may give before it has told; 1 at least."""
MOST_SUBJECTS = 100_000
"""Beyond it the one that came first is forgotten here. The engine still counts it."""
_BATCH = 200
"""Subjects in one step of the engine, which does nothing else meanwhile."""


class _Standing:
    """What this process knows of one subject."""

    __slots__ = ("ahead", "given", "quota", "remaining", "telling", "until")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.ahead = max(1, int(quota.limit * AHEAD))
        self.given = 0
        """Since the engine was last told."""
        self.telling = 0
        """What it is just being told."""
        self.remaining = quota.limit
        """As it said last, which counts until ``until``: then something has come back, and nobody knows how much."""
        self.until = 0.0


class BatchedLimits:
    """Gives by what the engine said last, less what was given here since then.

    So it may give more than the limit: by ``AHEAD`` of it for each process at the most. That is counted too, and has to
    come back before more is given. A subject that has taken all is refused here, without a word to the engine.
    """

    def __init__(
        self,
        shared: Coordination,
        exact: Limits,
        clock: Clock,
        *,
        observe: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """``exact`` decides while ``shared`` is away; ``observe`` hears allowed and refused."""
        self._shared, self._exact, self._clock, self._observe = shared, exact, clock, observe
        self._standings: dict[tuple[str, Quota], _Standing] = {}
        self._untold: dict[tuple[str, Quota], _Standing] = {}
        self._is_away = False
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """The engine hears what it was not told yet."""
        while self._untold:
            await self._tell_now()
        if self._timer is not None:
            self._timer.cancel()

    async def take(self, subject: str, quota: Quota) -> Decision:
        """Waits for the engine only where a process has given its share ahead of it.

        Raises:
            Misuse: the limit or its window is not positive.
        """
        key = (subject, quota)
        standing = self._standings.get(key)
        if standing is None:
            standing = self._remember(key)
        while not self._is_away:
            decision = self._decide(standing)
            self._tell_soon(key, standing)
            if decision is not None:
                self._observe("allowed" if decision.allowed else "refused")
                return decision
            await asyncio.shield(self._tell_now())
        self._tell_soon(key, standing)  # so that it is asked whether it is back
        return await self._exact.take(subject, quota)

    def _decide(self, standing: _Standing) -> Decision | None:
        """None where the engine has to be told first."""
        now = self._clock.monotonic()
        quota, is_known = standing.quota, now < standing.until
        given = standing.given + standing.telling
        remaining = standing.remaining if is_known else quota.limit
        reset = standing.until - now if is_known else quota.window
        if given < remaining and given < standing.ahead:
            standing.given += 1
            return Decision(True, quota.limit, remaining - given - 1, reset)
        return Decision(False, quota.limit, 0, reset) if is_known and given >= remaining else None

    def _remember(self, key: tuple[str, Quota]) -> _Standing:
        check(key[1].limit, key[1].window, 1)
        while len(self._standings) >= MOST_SUBJECTS:
            del self._standings[next(iter(self._standings))]
        standing = self._standings[key] = _Standing(key[1])
        return standing

    def _tell_soon(self, key: tuple[str, Quota], standing: _Standing) -> None:
        self._untold[key] = standing
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_now)

    def _tell_now(self) -> asyncio.Task[None]:
        """The one telling that is under way; one begins where none is."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())
        return self._telling

    async def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        untold, self._untold = list(self._untold.items()), {}
        for at in range(0, len(untold), _BATCH):
            await self._tell_some(untold[at : at + _BATCH])

    async def _tell_some(self, batch: list[tuple[tuple[str, Quota], _Standing]]) -> None:
        spent = []
        for (subject, quota), standing in batch:
            standing.telling, standing.given = standing.given, 0
            spent.append(Spent(subject, quota.limit, quota.window, standing.telling))
        try:
            decisions = await self._shared.record(spent)
        except Unavailable:
            self._is_away = True
            decisions = []
        else:
            self._is_away = False
        now = self._clock.monotonic()
        for (_, standing), decision in zip(batch, decisions, strict=False):
            standing.remaining, standing.until = decision.remaining, now + decision.reset
        for _, standing in batch:
            standing.telling = 0
