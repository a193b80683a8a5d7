"""The composition root: settings become services, and nowhere else is an adapter named."""

import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import make_url

from groundplan import __version__, accounts, console
from groundplan.app.application import App, Assembly, DemoAccounts
from groundplan.app.calls import Calls
from groundplan.app.faults import Faults
from groundplan.app.health import Check, Health
from groundplan.app.idempotency import Idempotency
from groundplan.app.idempotency_keys import IdempotencyKeys
from groundplan.app.services import Services
from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.clock import Clock, SystemClock, system_random
from groundplan.core.errors import ConfigurationError
from groundplan.data.cache.read_through import Cache
from groundplan.data.coordination.limits import RateLimits
from groundplan.data.coordination.port import Coordination
from groundplan.data.database.database import Database
from groundplan.data.database.migrate import PLATFORM, History
from groundplan.data.objects.port import Objects
from groundplan.data.objects.signing import UrlSigner
from groundplan.data.queue.port import Broker
from groundplan.data.search.port import Search
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.integrations.mail.port import Mail, Mailbox
from groundplan.integrations.payments.port import Payments
from groundplan.messaging.catalogue import Catalogue
from groundplan.messaging.dead_letter_groups import DeadLetterGroups
from groundplan.messaging.dead_letters import DeadLetters
from groundplan.messaging.log import EventLog
from groundplan.messaging.outbox import Outbox
from groundplan.messaging.progress import ProgressBoard
from groundplan.messaging.queues import Queues
from groundplan.messaging.stats import QueueStats
from groundplan.net.client import Outbound
from groundplan.net.customer import CustomerHttp
from groundplan.net.guard import policy_of
from groundplan.security.assertion import Assertions
from groundplan.security.audit import AuditLog
from groundplan.security.passwords import Passwords
from groundplan.security.sessions import Sessions
from groundplan.security.tenants import Tenants
from groundplan.security.users import Users
from groundplan.settings import Settings, path_of
from groundplan.settings.redaction import hide_passwords
from groundplan.telemetry import Metrics, Telemetry
from groundplan.telemetry.logs import make_logger, route_library_logs
from groundplan.telemetry.pipeline import AccessLines

Role = Literal["web", "api", "worker", "all"]

