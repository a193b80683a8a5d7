"""The end of a request or handler: what is kept, one access line, the metrics."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TextIO

import msgspec

from groundplan.core.context import RequestContext
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.spans import SpanRecord


class RequestRecord(NamedTuple):
    request_id: str
    trace_id: str
    span_id: str
    role: str
    kind: str
    """``page``, ``api`` or ``handler``."""
    method: str
    name: str
    """The route's template, or the handler."""
    path: str
    status: int
    tenant: str
    user: str
    start_us: int
    duration_us: int
    wrote: bool
    error: str


class LogRecord(NamedTuple):
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


class Sink(Protocol):
    """Where finished telemetry goes. Never blocks, never raises."""

    def requests(self, records: Sequence[RequestRecord]) -> None: ...
    def spans(self, records: Sequence[SpanRecord]) -> None: ...
    def logs(self, records: Sequence[LogRecord]) -> None: ...


class Telemetry:
    """``slow_ms``: from where a request is worth keeping; ``sample``: the share kept of those that are not."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        metrics: Metrics,
        *,
        slow_ms: float,
        sample: float,
        access: "AccessLines | None" = None,
    ) -> None:
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._slow_us = slow_ms * 1000
        self._sample = sample
        self._access = access

    def finish(self, context: RequestContext, done: RequestRecord) -> None:
        """Hands over the request, and its spans if it failed, was slow, wrote or was drawn."""
        keep = (
            done.wrote
            or done.status >= 500
            or done.duration_us >= self._slow_us
            or done.kind == "handler"
            or any(span.error for span in context.spans)
            or drawn(done.trace_id, self._sample)
        )
        for sink in self._sinks:
            sink.requests((done,))
            sink.logs((_line_of(done),))
            if keep:
                sink.spans(context.spans)
        self._count(done)
        if self._access is not None:
            self._access.write(done)

    def _count(self, done: RequestRecord) -> None:
        seconds = done.duration_us / 1_000_000
        if done.kind == "handler":
            self._metrics.handler_runs.labels(done.name, "done" if done.status < 400 else "failed").inc()
            self._metrics.handler_seconds.labels(done.name).observe(seconds)
        else:
            self._metrics.requests.labels(done.role, done.method, done.name, str(done.status)).inc()
            self._metrics.request_seconds.labels(done.role, done.name).observe(seconds)


def _line_of(done: RequestRecord) -> LogRecord:
    """The access line as the console shows it among a trace's log lines."""
    what = f"{done.method} {done.path}" if done.method else done.name
    fields: dict[str, Any] = {"status": done.status, "duration_ms": round(done.duration_us / 1000, 1)}
    if done.error:
        fields["error"] = done.error
    return LogRecord(
        at_us=done.start_us + done.duration_us,
        level="error" if done.status >= 500 else "info",
        role=done.role,
        event=what,
        trace_id=done.trace_id,
        span_id=done.span_id,
        request_id=done.request_id,
        tenant=done.tenant,
        user=done.user,
        fields=fields,
    )


def drawn(trace_id: str, share: float) -> bool:
    """Whether a trace is in the sample: decided by its id, so that every process decides alike."""
    return int(trace_id[-8:] or "0", 16) < share * 2**32


class _AccessLine(msgspec.Struct, omit_defaults=True):
    time: str
    level: str
    event: str
    role: str
    trace_id: str
    span_id: str
    request_id: str
    user_id: str
    tenant: str
    method: str
    path: str
    route: str
    status: int
    duration_ms: float
    error: str = ""


class AccessLines:
    """One JSON line per request or handler, encoded by msgspec: a fifth of the cost of a general logger."""

    def __init__(self, stream: TextIO = sys.stdout, *, pretty: bool = False) -> None:
        """``pretty`` writes short lines for a person at a terminal."""
        self._stream = stream
        self._pretty = pretty
        self._encode = msgspec.json.Encoder().encode

    def write(self, done: RequestRecord) -> None:
        at = datetime.fromtimestamp(done.start_us / 1_000_000, UTC)
        line = self._short(at, done) if self._pretty else self._json(at, done)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # a closed pipe must not fail the request

    def _json(self, at: datetime, done: RequestRecord) -> str:
        return self._encode(
            _AccessLine(
                time=at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                level="error" if done.status >= 500 else "info",
                event=done.kind,
                role=done.role,
                trace_id=done.trace_id,
                span_id=done.span_id,
                request_id=done.request_id,
                user_id=done.user,
                tenant=done.tenant,
                method=done.method,
                path=done.path,
                route=done.name,
                status=done.status,
                duration_ms=done.duration_us / 1000,
                error=done.error,
            )
        ).decode()

    def _short(self, at: datetime, done: RequestRecord) -> str:
        what = f"{done.method} {done.path}" if done.method else done.name
        tail = f"  {done.error}" if done.error and done.status >= 500 else ""
        return f"{at:%H:%M:%S} {done.role:<6} {done.status} {done.duration_us / 1000:7.1f} ms  {what}{tail}"
