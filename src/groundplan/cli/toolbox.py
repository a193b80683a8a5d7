"""The services a command needs, without serving anything; beside a running server too."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from groundplan.app.application import Assembly
from groundplan.cli.project import Project, find_project
from groundplan.core.clock import SystemClock
from groundplan.core.context import changed
from groundplan.core.errors import NotFound
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters.groups import DeadLetterGroups
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.security.audit import AuditLog
from groundplan.security.tenants import Tenants
from groundplan.wiring import assemble, open_database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Toolbox:
    database: Database
    dead_letters: DeadLetters
    dead_letter_groups: DeadLetterGroups
    queues: Queues
    queue_stats: QueueStats
    audit: AuditLog
    assembly: Assembly
    tenants: Tenants

    @asynccontextmanager
    async def audited(self, action: str, subject: str, *, actor: str, **detail: Any) -> AsyncIterator[Transaction]:
        """A transaction that writes its audit row with what it does."""
        async with self.database.transaction(None) as transaction:
            self.audit.add(transaction, action, subject, actor=actor, tenant_id=None, detail=detail)
            yield transaction

    async def tenant_id(self, name: str) -> UUID | None:
        """Of a tenant's short name or id; none for an empty name. Raises NotFound."""
        if not name:
            return None
        for tenant in await self.tenants.all():
            if name in (tenant.slug, str(tenant.id)):
                return tenant.id
        known = ", ".join(tenant.slug for tenant in await self.tenants.all()) or "none"
        raise NotFound(f"There is no tenant {name!r}. There are: {known}.")


@asynccontextmanager
async def toolbox(project: Project, *, owner: bool = False) -> AsyncIterator[Toolbox]:
    """``owner`` connects as the owner of the tables, where DATABASE_MIGRATE_URL says how."""
    settings = project.settings().settings
    database = (
        Database(settings.database_migrate_url or settings.database_url, pool_size=2, exclusive=False)
        if owner
        else open_database(settings, exclusive=False)
    )
    assembly = assemble(project.app())
    await database.open()
    try:
        with changed(request_id=f"cli_{uuid7().hex}", role="cli"):
            yield Toolbox(
                database=database,
                dead_letters=DeadLetters(database, assembly.handlers),
                dead_letter_groups=DeadLetterGroups(database),
                queues=Queues(database, SystemClock()),
                queue_stats=QueueStats(database, assembly.handlers),
                audit=AuditLog(SystemClock()),
                assembly=assembly,
                tenants=Tenants(database, SystemClock()),
            )
    finally:
        await database.close()


def with_tools(act: Callable[[Toolbox], Awaitable[T]], *, owner: bool = False) -> T:
    """Runs ``act`` with the tools of the project that the command was called in."""

    async def inside() -> T:
        async with toolbox(find_project(), owner=owner) as tools:
            return await act(tools)

    return asyncio.run(inside())


def whoever_is_here() -> str:
    """The actor of what a command does, for the audit log."""
    return f"{getpass.getuser()} (command line)"
