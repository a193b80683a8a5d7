"""The request context: what is true for everything done on behalf of one request or one delivery.

It is the one context variable of the platform. Copies are cheap and shared parts (the span recorder)
stay shared, so a task started inside a request keeps its trace.
"""

import re
import time
from contextvars import Context, ContextVar
from typing import Any
from uuid import UUID

import msgspec

from groundplan.core.errors import DeadlineExceeded, TransactionOpen
from groundplan.core.ids import span_id, trace_id


class Tally(msgspec.Struct):
    """What a request has done so far, counted across everything that happens inside it."""

    commits: int = 0
    nested_writes: int = 0
    """Idempotent writes it asked for: each gets a key of its own."""
    committing: int = 0
    """Commits on their way, which nothing may tear apart: whether they took effect would be unknown."""


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """Identity, trace and deadline of the work in hand."""

    request_id: str = ""
    role: str = "web"
    trace_id: str = msgspec.field(default_factory=trace_id)
    span_id: str = msgspec.field(default_factory=span_id)
    tenant: str = ""
    """The tenant's slug, for logs and telemetry."""
    user_id: UUID | None = None
    deadline: float | None = None
    """On the monotonic clock, in seconds."""
    in_transaction: bool = False
    spans: list[Any] = msgspec.field(default_factory=list)
    """Finished spans of this request, in the order they ended; telemetry decides at the end what to keep."""
    tally: Tally = msgspec.field(default_factory=Tally)

    @property
    def traceparent(self) -> str:
        """The W3C Trace Context header for work that this work starts."""
        return f"00-{self.trace_id}-{self.span_id}-01"


_TRACEPARENT = re.compile(
    "(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_current: ContextVar[RequestContext | None] = ContextVar("groundplan_request", default=None)


def current() -> RequestContext | None:
    return _current.get()


def of_nobody() -> Context:
    """For a task that belongs to no request, and outlives the one that caused it."""
    return Context()


class entered:
    """Makes ``context`` the current one for the block."""

    __slots__ = ("_before", "_context")

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def __enter__(self) -> RequestContext:
        self._before = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._before)


class changed(entered):
    """The current context with some fields changed, for the block; starts a fresh one where there is none."""

    __slots__ = ()

    def __init__(self, **changes: Any) -> None:
        super().__init__(msgspec.structs.replace(_current.get() or RequestContext(), **changes))


def refuse_open_transaction(doing: str) -> None:
    """Rule 1: no transaction is open while anything outside the database is awaited.

    Raises:
        TransactionOpen: naming what was about to be done.
    """
    context = _current.get()
    if context is not None and context.in_transaction:
        raise TransactionOpen(
            f"{doing} may take long, and a database transaction is open around it. "
            "Do it before the transaction, or publish an event and do it in a handler."
        )


def seconds_left() -> float | None:
    """Until the deadline of the work in hand, zero or less once it has passed; None where there is none."""
    context = _current.get()
    return None if context is None or context.deadline is None else context.deadline - time.monotonic()


def refuse_expired(doing: str) -> None:
    """Raises DeadlineExceeded where no time is left to begin what ``doing`` names."""
    left = seconds_left()
    if left is not None and left <= 0:
        raise DeadlineExceeded(
            f"The time for this was over before {doing}. What it had begun to write was rolled back."
        )


def parse_traceparent(header: str | None) -> tuple[str, str] | None:
    """(trace id, parent span id) of a W3C ``traceparent``, or None if it is missing or malformed."""
    found = _TRACEPARENT.fullmatch(header or "")
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return None
    return found["trace"], found["span"]
