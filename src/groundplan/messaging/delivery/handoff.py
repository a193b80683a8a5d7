"""Deliveries through a broker: the relay hands them over, and workers take them from there.

The row is the truth until the broker has confirmed; from then on the broker's message is, until its handler is
through. What fails, waits, or must not run beside others comes home to the table. A done-marker in the handler's own
transaction makes its effects happen once, however often the broker hands the message out.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, microseconds
from groundplan.data.database.uow import Transaction
from groundplan.data.queue.port import Broker, Outgoing, Received
from groundplan.messaging.delivery.claims import COLUMNS, SUSPECT_CRASHES, Claims
from groundplan.messaging.delivery.deliveries import MARK_DONE, Deliveries, Lease, done_already
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.sources import Write
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Delivery

BATCH = 500
RECEIVE_SECONDS = 1.0


class Handed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery as JSON on the broker, for workers and for other systems that subscribe. The payload is nested."""

    id: UUID
    kind: Literal["event", "job"]
    name: str
    version: int
    handler: str
    queue: str
    payload: msgspec.Raw
    occurred_at: datetime
    run_at: datetime
    request_id: str
    traceparent: str
    priority: int
    attempt: int
    crashes: int = 0
    event_id: UUID | None = None
    partition_key: str | None = None
    tenant_id: UUID | None = None
    user_id: UUID | None = None


class Relay:
    """Publishes what is ready in batches, and deletes it once the broker has confirmed."""

    def __init__(
        self, deliveries: Deliveries, claims: Claims, broker: Broker, handlers: Handlers, queues: Queues
    ) -> None:
        self._deliveries = deliveries
        self._claims = claims
        self._broker = broker
        self._known = handlers.known_versions()
        self._queues = queues

    async def hand_over(self) -> bool:
        """One batch; False once there is nothing more to hand over. Raises Unavailable where the broker is away."""
        batch = await self._claims.hand_off(self._known, BATCH, paused=await self._queues.paused())
        if not batch:
            return False
        try:
            confirmed = await self._broker.publish([_outgoing(delivery) for delivery in batch])
        except BaseException:
            await asyncio.shield(self._deliveries.release(batch))
            raise
        await self._deliveries.acknowledge_batch([each for each in batch if _broker_id(each) in confirmed])
        if left := [each for each in batch if _broker_id(each) not in confirmed]:
            await self._deliveries.release(left)
        return len(batch) == BATCH


