"""For the tests of features and their handlers: an app whose handlers run when the test says so, and never beside it.

async with app_in_test(app, tmp_path) as shop:
    ...                                                   # act: over HTTP, or by a context
    with shop.failing("orders.send_receipt"):             # once, then it works
        ended = await shop.run_until_idle()
    assert ended.of("orders.send_receipt") == ["retried", "done"]
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import httpx2

from groundplan.app import App, Event, Job, Tick
from groundplan.backend.worker.part import WorkerPart
from groundplan.data.database.sql import Sql
from groundplan.messaging.message import Envelope, decode, message_name
from groundplan.security.principal import Tenant
from groundplan.testing.app import RunningApp, prepared, served
from groundplan.testing.runs import At, Ended, Endings, Outcome, Runs
from groundplan.wiring import Process

__all__ = ["AppInTest", "At", "Ended", "Endings", "Outcome", "app_in_test"]

E = TypeVar("E", bound=Event)
J = TypeVar("J", bound=Job)
MOST_RUNS = 1_000


class AppInTest(RunningApp):
    """Everything is as in production, but that no worker runs: ``run_until_idle`` is the worker, and its clock."""

    def __init__(self, process: Process, client: httpx2.AsyncClient, tenant: Tenant) -> None:
        super().__init__(process, client, tenant)
        self._runs = Runs(self.services, self._calls)

    async def run_until_idle(self, *, most: int = MOST_RUNS) -> Endings:
        """Runs the handlers of all that waits, one at a time, and of all that they publish, until nothing is left.

        What waits for a time (a retry, a snooze, a delayed job) is due at once, the earliest first. Schedules do not
        fire by themselves (``tick`` does it), and paused queues stay as they are.
        """
        return await self._runs.until_idle(most)

    async def published(self, kind: type[E]) -> list[E]:
        """The events of this kind that were published, in commit order."""
        rows = await self.services.database.execute(_PUBLISHED, name=message_name(kind))
        return [decode(kind, row.payload, row.version) for row in rows]

    async def enqueued(self, kind: type[J]) -> list[J]:
        """The jobs of this kind that wait, in the order in which they were enqueued."""
        rows = await self.services.database.execute(_ENQUEUED, name=message_name(kind))
        return [decode(kind, row.payload, row.version) for row in rows]

    async def tick(self, handler: str, *, at: datetime | None = None) -> UUID:
        """Lets a scheduled handler be due, for this app's tenant if it runs for every one. ``at`` is by default now.

        Raises:
            LookupError: no scheduled handler has that name.
        """
        found = self.services.assembly.handlers.get(handler)
        if found is None or found.schedule is None:
            raise LookupError(f"No scheduled handler is named {handler!r}.")
        tenant_id = self.tenant.id if found.schedule.every_tenant else None
        envelope = Envelope(tenant_id=tenant_id, user_id=None, request_id="test", traceparent="")
        async with self.services.database.transaction(None) as transaction:
            draft = self.services.outbox.draft(transaction, envelope)
            return draft.run(found, Tick(at=at or self.services.clock.now()))

    def failing(
        self, handler: str, *, times: int = 1, error: Exception | None = None, at: At = "start"
    ) -> AbstractContextManager[None]:
        """Within the block, the handler's next runs fail with ``error``, so many ``times``; then it works.

        ``at="start"`` fails before its first line. ``at="commit"`` lets it do everything, also outside, and refuses
        its transaction: what the next run does again, ``ctx.message_id`` must recognise.

        Raises:
            LookupError: no handler has that name.
            AssertionError: at the end of the block, if it ran less often than it was to fail.
        """
        return self._runs.failing(handler, times, error or ConnectionError("The test wants this run to fail."), at)


@asynccontextmanager
async def app_in_test(app: App, folder: Path, *, owner_url: str = "", **environment: str) -> AsyncIterator[AppInTest]:
    """The app in ``folder``, on SQLite there unless DATABASE_URL says otherwise; migrated, with one tenant.

    Whatever QUEUE_URL says, the database hands its deliveries out.
    ``owner_url`` is how the owner of the tables connects, where the application's role owns nothing.
    """
    process = await prepared(app, folder, "all", owner_url, environment)
    parts = [part for part in process.parts if not isinstance(part, WorkerPart)]
    async with served(process, parts) as (client, tenant):
        yield AppInTest(process, client, tenant)


_PUBLISHED = Sql(
    postgresql="""SELECT version, CAST(payload AS TEXT) AS payload FROM events
    WHERE name = :name AND erased_at IS NULL ORDER BY transaction, position""",
    sqlite="""SELECT version, payload FROM events WHERE name = :name AND erased_at IS NULL ORDER BY position""",
)
_ENQUEUED = Sql(
    postgresql="""SELECT version, CAST(payload AS TEXT) AS payload FROM deliveries
    WHERE kind = 'job' AND name = :name ORDER BY position""",
    sqlite="SELECT version, payload FROM deliveries WHERE kind = 'job' AND name = :name ORDER BY rowid",
)
