"""Baskets: filled by anyone who holds the id, up to what the store has."""

import asyncio
from uuid import UUID, uuid4

import pytest

from groundplan.app import Page, Redirect
from groundplan.app.request import Request
from groundplan.core.errors import Conflict, Invalid, NotFound
from shop.catalog import MOST_LINES, BasketView, get_basket, visitor_basket
from shop.catalog.baskets import SetQuantity, put_basket_line
from shop.catalog.pages import BasketForm, change_basket
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio


async def put(stores: Stores, basket_id: UUID, product_id: UUID, quantity: int) -> BasketView:
    line = SetQuantity(quantity)
    return await stores.visitor().api(put_basket_line, basket_id=basket_id, product_id=product_id, data=line)


def request(cookie: str = "") -> Request:
    headers = {"cookie": f"basket={cookie}"} if cookie else {}
    return Request(method="POST", path="/", headers=headers, scheme="http", host="n.example", secure_cookies=False)


async def test_a_basket_adds_up(stores: Stores) -> None:
    basket_id, apples, pears = uuid4(), await stores.product("Apples"), await stores.product("Pears", price_cents=1_000)
    await put(stores, basket_id, apples, 3)
    await put(stores, basket_id, pears, 1)
    basket = await put(stores, basket_id, apples, 2)
    assert [(line.title, line.quantity, line.amount_cents) for line in basket.lines] == [
        ("Apples", 2, 190),
        ("Pears", 1, 1_000),
    ]
    assert (basket.items, basket.items_cents, basket.tax_cents, basket.total_cents) == (3, 1_190, 89, 1_279)
    assert basket.quantity_of(apples) == 2
    assert basket == await stores.visitor().api(get_basket, basket_id=basket_id)


async def test_zero_takes_a_product_out(stores: Stores) -> None:
    basket_id, apples = uuid4(), await stores.product()
    await put(stores, basket_id, apples, 1)
    assert (await put(stores, basket_id, apples, 0)).lines == []
    assert (await put(stores, basket_id, uuid4(), 0)).lines == []


async def test_a_basket_holds_no_more_than_the_store_has(stores: Stores) -> None:
    apples = await stores.product("Apples", stock=2)
    with pytest.raises(Conflict, match="Apples: 2 left"):
        await put(stores, uuid4(), apples, 3)
    with pytest.raises(Conflict, match="none left"):
        await put(stores, uuid4(), await stores.product(stock=0), 1)


async def test_odd_quantities_are_refused(stores: Stores) -> None:
    product_id = await stores.product()
    for quantity in (-1, 100):
        with pytest.raises(Invalid):
            await put(stores, uuid4(), product_id, quantity)


async def test_unknown_products_and_those_of_another_store_are_refused(stores: Stores) -> None:
    for product_id in (uuid4(), await stores.product(tenant=stores.riverside)):
        with pytest.raises(NotFound):
            await put(stores, uuid4(), product_id, 1)


async def test_a_basket_has_room_for_a_hundred_products(stores: Stores) -> None:
    basket_id = uuid4()
    for _ in range(MOST_LINES):
        await put(stores, basket_id, await stores.product(), 1)
    with pytest.raises(Conflict, match="100 different"):
        await put(stores, basket_id, await stores.product(), 1)


async def test_the_same_button_pressed_at_once_is_one_line(stores: Stores) -> None:
    basket_id, apples = uuid4(), await stores.product()
    await asyncio.gather(*(put(stores, basket_id, apples, 1) for _ in range(8)))
    assert (await stores.visitor().api(get_basket, basket_id=basket_id)).items == 1


async def test_a_visitor_gets_a_basket_with_the_first_product(stores: Stores) -> None:
    apples, asked = await stores.product(), request()
    ctx = stores.visitor(request=asked)
    assert (await visitor_basket(ctx)).items == 0
    assert asked.set_cookies == []
    answer = await change_basket(ctx, BasketForm(product_id=apples, quantity=1, next="/?department=produce"))
    assert isinstance(answer, Redirect)
    assert answer.url == f"/?department=produce#p-{apples}"
    (cookie,) = asked.set_cookies
    assert "HttpOnly" in cookie
    again = stores.visitor(request=request(cookie.partition("=")[2].partition(";")[0]))
    assert (await visitor_basket(again)).items == 1


async def test_the_way_back_stays_in_the_shop(stores: Stores) -> None:
    product_id = await stores.product()
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "basket", "/\nx"):
        form = BasketForm(product_id=product_id, quantity=1, next=elsewhere)
        answer = await change_basket(stores.visitor(request=request()), form)
        assert isinstance(answer, Redirect)
        assert answer.url == f"/#p-{product_id}"


async def test_a_refused_change_shows_the_basket_and_why(stores: Stores) -> None:
    form = BasketForm(product_id=await stores.product("Apples", stock=1), quantity=5)
    answer = await change_basket(stores.visitor(request=request()), form)
    assert isinstance(answer, Page)
    assert (answer.status, answer.data["notice"]) == (409, "Apples: 1 left.")


async def test_a_broken_cookie_is_an_empty_basket(stores: Stores) -> None:
    for cookie in ("", "nonsense", "00000000-0000-0000-0000-00000000000"):
        assert await visitor_basket(stores.visitor(request=request(cookie))) == BasketView()