class BrokerSource:
    waits = True
    confirms_apart = True

    def __init__(
        self, database: Database, broker: Broker, handlers: Handlers, queues: Queues, *, lease: float, worker: str
    ) -> None:
        self._database = database
        self._broker = broker
        self._known = handlers.known_versions()
        self._names = sorted({handler.queue for handler in handlers})
        self._queues = queues
        self._lease = lease
        self._worker = worker
        self._held: dict[UUID, Received] = {}

    async def take(self, slots: int) -> list[Delivery]:
        return await self._receive(slots, 0.0)

    async def first(self) -> list[Delivery]:
        return await self._receive(1, RECEIVE_SECONDS)

    async def _receive(self, most: int, wait: float) -> list[Delivery]:
        paused = await self._queues.paused()
        names = [name for name in self._names if name not in paused]
        if not names:
            await asyncio.sleep(wait)
            return []
        taken = []
        again: list[tuple[Delivery, Received]] = []
        for received in await self._broker.receive(names, most, wait):
            delivery = _delivery(received)
            if delivery.id in self._held:  # handed out again while it runs here: from now on this receipt counts
                self._held[delivery.id] = received
            elif received.deliveries > 1 or self._known.get(delivery.handler, 0) < delivery.version:
                again.append((delivery, received))
            else:
                self._held[delivery.id] = received
                taken.append(delivery)
        try:
            return taken + [delivery for delivery, received in again if await self._is_ours(delivery, received)]
        except BaseException:
            self._forget([*taken, *(delivery for delivery, _ in again)])
            raise

    async def renew(self, held: Sequence[Delivery]) -> set[Lease]:
        await self._broker.extend(self._receipts(held))
        return {delivery.lease for delivery in held}

    def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        transaction.end_with(MARK_DONE, done_already(delivery), id=delivery.id, handler=delivery.handler)

    async def finish(self, done: Sequence[Delivery]) -> None:
        await self._broker.acknowledge(self._receipts(done))
        self._forget(done)

    async def settle(self, delivery: Delivery, write: Write) -> None:
        """The delivery comes home, leased to us, and ``write`` goes on from there."""
        try:
            async with self._database.transaction(None) as transaction:
                await self._bring_home(transaction, delivery, state="leased", direct=0)
                await write(transaction)
            await self.finish([delivery])
        except BaseException:
            self._forget([delivery])
            raise

    async def release(self, held: Sequence[Delivery]) -> None:
        receipts = self._receipts(held)
        self._forget(held)  # before the broker hands it out again, perhaps to us
        await self._broker.release(receipts)

    async def _is_ours(self, delivery: Delivery, received: Received) -> bool:
        """Whether it is to run here: it is not done, this release knows it, and it has killed no worker."""
        self._held[delivery.id] = received
        if await self._database.execute(_IS_DONE, id=delivery.id, handler=delivery.handler):
            await self.finish([delivery])
            return False
        unknown = self._known.get(delivery.handler, 0) < delivery.version
        if unknown or delivery.crashes >= SUSPECT_CRASHES:
            async with self._database.transaction(None) as transaction:
                await self._bring_home(transaction, delivery, state="ready", direct=1)
            await self.finish([delivery])
            return False
        return True

    async def _bring_home(self, transaction: Transaction, delivery: Delivery, *, state: str, direct: int) -> None:
        values = {name: getattr(delivery, name) for name in (*COLUMNS, "payload")}
        values |= {"state": state, "direct": direct, "worker": self._worker, "lease": self._lease}
        if state == "leased":
            values["token"] = delivery.lease_token
        else:
            values |= {"token": None, "attempt": delivery.attempt - 1}
        await transaction.execute(_COME_HOME, **values)

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        """What is not at work here any more runs again when the broker hands it out again."""
        for delivery in deliveries:
            self._held.pop(delivery.id, None)

    def _receipts(self, deliveries: Sequence[Delivery]) -> list[Received]:
        return [self._held[delivery.id] for delivery in deliveries if delivery.id in self._held]


def _outgoing(delivery: Delivery) -> Outgoing:
    values: dict[str, Any] = {name: getattr(delivery, name) for name in COLUMNS}
    handed = Handed(**values, payload=msgspec.Raw(delivery.payload.encode()))
    return Outgoing(_broker_id(delivery), delivery.queue, msgspec.json.encode(handed))


def _broker_id(delivery: Delivery) -> str:
    """Another one for each try, or the broker would take the second for a repeated first; the same for a repetition."""
    return f"{delivery.id}.{microseconds(delivery.run_at)}"


def _delivery(received: Received) -> Delivery:
    handed = msgspec.json.decode(received.body, type=Handed)
    values = {name: getattr(handed, name) for name in COLUMNS}
    values["attempt"] = handed.attempt + 1
    values["crashes"] = handed.crashes + received.deliveries - 1
    return Delivery(**values, lease_token=uuid7(), payload=bytes(handed.payload).decode())


_IS_DONE = Sql("SELECT 1 AS one FROM done_markers WHERE message_id = :id AND handler = :handler")
# The row may be there still: the relay deletes it after the broker's confirmation, which a fast consumer overtakes.
_COME_HOME = Sql(f"""
    INSERT INTO deliveries ({", ".join(COLUMNS)}, payload, direct, state, lease_token, lease_until, worker)
    VALUES ({", ".join(f":{name}" for name in COLUMNS)}, :payload, :direct, :state, :token, NOW + SECONDS(:lease),
        :worker)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, direct = excluded.direct, attempt = excluded.attempt,
        crashes = excluded.crashes, lease_token = excluded.lease_token, lease_until = excluded.lease_until,
        worker = excluded.worker
    WHERE deliveries.state <> 'leased'
""")
