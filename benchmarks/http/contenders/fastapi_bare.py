"""FastAPI as its tutorial starts, with nothing around it: the list of products."""

from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.http import rows
from benchmarks.http.contenders.kept import Kept


class ProductView(BaseModel):
    id: UUID
    sku: str
    title: str
    brand: str
    size: str
    department: str
    price_cents: int
    unit_price: str
    stock: int


app = FastAPI()
kept: Kept[list[ProductView]] = Kept(3600.0)


@app.get("/api/v1/products")
async def list_products() -> list[ProductView]:
    found = kept.get("products")
    if found is None:
        found = kept.put("products", [ProductView(**rows.product(number)) for number in range(rows.SHELF)])
    return found
