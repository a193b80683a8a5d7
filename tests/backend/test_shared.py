"""Replies that others may keep: validators, 304, and nothing personal in them, ever."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from groundplan.app import App, Context, Feature, Page, Public, Redirect
from groundplan.core.errors import ConfigurationError, NotFound
from groundplan.data.database.sql import Sql
from groundplan.testing.app import RunningApp, running
from groundplan.wiring import assemble

pytestmark = pytest.mark.anyio

SHORT = Public(seconds=60, stale=30)
PUBLIC = "public, max-age=60, stale-while-revalidate=30"
PRIVATE = "private, no-store"


def tiny() -> App:
    feature = Feature("tiny", owner="tests")
    made = dict.fromkeys(("read", "page"), 0)

    @feature.get("/made", public=True, cache=SHORT)
    async def read(ctx: Context, who: str = "") -> str:
        made["read"] += 1
        return f"{made['read']} for {ctx.tenant.slug}"

    @feature.page("/", public=True, cache=SHORT)
    async def home(ctx: Context) -> Page:
        return Page("errors/error.html", problem={"status": 200, "title": "Home", "detail": "", "request_id": ""})

    @feature.page("/moved", public=True, cache=SHORT)
    async def moved(ctx: Context) -> Redirect:
        return Redirect("/")

    @feature.page("/welcome", public=True, cache=SHORT)
    async def welcome(ctx: Context) -> Page:
        if ctx.request is not None:
            ctx.request.set_cookie("seen", "yes", max_age=60)
        return await home(ctx)

    @feature.get("/missing", public=True, cache=SHORT)
    async def missing(ctx: Context) -> str:
        raise NotFound("There is no such thing.")

    return App("tiny", features=[feature], roles={}, package="groundplan.testing")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running(tiny(), tmp_path) as app:
        yield app


async def get(app: RunningApp, path: str, **headers: str) -> Any:
    return await app.client.get(path, headers=headers)


async def test_everybody_gets_the_same_and_may_keep_it(app: RunningApp) -> None:
    first, second = await get(app, "/api/v1/made"), await get(app, "/api/v1/made")
    assert first.text == second.text == '"1 for tiny"'
    for reply in (first, second):
        assert reply.headers["cache-control"] == PUBLIC
        assert reply.headers["vary"] == "Cookie, Authorization"
        assert reply.headers["etag"] == first.headers["etag"]
        assert reply.headers["last-modified"] == first.headers["last-modified"]
    assert (await get(app, "/api/v1/made?who=else")).text == '"2 for tiny"', "the query is part of the address"
    assert (await app.client.head("/api/v1/made")).headers["etag"] == first.headers["etag"]


async def test_who_has_it_already_gets_no_body(app: RunningApp) -> None:
    first = await get(app, "/")
    etag, at = first.headers["etag"], first.headers["last-modified"]
    for headers in (
        {"if-none-match": etag},
        {"if-none-match": f'"other", W/{etag}'},
        {"if-none-match": "*"},
        {"if-modified-since": at},
    ):
        reply = await get(app, "/", **headers)
        assert (reply.status_code, reply.content) == (304, b""), headers
        assert (reply.headers["etag"], reply.headers["cache-control"]) == (etag, PUBLIC)
    for headers in (
        {"if-none-match": '"other"'},
        {"if-none-match": '"other"', "if-modified-since": at},
        {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-modified-since": "yesterday"},
    ):
        assert (await get(app, "/", **headers)).status_code == 200, headers


@pytest.mark.parametrize("personal", [{"cookie": "basket=1"}, {"cookie": "session=unknown"}])
async def test_whoever_brings_a_cookie_gets_their_own(app: RunningApp, personal: dict[str, str]) -> None:
    shared = await get(app, "/api/v1/made")
    own = await get(app, "/api/v1/made", **personal)
    assert (own.text, own.headers["cache-control"]) == ('"2 for tiny"', PRIVATE)
    assert "etag" not in own.headers
    unmodified = await get(app, "/api/v1/made", **personal, **{"if-none-match": shared.headers["etag"]})
    assert unmodified.status_code == 200


async def test_a_token_makes_it_personal(app: RunningApp) -> None:
    account = {"email": "una@tiny.example", "name": "Una", "password": "a password of many words"}
    assert (await app.client.post("/api/v1/accounts", json=account)).status_code == 201
    del account["name"]
    token = (await app.client.post("/api/v1/sessions", json=account)).json()["token"]
    app.client.cookies.clear()
    own = await get(app, "/api/v1/made", authorization=f"Bearer {token}")
    assert (own.status_code, own.headers["cache-control"]) == (200, PRIVATE)


async def test_what_sets_a_cookie_is_never_shared(app: RunningApp) -> None:
    reply = await get(app, "/welcome")
    assert "seen=yes" in reply.headers["set-cookie"]
    assert reply.headers["cache-control"] == PRIVATE


async def test_a_kept_page_has_no_nonce_and_others_do(app: RunningApp) -> None:
    shared = await get(app, "/")
    assert 'nonce=""' in shared.text and "script-src 'self'" in shared.headers["content-security-policy"]
    own = await get(app, "/", cookie="basket=1")
    assert 'nonce=""' not in own.text and "'nonce-" in own.headers["content-security-policy"]


async def test_redirects_and_refusals_are_not_kept(app: RunningApp) -> None:
    for path, status in (("/moved", 303), ("/api/v1/missing", 404)):
        for _ in range(2):
            reply = await get(app, path)
            assert (reply.status_code, reply.headers["cache-control"]) == (status, PRIVATE)


async def test_tenants_do_not_share(app: RunningApp) -> None:
    await app.services.database.execute(
        Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
            VALUES ('0190a0e4-0000-7000-8000-000000000002', 'other', 'Other', 'other.localhost', '', NOW)""")
    )
    one = await get(app, "/api/v1/made", host="tiny.localhost")
    two = await get(app, "/api/v1/made", host="other.localhost")
    assert (one.text, two.text) == ('"1 for tiny"', '"2 for other"')


@pytest.mark.parametrize(("method", "options"), [("get", {"permission": "x"}), ("page", {"permission": "x"})])
def test_only_what_is_public_may_be_kept(method: str, options: dict[str, str]) -> None:
    feature = Feature("tiny", owner="tests")

    @getattr(feature, method)("/mine", cache=SHORT, **options)
    async def mine(ctx: Context) -> Page:
        return Page("errors/error.html")

    with pytest.raises(ConfigurationError, match="public=True"):
        assemble(App("tiny", features=[feature], roles={}, package="groundplan.testing"))
