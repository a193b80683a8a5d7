"""What a coordination engine must do. Its clock is the only one that counts: that of the server, where there is one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

PARTS = 10
"""Of a window: what was taken is counted by the part in which it was."""


class Decision(NamedTuple):
    """What a client may be told about its limit."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """Seconds until some of what was taken comes back: where it was refused, until as much as was asked for is free."""


class Spent(NamedTuple):
    """What was given of a limit before the engine was asked; ``amount`` may be 0, to ask how it stands."""

    subject: str
    limit: int
    window: float
    amount: int


class Lock(NamedTuple):
    """Held until its lease ends or it is released."""

    name: str
    token: int
    """Higher than that of every lock before. Who writes on behalf of the lock names it, and a lower one is refused."""


class Coordination(Protocol):
    """Names and subjects are any text. Raises Unavailable where the engine cannot be reached."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises where it is not well."""
        ...

    async def take(self, subject: str, limit: int, window: float, cost: int = 1) -> Decision:
        """Takes ``cost`` of the subject's ``limit`` per ``window`` seconds, or nothing where it is not free.

        In no window of that length more than ``limit`` is taken. A window has PARTS parts and what was taken counts
        until its part has passed: so it comes back after one window at the earliest, and 1.1 at the latest.
        """
        ...

    async def record(self, spent: Sequence[Spent]) -> list[Decision]:
        """Counts what was given already, free or not, and says for each whether more is free, and how much."""
        ...

    async def acquire(self, name: str, lease: float) -> Lock | None:
        """The lock for ``lease`` seconds, or None while another holds it."""
        ...

    async def renew(self, lock: Lock, lease: float) -> bool:
        """Whether it was still held; then it is for ``lease`` seconds more."""
        ...

    async def release(self, lock: Lock) -> bool:
        """Whether it was still held."""
        ...

    async def count(self, name: str, amount: int, lifetime: float) -> int:
        """Adds to a counter, which begins with 0, and says how it stands. It ends ``lifetime`` seconds after it began;
        an amount of 0 begins none."""
        ...
