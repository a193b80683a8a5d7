"""PostgreSQL through asyncpg: engines, the tenant of a connection, and a listener that comes back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from groundplan.core.errors import Misuse
from groundplan.data.database.link import Last, Next, shared_with_session
from groundplan.data.database.pools import WatchedPool
from groundplan.data.database.sql import Row, Sql
from groundplan.data.database.statements import measured

CONNECT_SECONDS = 5.0
_DIVISION_BY_ZERO = "22012"
_RECONNECT_SECONDS = 1.0
_SETTINGS = {"application_name": "groundplan", "idle_in_transaction_session_timeout": "30000", "timezone": "UTC"}


def engine(url: URL, size: int, patience: float, *, read_only: bool = False, relaxed: bool = False) -> AsyncEngine:
    """Transactions are a link's to begin; without one each statement is its own."""
    settings = _SETTINGS | ({"default_transaction_read_only": "on"} if read_only else {})
    if relaxed:
        settings |= {"synchronous_commit": "off"}
    return create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        poolclass=WatchedPool,
        pool_timeout=patience,
        pool_reset_on_return=None,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": settings, "timeout": CONNECT_SECONDS},
    )


class PostgresqlLink:
    def __init__(self, engine: AsyncEngine, pooled: Any) -> None:
        self._engine = engine
        self._pooled = pooled
        self._driver = pooled.driver_connection
        self._ahead: Next | None = None
        """For whom a transaction has been begun already, in which nothing has happened."""
        self._prepared: dict[Sql, str] = {}

    async def begin(self, tenant_id: UUID | None) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            await self._driver.execute(_begin(tenant_id))
        elif ahead.tenant_id != tenant_id:
            await self._driver.execute(f"ROLLBACK; {_begin(tenant_id)}")

    async def run(self, sql: Sql, values: Mapping[str, Any]) -> list[Row]:
        text, parameters = sql.bind("postgresql", values)
        with measured(sql.name):
            found = await self._driver.fetch(text, *parameters)
        return sql.rows(found[0].keys(), found) if found else []

    run_alone = run

    async def run_many(self, sql: Sql, many: Sequence[Mapping[str, Any]]) -> None:
        bound = [sql.bind("postgresql", values) for values in many]
        with measured(sql.name):
            await self._driver.executemany(bound[0][0], [parameters for _, parameters in bound])

    async def commit(self, last: Last | None, following: Next | None = None) -> None:
        """Raises Misuse where an error inside was swallowed: PostgreSQL then rolls back, and says so by its answer."""
        if last is not None:
            await self._commit_with(last, following)
            return
        with measured("COMMIT"):
            answer = await self._driver.execute("COMMIT")
        if answer != "COMMIT":
            raise Misuse("A statement of this transaction had failed, so nothing was stored. Let its error through.")

    async def _commit_with(self, last: Last, following: Next | None) -> None:
        """One round trip for all: where the statement finds no row the division fails, and COMMIT is not reached."""
        text = f"{await self._execution(last)}; COMMIT"
        if following is not None:
            text += f"; {_begin(following.tenant_id)}"
        with measured(f"{last.sql.name}; COMMIT"):
            try:
                await self._driver.execute(text)
            except Exception as error:
                raise (last.otherwise if getattr(error, "sqlstate", "") == _DIVISION_BY_ZERO else error) from None
        self._ahead = following

    async def _execution(self, last: Last) -> str:
        """Prepared by a statement, since the driver's own cannot go along with others; planned once for each link."""
        name = self._prepared.get(last.sql)
        if name is None:
            name = f"groundplan_last_{len(self._prepared)}"
            statement = f"WITH last AS ({last.sql.text('postgresql')}) SELECT 1 / COUNT(*) FROM last"
            await self._driver.execute(f"PREPARE {name} AS {statement}")
            self._prepared[last.sql] = name
        return f"EXECUTE {name}({last.sql.literals(last.values)})"

    async def rollback(self) -> None:
        self._ahead = None
        with suppress(Exception):
            if self._driver.is_in_transaction():
                await self._driver.execute("ROLLBACK")

    def for_session(self) -> AsyncConnection:
        return shared_with_session(self._engine, self._pooled)

    @property
    def is_sound(self) -> bool:
        return not (self._driver.is_closed() or self._driver.is_in_transaction())

    @property
    def is_ahead(self) -> bool:
        return self._ahead is not None and not self._driver.is_closed()

    def discard(self) -> None:
        self._pooled.invalidate()


def _begin(tenant_id: UUID | None) -> str:
    """Both in one round trip, and the tenant for this transaction alone."""
    if tenant_id is None:
        return "BEGIN"
    return f"BEGIN; SELECT set_config('groundplan.tenant', '{tenant_id}', true)"


class Listener:
    """LISTEN on a connection of its own, made again when it breaks; whoever listens polls beside it."""

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard: dict[str, list[Callable[[], None]]] = {}
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def add(self, channel: str, heard: Callable[[], None]) -> None:
        self._heard.setdefault(channel, []).append(heard)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="postgresql listener")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _stay_connected(self) -> None:
        import asyncpg

        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=5)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            try:
                await self._listen(connection)
            finally:
                await connection.close(timeout=1)

    async def _listen(self, connection: Any) -> None:
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        listening: set[str] = set()
        while not gone.is_set():
            self._changed.clear()
            for channel in self._heard.keys() - listening:
                await connection.add_listener(channel, self._on_notify)
                listening.add(channel)
            for waiting in self._heard.values():
                for heard in waiting:
                    heard()
            changed, broken = asyncio.create_task(self._changed.wait()), asyncio.create_task(gone.wait())
            await asyncio.wait({changed, broken}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel(), broken.cancel()

    def _on_notify(self, _connection: Any, _pid: int, channel: str, _payload: str) -> None:
        for heard in self._heard.get(channel, ()):
            heard()
