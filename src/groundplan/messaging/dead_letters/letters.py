"""Messages that gave up: why, every attempt, and the ways out: edit, replay, drop."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from groundplan.core.errors import Conflict, FieldError, Invalid, InvalidPayload, NotFound
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters.filter import NO_TENANT, DeadLetterFilter, condition, from_cursor, to_cursor
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import decode, lift, trace_id_of
from groundplan.messaging.outbox import WAKE_CHANNEL
from groundplan.messaging.schema import SchemaField, schema_fields


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` is one of invalid, not retryable, exhausted, crashed, retired.

    The payload of an older version is shown, and edited, as one of this release's.
    """

    id: UUID
    handler: str
    name: str
    version: int
    queue: str
    kind: str
    tenant_id: UUID | None
    tenant: str
    """Its short name; empty where there is none."""
    user_id: UUID | None
    request_id: str
    trace_id: str
    attempt: int
    crashes: int
    reason: str
    error: str
    detail: str
    stack: str
    died_at: datetime
    occurred_at: datetime
    payload: Any
    original_payload: Any = None
    edited_by: str | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    started_at: datetime
    ended_at: datetime
    outcome: str
    error: str
    detail: str
    stack: str
    trace_id: str
    worker: str


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """``cursor`` asks for the older ones; empty where there are none."""

    items: list[DeadLetter]
    cursor: str


class DeadLetters:
    """One service behind console, API and command line; what it does to many at once is in ``DeadLetterGroups``."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self._database = database
        self._handlers = handlers

    async def page(self, which: DeadLetterFilter, *, cursor: str = "", limit: int = 50) -> DeadLetterPage:
        """Newest first. Raises Invalid for an unknown tenant, or a cursor that this list did not give out."""
        await check_tenant(self._database, which)
        where, values = condition(which, self._database.dialect)
        if cursor:
            values["died_at"], values["id"] = from_cursor(cursor)
            where += " AND (died_at, id) < (:died_at, :id)"
        sql = Sql(f"{_SELECT} WHERE {where} ORDER BY died_at DESC, id DESC LIMIT :limit")
        rows = await self._database.execute(sql, limit=limit + 1, **values)
        items = [self._lifted(_dead_letter(row)) for row in rows[:limit]]
        more = len(rows) > limit
        return DeadLetterPage(items=items, cursor=to_cursor(items[-1].died_at, items[-1].id) if more else "")

    async def newest(self, *, handler: str = "", reason: str = "", limit: int = 50) -> list[DeadLetter]:
        """Newest first."""
        return (await self.page(DeadLetterFilter(handler=handler, reason=reason), limit=limit)).items

    async def count(self) -> int:
        return int((await self._database.execute(_COUNT))[0].n)

    async def oldest_seconds(self) -> float:
        """How long ago the oldest gave up, by the database's clock; 0 where there is none."""
        row = (await self._database.execute(_OLDEST))[0]
        return max(0.0, (as_instant(row.now) - as_instant(row.oldest)).total_seconds()) if row.oldest else 0.0

    async def get(self, dead_letter_id: UUID) -> DeadLetter:
        """Raises NotFound."""
        rows = await self._database.execute(_GET, id=dead_letter_id)
        if not rows:
            raise NotFound(_gone(dead_letter_id))
        return self._lifted(_dead_letter(rows[0]))

    async def attempts(self, dead_letter_id: UUID) -> list[Attempt]:
        rows = await self._database.execute(_ATTEMPTS, id=dead_letter_id)
        return [
            Attempt(
                number=row.number,
                started_at=as_instant(row.started_at),
                ended_at=as_instant(row.ended_at),
                outcome=row.outcome,
                error=row.error,
                detail=row.detail,
                stack=row.stack,
                trace_id=row.trace_id,
                worker=row.worker,
            )
            for row in rows
        ]

    def fields(self, dead: DeadLetter) -> list[SchemaField]:
        """The payload as a form: one row per schema field, with its value and what is wrong with it."""
        handler = self._handlers.get(dead.handler)
        if handler is None:
            return []
        return schema_fields(handler.message, dead.payload, self.check(dead, dead.payload))

    def check(self, dead: DeadLetter, payload: Any) -> tuple[FieldError, ...]:
        """What keeps ``payload`` from fitting the schema; empty when it fits or no handler of ours knows it."""
        handler = self._handlers.get(dead.handler)
        if handler is None:
            return ()
        try:
            decode(handler.message, msgspec.json.encode(payload), dead.version)
        except InvalidPayload as error:
            return error.errors or (FieldError("", error.detail),)
        return ()

    def _lifted(self, dead: DeadLetter) -> DeadLetter:
        handler = self._handlers.get(dead.handler)
        if handler is None or dead.version == handler.version:
            return dead
        try:
            lifted = lift(handler.message, msgspec.json.encode(dead.payload), dead.version)
        except InvalidPayload:
            return dead
        return msgspec.structs.replace(dead, payload=msgspec.json.decode(lifted), version=handler.version)

    async def edit(
        self, transaction: Transaction, dead_letter_id: UUID, payload: Mapping[str, Any], *, by: str
    ) -> None:
        """Stores a corrected payload and keeps the first one.

        Raises:
            InvalidPayload: the new payload does not fit the schema; nothing is changed.
            NotFound: it was replayed or dropped meanwhile.
        """
        dead = await self.get(dead_letter_id)
        if problems := self.check(dead, payload):
            raise InvalidPayload("The payload still does not fit its schema.", errors=problems)
        text = msgspec.json.encode(payload).decode()
        if not await transaction.execute(_EDIT, id=dead_letter_id, payload=text, version=dead.version, by=by):
            raise NotFound(_gone(dead_letter_id))

    async def replay(self, transaction: Transaction, dead_letter_id: UUID) -> None:
        """Makes it ready again under its own id, so that effects it already had are recognised.

        Raises:
            Conflict: it was replayed or dropped meanwhile.
        """
        if not await transaction.execute(_LOCK, id=dead_letter_id):
            raise Conflict(_gone(dead_letter_id))
        await transaction.execute(_REVIVE, id=dead_letter_id)
        await transaction.execute(_DELETE, id=dead_letter_id)
        transaction.after_commit(lambda: self._database.notify(WAKE_CHANNEL))

    async def drop(self, transaction: Transaction, dead_letter_id: UUID) -> None:
        """Deletes it for good; the caller writes the reason into the audit log. Raises Conflict if it is gone."""
        if not await transaction.execute(_DELETE, id=dead_letter_id):
            raise Conflict(_gone(dead_letter_id))


