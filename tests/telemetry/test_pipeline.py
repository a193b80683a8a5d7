"""The end of a request: what is kept, what is counted, and what nobody gets to see."""

import json
from io import StringIO
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from groundplan.core.context import RequestContext, entered
from groundplan.telemetry import AccessLines, Metrics, RequestRecord, Telemetry, record, span
from groundplan.telemetry.pipeline import OTHERS_A_SECOND, WRITES_A_SECOND
from tests.telemetry.kept import START, Kept, request


def finished(done: RequestRecord, *, sample: float = 0.0, span_error: str = "", **attributes: Any) -> Kept:
    kept = Kept()
    with entered(RequestContext()) as context:
        record("API", "get", "work", START, 10, error=span_error, **attributes)
        Telemetry([kept], Metrics(), slow_ms=300, sample=sample).finish(context, done)
    return kept


def spread(number: int) -> str:
    """Trace ids at equal distances, so that a share of them is an exact number."""
    return f"{number % 2_000 * 2**32 // 2_000:032x}"


def counted(*all_done: RequestRecord) -> CollectorRegistry:
    metrics = Metrics()
    telemetry = Telemetry([], metrics, slow_ms=300, sample=0)
    for done in all_done:
        telemetry.finish(RequestContext(), done)
    return metrics.registry


@pytest.mark.parametrize(
    "values",
    [
        {"status": 500},
        {"duration_us": 300_000},
        {"wrote": True},
        {"kind": "handler", "method": "", "name": "orders.send_receipt", "wrote": True},
    ],
)
def test_spans_worth_keeping_are_always_kept(values: dict[str, Any]) -> None:
    assert len(finished(request(**values)).span_records) == 1


def test_spans_are_kept_when_one_of_them_failed() -> None:
    assert len(finished(request(), span_error="TimeoutError: ").span_records) == 1


def test_the_others_are_kept_by_sample_and_all_of_them_are_accounted_for() -> None:
    kept = Kept()
    telemetry = Telemetry([kept], Metrics(), slow_ms=300, sample=0.25)
    for number in range(2_000):
        with entered(RequestContext()) as context:
            with span("API", "get"):
                pass
            at = START + number * 500_000 // OTHERS_A_SECOND  # twice as many as are kept one by one
            telemetry.finish(context, request(trace_id=spread(number), start_us=at, status=404, error="NotFound"))
    assert len(kept.span_records) == 500
    assert 500 + 750 <= len(kept.request_records) <= 500 + 750 + OTHERS_A_SECOND
    assert sum(each.stands_for for each in kept.request_records) in (1_999, 2_000)


def test_a_request_stands_for_others_of_its_kind_alone() -> None:
    kept = Kept()
    telemetry = Telemetry([kept], Metrics(), slow_ms=300, sample=0)
    for number in range(OTHERS_A_SECOND + 50):
        telemetry.finish(RequestContext(), request(trace_id=spread(number)))
    later = START + 1_000_000
    others: list[dict[str, Any]] = [{"status": 404}, {"tenant": "hilltop"}, {"name": "/", "path": "/"}]
    for values in [*others, {}]:
        telemetry.finish(RequestContext(), request(trace_id=spread(1), start_us=later, **values))
    assert [each.stands_for for each in kept.request_records[OTHERS_A_SECOND:]] == [1, 1, 1, 51]


def test_a_request_stands_for_itself_where_there_are_few() -> None:
    kept = Kept()
    telemetry = Telemetry([kept], Metrics(), slow_ms=300, sample=0)
    for number in range(2 * OTHERS_A_SECOND):
        at = START + number * 1_000_000 // OTHERS_A_SECOND
        telemetry.finish(RequestContext(), request(trace_id=spread(number), start_us=at))
    assert [each.stands_for for each in kept.request_records] == [1] * 2 * OTHERS_A_SECOND


def test_of_a_handler_outside_the_sample_only_the_count_is_kept() -> None:
    run = request(kind="handler", method="", name="orders.send_receipt")
    assert (finished(run, sample=0.0).request_records, finished(run, sample=0.0).lines) == ([], [])
    assert len(finished(run, sample=1.0).request_records) == 1


def test_none_and_all_can_be_sampled() -> None:
    assert finished(request(), sample=0.0).span_records == []
    assert len(finished(request(), sample=1.0).span_records) == 1


