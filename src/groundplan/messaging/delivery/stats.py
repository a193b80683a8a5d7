"""How the queue stands, for the console, the metrics and ``groundplan queue``."""

import json
from typing import Any

import msgspec

from groundplan.core.errors import Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.queue.port import Broker
from groundplan.messaging.handlers import Handlers


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one handler's deliveries, handed off ones under ``leased``.

    ``unclaimed`` are the ready ones whose handler or version this release does not know: they wait for another.
    ``oldest_seconds`` is how long the oldest ready one has waited.
    """

    queue: str
    handler: str
    ready: int
    scheduled: int
    leased: int
    retrying: int
    unclaimed: int = 0
    oldest_seconds: float


AT_BROKER = "at the broker"


class QueueStats:
    """With the broker, where this process has one: its messages are no rows any more."""

    def __init__(self, database: Database, handlers: Handlers, broker: Broker | None = None) -> None:
        self._database = database
        self._broker = broker
        self._known = json.dumps(handlers.known_versions())
        self.names = sorted({handler.queue for handler in handlers})
        """Of the queues that this release's handlers take from."""

    async def read(self) -> list[QueueRow]:
        return await self._in_database() + await self._at_broker()

    async def _at_broker(self) -> list[QueueRow]:
        """None while the broker is away: the health page says that."""
        if self._broker is None:
            return []
        try:
            depths = await self._broker.depth(self.names)
        except Unavailable:
            return []
        empty: dict[str, Any] = {"scheduled": 0, "leased": 0, "retrying": 0, "oldest_seconds": 0.0}
        return [
            QueueRow(queue=queue, handler=AT_BROKER, ready=count, **empty) for queue, count in depths.items() if count
        ]

    async def _in_database(self) -> list[QueueRow]:
        rows = await self._database.execute(_STATS, known=self._known)
        return [
            QueueRow(
                queue=row.queue,
                handler=row.handler,
                ready=int(row.ready),
                scheduled=int(row.scheduled),
                leased=int(row.leased),
                retrying=int(row.retrying),
                unclaimed=int(row.unclaimed),
                oldest_seconds=max(0.0, float(row.oldest or 0)),
            )
            for row in rows
        ]


_COUNTS = """SELECT queue, handler,
    SUM(CASE WHEN state = 'ready' AND run_at <= NOW THEN 1 ELSE 0 END) AS ready,
    SUM(CASE WHEN state = 'ready' AND run_at > NOW AND attempt = 0 THEN 1 ELSE 0 END) AS scheduled,
    SUM(CASE WHEN state = 'ready' AND run_at > NOW AND attempt > 0 THEN 1 ELSE 0 END) AS retrying,
    SUM(CASE WHEN state <> 'ready' THEN 1 ELSE 0 END) AS leased"""
_UNCLAIMED = "SUM(CASE WHEN state = 'ready' AND run_at <= NOW AND version > COALESCE(KNOWN, 0) THEN 1 ELSE 0 END)"
_KNOWN_POSTGRESQL = "CAST(CAST(:known AS jsonb) ->> handler AS integer)"
_KNOWN_SQLITE = """json_extract(:known, '$."' || handler || '"')"""
_GROUP = "FROM deliveries GROUP BY queue, handler ORDER BY queue, handler"
_STATS = Sql(
    postgresql=f"""{_COUNTS}, {_UNCLAIMED.replace("KNOWN", _KNOWN_POSTGRESQL)} AS unclaimed,
    EXTRACT(EPOCH FROM NOW - MIN(run_at) FILTER (WHERE state = 'ready' AND run_at <= NOW)) AS oldest {_GROUP}""",
    sqlite=f"""{_COUNTS}, {_UNCLAIMED.replace("KNOWN", _KNOWN_SQLITE)} AS unclaimed,
    (NOW - MIN(CASE WHEN state = 'ready' AND run_at <= NOW THEN run_at END)) / 1000000.0 AS oldest {_GROUP}""",
)
