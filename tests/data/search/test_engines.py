"""Both engines: the suite, the same answers from each, and the wall between tenants below the code."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplan.data.database.database import Database
from groundplan.data.database.migrate import PLATFORM, downgrade, status, upgrade
from groundplan.data.database.sql import Sql
from groundplan.data.search.port import Document, Hit, Search
from groundplan.testing.postgres import DatabaseUrls, PostgresServer
from groundplan.testing.search_suite import KIND, SearchSuite, thing
from groundplan.wiring import search_in
from tests.databases import ENGINES, Templates, copy_of, opened

WORDS = st.sampled_from(
    ["milk", "Milch", "milkshake", "crème", "creme", "72 %", "o'er", "100", "牛乳", "🥛", "-", "Ærø"]
)
PHRASES = st.lists(WORDS, max_size=4).map(" ".join)
THINGS = st.builds(thing, PHRASES, PHRASES, rank=st.integers(0, 2), tag=st.sampled_from(["", "a"]), id=st.uuids())


@pytest.fixture
def search(database: Database) -> Search:
    return search_in(database)


class TestSearch(SearchSuite):
    """``database`` is each engine in turn."""


@pytest.fixture
async def both(templates: Templates, tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[list[Database]]:
    lite, pg = (copy_of(engine, templates, tmp_path, postgres).app for engine in ENGINES)
    async with opened(lite) as one, opened(pg) as other:
        yield [one, other]


@pytest.mark.anyio
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(things=st.lists(THINGS, max_size=6), query=PHRASES, tag=st.sampled_from(["", "a"]))
async def test_both_engines_give_the_same_answers(
    both: list[Database], things: list[Document], query: str, tag: str
) -> None:
    tenant = uuid4()
    one, other = [await _answer(database, tenant, things, query, tag) for database in both]
    assert one == other


@pytest.mark.anyio
async def test_the_words_of_sqlite_stay_as_its_documents_are(sqlite_urls: DatabaseUrls) -> None:
    await upgrade(sqlite_urls.owner, [PLATFORM])
    async with opened(sqlite_urls.app) as database:
        for tenant in (uuid4(), uuid4()):
            async with database.transaction(tenant) as transaction:
                bound = search_in(database).bind(tenant, transaction.session, writes=True)
                kept, changed, gone = thing("Crème", "%"), thing("Old"), thing("Gone")
                await bound.index(KIND, [kept, changed, gone])
                await bound.index(KIND, [thing("New", "other", id=changed.id)])
                await bound.remove(KIND, [gone.id])
        await database.execute(Sql("INSERT INTO search_words (search_words, rank) VALUES ('integrity-check', 1)"))


@pytest.mark.anyio
async def test_row_level_security_is_the_second_wall(postgres_urls: DatabaseUrls) -> None:
    await upgrade(postgres_urls.owner, [PLATFORM], app_role=postgres_urls.app.split("://")[1].split(":")[0])
    mine, others = uuid4(), uuid4()
    for url in postgres_urls:  # the owner too
        async with opened(url) as database:
            async with database.transaction(mine) as transaction:
                await search_in(database).bind(mine, transaction.session, writes=True).index(KIND, [thing("Apples")])
            assert await database.execute(Sql("SELECT id FROM search_documents")) == []
            async with database.transaction(others) as transaction:
                assert await transaction.execute(Sql("SELECT id FROM search_documents")) == []
                smuggling = search_in(database).bind(mine, transaction.session, writes=True)
                assert (await smuggling.find(KIND, "apples")).total == 0
            with pytest.raises(Exception, match="row-level security"):
                async with database.transaction(others) as transaction:
                    smuggling = search_in(database).bind(mine, transaction.session, writes=True)
                    await smuggling.index(KIND, [thing("Smuggled")])


@pytest.mark.anyio
async def test_the_migration_goes_down_and_up_again(engine_urls: DatabaseUrls) -> None:
    await upgrade(engine_urls.owner, [PLATFORM])
    while (await status(engine_urls.owner, [PLATFORM]))[0].current != "0004":
        await downgrade(engine_urls.owner, PLATFORM)
    assert await _tables(engine_urls.owner) == []
    await upgrade(engine_urls.owner, [PLATFORM])
    assert "search_documents" in await _tables(engine_urls.owner)


async def _tables(url: str) -> list[str]:
    async with opened(url) as database:
        return [row.name for row in await database.execute(_TABLES)]


async def _answer(
    database: Database, tenant: UUID, things: list[Document], query: str, tag: str
) -> tuple[list[Hit], int]:
    async with database.transaction(tenant) as transaction:
        bound = search_in(database).bind(tenant, transaction.session, writes=True)
        await bound.index(KIND, things)
        found = await bound.find(KIND, query, tag=tag, limit=100)
    return found.hits, found.total


_TABLES = Sql(
    postgresql="SELECT relname AS name FROM pg_class WHERE relname LIKE 'search%'",
    sqlite="SELECT name FROM sqlite_master WHERE name LIKE 'search%'",
)
