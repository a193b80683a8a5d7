"""The names that dashboards and alerts rely on."""

from prometheus_client.parser import text_string_to_metric_families

from groundplan.telemetry import Metrics


def test_the_names_and_labels() -> None:
    metrics = Metrics()
    metrics.requests.labels("api", "GET", "/orders", "200").inc()
    metrics.request_seconds.labels("api", "/orders").observe(0.1)
    metrics.admission_limit.labels("read").set(100)
    metrics.in_flight.set(1)
    metrics.shed.labels("read").inc()
    metrics.handler_runs.labels("orders.send_receipt", "done").inc()
    metrics.handler_seconds.labels("orders.send_receipt").observe(0.1)
    metrics.deliveries.labels("default", "ready").set(3)
    metrics.unclaimed.labels("orders.greet").set(1)
    metrics.dead_letters.set(1)
    metrics.dead_letters_oldest.set(60)
    metrics.gave_up.labels("orders.send_receipt", "invalid").inc()
    metrics.cache.labels("hit").inc()
    metrics.outside_calls.labels("Payments", "ok").inc()
    metrics.outside_seconds.labels("Payments").observe(0.1)
    metrics.outside_retries.labels("Payments").inc()
    metrics.outside_retries_withheld.labels("Payments").inc()
    metrics.outside_breakers.labels("Payments", "open").set(1)
    metrics.redis_up.labels("cache").set(1)
    metrics.rate_limits.labels("allowed").inc()
    metrics.telemetry_dropped.inc(2)
    families = text_string_to_metric_families(metrics.render().decode())
    samples = {sample.name: sample.labels for family in families for sample in family.samples}
    assert {name: set(labels) for name, labels in samples.items() if not name.endswith(("_created", "_bucket"))} == {
        "groundplan_http_requests_total": {"role", "method", "route", "status"},
        "groundplan_http_request_duration_seconds_count": {"role", "route"},
        "groundplan_http_request_duration_seconds_sum": {"role", "route"},
        "groundplan_admission_limit": {"priority"},
        "groundplan_admission_in_flight": set(),
        "groundplan_admission_shed_total": {"priority"},
        "groundplan_handler_runs_total": {"handler", "outcome"},
        "groundplan_handler_duration_seconds_count": {"handler"},
        "groundplan_handler_duration_seconds_sum": {"handler"},
        "groundplan_queue_deliveries": {"queue", "state"},
        "groundplan_queue_unclaimed": {"handler"},
        "groundplan_dead_letters_waiting": set(),
        "groundplan_dead_letters_oldest_seconds": set(),
        "groundplan_dead_letters_total": {"handler", "reason"},
        "groundplan_cache_requests_total": {"result"},
        "groundplan_outside_calls_total": {"component", "outcome"},
        "groundplan_outside_call_duration_seconds_count": {"component"},
        "groundplan_outside_call_duration_seconds_sum": {"component"},
        "groundplan_outside_retries_total": {"component"},
        "groundplan_outside_retries_withheld_total": {"component"},
        "groundplan_outside_breakers": {"component", "state"},
        "groundplan_redis_up": {"use"},
        "groundplan_rate_limit_decisions_total": {"result"},
        "groundplan_telemetry_dropped_total": set(),
    }


def test_two_processes_in_one_test_do_not_share_counts() -> None:
    one, other = Metrics(), Metrics()
    one.telemetry_dropped.inc()
    assert other.registry.get_sample_value("groundplan_telemetry_dropped_total") == 0
