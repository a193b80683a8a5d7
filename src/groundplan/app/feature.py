"""A feature: a named, owned set of routes, handlers and faults. Decorators collect; nothing happens on import."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from groundplan.app.caching import Public
from groundplan.app.rate_limit import Declared
from groundplan.app.route import Declaration, Kind
from groundplan.core.retry import Retry
from groundplan.messaging.handlers import Handler, Rate, Unique
from groundplan.messaging.message import Event, Job, Message
from groundplan.messaging.schedules import Schedule, Tick

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Objective:
    """What the feature promises its users: the share of good answers, and how fast, in milliseconds."""

    availability: float = 0.999
    latency_ms: float = 300.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a message on purpose, outside production: the switches of the tour."""

    name: str
    title: str
    event: type[Event]
    spoil: Callable[[Any], Any]


class WriteOptions(TypedDict, total=False):
    """Who may call a write, and how it runs."""

    permission: str | None
    public: bool
    idempotent: bool
    """It needs an Idempotency-Key, and repeating it is safe."""
    transaction: bool
    """False for one that calls the outside: it opens its own, short one."""
    status: int | None
    limit: Declared
    """How often it may be called."""


class HandlerOptions(TypedDict, total=False):
    """How a handler runs, in a worker."""

    retry: Retry
    timeout: float
    """Seconds; under 0.8 of the worker's lease."""
    queue: str
    priority: int
    """Lower runs first; 100 is normal."""
    concurrency: int | None
    """The most that run at once, over all workers."""
    rate: Rate | None


class Feature:
    """``modules`` are imported when the app is put together; their decorators then find this feature."""

    def __init__(
        self,
        name: str,
        *,
        owner: str,
        objective: Objective | None = None,
        modules: Sequence[str] = (),
        templates: str | None = None,
    ) -> None:
        """``templates`` names the package whose ``templates`` folder holds this feature's pages."""
        self.name = name
        self.owner = owner
        self.objective = objective or Objective()
        self.templates = templates
        self.declarations: list[Declaration] = []
        self.handlers: list[Handler] = []
        self.faults: list[Fault] = []
        self._modules = tuple(modules)

    @property
    def packages(self) -> frozenset[str]:
        """Where its code lies: what is defined in there is its own."""
        return frozenset(module.rpartition(".")[0] for module in self._modules)

    def load(self) -> None:
        for module in self._modules:
            importlib.import_module(module)

    def get(
        self,
        path: str,
        *,
        permission: str | None = None,
        public: bool = False,
        cache: Public | None = None,
        limit: Declared = None,
    ) -> Callable[[F], F]:
        """A read. ``cache`` says that others may keep its reply; only a public one may say so."""
        return self._route("api", "GET", path, cache=cache, permission=permission, public=public, limit=limit)

    def post(self, path: str, **options: Unpack[WriteOptions]) -> Callable[[F], F]:
        return self._route("api", "POST", path, **options)

    def put(self, path: str, **options: Unpack[WriteOptions]) -> Callable[[F], F]:
        return self._route("api", "PUT", path, **options)

    def delete(self, path: str, **options: Unpack[WriteOptions]) -> Callable[[F], F]:
        return self._route("api", "DELETE", path, **options)

    def page(
        self,
        path: str,
        *,
        method: str = "GET",
        permission: str | None = None,
        public: bool = False,
        cache: Public | None = None,
        limit: Declared = None,
    ) -> Callable[[F], F]:
        """A server-rendered page, or with ``method="POST"`` a form's target. It has no database: it calls the API."""
        return self._route(
            "page", method, path, cache=cache, permission=permission, public=public, transaction=False, limit=limit
        )

    def webhook(self, source: str) -> Callable[[F], F]:
        """POST /webhooks/in/{source}: takes ``data: bytes`` as sent; the function verifies the signature itself."""
        return self._route("webhook", "POST", f"/{source}", public=True, transaction=False)

    def on(self, event: type[Event], *, name: str, **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
        """Runs for every ``event``, in a worker, under a name that outlives renames in the code."""
        return self._handler(event, "event", name, **options)

    def job(
        self, job: type[Job], *, name: str, unique: Unique | None = None, **options: Unpack[HandlerOptions]
    ) -> Callable[[F], F]:
        """Runs once for each ``job`` that is enqueued; ``unique`` leaves out those that are waiting already."""
        return self._handler(job, "job", name, unique=unique, **options)

    def schedule(
        self,
        cron: str,
        *,
        name: str,
        timezone: str = "UTC",
        missed: Literal["once", "skip", "all"] = "once",
        every_tenant: bool = False,
        **options: Unpack[HandlerOptions],
    ) -> Callable[[F], F]:
        """Runs with a ``Tick`` at every tick of ``cron``, once whatever the number of workers, or once per tenant."""
        when = Schedule(cron, timezone, missed, every_tenant)
        return self._handler(Tick, "job", name, schedule=when, **options)

    def fault(self, name: str, title: str, event: type[E]) -> Callable[[Callable[[E], E]], Callable[[E], E]]:
        def collect(spoil: Callable[[E], E]) -> Callable[[E], E]:
            self.faults.append(Fault(name, title, event, spoil))
            return spoil

        return collect

    def _route(
        self, kind: Kind, method: str, path: str, *, cache: Public | None = None, **options: Unpack[WriteOptions]
    ) -> Callable[[F], F]:
        def collect(function: F) -> F:
            self.declarations.append(
                Declaration(
                    function=function,
                    kind=kind,
                    method=method,
                    path=path,
                    permission=options.get("permission"),
                    public=options.get("public", False),
                    idempotent=options.get("idempotent", False),
                    transaction=options.get("transaction", True),
                    status=options.get("status"),
                    cache=cache,
                    limit=options.get("limit"),
                )
            )
            return function

        return collect

    def _handler(
        self,
        message: type[Message],
        kind: str,
        name: str,
        *,
        unique: Unique | None = None,
        schedule: Schedule | None = None,
        **options: Unpack[HandlerOptions],
    ) -> Callable[[F], F]:
        def collect(function: F) -> F:
            self.handlers.append(Handler(name, message, function, kind, unique=unique, schedule=schedule, **options))
            return function

        return collect