def test_secrets_in_attributes_are_hidden_and_the_rest_is_not() -> None:
    kept = finished(request(wrote=True), api_key="k-123", rows=3)
    assert kept.span_records[0].attributes == {"api_key": "[hidden]", "rows": 3}


@pytest.mark.parametrize(
    ("template", "path", "shown"),
    [
        ("/sandbox/payments/{token}", "/sandbox/payments/s3cr3t", "/sandbox/payments/[hidden]"),
        ("/reset/{token}/of/{user_id}", "/reset/s3cr3t/of/7", "/reset/[hidden]/of/7"),
        ("/shared/{token}", "/shared/s3/cr/3t", "/shared/[hidden]"),
        ("/tokens/{token_id}", "/tokens/", "/tokens/[hidden]"),
        ("/reset-password/{user_id}", "/reset-password/7", "/reset-password/7"),
        ("/orders/{order_id}", "/orders/7", "/orders/7"),
    ],
)
def test_secrets_in_a_path_are_hidden_everywhere(template: str, path: str, shown: str) -> None:
    out, kept = StringIO(), Kept()
    telemetry = Telemetry([kept], Metrics(), slow_ms=300, sample=1, access=AccessLines(out))
    telemetry.finish(RequestContext(), request(name=template, path=path))
    assert kept.request_records[0].path == shown
    assert kept.lines[0].event == f"GET {shown}"
    assert json.loads(out.getvalue())["path"] == shown
    assert "s3" not in out.getvalue()


def test_requests_are_counted_and_timed_by_template() -> None:
    registry = counted(request(), request(path="/api/v1/orders/8"), request(status=404))
    labels = {"role": "api", "method": "GET", "route": "/api/v1/orders/{order_id}"}
    assert registry.get_sample_value("groundplan_http_requests_total", labels | {"status": "200"}) == 2
    assert registry.get_sample_value("groundplan_http_requests_total", labels | {"status": "404"}) == 1
    timed = {"role": "api", "route": "/api/v1/orders/{order_id}"}
    assert registry.get_sample_value("groundplan_http_request_duration_seconds_count", timed) == 3
    assert registry.get_sample_value("groundplan_http_request_duration_seconds_sum", timed) == pytest.approx(0.01575)


def test_what_a_client_makes_up_does_not_become_a_label() -> None:
    registry = counted(*(request(method=f"X{n}", name="", path=f"/{n}", status=404) for n in range(50)))
    labels = {"role": "api", "method": "other", "route": "unmatched", "status": "404"}
    assert registry.get_sample_value("groundplan_http_requests_total", labels) == 50


def test_handlers_are_counted_by_outcome_and_not_as_requests() -> None:
    run = request(kind="handler", role="worker", method="", name="orders.send_receipt")
    registry = counted(run, run._replace(status=502), run._replace(status=422))
    labels = {"handler": "orders.send_receipt"}
    assert registry.get_sample_value("groundplan_handler_runs_total", labels | {"outcome": "done"}) == 1
    assert registry.get_sample_value("groundplan_handler_runs_total", labels | {"outcome": "failed"}) == 2
    assert registry.get_sample_value("groundplan_handler_duration_seconds_count", labels) == 3
    assert b"groundplan_http_requests_total{" not in Metrics().render()


def test_of_handlers_that_only_wrote_a_hundred_a_second_are_kept() -> None:
    kept = Kept()
    telemetry = Telemetry([kept], Metrics(), slow_ms=300, sample=0)

    def write(count: int, second: float, **more: Any) -> int:
        before = len(kept.request_records)
        for _ in range(count):
            run = request(kind="handler", method="", wrote=True, start_us=START + int(second * 1_000_000), **more)
            telemetry.finish(RequestContext(), run)
        return len(kept.request_records) - before

    assert write(1_000, 0) == WRITES_A_SECOND
    assert write(1_000, 0.5) == WRITES_A_SECOND / 2
    assert write(1_000, 60) == WRITES_A_SECOND, "no more than one second's are saved up"
    assert write(10, 60, status=500) == 10, "what failed is always kept"
    assert write(1, 0) == 0, "a clock that went back gives none"
    for _ in range(1_000):
        telemetry.finish(RequestContext(), request(wrote=True))
    assert sum(each.kind == "api" for each in kept.request_records) == 1_000, "requests that write are all kept"
    assert len(kept.span_records) == 0
