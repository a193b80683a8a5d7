"""The adapters by what they are for, and those of them that the settings choose."""

import importlib
from typing import Any

from groundplan.core.clock import Clock
from groundplan.core.errors import ConfigurationError
from groundplan.data.cache.read_through import Cache
from groundplan.data.coordination.batched import BatchedLimits
from groundplan.data.coordination.limits import OUTCOMES, Limits, RateLimits
from groundplan.data.database.database import Database
from groundplan.data.objects.port import Objects
from groundplan.data.objects.signing import UrlSigner
from groundplan.data.queue.port import Broker
from groundplan.data.search.port import Search
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.integrations.mail.port import Mail
from groundplan.integrations.payments.port import Payments
from groundplan.messaging.event_log.log import EventLog
from groundplan.net.client import Outbound
from groundplan.net.customer import CustomerHttp
from groundplan.net.guard import policy_of
from groundplan.settings import Settings, path_of
from groundplan.telemetry import Metrics

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


def load(path: str) -> Any:
    """``module:attribute``, imported now: what is not wired is not loaded."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def search_in(database: Database) -> Search:
    return Search(load(SEARCH[database.dialect])())


class Adapters:
    """The adapters that these settings choose."""

    def __init__(
        self,
        settings: Settings,
        app: str,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        outbound: Outbound,
        log: Any,
        *,
        works: bool,
    ) -> None:
        """``works``: this process runs handlers, so it needs the broker."""
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
        counted = {outcome: metrics.rate_limits.labels(outcome) for outcome in OUTCOMES}
        self.limits = RateLimits(
            self.coordination,
            local,
            outage_share=settings.rate_limit_outage_share,
            observe=lambda outcome: counted[outcome].inc(),
        )
        self.batched = [
            BatchedLimits(self.coordination, self.limits, clock, observe=lambda outcome: counted[outcome].inc())
            for _ in self.redis
        ]
        self.door_limits: Limits = self.batched[0] if self.batched else self.limits
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
        self.broker = broker_of(settings, app) if works else None
        self.overrides = Overrides(database, clock)
        self.flags = Flags(settings.feature_flags, self.overrides)

    def opened(self, cache: Cache) -> list[Any]:
        """What has a life, in the order in which it begins; the cache uses what stands before it."""
        stores = [self.coordination, self.objects.store, self.mail.transport, self.payments.gateway, self.analytics]
        return [self.outbound, self.customers, *self.redis, cache, *stores, *self.batched]


def broker_of(settings: Settings, app: str) -> Broker | None:
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
