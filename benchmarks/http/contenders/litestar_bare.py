"""Litestar and msgspec alone: no user, no tenant, no trace, no log, no metrics."""

from uuid import UUID

import msgspec
from litestar import Litestar, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.http import rows
from benchmarks.http.contenders import tables
from benchmarks.http.contenders.kept import Kept
from benchmarks.http.contenders.views import OrderView, PlaceOrder, ProductView, view_of, view_of_rows

engine = tables.make_engine()
kept: Kept[list[ProductView]] = Kept(3600.0)


@get("/api/v1/products")
async def list_products() -> list[ProductView]:
    found = kept.get("products")
    if found is None:
        shelf = [rows.product(number) for number in range(rows.SHELF)]
        found = kept.put("products", msgspec.convert(shelf, list[ProductView]))
    return found


@get("/api/v1/orders/{order_id:uuid}")
async def get_order(order_id: FromPath[UUID]) -> OrderView:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        order = await tables.read(session, order_id)
        if order is None:
            raise NotFoundException
        return view_of(order)


@get("/api/v1/orders/{order_id:uuid}/core")
async def get_order_by_core(order_id: FromPath[UUID]) -> OrderView:
    async with engine.connect() as connection:
        found = (await connection.execute(tables.COLUMNS, {"order_id": order_id})).all()
    if not found:
        raise NotFoundException
    return view_of_rows(found)


@post("/api/v1/orders")
async def place_order(data: PlaceOrder) -> OrderView:
    wanted = [(line.product_id, line.quantity) for line in data.lines]
    async with AsyncSession(engine, expire_on_commit=False) as session:
        try:
            order = await tables.place(session, rows.TENANT, rows.USER, rows.NAME, wanted)
        except tables.ShelfEmpty:
            raise ClientException(status_code=409) from None
        await session.commit()
        return view_of(order)


app = Litestar(
    [list_products, get_order, get_order_by_core, place_order], openapi_config=None, logging_config=None, debug=False
)
