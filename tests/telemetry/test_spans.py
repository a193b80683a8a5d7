"""Spans of a request, and what is kept of it at its end."""

import asyncio
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from groundplan.core.context import RequestContext, current, entered
from groundplan.core.errors import NotFound
from groundplan.core.ids import trace_id
from groundplan.telemetry import LogRecord, Metrics, RequestRecord, SpanRecord, Telemetry, record, span
from groundplan.telemetry.access import AccessLines
from groundplan.telemetry.logs import make_logger
from groundplan.telemetry.pipeline import drawn
from groundplan.telemetry.spans import MOST_SPANS


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.request_records: list[RequestRecord] = []
        self.span_records: list[SpanRecord] = []
        self.log_records: list[LogRecord] = []

    def requests(self, records: Sequence[RequestRecord]) -> None:
        self.request_records += records

    def spans(self, records: Sequence[SpanRecord]) -> None:
        self.span_records += records

    def logs(self, records: Sequence[LogRecord]) -> None:
        self.log_records += records


def done(**changes: Any) -> RequestRecord:
    fine = RequestRecord("r", "f" * 32, "s", "web", "page", "GET", "/", "/", 200, "", "", 0, 1000, False, "")
    return fine._replace(**changes)


def test_spans_nest() -> None:
    with entered(RequestContext(request_id="r")) as context:
        with span("API", "outer") as outer, span("SQL", "inner", "sql", rows=1):
            record("Queue", "waited", "wait", 1, 2)
        assert outer.traceparent.startswith(f"00-{context.trace_id}-")
    waited, inner, outermost = context.spans
    assert [s.name for s in context.spans] == ["waited", "inner", "outer"]
    assert outermost.parent_id == context.span_id
    assert inner.parent_id == outermost.span_id and waited.parent_id == inner.span_id
    assert inner.attributes == {"rows": 1}


def test_a_failure_is_an_error_and_a_refusal_is_not() -> None:
    with entered(RequestContext()) as context:
        with pytest.raises(LookupError), span("API", "a"):
            raise LookupError("gone")
        with pytest.raises(NotFound), span("API", "b"):
            raise NotFound("nothing here")
    failed, refused = context.spans
    assert failed.error == "LookupError: gone"
    assert (refused.error, refused.attributes["refused"]) == ("", "NotFound: nothing here")


def test_outside_a_request_nothing_is_recorded() -> None:
    with span("API", "a") as nothing:
        nothing.set(a=1)
    record("SQL", "b", "sql", 0, 0)
    assert current() is None and nothing.traceparent == ""


@pytest.mark.anyio
async def test_tasks_keep_their_own_parent() -> None:
    async def work(name: str) -> None:
        with span("API", name):
            await asyncio.sleep(0)
            with span("SQL", f"{name} inner"):
                await asyncio.sleep(0)

    with entered(RequestContext()) as context:
        await asyncio.gather(work("a"), work("b"))
    by_name = {s.name: s for s in context.spans}
    for name in "ab":
        assert by_name[f"{name} inner"].parent_id == by_name[name].span_id


def test_a_request_has_so_many_spans_and_its_own() -> None:
    with entered(RequestContext()) as context:
        for _ in range(MOST_SPANS + 10):
            record("SQL", "x", "sql", 0, 0)
        record("Web", "the request", "work", 0, 0, span_id=context.span_id, parent_id="")
    assert len(context.spans) == MOST_SPANS + 1
    assert context.spans[-1].name == "the request"


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, False),
        ({"wrote": True}, True),
        ({"status": 500}, True),
        ({"status": 404}, False),
        ({"duration_us": 400_000}, True),
        ({"kind": "handler", "wrote": True}, True),
    ],
)
def test_what_is_kept(changes: dict[str, object], kept: bool) -> None:
    sink = Kept()
    telemetry = Telemetry([sink], Metrics(), slow_ms=300, sample=0.5)
    with entered(RequestContext()) as context:
        record("SQL", "x", "sql", 0, 0)
    telemetry.finish(context, done(**changes))
    assert len(sink.request_records) == 1
    assert bool(sink.span_records) is kept


def test_a_sample_is_the_same_everywhere() -> None:
    ids = [trace_id() for _ in range(2000)]
    assert not any(drawn(each, 0.0) for each in ids)
    assert all(drawn(each, 1.0) for each in ids)
    assert 300 < sum(drawn(each, 0.2) for each in ids) < 500


def test_metrics_count_by_route() -> None:
    metrics = Metrics()
    telemetry = Telemetry([], metrics, slow_ms=300, sample=0)
    telemetry.finish(RequestContext(), done(name="/orders/{order_id}", path="/orders/7"))
    telemetry.finish(RequestContext(), done(kind="handler", name="orders.send_receipt", status=502))
    text = metrics.render().decode()
    assert 'groundplan_http_requests_total{method="GET",role="web",route="/orders/{order_id}",status="200"} 1.0' in text
    assert 'groundplan_handler_runs_total{handler="orders.send_receipt",outcome="failed"} 1.0' in text
    assert "/orders/7" not in text


def test_an_access_line_is_json_with_its_ids() -> None:
    stream = io.StringIO()
    AccessLines(stream).write(done(tenant="northside", user="u"))
    line = json.loads(stream.getvalue())
    assert {"time", "level", "trace_id", "span_id", "request_id", "user_id", "tenant", "status", "duration_ms"} <= set(
        line
    )
    assert (line["tenant"], line["user_id"], line["duration_ms"]) == ("northside", "u", 1.0)


def test_a_log_line_knows_its_request_and_hides_secrets() -> None:
    stream, sink = io.StringIO(), Kept()
    log = make_logger("info", stream, [sink])
    with entered(RequestContext(request_id="req", tenant="northside")) as context:
        log.info("placed", number=7, password="hush", nested={"api_key": "hush"})
        log.debug("too small to say")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["number"], line["tenant"]) == ("placed", 7, "northside")
    assert (line["trace_id"], line["request_id"]) == (context.trace_id, "req")
    assert "hush" not in stream.getvalue()
    assert [copied.event for copied in sink.log_records] == ["placed"]
    assert "hush" not in str(sink.log_records)


def test_a_closed_stream_does_not_fail_the_work() -> None:
    stream = io.StringIO()
    log = make_logger("info", stream)
    stream.close()
    log.info("nobody hears this")
    AccessLines(stream).write(done())
