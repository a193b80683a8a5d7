"""The console's reading pages, and the fault switches. Each asks the API and shows what it tells."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.app.health import ComponentHealth
from groundplan.console import feature, plan, waterfall, words
from groundplan.console.api import (
    READ,
    FaultSwitch,
    Level,
    Role,
    Search,
    Status,
    get_mail,
    get_overview,
    get_trace,
    list_faults,
    list_logs,
    list_mails,
    list_requests,
    set_fault,
)
from groundplan.console.dead_letters.api import list_dead_letters
from groundplan.console.telemetry.queries import FAILURES
from groundplan.console.views import LogView, TraceView
from groundplan.core.errors import Conflict

PAGE_SIZE = 50
OLDEST_SECONDS = 5.0
"""How long the oldest message of the queue may wait before it needs a person."""
_LEVELS = {"warning": ("warning", *FAILURES), "error": FAILURES}


class FaultForm(msgspec.Struct, frozen=True):
    on: Literal["yes", "no"]


@feature.page("/console", permission=READ)
async def map_page(ctx: Context) -> Page:
    """What needs a person, the map, and the figures behind it."""
    overview = await ctx.api(get_overview)
    failing = [found for found in overview.components if found.state != "ok"]
    drawn = plan.draw(overview)
    late = max((row.oldest_seconds for row in overview.queue), default=0.0)
    return await show(
        ctx,
        "console/map.html",
        overview=overview,
        failing=failing,
        over=[found for found in drawn.connections if found.tone == "warn"],
        faults_on=[fault for fault in overview.faults if fault.on],
        plan=drawn,
        components=sorted(overview.components, key=_worst_first),
        late=late,
        late_limit=OLDEST_SECONDS,
        waiting=sum(row.ready for row in overview.queue),
        dead_letters=overview.dead_letters,
    )


@feature.page("/console/requests", permission=READ)
async def requests_page(
    ctx: Context,
    q: Search = "",
    status: Status = "",
    role: Role = "",
    own: Literal["", "on"] = "",
    before_us: int | None = None,
) -> Page:
    found = await ctx.api(
        list_requests, q=q, status=status, role=role, own=own == "on", before_us=before_us, limit=PAGE_SIZE
    )
    chosen = {"q": q, "status": status, "role": role, "own": own}
    return await show(
        ctx,
        "console/requests.html",
        found=found,
        filters=chosen,
        is_first=before_us is None,
        first=address("/console/requests", chosen),
        older=address("/console/requests", chosen | {"before_us": found.before_us}) if found.before_us else "",
    )


@feature.page("/console/traces/{trace_id}", permission=READ)
async def trace_page(ctx: Context, trace_id: str, span: Search = "", level: Level = "") -> Page:
    """One trace as a waterfall, with the step in question and the lines that were logged."""
    trace = await ctx.api(get_trace, trace_id=trace_id)
    selected = next((found for found in trace.spans if found.span_id == span), None)
    first = trace.requests[0] if trace.requests else None
    return await show(
        ctx,
        "console/trace.html",
        trace=trace,
        first=first,
        drawn=waterfall.draw(trace.spans),
        began_us=min([s.start_us for s in trace.spans] + [r.start_us for r in trace.requests], default=0),
        selected=selected or _worst_step(trace),
        failed=[found for found in trace.requests if found.status >= 500 or found.error],
        logs=[line for line in trace.logs if line.level in _LEVELS.get(level, (line.level,))],
        level=level,
        people=sorted({found.user for found in trace.requests if found.user}),
        tenants=sorted({found.tenant for found in trace.requests if found.tenant}),
        request_ids=list(dict.fromkeys(found.request_id for found in trace.requests)),
    )


@feature.page("/console/logs", permission=READ)
async def logs_page(
    ctx: Context, q: Search = "", level: Level = "", trace_id: Search = "", own: Literal["", "on"] = ""
) -> Page:
    lines = await ctx.api(list_logs, q=q, level=level, trace_id=trace_id, own=own == "on", limit=200)
    chosen = {"q": q, "level": level, "trace_id": trace_id, "own": own}
    return await show(ctx, "console/logs.html", logs=lines, filters=chosen)


@feature.page("/console/inbox", permission=READ)
async def inbox_page(ctx: Context) -> Page:
    return await show(ctx, "console/inbox.html", mails=await ctx.api(list_mails, limit=PAGE_SIZE), limit=PAGE_SIZE)


@feature.page("/console/inbox/{mail_id}", permission=READ)
async def mail_page(ctx: Context, mail_id: Annotated[str, msgspec.Meta(max_length=64)]) -> Page:
    return await show(ctx, "console/mail.html", mail=await ctx.api(get_mail, mail_id=mail_id))


@feature.page("/console/faults", permission=READ)
async def faults_page(ctx: Context) -> Page:
    return await show(ctx, "console/faults.html", faults=await ctx.api(list_faults), refused="")


@feature.page("/console/faults/{name}", method="POST", permission="console:faults:set")
async def switch_fault(ctx: Context, name: str, data: FaultForm) -> Page | Redirect:
    try:
        await ctx.api(set_fault, name=name, data=FaultSwitch(on=data.on == "yes"))
    except Conflict as error:
        faults = await ctx.api(list_faults)
        return await show(ctx, "console/faults.html", status=error.status, faults=faults, refused=error.detail)
    return Redirect("/console/faults")


async def show(ctx: Context, template: str, *, status: int = 200, **data: Any) -> Page:
    """A console page: its data, the time, the words for figures, and the count that its navigation shows."""
    if "dead_letters" not in data:
        data["dead_letters"] = (await ctx.api(list_dead_letters, limit=1)).total
    return Page(template, status=status, now=ctx.now(), words=words, said=said, **data)


def said(line: LogView) -> str:
    """A log line's event and its fields, as one text."""
    return " ".join([line.event, *(f"{name}={_short(value)}" for name, value in line.fields.items())])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 300 else text[:299] + "…"


def address(path: str, query: Mapping[str, Any]) -> str:
    """A page's address with what was chosen on it."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _worst_first(found: ComponentHealth) -> tuple[int, str]:
    return ("bad", "warn", "ok").index(found.state), found.component


def _worst_step(trace: TraceView) -> Any:
    """What a person looks for first: the deepest step that failed, else nothing."""
    failed = [found for found in trace.spans if found.error]
    return max(failed, key=lambda found: found.start_us, default=None)
