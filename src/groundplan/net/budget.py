"""The retry budget: how many more calls than asked for a peer may get from us, however many of them fail."""

from dataclasses import dataclass

from groundplan.core.clock import Clock


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    share: float = 0.1
    """Retries that each call adds to the budget."""
    per_second: float = 1.0
    """Retries that each second adds, so that a peer seldom called is retried too."""
    most: float = 10.0
    """Retries that can be saved up, and what a fresh budget holds."""


class RetryBudget:
    """A token bucket. Within any span of t seconds and n calls, retries <= most + per_second * t + share * n."""

    def __init__(self, clock: Clock, policy: BudgetPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._held = policy.most
        self._counted_at = clock.monotonic()

    def earn(self) -> None:
        """For a call that was asked for; its retries earn nothing."""
        self._add(self._policy.share)

    def spend(self) -> bool:
        """Whether a retry may be made; if so, it has been paid."""
        now = self._clock.monotonic()
        self._add((now - self._counted_at) * self._policy.per_second)
        self._counted_at = now
        if self._held < 1.0:
            return False
        self._held -= 1.0
        return True

    def _add(self, retries: float) -> None:
        self._held = min(self._policy.most, self._held + retries)
