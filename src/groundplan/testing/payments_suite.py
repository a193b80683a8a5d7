"""What every payment gateway must do. An adapter's test subclasses the suite and says how to make one."""

from typing import Literal, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import TransactionOpen, Unauthenticated
from groundplan.integrations.payments.port import Charge, Checkout, Gateway, Payments

Decision = Literal["paid", "declined"]


class Callback(NamedTuple):
    """What the gateway sent to the shop."""

    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@pytest.mark.anyio
class GatewaySuite:
    """A subclass has the fixture ``gateway``, an open adapter, and plays its customer and its clock."""

    async def decide(self, gateway: Gateway, checkout: Checkout, decision: Decision) -> Callback:
        """What the shop is sent once the customer has decided on the gateway's page."""
        raise NotImplementedError

    def pass_time(self, gateway: Gateway, seconds: float) -> None:
        raise NotImplementedError

    @pytest.fixture
    def payments(self, gateway: Gateway) -> Payments:
        return Payments(gateway)

    @pytest.fixture
    def charge(self) -> Charge:
        return Charge(
            reference=str(uuid4()),
            tenant_id=uuid4(),
            amount_cents=1999,
            currency="USD",
            description="Northside & Söhne, order N-1",
            return_url="https://shop.example/orders/1",
        )

    @pytest.fixture
    def key(self) -> str:
        return f"suite:{uuid4()}"

    async def test_the_customer_is_sent_to_a_page(self, payments: Payments, charge: Charge, key: str) -> None:
        checkout = await payments.create(charge, key=key)

        assert checkout.id
        address = urlsplit(checkout.url)
        assert address.path.startswith("/") and address.scheme in ("", "http", "https")

    async def test_one_key_is_one_payment(self, payments: Payments, charge: Charge, key: str) -> None:
        first = await payments.create(charge, key=key)
        second = await payments.create(charge, key=key)
        other = await payments.create(charge, key=f"{key}:2")

        assert first.id == second.id != other.id

    @pytest.mark.parametrize("decision", ["paid", "declined"])
    async def test_the_decision_is_reported(
        self, payments: Payments, charge: Charge, key: str, decision: Decision
    ) -> None:
        checkout = await payments.create(charge, key=key)
        callback = await self.decide(payments.gateway, checkout, decision)
        event = payments.verify(callback.headers, callback.body)

        assert (event.status, event.payment_id) == (decision, checkout.id)
        assert (event.reference, event.tenant_id) == (charge.reference, charge.tenant_id)
        assert (event.amount_cents, event.currency) == (charge.amount_cents, charge.currency)
        assert event.id and event.method

    async def test_a_repeated_report_is_known_by_its_id(self, payments: Payments, charge: Charge, key: str) -> None:
        checkout = await payments.create(charge, key=key)
        first = await self.decide(payments.gateway, checkout, "paid")
        again = await self.decide(payments.gateway, checkout, "paid")
        other = await self.decide(payments.gateway, await payments.create(charge, key=f"{key}:2"), "paid")

        ids = [payments.verify(each.headers, each.body).id for each in (first, again, other)]
        assert ids[0] == ids[1] != ids[2]

    async def test_a_report_that_was_touched_is_refused(self, payments: Payments, charge: Charge, key: str) -> None:
        checkout = await payments.create(charge, key=key)
        headers, body = await self.decide(payments.gateway, checkout, "declined")
        assert payments.verify(headers, body).status == "declined"

        for touched in (body.replace(b"1999", b"0001"), body.replace(b"declined", b"paid"), body + b" ", b""):
            with pytest.raises(Unauthenticated):
                payments.verify(headers, touched)

    async def test_a_report_without_its_signature_is_refused(
        self, payments: Payments, charge: Charge, key: str
    ) -> None:
        checkout = await payments.create(charge, key=key)
        headers, body = await self.decide(payments.gateway, checkout, "paid")
        for name in _signing(headers):
            for value in ("", "é", _touched(headers[name])):
                with pytest.raises(Unauthenticated):
                    payments.verify(headers | {name: value}, body)
            with pytest.raises(Unauthenticated):
                payments.verify({other: value for other, value in headers.items() if other != name}, body)

    async def test_a_report_of_another_is_refused(self, payments: Payments, charge: Charge, key: str) -> None:
        """Each is signed rightly, but not for the other."""
        charges = [charge, msgspec.structs.replace(charge, tenant_id=UUID(int=1))]
        one, two = [
            await self.decide(payments.gateway, await payments.create(each, key=f"{key}:{each.tenant_id}"), "paid")
            for each in charges
        ]
        with pytest.raises(Unauthenticated):
            payments.verify(one.headers, two.body)

    async def test_a_report_is_good_for_five_minutes(self, payments: Payments, charge: Charge, key: str) -> None:
        checkout = await payments.create(charge, key=key)
        headers, body = await self.decide(payments.gateway, checkout, "paid")
        self.pass_time(payments.gateway, 299)
        assert payments.verify(headers, body).status == "paid"
        self.pass_time(payments.gateway, 3)
        with pytest.raises(Unauthenticated):
            payments.verify(headers, body)

    async def test_a_report_from_the_future_is_refused(self, payments: Payments, charge: Charge, key: str) -> None:
        checkout = await payments.create(charge, key=key)
        headers, body = await self.decide(payments.gateway, checkout, "paid")
        self.pass_time(payments.gateway, -302)
        with pytest.raises(Unauthenticated):
            payments.verify(headers, body)

    async def test_no_payment_is_opened_inside_a_transaction(
        self, payments: Payments, charge: Charge, key: str
    ) -> None:
        with entered(RequestContext(in_transaction=True)), pytest.raises(TransactionOpen):
            await payments.create(charge, key=key)

    async def test_it_is_seen_in_the_trace(self, payments: Payments, charge: Charge, key: str) -> None:
        context = RequestContext()
        with entered(context):
            await payments.create(charge, key=key)

        span = context.spans[-1]
        assert (span.component, span.shape, span.error) == ("Payments", "out", "")
        assert span.attributes["reference"] == charge.reference

    async def test_it_says_how_it_is_doing(self, gateway: Gateway) -> None:
        assert await gateway.ping()


def _signing(headers: dict[str, str]) -> list[str]:
    """The headers that a signature is made of: those with a name of the gateway's own."""
    common = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}
    return [name for name in headers if name not in common | {"traceparent", "x-request-id"}]


def _touched(value: str) -> str:
    """The value with one character in its middle changed, a digit to a digit."""
    middle = len(value) // 2
    return value[:middle] + ("1" if value[middle] != "1" else "2") + value[middle + 1 :]
