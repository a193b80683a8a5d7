"""What people do to a queue: pause it, resume it, cancel a message in it."""

from collections.abc import Collection
from uuid import UUID

from groundplan.core.clock import Clock
from groundplan.core.errors import NotFound
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

    async def paused_now(self) -> frozenset[str]:
        """By name, as it stands at this moment."""
        self._forget()
        return await self.paused()

    async def check(self, name: str, known: Collection[str]) -> None:
        """Raises NotFound for a queue that is neither ``known`` nor paused: a slip of the pen would pause nothing."""
        if name not in known and name not in await self.paused_now():
            raise NotFound(f"There is no queue {name!r}. There are: {', '.join(sorted(known)) or 'none'}.")

    async def pause(self, transaction: Transaction, name: str) -> None:
        await self._set(transaction, name, paused=1)

    async def resume(self, transaction: Transaction, name: str) -> None:
        await self._set(transaction, name, paused=0)
        transaction.after_commit(lambda: self._database.notify(WAKE_CHANNEL))

    async def cancel(self, transaction: Transaction, message_id: UUID) -> None:
        """Takes a message out of the queue; a handler that runs already is stopped, and its effects are refused.

        Raises:
            NotFound: it is done, dead, unknown, or at a broker, which takes nothing back.
        """
        if not await transaction.execute(_CANCEL, id=message_id):
            raise NotFound(f"There is no message {message_id} in the queue. It may be done, dead, or at the broker.")

    async def _set(self, transaction: Transaction, name: str, *, paused: int) -> None:
        await transaction.execute(_SET, name=name, paused=paused)
        transaction.after_commit(self._forget)

    def _forget(self) -> None:
        self._read_at = -_REFRESH_SECONDS


_PAUSED = Sql("SELECT name FROM queues WHERE paused = 1")
_CANCEL = Sql("DELETE FROM deliveries WHERE id = :id RETURNING id")
_SET = Sql("""INSERT INTO queues (name, paused) VALUES (:name, :paused)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused""")
