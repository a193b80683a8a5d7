"""The database: readers, transactions and internal statements, on SQLite or PostgreSQL."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from groundplan.core.context import RequestContext, current, entered, refuse_expired
from groundplan.core.errors import TransactionOpen, Unavailable
from groundplan.data.database import postgresql, sqlite
from groundplan.data.database.failures import translated
from groundplan.data.database.link import Link, Step
from groundplan.data.database.links import Links
from groundplan.data.database.pools import WatchedPool
from groundplan.data.database.sql import Dialect, Row, Sql
from groundplan.data.database.statements import record_statements
from groundplan.data.database.tenancy import doubt_tenant
from groundplan.data.database.uow import Reader, Transaction
from groundplan.data.database.wakes import Wakes

RELAXED_LINKS = 2
"""Of a process to PostgreSQL, for statements that need not wait for the disk."""
PATIENCE_SECONDS = 2.0
"""How long one waits for a free connection."""


class Database:
    """``exclusive=False`` leaves out SQLite's process lock, for short commands beside a running server."""

    def __init__(self, url: str, *, pool_size: int = 10, exclusive: bool = True, log: Any = None) -> None:
        self._url: URL = make_url(url)
        self._log = log
        self.dialect: Dialect = "sqlite" if self._url.get_backend_name() == "sqlite" else "postgresql"
        self._lock: sqlite.ProcessLock | None = None
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._listening: postgresql.Listener | None = None
        self._wakes = Wakes(lambda channel: self.execute(_NOTIFY, channel=channel))
        if self.dialect == "sqlite":
            path = Path(self._url.database or "")
            self._lock = sqlite.ProcessLock(path) if exclusive else None
            self._writer = _sqlite_engine(self._url, path, read_only=False, size=1)
            self._read = _sqlite_engine(self._url, path, read_only=True, size=pool_size)
            self._writing = _links(self._writer, sqlite.SqliteLink, size=1, patience=PATIENCE_SECONDS)
            # Apart from sessions, which would find none left: links keep what they have once taken.
            self._inner = _sqlite_engine(self._url, path, read_only=True, size=pool_size)
            self._reading = _links(self._inner, sqlite.SqliteLink, size=pool_size, patience=PATIENCE_SECONDS)
            self._lax, self._relaxed = self._inner, self._writing
        else:
            self._writer = postgresql.engine(self._url, max(2, pool_size), PATIENCE_SECONDS)
            self._lax = postgresql.engine(self._url, RELAXED_LINKS, PATIENCE_SECONDS, relaxed=True)
            self._read = postgresql.engine(self._url, pool_size, PATIENCE_SECONDS, read_only=True)
            self._inner = self._writer
            # Apart from transactions, or a claim would wait behind all the handlers that it is to feed.
            apart = max(1, pool_size // 4)
            self._writing = _links(
                self._writer,
                postgresql.PostgresqlLink,
                size=max(1, pool_size - apart),
                patience=PATIENCE_SECONDS,
            )
            self._reading = _links(self._writer, postgresql.PostgresqlLink, size=apart, patience=PATIENCE_SECONDS)
            self._relaxed = _links(self._lax, postgresql.PostgresqlLink, size=RELAXED_LINKS, patience=PATIENCE_SECONDS)
            doubt_tenant(self._read.sync_engine)  # before what follows, which ends the round of those who are asked
        for engine in (self._writer, self._read):
            record_statements(engine.sync_engine)

    @property
    def runs_on(self) -> str:
        """For people: which engine, and where."""
        if self.dialect == "sqlite":
            return f"SQLite, {Path(self._url.database or '').name}"
        return f"PostgreSQL, {self._url.database} at {self._url.host}:{self._url.port or 5432}"

    @property
    def waiting(self) -> float:
        """Seconds that the first in the queue for a connection has stood there; 0 where nobody has to."""
        pool = self._read.sync_engine.pool
        reading = pool.waiting if isinstance(pool, WatchedPool) else 0.0
        return max(self._writing.waiting, self._reading.waiting, reading)

    async def open(self) -> None:
        """Takes SQLite's process lock; connections are made when they are needed."""
        if self._lock is not None:
            self._lock.acquire()

    async def close(self) -> None:
        await self._wakes.close()
        if self._listening is not None:
            await self._listening.close()
        self._writing.close()
        self._reading.close()
        self._relaxed.close()
        for engine in {self._read, self._inner, self._writer, self._lax}:
            await engine.dispose()
        if self._lock is not None:
            self._lock.release()

    async def ping(self) -> None:
        await self.execute(_PING)

    def reader(self, tenant_id: UUID | None) -> Reader:
        return Reader(self._read, tenant_id)

    def transaction(
        self, tenant_id: UUID | None, first: Step | None = None
    ) -> AbstractAsyncContextManager[Transaction]:
        """Commits at the end of the block, rolls back if it raises. ``first`` goes along with its begin.

        Raises:
            TransactionOpen: one is open already in this work.
            Unavailable: the database is away, or every connection stayed in use.
        """
        return _Block(self, tenant_id, first)

    async def execute(self, sql: Sql, **values: Any) -> list[Row]:
        """Runs one internal statement by itself."""
        if self.dialect == "sqlite" and not (sql.reads or sql.relaxed):
            async with self.transaction(None) as transaction:
                return await transaction.execute(sql, **values)
        links = self._relaxed if sql.relaxed else self._reading
        link = await self._lent(links)
        try:
            return await (link.run_alone if sql.relaxed else link.run)(sql, values)
        except Exception as error:
            if (known := translated(error)) is not error:
                raise known from error
            raise
        finally:
            links.give(link)

    async def listen(self, channel: str, heard: Callable[[], None]) -> None:
        """Calls ``heard`` after every ``notify`` of the channel, from this process or, on PostgreSQL, any other."""
        self._listeners.setdefault(channel, []).append(heard)
        if self.dialect == "postgresql":
            if self._listening is None:
                self._listening = postgresql.Listener(self._url)
            await self._listening.add(channel, heard)

    async def notify(self, channel: str) -> None:
        """Wakes listeners: at once in this process, and through the database in others."""
        for heard in self._listeners.get(channel, ()):
            heard()
        if self.dialect == "postgresql":
            await self.execute(_NOTIFY, channel=channel)

    def wake(self, channel: str) -> None:
        """As ``notify``, without waiting, for listeners who look by themselves too: a notice may be late, or lost."""
        for heard in self._listeners.get(channel, ()):
            heard()
        if self.dialect == "postgresql":
            self._wakes.wake(channel)

    async def _lent(self, links: Links, tenant_id: UUID | None = None) -> Link:
        try:
            return await links.take(tenant_id)
        except OSError as error:
            raise Unavailable("The database cannot be reached.") from error
        except Exception as error:
            if (known := translated(error)) is not error:
                raise known from error
            raise

    def _after_commit_failed(self, error: Exception) -> None:
        if self._log is not None:
            self._log.error("after-commit hook failed", error=type(error).__name__, detail=str(error)[:500])


class _Block:
    """An ``async with`` around a transaction."""

    __slots__ = ("_database", "_first", "_inside", "_link", "_tenant_id", "_transaction")

    def __init__(self, database: Database, tenant_id: UUID | None, first: Step | None) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._first = first

    async def __aenter__(self) -> Transaction:
        now = current()
        if now is not None and now.in_transaction:
            raise TransactionOpen("A transaction is open already, and transactions do not nest.")
        refuse_expired("it could begin to write")
        links = self._database._writing
        self._link = await self._database._lent(links, self._tenant_id)
        self._transaction = Transaction(self._link, self._tenant_id, links.foresee)
        self._inside = entered(msgspec.structs.replace(now or RequestContext(), in_transaction=True))
        self._inside.__enter__()
        try:
            await self._link.begin(self._tenant_id, self._first)
        except BaseException as error:
            await self._undo(error)
            raise
        return self._transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            await self._undo(error)
            return
        try:
            await self._transaction.finish()
        except BaseException as failed:
            await self._undo(failed)
            raise
        self._leave()
        await self._transaction.run_after_commit(self._database._after_commit_failed)

    async def _undo(self, error: BaseException) -> None:
        """Raises what the rest of the house understands in the error's place, where there is such."""
        try:
            await self._transaction.undo()
        finally:
            self._leave()
        if (known := translated(error)) is not error:
            raise known from error

    def _leave(self) -> None:
        self._inside.__exit__()
        self._database._writing.give(self._link)


def _links(engine: AsyncEngine, kind: Callable[[AsyncEngine, Any], Link], *, size: int, patience: float) -> Links:
    async def make() -> Link:
        return kind(engine, await engine.raw_connection())

    return Links(make, size=size, patience=patience)


def _sqlite_engine(url: URL, path: Path, *, read_only: bool, size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        async_creator=sqlite.creator(path, read_only=read_only),
        pool_size=size,
        max_overflow=0,
        poolclass=WatchedPool,
        pool_timeout=PATIENCE_SECONDS,
        pool_reset_on_return=None,
        hide_parameters=True,
    )


_PING = Sql("SELECT 1 AS one")
_NOTIFY = Sql(postgresql="SELECT pg_notify(:channel, '')", sqlite="SELECT 1")
