"""Spans: what was done, for how long, as part of what. Written by hand, where it matters.

A span is a tuple appended to the list of its request. Whether it is kept is decided at the request's end.
"""

import time
from types import TracebackType
from typing import NamedTuple

import msgspec

from groundplan.core.context import RequestContext, current, entered
from groundplan.core.errors import Refused
from groundplan.core.ids import span_id as new_span_id

MOST_SPANS = 1000
"""Of one request. What comes after is not recorded but counted, in ``spans_dropped`` of the last one."""
DROPPED = "spans_dropped"
_MOST_ERROR = 500

Attribute = str | int | float | bool


class SpanRecord(NamedTuple):
    trace_id: str
    span_id: str
    parent_id: str
    request_id: str
    role: str
    component: str
    name: str
    shape: str
    """``work``, ``sql``, ``out`` for a call that leaves the process, ``wait``."""
    start_us: int
    """Microseconds since the epoch."""
    duration_us: int
    error: str
    attributes: dict[str, Attribute]


class Span:
    """The span in hand: the current one inside its ``with`` block. Outside any request it does nothing."""

    __slots__ = (
        "_block",
        "_context",
        "_parent_id",
        "_started_ns",
        "_started_us",
        "attributes",
        "component",
        "error",
        "name",
        "shape",
    )

    def __init__(self, component: str, name: str, shape: str, attributes: dict[str, Attribute]) -> None:
        self.component = component
        self.name = name
        self.shape = shape
        self.attributes = attributes
        self.error = ""
        self._context: RequestContext | None = None

    def set(self, **attributes: Attribute) -> None:
        self.attributes.update(attributes)

    def fail(self, text: str) -> None:
        self.error = text

    @property
    def span_id(self) -> str:
        """Empty outside any request."""
        return self._context.span_id if self._context else ""

    @property
    def traceparent(self) -> str:
        """For work that this span starts elsewhere; empty outside any request."""
        return self._context.traceparent if self._context else ""

    def __enter__(self) -> "Span":
        outer = current()
        if outer is None:
            return self
        self._parent_id = outer.span_id
        self._context = msgspec.structs.replace(outer, span_id=new_span_id())
        self._block = entered(self._context)
        self._block.__enter__()
        self._started_us, self._started_ns = time.time_ns() // 1000, time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context = self._context
        if context is None:
            return
        duration_us = (time.perf_counter_ns() - self._started_ns) // 1000
        self._block.__exit__(None, None, None)
        if isinstance(error, Refused):
            self.attributes["refused"] = _words(error)  # the caller's mistake, not a failure of this part
        elif error is not None:
            self.error = self.error or _words(error)
        _append(
            context,
            context.span_id,
            self._parent_id,
            self.component,
            self.name,
            self.shape,
            self._started_us,
            duration_us,
            self.error,
            self.attributes,
        )


def span(component: str, name: str, shape: str = "work", **attributes: Attribute) -> Span:
    """Measures a ``with`` block as a child of the current span."""
    return Span(component, name, shape, attributes)


def record(
    component: str,
    name: str,
    shape: str,
    start_us: int,
    duration_us: int,
    *,
    span_id: str | None = None,
    parent_id: str | None = None,
    error: str = "",
    **attributes: Attribute,
) -> None:
    """Adds a finished span; by default a child of the current one. Does nothing outside a request."""
    context = current()
    if context is None:
        return
    parent = context.span_id if parent_id is None else parent_id
    identity = new_span_id() if span_id is None else span_id
    own = span_id == context.span_id
    _append(context, identity, parent, component, name, shape, start_us, duration_us, error, attributes, own=own)


def _append(
    context: RequestContext,
    span_id: str,
    parent_id: str,
    component: str,
    name: str,
    shape: str,
    start_us: int,
    duration_us: int,
    error: str,
    attributes: dict[str, Attribute],
    *,
    own: bool = False,
) -> None:
    """``own``: the request's own span, which ends last and must always be there."""
    spans: list[SpanRecord] = context.spans
    if len(spans) >= MOST_SPANS:
        last = spans[-1].attributes
        if not own:
            last[DROPPED] = int(last.get(DROPPED, 0)) + 1
            return
        if DROPPED in last:
            attributes[DROPPED] = last.pop(DROPPED)
    spans.append(
        SpanRecord(
            context.trace_id,
            span_id,
            parent_id,
            context.request_id,
            context.role,
            component,
            name,
            shape,
            start_us,
            duration_us,
            error,
            attributes,
        )
    )


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:_MOST_ERROR]
    except Exception:
        return type(error).__name__
