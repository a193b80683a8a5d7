"""What staff do to the catalogue over the API: change a product, have the search index made anew."""

from typing import Annotated
from uuid import UUID

import msgspec
from sqlalchemy import select

from groundplan.app import Context
from groundplan.core.errors import NotFound
from shop.catalog.declaration import feature
from shop.catalog.departments import Department
from shop.catalog.events import ProductChanged, RebuildIndex
from shop.catalog.models import Product
from shop.catalog.products import ProductView, view_of

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class EditProduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    title: Words
    brand: Words
    department: Department
    price_cents: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


class Rebuild(msgspec.Struct, frozen=True):
    job_id: UUID
    """Of the first batch; it names no job where one waits already."""


@feature.put("/products/{product_id}", permission="catalog:edit")
async def edit_product(ctx: Context, product_id: UUID, data: EditProduct) -> ProductView:
    """Changes what a product is called and costs. The search knows it shortly after."""
    product = await ctx.db.scalar(select(Product).where(Product.id == product_id).with_for_update())
    if product is None:
        raise NotFound("This store has no such product.")
    product.title, product.brand = data.title, data.brand
    product.department, product.price_cents = data.department, data.price_cents
    ctx.publish(ProductChanged(product_id=product_id))
    ctx.audit("product.edit", product.sku, **msgspec.structs.asdict(data))
    return view_of(product)


@feature.post("/search-index", permission="catalog:edit")
async def rebuild_search_index(ctx: Context) -> Rebuild:
    """Has the search index of this store made anew, batch by batch. Searches find what they found meanwhile."""
    ctx.audit("search-index.rebuild", ctx.tenant.slug)
    return Rebuild(ctx.enqueue(RebuildIndex()))
