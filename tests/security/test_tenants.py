"""Tenants are known by host, id and slug, and who asks for one that is not makes the database work once."""

import asyncio
from uuid import uuid4

import pytest

from groundplan.core.errors import Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql
from groundplan.security.tenants import Tenants
from groundplan.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

ADD = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, :slug, :slug, :host, '', NOW)""")


class Asked:
    """The database, and how often it was asked; ``away`` it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.times = 0
        self.away = False

    async def execute(self, sql: Sql) -> list[Row]:
        self.times += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("Away.")
        return await self._database.execute(sql)


@pytest.fixture
def asked(database: Database) -> Asked:
    return Asked(database)


async def test_by_host_id_and_slug(database: Database) -> None:
    ids = {name: uuid4() for name in ("north", "south")}
    for name, tenant_id in ids.items():
        await database.execute(ADD, id=tenant_id, slug=name, host=f"{name}.example")
    tenants = Tenants(database, ManualClock(), bare_hosts=frozenset({"localhost"}))
    for name, tenant_id in ids.items():
        found = [await tenants.by_host(f"{name.upper()}.example:443"), await tenants.by_id(tenant_id)]
        assert [tenant and tenant.slug for tenant in [*found, await tenants.by_slug(name)]] == [name] * 3
    assert await tenants.by_host("localhost:8080") == await tenants.first() == await tenants.by_slug("north")
    assert await tenants.by_host("west.example") is None


async def test_many_who_ask_for_nobody_ask_the_database_once_a_second(asked: Asked) -> None:
    clock = ManualClock()
    tenants = Tenants(asked, clock)  # type: ignore[arg-type]
    assert await asyncio.gather(*(tenants.by_host(f"{number}.example") for number in range(300))) == [None] * 300
    assert asked.times == 1
    clock.seconds += 1
    await asyncio.gather(*(tenants.by_host(f"{number}.example") for number in range(300)))
    assert asked.times == 2


async def test_nobody_is_unknown_because_the_database_is_away(asked: Asked, database: Database) -> None:
    await database.execute(ADD, id=uuid4(), slug="north", host="north.example")
    tenants = Tenants(asked, ManualClock())  # type: ignore[arg-type]
    asked.away = True
    answers = await asyncio.gather(*(tenants.by_host("north.example") for _ in range(9)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert asked.times == 1
    asked.away = False
    found = await tenants.by_host("north.example")
    assert found is not None and found.slug == "north"
