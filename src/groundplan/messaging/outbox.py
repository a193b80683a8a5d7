"""The outbox: messages are rows of the transaction that caused them, so they exist if and only if it committed."""

from typing import Any
from uuid import UUID

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import NEW_ID_SQLITE, Sql, checked_text
from groundplan.data.database.uow import Transaction
from groundplan.messaging.handlers import Handler, Handlers, subscription_rows
from groundplan.messaging.message import Envelope, Event, Job, encode, message_name
from groundplan.telemetry.spans import span

WAKE_CHANNEL = "groundplan_deliveries"


class _Item(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    version: int
    payload: str
    partition_key: str | None
    handler: Handler | None
    delay: float
    unique_key: str | None = None


class Outbox:
    """Writes what was published and enqueued, in the caller's transaction, just before it commits."""

    def __init__(self, database: Database, handlers: Handlers, clock: Clock) -> None:
        self._database = database
        self._handlers = handlers
        self._clock = clock

    def draft(self, transaction: Transaction, envelope: Envelope) -> "Draft":
        draft = Draft(self, transaction, envelope)
        transaction.before_commit(draft.write)
        return draft

    async def subscribe(self, transaction: Transaction) -> None:
        """Fills ``subscriptions`` with this release's handlers; a release does it before it rolls out.

        Handlers of other releases stay: an old publisher must go on feeding a new handler.
        """
        await transaction.execute_many(_SUBSCRIBE, subscription_rows(self._handlers))

    async def _write(self, transaction: Transaction, envelope: Envelope, items: list[_Item]) -> None:
        common = {
            "tenant_id": envelope.tenant_id,
            "user_id": envelope.user_id,
            "request_id": envelope.request_id,
            "traceparent": envelope.traceparent,
            "at": self._clock.now(),
        }
        events = [item for item in items if item.handler is None]
        if events and self._database.dialect == "postgresql":
            self._publish_at_once(transaction, events, common)
        elif events:
            await self._publish_in_steps(transaction, events, common)
        jobs = [item for item in items if item.handler is not None and await self._is_new(transaction, item)]
        if jobs:
            await transaction.execute_many(_INSERT_DELIVERY, [_of_job(item, common) for item in jobs])
        transaction.after_commit(lambda: self._database.wake(WAKE_CHANNEL), certain=False)

    async def _is_new(self, transaction: Transaction, item: _Item) -> bool:
        """Whether an equal job was not enqueued within the period that its handler asks for."""
        unique = item.handler.unique if item.handler else None
        if unique is None or unique.period is None:
            return True
        values = {"handler": item.handler and item.handler.name, "key": item.unique_key, "period": unique.period}
        return bool(await transaction.execute(_CLAIM_KEY, **values))

    def _publish_at_once(self, transaction: Transaction, events: list[_Item], common: dict[str, Any]) -> None:
        rows = [common | _columns(e) | {"payload": msgspec.Raw(e.payload.encode())} for e in events]
        transaction.end_with(_PUBLISH, messages=msgspec.json.encode(rows).decode())

    async def _publish_in_steps(self, transaction: Transaction, events: list[_Item], common: dict[str, Any]) -> None:
        """SQLite takes no JSON for this, and has no round trips to save."""
        await transaction.execute_many(_LOG, [common | _columns(e) for e in events])
        await transaction.execute_many(_DELIVER, [{"id": e.id} for e in events])

    def job_handler(self, job: Job) -> Handler:
        return self._handlers.for_job(type(job))


class Draft:
    """The messages of one transaction, until it commits."""

    def __init__(self, outbox: Outbox, transaction: Transaction, envelope: Envelope) -> None:
        self._outbox = outbox
        self._transaction = transaction
        self._envelope = envelope
        self._items: list[_Item] = []

    def publish(self, event: Event, *, partition_key: str | None = None) -> UUID:
        """Raises Invalid for a key that is no text for a database."""
        return self._add(event, partition_key, None, 0.0)

    def enqueue(self, job: Job, *, delay: float = 0.0, partition_key: str | None = None) -> UUID:
        """``delay`` in seconds, by the application's clock."""
        return self._add(job, partition_key, self._outbox.job_handler(job), delay)

    def run(self, handler: Handler, message: Job) -> UUID:
        """A delivery to this handler, whatever else handles such messages."""
        return self._add(message, None, handler, 0.0)

    def __len__(self) -> int:
        return len(self._items)

    def _add(self, message: Event | Job, key: str | None, handler: Handler | None, delay: float) -> UUID:
        kind = type(message)
        payload = encode(message)
        if key is not None:
            checked_text(key)
        unique = handler.unique if handler else None
        unique_key = None if unique is None else unique.key(message) if unique.key else payload
        item = _Item(uuid7(), message_name(kind), kind.version, payload, key, handler, delay, unique_key)
        self._items.append(item)
        return item.id

    async def write(self, transaction: Transaction) -> None:
        if not self._items:
            return
        items, self._items = self._items, []
        names = ", ".join(sorted({item.name for item in items}))
        with span("Outbox", f"publish {names}", messages=len(items)) as current:
            envelope = msgspec.structs.replace(self._envelope, traceparent=current.traceparent)
            await self._outbox._write(transaction, envelope, items)


def _columns(item: _Item) -> dict[str, object]:
    return {
        "id": item.id,
        "name": item.name,
        "version": item.version,
        "payload": item.payload,
        "partition_key": item.partition_key,
    }


def _of_job(item: _Item, common: dict[str, Any]) -> dict[str, object]:
    handler = item.handler
    if handler is None:  # what has no handler is an event
        raise AssertionError(item.name)
    unique = handler.unique
    return (
        common
        | _columns(item)
        | {
            "event_id": None,
            "kind": "job",
            "handler": handler.name,
            "queue": handler.queue,
            "priority": handler.priority,
            "direct": int(handler.direct or item.partition_key is not None),
            "delay": item.delay,
            "unique_key": item.unique_key if unique is not None and unique.period is None else None,
        }
    )


_SUBSCRIBE = Sql("""
    INSERT INTO subscriptions (event_name, handler, version, queue, priority, direct)
    VALUES (:event_name, :handler, :version, :queue, :priority, :direct)
    ON CONFLICT (event_name, handler) DO UPDATE SET version = excluded.version, queue = excluded.queue,
        priority = excluded.priority, direct = excluded.direct
""")

_INSERT_DELIVERY = Sql("""
    INSERT INTO deliveries (id, event_id, kind, name, handler, version, queue, priority, direct, state, run_at,
        attempt, crashes, partition_key, unique_key, tenant_id, user_id, request_id, traceparent, occurred_at, payload)
    VALUES (:id, :event_id, :kind, :name, :handler, :version, :queue, :priority, :direct, 'ready',
        NOW + SECONDS(:delay), 0, 0, :partition_key, :unique_key, :tenant_id, :user_id, :request_id, :traceparent,
        :at, :payload)
    ON CONFLICT (handler, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
""")

_CLAIM_KEY = Sql("""
    INSERT INTO unique_claims (handler, key, until) VALUES (:handler, :key, NOW + SECONDS(:period))
    ON CONFLICT (handler, key) DO UPDATE SET until = excluded.until WHERE unique_claims.until <= NOW
    RETURNING handler
""")

_LOG_COLUMNS = """INSERT INTO events (id, name, version, tenant_id, user_id, request_id, traceparent, partition_key,
    occurred_at, payload)"""

_DELIVER_COLUMNS = """INSERT INTO deliveries (id, event_id, kind, name, handler, version, queue, priority, direct,
    state, run_at, attempt, crashes, partition_key, tenant_id, user_id, request_id, traceparent, occurred_at,
    payload)"""

_DELIVERED = """e.id, 'event', e.name, s.handler, e.version, s.queue, s.priority,
    CASE WHEN e.partition_key IS NULL THEN s.direct ELSE 1 END, 'ready', NOW, 0, 0,
    e.partition_key, e.tenant_id, e.user_id, e.request_id, e.traceparent, e.occurred_at, e.payload"""

_PUBLISH = Sql(f"""
    WITH e AS (
        {_LOG_COLUMNS}
        SELECT id, name, version, tenant_id, user_id, request_id, traceparent, partition_key, at, payload
        FROM jsonb_to_recordset(CAST(:messages AS jsonb)) AS m(id uuid, name text, version integer, tenant_id uuid,
            user_id uuid, request_id text, traceparent text, partition_key text, at timestamptz, payload jsonb)
        RETURNING id, name, version, tenant_id, user_id, request_id, traceparent, partition_key, occurred_at, payload
    )
    {_DELIVER_COLUMNS}
    SELECT gen_random_uuid(), {_DELIVERED} FROM e JOIN subscriptions s ON s.event_name = e.name
""")
"""PostgreSQL's. A statement does not see the rows that it adds to a table, but what they return."""

_LOG = Sql(f"""
    {_LOG_COLUMNS}
    VALUES (:id, :name, :version, :tenant_id, :user_id, :request_id, :traceparent, :partition_key, :at, :payload)
""")

_DELIVER = Sql(f"""
    {_DELIVER_COLUMNS}
    SELECT {NEW_ID_SQLITE}(), {_DELIVERED}
    FROM events e JOIN subscriptions s ON s.event_name = e.name WHERE e.id = :id
""")
