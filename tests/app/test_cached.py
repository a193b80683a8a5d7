"""Cached reads of an app: what they are kept by, and what a commit, a rollback and a race do to them."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text

from groundplan.app import App, Context, Feature, cached
from groundplan.core.errors import ConfigurationError, Conflict, NotFound, TransactionOpen, Unauthenticated
from groundplan.data.database.sql import Sql
from groundplan.security.principal import Tenant, User
from groundplan.testing.app import RunningApp, a_user, running, until
from groundplan.testing.postgres import DatabaseUrls

pytestmark = pytest.mark.anyio

ADD = Sql("INSERT INTO queues (name, paused) VALUES (:name, 0)")
UNSCOPED = {"unscoped": True}


class Name(msgspec.Struct):
    name: str
    refused: bool = False


class Names:
    """A tiny app with a list of names, that notes which units of work its reads ran in, and can hold them up."""

    def __init__(self) -> None:
        self.ran = list[Context]()
        self.gate = asyncio.Event()
        self.gate.set()
        feature = Feature("tiny", owner="tests")

        @feature.get("/names", public=True)
        @cached(ttl=60, tags=["names"])
        async def list_names(ctx: Context, prefix: str = "") -> list[str]:
            """The names there are."""
            found = await ctx.db.execute(text("SELECT name FROM queues ORDER BY name"), execution_options=UNSCOPED)
            names = [row.name for row in found if row.name.startswith(prefix)]
            self.ran.append(ctx)
            await self.gate.wait()
            return names

        @feature.post("/names", public=True)
        async def add_name(ctx: Context, data: Name) -> list[str]:
            await ctx.tx.execute(ADD, name=data.name)
            await ctx.cache.invalidate(tags=["names"])
            if data.refused:
                raise Conflict("Not this one.")
            return await list_names(ctx)

        self.list, self.add = list_names, add_name
        self.app = App("tiny", features=[feature], roles={}, package="groundplan.testing")


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def app(names: Names, tmp_path: Path, migrated_urls: DatabaseUrls) -> AsyncIterator[RunningApp]:
    async with running(
        names.app, tmp_path, role="api", owner_url=migrated_urls.owner, DATABASE_URL=migrated_urls.app
    ) as app:
        yield app


async def test_the_function_stays_what_it_was(app: RunningApp, names: Names) -> None:
    assert (names.list.__name__, names.list.__doc__) == ("list_names", "The names there are.")
    assert list(inspect.signature(names.list).parameters) == ["ctx", "prefix"]
    for _ in range(2):
        assert (await app.client.get("/api/v1/names?prefix=a")).json() == []
        assert await app.context().api(names.list, prefix="a") == []
        assert await names.list(app.context(), "a") == []
    assert len(names.ran) == 1
    assert await app.context().api(names.list) == []
    assert len(names.ran) == 2


async def test_a_write_forgets_what_it_changed_once_it_has_committed(app: RunningApp, names: Names) -> None:
    assert await app.context().api(names.list) == []
    ctx = app.context()
    async with ctx.transaction():
        await ctx.tx.execute(ADD, name="one")
        await ctx.cache.invalidate(tags=["names"])
        await asyncio.create_task(others_read(app, names, []))
        assert len(names.ran) == 1, "before the commit, nothing is forgotten"
        assert await names.list(ctx) == ["one"], "inside a transaction the function itself runs"
    assert await app.context().api(names.list) == ["one"]
    assert await app.context().api(names.add, data=Name("two")) == ["one", "two"]
    assert await app.context().api(names.list) == ["one", "two"]


async def test_a_rollback_forgets_nothing(app: RunningApp, names: Names) -> None:
    assert await app.context().api(names.list) == []
    with pytest.raises(Conflict):
        await app.context().api(names.add, data=Name("one", refused=True))

    assert await app.context().api(names.list) == []
    assert len(names.ran) == 1


async def test_a_read_that_began_before_the_commit_is_not_kept(app: RunningApp, names: Names) -> None:
    names.gate.clear()
    before = asyncio.create_task(app.context().api(names.list))
    await until(lambda: len(names.ran) == 1)
    ctx = app.context()
    async with ctx.transaction():
        await ctx.tx.execute(ADD, name="one")
        await ctx.cache.invalidate(tags=["names"])
    names.gate.set()

    assert await before == []
    assert await app.context().api(names.list) == ["one"]


async def test_tenants_never_share(app: RunningApp, names: Names) -> None:
    other = Tenant(id=uuid4(), slug="other", name="Other", host="other.localhost", brand="")
    for _ in range(2):
        for tenant in (app.tenant, other):
            await app.context(tenant=tenant).api(names.list)
    assert [ctx.tenant.slug for ctx in names.ran] == ["tiny", "other"]


async def test_no_other_transaction_may_be_open(app: RunningApp, names: Names) -> None:
    ctx, other = app.context(), app.context()
    async with ctx.transaction():
        with pytest.raises(TransactionOpen):
            await names.list(other)
        with pytest.raises(TransactionOpen):
            await other.cache.invalidate(tags=["names"])


async def others_read(app: RunningApp, names: Names, expected: list[str]) -> None:
    """As a request of its own would, which knows nothing of the caller's transaction."""
    from groundplan.core.context import RequestContext, entered

    with entered(RequestContext()):
        assert await app.context().api(names.list) == expected


