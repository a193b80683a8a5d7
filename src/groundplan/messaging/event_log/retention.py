"""What people may ask to have forgotten, and what is old enough to go.

The application may only add to the event log, so this runs as the owner of the tables. What has happened stays in the
log; what it said, and who did it, does not.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from groundplan.core.errors import ConfigurationError
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.messaging.message import trace_id_of


class Subject(msgspec.Struct, frozen=True):
    """Whose events: those of a user, or of a whole tenant."""

    kind: Literal["user", "tenant"]
    id: UUID


class Retention:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def check_rights(self) -> None:
        """Raises ConfigurationError where this role may not change the log."""
        (row,) = await self._database.execute(_RIGHTS)
        if not row.allowed:
            raise ConfigurationError(
                "The application's role may only add to the event log. Set DATABASE_MIGRATE_URL to the address with "
                "which the owner of the tables connects."
            )

    async def last_position(self) -> int:
        (row,) = await self._database.execute(_LAST)
        return int(row.position)

    async def erase_events(self, transaction: Transaction, subject: Subject, *, after: int, up_to: int) -> int:
        """Empties the subject's events between two positions, and what went wrong when they were handled."""
        rows = await transaction.execute(_ERASE_EVENTS[subject.kind], id=subject.id, after=after, up_to=up_to)
        traces = {trace_id_of(row.traceparent) for row in rows} - {""}
        if traces:
            await transaction.execute(_ERASE_ATTEMPTS_OF_TRACES, traces=_json(traces))
        return len(rows)

    async def erase_dead_letters(self, transaction: Transaction, subject: Subject, *, limit: int) -> int:
        """Empties some of the subject's dead letters and the errors of their attempts; people decide to drop them."""
        rows = await transaction.execute(_ERASE_DEAD_LETTERS[subject.kind], id=subject.id, limit=limit)
        if rows:
            await transaction.execute(_ERASE_ATTEMPTS, ids=_json({str(row.id) for row in rows}))
        return len(rows)

    async def waiting(self, subject: Subject) -> int:
        """How many of the subject's messages still wait for a worker; these are left alone."""
        return int((await self._database.execute(_WAITING[subject.kind], id=subject.id))[0].n)

    async def prune(self, transaction: Transaction, *, before: datetime, limit: int) -> int:
        """Removes up to ``limit`` events that happened before a time, and says how many.

        The newest one always stays: without it SQLite would give out its positions again.
        """
        return len(await transaction.execute(_PRUNE, before=before, limit=limit))


def _json(values: set[str]) -> str:
    return msgspec.json.encode(sorted(values)).decode()


def _for_each(statement: str) -> dict[str, Sql]:
    return {kind: Sql(statement.replace("OWNER", f"{kind}_id")) for kind in ("user", "tenant")}


_RIGHTS = Sql(
    postgresql="""SELECT has_table_privilege('events', 'UPDATE') AND has_table_privilege('events', 'DELETE')
    AS allowed""",
    sqlite="SELECT 1 AS allowed",
)
_LAST = Sql("SELECT COALESCE(MAX(position), 0) AS position FROM events")
_ERASE_EVENTS = _for_each("""
    UPDATE events SET payload = '{}', user_id = NULL, erased_at = NOW
    WHERE position > :after AND position <= :up_to AND OWNER = :id AND erased_at IS NULL RETURNING traceparent
""")
_ERASE_DEAD_LETTERS = _for_each("""
    UPDATE dead_letters SET payload = '{}', original_payload = NULL, detail = '', stack = '', user_id = NULL
    WHERE id IN (
        SELECT id FROM dead_letters
        WHERE OWNER = :id AND (user_id IS NOT NULL OR CAST(payload AS TEXT) <> '{}') LIMIT :limit
    ) RETURNING id
""")
_WAITING = _for_each("SELECT COUNT(*) AS n FROM deliveries WHERE OWNER = :id")
_ERASE_ATTEMPTS = Sql(
    postgresql="""UPDATE attempts SET detail = '', stack = ''
    WHERE delivery_id IN (SELECT CAST(jsonb_array_elements_text(CAST(:ids AS jsonb)) AS uuid))""",
    sqlite="""UPDATE attempts SET detail = '', stack = ''
    WHERE delivery_id IN (SELECT value FROM json_each(:ids))""",
)
_ERASE_ATTEMPTS_OF_TRACES = Sql(
    postgresql="""UPDATE attempts SET detail = '', stack = ''
    WHERE trace_id IN (SELECT jsonb_array_elements_text(CAST(:traces AS jsonb)))""",
    sqlite="""UPDATE attempts SET detail = '', stack = ''
    WHERE trace_id IN (SELECT value FROM json_each(:traces))""",
)
_PRUNE = Sql("""
    DELETE FROM events WHERE position IN (
        SELECT position FROM events
        WHERE occurred_at < :before AND position < (SELECT MAX(position) FROM events)
        ORDER BY position LIMIT :limit
    ) RETURNING id
""")
