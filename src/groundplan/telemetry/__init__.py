"""Floor 1: emitting what happened: spans, access lines, logs, metrics."""

from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.pipeline import LogRecord, RequestRecord, Sink, Telemetry
from groundplan.telemetry.spans import Span, SpanRecord, record, span

__all__ = ["LogRecord", "Metrics", "RequestRecord", "Sink", "Span", "SpanRecord", "Telemetry", "record", "span"]