ADAPTERS = {
    "cache": "groundplan.data.cache.memory:MemoryCache",
    "shared cache": "groundplan.data.cache.redis:RedisCache",
    "coordination": "groundplan.data.coordination.memory:MemoryCoordination",
    "shared coordination": "groundplan.data.coordination.redis:RedisCoordination",
    "objects": "groundplan.data.objects.folder:FolderStore",
    "mail": "groundplan.integrations.mail.inbox:MailInbox",
    "payments": "groundplan.integrations.payments.sandbox:SandboxGateway",
    "payment pages": "groundplan.integrations.payments.sandbox_pages:sandbox_routes",
    "analytics": "groundplan.integrations.analytics.eventlog:EventLogAnalytics",
}
SEARCH = {
    "sqlite": "groundplan.data.search.sqlite:SqliteIndex",
    "postgresql": "groundplan.data.search.postgresql:PostgresqlIndex",
}
"""By the dialect of the database, which holds the index."""
BROKERS = {
    "nats": "groundplan.data.queue.nats:NatsBroker",
    "redis": "groundplan.data.queue.redis:RedisBroker",
    "rabbitmq": "groundplan.data.queue.rabbitmq:RabbitBroker",
}
"""By the extra that installs the client."""
SCHEMES = {"nats": "nats", "tls": "nats", "redis": "redis", "rediss": "redis", "amqp": "rabbitmq", "amqps": "rabbitmq"}
BARE_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def load(path: str) -> Any:
    """``module:attribute``, imported now: what is not wired is not loaded."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def histories(app: App) -> list[History]:
    folder = Path(importlib.import_module(app.package).__file__ or "").parent / "migrations"
    return [PLATFORM, History(app.name, folder, "app_version")]


def assemble(app: App) -> Assembly:
    return Assembly(app, [accounts.feature, console.feature])


def open_database(settings: Settings, *, exclusive: bool, log: Any = None) -> Database:
    return Database(settings.database_url, pool_size=settings.database_pool_size, exclusive=exclusive, log=log)


def search_in(database: Database) -> Search:
    return Search(load(SEARCH[database.dialect])())


def application_role(settings: Settings) -> str | None:
    """The PostgreSQL role that the application runs as, where the tables have another owner."""
    return make_url(settings.database_url).username


@dataclass(frozen=True, slots=True)
class Process:
    """One role, put together and not opened yet. Parts open in order and close in reverse."""

    application: Any
    parts: list[Any]
    health: Health
    log: Any
    services: Services


def build(settings: Settings, app: App, role: Role, *, pretty: bool = False) -> Process:
    """Raises ConfigurationError where the app cannot start: a route without permission, a handler too slow."""
    clock, metrics = SystemClock(), Metrics()
    telemetry_store = TelemetryStore(
        path_of(settings.telemetry_url), max_rows=settings.telemetry_max_rows, dropped=metrics.telemetry_dropped.inc
    )
    log = make_logger(settings.log_level, sys.stdout, [telemetry_store], pretty=pretty)
    route_library_logs(log)
    access = AccessLines(sys.stdout, pretty=pretty)
    telemetry = Telemetry(
        [telemetry_store],
        metrics,
        slow_ms=settings.trace_slow_ms,
        sample=settings.trace_sample,
        access=access if settings.log_level in ("debug", "info") else None,
    )
    assembly = assemble(app)
    database = open_database(settings, exclusive=True, log=log)
    outbound = Outbound(clock, metrics)
    parts = _Parts(settings, app.name, role, database, clock, metrics, outbound, log)
    services = _services(
        settings, assembly, parts, telemetry_store, remote=role == "web" and settings.api_url is not None
    )
    calls = Calls(services)
    health = services.registry[Health]
    opened: list[Any] = [access, telemetry_store, database, outbound, parts.customers, *parts.redis, services.cache]
    opened += [parts.coordination, parts.objects.store]
    opened += [parts.mail.transport, parts.payments.gateway, parts.analytics, _Subscriptions(database, services.outbox)]
    if role in ("worker", "all"):
        opened.append(_worker(settings, services, calls, telemetry, metrics, parts.broker))
    application = None if role == "worker" else _application(settings, services, calls, telemetry, metrics, parts, role)
    return Process(application, opened, health, log, services)


class _Parts:
    """The adapters that these settings choose."""

    def __init__(
        self,
        settings: Settings,
        app: str,
        role: Role,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        outbound: Outbound,
        log: Any,
    ) -> None:
        self.database, self.clock, self.metrics, self.outbound, self.log = database, clock, metrics, outbound, log
        policy = policy_of(settings.customer_urls, settings.customer_urls_denied)
        self.customers = CustomerHttp(clock, metrics, policy=policy)
        self.redis = [] if settings.redis_url is None else [_redis_link(settings, metrics)]
        self.cache = load(ADAPTERS["cache"])(
            clock, max_entries=settings.cache_max_entries, max_bytes=settings.cache_max_bytes
        )
        self.coordination = local = load(ADAPTERS["coordination"])(clock)
        for link in self.redis:
            self.cache = load(ADAPTERS["shared cache"])(link, self.cache, app)
            self.coordination = load(ADAPTERS["shared coordination"])(link, app)
        self.limits = RateLimits(
            self.coordination,
            local,
            outage_share=settings.rate_limit_outage_share,
            observe=lambda outcome: metrics.rate_limits.labels(outcome).inc(),
        )
        signer = UrlSigner(settings.derived_key("signed urls"), clock)
        self.objects = Objects(load(ADAPTERS["objects"])(path_of(settings.object_storage), signer))
        self.mail = Mail(load(ADAPTERS["mail"])(settings.root / "var" / "inbox", clock))
        api = (settings.api_url or f"http://127.0.0.1:{settings.port}").partition(",")[0]
        self.payments = Payments(
            load(ADAPTERS["payments"])(
                settings.derived_key("sandbox gateway"),
                outbound,
                clock,
                env=settings.env,
                callback_url=f"{api}/webhooks/in/payments",
            )
        )
        self.analytics = load(ADAPTERS["analytics"])(EventLog(database).append, clock, log)
        self.broker = _broker(settings, app) if role in ("worker", "all") else None
        self.overrides = Overrides(database, clock)
        self.flags = Flags(settings.feature_flags, self.overrides)


def _broker(settings: Settings, app: str) -> Broker | None:
    """Raises ConfigurationError where its client library is not installed."""
    if settings.queue_url == "database":
        return None
    scheme = settings.queue_url.partition("://")[0]
    kind = SCHEMES[scheme]
    try:
        adapter = load(BROKERS[kind])
    except ImportError as error:
        raise ConfigurationError(
            f"QUEUE_URL is {scheme}://..., and its client is not installed: pip install 'groundplan[{kind}]'."
        ) from error
    broker: Broker = adapter(settings.queue_url, app, lease=float(settings.worker_lease_seconds))
    return broker


def _redis_link(settings: Settings, metrics: Metrics) -> Any:
    """Raises ConfigurationError where its client library is not installed."""
    try:
        from groundplan.data.valkey import Link
    except ImportError as error:
        raise ConfigurationError(
            "REDIS_URL is set, and its client is not installed: pip install 'groundplan[redis]'."
        ) from error
    return Link(settings.redis_url or "", told=lambda is_up: metrics.redis_up.labels("cache").set(is_up))


def _services(settings: Settings, assembly: Assembly, parts: _Parts, telemetry_store: Any, *, remote: bool) -> Services:
    database, clock = parts.database, parts.clock
    faults = Faults(assembly.faults, parts.flags, parts.overrides, allowed=settings.env != "prod")
    users = Users(database, clock)
    at_home = settings.env in ("local", "ci")
    operator = settings.operator_tenant or ("" if at_home else None)
    tenants = Tenants(database, clock, bare_hosts=BARE_HOSTS if at_home else frozenset(), operator=operator)
    health = Health(_checks(settings, parts, telemetry_store), clock)
    queries = TelemetryQueries(telemetry_store)
    registered = [
        users,
        tenants,
        faults,
        health,
        queries,
        parts.customers,
        Passwords(),
        parts.limits,
        Sessions(database, clock),
        DeadLetters(database, assembly.handlers),
        DeadLetterGroups(database),
        QueueStats(database, assembly.handlers, parts.broker),
        IdempotencyKeys(database),
        Queues(database, clock),
        ProgressBoard(database),
        EventLog(database),
        Catalogue(assembly.features),
        Assertions(settings.secret_key, clock),
        _demo_accounts(settings, assembly.app),
    ]
    return Services(
        assembly=assembly,
        settings=settings,
        clock=clock,
        log=parts.log,
        database=database,
        cache=Cache(
            parts.cache,
            app=assembly.app.name,
            version=__version__,
            random=system_random(),
            observe=_count(parts.metrics),
        ),
        objects=parts.objects,
        search=search_in(database),
        mail=parts.mail,
        payments=parts.payments,
        analytics=parts.analytics,
        flags=parts.flags,
        overrides=parts.overrides,
        faults=faults,
        outbox=Outbox(database, assembly.handlers, clock),
        audit=AuditLog(clock),
        tenants=tenants,
        users=users,
        idempotency=Idempotency(database.dialect),
        remote=_remote(settings, parts.outbound, clock) if remote else None,
        registry={Mailbox: parts.mail.transport}
        | {Coordination: parts.coordination}
        | {type(service): service for service in registered},
    )


def _demo_accounts(settings: Settings, app: App) -> DemoAccounts:
    """Nobody's outside local and ci, where the seed made none."""
    if app.demo is None or settings.env not in ("local", "ci"):
        return DemoAccounts("", [])
    return DemoAccounts(*load(app.demo)())


