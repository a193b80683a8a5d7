"""The idempotency keys that are kept: looked up by people, deleted when their time is over."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from groundplan.core.redaction import redact
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant

KEEP_SECONDS = 48 * 3600.0
"""A key is kept a day at least; two leave room for a client that retries over a weekend's night."""
BATCH = 5_000
"""Rows of one deletion, so that writers never wait for it."""


class KeptKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key with the reply that is replayed. ``who`` is a user's id, ``system`` or ``visitor``."""

    key: str
    tenant_id: UUID
    who: str
    route: str
    status: int
    reply: Any
    """As JSON; None where the reply had no body."""
    created_at: datetime


class IdempotencyKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, *, key: str = "", limit: int = 50) -> list[KeptKey]:
        """Newest first; with ``key`` only those of exactly that key, of every tenant, user and route."""
        rows = await self._database.execute(_OF_KEY if key else _NEWEST, key=key, limit=limit)
        return [_kept(row) for row in rows]

    async def sweep(self) -> int:
        """Deletes those whose time is over, in batches; returns how many."""
        total, deleted = 0, BATCH
        while deleted == BATCH:
            deleted = len(await self._database.execute(_SWEEP, keep=KEEP_SECONDS, most=BATCH))
            total += deleted
        return total


def _kept(row: Row) -> KeptKey:
    tenant, who, route = row.scope.split(" ", 2)
    body = bytes(row.body)
    return KeptKey(
        key=row.key,
        tenant_id=UUID(tenant),
        who=who,
        route=route,
        status=row.status,
        reply=redact(msgspec.json.decode(body)) if body else None,
        created_at=as_instant(row.created_at),
    )


_COLUMNS = "scope, key, status, body, created_at"
_NEWEST = Sql(f"SELECT {_COLUMNS} FROM idempotency WHERE :key = '' ORDER BY created_at DESC, key LIMIT :limit")
_OF_KEY = Sql(f"SELECT {_COLUMNS} FROM idempotency WHERE key = :key ORDER BY created_at DESC LIMIT :limit")
_SWEEP = Sql("""DELETE FROM idempotency WHERE (scope, key) IN (
    SELECT scope, key FROM idempotency WHERE created_at < NOW - SECONDS(:keep) LIMIT :most) RETURNING key""")
