"""The append-only event log: everything that was published, and the facts that analytics noted.

It is read in commit order. Positions are given out before their transactions commit, so a reader who went by position
alone would lose the rows of a transaction that commits late. On PostgreSQL a row is therefore read once every
transaction that began before its own has ended, and rows go by (transaction, position): a transaction that stays open
holds readers back, and never costs them a row. SQLite has one writer, so there the position is the commit order.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

import msgspec

from groundplan.core.errors import Invalid
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid
from groundplan.messaging.message import trace_id_of

PREFIX = "analytics."
"""A fact is not a domain event of that name: replaying one must never meet the other."""

Execute = Callable[..., Awaitable[list[Row]]]
"""Runs a statement by itself, or in a transaction: ``Database.execute`` or ``Transaction.execute``."""


class Cursor(NamedTuple):
    """A place in commit order, written ``812-1045``."""

    transaction: int
    """Always 0 on SQLite."""
    position: int

    def __str__(self) -> str:
        return f"{self.transaction}-{self.position}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Invalid."""
        transaction, _, position = text.partition("-")
        if not (transaction.isdecimal() and position.isdecimal()):
            raise Invalid(f"{text!r} is not a place in the event log. One looks like 812-1045.")
        return cls(int(transaction), int(position))


START, END = Cursor(0, 0), Cursor(2**62, 2**62)


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log. Of an erased one, payload and user are gone."""

    cursor: Cursor
    id: UUID
    name: str
    version: int
    tenant_id: UUID | None
    user_id: UUID | None
    request_id: str
    trace_id: str
    partition_key: str | None
    occurred_at: datetime
    erased: bool
    payload: str


class Only(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows: all of these must hold. No ``names`` means every name; facts are what analytics noted."""

    names: Sequence[str] = ()
    tenant_id: UUID | None = None
    since: datetime = datetime.min.replace(tzinfo=UTC)
    until: datetime = datetime.max.replace(tzinfo=UTC)
    facts: bool = True
    erased: bool = True

    def values(self) -> dict[str, Any]:
        return {
            "names": json.dumps(list(self.names)),
            "tenant_id": self.tenant_id,
            "since": self.since,
            "until": self.until,
            "facts": int(self.facts),
            "erased": int(self.erased),
        }


EVERY_ROW = Only()


class EventLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, facts: Sequence[Any]) -> None:
        """Adds facts in one batch; each names the tenant, user and request it was seen in."""
        async with self._database.transaction(None) as transaction:
            await transaction.execute_many(
                _APPEND,
                [
                    {
                        "id": uuid7(),
                        "name": f"{PREFIX}{fact.name}",
                        "tenant_id": fact.tenant_id,
                        "user_id": fact.user_id,
                        "request_id": fact.request_id,
                        "traceparent": fact.traceparent,
                        "at": fact.at,
                        "payload": msgspec.json.encode(fact.properties, enc_hook=str).decode(),
                    }
                    for fact in facts
                ],
            )

    async def read(self, after: Cursor | None = None, limit: int = 500, *, only: Only = EVERY_ROW) -> list[Logged]:
        """The next rows in commit order; a reader who goes on after the last one misses none and sees none twice."""
        return await read_page(self._database.execute, after or START, END, limit, only)

    async def follow(self, after: Cursor, limit: int = 500, *, only: Only = EVERY_ROW) -> tuple[list[Logged], Cursor]:
        """The next rows and where to go on, which moves past what is not wanted: for who waits for a rare name."""
        end = await self.end()
        rows = await self.read(after, limit, only=only)
        if len(rows) == limit:
            return rows, rows[-1].cursor
        return rows, max(after, end, *(row.cursor for row in rows[-1:]))

    async def newest(self, limit: int = 50, *, only: Only = EVERY_ROW) -> list[Logged]:
        """The last rows in commit order, newest first."""
        return [_logged(row) for row in await self._database.execute(_NEWEST, limit=limit, **only.values())]

    async def count(self, *, only: Only = EVERY_ROW) -> int:
        """How many rows ``read`` would give in all."""
        return int((await self._database.execute(_COUNT, **only.values()))[0].n)

    async def end(self) -> Cursor:
        """The last place up to which nothing will be added any more."""
        (row,) = await self._database.execute(_END)
        return Cursor(row.at_transaction, row.at_position)


