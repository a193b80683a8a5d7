"""Replaying the event log: one handler runs again for what happened in a stretch of time.

A replay makes new messages, so nothing recognises them as done already; whoever starts one has to say that this is
wanted. It goes on in batches. Each batch moves the replay's place in the log in the transaction that makes its
messages, so a replay that is cut off, or continued by two people at once, makes every message once.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from groundplan.core.errors import Conflict, Invalid, NotFound
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.event_log.log import PREFIX, START, Cursor, EventLog, Only, read_page
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.outbox import WAKE_CHANNEL


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """``cursor`` is where it stands, ``end`` where the log ended when it began; ``made`` counts its messages."""

    id: UUID
    handler: str
    since: datetime
    until: datetime
    tenant_id: UUID | None
    cursor: Cursor
    end: Cursor
    made: int
    started_by: str
    done: bool


class Replays:
    def __init__(self, database: Database, handlers: Handlers) -> None:
        self._database = database
        self._handlers = handlers
        self._log = EventLog(database)

    async def count(self, handler: str, *, since: datetime, until: datetime, tenant_id: UUID | None) -> int:
        """How many messages a replay would make. Raises NotFound for a handler that no event reaches."""
        return await self._log.count(only=_only(self._handler(handler), since, until, tenant_id))

    async def begin(
        self,
        transaction: Transaction,
        handler: str,
        *,
        since: datetime,
        until: datetime,
        tenant_id: UUID | None,
        by: str,
        again: bool,
    ) -> Replay:
        """Notes what is to be replayed; ``go_on`` then does it. What is published from here on is not part of it.

        Raises:
            NotFound: no event reaches a handler of that name.
            Invalid: ``since`` is not before ``until``, or nobody said that the handler is to run ``again``.
        """
        found = self._handler(handler)
        if since >= until:
            raise Invalid("A replay goes from an earlier time to a later one.")
        if not again:
            raise Invalid(
                f"A replay makes new messages: {found.name} runs again for events that it has handled before, and what "
                "it does outside the database (mails, payments) happens again too. --dry-run counts them; if that is "
                "what you want, say --again. A message that gave up is replayed with `groundplan dead-letters replay`."
            )
        replay = Replay(
            id=uuid7(),
            handler=found.name,
            since=since,
            until=until,
            tenant_id=tenant_id,
            cursor=START,
            end=await self._log.end(),
            made=0,
            started_by=by,
            done=False,
        )
        await transaction.execute(
            _BEGIN,
            id=replay.id,
            handler=replay.handler,
            since=since,
            until=until,
            tenant_id=tenant_id,
            end_transaction=replay.end.transaction,
            end_position=replay.end.position,
            by=by,
        )
        return replay

    async def get(self, replay_id: UUID) -> Replay:
        """Raises NotFound."""
        rows = await self._database.execute(_GET, id=replay_id)
        if not rows:
            raise NotFound(f"There is no replay {replay_id}.")
        return _replay(rows[0])

    async def go_on(self, replay_id: UUID, limit: int) -> Replay:
        """Makes up to ``limit`` messages and says how it stands now.

        Raises:
            NotFound: there is no such replay, or this release lacks its handler.
            Conflict: it is done.
        """
        handler = self._handler((await self.get(replay_id)).handler)
        async with self._database.transaction(None) as transaction:
            rows = await transaction.execute(_LOCK, id=replay_id)
            if not rows:
                raise Conflict(f"The replay {replay_id} is done.")
            replay = _replay(rows[0])
            only = _only(handler, replay.since, replay.until, replay.tenant_id)
            page = await read_page(transaction.execute, replay.cursor, replay.end, limit, only)
            await transaction.execute_many(
                _DELIVER,
                [
                    {
                        "id": uuid7(),
                        "position": event.cursor.position,
                        "handler": handler.name,
                        "queue": handler.queue,
                        "priority": handler.priority,
                    }
                    for event in page
                ],
            )
            cursor = page[-1].cursor if page else replay.cursor
            done = len(page) < limit
            await transaction.execute(
                _ADVANCE,
                id=replay_id,
                at_transaction=cursor.transaction,
                at_position=cursor.position,
                made=len(page),
                done=int(done),
            )
            if page:
                transaction.after_commit(lambda: self._database.notify(WAKE_CHANNEL))
        return msgspec.structs.replace(replay, cursor=cursor, made=replay.made + len(page), done=done)

    def _handler(self, name: str) -> Handler:
        known = {h.name: h for h in self._handlers if h.kind == "event" and not h.message_name.startswith(PREFIX)}
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise NotFound(f"No event reaches a handler named {name!r}. This release has: {names}.")
        return known[name]


def _only(handler: Handler, since: datetime, until: datetime, tenant_id: UUID | None) -> Only:
    """What erasure emptied is left out: there is nothing to handle any more."""
    return Only(names=[handler.message_name], since=since, until=until, tenant_id=tenant_id, facts=False, erased=False)


def _replay(row: Row) -> Replay:
    return Replay(
        id=as_uuid(row.id),
        handler=row.handler,
        since=as_instant(row.since),
        until=as_instant(row.until),
        tenant_id=as_uuid(row.tenant_id) if row.tenant_id else None,
        cursor=Cursor(row.at_transaction, row.at_position),
        end=Cursor(row.end_transaction, row.end_position),
        made=row.made,
        started_by=row.started_by,
        done=row.ended_at is not None,
    )


_COLUMNS = """id, handler, since, until, tenant_id, at_transaction, at_position, end_transaction, end_position, made,
    started_by, ended_at"""
_BEGIN = Sql("""
    INSERT INTO replays (id, handler, since, until, tenant_id, at_transaction, at_position, end_transaction,
        end_position, made, started_by, started_at)
    VALUES (:id, :handler, :since, :until, :tenant_id, 0, 0, :end_transaction, :end_position, 0, :by, NOW)
""")
_GET = Sql(f"SELECT {_COLUMNS} FROM replays WHERE id = :id")
# Taken first: of two who continue a replay at once, the second sees where the first has come to.
_LOCK = Sql(f"UPDATE replays SET made = made WHERE id = :id AND ended_at IS NULL RETURNING {_COLUMNS}")
_ADVANCE = Sql("""
    UPDATE replays SET at_transaction = :at_transaction, at_position = :at_position, made = made + :made,
        ended_at = CASE WHEN :done = 1 THEN NOW END
    WHERE id = :id
""")
# The database hands them out itself, like everything that is sent again.
_DELIVER = Sql("""
    INSERT INTO deliveries (id, event_id, kind, name, handler, version, queue, priority, direct, state, run_at,
        attempt, crashes, partition_key, tenant_id, user_id, request_id, traceparent, occurred_at, payload)
    SELECT :id, id, 'event', name, :handler, version, :queue, :priority, 1, 'ready', NOW, 0, 0, partition_key,
        tenant_id, user_id, request_id, traceparent, occurred_at, payload
    FROM events WHERE position = :position AND erased_at IS NULL
""")
