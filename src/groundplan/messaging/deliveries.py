"""The deliveries a worker leases, finishes, postpones or gives up. The database's clock decides every lease.

ready(run_at) ──claim──▶ leased(token, until) ──acknowledge──▶ gone
    ▲                        │  │  └──bury──▶ dead letter
    ├──────── retry ─────────┘  │
    └── reap (lease ran out) / release (drained) ──┘
"""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from groundplan.core.errors import LeaseLost
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.message import Delivery

CRASH_LIMIT = 5
"""A delivery whose worker died this often is suspected to be the killer, and goes to the dead letters."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended badly."""

    started_at: datetime
    ended_at: datetime
    error: str
    detail: str
    stack: str
    trace_id: str
    worker: str


class Deliveries:
    """The delivery table as workers see it. Every change of a leased row names its token; 0 rows means LeaseLost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, known: dict[str, int], *, slots: int, lease: float, worker: str) -> list[Delivery]:
        """Leases up to ``slots`` ready deliveries whose handler and version are ``known``, oldest first."""
        rows = await self._database.execute(
            _CLAIM, known=json.dumps(known), slots=slots, lease=lease, token=uuid7(), worker=worker
        )
        return sorted((_delivery(row) for row in rows), key=lambda d: (d.priority, d.run_at))

    async def renew(self, held: Sequence[Delivery], *, lease: float) -> set[UUID]:
        """Extends the leases that are still ours; returns their ids."""
        rows = await self._database.execute(_RENEW, pairs=_pairs(held), lease=lease)
        return {as_uuid(row.id) for row in rows}

    async def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        """The ack as a part of the handler's own transaction, so that effects and ack are one."""
        if not await transaction.execute(_ACKNOWLEDGE, id=delivery.id, token=delivery.lease_token):
            raise LeaseLost(
                f"{delivery.handler} finished message {delivery.id} after its lease had passed to another worker."
            )

    async def acknowledge_batch(self, done: Sequence[Delivery]) -> set[UUID]:
        """The ack of handlers that wrote nothing; returns the ids that were still ours."""
        rows = await self._database.execute(_ACKNOWLEDGE_BATCH, pairs=_pairs(done))
        return {as_uuid(row.id) for row in rows}

    async def retry(self, delivery: Delivery, failure: Failure, *, delay: float) -> None:
        """Makes it ready again after ``delay`` seconds and keeps what went wrong."""
        async with self._database.transaction(None) as transaction:
            if await transaction.execute(_RETRY, id=delivery.id, token=delivery.lease_token, delay=delay):
                await self._note(transaction, delivery, failure, "retry")

    async def release(self, held: Sequence[Delivery]) -> None:
        """Gives unfinished work back at once, as if it had not been claimed: the worker is draining."""
        await self._database.execute(_RELEASE, pairs=_pairs(held))

    async def bury(self, delivery: Delivery, failure: Failure, *, reason: str) -> None:
        """Moves it to the dead letters, with every attempt."""
        async with self._database.transaction(None) as transaction:
            buried = await transaction.execute(
                _BURY,
                id=delivery.id,
                token=delivery.lease_token,
                reason=reason,
                error=failure.error,
                detail=failure.detail,
                stack=failure.stack,
            )
            if buried:
                await transaction.execute(_ACKNOWLEDGE, id=delivery.id, token=delivery.lease_token)
                await self._note(transaction, delivery, failure, "dead")

    async def reap(self, *, all_leases: bool = False) -> list[tuple[UUID, str]]:
        """Frees deliveries whose lease ran out: their worker is gone. Returns (id, handler) of each.

        ``all_leases`` is for SQLite at start: one process owns the database, so every lease is from a dead one.
        """
        async with self._database.transaction(None) as transaction:
            rows = await transaction.execute(_REAP, every=int(all_leases))
            if any(row.crashes >= CRASH_LIMIT for row in rows):
                await transaction.execute(_BURY_CRASHED, limit=CRASH_LIMIT)
                await transaction.execute(_DELETE_CRASHED, limit=CRASH_LIMIT)
        return [(as_uuid(row.id), row.handler) for row in rows]

    async def _note(self, transaction: Transaction, delivery: Delivery, failure: Failure, outcome: str) -> None:
        await transaction.execute(
            _NOTE_ATTEMPT, delivery_id=delivery.id, outcome=outcome, **msgspec.structs.asdict(failure)
        )


def _pairs(held: Sequence[Delivery]) -> str:
    return json.dumps([[str(d.id), str(d.lease_token)] for d in held])


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=as_uuid(row.id),
        event_id=as_uuid(row.event_id) if row.event_id else None,
        kind=row.kind,
        name=row.name,
        handler=row.handler,
        version=row.version,
        queue=row.queue,
        priority=row.priority,
        partition_key=row.partition_key,
        tenant_id=as_uuid(row.tenant_id) if row.tenant_id else None,
        user_id=as_uuid(row.user_id) if row.user_id else None,
        request_id=row.request_id,
        traceparent=row.traceparent,
        occurred_at=as_instant(row.occurred_at),
        run_at=as_instant(row.run_at),
        attempt=row.attempt,
        crashes=row.crashes,
        lease_token=as_uuid(row.lease_token),
        payload=row.payload,
    )


