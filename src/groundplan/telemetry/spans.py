"""Spans: what was done, for how long, as part of what. Written by hand, where it matters.

A span is a tuple appended to the list of its request. Whether it is kept is decided at the request's end.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from groundplan.core.context import RequestContext, changed, current
from groundplan.core.errors import Refused
from groundplan.core.ids import span_id as new_span_id

MOST_SPANS = 1000
"""Of one request; what comes after is not recorded."""

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
    """The span in hand."""

    __slots__ = ("_context", "attributes", "error")

    def __init__(self, context: RequestContext | None, attributes: dict[str, Attribute]) -> None:
        self._context = context
        self.attributes = attributes
        self.error = ""

    def set(self, **attributes: Attribute) -> None:
        self.attributes.update(attributes)

    def fail(self, text: str) -> None:
        self.error = text

    @property
    def traceparent(self) -> str:
        """For work that this span starts elsewhere; empty outside any request."""
        return self._context.traceparent if self._context else ""


@contextmanager
def span(component: str, name: str, shape: str = "work", **attributes: Attribute) -> Iterator[Span]:
    """Measures the block as a child of the current span, and is the current one inside it."""
    outer = current()
    if outer is None:
        yield Span(None, attributes)
        return
    started_us, started = time.time_ns() // 1000, time.perf_counter_ns()
    with changed(span_id=new_span_id()) as context:
        here = Span(context, attributes)
        try:
            yield here
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"[:500]
            if isinstance(error, Refused):
                here.attributes["refused"] = text  # the caller's mistake, not a failure of this part
            else:
                here.error = here.error or text
            raise
        finally:
            elapsed = (time.perf_counter_ns() - started) // 1000
            _append(context, outer.span_id, component, name, shape, started_us, elapsed, here.error, attributes)


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
    _append(context, parent, component, name, shape, start_us, duration_us, error, attributes, identity)


def _append(
    context: RequestContext,
    parent_id: str,
    component: str,
    name: str,
    shape: str,
    start_us: int,
    duration_us: int,
    error: str,
    attributes: dict[str, Attribute],
    span_id: str | None = None,
) -> None:
    # The request's own span comes last and must always be there, so it is let through.
    if len(context.spans) < MOST_SPANS or span_id == context.span_id:
        context.spans.append(
            SpanRecord(
                context.trace_id,
                span_id or context.span_id,
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
