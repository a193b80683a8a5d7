"""The page of events: the newest ones, and the catalogue."""

from typing import Literal

from groundplan.app import Context, Page
from groundplan.console import feature
from groundplan.console.api import READ, Search
from groundplan.console.pages import address, show
from groundplan.console.work.event_api import get_catalogue, list_events

NEWEST = 20


@feature.page("/console/events", permission=READ)
async def events_page(ctx: Context, name: Search = "", tenant: Search = "", facts: Literal["", "on"] = "") -> Page:
    found = await ctx.api(list_events, name=name, tenant=tenant, facts=facts == "on", limit=NEWEST)
    chosen = {"name": name, "tenant": tenant, "facts": facts}
    catalogue = await ctx.api(get_catalogue)
    return await show(
        ctx,
        "console/events.html",
        found=found,
        catalogue=catalogue,
        names=sorted({entry.name for entry in catalogue if entry.kind == "event"} | ({name} - {""})),
        filters=chosen,
        here=address("/console/events", chosen),
        limit=NEWEST,
    )
