"""Requests and spans as telemetry keeps them, for tests of what the console makes of them."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.context import RequestContext
from groundplan.telemetry import Metrics, RequestRecord, SpanRecord, Telemetry

START = 1_760_000_000_000_000
SLOW_US = 300_000
BETWEEN_US = 10_000
"""A hundred requests a second."""


def trace_id_of(number: int) -> str:
    """Spread over all ids, as random ones are: the sample is drawn by them."""
    return f"{number:024x}{number * 0x9E3779B1 % 2**32:08x}"


def request(number: int, **values: Any) -> RequestRecord:
    known: dict[str, Any] = {
        "request_id": f"req_{number}",
        "trace_id": trace_id_of(number),
        "span_id": f"{number:016x}",
        "role": "web",
        "kind": "page",
        "method": "GET",
        "name": "/",
        "path": "/",
        "status": 200,
        "tenant": "northside",
        "user": "",
        "start_us": START + number * BETWEEN_US,
        "duration_us": 5_000,
        "wrote": False,
        "error": "",
    }
    return RequestRecord(**known | values)


def spans_of(done: RequestRecord, *, inside: Sequence[str] = (), error: str = "") -> list[SpanRecord]:
    """The span of the request, and one inside it for each component named; ``error`` is the innermost one's."""
    components = ["Worker" if done.kind == "handler" else "Web", *inside]
    parents = ["", *(f"{done.span_id}{depth}" if depth else done.span_id for depth in range(len(inside)))]
    return [
        SpanRecord(
            trace_id=done.trace_id,
            span_id=f"{done.span_id}{depth}" if depth else done.span_id,
            parent_id=parents[depth],
            request_id=done.request_id,
            role=done.role,
            component=component,
            name=component,
            shape="work",
            start_us=done.start_us,
            duration_us=done.duration_us,
            error=error if depth == len(inside) else "",
            attributes={},
        )
        for depth, component in enumerate(components)
    ]


class Recorder:
    """What ends up in ``store`` of requests, when ``sample`` of the unremarkable ones keep their spans."""

    def __init__(self, store: TelemetryStore, *, sample: float = 1.0) -> None:
        self.store = store
        self._telemetry = Telemetry([store], Metrics(), slow_ms=SLOW_US / 1000, sample=sample)

    def finish(self, done: RequestRecord, *, inside: Sequence[str] = (), error: str = "") -> None:
        context = RequestContext(spans=list(spans_of(done, inside=inside, error=error)))
        self._telemetry.finish(context, done)

    def flush(self) -> None:
        assert self.store.flush()

    def rows(self) -> int:
        with closing(self.store.connect()) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM requests").fetchone()[0])
