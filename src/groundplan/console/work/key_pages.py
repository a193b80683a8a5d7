"""The page of idempotency keys."""

import msgspec

from groundplan.app import Context, Page
from groundplan.console import feature
from groundplan.console.api import READ, Search
from groundplan.console.pages import PAGE_SIZE, show
from groundplan.console.work.key_api import list_keys


@feature.page("/console/idempotency-keys", permission=READ)
async def keys_page(ctx: Context, key: Search = "") -> Page:
    found = await ctx.api(list_keys, key=key.strip(), limit=PAGE_SIZE)
    rows = [(each, msgspec.json.format(msgspec.json.encode(each.kept.reply), indent=2).decode()) for each in found]
    return await show(ctx, "console/idempotency_keys.html", rows=rows, key=key.strip(), limit=PAGE_SIZE)
