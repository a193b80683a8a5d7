"""The sandbox gateway: no money, no state. All it knows of a payment travels in the signed address of its page."""

import hmac
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import ConfigurationError, Invalid, Unauthenticated
from groundplan.core.sealed import Seal
from groundplan.core.urls import is_local
from groundplan.integrations.payments.port import Charge, Checkout, PaymentEvent
from groundplan.integrations.payments.signature import Signature
from groundplan.net.client import Outbound

PAGE_SECONDS = 3600
METHOD = "card ending 4242"


class OpenPayment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    charge: Charge
    expires_at: int


class SandboxGateway:
    """``callback_url`` is where decisions are reported; ``page_url`` is where browsers find the gateway's pages."""

    def __init__(
        self, key: bytes, outbound: Outbound, clock: Clock, *, env: str, callback_url: str, page_url: str = ""
    ) -> None:
        if env == "prod":
            raise ConfigurationError("The sandbox gateway moves no money, so it cannot take payments in production.")
        self._id_key = hmac.digest(key, b"payment id", "sha256")
        self._seal = Seal(hmac.digest(key, b"page", "sha256"))
        self._outbound = outbound
        self._clock = clock
        self._callback_url = callback_url
        self._page_url = page_url
        self._signature = Signature(hmac.digest(key, b"callback", "sha256"), clock)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> str:
        return "Moves no money."

    async def create(self, charge: Charge, key: str) -> Checkout:
        payment_id = "pay_" + hmac.digest(self._id_key, key.encode(), "sha256").hex()[:20]
        payment = OpenPayment(
            id=payment_id, charge=charge, expires_at=int(self._clock.now().timestamp()) + PAGE_SECONDS
        )
        return Checkout(payment_id, f"{self._page_url}/sandbox/payments/{self._seal.close(payment)}")

    def verify(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        self._signature.verify(headers, body)
        try:
            return msgspec.json.decode(body, type=PaymentEvent)
        except msgspec.DecodeError as error:
            raise Invalid(f"The callback is signed, but not a payment event: {error}") from error

    def opened(self, token: str) -> OpenPayment:
        """The payment in a page's address. Raises Unauthenticated where it was changed or is an hour old."""
        try:
            payment = self._seal.open(token, OpenPayment)
        except ValueError as error:
            raise Unauthenticated("This payment page's address is not valid.") from error
        if payment.expires_at < self._clock.now().timestamp():
            raise Unauthenticated("This payment page has expired. Start paying again from your order.")
        return payment

    def may_return_to(self, url: str, host: str) -> bool:
        """Whether the customer may be sent there from a page at ``host``: to a path, that host, or ``page_url``'s.

        A gateway that redirects anywhere would lend its good name to any address.
        """
        if not url.isprintable() or "\\" in url or " " in url:
            return False
        try:
            address = urlsplit(url)
        except ValueError:
            return False
        if not address.scheme and not address.netloc:
            return is_local(url)
        homes = {host.lower(), urlsplit(self._page_url).netloc.lower()} - {""}
        return address.scheme in ("http", "https") and address.netloc.lower() in homes

    async def decide(self, payment: OpenPayment, status: Literal["paid", "declined"], *, times: int = 1) -> None:
        """Reports the decision, ``times`` times over if a shop's patience is to be tried.

        The trace of the request that opened the payment goes on with it.

        Raises:
            DeadlineExceeded, OutsideCallFailed, OutsideCallRefused: the shop did not take the callback.
        """
        charge = payment.charge
        event = PaymentEvent(
            id=f"evt_{payment.id[4:]}_{status}",
            payment_id=payment.id,
            reference=charge.reference,
            tenant_id=charge.tenant_id,
            status=status,
            amount_cents=charge.amount_cents,
            currency=charge.currency,
            method=METHOD,
        )
        body = msgspec.json.encode(event)
        for _ in range(times):
            headers = self._signature.sign(event.id, body) | {"content-type": "application/json"}
            if charge.traceparent:
                headers["traceparent"] = charge.traceparent
            await self._outbound.request(
                "POST", self._callback_url, content=body, headers=headers, component="Payments"
            )
