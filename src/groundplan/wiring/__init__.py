"""The composition root: settings become services, and nowhere else is an adapter named."""

import importlib
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import make_url

from groundplan import accounts, console
from groundplan.app.application import App, Assembly
from groundplan.app.calls import Calls
from groundplan.app.health import Health
from groundplan.app.services import Services
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.clock import SystemClock, system_random
from groundplan.data.database.database import Database
from groundplan.data.database.migrate import PLATFORM, History
from groundplan.data.queue.port import Broker
from groundplan.messaging.outbox import Outbox
from groundplan.net.breaker import BreakerPolicy
from groundplan.net.client import Outbound
from groundplan.net.peers import Limits
from groundplan.settings import Settings, path_of
from groundplan.telemetry import Metrics, Telemetry
from groundplan.telemetry.access import AccessLines
from groundplan.telemetry.logs import make_logger, route_library_logs
from groundplan.wiring.adapters import ADAPTERS, BROKERS, SCHEMES, Adapters, broker_of, load, search_in
from groundplan.wiring.services import services_of

__all__ = [
    "ADAPTERS",
    "BROKERS",
    "SCHEMES",
    "Process",
    "Role",
    "application_role",
    "assemble",
    "broker_of",
    "build",
    "histories",
    "load",
    "open_database",
    "search_in",
]

Role = Literal["web", "api", "worker", "all"]

OUR_OWN = Limits(breaker=BreakerPolicy(pause=1.0))
"""A process of the api role starts in seconds; the web role notices soon."""


def histories(app: App) -> list[History]:
    folder = Path(importlib.import_module(app.package).__file__ or "").parent / "migrations"
    return [PLATFORM, History(app.name, folder, "app_version")]


def assemble(app: App) -> Assembly:
    return Assembly(app, [accounts.feature, console.feature])


def open_database(settings: Settings, *, exclusive: bool, log: Any = None) -> Database:
    return Database(settings.database_url, pool_size=settings.database_pool_size, exclusive=exclusive, log=log)


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
    outbound = Outbound(clock, metrics, by_component={"API": OUR_OWN})
    works = role in ("worker", "all")
    adapters = Adapters(settings, app.name, database, clock, metrics, outbound, log, works=works)
    services = services_of(
        settings, assembly, adapters, telemetry_store, remote=role == "web" and settings.api_url is not None
    )
    calls = Calls(services)
    opened: list[Any] = [access, telemetry_store, database, *adapters.opened(services.cache)]
    opened.append(_Subscriptions(database, services.outbox))
    if works:
        opened.append(_worker(settings, services, calls, telemetry, metrics, adapters.broker))
    application = None
    if role != "worker":
        application = _application(settings, services, calls, telemetry, metrics, adapters, role)
    return Process(application, opened, services.registry[Health], log, services)


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
    adapters: Adapters,
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
        extra=[] if role == "api" else pages(adapters.payments.gateway, partial(static.url, "style.css")),
    )
