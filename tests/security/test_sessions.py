"""Sessions: remembered for a moment, and over at once everywhere when they end."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.security.principal import User
from groundplan.security.sessions import KNOWN_SECONDS, LIFETIMES, Sessions
from groundplan.testing.app import until
from groundplan.testing.clock import ManualClock
from groundplan.testing.postgres import PostgresServer
from tests.databases import Templates, copy_of, opened

pytestmark = pytest.mark.anyio

TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, 'north', 'North', 'n.example', '', NOW)""")
USER = Sql("""INSERT INTO users (id, tenant_id, email, name, password_hash, roles, created_at)
    VALUES (:id, :tenant_id, :email, :name, '', 'customer', NOW)""")


class Door:
    """A user, a session of theirs, and two processes that may be asked about it."""

    def __init__(self, here: Database, there: Database) -> None:
        self.clock = ManualClock()
        self.database = here
        self.here, self.there = Sessions(here, self.clock), Sessions(there, self.clock)
        tenant = uuid4()
        self.user = User(id=uuid4(), tenant_id=tenant, email="una@n.example", name="Una", roles=("customer",))

    async def open(self) -> str:
        async with self.database.transaction(None) as transaction:
            await transaction.execute(TENANT, id=self.user.tenant_id)
            await transaction.execute(
                USER, id=self.user.id, tenant_id=self.user.tenant_id, email=self.user.email, name=self.user.name
            )
        async with self.database.transaction(None) as transaction:
            return (await self.here.open(transaction, self.user, "script")).token

    async def end(self, token: str) -> UUID | None:
        """Whose it was."""
        async with self.database.transaction(None) as transaction:
            return await self.here.close(transaction, token)


@pytest.fixture
async def door(database: Database) -> Door:
    return Door(database, database)


@pytest.fixture
async def quiet(templates: Templates, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Door]:
    """On SQLite, where nothing else makes a process forget: on PostgreSQL it does whenever its listener connects."""
    async with opened(copy_of("sqlite", templates, tmp_path, postgres).app) as database:
        yield Door(database, database)


async def test_a_session_is_remembered_and_read_again_when_that_is_old(quiet: Door) -> None:
    token = await quiet.open()
    assert await quiet.here.user_of(token) == quiet.user
    await quiet.database.execute(Sql("UPDATE users SET name = 'Una Novak'"))
    assert await quiet.here.user_of(token) == quiet.user
    quiet.clock.seconds += KNOWN_SECONDS
    found = await quiet.here.user_of(token)
    assert found is not None and found.name == "Una Novak"


async def test_an_ended_session_is_nobodys_at_once(door: Door) -> None:
    token = await door.open()
    assert await door.here.user_of(token) == await door.there.user_of(token) == door.user
    assert await door.end(token) == door.user.id
    assert await door.here.user_of(token) is None
    assert await door.there.user_of(token) is None


async def test_to_end_what_is_no_session_does_nothing(quiet: Door) -> None:
    token = await quiet.open()
    assert await quiet.here.user_of(token) == quiet.user
    assert await quiet.end("a" * 43) is None
    await quiet.database.execute(Sql("UPDATE users SET name = 'Una Novak'"))
    assert await quiet.here.user_of(token) == quiet.user, "it is still remembered"


async def test_another_process_hears_of_it(templates: Templates, postgres: PostgresServer, tmp_path: Path) -> None:
    urls = copy_of("postgresql", templates, tmp_path, postgres)
    async with opened(urls.app) as here, opened(urls.app) as there:
        door = Door(here, there)
        token = await door.open()
        assert await door.there.user_of(token) == door.user
        await door.end(token)

        async def forgotten() -> bool:
            return await door.there.user_of(token) is None

        await until(forgotten)


async def test_what_is_remembered_ends_with_the_session(door: Door) -> None:
    token = await door.open()
    door.clock.seconds += LIFETIMES["script"].total_seconds() - KNOWN_SECONDS / 2
    assert await door.here.user_of(token) == door.user
    door.clock.seconds += KNOWN_SECONDS / 2
    assert await door.here.user_of(token) is None


@pytest.mark.parametrize("token", ["", "short", "x" * 101, "é" * 30, "x" * 43])
async def test_nonsense_is_nobody(door: Door, token: str) -> None:
    assert await door.here.user_of(token) is None
