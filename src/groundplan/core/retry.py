"""How often and how long to wait before a handler runs again."""

from dataclasses import dataclass

from groundplan.core.clock import Random


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential backoff with full jitter, capped.

    The wait before attempt n+1 is uniform between 0 and min(cap, base * 2**(n-1)) seconds, as in
    "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).
    """

    attempts: int = 5
    base: float = 1.0
    cap: float = 300.0
    on: tuple[type[BaseException], ...] = ()
    """If given, only these errors are tried again, and of them those that the platform holds for retryable."""

    def refuses(self, error: BaseException) -> bool:
        return bool(self.on) and not isinstance(error, self.on)

    def limit(self, attempt: int) -> float:
        """The longest wait in seconds after the given attempt, which counts from 1."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))

    def delay(self, attempt: int, random: Random) -> float:
        return random.uniform(0.0, self.limit(attempt))
