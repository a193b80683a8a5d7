"""The console's reading API, and the fault switches."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from groundplan.app import Context
from groundplan.app.faults import Faults, FaultView
from groundplan.app.health import Health
from groundplan.console import feature
from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.views import (
    LogView,
    MailView,
    Overview,
    RateView,
    Requests,
    RequestView,
    SpanView,
    TraceView,
)
from groundplan.core.errors import NotFound
from groundplan.integrations.mail.port import Mailbox
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.stats import QueueStats

READ = "console:read"
WINDOW = timedelta(minutes=5)
"""Of the rates on the map."""
OWN_PATHS = ("/console", "/api/v1/console")

V = TypeVar("V", bound=msgspec.Struct)
Search = Annotated[str, msgspec.Meta(max_length=200)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Status = Literal["", "2", "3", "4", "5"]
Role = Literal["", "web", "api", "worker"]
Level = Literal["", "warning", "error"]


class FaultSwitch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    on: bool


@feature.get("/console/overview", permission=READ)
async def get_overview(ctx: Context) -> Overview:
    """How every component is, what is waiting, and who called whom in the last five minutes."""
    since_us = int((ctx.now() - WINDOW).timestamp() * 1_000_000)
    dead_letters = ctx.service(DeadLetters)
    slow_us = ctx.settings.trace_slow_ms * 1000
    components, found, queue, dead, newest = await asyncio.gather(
        ctx.service(Health).check(),
        asyncio.to_thread(ctx.service(TelemetryQueries).rates, since_us, slow_us=slow_us),
        ctx.service(QueueStats).read(),
        dead_letters.count(),
        dead_letters.newest(limit=1),
    )
    return Overview(
        at=ctx.now(),
        window_seconds=max(1, round(WINDOW.total_seconds() - (found.since_us - since_us) / 1_000_000)),
        requests=found.requests,
        traced=found.kept,
        components=components,
        rates=[_view(rate, RateView) for rate in found.rates],
        queue=queue,
        dead_letters=dead,
        newest_dead_letter=newest[0] if newest else None,
        faults=ctx.service(Faults).list(),
    )


@feature.get("/console/requests", permission=READ)
async def list_requests(
    ctx: Context,
    q: Search = "",
    status: Status = "",
    role: Role = "",
    own: bool = False,
    before_us: int | None = None,
    limit: Limit = 50,
) -> Requests:
    """Requests and handler runs, newest first. ``status`` is a class; ``own`` shows the console's own requests too."""
    found = await asyncio.to_thread(
        ctx.service(TelemetryQueries).requests,
        limit=limit + 1,
        before_us=before_us,
        q=q,
        status=status,
        role=role,
        without=() if own else OWN_PATHS,
    )
    items = [_view(item, RequestView) for item in found[:limit]]
    return Requests(items=items, before_us=items[-1].start_us if len(found) > limit else None)


@feature.get("/console/traces/{trace_id}", permission=READ)
async def get_trace(ctx: Context, trace_id: str) -> TraceView:
    """All that is kept of one trace: its requests, spans and log lines, from every process."""
    telemetry = ctx.service(TelemetryQueries)
    spans, requests, logs = await asyncio.gather(
        asyncio.to_thread(telemetry.trace, trace_id),
        asyncio.to_thread(telemetry.trace_requests, trace_id),
        asyncio.to_thread(telemetry.logs, trace_id=trace_id, limit=500),
    )
    if not (spans or requests or logs):
        raise NotFound(f"Nothing is kept of a trace {trace_id[:64]}. The oldest are removed when the store is full.")
    return TraceView(
        trace_id=trace_id,
        spans=[_view(found, SpanView) for found in spans],
        requests=[_view(found, RequestView) for found in requests],
        logs=[_view(found, LogView) for found in logs],
    )


@feature.get("/console/logs", permission=READ)
async def list_logs(
    ctx: Context, trace_id: Search = "", level: Level = "", q: Search = "", own: bool = False, limit: Limit = 200
) -> list[LogView]:
    """Log lines, newest first, of one trace in order. The level ``warning`` means warning and up.

    ``own`` shows what the console's own requests logged too; of a trace that was asked for, all is shown.
    """
    read = ctx.service(TelemetryQueries).logs
    without = () if own or trace_id else OWN_PATHS
    found = await asyncio.to_thread(read, trace_id=trace_id, level=level, q=q, limit=limit, without=without)
    return [_view(line, LogView) for line in found]


@feature.get("/console/inbox", permission=READ)
async def list_mails(ctx: Context, limit: Limit = 50) -> list[MailView]:
    """The mails that this deployment sent, where it keeps them instead of sending them out. Newest first."""
    found = await asyncio.to_thread(ctx.service(Mailbox).list, limit)
    return [_mail(mail) for mail in found]


@feature.get("/console/inbox/{mail_id}", permission=READ)
async def get_mail(ctx: Context, mail_id: str) -> MailView:
    """One mail that this deployment kept."""
    return _mail(await asyncio.to_thread(ctx.service(Mailbox).get, mail_id))


@feature.get("/console/faults", permission=READ)
async def list_faults(ctx: Context) -> list[FaultView]:
    """The ways in which this deployment can be made to fail on purpose."""
    return ctx.service(Faults).list()


@feature.post("/console/faults/{name}", permission="console:faults:set", status=200)
async def set_fault(ctx: Context, name: str, data: FaultSwitch) -> None:
    """Switches a fault on or off. Refused in production."""
    await ctx.service(Faults).set(ctx.tx, name, data.on, by=ctx.user.email if ctx.user else "system")
    ctx.audit("fault.set", name, on=data.on)


def _view(record: Any, kind: type[V]) -> V:
    """A named tuple of telemetry as a struct of the API; the fields have the same names."""
    return kind(**record._asdict())


def _mail(kept: Any) -> MailView:
    return msgspec.convert(kept, MailView, from_attributes=True)
