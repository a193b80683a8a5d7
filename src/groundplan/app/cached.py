"""Reads that the cache answers: a decorator for functions that take the context first."""

import inspect
from collections.abc import Callable, Collection, Coroutine
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import msgspec

from groundplan.app.context import Context
from groundplan.core.errors import ConfigurationError, Unauthenticated

P = ParamSpec("P")
R = TypeVar("R")
Read = Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]


def cached(
    *,
    ttl: float,
    key: str | Callable[..., str] | None = None,
    tags: Collection[str] | Callable[..., Collection[str]] = (),
    user: bool = False,
    when: Callable[..., bool] | None = None,
    stale: float = 0.0,
    negative: float | None = None,
) -> Callable[[Read[P, R]], Read[P, R]]:
    """The function's answer is kept for its tenant, or with ``user`` for its user, for ``ttl`` seconds at most.

    ``key``, ``tags`` and ``when`` are values, or functions of the same arguments by name, without the context. The
    default key is the function's name with its arguments. Where ``when`` says no, and inside a transaction, the
    function runs as it is. For ``stale`` seconds more the old answer is served while a new one is made in the
    background. None and NotFound are kept for ``negative`` seconds, where that is given. ``ctx.cache.invalidate``
    with one of the tags forgets the answers.

    The answer must depend on nothing but the tenant, the arguments and, with ``user``, the user: permissions are
    checked before, by the route. Under ``@feature.get`` this decorator stands below.
    """

    def decorate(function: Read[P, R]) -> Read[P, R]:
        named = f"{function.__module__}.{function.__qualname__}"

        @lru_cache(maxsize=1)
        def look() -> tuple[inspect.Signature, Any]:
            """At the first call: what annotations name may not be there yet when the module is loaded."""
            returns = get_type_hints(function, include_extras=True).get("return")
            if returns is None:
                raise ConfigurationError(f"{named} is cached, so it needs a return type.")
            return inspect.signature(function), returns

        @wraps(function)
        async def read(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
            signature, returns = look()
            bound = signature.bind(ctx, *args, **kwargs)
            bound.apply_defaults()
            _, *arguments = bound.arguments.items()
            if ctx.in_transaction or (when is not None and not when(**dict(arguments))):
                return await function(ctx, *args, **kwargs)

            async def fill() -> R:
                return await function(ctx, *args, **kwargs)

            async def refresh() -> R:
                apart = ctx.apart()
                try:
                    return await function(apart, *args, **kwargs)
                finally:
                    await apart.release()

            await ctx.release()
            answer: R = await ctx.cache.read_through(
                _key(key, named, arguments),
                fill,
                ttl=ttl,
                type=returns,
                tags=tags(**dict(arguments)) if callable(tags) else tags,
                user=_user(ctx, named) if user else None,
                stale=stale,
                negative=negative,
                refresh=refresh if stale else None,
            )
            return answer

        return read

    return decorate


def _key(key: str | Callable[..., str] | None, named: str, arguments: list[tuple[str, Any]]) -> str:
    if key is None:
        return f"{named} {msgspec.json.encode([value for _, value in arguments]).decode()}"
    return key if isinstance(key, str) else key(**dict(arguments))


def _user(ctx: Context, named: str) -> Any:
    if ctx.user is None:
        raise Unauthenticated(f"Sign in first: {named} is kept for each user.")
    return ctx.user.id
