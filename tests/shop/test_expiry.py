"""What is not paid in time goes back on the shelves, once."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from groundplan.app import Tick
from groundplan.core.errors import Conflict
from shop.catalog.baskets import SetQuantity, put_basket_line
from shop.orders.api import get_order, place_order
from shop.orders.expiry import TIME_TO_PAY, expire_orders
from shop.orders.views import LineOrder, OrderView, PlaceOrder
from tests.shop.conftest import Stores
from tests.shop.test_payments import report

pytestmark = pytest.mark.anyio


async def _place(stores: Stores, product: UUID) -> OrderView:
    return await stores.as_("mara").api(place_order, data=PlaceOrder(lines=[LineOrder(product, 3)]))


async def _make_late(stores: Stores, order: OrderView) -> None:
    at = stores.services.clock.now() - TIME_TO_PAY - timedelta(seconds=1)
    await stores.rows("UPDATE orders SET placed_at = :at WHERE id = :id", at=at, id=order.id)


async def _state(stores: Stores, order: OrderView) -> Any:
    return (await stores.as_("mara").api(get_order, order_id=order.id)).state


async def _tick(stores: Stores) -> None:
    await expire_orders(stores.worker(), Tick(at=stores.services.clock.now()))


async def test_unpaid_orders_give_their_products_back(stores: Stores) -> None:
    product = await stores.product(stock=10)
    late, young, paid = [await _place(stores, product) for _ in range(3)]
    await report(stores, paid)
    for order in (late, paid):
        await _make_late(stores, order)
    for _ in range(2):
        await _tick(stores)
        assert await stores.stock(product) == 4
    assert [await _state(stores, order) for order in (late, young, paid)] == ["expired", "placed", "paid"]


async def test_what_is_paid_too_late_is_not_lost_sight_of(stores: Stores) -> None:
    product = await stores.product(stock=10)
    order = await _place(stores, product)
    await _make_late(stores, order)
    await _tick(stores)
    for _ in range(2):
        await report(stores, order)
    assert await _state(stores, order) == "expired"
    actions = [row.action for row in await stores.rows("SELECT action FROM audit_log ORDER BY at, id")]
    assert actions.count("order.pay-too-late") == 1


async def test_a_basket_becomes_one_order(stores: Stores) -> None:
    product, basket = await stores.product(stock=10), uuid4()
    await stores.visitor().api(put_basket_line, basket_id=basket, product_id=product, data=SetQuantity(quantity=1))
    data = PlaceOrder(lines=[LineOrder(product, 1)], basket_id=basket)
    await stores.as_("mara").api(place_order, data=data)
    with pytest.raises(Conflict, match="another window"):
        await stores.as_("mara").api(place_order, data=data)
    assert await stores.stock(product) == 9
