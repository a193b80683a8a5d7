"""The services of a process, made of its settings, its assembly and its adapters."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from groundplan import __version__
from groundplan.app.application import App, Assembly, DemoAccounts
from groundplan.app.faults import Faults
from groundplan.app.health import Health
from groundplan.app.idempotency import Idempotency
from groundplan.app.idempotency_keys import IdempotencyKeys
from groundplan.app.request_limits import RequestLimits
from groundplan.app.services import Services
from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.clock import Clock, system_random
from groundplan.core.quotas import quota_of
from groundplan.data.cache.read_through import Cache
from groundplan.data.coordination.port import Coordination
from groundplan.integrations.mail.port import Mailbox
from groundplan.messaging.catalogue import Catalogue
from groundplan.messaging.dead_letters.groups import DeadLetterGroups
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.messaging.event_log.log import EventLog
from groundplan.messaging.outbox import Outbox
from groundplan.messaging.progress import ProgressBoard
from groundplan.net.client import Outbound
from groundplan.security.assertion import Assertions
from groundplan.security.audit import AuditLog
from groundplan.security.passwords import Passwords
from groundplan.security.sessions import Sessions
from groundplan.security.tenants import Tenants
from groundplan.security.users import Users
from groundplan.settings import Settings
from groundplan.telemetry import Metrics
from groundplan.wiring.adapters import Adapters, load, search_in
from groundplan.wiring.checks import checks

BARE_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def services_of(
    settings: Settings, assembly: Assembly, adapters: Adapters, telemetry_store: TelemetryStore, *, remote: bool
) -> Services:
    database, clock = adapters.database, adapters.clock
    faults = Faults(assembly.faults, adapters.flags, adapters.overrides, allowed=settings.env != "prod")
    users = Users(database, clock)
    at_home = settings.env in ("local", "ci")
    operator = settings.operator_tenant or ("" if at_home else None)
    tenants = Tenants(database, clock, bare_hosts=BARE_HOSTS if at_home else frozenset(), operator=operator)
    health = Health(checks(settings, adapters, telemetry_store), clock)
    queries = TelemetryQueries(telemetry_store)
    registered = [
        users,
        tenants,
        faults,
        health,
        queries,
        adapters.customers,
        Passwords(),
        adapters.limits,
        _request_limits(settings, adapters),
        Sessions(database, clock),
        DeadLetters(database, assembly.handlers),
        DeadLetterGroups(database),
        QueueStats(database, assembly.handlers, adapters.broker),
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
        log=adapters.log,
        database=database,
        cache=Cache(
            adapters.cache,
            app=assembly.app.name,
            version=__version__,
            random=system_random(),
            observe=_count(adapters.metrics),
        ),
        objects=adapters.objects,
        search=search_in(database),
        mail=adapters.mail,
        payments=adapters.payments,
        analytics=adapters.analytics,
        flags=adapters.flags,
        overrides=adapters.overrides,
        faults=faults,
        outbox=Outbox(database, assembly.handlers, clock),
        audit=AuditLog(clock),
        tenants=tenants,
        users=users,
        idempotency=Idempotency(database.dialect),
        remote=_remote(settings, adapters.outbound, clock) if remote else None,
        registry={Mailbox: adapters.mail.transport}
        | {Coordination: adapters.coordination}
        | {type(service): service for service in registered},
    )


def _request_limits(settings: Settings, adapters: Adapters) -> RequestLimits:
    ip, user = (
        None if text == "off" else quota_of(text) for text in (settings.rate_limit_ip, settings.rate_limit_user)
    )
    return RequestLimits(adapters.door_limits, adapters.limits, on=settings.rate_limits == "on", ip=ip, user=user)


def _demo_accounts(settings: Settings, app: App) -> DemoAccounts:
    """Nobody's outside local and ci, where the seed made none."""
    if app.demo is None or settings.env not in ("local", "ci"):
        return DemoAccounts("", [])
    return DemoAccounts(*load(app.demo)())


def _remote(settings: Settings, outbound: Outbound, clock: Clock) -> Any:
    from groundplan.backend.api.remote import RemoteApi

    return RemoteApi((settings.api_url or "").split(","), outbound, Assertions(settings.secret_key, clock))


def _count(metrics: Metrics) -> Callable[[str], None]:
    """The children are few, and to look one up in the metric itself takes a lock."""
    child = lru_cache(maxsize=None)(metrics.cache.labels)
    return lambda outcome: child(outcome).inc()
