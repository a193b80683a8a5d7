"""What other features and systems may learn about orders."""

from uuid import UUID

from groundplan.app import Event
from groundplan.core.formats import Email


class OrderPlaced(Event, frozen=True, kw_only=True):
    order_id: UUID
    number: str
    total_cents: int


class OrderPaid(Event, frozen=True, kw_only=True):
    """``email`` is where the receipt goes."""

    order_id: UUID
    number: str
    email: Email
    total_cents: int
