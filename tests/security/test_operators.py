"""The console shows every tenant, so only one tenant's people may use it, whatever their roles say."""

from pathlib import Path
from uuid import uuid4

import pytest

from groundplan.app import App
from groundplan.data.database.sql import Sql
from groundplan.security.principal import Tenant, User
from groundplan.testing.app import RunningApp, running

pytestmark = pytest.mark.anyio

TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, 'other', 'Other', 'other.localhost', '', NOW)""")


def tiny() -> App:
    return App("tiny", features=[], roles={"operator": ["*"]}, package="groundplan.testing")


async def _may(app: RunningApp, slug: str) -> tuple[bool, bool]:
    """Whether an operator of that tenant may read the console, and do anything else."""
    found: Tenant | None = None
    while found is None:
        found = await app.services.tenants.by_slug(slug)
    user = User(id=uuid4(), tenant_id=found.id, email="o@x.example", name="O", roles=("operator",))
    context = app.context(tenant=found, user=user)
    return context.can("console:read"), context.can("orders:read-all")


@pytest.mark.parametrize(
    ("environment", "tiny_may", "other_may"),
    [
        ({}, True, False),
        ({"OPERATOR_TENANT": "other"}, False, True),
        ({"APP_ENV": "staging", "PUBLIC_URL": "https://x.example"}, False, False),
    ],
)
async def test_who_operates(tmp_path: Path, environment: dict[str, str], tiny_may: bool, other_may: bool) -> None:
    async with running(tiny(), tmp_path, role="all", owner_url="", **environment) as app:
        await app.services.database.execute(TENANT, id=uuid4())
        assert await _may(app, "tiny") == (tiny_may, True)
        assert await _may(app, "other") == (other_may, True)
        assert app.context(system=True).can("console:read")
