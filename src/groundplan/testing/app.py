"""An app put together in the test's process: routes through an ASGI client, handlers through a real worker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from groundplan.app import App, Context
from groundplan.app.calls import Calls
from groundplan.core.context import changed
from groundplan.data.database import migrate
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.security.principal import Tenant, User
from groundplan.settings import load
from groundplan.wiring import Process, Role, build, histories

PATIENCE_SECONDS = 20.0


class RunningApp:
    """``tenant`` answers on ``localhost``; ``client`` speaks HTTP to the app without a socket."""

    def __init__(self, process: Process, client: httpx2.AsyncClient, tenant: Tenant) -> None:
        self.services = process.services
        self.client = client
        self.tenant = tenant
        self.dead_letters: DeadLetters = process.services.registry[DeadLetters]
        self._calls = Calls(process.services)

    def context(
        self, *, tenant: Tenant | None = None, user: User | None = None, system: bool = False, **options: Any
    ) -> Context:
        """A unit of work of the tenant, or of another, as a route or a handler would get it."""
        return Context(self.services, self._calls, tenant=tenant or self.tenant, user=user, system=system, **options)

    async def rows(self, table: str) -> int:
        """How many rows a platform table holds."""
        return int((await self.services.database.execute(Sql(f"SELECT COUNT(*) AS n FROM {table}")))[0].n)

    async def until_rows(self, table: str, count: int) -> None:
        """Waits until a platform table holds so many rows."""

        async def reached() -> bool:
            return await self.rows(table) == count

        await until(reached)

    async def until_idle(self) -> None:
        """Waits until nothing is ready, leased, about to be retried, or at the broker."""
        stats = self.services.registry[QueueStats]

        async def idle() -> bool:
            for _ in range(2):  # a message may leave for the broker, or come home, between the two that are asked
                if any(row.ready + row.leased + row.retrying for row in await stats.read()):
                    return False
            return True

        await until(idle)


async def until(holds: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, given as a function that may be asynchronous. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            answer = holds()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    app: App, folder: Path, *, role: Role = "all", owner_url: str = "", **environment: str
) -> AsyncIterator[RunningApp]:
    """The app in ``folder``, on SQLite there unless DATABASE_URL says otherwise; migrated, with one tenant."""
    process = await prepared(app, folder, role, owner_url, environment)
    async with served(process, process.parts) as (client, tenant):
        yield RunningApp(process, client, tenant)


async def prepared(app: App, folder: Path, role: Role, owner_url: str, environment: Mapping[str, str]) -> Process:
    """Its database migrated, its process put together and not opened."""
    known = {"APP_ENV": "ci", "SECRET_KEY": "a secret for this test alone, long enough", **environment}
    settings = load(root=folder, environ=known).settings
    owner = owner_url or settings.database_url
    await migrate.upgrade(owner, histories(app), app_role=_role_of(settings.database_url))
    return build(settings, app, role)


@asynccontextmanager
async def served(process: Process, parts: Sequence[Any]) -> AsyncIterator[tuple[httpx2.AsyncClient, Tenant]]:
    """With ``parts`` open; what happens inside has the request id ``test``."""
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.open()
            stack.push_async_callback(part.close)
        tenant = await _tenant(process)
        transport = httpx2.ASGITransport(app=process.application)
        client = httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"origin": "http://localhost"}
        )
        await stack.enter_async_context(client)
        with changed(request_id="test"):
            yield client, tenant


def _role_of(url: str) -> str | None:
    return url.split("://")[1].split(":")[0] if url.startswith("postgresql") else None


async def _tenant(process: Process) -> Tenant:
    found = await process.services.database.execute(_FIND_TENANT)
    tenant_id = as_uuid(found[0].id) if found else uuid4()
    tenant = Tenant(id=tenant_id, slug="tiny", name="Tiny", host="tiny.localhost", brand="", operates=True)
    if found:
        return tenant
    await process.services.database.execute(
        _ADD_TENANT, id=tenant.id, slug=tenant.slug, name=tenant.name, host=tenant.host, brand=tenant.brand
    )
    return tenant


def a_user(tenant: Tenant, *roles: str) -> User:
    """A user of the tenant who needs no row: contexts take users as they are."""
    return User(id=UUID(int=7), tenant_id=tenant.id, email="una@tiny.example", name="Una", roles=roles)


_FIND_TENANT = Sql("SELECT id FROM tenants WHERE slug = 'tiny'")
_ADD_TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, :slug, :name, :host, :brand, NOW)""")
