"""A small app on the platform: a list from the cache, an order read and placed, a page, and a key that a herd wants."""

import asyncio
import os
from datetime import datetime
from itertools import count
from typing import Annotated, Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, bindparam, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from benchmarks.http.rows import PAGE, SHELF
from groundplan.app import App, Context, Event, Feature, Page, Public
from groundplan.core.errors import Conflict, NotFound
from groundplan.core.ids import uuid7
from groundplan.data.database.models import Base, TenantScoped

CACHE_SECONDS = 3600.0
FILL_SECONDS = 0.05
"""How long a cold key takes to fill, beside its query."""


class Product(TenantScoped, Base):
    __tablename__ = "products"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku: Mapped[str]
    title: Mapped[str]
    brand: Mapped[str]
    size: Mapped[str]
    department: Mapped[str]
    price_cents: Mapped[int]
    unit_price: Mapped[str]
    stock: Mapped[int]


class Order(TenantScoped, Base):
    __tablename__ = "orders"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    number: Mapped[str]
    state: Mapped[str]
    customer: Mapped[str]
    placed_at: Mapped[datetime]
    total_cents: Mapped[int]
    lines: Mapped[list["OrderLine"]] = relationship(order_by="OrderLine.position", lazy="raise")


class OrderLine(TenantScoped, Base):
    __tablename__ = "order_lines"
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[UUID]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_cents: Mapped[int]
    amount_cents: Mapped[int]


class ProductView(msgspec.Struct, frozen=True):
    id: UUID
    sku: str
    title: str
    brand: str
    size: str
    department: str
    price_cents: int
    unit_price: str
    stock: int


class LineView(msgspec.Struct, frozen=True):
    product_id: UUID
    title: str
    quantity: int
    unit_cents: int
    amount_cents: int


class OrderView(msgspec.Struct, frozen=True):
    id: UUID
    number: str
    state: str
    customer: str
    placed_at: datetime
    total_cents: int
    lines: list[LineView]


class LineOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=1, le=99)]


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lines: Annotated[list[LineOrder], msgspec.Meta(min_length=1, max_length=100)]


class Filled(msgspec.Struct, frozen=True):
    number: int
    """Which fill of this process it was."""


class OrderPlaced(Event, frozen=True, kw_only=True):
    order_id: UUID
    total_cents: int


feature = Feature("benchmark", owner="platform", templates="benchmarks.http")
WHOLE = select(Order).options(selectinload(Order.lines))
COLUMNS = (
    select(
        *(Order.id, Order.number, Order.state, Order.customer, Order.placed_at, Order.total_cents),
        *(OrderLine.product_id, OrderLine.title, OrderLine.quantity, OrderLine.unit_cents, OrderLine.amount_cents),
    )
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(Order.id == bindparam("order_id"))
    .order_by(OrderLine.position)
)
_fills = count(1)


@feature.get("/products", permission="products:read")
async def list_products(ctx: Context) -> list[ProductView]:
    async def read() -> list[ProductView]:
        return await _products(ctx, SHELF)

    return await ctx.cache.read_through("products", read, ttl=CACHE_SECONDS, type=list[ProductView])


@feature.get("/shelf", permission="products:read")
async def list_shelf(ctx: Context) -> list[ProductView]:
    return await _products(ctx, PAGE)


@feature.page("/shelf", permission="products:read")
async def shelf_page(ctx: Context) -> Page:
    return Page("shelf.html", products=await ctx.api(list_shelf))


@feature.get("/window", public=True)
async def list_window(ctx: Context) -> list[ProductView]:
    return await _products(ctx, PAGE)


@feature.page("/window", public=True, cache=Public(seconds=int(CACHE_SECONDS)))
async def window_page(ctx: Context) -> Page:
    """What everybody sees, so that it is kept whole."""
    return Page("shelf.html", products=await ctx.api(list_window))


@feature.get("/orders/{order_id}", permission="orders:read")
async def get_order(ctx: Context, order_id: UUID) -> OrderView:
    return await _order(ctx, order_id)


