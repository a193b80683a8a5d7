"""The outbox: messages are rows of the transaction that caused them, so they exist if and only if it committed."""

from typing import Any, NamedTuple
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


_Values = dict[str, Any]
"""The columns of a message; those that all messages of a transaction share are added when it is written."""


class _Job(NamedTuple):
    handler: Handler
    values: _Values
    unique_key: str | None


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

    async def _write(self, transaction: Transaction, common: _Values, events: list[_Values], jobs: list[_Job]) -> None:
        common["at"] = self._clock.now()
        if events:
            await self._publish(transaction, [event | common for event in events])
        if jobs:
            new = [job for job in jobs if await self._is_new(transaction, job)]
            await transaction.execute_many(_INSERT_DELIVERY, [job.values | common for job in new])
        transaction.after_commit(lambda: self._database.wake(WAKE_CHANNEL), certain=False)

    async def _is_new(self, transaction: Transaction, job: _Job) -> bool:
        """Whether an equal job was not enqueued within the period that its handler asks for."""
        unique = job.handler.unique
        if unique is None or unique.period is None:
            return True
        values = {"handler": job.handler.name, "key": job.unique_key, "period": unique.period}
        return bool(await transaction.execute(_CLAIM_KEY, **values))

    async def _publish(self, transaction: Transaction, events: list[_Values]) -> None:
        if self._database.dialect == "postgresql":
            for event in events:
                event["payload"] = msgspec.Raw(event["payload"].encode())
            transaction.end_with(_PUBLISH, messages=msgspec.json.encode(events).decode())
        else:  # which takes no JSON for this, and has no round trips to save
            await transaction.execute_many(_LOG, events)
            await transaction.execute_many(_DELIVER, events)

    def job_handler(self, job: Job) -> Handler:
        return self._handlers.for_job(type(job))


class Draft:
    """The messages of one transaction, until it commits."""

    def __init__(self, outbox: Outbox, transaction: Transaction, envelope: Envelope) -> None:
        self._outbox = outbox
        self._transaction = transaction
        self._envelope = envelope
        self._events: list[_Values] = []
        self._jobs: list[_Job] = []

    def publish(self, event: Event, *, partition_key: str | None = None) -> UUID:
        """Raises Invalid for a key that is no text for a database."""
        values = _values(event, partition_key)
        self._events.append(values)
        message_id: UUID = values["id"]
        return message_id

    def enqueue(self, job: Job, *, delay: float = 0.0, partition_key: str | None = None) -> UUID:
        """``delay`` in seconds, by the application's clock."""
        return self._add(job, partition_key, self._outbox.job_handler(job), delay)

    def run(self, handler: Handler, message: Job) -> UUID:
        """A delivery to this handler, whatever else handles such messages."""
        return self._add(message, None, handler, 0.0)

    def __len__(self) -> int:
        return len(self._events) + len(self._jobs)

    def _add(self, job: Job, key: str | None, handler: Handler, delay: float) -> UUID:
        values = _values(job, key)
        unique = handler.unique
        unique_key = None if unique is None else unique.key(job) if unique.key else values["payload"]
        values |= {
            "event_id": None,
            "kind": "job",
            "handler": handler.name,
            "queue": handler.queue,
            "priority": handler.priority,
            "direct": int(handler.direct or key is not None),
            "delay": delay,
            "unique_key": unique_key if unique is not None and unique.period is None else None,
        }
        self._jobs.append(_Job(handler, values, unique_key))
        message_id: UUID = values["id"]
        return message_id

    async def write(self, transaction: Transaction) -> None:
        events, jobs = self._events, self._jobs
        if not (events or jobs):
            return
        self._events, self._jobs = [], []
        names = ", ".join(sorted({*[each["name"] for each in events], *[job.values["name"] for job in jobs]}))
        with span("Outbox", f"publish {names}", messages=len(events) + len(jobs)) as current:
            common = {
                "tenant_id": self._envelope.tenant_id,
                "user_id": self._envelope.user_id,
                "request_id": self._envelope.request_id,
                "traceparent": current.traceparent,
            }
            await self._outbox._write(transaction, common, events, jobs)


def _values(message: Event | Job, partition_key: str | None) -> _Values:
    kind = type(message)
    return {
        "id": uuid7(),
        "name": message_name(kind),
        "version": kind.version,
        "payload": encode(message),
        "partition_key": None if partition_key is None else checked_text(partition_key),
    }


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
        RETURNING position, id, name, version, tenant_id, user_id, request_id, traceparent, partition_key, occurred_at,
            payload
    )
    {_DELIVER_COLUMNS}
    SELECT gen_random_uuid(), {_DELIVERED} FROM e JOIN subscriptions s ON s.event_name = e.name ORDER BY e.position
""")
"""PostgreSQL's. A statement does not see the rows that it adds to a table, but what they return. Deliveries that go by
their order need it said: a join may turn it round."""

_LOG = Sql(f"""
    {_LOG_COLUMNS}
    VALUES (:id, :name, :version, :tenant_id, :user_id, :request_id, :traceparent, :partition_key, :at, :payload)
""")

_DELIVER = Sql(f"""
    {_DELIVER_COLUMNS}
    SELECT {NEW_ID_SQLITE}(), {_DELIVERED}
    FROM events e JOIN subscriptions s ON s.event_name = e.name WHERE e.id = :id
""")
