"""SQLite on the event loop: sqlite3 called directly, only COMMIT in a thread, because only it waits for the disk.

A thread per connection, as aiosqlite has it, halves the throughput: most statements take microseconds.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from groundplan.core.context import seconds_left
from groundplan.core.errors import ConfigurationError
from groundplan.core.ids import uuid7
from groundplan.data.database.link import Next, Step, shared_with_session, to_its_end
from groundplan.data.database.sql import NEW_ID_SQLITE, NOW_SQLITE, Row, Sql
from groundplan.data.database.statements import measured

BUSY_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.003
_STEPS_BETWEEN_LOOKS = 200_000
"""Of SQLite's virtual machine: some milliseconds."""

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=0", "cache_size=-16000")

_RELAXED = ("PRAGMA synchronous=NORMAL", "PRAGMA wal_autocheckpoint=0")
_AS_EVER = ("PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=1000")


class _Cursor:
    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> "_Cursor":
        return self

    async def execute(self, text: str, parameters: Any = ()) -> "_Cursor":
        self._cursor.execute(text, parameters or ())
        return self

    async def executemany(self, text: str, parameters: Any) -> "_Cursor":
        self._cursor.executemany(text, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def close(self) -> None:
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class Connection:
    """Shaped like an aiosqlite connection, as far as SQLAlchemy's dialect uses one."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._conn = raw
        self._connection = raw
        self.raw = raw
        self.isolation_level = None

    def cursor(self) -> _Cursor:
        return _Cursor(self._conn.cursor())

    async def commit(self) -> None:
        if self._conn.in_transaction:
            await asyncio.to_thread(self._conn.commit)

    async def rollback(self) -> None:
        if self._conn.in_transaction:
            self._conn.rollback()

    async def create_function(self, *arguments: Any, **named: Any) -> None:
        self._conn.create_function(*arguments, **named)

    async def close(self) -> None:
        self._conn.close()

    def stop(self) -> None:
        self._conn.close()


class SqliteLink:
    def __init__(self, engine: AsyncEngine, pooled: Any) -> None:
        self._engine = engine
        self._pooled = pooled
        self._raw: sqlite3.Connection = pooled.driver_connection.raw

    async def begin(self, tenant_id: UUID | None, first: Step | None = None) -> None:
        """Takes the write lock before reading, so that no read has to be upgraded; waits for a short command's."""
        await self._lock()
        if first is not None:
            await self._take(first)

    async def _lock(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + BUSY_SECONDS
        while True:
            try:
                self._raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                if loop.time() > give_up:
                    raise
                await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    async def run(self, sql: Sql, values: Mapping[str, Any]) -> list[Row]:
        text, parameters = sql.bind("sqlite", values)
        with measured(sql.name):
            cursor = self._raw.execute(text, parameters)
            found = cursor.fetchall()
        return sql.rows([column[0] for column in cursor.description], found) if found else []

    async def run_alone(self, sql: Sql, values: Mapping[str, Any]) -> list[Row]:
        """A relaxed statement in a transaction of its own, which is not on the disk when it returns: so it needs no
        thread. What it put into the log gets to the disk with the next commit that waits for it."""
        for pragma in _RELAXED:
            self._raw.execute(pragma)
        try:
            await self.begin(None)
            found = await self.run(sql, values)
            self._raw.execute("COMMIT")
            return found
        except BaseException:
            await self.rollback()
            raise
        finally:
            for pragma in _AS_EVER:
                self._raw.execute(pragma)

    async def run_many(self, sql: Sql, many: Sequence[Mapping[str, Any]]) -> None:
        bound = [sql.bind("sqlite", values) for values in many]
        with measured(sql.name):
            self._raw.executemany(bound[0][0], [parameters for _, parameters in bound])

    async def _take(self, step: Step) -> None:
        found = await self.run(step.sql, step.values)
        if step.otherwise is not None and not found:
            raise step.otherwise

    async def commit(self, last: Sequence[Step] = (), following: Next | None = None) -> None:
        for step in last:
            await self._take(step)
        with measured("COMMIT"):
            # The thread goes on, whatever the caller does.
            await to_its_end(asyncio.get_running_loop().run_in_executor(None, self._raw.commit))

    async def rollback(self) -> None:
        if self._raw.in_transaction:
            self._raw.rollback()

    def for_session(self) -> AsyncConnection:
        return shared_with_session(self._engine, self._pooled)

    @property
    def is_sound(self) -> bool:
        return not self._raw.in_transaction

    @property
    def is_ahead(self) -> bool:
        return False  # to begin is no round trip here

    def discard(self) -> None:
        self._pooled.invalidate()


def creator(path: Path, *, read_only: bool) -> Callable[..., Any]:
    """Makes connections; ``read_only`` ones refuse every write."""

    async def connect(*_: Any, **__: Any) -> Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        for pragma in _PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")
        raw.set_progress_handler(_is_out_of_time, _STEPS_BETWEEN_LOOKS)
        raw.create_function(NOW_SQLITE, 0, lambda: time.time_ns() // 1000)
        raw.create_function(NEW_ID_SQLITE, 0, lambda: str(uuid7()))
        if read_only:
            raw.execute("PRAGMA query_only=ON")
        return Connection(raw)

    return connect


def _is_out_of_time() -> bool:
    """Ends the statement: it holds the event loop, where nothing else could."""
    left = seconds_left()
    return left is not None and left <= 0


class ProcessLock:
    """SQLite means one process: a lock on a file beside the database, freed by the kernel however the process ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises ConfigurationError where another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise ConfigurationError(
                f"The database {self._path.with_suffix('').name} is in use by process {holder}. SQLite means one "
                "process: stop the other one, or set DATABASE_URL to PostgreSQL."
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