_COLUMNS = """id, event_id, kind, name, handler, version, queue, priority, partition_key, tenant_id, user_id,
    request_id, traceparent, occurred_at, run_at, attempt, crashes"""
_QUALIFIED = ", ".join(f"d.{column.strip()}" for column in _COLUMNS.split(","))

_CLAIM = Sql(
    postgresql=f"""
    WITH next AS MATERIALIZED (
        SELECT id FROM deliveries
        WHERE state = 'ready' AND run_at <= NOW
            AND version <= CAST(CAST(:known AS jsonb) ->> handler AS integer)
            AND NOT EXISTS (SELECT 1 FROM queues q WHERE q.name = deliveries.queue AND q.paused = 1)
        ORDER BY priority, run_at LIMIT :slots FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries d SET state = 'leased', lease_token = :token, lease_until = NOW + SECONDS(:lease),
        worker = :worker, attempt = d.attempt + 1
    FROM next WHERE d.id = next.id
    RETURNING {_QUALIFIED}, d.lease_token, CAST(d.payload AS TEXT) AS payload
    """,
    sqlite=f"""
    UPDATE deliveries SET state = 'leased', lease_token = :token, lease_until = NOW + SECONDS(:lease),
        worker = :worker, attempt = attempt + 1
    WHERE id IN (
        SELECT d.id FROM deliveries d JOIN json_each(:known) k ON k.key = d.handler AND d.version <= k.value
        WHERE d.state = 'ready' AND d.run_at <= NOW
            AND NOT EXISTS (SELECT 1 FROM queues q WHERE q.name = d.queue AND q.paused = 1)
        ORDER BY d.priority, d.run_at LIMIT :slots
    )
    RETURNING {_COLUMNS}, lease_token, CAST(payload AS TEXT) AS payload
    """,
)

# (id, token) pairs arrive as JSON: one parameter for any number of rows, on both engines.
_MINE_POSTGRESQL = """(id, lease_token) IN (
    SELECT CAST(p ->> 0 AS uuid), CAST(p ->> 1 AS uuid) FROM jsonb_array_elements(CAST(:pairs AS jsonb)) p)"""
_MINE_SQLITE = """(id, lease_token) IN (
    SELECT json_extract(p.value, '$[0]'), json_extract(p.value, '$[1]') FROM json_each(:pairs) p)"""


def _on_mine(statement: str) -> Sql:
    return Sql(postgresql=statement.replace("MINE", _MINE_POSTGRESQL), sqlite=statement.replace("MINE", _MINE_SQLITE))


_RENEW = _on_mine(
    "UPDATE deliveries SET lease_until = NOW + SECONDS(:lease) WHERE state = 'leased' AND MINE RETURNING id"
)
_ACKNOWLEDGE = Sql("DELETE FROM deliveries WHERE id = :id AND lease_token = :token RETURNING id")
_ACKNOWLEDGE_BATCH = _on_mine("DELETE FROM deliveries WHERE MINE RETURNING id")
_RELEASE = _on_mine("""
    UPDATE deliveries SET state = 'ready', attempt = attempt - 1, lease_token = NULL, lease_until = NULL WHERE MINE
""")
_RETRY = Sql("""
    UPDATE deliveries SET state = 'ready', run_at = NOW + SECONDS(:delay), lease_token = NULL, lease_until = NULL
    WHERE id = :id AND lease_token = :token RETURNING id
""")
_REAP = Sql("""
    UPDATE deliveries SET state = 'ready', run_at = NOW, attempt = attempt - 1, crashes = crashes + 1,
        lease_token = NULL, lease_until = NULL
    WHERE state = 'leased' AND (lease_until <= NOW OR :every = 1) RETURNING id, handler, crashes
""")
_NOTE_ATTEMPT = Sql("""
    INSERT INTO attempts (delivery_id, number, started_at, ended_at, outcome, error, detail, stack, trace_id, worker)
    SELECT :delivery_id, 1 + COALESCE(MAX(number), 0), :started_at, :ended_at, :outcome, :error, :detail, :stack,
        :trace_id, :worker
    FROM attempts WHERE delivery_id = :delivery_id
""")
_DEAD_COLUMNS = f"{_COLUMNS.replace('run_at, ', '')}, payload, reason, error, detail, stack, died_at"
_BURY = Sql(f"""
    INSERT INTO dead_letters ({_DEAD_COLUMNS})
    SELECT {_COLUMNS.replace("run_at, ", "")}, payload, :reason, :error, :detail, :stack, NOW
    FROM deliveries WHERE id = :id AND lease_token = :token RETURNING id
""")
_BURY_CRASHED = Sql(f"""
    INSERT INTO dead_letters ({_DEAD_COLUMNS})
    SELECT {_COLUMNS.replace("run_at, ", "")}, payload, 'crashed', 'WorkerCrashed',
        'Its worker died or froze every time it ran this message.', '', NOW
    FROM deliveries WHERE state = 'ready' AND crashes >= :limit
""")
_DELETE_CRASHED = Sql("DELETE FROM deliveries WHERE state = 'ready' AND crashes >= :limit")
