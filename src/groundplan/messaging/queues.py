"""Queues that are paused: their deliveries wait, wherever they are, until somebody resumes them."""

from groundplan.core.clock import Clock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.messaging.outbox import WAKE_CHANNEL

_REFRESH_SECONDS = 0.5


class Queues:
    """What runs already is not stopped by a pause. Every worker sees one within a second."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._paused: frozenset[str] = frozenset()
        self._read_at = -_REFRESH_SECONDS

    async def paused(self) -> frozenset[str]:
        """By name; read twice a second at most."""
        if self._clock.monotonic() - self._read_at >= _REFRESH_SECONDS:
            self._paused = frozenset(row.name for row in await self._database.execute(_PAUSED))
            self._read_at = self._clock.monotonic()
        return self._paused

    async def pause(self, transaction: Transaction, name: str) -> None:
        await self._set(transaction, name, paused=1)

    async def resume(self, transaction: Transaction, name: str) -> None:
        await self._set(transaction, name, paused=0)
        transaction.after_commit(lambda: self._database.notify(WAKE_CHANNEL))

    async def _set(self, transaction: Transaction, name: str, *, paused: int) -> None:
        await transaction.execute(_SET, name=name, paused=paused)
        transaction.after_commit(self._forget)

    def _forget(self) -> None:
        self._read_at = -_REFRESH_SECONDS


_PAUSED = Sql("SELECT name FROM queues WHERE paused = 1")
_SET = Sql("""INSERT INTO queues (name, paused) VALUES (:name, :paused)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused""")
