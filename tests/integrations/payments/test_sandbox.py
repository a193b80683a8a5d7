"""The sandbox gateway: the suite over a real callback, its stateless pages' addresses, and where it may send people."""

import base64
import hmac
import string
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.clock import SystemClock
from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import ConfigurationError, Invalid, OutsideCallFailed, OutsideCallRefused, Unauthenticated
from groundplan.integrations.payments.port import Charge, Checkout, Gateway
from groundplan.integrations.payments.sandbox import PAGE_SECONDS, SandboxGateway
from groundplan.integrations.payments.signature import Signature
from groundplan.net.client import Outbound
from groundplan.testing.clock import ManualClock
from groundplan.testing.payments_suite import Callback, Decision, GatewaySuite
from tests.net.peer import Peer, status

CHARGE = Charge(
    reference="order-1",
    tenant_id=UUID(int=7),
    amount_cents=1999,
    currency="USD",
    description="Order 1",
    return_url="/orders/1",
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
)


def token_of(checkout: Checkout) -> str:
    return checkout.url.rpartition("/")[2]


class TestSandboxGateway(GatewaySuite):
    @pytest.fixture(autouse=True)
    def _surroundings(self, shop: Peer, clock: ManualClock) -> None:
        self.shop, self.clock = shop, clock

    async def decide(self, gateway: Gateway, checkout: Checkout, decision: Decision) -> Callback:
        assert isinstance(gateway, SandboxGateway)
        await gateway.decide(gateway.opened(token_of(checkout)), decision)
        received = self.shop.received[-1]
        return Callback(received.headers, received.body)

    def pass_time(self, gateway: Gateway, seconds: float) -> None:
        self.clock.seconds += seconds


@pytest.mark.anyio
async def test_the_callback_continues_the_trace_of_the_order(gateway: SandboxGateway, shop: Peer) -> None:
    payment = gateway.opened(token_of(await gateway.create(CHARGE, "key")))
    with entered(RequestContext()):
        await gateway.decide(payment, "paid")

    assert shop.received[0].headers["traceparent"] == CHARGE.traceparent


@pytest.mark.anyio
async def test_a_callback_sent_twice_has_one_id(gateway: SandboxGateway, shop: Peer, clock: ManualClock) -> None:
    payment = gateway.opened(token_of(await gateway.create(CHARGE, "key")))
    await gateway.decide(payment, "paid", times=2)
    clock.seconds += 60
    await gateway.decide(payment, "paid")
    await gateway.decide(payment, "declined")

    first, second, third, other = shop.received
    assert (first.method, first.target) == ("POST", "/webhooks/in/payments")
    assert first.headers["content-type"] == "application/json"
    ids = [received.headers["webhook-id"] for received in shop.received]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert first.body == second.body == third.body != other.body
    assert first.headers["webhook-timestamp"] != third.headers["webhook-timestamp"]


@pytest.mark.anyio
async def test_a_shop_that_does_not_take_the_callback(gateway: SandboxGateway, shop: Peer) -> None:
    payment = gateway.opened(token_of(await gateway.create(CHARGE, "key")))
    for code, kind in ((503, OutsideCallFailed), (404, OutsideCallRefused)):
        shop.answer = status(code)
        with pytest.raises(kind):
            await gateway.decide(payment, "paid", times=2)
    assert len(shop.received) == 2


@pytest.mark.anyio
async def test_another_process_with_the_same_key_knows_the_payment(
    gateway: SandboxGateway, outbound: Outbound, clock: ManualClock
) -> None:
    other = SandboxGateway(b"k" * 32, outbound, clock, env="ci", callback_url="", page_url="https://pay.example")
    made, again = await gateway.create(CHARGE, "key"), await other.create(CHARGE, "key")

    assert made.id == again.id
    assert again.url == f"https://pay.example{made.url}"
    assert other.opened(token_of(made)).charge == CHARGE


