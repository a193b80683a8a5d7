"""The practice bank's signatures and the dev inbox."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.context import changed
from groundplan.core.errors import ConfigurationError, NotFound, TransactionOpen, Unauthenticated
from groundplan.integrations.mail.inbox import MailInbox
from groundplan.integrations.mail.port import Mail, MailRejected, Message
from groundplan.integrations.payments.port import Charge, PaymentEvent
from groundplan.integrations.payments.sandbox import SandboxGateway
from groundplan.integrations.payments.signature import Signature
from groundplan.net.client import Outbound

pytestmark = pytest.mark.anyio


class Clock(SystemClock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def message(to: str = "mara@northside.example", subject: str = "Receipt") -> Message:
    return Message(to=to, subject=subject, text="Thank you")


async def test_one_key_is_one_mail(tmp_path: Path) -> None:
    inbox = MailInbox(tmp_path, SystemClock())
    await inbox.open()
    mail = Mail(inbox)
    first, again = await asyncio.gather(mail.send(message(), key="k"), mail.send(message(), key="k"))
    other = await mail.send(message(subject="Another"), key="other")
    assert first == again != other
    assert [kept.subject for kept in inbox.list()] == ["Another", "Receipt"]
    assert inbox.get(first.id).to == "mara@northside.example"
    for odd in ("../../etc/passwd", "", "0" * 32, "%00"):
        with pytest.raises(NotFound):
            inbox.get(odd)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "mara",
        "mara@@northside.example",
        "mara@localhost",
        "a b@c.example",
        "a@b.example\r\nBcc: x@y.example",
        "@c.example",
    ],
)
async def test_what_no_server_takes_is_rejected(tmp_path: Path, to: str) -> None:
    mail = Mail(MailInbox(tmp_path, SystemClock()))
    with pytest.raises(MailRejected):
        await mail.send(message(to=to), key="k")
    with pytest.raises(MailRejected):
        await mail.send(message(subject="a\r\nBcc: x@y.example"), key="k")
    assert MailInbox(tmp_path, SystemClock()).list() == []


async def test_no_mail_leaves_a_transaction(tmp_path: Path) -> None:
    with changed(in_transaction=True), pytest.raises(TransactionOpen):
        await Mail(MailInbox(tmp_path, SystemClock())).send(message(), key="k")


def gateway(clock: SystemClock, *, env: str = "local") -> SandboxGateway:
    return SandboxGateway(b"k" * 32, Outbound(clock), clock, env=env, callback_url="http://127.0.0.1:1/callback")


def charge() -> Charge:
    return Charge(
        reference="order-1",
        tenant_id=uuid4(),
        amount_cents=2260,
        currency="USD",
        description="Order",
        return_url="http://localhost/orders/1",
    )


async def test_one_key_is_one_payment_and_its_page_cannot_be_forged() -> None:
    clock = Clock()
    bank = gateway(clock)
    one, same = await bank.create(charge(), "k"), await bank.create(charge(), "k")
    assert one.id == same.id != (await bank.create(charge(), "other")).id
    token = one.url.rpartition("/")[2]
    assert bank.opened(token).charge.amount_cents == 2260
    with pytest.raises(Unauthenticated):
        bank.opened(token[:-2] + ("AA" if token[-2:] != "AA" else "BB"))
    clock.at += timedelta(hours=2)
    with pytest.raises(Unauthenticated, match="expired"):
        bank.opened(token)


async def test_only_its_own_callback_is_believed() -> None:
    clock = Clock()
    bank = gateway(clock)
    event = PaymentEvent(
        id="evt",
        payment_id="pay",
        reference="r",
        tenant_id=uuid4(),
        status="paid",
        amount_cents=1,
        currency="USD",
        method="",
    )
    body = msgspec.json.encode(event)
    headers = bank._signature.sign("evt", body)
    assert bank.verify(headers, body) == event
    tampered = [
        (headers, body + b" "),
        (headers | {"webhook-id": "other"}, body),
        (headers | {"webhook-timestamp": "1"}, body),
        (headers | {"webhook-signature": "v1,AAAA"}, body),
        ({}, body),
        (Signature(b"another key", clock).sign("evt", body), body),
    ]
    for wrong_headers, wrong_body in tampered:
        with pytest.raises(Unauthenticated):
            bank.verify(wrong_headers, wrong_body)
    clock.at += timedelta(minutes=6)
    with pytest.raises(Unauthenticated, match="5 minutes"):
        bank.verify(headers, body)


def test_production_takes_no_practice_money() -> None:
    with pytest.raises(ConfigurationError):
        gateway(SystemClock(), env="prod")
