"""The one ASGI pass in front of every request: ids, trace, tenant, user, origin check, limits, headers, access line,
metrics.

One pass instead of a stack of middlewares, because each of those costs as much as the work itself.
"""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from groundplan.app.calls import Calls
from groundplan.app.context import Context
from groundplan.app.health import Health
from groundplan.app.request import Request
from groundplan.app.request_limits import RequestLimits
from groundplan.app.route import template
from groundplan.app.services import Services
from groundplan.backend.addresses import ClientAddresses
from groundplan.backend.admission import Admission
from groundplan.backend.deadlines import TIMEOUT_HEADER, Deadlines
from groundplan.backend.identity import ASSERTION_HEADER, Identity
from groundplan.backend.limits import Body, check_size, too_slow
from groundplan.backend.refusals import Refusals
from groundplan.backend.reply_headers import ReplyHeaders
from groundplan.backend.scope import context_if_any, put_context
from groundplan.core.context import RequestContext, changed, current, entered, parse_traceparent
from groundplan.core.errors import DeadlineExceeded, Invalid, NotFound
from groundplan.core.ids import request_id, span_id, trace_id
from groundplan.telemetry import RequestRecord, Telemetry
from groundplan.telemetry.spans import record

_PLUMBING = ("/static/", "/healthz", "/readyz")
"""Served without tenant, user or trace; so is /metrics outside production."""

_TENANTLESS = ("/webhooks/", "/docs", "/sandbox/", "/metrics")
"""Everything else belongs to a tenant. A webhook names its own, in content that is signed."""

_UNLIMITED = ("/webhooks/", "/metrics")
"""Others send these once, or by the clock; a gateway's addresses are few and its events many."""

