"""FastAPI with what people put around it: request id, structlog, OpenTelemetry, Prometheus, PyJWT, slowapi, the ORM."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import jwt
import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from cachetools import TTLCache
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, ConfigDict, Field
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.http import rows
from benchmarks.http.contenders import tables

SAMPLE = 0.05
ENOUGH = "100000000/minute"


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


class LineView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    product_id: UUID
    title: str
    quantity: int
    unit_cents: int
    amount_cents: int


class OrderView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    number: str
    state: str
    customer: str
    placed_at: datetime
    total_cents: int
    lines: list[LineView]


class LineOrder(BaseModel):
    product_id: UUID
    quantity: int = Field(ge=1, le=99)


class PlaceOrder(BaseModel):
    lines: list[LineOrder] = Field(min_length=1, max_length=100)


class User(BaseModel):
    id: UUID
    tenant_id: UUID
    name: str


class Nowhere(SpanExporter):
    """What exporting over the network would cost is left out."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ]
)
log = structlog.get_logger()
engine = tables.make_engine()
sessions = async_sessionmaker(engine, expire_on_commit=False)
cache: TTLCache[str, list[ProductView]] = TTLCache(maxsize=1000, ttl=3600)
limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


@app.middleware("http")
async def access_line(request: Request, call_next: Any) -> Response:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
    started = time.perf_counter()
    response: Response = await call_next(request)
    log.info(
        "request",
        method=request.method,
        path=request.url.path,
        status=response.status_code,
        duration_ms=round((time.perf_counter() - started) * 1000, 2),
    )
    return response


app.add_middleware(CorrelationIdMiddleware)
provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(SAMPLE)))
provider.add_span_processor(BatchSpanProcessor(Nowhere()))
trace.set_tracer_provider(provider)
SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine)
FastAPIInstrumentor.instrument_app(app)
Instrumentator().instrument(app).expose(app)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


async def get_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> User:
    try:
        claims = jwt.decode(credentials.credentials, rows.KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    structlog.contextvars.bind_contextvars(user=claims["sub"], tenant=claims["tenant"])
    return User(id=claims["sub"], tenant_id=claims["tenant"], name=claims["name"])


Signed = Annotated[User, Depends(get_user)]
Session = Annotated[AsyncSession, Depends(get_session)]


@app.get("/api/v1/products", response_model=list[ProductView])
@limiter.limit(ENOUGH)
async def list_products(request: Request, user: Signed) -> Any:
    found = cache.get("products")
    if found is None:
        found = cache["products"] = [ProductView(**rows.product(number)) for number in range(rows.SHELF)]
    return found


@app.get("/api/v1/orders/{order_id}", response_model=OrderView)
@limiter.limit(ENOUGH)
async def get_order(request: Request, order_id: UUID, user: Signed, session: Session) -> Any:
    order = await tables.read(session, order_id)
    if order is None:
        raise HTTPException(404)
    return order


@app.post("/api/v1/orders", response_model=OrderView, status_code=201)
@limiter.limit(ENOUGH)
async def place_order(request: Request, data: PlaceOrder, user: Signed, session: Session) -> Any:
    wanted = [(line.product_id, line.quantity) for line in data.lines]
    try:
        order = await tables.place(session, user.tenant_id, user.id, user.name, wanted)
    except tables.ShelfEmpty:
        raise HTTPException(409) from None
    await session.commit()
    return order
