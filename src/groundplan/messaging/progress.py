"""How far long jobs are, for whoever started one and for the console."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid

State = Literal["running", "done", "failed"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """``total`` is None where nobody knows it. ``state`` is ``failed`` between two attempts too."""

    message_id: UUID
    handler: str
    tenant_id: UUID | None
    user_id: UUID | None
    done: int
    total: int | None
    note: str
    state: State
    started_at: datetime
    at: datetime


class ProgressBoard:
    """Kept beside the job's transaction, so that everyone sees it while that is still open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(
        self,
        message_id: UUID,
        handler: str,
        tenant_id: UUID | None,
        user_id: UUID | None,
        *,
        done: int,
        total: int | None,
        note: str,
    ) -> None:
        await self._database.execute(
            _REPORT,
            message_id=message_id,
            handler=handler,
            tenant_id=tenant_id,
            user_id=user_id,
            done=done,
            total=total,
            note=note,
        )

    async def end(self, message_id: UUID, state: State) -> None:
        """Of a job that reported; of another it does nothing."""
        await self._database.execute(_END, message_id=message_id, state=state)

    async def of(self, message_ids: Collection[UUID], tenant_id: UUID | None) -> dict[UUID, Progress]:
        """Of those that have told something and are the tenant's."""
        if not message_ids:
            return {}
        rows = await self._database.execute(_OF, ids=json.dumps([str(each) for each in message_ids]))
        found = [_progress(row) for row in rows]
        return {each.message_id: each for each in found if each.tenant_id == tenant_id}

    async def newest(self, limit: int) -> list[Progress]:
        """Those that run first, then the latest of the others."""
        return [_progress(row) for row in await self._database.execute(_NEWEST, limit=limit)]


def _progress(row: Row) -> Progress:
    return Progress(
        message_id=as_uuid(row.message_id),
        handler=row.handler,
        tenant_id=as_uuid(row.tenant_id) if row.tenant_id else None,
        user_id=as_uuid(row.user_id) if row.user_id else None,
        done=int(row.done),
        total=None if row.total is None else int(row.total),
        note=row.note,
        state=row.state,
        started_at=as_instant(row.started_at),
        at=as_instant(row.at),
    )


_COLUMNS = "message_id, handler, tenant_id, user_id, done, total, note, state, started_at, at"
_REPORT = Sql(f"""INSERT INTO progress ({_COLUMNS})
    VALUES (:message_id, :handler, :tenant_id, :user_id, :done, :total, :note, 'running', NOW, NOW)
    ON CONFLICT (message_id) DO UPDATE SET done = excluded.done, total = excluded.total, note = excluded.note,
        state = 'running', at = excluded.at""")
_END = Sql("UPDATE progress SET state = :state, at = NOW WHERE message_id = :message_id")
_READ = f"SELECT {_COLUMNS} FROM progress WHERE message_id IN"
_OF = Sql(
    postgresql=f"{_READ} (SELECT CAST(e AS uuid) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) e)",
    sqlite=f"{_READ} (SELECT value FROM json_each(:ids))",
)
_NEWEST = Sql(f"""SELECT {_COLUMNS} FROM progress
    ORDER BY CASE state WHEN 'running' THEN 0 ELSE 1 END, at DESC LIMIT :limit""")