_ONCE = (b"host", b"authorization", b"idempotency-key", b"content-type", b"origin")
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI application around the framework's."""

    def __init__(
        self,
        inner: Any,
        services: Services,
        calls: Calls,
        identity: Identity,
        telemetry: Telemetry,
        refusals: Refusals,
        admission: Admission,
    ) -> None:
        self._inner = inner
        self._services = services
        self._calls = calls
        self._identity = identity
        self._telemetry = telemetry
        self._refusals = refusals
        self._admission = admission
        body_seconds = services.settings.body_seconds
        self._deadlines, self._patience = Deadlines(_late), Deadlines(lambda _: too_slow(body_seconds))
        self._limits: RequestLimits = services.registry[RequestLimits]
        self._addresses = ClientAddresses(services.settings.trusted_proxies)
        self._https = services.settings.env in ("staging", "prod")
        self._reply_headers = ReplyHeaders(services.registry[Health], https=self._https)
        self._plumbing = _PLUMBING if services.settings.env == "prod" else (*_PLUMBING, "/metrics")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if scope["path"].startswith(self._plumbing):
            put_context(scope, None)
            await self._inner(scope, receive, send)
        elif await self._admission.begin(scope, send):
            await self._request(scope, receive, send)

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request = self._request_of(scope, headers)
        is_page = not request.path.startswith(("/api/", "/webhooks/"))
        parent = parse_traceparent(headers.get("traceparent"))
        seconds = _seconds(headers.get(TIMEOUT_HEADER), self._services.settings.request_seconds)
        context = RequestContext(
            request_id=_request_id(headers.get("x-request-id", "")),
            role="web" if is_page else "api",
            trace_id=parent[0] if parent else trace_id(),
            span_id=span_id(),
            deadline=self._services.clock.monotonic() + seconds,
        )
        put_context(scope, None)
        if request.method not in _WITHOUT_BODY:
            receive = Body(receive, self._admission, self._patience, self._services.settings.body_seconds)
        scope["csp_nonce"] = secrets.token_urlsafe(16) if is_page else ""
        started_us, started = time.time_ns() // 1000, time.perf_counter_ns()
        status, at_work = 0, True

        async def reply(message: Any) -> None:
            nonlocal status, at_work
            if message["type"] == "http.response.start":
                status = message["status"]
                message = message | {"headers": [*message["headers"], *self._reply_headers.of(scope, request, context)]}
            elif at_work and not message.get("more_body"):  # whoever has this may ask again before we have noted it all
                at_work = False
                self._admission.leave()
            await send(message)

        try:
            with entered(context):
                try:
                    is_outside = not headers.get(ASSERTION_HEADER) and not request.path.startswith(_UNLIMITED)
                    if is_outside:
                        request.client = self._addresses.of(scope)
                        await self._limits.arrive(request)
                    check_size(scope)
                    if len(headers) < len(scope["headers"]):
                        _refuse_repeated(scope["headers"])
                    if seconds <= 0:
                        raise DeadlineExceeded("There was no time left for this request when it came.")
                    with self._deadlines.within(seconds):
                        await self._answer(scope, request, receive, reply, is_outside=is_outside)
                except Exception as raised:
                    if status:
                        raise  # the reply has begun: too late for another
                    await self._refusals.reply(scope, raised)(scope, receive, reply)
                duration_us = (time.perf_counter_ns() - started) // 1000
                self._report(scope, request, parent[1] if parent else "", status, started_us, duration_us)
        finally:
            if at_work:
                self._admission.leave()

    async def _answer(self, scope: Any, request: Request, receive: Any, send: Any, *, is_outside: bool) -> None:
        unit = await self._identify(request)
        put_context(scope, unit)
        tenant = unit.tenant.slug if unit.has_tenant else ""
        with changed(tenant=tenant, user_id=unit.user.id if unit.user else None):
            if is_outside:
                await self._limits.identified(request, unit.user)
            await self._inner(scope, receive, send)

    def _report(
        self,
        scope: Any,
        request: Request,
        parent_id: str,
        status: int,
        started_us: int,
        duration_us: int,
    ) -> None:
        """The request's own span, its access line and its metrics."""
        context, unit = current() or RequestContext(), context_if_any(scope)
        route = template(scope.get("path_template") or "unmatched")
        error = scope.get("groundplan_error", "")
        is_page = context.role == "web"
        record(
            "Web" if is_page else "API",
            f"{request.method} {route if route != 'unmatched' else request.path[:200]}",
            "work",
            started_us,
            duration_us,
            span_id=context.span_id,
            parent_id=parent_id,
            error=error if status >= 500 else "",
            status=status,
        )
        self._telemetry.finish(
            context,
            RequestRecord(
                request_id=context.request_id,
                trace_id=context.trace_id,
                span_id=context.span_id,
                role=context.role,
                kind="page" if is_page else "api",
                method=request.method,
                name=route,
                path=request.path[:500],
                status=status,
                tenant=unit.tenant.slug if unit and unit.has_tenant else "",
                user=str(unit.user.id) if unit and unit.user else "",
                start_us=started_us,
                duration_us=duration_us,
                wrote=context.tally.commits > 0,
                error=error,
            ),
        )

    async def _identify(self, request: Request) -> Context:
        await self._services.overrides.refresh()
        tenant, user = await self._identity.of(request)
        if tenant is None and not request.path.startswith(_TENANTLESS):
            raise NotFound("No store answers at this host.")
        return Context(
            self._services,
            self._calls,
            tenant=tenant,
            user=user,
            request=request,
            idempotency_key=request.headers.get("idempotency-key"),
        )

    def _request_of(self, scope: Any, headers: dict[str, str]) -> Request:
        host = headers.get("host", "")
        return Request(
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            scheme="https" if self._https else scope.get("scheme", "http"),
            host=host,
            secure_cookies=self._https,
        )


def _refuse_repeated(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises Invalid for a header that came more than once although two of it would mean two things."""
    seen = Counter(name.lower() for name, _ in headers)
    for name in _ONCE:
        if seen[name] > 1:
            raise Invalid(f"The header {name.decode()} was sent more than once. Send it once.")


def _seconds(given: str | None, most: float) -> float:
    """The time for a request: ours, or what a caller has left if that is less."""
    if given is None or not given.isascii() or not given.isdigit() or len(given) > 9:
        return most
    return min(most, int(given) / 1000)


def _late(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"This took longer than {seconds:.3g} s. What it had begun to write was rolled back.")


def _without_body(send: Any) -> Any:
    """HEAD is GET without the body (RFC 9110), so every GET route answers it."""

    async def send_head(message: Any) -> None:
        await send(message | {"body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def _request_id(given: str) -> str:
    """The caller's id if it is harmless, so that one id follows a request through several systems."""
    harmless = 8 <= len(given) <= 64 and all(c.isascii() and (c.isalnum() or c in "-_") for c in given)
    return given if harmless else request_id()
