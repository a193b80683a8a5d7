"""Idempotency keys over the API."""

from uuid import UUID

from groundplan.app import Context
from groundplan.app.idempotency_keys import IdempotencyKeys
from groundplan.console import feature
from groundplan.console.api import READ, Limit, Search
from groundplan.console.views import KeyView
from groundplan.security.tenants import Tenants


@feature.get("/console/idempotency-keys", permission=READ)
async def list_keys(ctx: Context, key: Search = "", limit: Limit = 50) -> list[KeyView]:
    """Writes that were done under a key and the reply that repeating them gets, newest first."""
    slugs: dict[UUID, str] = {tenant.id: tenant.slug for tenant in await ctx.service(Tenants).all()}
    found = await ctx.service(IdempotencyKeys).newest(key=key, limit=limit)
    return [KeyView(kept=each, tenant=slugs.get(each.tenant_id, str(each.tenant_id))) for each in found]
