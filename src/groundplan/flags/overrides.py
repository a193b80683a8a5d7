"""Stored overrides: they win over FEATURE_FLAGS for every tenant and user, in every process within a second at most."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import Invalid
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant
from groundplan.data.database.uow import Transaction

FlagValue = bool | str | int | float
_REFRESH_SECONDS = 1.0
"""Where a notice of a change was lost."""
_CHANGED_CHANNEL = "groundplan_flags"


class Override(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: FlagValue
    set_by: str
    set_at: datetime


class Overrides:
    """``get`` is a look-up in memory; ``refresh`` brings that up to date with the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._current: Mapping[str, Override] = {}
        self._read_at = -_REFRESH_SECONDS
        self._changes = 0
        self._listens = False

    def get(self, name: str) -> FlagValue | None:
        override = self._current.get(name)
        return None if override is None else override.value

    def all(self) -> list[Override]:
        """By name."""
        return sorted(self._current.values(), key=lambda override: override.name)

    async def refresh(self) -> None:
        """Reads what other processes have set: after their notice, and once a second."""
        if not self._listens:
            self._listens = True
            await self._database.listen(_CHANGED_CHANNEL, self._outdate)
        if self._clock.monotonic() - self._read_at < _REFRESH_SECONDS:
            return
        self._read_at = self._clock.monotonic()
        changes = self._changes
        rows = await self._database.execute(_ALL)
        if changes == self._changes:  # else a change of our own is newer than what was read
            self._current = {row.name: override for row in rows if (override := _override(row))}

    async def set(self, transaction: Transaction, name: str, value: FlagValue, by: str) -> None:
        """In force here once the transaction has committed. Raises Invalid for a name that is empty or very long."""
        if not 1 <= len(name) <= 200 or not name.isprintable():
            raise Invalid("The name of a flag is 1 to 200 printable characters.")
        override = Override(name=name, value=value, set_by=by, set_at=self._clock.now())
        encoded = msgspec.json.encode(value).decode()
        await transaction.execute(_SET, name=name, value=encoded, set_by=by, set_at=override.set_at)
        transaction.after_commit(lambda: self._keep({**self._current, name: override}))
        transaction.after_commit(lambda: self._database.wake(_CHANGED_CHANNEL))

    async def clear(self, transaction: Transaction, name: str) -> None:
        """Back to what FEATURE_FLAGS says, here once the transaction has committed."""
        await transaction.execute(_CLEAR, name=name)
        transaction.after_commit(lambda: self._keep({n: o for n, o in self._current.items() if n != name}))
        transaction.after_commit(lambda: self._database.wake(_CHANGED_CHANNEL))

    def _keep(self, current: Mapping[str, Override]) -> None:
        self._current = current
        self._changes += 1

    def _outdate(self) -> None:
        self._read_at = -_REFRESH_SECONDS


def _override(row: Row) -> Override | None:
    """None for a value that somebody else wrote and that is none."""
    try:
        value = msgspec.json.decode(row.value, type=FlagValue)
    except msgspec.MsgspecError:
        return None
    return Override(name=row.name, value=value, set_by=row.set_by, set_at=as_instant(row.set_at))


_ALL = Sql("SELECT name, value, set_by, set_at FROM flag_overrides")
_SET = Sql("""INSERT INTO flag_overrides (name, value, set_by, set_at) VALUES (:name, :value, :set_by, :set_at)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at""")
_CLEAR = Sql("DELETE FROM flag_overrides WHERE name = :name")
