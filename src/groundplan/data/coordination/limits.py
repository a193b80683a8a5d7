"""Rate limits that hold in an outage too: shared while the engine answers, else stricter and by process."""

from collections.abc import Callable
from typing import NamedTuple

from groundplan.core.errors import Unavailable
from groundplan.data.coordination.port import Coordination, Decision
from groundplan.data.coordination.windows import check


class Quota(NamedTuple):
    """``limit`` of something in any ``window`` seconds."""

    limit: int
    window: float


class RateLimits:
    """What asks for a decision. Never raises for an engine that is away."""

    def __init__(
        self,
        shared: Coordination,
        local: Coordination,
        *,
        outage_share: float,
        observe: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """``outage_share`` is the part of each limit that this process alone may give while ``shared`` is away; at
        least 1 of each, and what one caller takes at once. ``observe`` hears allowed, refused and local."""
        self._shared = shared
        self._local = local
        self._outage_share = outage_share
        self._observe = observe

    async def take(self, subject: str, quota: Quota, cost: int = 1) -> Decision:
        """Takes ``cost`` of the quota of ``subject``, which is any text that names whom and what it limits.

        Raises:
            Misuse: the cost is more than the limit, or one of them is not positive.
        """
        check(quota.limit, quota.window, cost)
        try:
            decision = await self._shared.take(subject, quota.limit, quota.window, cost)
        except Unavailable:
            self._observe("local")
            limit = max(1, cost, int(quota.limit * self._outage_share))
            decision = await self._local.take(subject, limit, quota.window, cost)
        self._observe("allowed" if decision.allowed else "refused")
        return decision
