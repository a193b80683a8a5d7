"""Placing and reading orders: all or nothing, never oversold, nobody else's."""

import asyncio
import base64
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.errors import (
    Conflict,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    Unauthenticated,
)
from shop.catalog import get_basket
from shop.catalog.baskets import SetQuantity, put_basket_line
from shop.orders.api import get_order, list_orders, place_order
from shop.orders.views import LineOrder, OrderView, PlaceOrder
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio


def order_of(*lines: tuple[UUID, int], basket_id: UUID | None = None) -> PlaceOrder:
    return PlaceOrder(lines=[LineOrder(product_id, quantity) for product_id, quantity in lines], basket_id=basket_id)


async def place(stores: Stores, *lines: tuple[UUID, int], by: str = "mara") -> OrderView:
    return await stores.as_(by).api(place_order, data=order_of(*lines))


def cursor_of(position: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


async def test_an_order_takes_its_products_off_the_shelves(stores: Stores) -> None:
    apples = await stores.product("Apples", price_cents=300, stock=5, bought=2)
    pears = await stores.product("Pears", price_cents=1_000, stock=5)
    order = await place(stores, (pears, 1), (apples, 4))
    assert [(line.title, line.quantity, line.amount_cents) for line in order.lines] == [
        ("Pears", 1, 1_000),
        ("Apples", 4, 1_200),
    ]
    assert (order.items, order.items_cents, order.tax_cents, order.total_cents) == (5, 2_200, 165, 2_365)
    assert (order.state, order.email, order.paid_at) == ("placed", "mara@northside.example", None)
    assert order.number.startswith("NM-")
    assert await stores.stock(apples) == 1
    assert order == await stores.as_("mara").api(get_order, order_id=order.id)
    (event,) = await stores.rows("SELECT name FROM events")
    assert event.name == "order.placed"
    (note,) = await stores.rows("SELECT action, subject, actor FROM audit_log")
    assert tuple(note) == ("order.place", order.number, "mara@northside.example")


async def test_an_order_that_cannot_be_filled_changes_nothing(stores: Stores) -> None:
    apples, pears = await stores.product("Apples", stock=5), await stores.product("Pears", stock=1)
    with pytest.raises(Conflict, match="Pears: 1 left, and the order asks for 2"):
        await place(stores, (apples, 2), (pears, 2))
    assert (await stores.stock(apples), await stores.stock(pears)) == (5, 1)
    for table in ("orders", "order_lines", "events", "audit_log", "idempotency"):
        assert not await stores.rows(f"SELECT * FROM {table}"), table


async def test_concurrent_orders_sell_exactly_what_there_is(patient: None, stores: Stores) -> None:
    last = await stores.product("Last ones", stock=10)
    other = await stores.product("Plenty", stock=1_000)
    orders = [place(stores, *((last, 1), (other, 1))[:: 1 if n % 2 else -1]) for n in range(40)]
    results = await asyncio.gather(*orders, return_exceptions=True)
    placed = [result for result in results if isinstance(result, OrderView)]
    assert len(placed) == 10
    assert all(isinstance(result, (OrderView, Conflict)) for result in results), results
    assert (await stores.stock(last), await stores.stock(other)) == (0, 990)


async def test_one_key_makes_one_order(stores: Stores) -> None:
    apples = await stores.product(stock=5)
    first = await stores.as_("mara", key="k1").api(place_order, data=order_of((apples, 1)))
    again = await stores.as_("mara", key="k1").api(place_order, data=order_of((apples, 1)))
    assert again == first
    assert await stores.stock(apples) == 4
    with pytest.raises(IdempotencyKeyReused):
        await stores.as_("mara", key="k1").api(place_order, data=order_of((apples, 2)))


async def test_the_basket_is_emptied_with_the_order(stores: Stores) -> None:
    basket_id, apples = uuid4(), await stores.product()
    await stores.visitor().api(put_basket_line, basket_id=basket_id, product_id=apples, data=SetQuantity(2))
    await stores.as_("mara").api(place_order, data=order_of((apples, 2), basket_id=basket_id))
    assert (await stores.visitor().api(get_basket, basket_id=basket_id)).lines == []


async def test_unknown_and_foreign_and_repeated_products_are_refused(stores: Stores) -> None:
    apples = await stores.product()
    for odd in (uuid4(), await stores.product(tenant=stores.riverside), apples):
        with pytest.raises(Invalid):
            await place(stores, (apples, 1), (odd, 1))
    assert await stores.stock(apples) == 100


async def test_visitors_do_not_order_and_do_not_read(stores: Stores) -> None:
    apples = await stores.product()
    with pytest.raises(Unauthenticated):
        await stores.visitor().api(place_order, data=order_of((apples, 1)))
    with pytest.raises(Unauthenticated):
        await stores.visitor().api(list_orders)


async def test_an_order_is_its_customers_and_the_staffs(stores: Stores) -> None:
    order = await place(stores, (await stores.product(), 1))
    assert (await stores.as_("sam").api(get_order, order_id=order.id)).id == order.id
    strangers = [stores.as_("otto"), stores.as_("mara", stores.riverside), stores.as_("sam", stores.riverside)]
    for stranger in strangers:
        with pytest.raises(NotFound):
            await stranger.api(get_order, order_id=order.id)
    assert (await stores.as_("otto").api(list_orders)).items == []
    assert [found.id for found in (await stores.as_("sam").api(list_orders)).items] == [order.id]
    assert (await stores.as_("sam").api(list_orders, mine=True)).items == []


async def test_orders_come_page_by_page_newest_first(stores: Stores) -> None:
    apples = await stores.product(stock=1_000)
    placed = [(await place(stores, (apples, 1))).id for _ in range(5)]
    ctx, seen, cursor = stores.as_("mara"), list[UUID](), ""
    while True:
        page = await ctx.api(list_orders, limit=2, cursor=cursor)
        seen += [order.id for order in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert seen == placed[::-1]
    assert (await ctx.api(list_orders, state="paid")).items == []
    assert len((await ctx.api(list_orders, state="placed")).items) == 5
    forged = [[10**17, str(uuid4())], [-1, str(uuid4())], ["2026-01-01", str(uuid4())], [1, "x"], [1], {}]
    for cursor in ("nonsense", *(cursor_of(position) for position in forged)):
        with pytest.raises(Invalid):
            await ctx.api(list_orders, cursor=cursor)


async def test_the_store_can_stop_taking_orders(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores.services.flags, "enabled", lambda name, *_, **__: name != "orders.accepting")
    with pytest.raises(Conflict, match="no orders at the moment"):
        await place(stores, (await stores.product(), 1))
