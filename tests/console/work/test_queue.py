"""The switches of the queue: pause, resume, cancel, by form and over the API, and audited."""

from uuid import uuid4

import pytest

from groundplan.messaging.delivery.queues import Queues
from tests.console.conftest import House
from tests.console.dead_letters.test_pages import OPERATOR
from tests.console.test_pages import check

pytestmark = pytest.mark.anyio
API = "/api/v1/console"


async def test_a_queue_is_paused_and_resumed(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    queues = house.services.registry[Queues]
    page = await house.operator.get("/console/queue")
    check(page.text)
    assert "Pause<" in page.text and "Resume<" not in page.text
    done = await house.operator.post("/console/queues/default", data={"paused": "yes"})
    assert (done.status_code, done.headers["location"]) == (303, "/console/queue")
    assert await queues.paused() == {"default"}
    paused = await house.operator.get("/console/queue")
    check(paused.text)
    assert "Resume<" in paused.text and "Paused" in paused.text
    await house.operator.put(f"{API}/queues/default", json={"paused": False})
    assert await queues.paused() == frozenset()
    assert await house.audited() == [("queue.pause", OPERATOR), ("queue.resume", OPERATOR)]


async def test_a_queue_that_nobody_takes_from_is_a_slip_of_the_pen(house: House) -> None:
    refused = await house.operator.put(f"{API}/queues/defualt", json={"paused": True})
    assert refused.status_code == 404 and "default" in refused.json()["detail"]
    assert (await house.operator.get(f"{API}/queues")).json() == [{"name": "default", "paused": False}]
    assert await house.audited() == []


async def test_a_message_is_cancelled_once(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    letter = await house.dead_letter()
    await house.operator.post(f"{API}/dead-letters/{letter}/replay", json={})
    assert len(await house.waiting()) == 1
    assert (await house.operator.delete(f"{API}/messages/{letter}")).status_code == 200
    assert await house.waiting() == []
    assert (await house.operator.delete(f"{API}/messages/{letter}")).status_code == 404
    assert (await house.operator.delete(f"{API}/messages/{uuid4()}")).status_code == 404
    assert [act for act, _ in await house.audited()] == ["dead-letter.replay", "queue.cancel"]


async def test_only_an_operator_may(house: House) -> None:
    assert (await house.customer.put(f"{API}/queues/default", json={"paused": True})).status_code == 403
    assert (await house.customer.delete(f"{API}/messages/{uuid4()}")).status_code == 403
    assert (await house.visitor.post("/console/queues/default", data={"paused": "yes"})).status_code in (303, 401)
    assert await house.services.registry[Queues].paused() == frozenset()
