"""Time and randomness, injected so that tests can hold them still."""

import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations and deadlines."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Random(Protocol):
    def uniform(self, a: float, b: float, /) -> float: ...


def system_random() -> Random:
    return random.SystemRandom()
