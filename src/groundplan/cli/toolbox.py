"""The services a command needs, without serving anything; beside a running server too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from groundplan.cli.project import Project
from groundplan.core.clock import SystemClock
from groundplan.core.context import changed
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters import DeadLetters
from groundplan.messaging.stats import QueueStats
from groundplan.security.audit import AuditLog
from groundplan.wiring import assemble, open_database


@dataclass(frozen=True, slots=True)
class Toolbox:
    database: Database
    dead_letters: DeadLetters
    queue_stats: QueueStats
    audit: AuditLog

    @asynccontextmanager
    async def audited(self, action: str, subject: str, *, actor: str, **detail: Any) -> AsyncIterator[Transaction]:
        """A transaction that writes its audit row with what it does."""
        async with self.database.transaction(None) as transaction:
            self.audit.add(transaction, action, subject, actor=actor, tenant_id=None, detail=detail)
            yield transaction


@asynccontextmanager
async def toolbox(project: Project) -> AsyncIterator[Toolbox]:
    database = open_database(project.settings().settings, exclusive=False)
    assembly = assemble(project.app())
    await database.open()
    try:
        with changed(request_id=f"cli_{uuid7().hex}", role="cli"):
            yield Toolbox(
                database, DeadLetters(database, assembly.handlers), QueueStats(database), AuditLog(SystemClock())
            )
    finally:
        await database.close()
