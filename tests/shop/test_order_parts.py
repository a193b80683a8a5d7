"""Order numbers, the receipt, and what travels in events."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.errors import InvalidPayload
from groundplan.core.ids import uuid7
from groundplan.messaging.message import decode, encode, message_name
from shop.orders.events import OrderPaid
from shop.orders.numbers import order_number
from shop.orders.receipts import receipt
from shop.orders.views import LineView, OrderView, PlaceOrder
from shop.orders.work import spoil_receipt

AT = datetime(2026, 3, 31, 14, 31, 52, tzinfo=UTC)


def paid_order() -> OrderView:
    lines = [
        LineView(
            product_id=uuid4(),
            title="Bananas",
            brand="Unbranded",
            size="per lb",
            quantity=2,
            unit_cents=95,
            amount_cents=190,
        ),
        LineView(
            product_id=uuid4(),
            title="Sweet and crescent roll dough, chilled",
            brand="Northside own brand",
            size="1 pack, priced by weight",
            quantity=10,
            unit_cents=100_000,
            amount_cents=1_000_000,
        ),
    ]
    return OrderView(
        id=uuid4(),
        number="NM-48213907",
        state="paid",
        customer="Mara Okafor",
        items=12,
        total_cents=1_075_204,
        placed_at=AT,
        email="mara@northside.example",
        lines=lines,
        items_cents=1_000_190,
        tax_cents=75_014,
        paid_at=AT,
        paid_by="card ending 4242",
        payment_id="pay_1",
        receipt_sent_at=None,
    )


def test_an_order_number_has_the_initials_of_the_store_and_two_groups() -> None:
    assert order_number("Northside Market", UUID(int=48_213_907)) == "NM-00001-DZBWK"
    assert order_number("Hilltop Foods", UUID(int=42)) == "HF-00000-0001A"
    assert len({order_number("Riverside Grocer", uuid7()) for _ in range(1_000)}) == 1_000


def test_the_receipt_lists_every_line_and_the_total() -> None:
    mail = receipt(paid_order(), store="Northside Market", to="mara@northside.example")
    assert mail.to == "mara@northside.example"
    assert mail.subject == "Your receipt for order NM-48213907"
    assert "2 × Bananas, per lb" in mail.text
    assert "$10,752.04" in mail.text
    assert "card ending 4242" in mail.text
    assert max(len(line) for line in mail.text.splitlines()) <= 60


def test_a_spoiled_receipt_does_not_fit_its_schema() -> None:
    event = OrderPaid(order_id=uuid4(), number="NM-1", email="mara@northside.example", total_cents=100)
    assert decode(OrderPaid, encode(event), 1) == event
    spoiled = spoil_receipt(event)
    assert spoiled.email == "mara@@northside.example"
    with pytest.raises(InvalidPayload) as refusal:
        decode(OrderPaid, encode(spoiled), 1)
    assert refusal.value.errors[0].pointer == "/email"


def test_events_keep_their_names() -> None:
    assert message_name(OrderPaid) == "order.paid"


@pytest.mark.parametrize(
    "body",
    [
        {"lines": []},
        {"lines": [{"product_id": "x", "quantity": 1}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": 0}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": 100}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": "2"}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": 1.5}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": 1, "price_cents": 1}]},
        {"lines": [{"product_id": str(uuid4()), "quantity": 1}], "total_cents": 1},
        {"lines": [{"product_id": str(uuid4()), "quantity": 1}] * 101},
        {},
        [],
    ],
)
def test_a_malformed_order_is_refused(body: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=PlaceOrder)