async def check_tenant(database: Database, which: DeadLetterFilter) -> None:
    """Raises Invalid where the filter names a tenant that there is not: it would choose nothing without a word."""
    if which.tenant in ("", NO_TENANT) or await database.execute(_TENANT, slug=which.tenant):
        return
    raise Invalid("There is no such tenant.", errors=(FieldError("/tenant", "not the short name of a tenant"),))


def _gone(dead_letter_id: UUID) -> str:
    return f"There is no dead letter {dead_letter_id}. It may have been replayed or dropped already."


def _dead_letter(row: Row) -> DeadLetter:
    return DeadLetter(
        id=as_uuid(row.id),
        handler=row.handler,
        name=row.name,
        version=row.version,
        queue=row.queue,
        kind=row.kind,
        tenant_id=as_uuid(row.tenant_id) if row.tenant_id else None,
        tenant=row.tenant or "",
        user_id=as_uuid(row.user_id) if row.user_id else None,
        request_id=row.request_id,
        trace_id=trace_id_of(row.traceparent),
        attempt=row.attempt,
        crashes=row.crashes,
        reason=row.reason,
        error=row.error,
        detail=row.detail,
        stack=row.stack,
        died_at=as_instant(row.died_at),
        occurred_at=as_instant(row.occurred_at),
        payload=msgspec.json.decode(row.payload),
        original_payload=msgspec.json.decode(row.original_payload) if row.original_payload else None,
        edited_by=row.edited_by,
    )


MESSAGE = """id, event_id, kind, name, handler, version, queue, priority, partition_key, tenant_id, user_id, request_id,
    traceparent, occurred_at, payload"""
"""The columns that a message takes with it from the dead letters to the queue."""
_SELECT = """SELECT id, handler, name, version, queue, kind, tenant_id, user_id, request_id, traceparent, attempt,
    crashes, reason, error, detail, stack, died_at, occurred_at, edited_by,
    (SELECT slug FROM tenants WHERE tenants.id = dead_letters.tenant_id) AS tenant,
    CAST(payload AS TEXT) AS payload, CAST(original_payload AS TEXT) AS original_payload FROM dead_letters"""
_GET = Sql(f"{_SELECT} WHERE id = :id")
_COUNT = Sql("SELECT COUNT(*) AS n FROM dead_letters")
_OLDEST = Sql("SELECT MIN(died_at) AS oldest, NOW AS now FROM dead_letters")
_TENANT = Sql("SELECT id FROM tenants WHERE slug = :slug")
_ATTEMPTS = Sql("""SELECT number, started_at, ended_at, outcome, error, detail, stack, trace_id, worker
    FROM attempts WHERE delivery_id = :id ORDER BY number""")
_EDIT = Sql("""UPDATE dead_letters SET original_payload = COALESCE(original_payload, payload), payload = :payload,
    version = :version, edited_by = :by, edited_at = NOW WHERE id = :id RETURNING id""")
# Taken first: a replay must see the edit that was saved before it, and of two replays only one may go on.
_LOCK = Sql("UPDATE dead_letters SET died_at = died_at WHERE id = :id RETURNING id")
_DELETE = Sql("DELETE FROM dead_letters WHERE id = :id RETURNING id")
_REVIVE = Sql(f"""
    INSERT INTO deliveries ({MESSAGE}, direct, state, run_at, attempt, crashes)
    SELECT {MESSAGE}, 1, 'ready', NOW, 0, 0 FROM dead_letters WHERE id = :id RETURNING id
""")
