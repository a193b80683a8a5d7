"""Write routes over HTTP: one transaction, one effect for one key, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundplan.app import App, Context, Event, Feature
from groundplan.app.idempotency_keys import KEEP_SECONDS, IdempotencyKeys
from groundplan.core.errors import ConfigurationError, Conflict, Misuse, TransactionOpen
from groundplan.data.database.sql import Sql
from groundplan.testing.app import RunningApp, running
from groundplan.testing.postgres import DatabaseUrls
from groundplan.wiring import assemble

pytestmark = pytest.mark.anyio

NOTE = Sql("INSERT INTO queues (name, paused) VALUES (:name, 0)")


class Noted(Event, frozen=True, kw_only=True):
    name: str


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    then: str = ""


def tiny() -> App:
    feature = Feature("tiny", owner="tests")

    async def noted(ctx: Context, data: Note) -> None:
        await ctx.tx.execute(NOTE, name=data.name)
        ctx.publish(Noted(name=data.name))
        ctx.audit("note.add", data.name, password="hush")

    @feature.post("/notes", public=True, idempotent=True)
    async def add_note(ctx: Context, data: Note) -> Note:
        await noted(ctx, data)
        if data.then == "refuse":
            raise Conflict("Not this one.")
        if data.then == "break":
            raise LookupError("secret detail")
        return data

    @feature.post("/nested", public=True, transaction=False)
    async def add_two(ctx: Context, data: Note) -> Note:
        await ctx.api(add_note, data=Note(name=f"{data.name}-1"))
        await ctx.api(add_note, data=Note(name=f"{data.name}-2"))
        return data

    @feature.post("/wrong", public=True)
    async def call_inside(ctx: Context, data: Note) -> Note:
        return await ctx.api(add_note, data=data)

    @feature.get("/sneaky", public=True)
    async def write_while_reading(ctx: Context) -> None:
        ctx.publish(Noted(name="no"))

    @feature.page("/page", public=True)
    async def page_with_database(ctx: Context) -> Any:
        return ctx.db

    @feature.post("/locked", permission="locks:turn")
    async def locked(ctx: Context, data: Note) -> Note:
        return data

    return App("tiny", features=[feature], roles={"staff": ["locks:turn"]}, package="groundplan.testing")


@pytest.fixture
async def app(tmp_path: Path, migrated_urls: DatabaseUrls) -> AsyncIterator[RunningApp]:
    async with running(
        tiny(), tmp_path, role="all", owner_url=migrated_urls.owner, DATABASE_URL=migrated_urls.app
    ) as app:
        yield app


async def _post(app: RunningApp, path: str, body: Any, key: str | None = None) -> Any:
    headers = {"idempotency-key": key} if key is not None else {}
    return await app.client.post(f"/api/v1{path}", json=body, headers=headers)


async def test_state_event_and_audit_commit_together_or_not_at_all(app: RunningApp) -> None:
    for then, status in (("refuse", 409), ("break", 500)):
        refused = await _post(app, "/notes", {"name": "a", "then": then}, "k")
        assert refused.status_code == status
        assert "secret detail" not in refused.text
    for table in ("queues", "events", "audit_log", "idempotency"):
        assert await app.rows(table) == 0
    assert (await _post(app, "/notes", {"name": "a"}, "k")).status_code == 201, "what failed did not use the key up"
    for table in ("queues", "events", "audit_log", "idempotency"):
        assert await app.rows(table) == 1
    (row,) = await app.services.database.execute(Sql("SELECT CAST(detail AS TEXT) AS detail FROM audit_log"))
    assert "hush" not in row.detail


async def test_what_each_use_of_a_key_answers(app: RunningApp) -> None:
    first = await _post(app, "/notes", {"name": "a"}, "k")
    again = await _post(app, "/notes", {"then": "", "name": "a"}, "k")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await _post(app, "/notes", {"name": "b"}, "k")
    assert (other.status_code, other.json()["code"]) == (422, "IdempotencyKeyReused")
    missing = await _post(app, "/notes", {"name": "b"})
    assert missing.status_code == 400
    for key in ("", "x" * 256):
        assert (await _post(app, "/notes", {"name": "b"}, key)).status_code == 400
    assert await app.rows("queues") == 1


async def test_fifty_at_once_are_one(app: RunningApp) -> None:
    answers = await asyncio.gather(*(_post(app, "/notes", {"name": "a"}, "k") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await app.rows("queues") == 1


async def test_nested_writes_have_keys_of_their_own(app: RunningApp) -> None:
    assert (await _post(app, "/nested", {"name": "n"}, "outer")).status_code == 201
    assert await app.rows("queues") == 2
    assert (await _post(app, "/nested", {"name": "n"}, "outer")).status_code == 201
    assert await app.rows("queues") == 2, "repeating the outer request repeats nothing inside"


async def test_calling_out_of_a_transaction_is_refused(app: RunningApp) -> None:
    assert (await _post(app, "/wrong", {"name": "a"}, "k")).status_code == 500
    context = app.context(system=True)
    async with context.transaction():
        with pytest.raises(TransactionOpen):
            await context.api(_anything)


async def _anything(ctx: Context) -> None:
    """Not a route, and refused before that is noticed."""


async def test_reading_routes_and_pages_write_nothing(app: RunningApp) -> None:
    assert (await app.client.get("/api/v1/sneaky")).status_code == 500
    assert await app.rows("events") == 0
    assert (await app.client.get("/page")).status_code == 500
    page = app.context()
    page.render_page()
    with pytest.raises(Misuse, match=r"ctx\.api"):
        _ = page.db


async def test_permission_comes_before_the_body(app: RunningApp) -> None:
    refused = await app.client.post("/api/v1/locked", content=b"{nonsense")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_keys_are_swept_when_their_time_is_over(app: RunningApp) -> None:
    keys = app.services.registry[IdempotencyKeys]
    for key in ("old", "new"):
        await _post(app, "/notes", {"name": key}, key)
    await app.services.database.execute(
        Sql("UPDATE idempotency SET created_at = NOW - SECONDS(:past) WHERE key = 'old'"), past=KEEP_SECONDS + 1
    )
    await keys.sweep()  # as the worker does, at its start and every ten minutes
    assert [kept.key for kept in await keys.newest()] == ["new"]
    (kept,) = await keys.newest(key="new")
    assert (kept.status, kept.who, kept.route) == (201, "visitor", "POST /api/v1/notes")
    assert kept.reply == {"name": "new", "then": ""}


class Opened(msgspec.Struct):
    session_token: str


def test_a_reply_with_a_secret_is_never_stored() -> None:
    feature = Feature("tiny", owner="tests")

    @feature.post("/opened", public=True, idempotent=True)
    async def open_it(ctx: Context) -> Opened:
        return Opened("hush")

    with pytest.raises(ConfigurationError, match="session_token"):
        assemble(App("tiny", features=[feature], roles={}, package="groundplan.testing"))