def _remote(settings: Settings, outbound: Outbound, clock: Clock) -> Any:
    from groundplan.backend.api.remote import RemoteApi

    return RemoteApi((settings.api_url or "").split(","), outbound, Assertions(settings.secret_key, clock))


def _count(metrics: Metrics) -> Callable[[str], None]:
    return lambda outcome: metrics.cache.labels(outcome).inc()


def _queue_runs_on(settings: Settings, parts: _Parts) -> str:
    if settings.queue_url == "database":
        return f"The database: {parts.database.runs_on}"
    return f"{hide_passwords(settings.queue_url)}, and the database"


def _checks(settings: Settings, parts: _Parts, telemetry_store: Any) -> list[Check]:
    async def database() -> str:
        await parts.database.ping()
        return "Answers."

    async def telemetry() -> str:
        return f"Keeps {settings.telemetry_max_rows:,} rows of each kind."

    def check(component: str, runs_on: str, ping: Callable[[], Awaitable[str]], *, critical: bool = False) -> Check:
        return Check(component, runs_on, ping, critical)

    return [
        check("Database", parts.database.runs_on, database, critical=True),
        check("Cache", parts.redis[0].runs_on if parts.redis else "In process", parts.cache.ping),
        check("Queue", _queue_runs_on(settings, parts), parts.broker.ping if parts.broker else database),
        check("Objects", "A folder, var/objects", parts.objects.store.ping),
        check("Payments", "Sandbox gateway", parts.payments.gateway.ping),
        check("Mail", "Dev inbox, var/inbox", parts.mail.transport.ping),
        check("Analytics", "The event log", parts.analytics.ping),
        check("Telemetry", f"SQLite, {telemetry_store.path.name}", telemetry),
    ]


class _Subscriptions:
    """Tells publishers, at start, what this release handles."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    async def open(self) -> None:
        async with self._database.transaction(None) as transaction:
            await self._outbox.subscribe(transaction)

    async def close(self) -> None:
        """Other releases still handle them."""


def _worker(
    settings: Settings,
    services: Services,
    calls: Calls,
    telemetry: Telemetry,
    metrics: Metrics,
    broker: Broker | None,
) -> Any:
    from groundplan.backend.worker.part import WorkerPart

    name = f"{os.uname().nodename}:{os.getpid()}"
    return WorkerPart(services, calls, broker, telemetry, metrics, system_random(), settings=settings, name=name)


def _application(
    settings: Settings,
    services: Services,
    calls: Calls,
    telemetry: Telemetry,
    metrics: Metrics,
    parts: _Parts,
    role: Literal["web", "api", "all"],
) -> Any:
    from groundplan.backend.application import http_application, static_files

    static = static_files()
    pages = load(ADAPTERS["payment pages"])
    return http_application(
        services,
        calls,
        telemetry,
        metrics,
        static,
        role=role,
        extra=[] if role == "api" else pages(parts.payments.gateway, partial(static.url, "style.css")),
    )
