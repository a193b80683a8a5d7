"""Every route as one Litestar handler with a real signature, so that parsing, validation and OpenAPI are Litestar's."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import msgspec
from litestar import Request
from litestar.constants import RESERVED_KWARGS
from litestar.enums import MediaType, RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, OpenAPIType, Operation, Schema
from litestar.openapi.spec import Parameter as OpenAPIParameter
from litestar.params import Body, PathParameter, QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types import Scope

from groundplan.app.calls import Calls
from groundplan.app.context import Context
from groundplan.app.idempotency import MAXIMUM_LENGTH
from groundplan.app.page import Page, Redirect
from groundplan.app.route import Parameter, Route
from groundplan.backend import shared
from groundplan.backend.api.problem import Problem
from groundplan.backend.finished import Finished
from groundplan.backend.limits import BODY_LIMIT
from groundplan.backend.scope import context_of


@dataclass
class LimitedOperation(Operation):
    """In the description, one whose refusals for the rate of requests say when to come again."""

    def __post_init__(self) -> None:
        refusal = (self.responses or {}).get("429")
        if isinstance(refusal, OpenAPIResponse):
            refusal.headers = {
                name: OpenAPIHeader(schema=Schema(type=kind), description=description)
                for name, kind, description in _LIMIT_HEADERS
            }


@dataclass
class KeyedOperation(LimitedOperation):
    """In the description, one that takes an Idempotency-Key; the gate reads it, so it is no parameter of a handler."""

    def __post_init__(self) -> None:
        super().__post_init__()
        schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=MAXIMUM_LENGTH)
        key = OpenAPIParameter(
            name="Idempotency-Key",
            param_in="header",
            required=True,
            schema=schema,
            description="Another one for each write, a UUID for example; the same one to repeat it safely.",
        )
        self.parameters = [*(self.parameters or []), key]


@dataclass
class EmptyOperation(LimitedOperation):
    """In the description, one whose reply has no body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.responses = {"204" if status == "200" else status: said for status, said in (self.responses or {}).items()}


Render = Callable[[Page, Context, Scope], bytes]
Endpoint = Callable[..., Awaitable[ASGIResponse]]

_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern", "description")
_REPLAYED = ((b"idempotency-replayed", b"true"),)
_LIMIT_HEADERS = (
    ("Retry-After", OpenAPIType.INTEGER, "Seconds."),
    ("RateLimit-Policy", OpenAPIType.STRING, "The limits that apply: quota `q` in a window of `w` seconds."),
    ("RateLimit", OpenAPIType.STRING, "How they stand: `r` remain, some come back in `t` seconds."),
)
_ALIAS = "_parameter"
"""Ends the name of a query parameter whose own name means something else to Litestar, such as ``state``."""


def handlers(routes: tuple[Route, ...], calls: Calls, render: Render) -> list[HTTPRouteHandler]:
    return [_handler(route, calls, render) for route in routes]


def _handler(route: Route, calls: Calls, render: Render) -> HTTPRouteHandler:
    makers: dict[str, Callable[[], Endpoint]] = {
        "api": lambda: _api_endpoint(route, calls),
        "page": lambda: _page_endpoint(route, render),
        "webhook": lambda: _webhook_endpoint(route),
    }
    endpoint = makers[route.kind]()
    _sign(endpoint, route)
    is_api = route.kind == "api"
    return HTTPRouteHandler(
        route.path,
        http_method=route.method,  # type: ignore[arg-type]  # one of GET, POST, PUT, DELETE
        # Litestar takes no reply with a 204; ours is finished and carries its own status.
        status_code=200 if route.status == 204 else route.status,
        media_type=MediaType.JSON if is_api else MediaType.HTML,
        before_request=_admission(route, calls),
        request_max_body_size=BODY_LIMIT,
        include_in_schema=is_api,
        operation_id=f"{route.feature}.{route.function.__name__}",
        summary=_summary(route),
        description=inspect.getdoc(route.function),
        tags=[route.feature],
        security=[{"bearer": []}] if is_api and route.permission else None,
        operation_class=_operation(route),
        responses=_responses(route) if is_api else None,
        opt={"route": route},
    )(endpoint)


def _api_endpoint(route: Route, calls: Calls) -> Endpoint:
    async def endpoint(scope: Scope, **arguments: Any) -> ASGIResponse:
        context = context_of(scope)
        if cache := shared.allowed(route.cache, context):

            async def make() -> bytes:
                return (await calls.run(route, context, _named(arguments))).body

            return await shared.reply(scope, context, cache, make, MediaType.JSON)
        reply = await calls.run(route, context, _named(arguments))
        return Finished(reply.body, reply.status, headers=_REPLAYED if reply.replayed else ())

    return endpoint


