"""PostgreSQL through asyncpg: engines, the tenant of a connection, and a listener that comes back."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

POOL_TIMEOUT_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0
_SETTINGS = {"application_name": "groundplan", "idle_in_transaction_session_timeout": "30000", "timezone": "UTC"}


def engine(url: URL, size: int, *, read_only: bool) -> AsyncEngine:
    """A read-only engine holds no transaction open: each statement is its own."""
    settings = _SETTINGS | ({"default_transaction_read_only": "on"} if read_only else {})
    return create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
        connect_args={"server_settings": settings, "timeout": POOL_TIMEOUT_SECONDS},
    )


async def begin(connection: AsyncConnection, tenant_id: UUID | None) -> None:
    """Begins, and names the tenant to row-level security for this transaction alone."""
    await connection.exec_driver_sql(
        "SELECT set_config('groundplan.tenant', $1, true)", (str(tenant_id) if tenant_id else "",)
    )


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
