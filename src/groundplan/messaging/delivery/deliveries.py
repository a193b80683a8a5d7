"""How a leased delivery ends: done, tried again, put off, given back, or dead. Leases go by the database's clock.

                    ┌──────── retry, snooze, release, lease ran out ────────┐
                    ▼                                                       │
publish ──▶ ready(run_at) ──claim──▶ leased(token, until) ──acknowledge──▶ gone
                    │                        └──bury──▶ dead ──replay──▶ ready
                    └──hand off──▶ handed off(until) ──the broker confirms──▶ gone from here
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from groundplan.core.errors import LeaseLost
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.delivery.claims import COLUMNS
from groundplan.messaging.message import Delivery

Lease = tuple[UUID, UUID]
"""Id and token."""
CRASH_LIMIT = 5
"""A delivery whose worker died this often, and lately while it ran alone, goes to the dead letters."""


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
    """Every change of a leased row names its token; 0 rows means that another worker has it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, held: Sequence[Delivery], *, lease: float) -> set[Lease]:
        """Extends the leases that are still ours, and returns them."""
        rows = await self._database.execute(_RENEW, tokens=_tokens(held), lease=lease)
        return {(as_uuid(row.id), as_uuid(row.lease_token)) for row in rows}

    def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        """The ack as the end of the handler's own transaction, so that effects and ack are one."""
        lost = LeaseLost(
            f"{delivery.handler} finished message {delivery.id} after its lease had passed to another worker."
        )
        transaction.end_with(_ACKNOWLEDGE, lost, id=delivery.id, token=delivery.lease_token)

    async def mark_done(self, transaction: Transaction, delivery: Delivery) -> None:
        """Raises LeaseLost where the handler's effects of this message are stored already."""
        if not await transaction.execute(MARK_DONE, id=delivery.id, handler=delivery.handler):
            raise done_already(delivery)

    async def acknowledge_batch(self, done: Sequence[Delivery]) -> int:
        """The ack of handlers that wrote nothing; returns how many were still ours."""
        return len(await self._database.execute(_ACKNOWLEDGE_BATCH, tokens=_tokens(done)))

    async def retry(self, transaction: Transaction, delivery: Delivery, failure: Failure, *, delay: float) -> None:
        """Makes it ready again after ``delay`` seconds and keeps what went wrong."""
        if await transaction.execute(_RETRY, id=delivery.id, token=delivery.lease_token, delay=delay, uncount=0):
            await self._note(transaction, delivery, failure, "retry")

    async def snooze(self, transaction: Transaction, delivery: Delivery, *, delay: float) -> None:
        """Makes it ready again after ``delay`` seconds, as if it had not been tried."""
        await transaction.execute(_RETRY, id=delivery.id, token=delivery.lease_token, delay=delay, uncount=1)

    async def cancel(self, transaction: Transaction, delivery: Delivery, failure: Failure) -> None:
        """Ends it without a dead letter; why stands among its attempts."""
        if await transaction.execute(_ACKNOWLEDGE, id=delivery.id, token=delivery.lease_token):
            await self._note(transaction, delivery, failure, "cancelled")

    async def bury(self, transaction: Transaction, delivery: Delivery, failure: Failure, *, reason: str) -> None:
        """Moves it to the dead letters, with every attempt."""
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

    async def release(self, held: Sequence[Delivery]) -> None:
        """Gives unfinished work back at once, as if it had not been claimed."""
        await self._database.execute(_RELEASE, tokens=_tokens(held))

    async def reap(self, *, all_leases: bool = False) -> list[tuple[UUID, str]]:
        """Frees deliveries whose lease ran out: their worker, or the relay, is gone. Returns (id, handler) of each.

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


def done_already(delivery: Delivery) -> LeaseLost:
    return LeaseLost(f"{delivery.handler} has done message {delivery.id} already, in another worker.")


def _tokens(held: Sequence[Delivery]) -> str:
    """A JSON object, id to token: one parameter for any number of rows, on both engines."""
    newest: dict[UUID, UUID] = {}
    for delivery in held:
        token = newest.setdefault(delivery.id, delivery.lease_token)
        if token < delivery.lease_token:  # of two holdings of one delivery the older one is lost
            newest[delivery.id] = delivery.lease_token
    return msgspec.json.encode(newest).decode()


def _on_mine(statement: str) -> Sql:
    """Relaxed: where a crash undoes it, a lease runs out earlier, or what wrote nothing runs once more."""
    return Sql(
        postgresql=statement.replace(
            "MINE",
            """(id, lease_token) IN (SELECT CAST(key AS uuid), CAST(value AS uuid)
            FROM jsonb_each_text(CAST(:tokens AS jsonb)))""",
        ),
        sqlite=statement.replace(
            "MINE",
            """rowid IN (SELECT d.rowid
            FROM json_each(:tokens) t CROSS JOIN deliveries d ON d.id = t.key AND d.lease_token = t.value)""",
        ),
        relaxed=True,
    )


MARK_DONE = Sql("""INSERT INTO done_markers (message_id, handler, at) VALUES (:id, :handler, NOW)
    ON CONFLICT (message_id, handler) DO NOTHING RETURNING message_id""")
_RENEW = _on_mine("""
    UPDATE deliveries SET lease_until = NOW + SECONDS(:lease) WHERE state = 'leased' AND MINE
    RETURNING id, lease_token
