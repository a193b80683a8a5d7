"""The catalogue over the API: pages, search, and what is refused."""

import base64
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.errors import Conflict, Invalid, NotFound
from shop.catalog.products import Sort, get_product, list_departments, list_products
from shop.orders.api import place_order
from shop.orders.views import LineOrder, PlaceOrder
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("sort", ["bought", "price", "title"])
async def test_pages_follow_each_other_without_gap_or_repeat(stores: Stores, sort: Sort) -> None:
    for number in range(25):
        await stores.product(f"Product {number % 7}", bought=number % 5, price_cents=100 + number % 3)
    ctx, seen, cursor = stores.visitor(), list[UUID](), ""
    while True:
        page = await ctx.api(list_products, sort=sort, limit=4, cursor=cursor)
        assert page.total == 25
        assert page.first == len(seen) + 1
        seen += [product.id for product in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
        assert len(page.items) == 4
    assert len(seen) == len(set(seen)) == 25


async def test_the_most_bought_come_first_and_prices_rise(stores: Stores) -> None:
    for bought, cents in ((3, 300), (9, 200), (1, 100)):
        await stores.product(bought=bought, price_cents=cents)
    ctx = stores.visitor()
    by_price = await ctx.api(list_products, sort="price")
    assert [product.price_cents for product in by_price.items] == [100, 200, 300]
    assert [product.price_cents for product in (await ctx.api(list_products)).items] == [200, 300, 100]


async def test_search_needs_every_word_in_title_or_brand(stores: Stores) -> None:
    milk = await stores.product("Chocolate milk", brand="Northside own brand", department="dairy")
    await stores.product("Milk", brand="Maker 7", department="dairy")
    ctx = stores.visitor()
    found = await ctx.api(list_products, q="  MILK northside ")
    assert [product.id for product in found.items] == [milk]
    assert (await ctx.api(list_products, q="milk", department="produce")).total == 0


async def test_search_takes_its_words_literally(stores: Stores) -> None:
    await stores.product("Bananas")
    await stores.product("Chocolate 72 %")
    ctx = stores.visitor()
    for q in ("_", "/", "\\", "100%", "'", '"', "; DROP TABLE products; --", "<script>"):
        assert (await ctx.api(list_products, q=q)).total == 0, q
    assert [product.title for product in (await ctx.api(list_products, q="%")).items] == ["Chocolate 72 %"]


async def test_the_best_match_comes_first_and_then_the_most_bought(stores: Stores) -> None:
    for title, brand, bought in (
        ("Chocolate", "Milk and more", 90),
        ("Milkshake", "Maker", 80),
        ("Milk, seldom", "Maker", 1),
        ("Milk, often", "Maker", 5),
    ):
        await stores.product(title, brand=brand, bought=bought, department="dairy")
    ctx = stores.visitor()
    found = await ctx.api(list_products, q="milk")
    assert [product.title for product in found.items] == ["Milk, often", "Milk, seldom", "Milkshake", "Chocolate"]
    by_bought = await ctx.api(list_products, q="milk", sort="bought")
    assert [product.title for product in by_bought.items][:2] == ["Chocolate", "Milkshake"]
    assert (await ctx.api(list_products, q="dairy", in_stock=True)).total == 4
    assert (await ctx.api(list_products, sort="match")).total == 4


@pytest.mark.parametrize("sort", ["match", "bought", "price", "title"])
async def test_pages_of_a_search_follow_each_other_without_gap_or_repeat(stores: Stores, sort: Sort) -> None:
    titles = ("Milk", "Milkshake", "Oats", "Soup")
    for number in range(24):
        brand = ("Milk and more", "Milky")[number % 2]
        await stores.product(titles[number % 3], brand=brand, bought=number % 4, price_cents=100 + number % 3)
    await stores.product(titles[3])
    ctx, seen, cursor = stores.visitor(), list[UUID](), ""
    while True:
        page = await ctx.api(list_products, q="milk", sort=sort, limit=5, cursor=cursor)
        assert (page.total, page.first) == (24, len(seen) + 1)
        seen += [product.id for product in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 24


async def test_in_stock_leaves_out_what_has_run_out(stores: Stores) -> None:
    await stores.product(stock=0)
    left = await stores.product(stock=1)
    page = await stores.visitor().api(list_products, in_stock=True)
    assert [product.id for product in page.items] == [left]


async def test_what_does_not_fit_is_refused(stores: Stores) -> None:
    odd: list[dict] = [
        {"limit": 0},
        {"limit": 101},
        {"department": "toys"},
        {"sort": "random"},
        {"q": "x" * 101},
        {"q": "a\0b"},
        {"cursor": "nonsense"},
        {"cursor": "x" * 501},
    ]
    for arguments in odd:
        with pytest.raises(Invalid):
            await stores.visitor().api(list_products, **arguments)


async def test_a_cursor_belongs_to_the_order_it_came_from(stores: Stores) -> None:
    for _ in range(2):
        await stores.product()
    ctx = stores.visitor()
    cursor = (await ctx.api(list_products, limit=1)).next_cursor
    with pytest.raises(Invalid, match="another order"):
        await ctx.api(list_products, limit=1, sort="price", cursor=cursor)


async def test_forged_cursors_are_refused(stores: Stores) -> None:
    await stores.product()
    forged: list[tuple[Sort, list[object]]] = [
        ("bought", ["bought", 10**30, str(uuid4()), 0]),
        ("bought", ["bought", 1.5, str(uuid4()), 0]),
        ("bought", ["bought", "1", str(uuid4()), 0]),
        ("bought", ["bought", 1, str(uuid4()), -1]),
        ("title", ["title", "a\0b", str(uuid4()), 0]),
        ("title", ["title", 1, str(uuid4()), 0]),
        ("bought", ["bought", 1, str(uuid4()), 0, 9]),
    ]
    for sort, position in forged:
        cursor = base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")
        with pytest.raises(Invalid):
            await stores.visitor().api(list_products, sort=sort, cursor=cursor)


async def test_departments_count_their_products(stores: Stores) -> None:
    for department in ("produce", "produce", "home"):
        await stores.product(department=department)
    departments = await stores.visitor().api(list_departments)
    assert len(departments) == 9
    assert {department.name: department.products for department in departments if department.products} == {
        "produce": 2,
        "home": 1,
    }


async def test_another_stores_products_are_not_there(stores: Stores) -> None:
    theirs = await stores.product("Riverside apples", tenant=stores.riverside)
    ctx = stores.visitor()
    assert (await ctx.api(list_products)).total == 0
    for product_id in (theirs, uuid4()):
        with pytest.raises(NotFound):
            await ctx.api(get_product, product_id=product_id)
    there = await stores.visitor(stores.riverside).api(get_product, product_id=theirs)
    assert there.title == "Riverside apples"


async def test_lists_follow_an_order_at_once(stores: Stores) -> None:
    apples, pears = await stores.product("Apples", stock=2), await stores.product("Pears", stock=9)
    theirs = await stores.product("Riverside apples", tenant=stores.riverside)
    assert await _in_stock(stores) == {apples, pears}
    with pytest.raises(Conflict):
        await _order(stores, apples, 3)
    await stores.rows("UPDATE products SET stock = 0 WHERE id = :id", id=pears)
    assert await _in_stock(stores) == {apples, pears}, "a refused order forgets nothing"

    await _order(stores, apples, 2)
    assert await _in_stock(stores) == set()
    page = await stores.visitor(stores.riverside).api(list_products)
    assert [product.id for product in page.items] == [theirs]


async def _in_stock(stores: Stores) -> set[UUID]:
    return {product.id for product in (await stores.visitor().api(list_products, in_stock=True)).items}


async def _order(stores: Stores, product_id: UUID, quantity: int) -> None:
    await stores.as_("mara").api(place_order, data=PlaceOrder(lines=[LineOrder(product_id, quantity)]))
