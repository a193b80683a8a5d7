"""Migrated databases for tests: each engine is migrated once a session, and every test gets a copy of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from groundplan.data.database.database import Database
from groundplan.data.database.migrate import PLATFORM, History, upgrade
from groundplan.testing.postgres import DatabaseUrls, PostgresServer

ENGINES = ("sqlite", "postgresql")
SHOP = History("shop", Path(__file__).parents[1] / "src" / "shop" / "migrations", "app_version")


class Templates(NamedTuple):
    sqlite: Path
    postgresql: str
    """The name of the database to copy."""


def make_templates(folder: Path, server: PostgresServer, histories: Sequence[History] = (PLATFORM,)) -> Templates:
    path = folder / "template.db"
    name = f"template_{uuid4().hex}"
    urls = server.create_database(name)
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}", histories))
    asyncio.run(upgrade(urls.owner, histories, app_role=urls.app.split("://")[1].split(":")[0]))
    return Templates(path, name)


def copy_of(engine: str, templates: Templates, folder: Path, server: PostgresServer) -> DatabaseUrls:
    if engine == "sqlite":
        path = folder / "app.db"
        shutil.copy(templates.sqlite, path)
        return DatabaseUrls(f"sqlite+aiosqlite:///{path}", f"sqlite+aiosqlite:///{path}")
    return server.create_database(f"copy_{uuid4().hex}", template=templates.postgresql)


@contextmanager
def a_copy(engine: str, templates: Templates, folder: Path, server: PostgresServer) -> Iterator[DatabaseUrls]:
    """For the block: on the shared server nothing is left of it."""
    urls = copy_of(engine, templates, folder, server)
    yield urls
    if engine == "postgresql":
        server.drop_database(urls.app.rpartition("/")[2])


@asynccontextmanager
async def opened(url: str, *, pool_size: int = 10) -> AsyncIterator[Database]:
    database = Database(url, pool_size=pool_size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
