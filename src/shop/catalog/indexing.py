"""The search index, kept in workers: after each change, and all of it on demand and every night.

A product stays locked from being read until its document is committed, so no older word overwrites a newer one.
"""

from uuid import UUID

from sqlalchemy import select

from groundplan.app import Context, Tick, Unique
from shop.catalog.declaration import feature
from shop.catalog.documents import INDEX, document_of
from shop.catalog.events import ProductChanged, RebuildIndex
from shop.catalog.models import Product

BATCH = 200
LAST = UUID(int=2**128 - 1)


@feature.on(ProductChanged, name="catalog.index_product")
async def index_product(ctx: Context, event: ProductChanged) -> None:
    """Indexes the product as it is now, whichever change was told of."""
    async with ctx.transaction() as db:
        product = await db.scalar(select(Product).where(Product.id == event.product_id).with_for_update(read=True))
        if product is None:
            await ctx.search.remove(INDEX, [event.product_id])
        else:
            await ctx.search.index(INDEX, [document_of(product)])


@feature.job(RebuildIndex, name="catalog.rebuild_index", unique=Unique())
async def rebuild_index(ctx: Context, job: RebuildIndex) -> None:
    """One batch, which enqueues the next: the locks are short, and a crash costs one batch.

    What is indexed is asked before what there is, so a product that comes in between is not taken for one that went.
    """
    async with ctx.transaction() as db:
        ids = (
            await db.scalars(select(Product.id).where(Product.id > job.after).order_by(Product.id).limit(BATCH))
        ).all()
        until = ids[-1] if len(ids) == BATCH else LAST
        indexed = await ctx.search.ids(INDEX, after=job.after, until=until)
        there = select(Product).where(Product.id > job.after, Product.id <= until).order_by(Product.id)
        products = (await db.scalars(there.with_for_update(read=True))).all()
        await ctx.search.index(INDEX, [document_of(product) for product in products])
        await ctx.search.remove(INDEX, sorted(set(indexed) - {product.id for product in products}))
        if until != LAST:
            ctx.enqueue(RebuildIndex(after=until))


@feature.schedule("20 3 * * *", name="catalog.rebuild_nightly", every_tenant=True)
async def rebuild_nightly(ctx: Context, tick: Tick) -> None:
    """For the ranks, and for whatever changed the products past the API."""
    async with ctx.transaction():
        ctx.enqueue(RebuildIndex())
