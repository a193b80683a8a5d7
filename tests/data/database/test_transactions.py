"""A unit of work ends committed or without a trace, on both engines."""

import asyncio
import subprocess
import sys
from uuid import uuid4

import pytest
from sqlalchemy import text

from groundplan.core.errors import ConfigurationError, Invalid, TransactionOpen, Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.failures import translated
from groundplan.data.database.migrate import PLATFORM, upgrade
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.testing.postgres import DatabaseUrls, PostgresServer
from tests.databases import opened

pytestmark = pytest.mark.anyio

ADD = Sql("INSERT INTO queues (name, paused) VALUES (:name, :paused)")
NAMES = Sql("SELECT name FROM queues ORDER BY name")


async def _names(database: Database) -> list[str]:
    return [row.name for row in await database.execute(NAMES)]


async def test_it_commits_at_the_end(database: Database) -> None:
    async with database.transaction(None) as transaction:
        await transaction.execute(ADD, name="a", paused=0)
        assert await _names(database) == []
    assert await _names(database) == ["a"]


async def test_an_error_leaves_nothing(database: Database) -> None:
    async def fail(transaction: Transaction) -> None:
        raise LookupError

    for where in ("body", "before commit"):
        with pytest.raises(LookupError):
            async with database.transaction(None) as transaction:
                await transaction.execute(ADD, name="a", paused=0)
                if where == "body":
                    raise LookupError
                transaction.before_commit(fail)
    assert await _names(database) == []


async def test_hooks_run_in_their_place(database: Database) -> None:
    seen: list[str] = []

    async def before(transaction: Transaction) -> None:
        await transaction.execute(ADD, name="hook", paused=0)
        seen.append("before")

    async def after() -> None:
        seen.append(",".join(await _names(database)))

    def broken() -> None:
        raise LookupError

    async with database.transaction(None) as transaction:
        transaction.after_commit(broken)
        transaction.after_commit(after)
        transaction.before_commit(before)
        await transaction.execute(ADD, name="body", paused=0)
    assert seen == ["before", "body,hook"]


async def test_after_commit_does_not_follow_a_rollback(database: Database) -> None:
    seen: list[int] = []
    with pytest.raises(LookupError):
        async with database.transaction(None) as transaction:
            transaction.after_commit(lambda: seen.append(1))
            raise LookupError
    assert seen == []


async def test_they_do_not_nest(database: Database) -> None:
    async with database.transaction(None):
        with pytest.raises(TransactionOpen):
            async with database.transaction(None):
                pass


async def test_a_cancelled_caller_does_not_tear_the_commit(database: Database) -> None:
    async def work() -> None:
        async with database.transaction(None) as transaction:
            await transaction.execute(ADD, name="a", paused=0)

            async def cancel_now(_: Transaction) -> None:
                asyncio.get_running_loop().call_soon(task.cancel)

            transaction.before_commit(cancel_now)

    task = asyncio.create_task(work())
    await asyncio.wait({task})
    async with database.transaction(None) as transaction:
        await transaction.execute(ADD, name="b", paused=0)
    assert await _names(database) in (["b"], ["a", "b"]), "whole or not at all, and the connection is usable"


async def test_fifty_writers_take_turns(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction(None) as transaction:
            await transaction.execute(ADD, name=f"{number:03}", paused=0)

    await asyncio.gather(*(write(number) for number in range(50)))
    assert len(await _names(database)) == 50


async def test_what_no_database_stores_is_refused(database: Database) -> None:
    for name in ("a\x00b", "\ud800"):
        with pytest.raises(Invalid):
            await database.execute(ADD, name=name, paused=0)
    with pytest.raises(Invalid):
        await database.execute(ADD, name="big", paused=10**30)
    assert await _names(database) == []


async def test_many_rows_in_one_statement(database: Database) -> None:
    async with database.transaction(None) as transaction:
        await transaction.execute_many(ADD, [{"name": f"{n}", "paused": n} for n in range(3)])
        await transaction.execute_many(ADD, [])
    assert await _names(database) == ["0", "1", "2"]


async def test_listeners_hear_notifications(database: Database) -> None:
    heard = asyncio.Event()
    await database.listen("groundplan_test", heard.set)
    await database.notify("groundplan_test")
    await asyncio.wait_for(heard.wait(), 10)


async def test_a_notification_crosses_processes_on_postgresql(postgres_urls: DatabaseUrls) -> None:
    heard = asyncio.Event()
    async with opened(postgres_urls.app) as one, opened(postgres_urls.app) as other:
        await one.listen("groundplan_test", heard.set)
        heard.clear()
        for _ in range(100):
            await other.notify("groundplan_test")
            if heard.is_set():
                break
            await asyncio.sleep(0.02)
        await asyncio.wait_for(heard.wait(), 10)


def test_sqlite_means_one_process(sqlite_urls: DatabaseUrls) -> None:
    script = f"""
import asyncio
from groundplan.data.database.database import Database
asyncio.run(Database({sqlite_urls.app!r}).open())
"""

    async def hold() -> subprocess.CompletedProcess[str]:
        async with opened(sqlite_urls.app):
            return await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, check=False
            )

    refused = asyncio.run(hold())
    assert refused.returncode != 0
    assert "SQLite means one process" in refused.stderr
    assert ConfigurationError.__name__ in refused.stderr


async def test_a_database_that_is_away_is_unavailable() -> None:
    with PostgresServer() as server:
        urls = server.create_database(f"away_{uuid4().hex}")
        async with opened(urls.app) as database:
            await database.ping()
            server.stop()
            with pytest.raises(Unavailable):
                await database.ping()
            with pytest.raises(Unavailable):
                async with database.transaction(None):
                    pass


async def test_a_database_that_takes_no_connections_is_unavailable(
    postgres: PostgresServer, postgres_urls: DatabaseUrls
) -> None:
    name = postgres_urls.app.rpartition("/")[2]
    postgres.run(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    async with opened(postgres_urls.app) as database:
        with pytest.raises(Unavailable):
            await database.ping()
        with pytest.raises(Unavailable):
            async with database.transaction(None):
                pass
        reader = database.reader(None)
        with pytest.raises(Exception, match="too many connections") as refused:
            await reader.session.execute(text("SELECT 1").execution_options(unscoped=True))
        assert isinstance(translated(refused.value), Unavailable)
        postgres.run(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await database.ping()


async def test_a_full_disk_says_so_and_leaves_nothing(sqlite_urls: DatabaseUrls) -> None:
    await upgrade(sqlite_urls.owner, [PLATFORM])
    async with opened(sqlite_urls.app) as database:
        await database.execute(Sql("PRAGMA max_page_count = 1"))  # at least what there is
        with pytest.raises(Unavailable, match="disk of the database is full"):
            async with database.transaction(None) as transaction:
                await transaction.execute(ADD, name="small", paused=0)
                await transaction.execute(ADD, name="large" * 100_000, paused=0)
        assert await _names(database) == []
        await database.execute(Sql("PRAGMA max_page_count = 1000000"))
        await database.execute(ADD, name="large" * 100_000, paused=0)
