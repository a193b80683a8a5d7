"""Statements that go along with the begin or the commit of a transaction, on both engines."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from groundplan.core.errors import Conflict, Invalid, Misuse
from groundplan.data.database.database import Database
from groundplan.data.database.link import Step
from groundplan.data.database.sql import Sql, as_instant, as_uuid

pytestmark = pytest.mark.anyio

ADD = Sql("INSERT INTO queues (name, paused) VALUES (:name, :paused)")
TAKE = Sql("DELETE FROM queues WHERE name = :name RETURNING name")
NAMES = Sql("SELECT name FROM queues ORDER BY name")
NOTE = Sql("""INSERT INTO audit_log (id, at, tenant_id, actor, action, subject, detail, request_id, trace_id)
    VALUES (:id, :at, :tenant_id, :actor, 'act', '', '{}', '', '')""")
NOTES = Sql("SELECT id, at, tenant_id, actor FROM audit_log ORDER BY actor")
KEEP = Sql("""INSERT INTO idempotency (scope, key, fingerprint, status, headers, body, created_at)
    VALUES ('', :key, '', :status, '', :body, NOW)""")
PREPARED = Sql("SELECT COUNT(*) AS n FROM pg_prepared_statements WHERE from_sql")
KEPT = Sql("SELECT key, status, body FROM idempotency")


async def _names(database: Database) -> list[str]:
    return [row.name for row in await database.execute(NAMES)]


async def test_last_steps_are_part_of_the_transaction(database: Database) -> None:
    for turn in "ab":
        async with database.transaction(None) as transaction:
            transaction.end_with(ADD, name=f"{turn}1", paused=0)
            transaction.end_with(ADD, name=f"{turn}2", paused=0)
            transaction.end_with(TAKE, Conflict("gone"), name=turn.replace("b", "a1"))
            await transaction.execute(ADD, name=turn, paused=0)
    assert await _names(database) == ["a2", "b", "b1", "b2"]


async def test_without_the_row_it_depends_on_nothing_is_stored(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(Conflict, match="gone"):
            async with database.transaction(None) as transaction:
                await transaction.execute(ADD, name="body", paused=0)
                transaction.end_with(TAKE, Conflict("gone"), name="nobody")
                transaction.end_with(ADD, name="last", paused=0)
        assert await _names(database) == []


async def test_it_depends_on_one_last_step_alone(database: Database) -> None:
    with pytest.raises(Misuse):
        async with database.transaction(None) as transaction:
            transaction.end_with(TAKE, Conflict("one"), name="a")
            transaction.end_with(TAKE, Conflict("two"), name="b")


async def test_a_first_step_decides_whether_it_begins(database: Database) -> None:
    first = Step(TAKE, {"name": "ticket"}, Conflict("no ticket"))
    for tickets in (0, 1, 0):
        if tickets:
            await database.execute(ADD, name="ticket", paused=0)
            async with database.transaction(UUID(int=1), first) as transaction:
                await transaction.execute(ADD, name="entered", paused=0)
        else:
            with pytest.raises(Conflict, match="no ticket"):
                async with database.transaction(UUID(int=1), first):
                    pytest.fail("it began")
    assert await _names(database) == ["entered"]


async def test_a_step_is_prepared_once_however_many_go_along_with_a_commit(database: Database) -> None:
    for many in range(4):
        async with database.transaction(None) as transaction:
            for number in range(many):
                transaction.end_with(ADD, name=f"{many} {number}", paused=0)
    assert len(await _names(database)) == 6
    if database.dialect == "postgresql":
        async with database.transaction(None) as transaction:
            assert (await transaction.execute(PREPARED))[0].n == 1


@pytest.mark.parametrize("text", ["it's", "a\\", "\\'; DROP TABLE queues; --", "$1 :name ''", "né\N{SNOWMAN}", ""])
async def test_text_arrives_as_it_is(database: Database, text: str) -> None:
    async with database.transaction(None) as transaction:
        transaction.end_with(ADD, name=text, paused=0)
    assert await _names(database) == [text]


async def test_values_of_every_type_arrive_as_they_are(database: Database) -> None:
    at, body = datetime(2026, 3, 4, 5, 6, 7, 89, UTC), bytes(range(256))
    tenants: list[Any] = [None, UUID(int=2)]
    for number, tenant_id in enumerate(tenants):
        async with database.transaction(None) as transaction:
            transaction.end_with(NOTE, id=UUID(int=number), at=at, tenant_id=tenant_id, actor=f"{number}")
            transaction.end_with(KEEP, key=f"{number}", status=-number, body=body)
    notes = await database.execute(NOTES)
    assert [(as_uuid(row.id), as_instant(row.at)) for row in notes] == [(UUID(int=n), at) for n in range(2)]
    assert [row.tenant_id and as_uuid(row.tenant_id) for row in notes] == tenants
    kept = await database.execute(KEPT)
    assert {(row.key, row.status, bytes(row.body)) for row in kept} == {("0", 0, body), ("1", -1, body)}


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_what_no_database_stores_is_refused(database: Database, text: str) -> None:
    with pytest.raises(Invalid):
        async with database.transaction(None) as transaction:
            transaction.end_with(ADD, name=text, paused=0)
    assert await _names(database) == []
