"""Prometheus metrics on a registry of our own: of requests, handlers, the queue, the cache, limits and peers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Labels are route templates and handler names, never what a client sent, so their number is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "groundplan_http_requests", "HTTP requests.", ("role", "method", "route", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "groundplan_http_request_duration_seconds",
            "Time to answer.",
            ("role", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.admission_limit = Gauge(
            "groundplan_admission_limit",
            "Requests that may be at work before one more is turned away.",
            ("priority",),
            registry=self.registry,
        )
        self.in_flight = Gauge("groundplan_admission_in_flight", "Requests at work.", registry=self.registry)
        self.shed = Counter("groundplan_admission_shed", "Requests turned away.", ("priority",), registry=self.registry)
        self.handler_runs = Counter(
            "groundplan_handler_runs", "Attempts of handlers.", ("handler", "outcome"), registry=self.registry
        )
        self.handler_seconds = Histogram(
            "groundplan_handler_duration_seconds",
            "Time of one attempt.",
            ("handler",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.deliveries = Gauge(
            "groundplan_queue_deliveries", "Deliveries by state.", ("queue", "state"), registry=self.registry
        )
        self.unclaimed = Gauge(
            "groundplan_queue_unclaimed",
            "Ready deliveries whose handler or version this release does not know.",
            ("handler",),
            registry=self.registry,
        )
        self.dead_letters = Gauge(
            "groundplan_dead_letters_waiting", "Dead letters waiting for a person.", registry=self.registry
        )
        self.dead_letters_oldest = Gauge(
            "groundplan_dead_letters_oldest_seconds", "Since the oldest dead letter gave up.", registry=self.registry
        )
        self.gave_up = Counter(
            "groundplan_dead_letters", "Messages that gave up.", ("handler", "reason"), registry=self.registry
        )
        self.cache = Counter("groundplan_cache_requests", "Cache look-ups.", ("result",), registry=self.registry)
        self.redis_up = Gauge(
            "groundplan_redis_up",
            "1 while Redis answers; no sample where none is used.",
            ("use",),
            registry=self.registry,
        )
        self.rate_limits = Counter(
            "groundplan_rate_limit_decisions", "Decisions on limits.", ("result",), registry=self.registry
        )
        self.outside_calls = Counter(
            "groundplan_outside_calls",
            "Attempts to call a peer.",
            ("component", "outcome"),
            registry=self.registry,
        )
        self.outside_seconds = Histogram(
            "groundplan_outside_call_duration_seconds",
            "Time of one attempt that was sent.",
            ("component",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.outside_retries = Counter(
            "groundplan_outside_retries", "Attempts after the first.", ("component",), registry=self.registry
        )
        self.outside_retries_withheld = Counter(
            "groundplan_outside_retries_withheld",
            "Retries not made, the budget being used up.",
            ("component",),
            registry=self.registry,
        )
        self.outside_breakers = Gauge(
            "groundplan_outside_breakers",
            "Peers whose breaker is not closed.",
            ("component", "state"),
            registry=self.registry,
        )
        self.telemetry_dropped = Counter(
            "groundplan_telemetry_dropped", "Records given up because the store was behind.", registry=self.registry
        )

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
