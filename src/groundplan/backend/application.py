"""The web and api roles as one ASGI application: routes, plumbing and pages behind the gate."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from groundplan import __version__
from groundplan.app.application import Assembly
from groundplan.app.calls import Calls
from groundplan.app.health import Health
from groundplan.app.services import Services
from groundplan.backend.admission import Admission
from groundplan.backend.gate import Gate
from groundplan.backend.http import http_app
from groundplan.backend.identity import Identity
from groundplan.backend.plumbing import plumbing
from groundplan.backend.refusals import Refusals
from groundplan.backend.web.render import Renderer
from groundplan.backend.web.static import StaticFiles
from groundplan.security.assertion import Assertions
from groundplan.security.sessions import Sessions
from groundplan.telemetry import Metrics, Telemetry

_WEB = Path(__file__).parent / "web"
_KINDS = {"web": {"page"}, "api": {"api", "webhook"}, "all": {"page", "api", "webhook"}}


def static_files() -> StaticFiles:
    return StaticFiles(_WEB / "static")


def http_application(
    services: Services,
    calls: Calls,
    telemetry: Telemetry,
    metrics: Metrics,
    static: StaticFiles,
    *,
    role: Literal["web", "api", "all"],
    extra: Sequence[Any],
) -> Gate:
    """``extra`` are Litestar handlers that belong to no feature: the pages of a sandbox, a mounted application."""
    settings = services.settings
    renderer = Renderer(template_folders(services.assembly), static, env_name=settings.env)
    refusals = Refusals(renderer, services.log)
    open_metrics = settings.env != "prod"
    inner = http_app(
        services,
        calls,
        renderer,
        refusals,
        routes=[route for route in services.assembly.routes if route.kind in _KINDS[role]],
        extra=[*plumbing(services.registry[Health], metrics, static, open_metrics=open_metrics), *extra],
        version=__version__,
    )
    identity = Identity(services.tenants, services.registry[Sessions], services.registry[Assertions])
    admission = Admission(services.clock, metrics, services.log, lambda: services.database.waiting)
    return Gate(inner, services, calls, identity, telemetry, refusals, admission)


def template_folders(assembly: Assembly) -> list[Path]:
    """The app's templates first, so that it may put its own in place of the platform's."""
    packages = [assembly.app.package, *(feature.templates for feature in assembly.features if feature.templates)]
    found = [Path(importlib.import_module(package).__file__ or "").parent / "templates" for package in packages]
    return list(dict.fromkeys([*found, _WEB / "templates"]))
