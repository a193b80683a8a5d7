"""Two small stores on a real database, with the app room put together around them: no HTTP, no worker."""

import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.app import Context
from groundplan.app.application import Assembly
from groundplan.app.calls import Calls
from groundplan.app.faults import Faults
from groundplan.app.idempotency import Idempotency
from groundplan.app.request import Request
from groundplan.app.services import Services
from groundplan.core.clock import SystemClock
from groundplan.core.errors import Unauthenticated
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.read_through import Cache
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.objects.folder import FolderStore
from groundplan.data.objects.port import Objects
from groundplan.data.objects.signing import UrlSigner
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.integrations.mail.port import Mail, Message, Sent
from groundplan.integrations.payments.port import Charge, Checkout, PaymentEvent, Payments
from groundplan.messaging.outbox import Outbox
from groundplan.messaging.progress import ProgressBoard
from groundplan.security.audit import AuditLog
from groundplan.security.principal import Tenant, User
from groundplan.security.tenants import Tenants
from groundplan.security.users import Users
from groundplan.testing.postgres import DatabaseUrls
from groundplan.wiring import search_in
from shop.app import app
from shop.catalog import INDEX, Product, document_of
from tests.databases import opened


class FakeGateway:
    """Opens payments and believes callbacks that are the event's JSON."""

    def __init__(self) -> None:
        self.opened: dict[str, Charge] = {}

    async def create(self, charge: Charge, key: str) -> Checkout:
        self.opened[key] = charge
        return Checkout(f"pay-{key}", f"https://gateway.example/{key}")

    def verify(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        try:
            return msgspec.json.decode(body, type=PaymentEvent)
        except msgspec.MsgspecError as error:
            raise Unauthenticated("Not the gateway.") from error


class FakeTransport:
    def __init__(self) -> None:
        self.sent: dict[str, Message] = {}

    async def send(self, message: Message, key: str) -> Sent:
        self.sent.setdefault(key, message)
        return Sent(f"mail-{key}")


class Stores:
    """Northside and Riverside, each with a customer, another customer and a member of staff, and what they do."""

    def __init__(self, database: Database, folder: Path) -> None:
        clock = SystemClock()
        assembly = Assembly(app, [])
        overrides = Overrides(database, clock)
        flags = Flags('{"flags": {}}', overrides)
        self.gateway, self.mail, self.facts = FakeGateway(), FakeTransport(), list[str]()
        self.objects = Objects(FolderStore(folder / "objects", UrlSigner(b"key", clock)))
        self.database = database
        self.northside = Tenant(id=uuid4(), slug="northside", name="Northside Market", host="n.example", brand="")
        self.riverside = Tenant(id=uuid4(), slug="riverside", name="Riverside Grocer", host="r.example", brand="")
        services = Services(
            assembly=assembly,
            settings=cast(Any, SimpleNamespace(env="ci")),
            clock=clock,
            log=SimpleNamespace(error=lambda *_, **__: None),
            database=database,
            cache=Cache(
                MemoryCache(clock, max_entries=1000, max_bytes=10_000_000), app="t", version="1", random=random
            ),
            objects=self.objects,
            search=search_in(database),
            mail=Mail(cast(Any, self.mail)),
            payments=Payments(cast(Any, self.gateway)),
            analytics=cast(Any, SimpleNamespace(track=lambda name, **rest: self.facts.append(name))),
            flags=flags,
            overrides=overrides,
            faults=Faults(assembly.faults, flags, overrides, allowed=True),
            outbox=Outbox(database, assembly.handlers, clock),
            audit=AuditLog(clock),
            tenants=Tenants(database, clock),
            users=Users(database, clock),
            idempotency=Idempotency(database.dialect),
            registry={ProgressBoard: ProgressBoard(database)},
        )
        self.services, self.calls = services, Calls(services)
        self.people: dict[str, User] = {}

    async def open(self) -> None:
        await self.objects.store.open()
        async with self.database.transaction(None) as transaction:
            await self.services.outbox.subscribe(transaction)
            for tenant in (self.northside, self.riverside):
                await transaction.execute(_TENANT, **msgspec.structs.asdict(tenant), now=self.services.clock.now())
        for tenant in (self.northside, self.riverside):
            for name, role in (("mara", "customer"), ("otto", "customer"), ("sam", "staff")):
                email = f"{name}@{tenant.slug}.example"
                self.people[email] = User(id=uuid4(), tenant_id=tenant.id, email=email, name=name, roles=(role,))

    def visitor(self, tenant: Tenant | None = None, request: Request | None = None) -> Context:
        return Context(self.services, self.calls, tenant=tenant or self.northside, request=request)

    def as_(self, name: str, tenant: Tenant | None = None, *, key: str | None = None) -> Context:
        """A request of ``mara``, ``otto`` or ``sam``, with an idempotency key of its own unless one is given."""
        tenant = tenant or self.northside
        user = self.people[f"{name}@{tenant.slug}.example"]
        return Context(self.services, self.calls, tenant=tenant, user=user, idempotency_key=key or uuid4().hex)

    def worker(self, tenant: Tenant | None = None, *, message_id: UUID | None = None) -> Context:
        """As a handler gets it."""
        return Context(
            self.services,
            self.calls,
            tenant=tenant or self.northside,
            system=True,
            message_id=message_id or uuid4(),
            handler="shop.test",
        )

    async def product(self, title: str = "Bananas", *, tenant: Tenant | None = None, **values: Any) -> UUID:
        tenant = tenant or self.northside
        known = {
            "id": uuid4(),
            "sku": uuid4().hex,
            "brand": "Unbranded",
            "size": "per lb",
            "department": "produce",
            "price_cents": 95,
            "unit_price": "95.0¢ / lb",
            "stock": 100,
            "bought": 0,
        }
        product = Product(title=title, **known | values)
        async with self.database.transaction(tenant.id) as transaction:
            transaction.session.add(product)
            index = self.services.search.bind(tenant.id, transaction.session, writes=True)
            await index.index(INDEX, [document_of(product)])
        return product.id

    async def stock(self, product_id: UUID) -> int:
        (row,) = await self.rows("SELECT stock FROM products WHERE id = :id", id=product_id)
        return int(row.stock)

    async def rows(self, text: str, *, tenant: Tenant | None = None, **values: Any) -> list[Any]:
        async with self.database.transaction((tenant or self.northside).id) as transaction:
            return await transaction.execute(Sql(text), **values)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is turned away for want of a connection because the machine is busy."""
    monkeypatch.setattr("groundplan.data.database.database.PATIENCE_SECONDS", 60.0)


@pytest.fixture
async def database(shop_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Migrated and empty, once on each engine, used as the application's role."""
    async with opened(shop_urls.app) as database:
        yield database


@pytest.fixture
async def stores(database: Database, tmp_path: Path) -> Stores:
    stores = Stores(database, tmp_path)
    await stores.open()
    return stores


_TENANT = Sql("""
    INSERT INTO tenants (id, slug, name, host, brand, created_at) VALUES (:id, :slug, :name, :host, :brand, :now)
""")
