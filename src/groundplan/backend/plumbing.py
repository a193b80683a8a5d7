"""The addresses that are not business: liveness, readiness, metrics, static files, signed objects."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from litestar import Request, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types import Scope

from groundplan.app.context import Context
from groundplan.app.health import Health
from groundplan.backend.scope import context_of
from groundplan.backend.web.static import StaticFiles
from groundplan.core.errors import Forbidden, NotFound
from groundplan.telemetry import Metrics

METRICS_PERMISSION = "metrics:read"
_FOR_EVER = (
    ("cache-control", "public, max-age=31536000, immutable"),
    ("vary", "Accept-Encoding"),
    ("x-content-type-options", "nosniff"),
)


def plumbing(health: Health, metrics: Metrics, static: StaticFiles, *, open_metrics: bool) -> list[Any]:
    """``open_metrics``: anyone may read /metrics; in production only who holds ``metrics:read``."""

    @get("/healthz", include_in_schema=False)
    async def healthz() -> ASGIResponse:
        return _json({"status": "alive"})

    @get("/readyz", include_in_schema=False)
    async def readyz() -> ASGIResponse:
        if health.draining:
            return _json({"status": "draining"}, 503)
        failing = await health.ready()
        if failing:
            return _json({"status": "not ready", "failing": failing}, 503)
        return _json({"status": "ready"})

    @get("/metrics", include_in_schema=False)
    async def read_metrics(request: Request[Any, Any, Any]) -> ASGIResponse:
        if not open_metrics:
            context = context_of(request.scope)
            context.require(METRICS_PERMISSION)
        return ASGIResponse(body=metrics.render(), media_type="text/plain; version=0.0.4")

    @get("/static/{name:str}", include_in_schema=False)
    async def static_file(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        found = static.get(name)
        if found is None:
            raise NotFound("There is no such file.")
        content, coding = await found.accepted(request.headers.get("accept-encoding", ""))
        headers = (*_FOR_EVER, ("content-encoding", coding)) if coding else _FOR_EVER
        return ASGIResponse(body=content, media_type=found.media_type, headers=headers)

    @get("/objects/{key:path}", include_in_schema=False)
    async def signed_object(
        scope: Scope,
        key: FromPath[str],
        expires: Annotated[int, QueryParameter(ge=0)] = 0,
        signature: FromQuery[str] = "",
        filename: FromQuery[str] = "",
    ) -> ASGIResponse:
        context = context_of(scope)
        name = filename or None
        stored = context.objects
        if not stored.verify(_relative(key, context), expires=expires, signature=signature, filename=name):
            raise Forbidden("This link is not valid or has expired. Open the page again for a new one.")
        found = await stored.stat(_relative(key, context))
        shown = name or found.key.rpartition("/")[2]
        return ASGIResponse(
            body=await stored.get(found.key),
            media_type=found.content_type,
            headers={"content-disposition": f"attachment; filename*=utf-8''{quote(shown)}"},
        )

    return [healthz, readyz, read_metrics, static_file, signed_object]


def _relative(key: str, context: Context) -> str:
    """The key inside the tenant that this host belongs to; another tenant's is not found."""
    prefix = f"/t/{context.tenant.id}/"
    if not key.startswith(prefix):
        raise NotFound("There is no such object.")
    return key.removeprefix(prefix)


def _json(value: Any, status: int = 200) -> ASGIResponse:
    return ASGIResponse(body=msgspec.json.encode(value), status_code=status, media_type="application/json")
