"""Payments: open one at a gateway, send the customer there, believe only its signed callback."""

from collections.abc import Mapping
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from groundplan.core.context import refuse_open_transaction
from groundplan.telemetry.spans import span


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    """Ours: the order's id."""
    tenant_id: UUID
    amount_cents: int
    currency: str
    description: str
    return_url: str
    traceparent: str = ""


class Checkout(msgspec.Struct, frozen=True):
    id: str
    url: str
    """The gateway's page, where the customer pays."""


class PaymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Of this event: a repeated callback carries it again."""
    payment_id: str
    reference: str
    tenant_id: UUID
    status: Literal["paid", "declined"]
    amount_cents: int
    currency: str
    method: str


class Gateway(Protocol):
    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def ping(self) -> str: ...

    async def create(self, charge: Charge, key: str) -> Checkout:
        """The same ``key`` gives the same payment."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        """The event in a callback. Raises Unauthenticated where its signature is missing, wrong or old."""
        ...


class Payments:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def create(self, charge: Charge, *, key: str) -> Checkout:
        """Opens a payment; ``key`` must be stable across retries. No transaction may be open around it."""
        refuse_open_transaction("Opening a payment")
        amount = f"{charge.amount_cents / 100:.2f} {charge.currency}"
        with span("Payments", f"open payment of {amount}", "out", reference=charge.reference):
            return await self.gateway.create(charge, key)

    def verify(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        """Raises Unauthenticated where the callback is not the gateway's own."""
        return self.gateway.verify(headers, body)
