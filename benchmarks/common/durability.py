"""What an acknowledged write has survived, as each engine itself tells it: printed with every figure."""

from pathlib import Path

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.testing.postgres import PostgresServer

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
_JOURNAL = Sql("SELECT journal_mode AS value FROM pragma_journal_mode")
_SYNCHRONOUS = Sql("SELECT synchronous AS value FROM pragma_synchronous")
_LEVELS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def of_postgresql(server: PostgresServer) -> str:
    shown = ", ".join(f"{name}={server.run(f'SHOW {name}')}" for name in _SETTINGS)
    return f"PostgreSQL {server.run('SHOW server_version').split()[0]}: {shown}"


async def of_sqlite(folder: Path) -> str:
    """Of a connection that the platform itself has opened."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'app.db'}", exclusive=False, pool_size=1)
    try:
        journal, synchronous = [(await database.execute(query))[0].value for query in (_JOURNAL, _SYNCHRONOUS)]
    finally:
        await database.close()
    return f"SQLite: journal_mode={journal}, synchronous={_LEVELS[int(synchronous)]}"
