"""Starlette with msgspec alone: the list of products."""

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.http import rows
from benchmarks.http.contenders.kept import Kept
from benchmarks.http.contenders.views import ProductView

kept: Kept[list[ProductView]] = Kept(3600.0)
encode = msgspec.json.Encoder().encode


async def list_products(request: Request) -> Response:
    found = kept.get("products")
    if found is None:
        shelf = [rows.product(number) for number in range(rows.SHELF)]
        found = kept.put("products", msgspec.convert(shelf, list[ProductView]))
    return Response(encode(found), media_type="application/json")


app = Starlette(routes=[Route("/api/v1/products", list_products)])
