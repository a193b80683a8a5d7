"""Migrations: two histories, the platform's and the app's, each with its own version table, run as the owner.

The version check needs no Alembic, so a start with nothing to do costs one query.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from groundplan.core.errors import ConfigurationError, Unavailable
from groundplan.data.database import sqlite

INSERT_ONLY = ("audit_log", "events")
"""What has happened is added, never changed: the application has no right to."""
_LOCK = 0x67726F756E64  # "ground": one migrator at a time, whatever it is called
_LOCK_TIMEOUT = "1s"
_TRIES = 10


@dataclass(frozen=True, slots=True)
class History:
    """Scripts named ``0001_what.py`` whose revision is their number, in ``folder/versions``."""

    name: str
    folder: Path
    version_table: str

    @property
    def head(self) -> str:
        return max((path.name[:4] for path in (self.folder / "versions").glob("[0-9]*.py")), default="")


@dataclass(frozen=True, slots=True)
class Status:
    history: str
    current: str
    head: str


PLATFORM = History("platform", Path(__file__).parent / "migrations", "groundplan_version")


async def upgrade(url: str, histories: Sequence[History], *, app_role: str | None = None) -> list[str]:
    """Brings every history to its head; returns a line for each that moved.

    ``app_role`` is the PostgreSQL role the application runs as: it is granted the use of the tables, and owns none.

    Raises:
        Unavailable: the database is away, or a table stayed locked by others through all tries.
    """
    async with _engine(url) as engine:
        moved = [
            (status, history)
            for history, status in zip(histories, await _status(engine, histories), strict=True)
            if status.current != status.head
        ]
        for _, history in moved:
            await _patiently(engine, history, "upgrade", history.head)
        if moved and engine.dialect.name == "postgresql":
            await _grant(engine, app_role)
        return [f"{status.history}: {status.current or 'nothing'} -> {status.head}" for status, _ in moved]


async def downgrade(url: str, history: History) -> list[str]:
    """Takes back the newest script of one history."""
    async with _engine(url) as engine:
        (status,) = await _status(engine, [history])
        if not status.current:
            return []
        target = f"{int(status.current) - 1:04d}" if int(status.current) > 1 else "base"
        await _patiently(engine, history, "downgrade", target)
        return [f"{history.name}: {status.current} -> {target}"]


async def status(url: str, histories: Sequence[History]) -> list[Status]:
    async with _engine(url) as engine:
        return await _status(engine, histories)


def new(history: History, name: str) -> Path:
    """An empty script after the newest one. Raises ConfigurationError for a name that is no identifier."""
    if not name.isidentifier():
        raise ConfigurationError(f"{name!r} cannot name a migration. Use words joined by underscores: add_gift_cards.")
    before = history.head
    revision = f"{int(before or 0) + 1:04d}"
    path = history.folder / "versions" / f"{revision}_{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        _TEMPLATE.format(title=name.replace("_", " ").capitalize(), revision=revision, before=before or None)
    )
    return path


def tenant_wall(op: Any, *tables: str) -> None:
    """Row-level security for tables with a ``tenant_id``: without a tenant PostgreSQL shows and takes no row.

    For the owner too, so that a laptop with one role is walled as well. SQLite has no such thing.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_tenant ON {table} "
            "USING (tenant_id = nullif(current_setting('groundplan.tenant', true), '')::uuid)"
        )


class _engine:
    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            creator = sqlite.creator(Path(parsed.database or ""), read_only=False)
            self._engine = create_async_engine(url, async_creator=creator, poolclass=NullPool)
            event.listen(self._engine.sync_engine, "begin", _begin_immediate)
        else:
            self._engine = create_async_engine(url, poolclass=NullPool)

    async def __aenter__(self) -> AsyncEngine:
        return self._engine

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _status(engine: AsyncEngine, histories: Sequence[History]) -> list[Status]:
    try:
        async with engine.connect() as connection:
            return [Status(h.name, await _current(connection, h), h.head) for h in histories]
    except OSError as error:
        raise Unavailable(f"The database cannot be reached: {error}") from error


async def _current(connection: AsyncConnection, history: History) -> str:
    exists = (
        "SELECT to_regclass(:name) IS NOT NULL"
        if connection.dialect.name == "postgresql"
        else "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = :name)"
    )
    if not await connection.scalar(text(exists), {"name": history.version_table}):
        return ""
    return await connection.scalar(text(f"SELECT version_num FROM {history.version_table}")) or ""


async def _patiently(engine: AsyncEngine, history: History, direction: str, target: str) -> None:
    """A statement that waits for a lock stops everybody behind it, so it waits 1 s at most and comes back later."""
    for tried in range(1, _TRIES + 1):
        try:
            async with engine.connect() as connection, connection.begin():
                if engine.dialect.name == "postgresql":
                    await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await connection.run_sync(_run, history, direction, target)
            return
        except DBAPIError as error:
            if "LockNotAvailable" not in str(error) and "database is locked" not in str(error):
                raise
            if tried == _TRIES:
                raise Unavailable(
                    f"A table stayed locked by others through {_TRIES} tries. Try again later."
                ) from error
            await asyncio.sleep(random.uniform(0.2, 1.0) * min(tried, 5))


def _run(connection: Any, history: History, direction: str, target: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(history.folder), version_locations=[str(history.folder / "versions")])
    steps = script._upgrade_revs if direction == "upgrade" else script._downgrade_revs
    with EnvironmentContext(Config(), script, fn=lambda revision, _: steps(target, revision)) as environment:
        environment.configure(connection=connection, version_table=history.version_table)
        environment.run_migrations()


async def _grant(engine: AsyncEngine, app_role: str | None) -> None:
    if app_role is None:
        return
    async with engine.connect() as connection, connection.begin():
        owner = await connection.scalar(text("SELECT current_user"))
        if owner == app_role:
            return
        role = engine.dialect.identifier_preparer.quote(app_role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            f"REVOKE UPDATE, DELETE ON {', '.join(INSERT_ONLY)} FROM {role}",
            f"REVOKE INSERT, UPDATE, DELETE ON groundplan_version FROM {role}",
        ):
            await connection.execute(text(statement))
        if await connection.scalar(text("SELECT to_regclass('app_version') IS NOT NULL")):
            await connection.execute(text(f"REVOKE INSERT, UPDATE, DELETE ON app_version FROM {role}"))


_TEMPLATE = '''"""{title}."""

from alembic import op

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
    """Keep it safe for the previous release: add first, remove in a later one."""
    op.execute("SELECT 1")


def downgrade() -> None:
    op.execute("SELECT 1")
'''
