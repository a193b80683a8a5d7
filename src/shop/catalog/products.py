"""The catalogue over the API: browse, search, look at one product."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_

from groundplan.app import Context, Public, cached
from groundplan.core.errors import Invalid, NotFound
from shop.catalog.declaration import feature
from shop.catalog.departments import DEPARTMENTS, TITLES, Department
from shop.catalog.freshness import PRODUCTS
from shop.catalog.models import Product
from shop.paging import Cursor, Limit, from_cursor, to_cursor

CACHE_SECONDS = 10.0
"""How long a list or a count is kept. A product's own page and the basket always read the database."""

SHELVES = Public(seconds=10, stale=60, tags=(PRODUCTS,))

_SEARCH_WORDS = 6
_COLUMNS: Mapping[str, str] = MappingProxyType({"bought": "bought", "price": "price_cents", "title": "title"})

Sort = Literal["bought", "price", "title"]
Search = Annotated[
    str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$", description="Words that title or brand must contain")
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
    sort: Sort = "bought",
    in_stock: bool = False,
    limit: Limit = 24,
    cursor: Cursor = "",
) -> ProductPage:
    """Products page by page; most bought first, or by `price` or `title`."""
    after = _position(cursor, sort)
    found = _filtered(department, q, in_stock)
    total = await ctx.db.scalar(select(func.count()).select_from(found.subquery()))
    products = list(await ctx.db.scalars(_ordered(found, sort, after).limit(limit + 1)))
    seen = after.seen if after else 0
    more = len(products) > limit
    last = products[limit - 1] if more else None
    return ProductPage(
        items=[view_of(product) for product in products[:limit]],
        first=seen + 1,
        total=total or 0,
        next_cursor=to_cursor(Position(sort, getattr(last, _COLUMNS[sort]), last.id, seen + limit)) if last else "",
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


def _filtered(department: str, q: str, in_stock: bool) -> Select[Product]:
    conditions: list[ColumnElement[bool]] = []
    if department:
        conditions.append(Product.department == department)
    if in_stock:
        conditions.append(Product.stock > 0)
    for word in q.split()[:_SEARCH_WORDS]:
        conditions.append(or_(*(column.icontains(word, autoescape=True) for column in (Product.title, Product.brand))))
    return select(Product).where(*conditions)


def _ordered(found: Select[Product], sort: Sort, after: Position | None) -> Select[Product]:
    column = getattr(Product, _COLUMNS[sort])
    if sort == "bought":
        ordered = found.order_by(column.desc(), Product.id.desc())
        return ordered.where(tuple_(column, Product.id) < (after.value, after.id)) if after else ordered
    ordered = found.order_by(column, Product.id)
    return ordered.where(tuple_(column, Product.id) > (after.value, after.id)) if after else ordered


def _position(cursor: str, sort: Sort) -> Position | None:
    if not cursor:
        return None
    position = from_cursor(cursor, Position)
    if position.sort != sort or isinstance(position.value, str) != (sort == "title"):
        raise Invalid("That cursor belongs to another order of the list. Start again without it.")
    return position
