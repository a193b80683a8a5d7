"""PostgreSQL through asyncpg: engines, the tenant of a connection, and a listener that comes back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from groundplan.core.errors import Misuse
from groundplan.data.database.link import Next, Step, shared_with_session
from groundplan.data.database.pools import WatchedPool
from groundplan.data.database.sql import Row, Sql
from groundplan.data.database.statements import measured

CONNECT_SECONDS = 5.0
_DIVISION_BY_ZERO = "22012"
_RECONNECT_SECONDS = 1.0
_SETTINGS = {
    "application_name": "groundplan",
    "idle_in_transaction_session_timeout": "30000",
    "timezone": "UTC",
    "standard_conforming_strings": "on",  # what we write into statements is quoted for it
}


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
        self._prepared: dict[tuple[Sql, bool], str] = {}

    async def begin(self, tenant_id: UUID | None, first: Step | None = None) -> None:
        ahead, self._ahead = self._ahead, None
        parts = []
        if ahead is None:
            parts.append(_begin(tenant_id))
        elif ahead.tenant_id != tenant_id:
            parts += ["ROLLBACK", _begin(tenant_id)]
        if first is not None:
            parts.append(await self._execution(first))
        if parts:
            await self._send(parts, () if first is None else (first,))

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

    async def commit(self, last: Sequence[Step] = (), following: Next | None = None) -> None:
        """Raises Misuse where an error inside was swallowed: PostgreSQL then rolls back, and says so by its answer."""
        if not last:
            with measured("COMMIT"):
                answer = await self._driver.execute("COMMIT")
            if answer != "COMMIT":
                raise Misuse(_SWALLOWED)
            return
        parts = [*[await self._execution(step) for step in last], "COMMIT"]
        if following is not None:
            parts.append(_begin(following.tenant_id))
        with measured(f"{', '.join(step.sql.name for step in last)}; COMMIT"):
            await self._send(parts, last)
        self._ahead = following

    async def _send(self, parts: Sequence[str], steps: Sequence[Step]) -> None:
        """One round trip for all: where a step finds no row its division fails, and what comes behind is not done."""
        try:
            await self._driver.execute("; ".join(parts))
        except Exception as error:
            if getattr(error, "sqlstate", "") == _DIVISION_BY_ZERO:
                raise next((step.otherwise for step in steps if step.otherwise), error) from None
            raise

    async def _execution(self, step: Step) -> str:
        """Prepared by a statement, since the driver's own cannot go along with others; planned once for each link."""
        kind = step.sql, step.otherwise is not None
        name = self._prepared.get(kind)
        if name is None:
            name = f"groundplan_{len(self._prepared)}"
            await self._driver.execute(f"PREPARE {name} AS {_deciding(step.sql) if kind[1] else step.sql.postgresql}")
            self._prepared[kind] = name
        return f"EXECUTE {name}({step.sql.literals(step.values)})"

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


def _deciding(sql: Sql) -> str:
    """The statement as one that fails where it finds no row."""
    return f"WITH step AS ({sql.postgresql}) SELECT 1 / (SELECT COUNT(*) FROM step)"


_SWALLOWED = "A statement of this transaction had failed, so nothing was stored. Let its error through."


class Listener:
    """LISTEN on a connection of its own, made again when it breaks; whoever listens polls beside it."""

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard: dict[str, list[Callable[[], None]]] = {}
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
            connecting = asyncio.ensure_future(asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS))
            try:
                connection = await asyncio.shield(connecting)
            except asyncio.CancelledError:  # the driver cannot be torn apart while it connects
                with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                    await (await connecting).close(timeout=1)
                raise
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
