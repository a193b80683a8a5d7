"""Every setting there is: its names, how its text becomes a value, its default, and what it is for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from groundplan.settings.flagset import feature_flags
from groundplan.settings.parsers import Parse, host, issuer, networks, number, one_of, quota, text, whole
from groundplan.settings.redaction import hide, hide_passwords
from groundplan.settings.urls import (
    database_url,
    http_url,
    http_urls,
    object_storage,
    queue_url,
    redis_url,
    telemetry_url,
)


@dataclass(frozen=True, slots=True)
class Variable:
    field: str
    """In the snapshot, in YAML files and, with dashes, on the command line."""
    name: str
    """In the environment."""
    parse: Parse
    help: str
    default: str | None = None
    """As text, parsed like any other; None for a value that follows from others, or may be missing."""
    redact: Callable[[str], str] = hide_passwords
    """The text as people may see it; a text that this changes must not stand in a versioned file."""

    def shown(self, value: Any) -> str:
        return "" if value is None else self.redact(str(value))


_ENV = one_of("local", "ci", "staging", "prod")
_LEVEL = one_of("debug", "info", "warn", "error", warning="warn")

VARIABLES = (
    Variable("env", "APP_ENV", _ENV, "local, ci, staging or prod. It also chooses config/<env>.yaml.", "local"),
    Variable("host", "APP_HOST", host, "The address to listen on. Not set: 127.0.0.1 in local, 0.0.0.0 elsewhere."),
    Variable("port", "APP_PORT", whole(1, 65535), "The port to listen on.", "8080"),
    Variable("public_url", "PUBLIC_URL", http_url, "Where browsers find us. Not set: http://localhost and APP_PORT."),
    Variable(
        "api_url",
        "API_URL",
        http_urls,
        "Where the web part finds the API part: an address, or several with commas. Not set: in its own process.",
    ),
    Variable("log_level", "LOG_LEVEL", _LEVEL, "The least log lines to keep: debug, info, warn or error.", "info"),
    # data
    Variable(
        "database_url",
        "DATABASE_URL",
        database_url,
        "PostgreSQL (postgresql://user:password@host/name) or, for one process, SQLite (sqlite:///var/app.db).",
        "sqlite:///var/app.db",
    ),
    Variable(
        "database_migrate_url",
        "DATABASE_MIGRATE_URL",
        database_url,
        "The same database as the owner of its tables, for groundplan migrate. Not set: DATABASE_URL.",
    ),
    Variable("database_pool_size", "DATABASE_POOL_SIZE", whole(1, 1000), "Most connections of a process.", "10"),
    Variable(
        "database_wait_seconds",
        "DATABASE_WAIT_SECONDS",
        whole(0, 3600),
        "How long a process that starts waits for a database that is away.",
        "60",
    ),
    Variable(
        "redis_url",
        "REDIS_URL",
        redis_url,
        "Redis or Valkey for cache, limits and locks. Not set: each process its own.",
    ),
    Variable(
        "rate_limit_outage_share",
        "RATE_LIMIT_OUTAGE_SHARE",
        number(0, 1),
        "The share of each rate limit that a process gives by itself while Redis is away.",
        "0.25",
    ),
    Variable("cache_max_entries", "CACHE_MAX_ENTRIES", whole(1, 10**9), "Most entries of a process's cache.", "10000"),
    Variable("cache_max_bytes", "CACHE_MAX_BYTES", whole(1, 10**12), "Most bytes of a process's cache.", "67108864"),
    Variable(
        "queue_url",
        "QUEUE_URL",
        queue_url,
        "Who hands out work: database, or a broker's URL (nats://, redis://, amqp://).",
        "database",
    ),
    Variable(
        "object_storage",
        "OBJECT_STORAGE_BUCKET",
        object_storage,
        "Where files are kept: a folder, such as file:var/objects (buckets: not yet).",
        "file:var/objects",
    ),
    # requests
    Variable("request_seconds", "REQUEST_SECONDS", number(0.1, 3600), "Time to answer a request.", "30"),
    Variable("body_seconds", "BODY_SECONDS", number(0.1, 3600), "Time for the whole body of a request to come.", "15"),
    Variable(
        "header_seconds",
        "HEADER_SECONDS",
        number(1, 3600),
        "Time for the headers of a request to come, and for which a connection may be idle. Longer than a proxy's.",
        "75",
    ),
    Variable(
        "trusted_proxies",
        "TRUSTED_PROXIES",
        networks,
        "Networks of the proxies in front, whose X-Forwarded-For is believed. Not set: nobody's.",
        "",
    ),
    Variable(
        "rate_limits",
        "RATE_LIMITS",
        one_of("on", "off"),
        "Whether requests are limited: by what routes declare, and by the two below.",
        "on",
    ),
    Variable("rate_limit_ip", "RATE_LIMIT_IP", quota, "Requests from one address, or off.", "1200/min"),
    Variable("rate_limit_user", "RATE_LIMIT_USER", quota, "Requests of one signed-in user, or off.", "1200/min"),
    # identity
    Variable(
        "secret_key",
        "SECRET_KEY",
        text,
        "Signs links and tokens: 32 random bytes or more. Not set in local and ci: made once, in var/secret_key.",
        redact=hide,
    ),
    Variable(
        "external_auth_domain", "EXTERNAL_AUTH_DOMAIN", issuer, "The external identity provider, if there is one."
    ),
    Variable("client_id", "CLIENT_ID", text, "Who we are to the identity provider."),
    Variable("client_secret", "CLIENT_SECRET", text, "How we prove that to the identity provider.", redact=hide),
    Variable(
        "operator_tenant",
        "OPERATOR_TENANT",
        text,
        "The tenant whose operators may use the console, which shows every tenant. Not set: the first one in local "
        "and ci, elsewhere nobody.",
    ),
    # work
    Variable(
        "feature_flags",
        "FEATURE_FLAGS",
        feature_flags,
        'Feature flags as JSON: {"new-checkout": true}, or flagd\'s format for variants and targeting.',
        "{}",
        redact=str,
    ),
    Variable("worker_slots", "WORKER_SLOTS", whole(1, 1000), "Handlers that a worker runs at a time.", "4"),
    Variable(
        "worker_lease_seconds",
        "WORKER_LEASE_SECONDS",
        whole(5, 3600),
        "How long a delivery belongs to a worker that shows no sign of life.",
        "45",
    ),
    Variable(
        "readiness_seconds",
        "READINESS_SECONDS",
        whole(0, 300),
        "How long readiness says no before connections are refused, so that a balancer notices.",
        "5",
    ),
    Variable("drain_seconds", "DRAIN_SECONDS", whole(0, 3600), "Time to finish when told to stop.", "25"),
    # calls to URLs that customers give
    Variable(
        "customer_urls",
        "CUSTOMER_URLS",
        one_of("public", "any"),
        "Where customers' URLs may lead: public (https:// on the internet) or, on a laptop, any.",
        "public",
    ),
    Variable(
        "customer_urls_denied",
        "CUSTOMER_URLS_DENIED",
        networks,
        "Public networks where they may not lead: our own, NAT64 prefixes of our own.",
        "",
    ),
    # telemetry
    Variable(
        "telemetry_url",
        "TELEMETRY_URL",
        telemetry_url,
        "Where the console's traces and log lines are kept: an SQLite file.",
        "sqlite:///var/telemetry.db",
    ),
    Variable("telemetry_max_rows", "TELEMETRY_MAX_ROWS", whole(1000, 10**9), "Most rows of each kind in it.", "200000"),
    Variable("trace_sample", "TRACE_SAMPLE", number(0, 1), "The share of fast, faultless reads that it keeps.", "0.1"),
    Variable("trace_slow_ms", "TRACE_SLOW_MS", whole(1, 600_000), "Milliseconds from which it keeps each.", "300"),
)
