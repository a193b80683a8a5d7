"""Units of work: a Reader holds no transaction open, a Transaction is one, and ends committed or without a trace."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.exc import PendingRollbackError

from groundplan.core.context import Tally, current, refuse_expired
from groundplan.core.errors import Misuse
from groundplan.data.database.link import Link, Next, Step, to_its_end
from groundplan.data.database.sql import Row, Sql
from groundplan.data.database.tenancy import LazySession

BeforeCommit = Callable[["Transaction"], Awaitable[None]]
AfterCommit = Callable[[], Awaitable[None] | None]


class Reader:
    """A session for reading. It takes a connection at its first query, and gives it back on ``release``."""

    def __init__(self, bind: Any, tenant_id: UUID | None) -> None:
        self.tenant_id = tenant_id
        self.session = LazySession(lambda: bind, tenant_id, read_only=True)

    async def release(self) -> None:
        """Objects that were read stay usable; the next query takes a connection again."""
        if self.session.used and self.session.in_transaction():
            try:
                await self.session.commit()
            except PendingRollbackError:  # its query was cancelled, and the connection with it
                await self.session.rollback()


class Transaction:
    """One write transaction on one connection, which internal SQL and the session share."""

    def __init__(self, link: Link, tenant_id: UUID | None, foresee: Callable[[], Next | None]) -> None:
        """``foresee`` tells who has the link afterwards."""
        self._link = link
        self._foresee = foresee
        self._before: list[BeforeCommit] = []
        self._after: list[AfterCommit] = []
        self._is_certain = False
        self._last: list[Step] = []
        self.tenant_id = tenant_id
        self.session = LazySession(link.for_session, tenant_id, read_only=False)

    async def execute(self, sql: Sql, **values: Any) -> list[Row]:
        """Runs an internal statement; rows as named tuples, none for a statement that returns none."""
        return await self._link.run(sql, values)

    async def execute_many(self, sql: Sql, many: Sequence[Mapping[str, Any]]) -> None:
        if many:
            await self._link.run_many(sql, many)

    def end_with(self, sql: Sql, otherwise: Exception | None = None, **values: Any) -> None:
        """The statement goes along with the commit, in one round trip with all others that do, in any order.

        With ``otherwise``: commits if and only if it finds a row, else raises that.

        Raises:
            Misuse: the commit depends on another statement already.
        """
        if otherwise is not None and any(step.otherwise for step in self._last):
            raise Misuse("A transaction can depend on one last statement, and this one does already.")
        self._last.append(Step(sql, values, otherwise))

    def before_commit(self, act: BeforeCommit) -> None:
        """Runs after the session's flush, in the transaction; a failure rolls everything back."""
        self._before.append(act)

    def after_commit(self, act: AfterCommit, *, certain: bool = True) -> None:
        """Runs once the transaction has committed, never after a rollback.

        What is not ``certain`` may be left out where the caller is cancelled during the commit; that costs less.
        """
        self._after.append(act)
        self._is_certain = self._is_certain or certain

    async def finish(self) -> None:
        """Flush, hooks, commit. A cancelled caller does not tear apart a commit that others are to be told of."""
        await self._flush()
        for act in self._before:
            await act(self)
            if self._is_changed:
                await self._flush()
        refuse_expired("it could be committed")
        context = current()
        tally = context.tally if context is not None else Tally()
        tally.committing += 1
        try:
            commit = self._link.commit(self._last, self._foresee())
            await (to_its_end(commit) if self._is_certain else commit)
        except BaseException:
            await self._link.rollback()  # no deadline may take the place of the reason meanwhile
            raise
        finally:
            tally.committing -= 1
            await self._close()
        tally.commits += 1

    async def undo(self) -> None:
        await self._close()
        await self._link.rollback()

    @property
    def _is_changed(self) -> bool:
        return self.session.used and bool(self.session.new or self.session.dirty or self.session.deleted)

    async def _flush(self) -> None:
        if self.session.used:
            await self.session.flush()

    async def _close(self) -> None:
        if self.session.used:
            await self.session.close()

    async def run_after_commit(self, failed: Callable[[Exception], None]) -> None:
        for act in self._after:
            try:
                result = act()
                if result is not None:
                    await result
            except Exception as error:
                failed(error)
