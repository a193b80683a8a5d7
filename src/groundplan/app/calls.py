"""How a route runs: permission, validation, the one write wrapper, encoding. Over HTTP as through ``ctx.api``."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from groundplan.app.context import Context
from groundplan.app.idempotency import KeyTaken, Recorded, check_key, fingerprint
from groundplan.app.request_limits import RequestLimits
from groundplan.app.route import Route
from groundplan.app.services import Services
from groundplan.core.context import changed, current
from groundplan.core.errors import ConfigurationError, Invalid
from groundplan.messaging.message import field_error
from groundplan.telemetry.spans import span


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    value: Any
    replayed: bool = False


class Calls:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._routes = services.assembly.by_function

    async def call(
        self, caller: Context, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """``ctx.api``: in this process, or over HTTP where the services have a remote."""
        route = self._routes.get(function)
        if route is None:
            raise ConfigurationError(
                f"{function.__module__}.{function.__qualname__} is not an API function of this app."
            )
        arguments = _bind(function, args, kwargs)
        if self._services.remote is not None:
            return await self._services.remote(caller, route, arguments)
        context = Context(
            self._services,
            self,
            tenant=caller.tenant if caller.has_tenant else None,
            user=caller.user,
            system=caller.system,
            request=caller.request,
            idempotency_key=nested_key(caller, route),
        )
        with changed(role="api"), span("API", route.name):
            await self.admit(route, context)
            reply = await self.run(route, context, _validated(route, arguments))
        return msgspec.json.decode(reply.body, type=route.returns) if reply.replayed else reply.value

    async def admit(self, route: Route, context: Context) -> None:
        """Raises Unauthenticated, Forbidden or RateLimited where this caller may not, or not now."""
        context.require(route.permission)
        if route.limits and context.request is not None:
            tenant = context.tenant if context.has_tenant else None
            limits: RequestLimits = self._services.registry[RequestLimits]
            await limits.call(route.limits, context.request, tenant, context.user)

    async def run(self, route: Route, context: Context, arguments: dict[str, Any]) -> Reply:
        """Runs an API route to which the caller is admitted, with arguments that are valid."""
        try:
            if not route.writes:
                value = await route.function(context, **arguments)
                return Reply(route.status, _encode(value), value)
            if not route.idempotent:
                return await self._write(route, context, arguments)
            return await self._write_once(route, context, arguments)
        finally:
            await context.release()

    async def _write(self, route: Route, context: Context, arguments: dict[str, Any]) -> Reply:
        async with context.transaction():
            value = await route.function(context, **arguments)
            return Reply(route.status, _encode(value), value)

    async def _write_once(self, route: Route, context: Context, arguments: dict[str, Any]) -> Reply:
        if context.idempotency_key is None:
            raise Invalid("This request needs an Idempotency-Key header, so that repeating it is safe. A UUID will do.")
        key = check_key(context.idempotency_key)
        who = context.user.id if context.user else "system" if context.system else "visitor"
        scope = f"{context.tenant.id} {who} {route.name}"
        mark = fingerprint(arguments)
        store = self._services.idempotency

        async def first() -> Reply:
            value = await route.function(context, **arguments)
            body = _encode(value)
            store.record(context.tx, scope, key, mark, Recorded(route.status, body))
            return Reply(route.status, body, value)

        with store.hold(scope, key):
            try:
                async with context.transaction(store.claim(scope, key)):
                    return await first()
            except KeyTaken:
                async with context.transaction():
                    stored = await store.find(context.tx, scope, key, mark)
                    return await first() if stored is None else Reply(stored.status, stored.body, None, replayed=True)


def nested_key(caller: Context, route: Route) -> str | None:
    """The key of a write inside another unit of work: the outer key, the route, and which of its writes this is."""
    if not route.idempotent:
        return None
    outer = caller.idempotency_key or (str(caller.message_id) if caller.message_id else None)
    context = current()
    if context is None:
        return outer
    context.tally.nested_writes += 1
    return f"{outer or context.request_id}:{route.function.__name__}:{context.tally.nested_writes}"


def _bind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if not args:
        return kwargs
    names = list(inspect.signature(function).parameters)[1:]
    return dict(zip(names, args, strict=False)) | kwargs


def _validated(route: Route, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as if they had come over HTTP: the same limits hold for our own pages."""
    try:
        valid = {
            p.name: msgspec.convert(arguments[p.name], p.annotation, strict=False, from_attributes=True)
            for p in route.parameters
            if p.name in arguments
        }
        if route.body is not None:
            valid["data"] = msgspec.json.decode(msgspec.json.encode(arguments["data"]), type=route.body)
    except msgspec.ValidationError as error:
        problem = field_error(str(error))
        raise Invalid("The input does not fit what this needs.", errors=(problem,)) from error
    return valid


def _encode(value: Any) -> bytes:
    return b"" if value is None else msgspec.json.encode(value)
