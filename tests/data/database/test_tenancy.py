"""Two walls between tenants: the session's, on both engines, and row-level security behind it on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Executable, delete, func, insert, select, text, update
from sqlalchemy.orm import aliased, selectinload

from groundplan.core.errors import Misuse, TenantMissing
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.testing.postgres import DatabaseUrls, PostgresServer
from shop.catalog import Product
from shop.orders import Order, OrderLine
from tests.databases import Templates, copy_of, opened

pytestmark = pytest.mark.anyio

MINE, OTHERS = uuid4(), uuid4()


def _product(tenant_id: UUID | None, title: str) -> Product:
    return Product(
        id=uuid4(),
        sku=title,
        title=title,
        brand="",
        size="",
        department="produce",
        price_cents=100,
        unit_price="",
        stock=5,
        bought=0,
        tenant_id=tenant_id,
    )


@pytest.fixture
async def stocked(shop_urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with opened(shop_urls.app) as database:
        for tenant_id, title in ((MINE, "mine"), (OTHERS, "theirs")):
            async with database.transaction(tenant_id) as transaction:
                transaction.session.add(_product(None, title))
        yield database


async def test_reads_see_their_tenant_alone(stocked: Database) -> None:
    reader = stocked.reader(MINE)
    session = reader.session
    assert [product.title for product in await session.scalars(select(Product))] == ["mine"]
    assert await session.scalar(select(func.count()).select_from(Product)) == 1
    assert await session.scalar(select(func.count()).select_from(select(Product).subquery())) == 1
    other = aliased(Product)
    pairs = await session.execute(select(Product.title, other.title).join(other, other.sku != Product.sku))
    assert pairs.all() == []
    theirs = await stocked.execute(Sql("SELECT id FROM products WHERE title = 'theirs'")) if _is_sqlite(stocked) else []
    for row in theirs:
        assert await session.get(Product, UUID(row.id)) is None
    await reader.release()


async def test_without_a_tenant_nothing_is_read_or_written(stocked: Database) -> None:
    reader = stocked.reader(None)
    with pytest.raises(TenantMissing):
        await reader.session.scalars(select(Product))
    await reader.release()
    with pytest.raises(TenantMissing):
        async with stocked.transaction(None) as transaction:
            transaction.session.add(_product(None, "nobody's"))


async def test_changes_reach_their_tenant_alone(stocked: Database) -> None:
    async with stocked.transaction(MINE) as transaction:
        await transaction.session.execute(update(Product).values(stock=0))
    async with stocked.transaction(OTHERS) as transaction:
        assert await transaction.session.scalar(select(Product.stock)) == 5
    async with stocked.transaction(MINE) as transaction:
        await transaction.session.execute(delete(Product))
    async with stocked.transaction(OTHERS) as transaction:
        assert await transaction.session.scalar(select(func.count()).select_from(Product)) == 1


async def test_a_row_for_another_tenant_is_refused(stocked: Database) -> None:
    with pytest.raises(TenantMissing):
        async with stocked.transaction(MINE) as transaction:
            transaction.session.add(_product(OTHERS, "smuggled"))


async def test_relationships_load_within_the_tenant(stocked: Database) -> None:
    reader = stocked.reader(MINE)
    orders = await reader.session.scalars(select(Order).options(selectinload(Order.lines), selectinload(Order.receipt)))
    assert list(orders) == []
    assert list(await reader.session.scalars(select(OrderLine).join(Product, Product.id == OrderLine.product_id))) == []
    await reader.release()


async def test_statements_past_the_models_are_refused(stocked: Database) -> None:
    reader = stocked.reader(MINE)
    table = Product.__table__
    with pytest.raises(TenantMissing):
        await reader.session.execute(select(table.c.title))
    with pytest.raises(TenantMissing):
        await reader.session.execute(text("SELECT title FROM products"))
    await reader.session.execute(text("SELECT 1").execution_options(unscoped=True))
    await reader.release()


async def test_a_reader_does_not_write(stocked: Database) -> None:
    reader = stocked.reader(MINE)
    with pytest.raises(Misuse):
        await reader.session.execute(update(Product).values(stock=0))
    reader.session.add(_product(MINE, "new"))
    with pytest.raises(Misuse):
        await reader.session.flush()
    reader.session.expunge_all()
    await reader.release()


async def test_a_released_reader_reads_again(shop_urls: DatabaseUrls) -> None:
    async with opened(shop_urls.app, pool_size=1) as database:
        one, other = database.reader(MINE), database.reader(OTHERS)
        for _ in range(3):
            for reader in (one, other):
                assert list(await reader.session.scalars(select(Product))) == []
                await reader.release()


async def test_a_connection_follows_whoever_reads_on_it(
    postgres: PostgresServer, shop_templates: Templates, tmp_path: Path
) -> None:
    urls = copy_of("postgresql", shop_templates, tmp_path, postgres)
    titles = text("SELECT title FROM products").execution_options(unscoped=True)
    async with opened(urls.app, pool_size=1) as database:
        for tenant_id, title in ((MINE, "mine"), (OTHERS, "theirs")):
            async with database.transaction(tenant_id) as transaction:
                transaction.session.add(_product(None, title))
        for reads, seen in ((MINE, ["mine"]), (MINE, ["mine"]), (OTHERS, ["theirs"]), (None, []), (MINE, ["mine"])):
            reader = database.reader(reads)
            assert list(await reader.session.scalars(titles)) == seen
            await reader.release()


@pytest.mark.parametrize(
    "becoming",
    [
        select(func.set_config("groundplan.tenant", str(OTHERS), False)),
        text(f"SELECT set_config('groundplan.tenant', '{OTHERS}', false)").execution_options(unscoped=True),
        text(f"SET groundplan.tenant = '{OTHERS}'").execution_options(unscoped=True),
        text("RESET ALL").execution_options(unscoped=True),
    ],
    ids=["function", "text", "set", "reset"],
)
async def test_a_tenant_that_somebody_else_set_does_not_stay(
    postgres: PostgresServer, shop_templates: Templates, tmp_path: Path, becoming: Executable
) -> None:
    urls = copy_of("postgresql", shop_templates, tmp_path, postgres)
    async with opened(urls.app, pool_size=1) as database:
        for tenant_id, title in ((MINE, "mine"), (OTHERS, "theirs")):
            async with database.transaction(tenant_id) as transaction:
                transaction.session.add(_product(None, title))
        reader = database.reader(MINE)
        assert list(await reader.session.scalars(select(Product.title))) == ["mine"]
        await reader.session.execute(becoming)
        await reader.release()
        titles = text("SELECT title FROM products").execution_options(unscoped=True)
        assert list(await reader.session.scalars(titles)) == ["mine"]
        await reader.release()


async def test_row_level_security_is_the_second_wall(
    postgres: PostgresServer, shop_templates: Templates, tmp_path: Path
) -> None:
    urls = copy_of("postgresql", shop_templates, tmp_path, postgres)
    for url in urls:  # the owner too
        async with opened(url) as database:
            async with database.transaction(MINE) as transaction:
                transaction.session.add(_product(None, uuid4().hex))
            assert await database.execute(Sql("SELECT title FROM products")) == []
            async with database.transaction(OTHERS) as transaction:
                assert await transaction.execute(Sql("SELECT title FROM products")) == []
                assert await transaction.execute(Sql("DELETE FROM products RETURNING id")) == []
            with pytest.raises(Exception, match="row-level security"):
                async with database.transaction(OTHERS) as transaction:
                    smuggled = _product(MINE, "smuggled")
                    values = {c.key: getattr(smuggled, c.key) for c in Product.__table__.columns}
                    statement = insert(Product).values(values).execution_options(unscoped=True)
                    await transaction.session.execute(statement)


async def test_the_application_owns_nothing_and_only_adds_to_what_happened(
    postgres: PostgresServer, shop_templates: Templates, tmp_path: Path
) -> None:
    urls = copy_of("postgresql", shop_templates, tmp_path, postgres)
    async with opened(urls.app) as database:
        owned = Sql(
            "SELECT relname FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        )
        assert await database.execute(owned) == []
        for statement in (
            "UPDATE audit_log SET actor = 'nobody'",
            "DELETE FROM audit_log",
            "UPDATE events SET name = ''",
            "DELETE FROM events",
            "DROP TABLE queues",
            "ALTER TABLE products DISABLE ROW LEVEL SECURITY",
        ):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                await database.execute(Sql(statement))


def _is_sqlite(database: Database) -> bool:
    return database.dialect == "sqlite"