async def read_page(execute: Execute, after: Cursor, end: Cursor, limit: int, only: Only) -> list[Logged]:
    """Up to ``limit`` rows after one place and up to another, in commit order."""
    rows = await execute(
        _READ,
        after_transaction=after.transaction,
        after_position=after.position,
        end_transaction=end.transaction,
        end_position=end.position,
        limit=limit,
        **only.values(),
    )
    return [_logged(row) for row in rows]


def _logged(row: Row) -> Logged:
    return Logged(
        cursor=Cursor(row.at_transaction, row.position),
        id=as_uuid(row.id),
        name=row.name,
        version=row.version,
        tenant_id=as_uuid(row.tenant_id) if row.tenant_id else None,
        user_id=as_uuid(row.user_id) if row.user_id else None,
        request_id=row.request_id,
        trace_id=trace_id_of(row.traceparent),
        partition_key=row.partition_key,
        occurred_at=as_instant(row.occurred_at),
        erased=bool(row.erased),
        payload=row.payload,
    )


_COLUMNS = """position, id, name, version, tenant_id, user_id, request_id, traceparent, partition_key, occurred_at,
    CASE WHEN erased_at IS NULL THEN 0 ELSE 1 END AS erased, CAST(payload AS TEXT) AS payload"""
_ONLY = """occurred_at >= :since AND occurred_at < :until AND (:facts = 1 OR name NOT LIKE 'analytics.%')
    AND (:erased = 1 OR erased_at IS NULL)"""
_ONLY_POSTGRESQL = f"""transaction < pg_snapshot_xmin(pg_current_snapshot()) AND {_ONLY}
    AND (CAST(:names AS jsonb) = '[]' OR name IN (SELECT jsonb_array_elements_text(CAST(:names AS jsonb))))
    AND (CAST(:tenant_id AS uuid) IS NULL OR tenant_id = CAST(:tenant_id AS uuid))"""
_ONLY_SQLITE = f"""{_ONLY} AND (:names = '[]' OR name IN (SELECT value FROM json_each(:names)))
    AND (:tenant_id IS NULL OR tenant_id = :tenant_id)"""

_READ = Sql(
    postgresql=f"""SELECT transaction AS at_transaction, {_COLUMNS} FROM events
    WHERE (transaction, position) > (CAST(:after_transaction AS xid8), CAST(:after_position AS bigint))
        AND (transaction, position) <= (CAST(:end_transaction AS xid8), CAST(:end_position AS bigint))
        AND {_ONLY_POSTGRESQL}
    ORDER BY transaction, position LIMIT :limit""",
    sqlite=f"""SELECT 0 AS at_transaction, {_COLUMNS} FROM events
    WHERE position > :after_position AND position <= :end_position AND {_ONLY_SQLITE}
    ORDER BY position LIMIT :limit""",
)
_NEWEST = Sql(
    postgresql=f"""SELECT transaction AS at_transaction, {_COLUMNS} FROM events WHERE {_ONLY_POSTGRESQL}
    ORDER BY transaction DESC, position DESC LIMIT :limit""",
    sqlite=f"""SELECT 0 AS at_transaction, {_COLUMNS} FROM events WHERE {_ONLY_SQLITE}
    ORDER BY position DESC LIMIT :limit""",
)
_COUNT = Sql(
    postgresql=f"SELECT COUNT(*) AS n FROM events WHERE {_ONLY_POSTGRESQL}",
    sqlite=f"SELECT COUNT(*) AS n FROM events WHERE {_ONLY_SQLITE}",
)
_END = Sql(
    postgresql="SELECT pg_snapshot_xmin(pg_current_snapshot()) AS at_transaction, 0 AS at_position",
    sqlite="SELECT 0 AS at_transaction, COALESCE(MAX(position), 0) AS at_position FROM events",
)
_APPEND = Sql("""
    INSERT INTO events (id, name, version, tenant_id, user_id, request_id, traceparent, occurred_at, payload)
    VALUES (:id, :name, 1, :tenant_id, :user_id, :request_id, :traceparent, :at, :payload)
""")
