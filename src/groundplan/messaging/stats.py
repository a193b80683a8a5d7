"""How the queue stands, for the console, the metrics and ``groundplan queue``."""

import msgspec

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one handler's deliveries; ``oldest_seconds`` is how long the oldest ready one has waited."""

    queue: str
    handler: str
    ready: int
    scheduled: int
    leased: int
    retrying: int
    oldest_seconds: float


class QueueStats:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> list[QueueRow]:
        rows = await self._database.execute(_STATS)
        return [
            QueueRow(
                queue=row.queue,
                handler=row.handler,
                ready=int(row.ready),
                scheduled=int(row.scheduled),
                leased=int(row.leased),
                retrying=int(row.retrying),
                oldest_seconds=max(0.0, float(row.oldest or 0)),
            )
            for row in rows
        ]


_COUNTS = """SELECT queue, handler,
    SUM(CASE WHEN state = 'ready' AND run_at <= NOW THEN 1 ELSE 0 END) AS ready,
    SUM(CASE WHEN state = 'ready' AND run_at > NOW AND attempt = 0 THEN 1 ELSE 0 END) AS scheduled,
    SUM(CASE WHEN state = 'ready' AND run_at > NOW AND attempt > 0 THEN 1 ELSE 0 END) AS retrying,
    SUM(CASE WHEN state = 'leased' THEN 1 ELSE 0 END) AS leased"""
_GROUP = "FROM deliveries GROUP BY queue, handler ORDER BY queue, handler"
_STATS = Sql(
    postgresql=f"""{_COUNTS},
    EXTRACT(EPOCH FROM NOW - MIN(run_at) FILTER (WHERE state = 'ready' AND run_at <= NOW)) AS oldest {_GROUP}""",
    sqlite=f"""{_COUNTS},
    (NOW - MIN(CASE WHEN state = 'ready' AND run_at <= NOW THEN run_at END)) / 1000000.0 AS oldest {_GROUP}""",
)
