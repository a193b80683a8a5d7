"""The sandbox's pages as a browser meets them: a real server here, the shop's callback at the other end."""

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import msgspec
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from groundplan.integrations.payments.port import Charge, PaymentEvent
from groundplan.integrations.payments.sandbox import PAGE_SECONDS, SandboxGateway
from groundplan.integrations.payments.sandbox_pages import sandbox_routes
from groundplan.testing.clock import ManualClock
from groundplan.testing.servers import free_port
from tests.net.peer import Peer, hang_up, status

pytestmark = pytest.mark.anyio

CHARGE = Charge(
    reference="order-1",
    tenant_id=UUID(int=7),
    amount_cents=123_405,
    currency="USD",
    description="<b>Northside</b>, order N-1",
    return_url="/orders/1",
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
)


@pytest.fixture
async def browser(gateway: SandboxGateway) -> AsyncIterator[httpx2.AsyncClient]:
    port = free_port()
    application = Litestar(sandbox_routes(gateway, lambda: "/static/style.css?v=1"), logging_config=None)
    server = Server(application, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}", trust_env=False) as browser:
        await _answers(port)
        yield browser
    server.stop()
    await serving


async def _answers(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise AssertionError("the server did not start")


@pytest.fixture
async def page(gateway: SandboxGateway) -> str:
    return (await gateway.create(CHARGE, "key")).url


async def _with_return_url(gateway: SandboxGateway, url: str) -> str:
    return (await gateway.create(msgspec.structs.replace(CHARGE, return_url=url), "key")).url


def _button(html: str, decision: str) -> str:
    found = re.search(rf'<button[^>]*value="{decision}">([^<]*)</button>', html)
    return found[1] if found else ""


async def test_the_page(browser: httpx2.AsyncClient, page: str) -> None:
    shown = await browser.get(page)

    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/html")
    assert "Sandbox bank" in shown.text and "No money moves" in shown.text
    assert "Pay 1,234.05&nbsp;USD" in shown.text
    assert "&lt;b&gt;Northside&lt;/b&gt;, order N-1" in shown.text
    assert f"<dd>{browser.base_url.netloc.decode()}</dd>" in shown.text
    assert (_button(shown.text, "approve"), _button(shown.text, "decline")) == ("Approve", "Decline")


async def test_the_page_runs_nothing_and_loads_only_its_sheet(browser: httpx2.AsyncClient, page: str) -> None:
    shown = await browser.get(page)

    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", shown.text)
    assert re.findall(r'(?:src|href)="([^"]+)"', shown.text) == ["data:,", "/static/style.css?v=1"]


@pytest.mark.parametrize(("decision", "reported"), [("approve", "paid"), ("decline", "declined")])
async def test_deciding(
    browser: httpx2.AsyncClient, gateway: SandboxGateway, shop: Peer, page: str, decision: str, reported: str
) -> None:
    done = await browser.post(page, data={"decision": decision})

    assert (done.status_code, done.headers["location"]) == (303, "/orders/1")
    (callback,) = shop.received
    event = gateway.verify(callback.headers, callback.body)
    assert isinstance(event, PaymentEvent)
    assert (event.status, event.reference, event.amount_cents) == (reported, "order-1", 123_405)
    assert callback.headers["traceparent"] == CHARGE.traceparent


async def test_reporting_it_twice(browser: httpx2.AsyncClient, shop: Peer, page: str) -> None:
    assert 'name="twice"' in (await browser.get(page)).text
    done = await browser.post(page, data={"decision": "approve", "twice": "1"})

    assert done.status_code == 303
    first, second = shop.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.parametrize("answer", [status(500), status(404), hang_up])
async def test_a_shop_that_does_not_listen(browser: httpx2.AsyncClient, shop: Peer, page: str, answer: object) -> None:
    shop.answer = answer  # type: ignore[assignment]
    failed = await browser.post(page, data={"decision": "approve"})
    assert failed.status_code == 502
    assert "Not delivered" in failed.text and 'role="alert"' in failed.text
    assert (_button(failed.text, "approve"), _button(failed.text, "decline")) == ("Send approval again", "Decline")

    shop.answer = status(204)
    done = await browser.post(page, data={"decision": "approve"})
    assert done.status_code == 303
    assert len({received.headers["webhook-id"] for received in shop.received}) == 1


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {}},
        {"data": {"decision": "steal"}},
        {"content": b"decision=%ff%fe", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"decision=\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b'{"decision": "approve"}', "headers": {"content-type": "application/json"}},
        {"content": b"--x", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"content-type": "nonsense"}},
    ],
)
async def test_what_is_no_decision(browser: httpx2.AsyncClient, shop: Peer, page: str, sent: dict[str, object]) -> None:
    refused = await browser.post(page, **sent)  # type: ignore[arg-type]

    assert refused.status_code == 400, refused.text
    assert not shop.received


async def test_an_address_that_was_touched(browser: httpx2.AsyncClient, shop: Peer, page: str) -> None:
    for touched in (page[:-6] + "AAAAAA", page.partition(".")[0], "/sandbox/payments/x", "/sandbox/payments/%ff"):
        for refused in (await browser.get(touched), await browser.post(touched, data={"decision": "approve"})):
            assert refused.status_code == 400, touched
            assert "cannot be shown" in refused.text and "<button" not in refused.text
            assert "default-src 'none'" in refused.headers["content-security-policy"]
    assert not shop.received


async def test_an_expired_page(browser: httpx2.AsyncClient, shop: Peer, clock: ManualClock, page: str) -> None:
    clock.seconds += PAGE_SECONDS + 1
    for refused in (await browser.get(page), await browser.post(page, data={"decision": "approve"})):
        assert refused.status_code == 400
        assert "expired" in refused.text
    assert not shop.received


async def test_people_are_only_sent_back_to_the_shop(
    browser: httpx2.AsyncClient, gateway: SandboxGateway, shop: Peer
) -> None:
    abroad = await _with_return_url(gateway, "https://evil.example/")
    for refused in (await browser.get(abroad), await browser.post(abroad, data={"decision": "approve"})):
        assert refused.status_code == 400
        assert "not the merchant" in refused.text and "evil.example" not in refused.text
    assert not shop.received

    home = f"{str(browser.base_url).rstrip('/')}/orders/1"
    done = await browser.post(await _with_return_url(gateway, home), data={"decision": "approve"})
    assert (done.status_code, done.headers["location"]) == (303, home)
