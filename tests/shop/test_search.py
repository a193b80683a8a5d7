"""The search index follows the products: through failures, while it is made anew, and for each store alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import delete, select

from groundplan.app import Context
from groundplan.core.errors import Forbidden, NotFound
from groundplan.data.search.port import Entry
from groundplan.testing.app import RunningApp, a_user, running
from groundplan.testing.handlers import AppInTest, At, app_in_test
from groundplan.testing.postgres import DatabaseUrls
from shop.app import app
from shop.catalog import INDEX, Product
from shop.catalog.editing import EditProduct, edit_product, rebuild_search_index
from shop.catalog.events import ProductChanged, RebuildIndex
from shop.catalog.indexing import BATCH, LAST, index_product, rebuild_index
from shop.catalog.products import list_products
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio

FIRST = UUID(int=0)


@pytest.fixture
async def house(shop_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[AppInTest]:
    async with app_in_test(app, tmp_path, owner_url=shop_urls.owner, DATABASE_URL=shop_urls.app) as house:
        yield house


def as_(house: RunningApp, role: str) -> Context:
    return house.context(user=a_user(house.tenant, role), idempotency_key=uuid4().hex)


def edit(title: str) -> EditProduct:
    return EditProduct(title=title, brand="Maker 7", department="pantry", price_cents=199)


async def stock_up(house: RunningApp, count: int) -> list[UUID]:
    """Products past the API, so that no event tells of them."""
    products = [
        Product(
            id=uuid4(),
            sku=str(number),
            title=f"Thing{number}",
            brand="Maker 7",
            size="1",
            department="pantry",
            price_cents=100,
            unit_price="",
            stock=1,
            bought=0,
        )
        for number in range(count)
    ]
    async with house.context(system=True).transaction() as db:
        db.add_all(products)
    return [product.id for product in products]


async def found(house: RunningApp, q: str) -> int:
    return (await house.context().api(list_products, q=q)).total


async def assert_the_index_is_as_the_products_are(house: RunningApp) -> None:
    ctx = house.context(system=True)
    products = (await ctx.db.scalars(select(Product).order_by(Product.id))).all()
    assert await ctx.search.ids(INDEX, after=FIRST, until=LAST) == [product.id for product in products]
    for product in products:
        hits = (await ctx.search.find(INDEX, product.title)).hits
        assert product.id in [hit.id for hit in hits if hit.match == 3], product.title
    await ctx.release()


@pytest.mark.parametrize("at", ["start", "commit"])
async def test_a_change_is_found_though_its_handler_fails_twice(house: AppInTest, at: At) -> None:
    (product_id,) = await stock_up(house, 1)
    await as_(house, "staff").api(edit_product, product_id=product_id, data=edit("Crème fraîche"))
    assert await house.published(ProductChanged) == [ProductChanged(product_id=product_id)]
    with house.failing("catalog.index_product", times=2, at=at):
        ended = await house.run_until_idle()
    assert ended.of("catalog.index_product") == ["retried", "retried", "done"]
    assert await found(house, "creme fr") == 1

    await as_(house, "staff").api(edit_product, product_id=product_id, data=edit("Sour cream"))
    await house.run_until_idle()
    assert (await found(house, "creme"), await found(house, "sour cream")) == (0, 1)


async def test_an_event_told_twice_or_late_changes_nothing(house: AppInTest) -> None:
    (product_id,) = await stock_up(house, 1)
    for title in ("Early", "Late"):
        await as_(house, "staff").api(edit_product, product_id=product_id, data=edit(title))
    await house.run_until_idle()
    ctx = house.context(system=True)
    async with ctx.transaction():
        ctx.publish(ProductChanged(product_id=product_id))
    await house.run_until_idle()
    assert (await found(house, "early"), await found(house, "late")) == (0, 1)


async def test_what_is_gone_is_taken_out(house: AppInTest) -> None:
    (product_id,) = await stock_up(house, 1)
    ctx = house.context(system=True)
    await index_product(ctx, ProductChanged(product_id=product_id))
    ctx = house.context(system=True)
    async with ctx.transaction() as db:
        await db.execute(delete(Product).where(Product.id == product_id))
        ctx.publish(ProductChanged(product_id=product_id))
    await house.run_until_idle()
    await assert_the_index_is_as_the_products_are(house)


async def test_a_rebuild_goes_batch_by_batch_and_takes_out_what_is_gone(house: AppInTest) -> None:
    gone = await stock_up(house, 3)
    for product_id in gone:
        await index_product(house.context(system=True), ProductChanged(product_id=product_id))
    async with house.context(system=True).transaction() as db:
        await db.execute(delete(Product))
    await stock_up(house, 2 * BATCH + 1)
    await as_(house, "staff").api(rebuild_search_index)
    await as_(house, "staff").api(rebuild_search_index)
    assert len(await house.enqueued(RebuildIndex)) == 1
    with house.failing("catalog.rebuild_index", at="commit"):
        ended = await house.run_until_idle()
    assert ended.of("catalog.rebuild_index") == ["retried", "done", "done", "done"]
    await assert_the_index_is_as_the_products_are(house)


async def test_every_night_it_is_made_anew(house: AppInTest) -> None:
    await stock_up(house, 2)
    await house.tick("catalog.rebuild_nightly")
    ended = await house.run_until_idle()
    assert (ended.of("catalog.rebuild_nightly"), ended.of("catalog.rebuild_index")) == (["done"], ["done"])
    await assert_the_index_is_as_the_products_are(house)


async def test_a_rebuild_does_not_overwrite_a_change_that_comes_meanwhile(house: AppInTest) -> None:
    """It is held right before it writes; a change that could go past it now would be overwritten by what it read."""
    (product_id,) = await stock_up(house, 1)
    engine: Any = house.services.search.engine
    reading, writing = asyncio.Event(), asyncio.Event()
    index = engine.index

    async def held(session: Any, tenant_id: UUID, kind: str, entries: Sequence[Entry]) -> None:
        engine.index = index
        reading.set()
        await writing.wait()
        await index(session, tenant_id, kind, entries)

    async def change() -> None:
        await as_(house, "staff").api(edit_product, product_id=product_id, data=edit("Changed meanwhile"))
        await index_product(house.context(system=True), ProductChanged(product_id=product_id))

    engine.index = held
    rebuild = asyncio.create_task(rebuild_index(house.context(system=True), RebuildIndex()))
    await reading.wait()
    changing = asyncio.create_task(change())
    await asyncio.wait({changing}, timeout=0.5)
    writing.set()
    await asyncio.gather(rebuild, changing)
    assert await found(house, "changed meanwhile") == 1


async def test_nothing_is_lost_where_products_change_while_it_is_made_anew(
    patient: None, shop_urls: DatabaseUrls, tmp_path: Path
) -> None:
    async with running(app, tmp_path, owner_url=shop_urls.owner, DATABASE_URL=shop_urls.app) as house:
        ids = await stock_up(house, 2 * BATCH + 50)
        await as_(house, "staff").api(rebuild_search_index)
        for number, product_id in enumerate(ids[::9]):
            await as_(house, "staff").api(edit_product, product_id=product_id, data=edit(f"Changed{number}"))
            if number % 10 == 0:
                ctx = house.context(system=True)
                async with ctx.transaction() as db:
                    await db.execute(delete(Product).where(Product.id == ids[9 * number + 1]))
                    ctx.publish(ProductChanged(product_id=ids[9 * number + 1]))
                await as_(house, "staff").api(rebuild_search_index)
        await house.until_idle()
        await assert_the_index_is_as_the_products_are(house)
        assert await house.rows("dead_letters") == 0


async def test_stores_are_indexed_apart(stores: Stores) -> None:
    mine = await stores.product("Apples", tenant=stores.northside)
    theirs = await stores.product("Apples", tenant=stores.riverside)
    await index_product(stores.worker(stores.northside), ProductChanged(product_id=theirs))
    await rebuild_index(stores.worker(stores.northside), RebuildIndex())
    for tenant, product_id in ((stores.northside, mine), (stores.riverside, theirs)):
        page = await stores.visitor(tenant).api(list_products, q="apples")
        assert [product.id for product in page.items] == [product_id]
    with pytest.raises(NotFound):
        await stores.as_("sam").api(edit_product, product_id=theirs, data=edit("Mine now"))


async def test_customers_change_nothing(stores: Stores) -> None:
    product_id = await stores.product()
    with pytest.raises(Forbidden):
        await stores.as_("mara").api(edit_product, product_id=product_id, data=edit("Free"))
    with pytest.raises(Forbidden):
        await stores.as_("mara").api(rebuild_search_index)


async def test_sales_leave_the_index_alone(stores: Stores) -> None:
    """Stock and what is bought come from the database, so a search is right about them without an event."""
    product_id = await stores.product("Apples", stock=1)
    await stores.rows("UPDATE products SET stock = 0, bought = 1 WHERE id = :id RETURNING id", id=product_id)
    (shown,) = (await stores.visitor().api(list_products, q="apples")).items
    assert msgspec.structs.asdict(shown)["stock"] == 0
    assert (await stores.visitor().api(list_products, q="apples", in_stock=True)).total == 0