class Calls:
    """Cached functions without a database, and how often they ran."""

    def __init__(self) -> None:
        self.seen = list[Any]()

        @cached(ttl=60, user=True)
        async def mine(ctx: Context, number: int) -> str:
            self.seen.append(ctx.user)
            return f"{ctx.user.name if ctx.user else ''} {number}"

        @cached(ttl=60, key=lambda a, b: f"{a}", tags=lambda a, b: [f"tag {a}"], when=lambda a, b: b != 0)
        async def chosen(ctx: Context, a: int, b: int) -> int:
            self.seen.append((a, b))
            return a + b

        @cached(ttl=0.02, stale=600)
        async def stale(ctx: Context) -> int:
            self.seen.append(ctx)
            return len(self.seen)

        @cached(ttl=60, negative=30)
        async def missing(ctx: Context, number: int) -> int:
            self.seen.append(number)
            raise NotFound(f"There is no {number}.")

        @cached(ttl=60)
        async def untyped(ctx: Context):  # type: ignore[no-untyped-def]
            return 1

        self.mine, self.chosen, self.stale, self.missing, self.untyped = mine, chosen, stale, missing, untyped


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running(Names().app, tmp_path, role="api") as app:
        yield app


async def test_users_have_their_own(bare: RunningApp) -> None:
    calls, una = Calls(), a_user(bare.tenant)
    ugo = User(id=uuid4(), tenant_id=bare.tenant.id, email="ugo@tiny.example", name="Ugo", roles=())
    for _ in range(2):
        assert [await calls.mine(bare.context(user=user), 1) for user in (una, ugo)] == ["Una 1", "Ugo 1"]
    assert len(calls.seen) == 2
    with pytest.raises(Unauthenticated):
        await calls.mine(bare.context(), 1)


async def test_keys_tags_and_conditions_may_follow_from_the_arguments(bare: RunningApp) -> None:
    calls, ctx = Calls(), bare.context()
    assert [await calls.chosen(ctx, 1, 5), await calls.chosen(ctx, a=1, b=7), await calls.chosen(ctx, 2, 5)] == [
        6,
        6,
        7,
    ]
    assert [await calls.chosen(ctx, 1, 0), await calls.chosen(ctx, 1, 0)] == [1, 1]
    await ctx.cache.invalidate(tags=["tag 1"])
    assert [await calls.chosen(ctx, 1, 7), await calls.chosen(ctx, 2, 7)] == [8, 7]
    await ctx.cache.invalidate("2")
    assert await calls.chosen(ctx, 2, 7) == 9
    assert calls.seen == [(1, 5), (2, 5), (1, 0), (1, 0), (1, 7), (2, 7)]


async def test_a_stale_answer_is_made_anew_in_a_unit_of_work_of_its_own(bare: RunningApp) -> None:
    calls, ctx = Calls(), bare.context()
    assert await calls.stale(ctx) == 1

    async def made_anew() -> bool:
        return await calls.stale(ctx) > 1

    await until(made_anew)
    assert ctx is calls.seen[0]
    assert all(other is not ctx and other.tenant == ctx.tenant for other in calls.seen[1:])


async def test_what_was_not_found_is_kept_where_asked(bare: RunningApp) -> None:
    calls = Calls()
    for number in (1, 1, 2, 2):
        with pytest.raises(NotFound, match=f"There is no {number}"):
            await calls.missing(bare.context(), number)
    assert calls.seen == [1, 2]


async def test_without_a_return_type_it_is_refused(bare: RunningApp) -> None:
    with pytest.raises(ConfigurationError, match="needs a return type"):
        await cast(Any, partial(Calls().untyped, bare.context()))()
