"""Units of work: a Reader holds no transaction open, a Transaction is one, and ends committed or without a trace."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from groundplan.core.context import current
from groundplan.data.database.sql import Dialect, Row, Sql, rows
from groundplan.data.database.tenancy import new_session
from groundplan.telemetry.spans import span

BeforeCommit = Callable[["Transaction"], Awaitable[None]]
AfterCommit = Callable[[], Awaitable[None] | None]


class Reader:
    """A session for reading. It takes a connection at its first query, and gives it back on ``release``."""

    def __init__(self, bind: Any, tenant_id: UUID | None) -> None:
        self.tenant_id = tenant_id
        self.session: AsyncSession = new_session(bind, tenant_id, read_only=True)

    async def release(self) -> None:
        """Objects that were read stay usable; the next query takes a connection again."""
        if self.session.in_transaction():
            await self.session.commit()


class Transaction:
    """One write transaction on one connection."""

    def __init__(self, connection: AsyncConnection, dialect: Dialect, tenant_id: UUID | None) -> None:
        self._connection = connection
        self._dialect: Dialect = dialect
        self._before: list[BeforeCommit] = []
        self._after: list[AfterCommit] = []
        self.tenant_id = tenant_id
        self.session: AsyncSession = new_session(connection, tenant_id, read_only=False)

    async def execute(self, sql: Sql, **values: Any) -> list[Row]:
        """Runs an internal statement; rows as named tuples, none for a statement that returns none."""
        return await run(self._connection, self._dialect, sql, values)

    async def execute_many(self, sql: Sql, many: Iterable[Mapping[str, Any]]) -> None:
        bound = [sql.bind(self._dialect, values) for values in many]
        if bound:
            await self._connection.exec_driver_sql(bound[0][0], [parameters for _, parameters in bound])

    def before_commit(self, act: BeforeCommit) -> None:
        """Runs after the session's flush, in the transaction; a failure rolls everything back."""
        self._before.append(act)

    def after_commit(self, act: AfterCommit) -> None:
        """Runs once the transaction has committed, never after a rollback."""
        self._after.append(act)

    async def finish(self) -> None:
        """Flush, hooks, commit. A cancelled caller does not tear the commit apart."""
        await self.session.flush()
        for act in self._before:
            await act(self)
            await self.session.flush()
        commit = asyncio.ensure_future(self._commit())
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            await commit
            raise
        finally:
            await self.session.close()

    async def _commit(self) -> None:
        with span("SQL", "COMMIT", "sql"):
            await self._connection.commit()
        if (context := current()) is not None:
            context.tally.commits += 1

    async def undo(self) -> None:
        await self.session.close()
        await self._connection.rollback()

    async def run_after_commit(self, failed: Callable[[Exception], None]) -> None:
        for act in self._after:
            try:
                result = act()
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                failed(error)


async def run(connection: AsyncConnection, dialect: Dialect, sql: Sql, values: Mapping[str, Any]) -> list[Row]:
    text, parameters = sql.bind(dialect, values)
    result = await connection.exec_driver_sql(text, parameters)
    if not result.returns_rows:
        return []
    return rows(result.keys(), result.fetchall())
