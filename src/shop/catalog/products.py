"""The catalogue over the API: browse, search, look at one product."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, case, func, literal, select, tuple_

from groundplan.app import Context, Public, cached
from groundplan.core.errors import Invalid, NotFound
from groundplan.data.search.port import Hit
from shop.catalog.declaration import feature
from shop.catalog.departments import DEPARTMENTS, TITLES, Department
from shop.catalog.documents import INDEX
from shop.catalog.freshness import PRODUCTS
from shop.catalog.models import Product
from shop.paging import Cursor, Limit, from_cursor, to_cursor

CACHE_SECONDS = 10.0
"""How long a list or a count is kept. A product's own page and the basket always read the database."""

SHELVES = Public(seconds=10, stale=60, tags=(PRODUCTS,))

MOST_MATCHES = 2_000
"""The best of more are listed, and counted."""

_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"match": "bought", "bought": "bought", "price": "price_cents", "title": "title"}
)

Sort = Literal["match", "bought", "price", "title"]
Search = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        pattern=r"^[^\x00]*$",
        description="Words of title, brand and department; the last may be begun only",
    ),
]


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sku: str
    title: str
    brand: str
    size: str
    department: Department
    price_cents: int
    unit_price: str
    """For example ``9.5¢ / oz``; empty where there is nothing to compare."""
    stock: int


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ProductView]
    first: int
    """The position of the first item in the whole list, counted from 1."""
    total: int
    next_cursor: str
    """Empty on the last page."""


class DepartmentView(msgspec.Struct, frozen=True, kw_only=True):
    name: Department
    title: str
    products: int


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last product of a page, under the order it was listed by."""

    sort: Sort
    value: Annotated[int, msgspec.Meta(ge=0, le=10**12)] | Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
    id: UUID
    seen: Annotated[int, msgspec.Meta(ge=0, le=10**9)]
    match: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0


@feature.get("/departments", public=True, cache=SHELVES)
@cached(ttl=CACHE_SECONDS, key="departments", tags=[PRODUCTS], stale=CACHE_SECONDS)
async def list_departments(ctx: Context) -> list[DepartmentView]:
    """The departments with the number of products in each."""
    found = await ctx.db.execute(select(Product.department, func.count()).group_by(Product.department))
    counts = dict(found.all())
    return [DepartmentView(name=name, title=TITLES[name], products=counts.get(name, 0)) for name in DEPARTMENTS]


@feature.get("/products", public=True, cache=SHELVES)
@cached(ttl=CACHE_SECONDS, tags=[PRODUCTS], when=lambda q, **_: not q)
async def list_products(
    ctx: Context,
    department: Department | Literal[""] = "",
    q: Search = "",
    sort: Sort | Literal[""] = "",
    in_stock: bool = False,
    limit: Limit = 24,
    cursor: Cursor = "",
) -> ProductPage:
    """Products page by page; the best `match` of the words first, without words the most `bought`; or by `price` or
    `title`."""
    order = order_of(sort, q)
    after = _position(cursor, order)
    hits = (await ctx.search.find(INDEX, q, tag=department, limit=MOST_MATCHES)).hits if q.strip() else None
    found = _filtered(department, hits, in_stock)
    counted = hits is not None and not in_stock
    total = len(hits or []) if counted else await ctx.db.scalar(select(func.count()).select_from(found.subquery()))
    products = list(await ctx.db.scalars(_ordered(found, order, hits or [], after).limit(limit + 1)))
    seen = after.seen if after else 0
    more = len(products) > limit
    last = products[limit - 1] if more else None
    match = next((hit.match for hit in hits or [] if last and hit.id == last.id), 0)
    return ProductPage(
        items=[view_of(product) for product in products[:limit]],
        first=seen + 1,
        total=total or 0,
        next_cursor=to_cursor(Position(order, getattr(last, _COLUMNS[order]), last.id, seen + limit, match))
        if last
        else "",
    )


@feature.get("/products/{product_id}", public=True)
async def get_product(ctx: Context, product_id: UUID) -> ProductView:
    """One product of this store."""
    product = await ctx.db.scalar(select(Product).where(Product.id == product_id))
    if product is None:
        raise NotFound("This store has no such product.")
    return view_of(product)


def view_of(product: Product) -> ProductView:
    return msgspec.convert(product, ProductView, from_attributes=True)


def order_of(sort: Sort | Literal[""], q: str) -> Sort:
    """Without words there is no match to go by."""
    if q.strip():
        return sort or "match"
    return "bought" if sort == "" or sort == "match" else sort


def _filtered(department: str, hits: Sequence[Hit] | None, in_stock: bool) -> Select[Product]:
    conditions: list[ColumnElement[bool]] = []
    if department:
        conditions.append(Product.department == department)
    if in_stock:
        conditions.append(Product.stock > 0)
    if hits is not None:
        conditions.append(Product.id.in_([hit.id for hit in hits]))
    return select(Product).where(*conditions)


def _ordered(found: Select[Product], sort: Sort, hits: Sequence[Hit], after: Position | None) -> Select[Product]:
    column = getattr(Product, _COLUMNS[sort])
    if sort == "match":
        match = _match(hits)
        ordered = found.order_by(match.desc(), column.desc(), Product.id.desc())
        position = tuple_(match, column, Product.id)
        return ordered.where(position < (after.match, after.value, after.id)) if after else ordered
    if sort == "bought":
        ordered = found.order_by(column.desc(), Product.id.desc())
        return ordered.where(tuple_(column, Product.id) < (after.value, after.id)) if after else ordered
    ordered = found.order_by(column, Product.id)
    return ordered.where(tuple_(column, Product.id) > (after.value, after.id)) if after else ordered


def _match(hits: Sequence[Hit]) -> ColumnElement[int]:
    """Names the products of every level but the one that has most."""
    (most, _), *others = Counter(hit.match for hit in hits).most_common() or [(0, 0)]
    levels = [(Product.id.in_([hit.id for hit in hits if hit.match == level]), level) for level, _ in others]
    return case(*levels, else_=most) if levels else literal(most)


def _position(cursor: str, sort: Sort) -> Position | None:
    if not cursor:
        return None
    position = from_cursor(cursor, Position)
    if position.sort != sort or isinstance(position.value, str) != (sort == "title"):
        raise Invalid("That cursor belongs to another order of the list. Start again without it.")
    return position
