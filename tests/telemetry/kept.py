"""A sink that keeps everything in lists, and a request to hand over."""

from collections.abc import Sequence
from typing import Any

from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord

START = 1_760_000_000_000_000


class Kept:
    def __init__(self) -> None:
        self.request_records: list[RequestRecord] = []
        self.span_records: list[SpanRecord] = []
        self.lines: list[LogRecord] = []

    def requests(self, records: Sequence[RequestRecord]) -> None:
        self.request_records += records

    def spans(self, records: Sequence[SpanRecord]) -> None:
        self.span_records += records

    def logs(self, records: Sequence[LogRecord]) -> None:
        self.lines += records


def request(**values: Any) -> RequestRecord:
    """A fast, faultless read."""
    known: dict[str, Any] = {
        "request_id": "req_1",
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "role": "api",
        "kind": "api",
        "method": "GET",
        "name": "/api/v1/orders/{order_id}",
        "path": "/api/v1/orders/7",
        "status": 200,
        "tenant": "northside",
        "user": "u1",
        "start_us": START,
        "duration_us": 5_250,
        "wrote": False,
        "error": "",
    }
    return RequestRecord(**known | values)
