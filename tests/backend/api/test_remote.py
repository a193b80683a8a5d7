"""What the web role makes of the API role's answers, and of an API process that stops."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from groundplan.app.context import Context
from groundplan.app.feature import Feature
from groundplan.app.route import Route, build
from groundplan.backend.api.remote import RemoteApi
from groundplan.core.errors import Conflict, OutsideCallFailed, RateLimited, Unavailable
from groundplan.net.client import Outbound
from groundplan.security.assertion import Assertions
from groundplan.security.principal import Tenant
from groundplan.testing.clock import ManualClock
from tests.net.peer import Peer, Received, hang_up, status

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api() -> AsyncIterator[Peer]:
    async with Peer() as api:
        yield api


@pytest.fixture
async def remote(api: Peer) -> AsyncIterator[RemoteApi]:
    clock = ManualClock()
    outbound = Outbound(clock)
    yield RemoteApi([api.url], outbound, Assertions("k" * 32, clock))
    await outbound.close()


@pytest.fixture
def caller() -> Context:
    nothing: Any = None
    tenant = Tenant(id=uuid4(), slug="north", name="North", host="north.example", brand="")
    return Context(nothing, nothing, tenant=tenant)


def routes() -> tuple[Route, Route]:
    feature = Feature("things", owner="team")

    @feature.get("/things", public=True)
    async def list_things(ctx: Context) -> list[str]:
        raise NotImplementedError

    @feature.post("/things", public=True)
    async def add_thing(ctx: Context) -> list[str]:
        raise NotImplementedError

    read, write = (build("things", declared) for declared in feature.declarations)
    return read, write


async def test_a_read_goes_on_at_the_next_process(api: Peer, remote: RemoteApi, caller: Context) -> None:
    async def answer(received: Received, writer: Any) -> None:
        await (hang_up if len(api.received) == 1 else status(200, b'["one"]'))(received, writer)

    api.answer = answer
    read, _ = routes()
    assert await remote(caller, read, {}) == ["one"]
    assert [each.target for each in api.received] == ["/api/v1/things"] * 2


async def test_a_write_is_sent_once(api: Peer, remote: RemoteApi, caller: Context) -> None:
    api.answer = hang_up
    _, write = routes()
    with pytest.raises(Unavailable):
        await remote(caller, write, {})
    assert len(api.received) == 1


async def test_one_broken_route_does_not_cut_off_the_others(api: Peer, remote: RemoteApi, caller: Context) -> None:
    read, write = routes()
    api.answer = status(500, b'{"code": "Broken", "detail": "a bug"}')
    for _ in range(20):
        with pytest.raises(OutsideCallFailed, match="a bug"):
            await remote(caller, read, {})
    assert len(api.received) == 20, "and a problem is not asked for twice"

    api.answer = status(409, b'{"code": "Conflict", "detail": "taken"}')
    with pytest.raises(Conflict, match="taken"):
        await remote(caller, write, {})


async def test_a_caller_who_asks_too_often_is_told_when_to_come_again(
    api: Peer, remote: RemoteApi, caller: Context
) -> None:
    read, _ = routes()
    api.answer = status(429, b'{"code": "RateLimited", "detail": "too often"}', b"retry-after: 1")
    with pytest.raises(RateLimited, match="too often") as refused:
        await remote(caller, read, {})
    assert refused.value.retry_after == 1
    assert len(api.received) == 1