""")
_ACKNOWLEDGE = Sql("DELETE FROM deliveries WHERE id = :id AND lease_token = :token RETURNING id")
_ACKNOWLEDGE_BATCH = _on_mine("DELETE FROM deliveries WHERE MINE RETURNING id")
_RELEASE = _on_mine("""
    UPDATE deliveries SET state = 'ready', attempt = attempt - CASE state WHEN 'leased' THEN 1 ELSE 0 END,
        lease_token = NULL, lease_until = NULL WHERE MINE
""")
_RETRY = Sql("""
    UPDATE deliveries SET state = 'ready', run_at = NOW + SECONDS(:delay), attempt = attempt - :uncount,
        lease_token = NULL, lease_until = NULL
    WHERE id = :id AND lease_token = :token RETURNING id
""")
_REAP = Sql("""
    UPDATE deliveries SET state = 'ready', lease_token = NULL, lease_until = NULL,
        run_at = CASE state WHEN 'leased' THEN NOW ELSE run_at END,
        attempt = attempt - CASE state WHEN 'leased' THEN 1 ELSE 0 END,
        crashes = crashes + CASE state WHEN 'leased' THEN 1 ELSE 0 END
    WHERE state <> 'ready' AND (lease_until <= NOW OR :every = 1) RETURNING id, handler, crashes
""")
_NOTE_ATTEMPT = Sql("""
    INSERT INTO attempts (delivery_id, number, started_at, ended_at, outcome, error, detail, stack, trace_id, worker)
    SELECT :delivery_id, 1 + COALESCE(MAX(number), 0), :started_at, :ended_at, :outcome, :error, :detail, :stack,
        :trace_id, :worker
    FROM attempts WHERE delivery_id = :delivery_id
""")
MESSAGE_COLUMNS = ", ".join(column for column in COLUMNS if column != "run_at")
DEAD_COLUMNS = f"{MESSAGE_COLUMNS}, unique_key, payload, reason, error, detail, stack, died_at"
_BURY = Sql(f"""
    INSERT INTO dead_letters ({DEAD_COLUMNS})
    SELECT {MESSAGE_COLUMNS}, unique_key, payload, :reason, :error, :detail, :stack, NOW
    FROM deliveries WHERE id = :id AND lease_token = :token RETURNING id
""")
_BURY_CRASHED = Sql(f"""
    INSERT INTO dead_letters ({DEAD_COLUMNS})
    SELECT {MESSAGE_COLUMNS}, unique_key, payload, 'crashed', 'WorkerCrashed',
        'Its worker died or froze every time it ran this message.', '', NOW
    FROM deliveries WHERE state = 'ready' AND crashes >= :limit
""")
_DELETE_CRASHED = Sql("DELETE FROM deliveries WHERE state = 'ready' AND crashes >= :limit")
