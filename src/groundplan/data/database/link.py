"""A connection in use, driven directly: through SQLAlchemy's layers a statement of ours costs three times as much.

Objects are SQLAlchemy's all the same: a session works on the same connection, inside the transaction begun here.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy.engine.base import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from groundplan.data.database.sql import Row, Sql


class Step(NamedTuple):
    """A statement that goes along with the begin or the commit of a transaction, in the same round trip.

    With ``otherwise`` the transaction depends on it: where it finds no row there is none, and this is raised.
    """

    sql: Sql
    values: Mapping[str, Any]
    otherwise: Exception | None = None


class Next(NamedTuple):
    """Who has the connection after a commit, where somebody waits for it."""

    tenant_id: UUID | None


class Link(Protocol):
    """Raises the driver's own errors; ``database.translated`` knows them."""

    async def begin(self, tenant_id: UUID | None, first: Step | None = None) -> None:
        """Begins to write, and names the tenant to row-level security for this transaction alone."""
        ...

    async def run(self, sql: Sql, values: Mapping[str, Any]) -> list[Row]: ...

    async def run_alone(self, sql: Sql, values: Mapping[str, Any]) -> list[Row]:
        """One relaxed statement, outside any transaction."""
        ...

    async def run_many(self, sql: Sql, many: Sequence[Mapping[str, Any]]) -> None: ...

    async def commit(self, last: Sequence[Step] = (), following: Next | None = None) -> None:
        """Runs the last steps first, in any order, of which one at most says ``otherwise``.

        Begins for those who are ``following`` too, where that saves a round trip; their ``begin`` is done then.
        """
        ...

    async def rollback(self) -> None:
        """Never raises: a connection that cannot roll back is not sound, and discarding it does it too."""
        ...

    def for_session(self) -> AsyncConnection: ...

    @property
    def is_sound(self) -> bool:
        """Whether another unit of work may have it: it is open, and no transaction is."""
        ...

    @property
    def is_ahead(self) -> bool:
        """Whether its last commit has begun for those who follow."""
        ...

    def discard(self) -> None: ...


def shared_with_session(engine: AsyncEngine, pooled: Any) -> AsyncConnection:
    """SQLAlchemy's view of a connection that is checked out already; its engine leaves transactions to us."""
    return AsyncConnection(engine, Connection(engine.sync_engine, connection=pooled))


async def to_its_end(work: Awaitable[None]) -> None:
    """Awaits it even where the caller is cancelled meanwhile, and only then lets the cancellation through."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
