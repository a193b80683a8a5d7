"""Rate limits that hold in an outage too: shared while the engine answers, else stricter and by process."""

from collections.abc import Callable
from typing import Protocol

from groundplan.core.errors import Unavailable
from groundplan.core.quotas import Quota
from groundplan.data.coordination.port import Coordination, Decision
from groundplan.data.coordination.windows import check

OUTCOMES = ("allowed", "refused", "local")
"""What ``observe`` hears; local: decided without the engine, which is away."""


class Limits(Protocol):
    """What asks for a decision. Never raises for an engine that is away."""

    async def take(self, subject: str, quota: Quota) -> Decision: ...


class RateLimits:
    """Limits that are kept exactly: each decision is the engine's."""

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
