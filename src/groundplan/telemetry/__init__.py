"""Floor 1: emitting what happened: spans, access lines, logs, metrics."""

from groundplan.telemetry.access import AccessLines
from groundplan.telemetry.logs import make_logger, route_library_logs
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.pipeline import LogRecord, RequestRecord, Sink, Telemetry
from groundplan.telemetry.spans import Span, SpanRecord, record, span

__all__ = [
    "AccessLines",
    "LogRecord",
    "Metrics",
    "RequestRecord",
    "Sink",
    "Span",
    "SpanRecord",
    "Telemetry",
    "make_logger",
    "record",
    "route_library_logs",
    "span",
]
