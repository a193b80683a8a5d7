"""The whole platform in this process, without a socket and without a worker, and people who use its console."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from groundplan.app import Context
from groundplan.app.calls import Calls
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.ids import uuid7
from groundplan.data.database.sql import Sql
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.claims import Claims
from groundplan.messaging.delivery.deliveries import Deliveries, Failure
from groundplan.security.principal import User
from groundplan.security.sessions import Sessions
from groundplan.settings import load
from groundplan.telemetry import RequestRecord
from groundplan.testing.postgres import DatabaseUrls, PostgresServer
from groundplan.wiring import Process, build
from shop.app import app
from shop.orders.events import OrderPaid
from tests.console.samples import spans_of
from tests.databases import Templates, copy_of

HANDLER = "orders.send_receipt"


class House:
    """``operator`` may do everything, ``customer`` nothing of the console's, ``visitor`` is not signed in."""

    def __init__(self, process: Process) -> None:
        self.services = process.services
        self.telemetry = next(part for part in process.parts if isinstance(part, TelemetryStore))
        self.tenant_id = uuid4()
        self._application = process.application
        self._browsers: list[httpx2.AsyncClient] = []
        self.visitor = self._browser()
        self.operator: httpx2.AsyncClient
        self.customer: httpx2.AsyncClient

    async def people(self) -> None:
        now = self.services.clock.now()
        async with self.services.database.transaction(None) as transaction:
            await transaction.execute(_TENANT, id=self.tenant_id, now=now)
            for role in ("operator", "customer"):
                user = User(
                    id=uuid7(), tenant_id=self.tenant_id, email=f"{role}@n.example", name=role.title(), roles=(role,)
                )
                await transaction.execute(
                    _USER, id=user.id, tenant_id=self.tenant_id, email=user.email, name=user.name, role=role, now=now
                )
                session = await self.services.registry[Sessions].open(transaction, user, "browser")
                setattr(self, role, self._browser(session.token))

    async def dead_letter(self, *, email: str = "mara@@n.example", reason: str = "invalid") -> UUID:
        """A receipt that gave up."""
        tenant = await self.services.tenants.by_id(self.tenant_id)
        context = Context(self.services, Calls(self.services), tenant=tenant, system=True)
        async with context.transaction():
            context.publish(OrderPaid(order_id=uuid4(), number="NM-1", email=email, total_cents=27))
        database = self.services.database
        (delivery,) = await Claims(database, lease=30, worker="test").claim({HANDLER: 1}, 1)
        now = self.services.clock.now()
        failure = Failure(
            started_at=now,
            ended_at=now,
            error="InvalidPayload",
            detail="<b>not</b> an address",
            stack="Traceback: <script>",
            trace_id="",
            worker="test",
        )
        async with database.transaction(None) as transaction:
            await Deliveries(database).bury(transaction, delivery, failure, reason=reason)
        return delivery.id

    async def waiting(self) -> list[Any]:
        """The payloads and ids of what is ready to run."""
        return await self.services.database.execute(_READY)

    async def audited(self) -> list[tuple[str, str]]:
        rows = await self.services.database.execute(_AUDIT)
        return [(row.action, row.actor) for row in rows]

    async def audit_rows(self) -> list[Any]:
        return await self.services.database.execute(_AUDIT)

    async def due(self) -> list[Any]:
        """When each message is due, in microseconds since the first."""
        return await self.services.database.execute(_DUE)

    @property
    def dead_letters(self) -> DeadLetters:
        found: DeadLetters = self.services.registry[DeadLetters]
        return found

    def keep(self, done: RequestRecord, **more: Any) -> None:
        self.telemetry.requests([done])
        self.telemetry.spans(spans_of(done, **more))
        assert self.telemetry.flush()

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.aclose()

    def _browser(self, session: str = "") -> httpx2.AsyncClient:
        browser = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self._application),
            base_url="http://localhost",
            headers={"origin": "http://localhost"},
            cookies={"session": session} if session else {},
        )
        self._browsers.append(browser)
        return browser


async def _opened(folder: Path, urls: DatabaseUrls) -> AsyncIterator[House]:
    environment = {"APP_ENV": "ci", "SECRET_KEY": "a secret of this test only", "LOG_LEVEL": "error"}
    addresses = {"DATABASE_URL": urls.app, "DATABASE_MIGRATE_URL": urls.owner}
    settings = load(root=folder, environ=environment | addresses).settings
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    process = build(settings, app, "all")
    parts = [part for part in process.parts if type(part).__name__ != "WorkerPart"]
    for part in parts:
        await part.open()
    house = House(process)
    await house.people()
    yield house
    await house.close()
    for part in reversed(parts):
        await part.close()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
async def house(tmp_path: Path, shop_templates: Templates, postgres: PostgresServer) -> AsyncIterator[House]:
    async for opened in _opened(tmp_path, copy_of("sqlite", shop_templates, tmp_path, postgres)):
        yield opened


@pytest.fixture
async def house_on_each_engine(tmp_path: Path, shop_urls: DatabaseUrls) -> AsyncIterator[House]:
    async for opened in _opened(tmp_path, shop_urls):
        yield opened


_TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, 'north', 'North Market', 'n.example', '', :now)""")
_USER = Sql("""INSERT INTO users (id, tenant_id, email, name, password_hash, roles, created_at)
    VALUES (:id, :tenant_id, :email, :name, '', :role, :now)""")
_READY = Sql("SELECT id, CAST(payload AS TEXT) AS payload FROM deliveries WHERE state = 'ready' ORDER BY run_at")
_DUE = Sql(
    postgresql="""SELECT CAST(EXTRACT(EPOCH FROM run_at - MIN(run_at) OVER ()) * 1000000 AS bigint) AS run_at
        FROM deliveries ORDER BY run_at""",
    sqlite="SELECT run_at FROM deliveries ORDER BY run_at",
)
_AUDIT = Sql("SELECT action, actor, CAST(detail AS TEXT) AS detail FROM audit_log ORDER BY at, id")
