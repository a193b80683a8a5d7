"""What the database really holds, asked behind the platform's back."""

import asyncio
from collections.abc import Mapping
from typing import Any

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql


def ask(environment: Mapping[str, str], sql: str, *, url: str = "") -> list[Any]:
    """Rows of one statement, on the test's database."""

    async def inside() -> list[Any]:
        address = url or environment["DATABASE_URL"].replace("sqlite:///", "sqlite+aiosqlite:///")
        database = Database(address, exclusive=False, pool_size=1)
        try:
            return await database.execute(Sql(sql))
        finally:
            await database.close()

    return asyncio.run(inside())
