"""The page of events: the newest ones, whose trace is a link, and the catalogue."""

import re
from uuid import UUID, uuid4

import pytest

from groundplan.app import Context
from groundplan.app.calls import Calls
from groundplan.data.database.sql import Sql
from groundplan.messaging.event_log.log import EventLog
from shop.orders.events import OrderPaid, OrderPlaced
from tests.console.conftest import HANDLER, House
from tests.console.test_pages import fetch
from tests.messaging.event_log.test_event_log import Fact

pytestmark = pytest.mark.anyio

LIST = "/api/v1/console/events"


async def publish(house: House, *numbers: str, paid: bool = True) -> None:
    tenant = await house.services.tenants.by_id(house.tenant_id)
    context = Context(house.services, Calls(house.services), tenant=tenant, system=True)
    async with context.transaction():
        for number in numbers:
            if paid:
                context.publish(OrderPaid(order_id=uuid4(), number=number, email="m@n.example", total_cents=1))
            else:
                context.publish(OrderPlaced(order_id=uuid4(), number=number, total_cents=1))


async def names(house: House, query: str = "") -> list[str]:
    answer = await house.operator.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer.text
    return [event["name"] for event in answer.json()["items"]]


async def test_an_empty_log_says_so_and_the_catalogue_is_there(house: House) -> None:
    text = await fetch(house, "/console/events")
    assert "No event yet" in text
    assert 'href="/console/events" aria-current="page"' in text
    catalogue = text[text.index('id="catalogue"') :]
    for said in ("order.paid", "commerce", HANDLER, "8 attempts", "an email address", "sales.report"):
        assert said in catalogue, said
    placed = catalogue[catalogue.index('id="c-order.placed-1"') :]
    assert "no handler" in placed[: placed.index("</tr>")]


async def test_the_newest_come_first_with_their_trace(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    await publish(house, "NM-1", paid=False)
    await publish(house, "NM-2")
    assert await names(house) == ["order.paid", "order.placed"]
    (newest,) = (await house.operator.get(f"{LIST}?limit=1")).json()["items"]
    assert (newest["tenant"], newest["version"], newest["erased"]) == ("north", 1, False)
    text = await fetch(house, "/console/events")
    rows = re.findall(r'<tr role="row" id="e-.*?</tr>', text, re.DOTALL)
    assert [("order.paid" in row, "north" in row) for row in rows] == [(True, True), (False, True)]
    assert f'href="/console/traces/{newest["trace_id"]}"' in rows[0]


async def test_filters_narrow_the_log(house: House) -> None:
    await publish(house, "NM-1", paid=False)
    await publish(house, "NM-2")
    await EventLog(house.services.database).append([Fact("product.viewed", {"sku": "1"})])
    assert await names(house, "name=order.placed") == ["order.placed"]
    assert await names(house, "tenant=north") == ["order.paid", "order.placed"]
    assert await names(house, "facts=true") == ["analytics.product.viewed", "order.paid", "order.placed"]
    assert "analytics.product.viewed" in await fetch(house, "/console/events?facts=on")
    assert "No event matches" in await fetch(house, "/console/events?name=order.lost")
    for wrong in ("tenant=south", "limit=0", f"name={'x' * 201}"):
        assert (await house.operator.get(f"{LIST}?{wrong}")).status_code == 400, wrong


async def test_what_was_erased_is_said(house: House) -> None:
    await publish(house, "NM-1")
    await house.services.database.execute(Sql("UPDATE events SET payload = '{}', erased_at = NOW"))
    assert "its content was erased" in await fetch(house, "/console/events")


async def test_an_event_of_a_tenant_that_is_gone_is_shown(house: House) -> None:
    await publish(house, "NM-1")
    await house.services.database.execute(Sql("UPDATE events SET tenant_id = :id"), id=UUID(int=5))
    assert "order.paid" in await fetch(house, "/console/events")


async def test_the_catalogue_as_asyncapi(house: House) -> None:
    document = (await house.operator.get(f"{LIST}/asyncapi")).json()
    assert document["asyncapi"] == "3.0.0"
    assert f"receive.{HANDLER}" in document["operations"]
    entries = (await house.operator.get(f"{LIST}/catalogue")).json()
    names = ["order.paid", "order.placed", "product.changed", "rebuild.index", "sales.report"]
    assert [entry["name"] for entry in entries] == names