def _page_endpoint(route: Route, render: Render) -> Endpoint:
    async def endpoint(scope: Scope, **arguments: Any) -> ASGIResponse:
        context = context_of(scope)
        context.render_page()

        async def make() -> bytes:
            result = await route.function(context, **_named(arguments))
            if isinstance(result, Redirect) or result.status != 200:
                raise _NotShared(result)
            return render(result, context, scope)

        cache = shared.allowed(route.cache, context)
        if cache is None:
            return _shown(await route.function(context, **_named(arguments)), context, scope)
        scope["csp_nonce"] = ""  # type: ignore[typeddict-unknown-key]
        try:
            return await shared.reply(scope, context, cache, make, MediaType.HTML)
        except _NotShared as other:
            return _shown(other.result, context, scope)

    def _shown(result: Page | Redirect, context: Context, scope: Scope) -> ASGIResponse:
        if isinstance(result, Redirect):
            return ASGIResponse(status_code=result.status, headers={"location": result.url}, media_type=MediaType.TEXT)
        return Finished(render(result, context, scope), result.status, MediaType.HTML)

    return endpoint


class _NotShared(Exception):
    """A page that nobody may keep, though its route says so: a redirect, or a refusal."""

    def __init__(self, result: Page | Redirect) -> None:
        self.result = result


def _webhook_endpoint(route: Route) -> Endpoint:
    async def endpoint(scope: Scope, request: Request[Any, Any, Any]) -> ASGIResponse:
        context = context_of(scope)
        try:
            await route.function(context, data=await request.body())
        finally:
            await context.release()
        return ASGIResponse(status_code=204)

    return endpoint


def _sign(endpoint: Any, route: Route) -> None:
    """Gives the endpoint the parameters of the business function instead of ``**arguments``."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("scope", keyword, annotation=Scope)]
    if route.kind == "webhook":
        parameters.append(inspect.Parameter("request", keyword, annotation=Request[Any, Any, Any]))
    else:
        parameters += [_parameter(p, route) for p in route.parameters]
        if route.body is not None:
            parameters.append(inspect.Parameter("data", keyword, annotation=_body(route)))
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=ASGIResponse)
    endpoint.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": ASGIResponse}
    endpoint.__name__ = route.function.__name__
    endpoint.__doc__ = route.function.__doc__


def _parameter(parameter: Parameter, route: Route) -> inspect.Parameter:
    """Litestar knows nothing of msgspec's limits on parameters, so they are said again in its words."""
    name, annotation = parameter.name, parameter.annotation
    says: dict[str, Any] = {}
    if get_origin(annotation) is Annotated:
        annotation, *metas = get_args(annotation)
        limits = [meta for meta in metas if isinstance(meta, msgspec.Meta)]
        says = {key: value for key in _LIMITS for meta in limits if (value := getattr(meta, key)) is not None}
    if name in RESERVED_KWARGS:
        says["name"], name = name, f"{name}{_ALIAS}"
    marker = PathParameter(**says) if f"{{{name}:" in route.path else QueryParameter(**says)
    annotation = Annotated[annotation, marker]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=parameter.default)


def _named(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix(_ALIAS): value for name, value in arguments.items()}


def _body(route: Route) -> Any:
    encoding = RequestEncodingType.URL_ENCODED if route.kind == "page" else RequestEncodingType.JSON
    return Annotated[route.body, Body(media_type=encoding)]


def _admission(route: Route, calls: Calls) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Before the body is read, so that 401, 403 and 429 come before 400."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        await calls.admit(route, context_of(request.scope))

    return admit


def _responses(route: Route) -> dict[int, ResponseSpec]:
    responses: dict[int, ResponseSpec] = {}
    returns = get_args(route.returns)[0] if get_origin(route.returns) is Annotated else route.returns
    if returns is not type(None) and returns is not None:
        responses[route.status] = ResponseSpec(returns, generate_examples=False, description="Done")
    for status, description in _refusals(route).items():
        responses[status] = ResponseSpec(
            Problem,
            generate_examples=False,
            description=description,
            media_type="application/problem+json",
        )
    return responses


def _refusals(route: Route) -> dict[int, str]:
    refusals = {400: "The input is not valid", 401: "Not signed in, or the token is not valid", 404: "Not found"}
    refusals[429] = f"Too many requests{f': more than {_limits(route)}' if route.limits else ''}"
    if route.permission or route.method != "GET":
        refusals[403] = "Not allowed"
    if route.method != "GET":
        refusals |= {409: "It does not fit the current state", 422: "What is stored does not fit"}
    if route.idempotent:
        refusals |= {
            409: "It does not fit the current state, or the first request with this key is still running",
            422: "The key was used with another request",
        }
    return refusals


def _operation(route: Route) -> type[Operation]:
    if route.idempotent:
        return KeyedOperation
    return EmptyOperation if route.status == 204 else LimitedOperation


def _limits(route: Route) -> str:
    return " or ".join(str(policy) for policy in route.limits)


def _summary(route: Route) -> str:
    doc = inspect.getdoc(route.function)
    return doc.splitlines()[0].rstrip(".") if doc else route.function.__name__.replace("_", " ").capitalize()
