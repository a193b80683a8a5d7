"""Where a worker's deliveries come from, and where it says how they ended: the database, or a broker in front of it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from groundplan.data.database.database import Database
from groundplan.data.database.uow import Transaction
from groundplan.messaging.delivery.claims import Claims
from groundplan.messaging.delivery.deliveries import Deliveries, Lease
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Delivery

Write = Callable[[Transaction], Awaitable[None]]


class Source(Protocol):
    waits: bool
    """Whether ``first`` waits by itself; what comes to the database is told by a notification."""
    confirms_apart: bool
    """Whether ``finish`` is due even where the handler's own transaction held the acknowledgement."""

    async def take(self, slots: int) -> list[Delivery]:
        """At once, and never more than ``slots``: a lease that waits for one may run out before its handler starts."""
        ...

    async def first(self) -> list[Delivery]:
        """The next one, if it comes within a second or so."""
        ...

    async def renew(self, held: Sequence[Delivery]) -> set[Lease]:
        """Extends the leases; returns those that are still ours."""
        ...

    def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        """As the end of the handler's own transaction, which raises LeaseLost where another worker has it."""
        ...

    async def finish(self, done: Sequence[Delivery]) -> None:
        """Many at once, whose handlers are through."""
        ...

    async def settle(self, delivery: Delivery, write: Write) -> None:
        """Runs ``write``, which retries, snoozes, cancels or buries it, in a transaction that knows the delivery."""
        ...

    async def release(self, held: Sequence[Delivery]) -> None:
        """Gives unfinished work back, as if it had not been taken."""
        ...


class DatabaseSource:
    """``beside_broker`` where a broker hands out what needs no look at other rows."""

    waits = False
    confirms_apart = False

    def __init__(
        self,
        database: Database,
        deliveries: Deliveries,
        claims: Claims,
        handlers: Handlers,
        queues: Queues,
        *,
        lease: float,
        beside_broker: bool = False,
    ) -> None:
        self._database = database
        self._deliveries = deliveries
        self._claims = claims
        self._known = handlers.known_versions()
        self._limited = [handler for handler in handlers if handler.limited]
        self._free = {name: version for name, version in self._known.items() if not handlers[name].limited}
        self._queues = queues
        self._lease = lease
        self._beside_broker = beside_broker

    async def take(self, slots: int) -> list[Delivery]:
        paused = await self._queues.paused()
        taken: list[Delivery] = []
        for handler in self._limited:
            if len(taken) < slots:
                taken += await self._claims.claim_limited(handler, slots - len(taken), paused=paused)
        if len(taken) < slots and self._free:
            taken += await self._claims.claim(
                self._free, slots - len(taken), paused=paused, direct_only=self._beside_broker
            )
        return taken

    async def first(self) -> list[Delivery]:
        return []

    async def take_suspect(self) -> Delivery | None:
        """One that must run alone, because its workers have died."""
        return await self._claims.claim_suspect(self._known, paused=await self._queues.paused())

    async def renew(self, held: Sequence[Delivery]) -> set[Lease]:
        return await self._deliveries.renew(held, lease=self._lease)

    def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        self._deliveries.acknowledge(transaction, delivery)
        if self._beside_broker:  # it may have come home from the broker, where a copy of it may still be at work
            transaction.before_commit(lambda here: self._deliveries.mark_done(here, delivery))

    async def finish(self, done: Sequence[Delivery]) -> None:
        await self._deliveries.acknowledge_batch(done)

    async def settle(self, delivery: Delivery, write: Write) -> None:
        async with self._database.transaction(None) as transaction:
            await write(transaction)

    async def release(self, held: Sequence[Delivery]) -> None:
        await self._deliveries.release(held)
