"""What the console's API tells."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from groundplan.app.faults import FaultView
from groundplan.app.health import ComponentHealth
from groundplan.app.idempotency_keys import KeptKey
from groundplan.messaging.dead_letters.letters import Attempt, DeadLetter
from groundplan.messaging.delivery.stats import QueueRow
from groundplan.messaging.progress import Progress
from groundplan.messaging.schema import SchemaField


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job that tells how far it is. ``tenant`` is the short name, empty where it has none."""

    progress: Progress
    tenant: str


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    paused: bool


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """``tenant`` is its short name."""

    kept: KeptKey
    tenant: str


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request or a handler's run. Times in microseconds, since the epoch where they are points in time."""

    request_id: str
    trace_id: str
    span_id: str
    role: str
    kind: str
    method: str
    name: str
    path: str
    status: int
    tenant: str
    user: str
    start_us: int
    duration_us: int
    wrote: bool
    error: str
    stands_for: int
    """So many requests of its kind, of which the others were only counted."""

    @property
    def title(self) -> str:
        """What a person calls it: the handler, or method and path; of a long path its route."""
        if self.kind == "handler":
            return self.name
        return f"{self.method} {self.path if len(self.path) <= 80 else self.name}"


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``before_us`` asks for the older ones, None where there are none."""

    items: list[RequestView]
    before_us: int | None


class SpanView(msgspec.Struct, frozen=True, kw_only=True):
    trace_id: str
    span_id: str
    parent_id: str
    request_id: str
    role: str
    component: str
    name: str
    shape: str
    start_us: int
    duration_us: int
    error: str
    attributes: dict[str, str | int | float | bool]

    @property
    def end_us(self) -> int:
        return self.start_us + self.duration_us


class LogView(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    level: str
    role: str
    event: str
    trace_id: str
    span_id: str
    request_id: str
    tenant: str
    user: str
    fields: dict[str, Any]


class TraceView(msgspec.Struct, frozen=True, kw_only=True):
    trace_id: str
    spans: list[SpanView]
    requests: list[RequestView]
    logs: list[LogView]


class RateView(msgspec.Struct, frozen=True, kw_only=True):
    """How ``caller`` called ``component`` in the window; an empty caller is outside the platform."""

    caller: str
    component: str
    calls: int
    errors: int
    p95_us: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """``rates`` stand for all ``requests`` of the window; spans were kept of ``traced`` of them."""

    at: datetime
    window_seconds: int
    requests: int
    traced: int
    components: list[ComponentHealth]
    rates: list[RateView]
    queue: list[QueueRow]
    dead_letters: int
    newest_dead_letter: DeadLetter | None
    faults: list[FaultView]


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``total`` counts all, not only those that match. ``tenants`` are the short names of all there are.

    ``cursor`` asks for the older ones; empty where there are none.
    """

    items: list[DeadLetter]
    total: int
    tenants: list[str]
    cursor: str


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """``fields`` is the payload as a form; empty where no handler of this release knows the message."""

    dead_letter: DeadLetter
    attempts: list[Attempt]
    fields: list[SchemaField]
    others: int
    """More dead letters of the same handler and error, of the newest 200."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the event log. ``tenant`` is its short name; ``cursor`` its place in commit order."""

    id: UUID
    cursor: str
    name: str
    version: int
    tenant: str
    request_id: str
    trace_id: str
    occurred_at: datetime
    erased: bool


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``tenants`` are the short names of all there are."""

    items: list[EventView]
    tenants: list[str]


class MailView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    to: str
    subject: str
    text: str
    html: str
    key: str
    sent_at: datetime