@pytest.mark.anyio
async def test_a_page_is_good_for_an_hour(gateway: SandboxGateway, clock: ManualClock) -> None:
    token = token_of(await gateway.create(CHARGE, "key"))
    clock.seconds += PAGE_SECONDS
    assert gateway.opened(token).charge == CHARGE
    clock.seconds += 1
    with pytest.raises(Unauthenticated, match="expired"):
        gateway.opened(token)


@pytest.mark.anyio
async def test_a_touched_address_is_refused(gateway: SandboxGateway, outbound: Outbound, clock: ManualClock) -> None:
    token = token_of(await gateway.create(CHARGE, "key"))
    body, mac = token.split(".")
    cheaper = base64.urlsafe_b64decode(body).replace(b"1999", b"0001")
    stranger = SandboxGateway(b"x" * 32, outbound, clock, env="ci", callback_url="")
    for touched in (
        f"{base64.urlsafe_b64encode(cheaper).decode()}.{mac}",
        token_of(await stranger.create(CHARGE, "key")),
        body,
        f"{body}.",
        f".{mac}",
        f"{token}.{mac}",
        "",
        ".",
        "é.é",
        "\ud800",
        "x" * 10_000,
    ):
        with pytest.raises(Unauthenticated, match="not valid"):
            gateway.opened(touched)


@given(st.text(string.ascii_letters + string.digits + "-_=.", max_size=200))
def test_no_address_can_be_made_up(token: str) -> None:
    clock = SystemClock()
    gateway = SandboxGateway(b"k" * 32, Outbound(clock), clock, env="ci", callback_url="")
    with pytest.raises(Unauthenticated):
        gateway.opened(token)


@pytest.mark.anyio
async def test_no_key_of_an_order_gives_away_a_signature(gateway: SandboxGateway) -> None:
    """The id is made from a text that others choose; with the page's own key it would sign that text for them."""
    token = token_of(await gateway.create(CHARGE, "key"))
    body, mac = (base64.urlsafe_b64decode(part) for part in token.split("."))
    chosen = await gateway.create(CHARGE, body.decode())

    assert not mac.hex().startswith(chosen.id.removeprefix("pay_"))


@pytest.mark.anyio
async def test_what_is_signed_but_is_no_event(gateway: SandboxGateway, clock: ManualClock) -> None:
    body = msgspec.json.encode({"status": "paid"})
    headers = Signature(hmac.digest(b"k" * 32, b"callback", "sha256"), clock).sign("evt_1", body)
    with pytest.raises(Invalid):
        gateway.verify(headers, body)


def test_it_does_not_start_in_production() -> None:
    clock = SystemClock()
    with pytest.raises(ConfigurationError):
        SandboxGateway(b"k" * 32, Outbound(clock), clock, env="prod", callback_url="")
    for env in ("local", "ci", "staging"):
        SandboxGateway(b"k" * 32, Outbound(clock), clock, env=env, callback_url="")


@pytest.fixture
def at_home() -> SandboxGateway:
    clock = SystemClock()
    page_url = "https://shop.example/base"
    return SandboxGateway(b"k" * 32, Outbound(clock), clock, env="ci", callback_url="", page_url=page_url)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/orders/1?a=//b#c",
        "http://north.localhost:8080/orders/1",
        "HTTPS://North.Localhost:8080/",
        "https://shop.example/x",
    ],
)
def test_places_it_may_send_people_to(at_home: SandboxGateway, url: str) -> None:
    assert at_home.may_return_to(url, "north.localhost:8080")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "orders/1",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https:///evil.example",
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://evil@shop.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example:444/",
        "http://north.localhost/",
        "javascript:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        "ftp://shop.example/",
        "/orders\r\nset-cookie: a=b",
        "/\t/evil.example",
        " //evil.example",
        "http://[::1",
    ],
)
def test_places_it_may_not(at_home: SandboxGateway, url: str) -> None:
    assert not at_home.may_return_to(url, "north.localhost:8080")


def test_a_page_without_a_host_leads_nowhere_else() -> None:
    clock = SystemClock()
    gateway = SandboxGateway(b"k" * 32, Outbound(clock), clock, env="ci", callback_url="")
    assert not gateway.may_return_to("http:///x", "")
    assert gateway.may_return_to("/x", "")