@feature.get("/orders/{order_id}/core", permission="orders:read")
async def get_order_by_core(ctx: Context, order_id: UUID) -> OrderView:
    rows = (await ctx.db.execute(COLUMNS, {"order_id": order_id})).all()
    if not rows:
        raise NotFound("There is no such order.")
    return OrderView(*rows[0][:6], [LineView(*row[6:]) for row in rows])


@feature.get("/orders/{order_id}/kept", permission="orders:read")
async def get_kept_order(ctx: Context, order_id: UUID) -> OrderView:
    async def read() -> OrderView:
        return await _order(ctx, order_id)

    return await ctx.cache.read_through(f"order:{order_id}", read, ttl=CACHE_SECONDS, type=OrderView)


@feature.post("/orders", permission="orders:place", idempotent=True)
async def place_order(ctx: Context, data: PlaceOrder) -> OrderView:
    taken = [await _take(ctx, line) for line in sorted(data.lines, key=lambda line: line.product_id)]
    order_id = uuid7()
    lines = [
        OrderLine(
            order_id=order_id,
            position=position,
            product_id=product.id,
            title=product.title,
            quantity=quantity,
            unit_cents=product.price_cents,
            amount_cents=product.price_cents * quantity,
        )
        for position, (product, quantity) in enumerate(taken)
    ]
    order = Order(
        id=order_id,
        user_id=ctx.user.id if ctx.user else None,
        number=f"B-{order_id.hex[-12:]}",
        state="placed",
        customer=ctx.user.name if ctx.user else "",
        placed_at=ctx.now(),
        total_cents=sum(line.amount_cents for line in lines),
        lines=lines,
    )
    ctx.db.add(order)
    ctx.publish(OrderPlaced(order_id=order_id, total_cents=order.total_cents))
    ctx.audit("order.place", order.number, total_cents=order.total_cents)
    return msgspec.convert(order, OrderView, from_attributes=True)


@feature.get("/herd/{key}", permission="products:read")
async def read_cold_key(ctx: Context, key: str) -> Filled:
    async def fill() -> Filled:
        await _products(ctx, 1)
        await asyncio.sleep(FILL_SECONDS)
        return Filled(next(_fills))

    return await ctx.cache.read_through(f"herd:{key}", fill, ttl=CACHE_SECONDS, type=Filled)


@feature.on(OrderPlaced, name="benchmark.hear")
async def hear(ctx: Context, event: OrderPlaced) -> None:
    """Its subscription makes each event a delivery too."""


async def _products(ctx: Context, number: int) -> list[ProductView]:
    found = await ctx.db.scalars(select(Product).order_by(Product.sku).limit(number))
    return [msgspec.convert(product, ProductView, from_attributes=True) for product in found]


async def _order(ctx: Context, order_id: UUID) -> OrderView:
    order = await ctx.db.scalar(WHOLE.where(Order.id == order_id))
    if order is None:
        raise NotFound("There is no such order.")
    return msgspec.convert(order, OrderView, from_attributes=True)


async def _take(ctx: Context, line: LineOrder) -> tuple[Product, int]:
    product = await ctx.db.scalar(
        update(Product)
        .where(Product.id == line.product_id, Product.stock >= line.quantity)
        .values(stock=Product.stock - line.quantity)
        .returning(Product)
        .execution_options(synchronize_session=False)
    )
    if product is None:
        raise Conflict("The shelf is empty.")
    return product, line.quantity


def _more(number: int) -> Feature:
    """A feature of so many routes that nobody asks for."""
    more = Feature("more", owner="platform")
    for each in range(number):
        _add(more, each)
    return more


def _add(more: Feature, number: int) -> None:
    @more.get(f"/more/area-{number // 10}/thing-{number}/{{key}}", permission="products:read")
    async def read_more(ctx: Context, key: str) -> dict[str, Any]:
        return {"key": key}


app = App(
    "benchmark",
    features=[feature, _more(int(os.environ.get("BENCH_MORE_ROUTES", "0")))],
    roles={"customer": ("products:read", "orders:read", "orders:place")},
    package="benchmarks.http",
    seed="benchmarks.http.seed:seed",
)
