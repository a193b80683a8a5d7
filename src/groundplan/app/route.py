"""A route: one function of business code, and the address it answers on."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_type_hints
from uuid import UUID

from groundplan.app.caching import Public
from groundplan.app.rate_limit import Declared, Policy, policies
from groundplan.core.errors import ConfigurationError
from groundplan.core.redaction import is_secret

Kind = Literal["api", "page", "webhook"]
PREFIXES: dict[Kind, str] = {"api": "/api/v1", "page": "", "webhook": "/webhooks/in"}
_PLACEHOLDER = re.compile(r"{(\w+)(?::(\w+))?}")
_CONVERTERS: dict[Any, str] = {UUID: "uuid", int: "int", str: "str"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a decorator collected. It becomes a Route when the App is put together."""

    function: Callable[..., Any]
    kind: Kind
    method: str
    path: str
    permission: str | None
    public: bool
    idempotent: bool = False
    transaction: bool = True
    status: int | None = None
    cache: Public | None = None
    limit: Declared = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """``path`` is complete, with a converter in every placeholder: ``/api/v1/orders/{order_id:uuid}``."""

    function: Callable[..., Any]
    feature: str
    kind: Kind
    method: str
    path: str
    permission: str | None
    idempotent: bool
    transaction: bool
    status: int
    parameters: tuple[Parameter, ...]
    """Path and query parameters, in the order of the function."""
    body: Any
    """The type of ``data``, or None."""
    returns: Any
    cache: Public | None = None
    limits: tuple[Policy, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.method} {template(self.path)}"

    @property
    def writes(self) -> bool:
        return self.method != "GET" and self.kind == "api" and self.transaction

    def url(self, arguments: dict[str, Any]) -> str:
        """The path with its placeholders filled; takes those out of ``arguments``."""
        return _PLACEHOLDER.sub(lambda found: str(arguments.pop(found[1])), self.path)


@lru_cache(maxsize=5_000)
def template(path: str) -> str:
    """The path as people write it, without converters: ``/api/v1/orders/{order_id}``."""
    return _PLACEHOLDER.sub(r"{\1}", path)


def build(feature: str, declared: Declaration) -> Route:
    """Raises ConfigurationError where the function's signature does not fit its address."""
    where = f"{declared.function.__module__}.{declared.function.__qualname__}"
    if declared.permission is None and not declared.public:
        raise ConfigurationError(
            f"{where} ({declared.method} {declared.path}) says neither permission=... nor public=True. "
            "Say who may call it."
        )
    if declared.permission is not None and declared.public:
        raise ConfigurationError(f"{where} says both permission=... and public=True. Choose one.")
    if declared.cache is not None and not (declared.public and declared.method == "GET"):
        raise ConfigurationError(f"{where} says cache=..., so it must be a GET and public=True: others may keep it.")
    if not inspect.iscoroutinefunction(declared.function):
        raise ConfigurationError(f"{where} must be an `async def`.")
    hints = get_type_hints(declared.function, include_extras=True)
    names = list(inspect.signature(declared.function).parameters.values())
    if not names or names[0].name != "ctx":
        raise ConfigurationError(f"{where} must take `ctx: Context` first.")
    for name in (p.name for p in names[1:]):
        if name not in hints:
            raise ConfigurationError(f"{where}: parameter {name!r} needs a type.")
    if "return" not in hints:
        raise ConfigurationError(f"{where} needs a return type.")
    if declared.idempotent and (secrets := _secret_fields(hints["return"])):
        raise ConfigurationError(
            f"{where} is idempotent, so its reply is stored, and {', '.join(secrets)} must not be: leave it out of the "
            "reply, or give the secret by a route that is not idempotent."
        )
    parameters = tuple(
        Parameter(name=p.name, annotation=hints[p.name], default=p.default) for p in names[1:] if p.name != "data"
    )
    return Route(
        function=declared.function,
        feature=feature,
        kind=declared.kind,
        method=declared.method,
        path=_complete(PREFIXES[declared.kind] + declared.path, parameters, where),
        permission=declared.permission,
        idempotent=declared.idempotent,
        transaction=declared.transaction,
        status=declared.status or (201 if declared.method == "POST" and declared.kind == "api" else 200),
        parameters=parameters,
        body=hints.get("data"),
        returns=hints["return"],
        cache=declared.cache,
        limits=policies(f"{feature}.{declared.function.__name__}", declared.limit),
    )


def _secret_fields(returns: Any) -> list[str]:
    """Of a reply, those whose names mean a secret."""
    known = getattr(returns, "__struct_fields__", None) or getattr(returns, "__annotations__", {})
    return [name for name in known if is_secret(name)]


def _complete(path: str, parameters: tuple[Parameter, ...], where: str) -> str:
    types = {p.name: p.annotation for p in parameters}

    def converter(found: re.Match[str]) -> str:
        name, given = found[1], found[2]
        if name not in types:
            raise ConfigurationError(f"{where}: the path has {{{name}}}, but the function has no such parameter.")
        return f"{{{name}:{given or _CONVERTERS.get(types[name], 'str')}}}"

    return _PLACEHOLDER.sub(converter, path)
