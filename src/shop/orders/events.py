"""What other features and systems may learn about orders."""

from typing import Annotated
from uuid import UUID

import msgspec

from groundplan.app import Event

Email = Annotated[
    str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254, description="an email address")
]


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
