"""What is kept of the catalogue, and when it is forgotten."""

from groundplan.app import Context

PRODUCTS = "products"
"""The tag of every answer that shows products."""


async def products_changed(ctx: Context) -> None:
    """Whoever changes a product says so, in the same transaction; lists are read anew once it has committed."""
    await ctx.cache.invalidate(tags=[PRODUCTS])
