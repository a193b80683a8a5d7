"""What a broker must do: keep messages until a consumer says that they are done.

Messages are opaque bytes here. Delayed, retried and dead messages live in the database, so an adapter only
publishes batches, hands messages out, and takes acknowledgements.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import msgspec


class Outgoing(msgspec.Struct, frozen=True):
    """``id`` is unique; a broker that can recognises a message that it was given twice by it."""

    id: str
    queue: str
    body: bytes


class Received(msgspec.Struct, frozen=True):
    """One message as a consumer holds it."""

    id: str
    queue: str
    body: bytes
    deliveries: int
    """How often it was handed out, this time included: where it is more than 1, a consumer was lost or released it."""
    receipt: Any = None
    """What the adapter that received it needs to acknowledge it."""


class Broker(Protocol):
    """Every message reaches one consumer at a time, at least once.

    A message that is neither extended nor acknowledged for ``lease`` seconds (given to the adapter's constructor)
    is handed out again, also when its consumer died. Every method raises Unavailable while the broker is away, within
    five seconds, and works again when it is back. Calls may overlap. A queue is made when it is first named.
    """

    remembers_ids: ClassVar[bool]
    """Whether a message published twice within two minutes is kept once."""

    counts_what_others_hold: ClassVar[bool]
    """Whether ``depth`` knows of messages that other consumers hold."""

    async def open(self) -> None:
        """Connects and makes what is needed on the broker; safe to repeat, and from many processes at once."""
        ...

    async def close(self) -> None:
        """What is held and not acknowledged is handed out again, at the latest when its lease runs out."""
        ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises Unavailable where it is not well."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> set[str]:
        """Ids of the messages that the broker has confirmed as stored; the others may or may not be.

        Raises Unavailable only where it has confirmed none.
        """
        ...

    async def receive(self, queues: Sequence[str], limit: int, wait: float) -> list[Received]:
        """Up to ``limit`` messages of these queues, at once if there are some, else the first within ``wait`` seconds.

        May take longer to notice that it is cancelled, but never loses a message by it.
        """
        ...

    async def extend(self, held: Sequence[Received]) -> None:
        """Starts their lease anew: their handlers are still at work."""
        ...

    async def acknowledge(self, done: Sequence[Received]) -> None:
        """They are done, and never handed out again, as far as the broker gets to know it.

        Whose lease has ended may be with another consumer: then this may or may not count, and raises nothing.
        """
        ...

    async def release(self, held: Sequence[Received]) -> None:
        """They are handed out again at once: this consumer gives them back."""
        ...

    async def depth(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait or are held, for each queue; see ``counts_what_others_hold``."""
        ...
