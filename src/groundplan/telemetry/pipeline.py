"""The end of a request or handler: what is kept, and the metrics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from groundplan.core.context import RequestContext
from groundplan.core.redaction import HIDDEN, is_secret, redact
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.spans import SpanRecord

if TYPE_CHECKING:
    from groundplan.telemetry.access import AccessLines

WRITES_A_SECOND = 100
OTHERS_A_SECOND = 100
"""Requests whose spans are not kept: so many rows a second are enough for the console."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOST_NAMES = 5_000


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
    stands_for: int = 1
    """So many requests: this one, and those of its kind before it that were too many to be kept one by one."""


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
        self._requests, self._request_seconds = _Labelled(metrics.requests), _Labelled(metrics.request_seconds)
        self._gave_up = _Labelled(metrics.gave_up)
        self._handler_runs, self._handler_seconds = _Labelled(metrics.handler_runs), _Labelled(metrics.handler_seconds)
        self._slow_us = slow_ms * 1000
        self._sample = sample
        self._access = access
        self._writes, self._others = _Ration(WRITES_A_SECOND), _Ration(OTHERS_A_SECOND)
        self._left_out: dict[tuple[str, ...], int] = {}
        self._secret = _SecretNames()

    def finish(self, context: RequestContext, done: RequestRecord, *, keep: bool | None = None) -> None:
        """Hands over the request, and its spans where they are worth keeping. Secrets are hidden.

        Of requests that are not worth it one may stand for many, and of handlers none is handed over.

        ``keep`` is what ``keeps`` said, where it was asked before.
        """
        if self._secret[done.name]:
            done = done._replace(path=_without_secrets(done.name, done.path))
        if keep is None:
            keep = self.keeps(context, done)
        if keep:
            self._hand_over(context, done)
        elif done.kind != "handler":
            self._thin_out(done)
        self._count(done)
        if self._access is not None:
            self._access.write(done)

    def _thin_out(self, done: RequestRecord) -> None:
        """One stands for others of its kind alone."""
        kind = (done.tenant, done.role, done.method, done.name, str(done.status))
        if self._others.take(done.start_us + done.duration_us):
            counted = done._replace(stands_for=1 + self._left_out.pop(kind, 0))
            for sink in self._sinks:
                sink.requests((counted,))
        elif kind in self._left_out or len(self._left_out) < _MOST_NAMES:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1

    def keeps(self, context: RequestContext, done: RequestRecord) -> bool:
        """Whether the trace is kept: it failed, was slow, or was drawn; or it wrote, so that its future matters.

        What handlers do is worth a look only where it is kept, and of those that only wrote a hundred a second are: of
        most there are too many.
        """
        if done.status >= 500 or done.duration_us >= self._slow_us or drawn(done.trace_id, self._sample):
            return True
        for each in context.spans:
            if each.error:
                return True
        return done.wrote and (done.kind != "handler" or self._writes.take(done.start_us + done.duration_us))

    def _hand_over(self, context: RequestContext, done: RequestRecord) -> None:
        spans = [self._shown(span) for span in context.spans]
        for sink in self._sinks:
            sink.requests((done,))
            if done.kind != "handler" or done.error:
                sink.logs((_line_of(done),))  # beside the others of its trace
            if spans:
                sink.spans(spans)

    def gave_up(self, handler: str, reason: str) -> None:
        """Counts a message that went to the dead letters: what an alert on their growth watches."""
        self._gave_up[handler, reason].inc()

    def _shown(self, span: SpanRecord) -> SpanRecord:
        for name in span.attributes:
            if self._secret[name]:
                return span._replace(attributes=redact(span.attributes))
        return span

    def _count(self, done: RequestRecord) -> None:
        seconds = done.duration_us / 1_000_000
        if done.kind == "handler":
            self._handler_runs[done.name, "done" if done.status < 400 else "failed"].inc()
            self._handler_seconds[done.name,].observe(seconds)
        else:
            route = done.name or "unmatched"
            method = done.method if done.method in _METHODS else "other"
            self._requests[done.role, method, route, str(done.status)].inc()
            self._request_seconds[done.role, route].observe(seconds)


class _Labelled(dict[tuple[str, ...], Any]):
    """A metric's children by their labels; looking one up in the metric itself takes a lock each time."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Any:
        child = self[labels] = self._metric.labels(*labels)
        return child


class _Ration:
    """So many a second, and those of one quiet second saved up."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate)
        self._at_us = 0

    def take(self, at_us: int) -> bool:
        """``at_us``: now, in microseconds since the epoch."""
        if at_us > self._at_us:
            self._left = min(self._rate, self._left + (at_us - self._at_us) * self._rate / 1_000_000)
        self._at_us = at_us
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _SecretNames(dict[str, bool]):
    """Whether a name means a secret, looked up once for each: code has few names, and a request many spans."""

    def __missing__(self, name: str) -> bool:
        found = is_secret(name)
        if len(self) < _MOST_NAMES:
            self[name] = found
        return found


def _without_secrets(template: str, path: str) -> str:
    """``/sandbox/{token}/pay`` keeps its token to itself."""
    names, parts = template.split("/"), path.split("/")
    secret = [name.startswith("{") and is_secret(name) for name in names]
    if not any(secret):
        return path
    if len(names) != len(parts):  # a parameter that takes several parts of the path
        return "/".join([*parts[: secret.index(True)], HIDDEN])
    return "/".join(HIDDEN if hide else part for hide, part in zip(secret, parts, strict=True))


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
