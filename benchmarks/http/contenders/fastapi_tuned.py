"""The same FastAPI duties as an expert would write them: one ASGI pass, msgspec, a span only where sampled."""

import random
import sys
import time
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import Counter, Histogram, generate_latest
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.http import rows
from benchmarks.http.contenders import tables
from benchmarks.http.contenders.kept import Kept
from benchmarks.http.contenders.views import OrderView, PlaceOrder, ProductView, view_of

SAMPLE = 0.05


class User(msgspec.Struct, frozen=True):
    id: UUID
    tenant_id: UUID
    name: str


class AccessLine(msgspec.Struct):
    time: float
    request_id: str
    tenant: str
    user: str
    method: str
    path: str
    status: int
    duration_ms: float


requests = Counter("requests", "Requests", ["method", "route", "status"])
seconds = Histogram("request_seconds", "How long requests take", ["route"])
tracer = TracerProvider().get_tracer(__name__)
encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(PlaceOrder).decode
limiter, enough = FixedWindowRateLimiter(MemoryStorage()), parse("100000000/minute")
engine = tables.make_engine()
kept: Kept[list[ProductView]] = Kept(3600.0)
users: Kept[User] = Kept(60.0)
children: dict[tuple[str, ...], Any] = {}


class OnePass:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        request_id, status, started = uuid4().hex, 0, time.perf_counter()

        async def send_with_id(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        if random.random() < SAMPLE:
            with tracer.start_as_current_span(scope["path"]) as span:
                await self._inner(scope, receive, send_with_id)
                span.set_attribute("http.response.status_code", status)
        else:
            await self._inner(scope, receive, send_with_id)
        _report(scope, request_id, status, time.perf_counter() - started)


def _report(scope: Any, request_id: str, status: int, taken: float) -> None:
    route = scope["route"].path if "route" in scope else "unmatched"
    user: User | None = scope.get("user")
    _child(requests, scope["method"], route, str(status)).inc()
    _child(seconds, route).observe(taken)
    line = AccessLine(
        time=time.time(),
        request_id=request_id,
        tenant=str(user.tenant_id) if user else "",
        user=str(user.id) if user else "",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=taken * 1000,
    )
    sys.stdout.buffer.write(encode(line) + b"\n")


def _child(metric: Any, *labels: str) -> Any:
    key = (metric._name, *labels)
    found = children.get(key)
    if found is None:
        found = children[key] = metric.labels(*labels)
    return found


async def get_user(request: Request) -> User:
    _, _, token = request.headers.get("authorization", "").partition(" ")
    user = users.get(token)
    if user is None:
        try:
            claims = jwt.decode(token, rows.KEY, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None
        user = users.put(token, User(UUID(claims["sub"]), UUID(claims["tenant"]), claims["name"]))
    request.scope["user"] = user
    if not limiter.hit(enough, str(user.id)):
        raise HTTPException(429)
    return user


Signed = Annotated[User, Depends(get_user)]
app = FastAPI(openapi_url=None)
app.add_middleware(OnePass)


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


@app.get("/api/v1/products")
async def list_products(user: Signed) -> Response:
    found = kept.get("products")
    if found is None:
        shelf = [rows.product(number) for number in range(rows.SHELF)]
        found = kept.put("products", msgspec.convert(shelf, list[ProductView]))
    return _json(found)


@app.get("/api/v1/orders/{order_id}")
async def get_order(order_id: UUID, user: Signed) -> Response:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        order = await session.scalar(tables.PREPARED, {"order_id": order_id})
        if order is None:
            raise HTTPException(404)
        view: OrderView = view_of(order)
    return _json(view)


@app.post("/api/v1/orders", status_code=201)
async def place_order(request: Request, user: Signed) -> Response:
    try:
        data = decode_order(await request.body())
    except msgspec.ValidationError as error:
        raise HTTPException(422, str(error)) from None
    wanted = [(line.product_id, line.quantity) for line in data.lines]
    async with AsyncSession(engine, expire_on_commit=False) as session:
        try:
            order = await tables.place(session, user.tenant_id, user.id, user.name, wanted)
        except tables.ShelfEmpty:
            raise HTTPException(409) from None
        await session.commit()
        view: OrderView = view_of(order)
    return _json(view, 201)


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type="text/plain; version=0.0.4")
