"""Events over the API: what is published here, and the newest of it."""

from typing import Any

from groundplan import __version__
from groundplan.app import Context
from groundplan.console import feature
from groundplan.console.api import READ, Limit, Search
from groundplan.console.views import Events, EventView
from groundplan.core.errors import Invalid
from groundplan.messaging.catalogue import Catalogue, Entry
from groundplan.messaging.event_log.log import EventLog, Only
from groundplan.security.tenants import Tenants


@feature.get("/console/events", permission=READ)
async def list_events(
    ctx: Context, name: Search = "", tenant: Search = "", facts: bool = False, limit: Limit = 50
) -> Events:
    """The newest events in commit order, newest first. ``facts`` shows what analytics noted too."""
    tenants = {each.id: each.slug for each in await ctx.service(Tenants).all()}
    tenant_id = next((key for key, slug in tenants.items() if slug == tenant), None)
    if tenant and tenant_id is None:
        raise Invalid(f"There is no tenant {tenant!r}.")
    only = Only(names=[name] if name else [], tenant_id=tenant_id, facts=facts)
    return Events(
        items=[
            EventView(
                id=event.id,
                cursor=str(event.cursor),
                name=event.name,
                version=event.version,
                tenant=tenants.get(event.tenant_id, "") if event.tenant_id else "",
                request_id=event.request_id,
                trace_id=event.trace_id,
                occurred_at=event.occurred_at,
                erased=event.erased,
            )
            for event in await ctx.service(EventLog).newest(limit, only=only)
        ],
        tenants=sorted(tenants.values()),
    )


@feature.get("/console/events/catalogue", permission=READ)
async def get_catalogue(ctx: Context) -> list[Entry]:
    """Every event and job of this release: its version, owner, handlers and fields."""
    return ctx.service(Catalogue).entries()


@feature.get("/console/events/asyncapi", permission=READ)
async def get_asyncapi(ctx: Context) -> dict[str, Any]:
    """The catalogue as an AsyncAPI 3 document, with the schema of each message."""
    return ctx.service(Catalogue).asyncapi(title="Events", version=__version__)
