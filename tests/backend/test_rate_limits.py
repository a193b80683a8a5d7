"""Limits over HTTP, in one process: who is counted with whom, what a reply tells, and what is never counted."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from groundplan.app import App, Context, Feature, Page, RateLimit
from groundplan.app.caching import Public
from groundplan.core.errors import ConfigurationError
from groundplan.testing.app import RunningApp, running

pytestmark = pytest.mark.anyio

PASSWORD = "a password of many words"
ONE, OTHER = {"x-forwarded-for": "203.0.113.1"}, {"x-forwarded-for": "203.0.113.2"}


def tiny() -> App:
    feature = Feature("tiny", owner="tests")

    @feature.get("/by-ip", public=True, limit=RateLimit("2/h", per="ip"))
    async def by_ip(ctx: Context) -> str:
        return "ip"

    @feature.get("/by-user", public=True, limit=RateLimit("2/h"))
    async def by_user(ctx: Context) -> str:
        return "user"

    @feature.get("/by-tenant", public=True, limit=RateLimit("2/h", per="tenant"))
    async def by_tenant(ctx: Context) -> str:
        return "tenant"

    @feature.get("/by-credential", public=True, limit=RateLimit("2/h", per="credential"))
    async def by_credential(ctx: Context) -> str:
        return "credential"

    @feature.get("/by-route", public=True, limit=RateLimit("2/h", per="route"))
    async def by_route(ctx: Context) -> str:
        return "route"

    @feature.post("/several", public=True, limit=[RateLimit("2/h", per="ip"), RateLimit("3/day", per="ip")])
    async def several(ctx: Context) -> str:
        return "several"

    @feature.put("/staff", permission="staff:only", limit=RateLimit("2/h", per="route"))
    async def staff_only(ctx: Context) -> str:
        return "staff"

    @feature.get("/kept", public=True, cache=Public(seconds=60))
    async def kept(ctx: Context) -> str:
        return "kept"

    @feature.get("/nested", public=True)
    async def nested(ctx: Context) -> str:
        return await ctx.api(by_ip)

    @feature.page("/page", public=True)
    async def page(ctx: Context) -> Page:
        problem = {"status": 200, "title": await ctx.api(by_ip), "detail": "", "request_id": ""}
        return Page("errors/error.html", problem=problem)

    @feature.webhook("bell")
    async def bell(ctx: Context, data: bytes) -> None:
        system = await ctx.for_tenant(ctx.tenant.id)
        await system.api(by_ip)

    return App("tiny", features=[feature], roles={"staff": ["staff:only"]}, package="groundplan.testing")


def app_with(folder: Path, **settings: str) -> AbstractAsyncContextManager[RunningApp]:
    return running(tiny(), folder, role="all", TRUSTED_PROXIES="127.0.0.1", **settings)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with app_with(tmp_path) as app:
        yield app


async def statuses(app: RunningApp, path: str, times: int, *, method: str = "GET", **options: Any) -> list[int]:
    return [(await app.client.request(method, path, **options)).status_code for _ in range(times)]


async def tokens(app: RunningApp, email: str, count: int) -> list[dict[str, str]]:
    """Headers of so many sessions of one new user."""
    account = {"email": email, "password": PASSWORD}
    assert (await app.client.post("/api/v1/accounts", json=account | {"name": "Una"})).status_code == 201
    opened = [await app.client.post("/api/v1/sessions", json=account) for _ in range(count)]
    return [{"authorization": f"Bearer {each.json()['token']}"} for each in opened]


def items(answer: httpx2.Response, header: str) -> dict[str, dict[str, int]]:
    """A structured field: the items of a list by their name, each with its parameters."""
    listed = re.findall(r'"([^"]+)"((?:;\w+=\d+)+)', answer.headers[header])
    assert ", ".join(f'"{name}"{rest}' for name, rest in listed) == answer.headers[header]
    return {name: {key: int(n) for key, n in re.findall(r";(\w+)=(\d+)", rest)} for name, rest in listed}


async def test_addresses_are_counted_apart(app: RunningApp) -> None:
    assert await statuses(app, "/api/v1/by-ip", 3, headers=ONE) == [200, 200, 429]
    assert await statuses(app, "/api/v1/by-ip", 3, headers=OTHER) == [200, 200, 429]
    made_up = {"x-forwarded-for": "192.0.2.77, 203.0.113.1"}
    assert await statuses(app, "/api/v1/by-ip", 1, headers=made_up) == [429]


async def test_users_are_counted_apart_and_visitors_by_address(app: RunningApp) -> None:
    una, again = await tokens(app, "una@tiny.example", 2)
    (ida,) = await tokens(app, "ida@tiny.example", 1)
    assert await statuses(app, "/api/v1/by-user", 2, headers=una | ONE) == [200, 200]
    assert await statuses(app, "/api/v1/by-user", 1, headers=again | OTHER) == [429]
    assert await statuses(app, "/api/v1/by-user", 3, headers=ida | ONE) == [200, 200, 429]
    assert await statuses(app, "/api/v1/by-user", 3, headers=ONE) == [200, 200, 429]
    assert await statuses(app, "/api/v1/by-user", 1, headers=OTHER) == [200]


async def test_credentials_are_counted_apart(app: RunningApp) -> None:
    una, again = await tokens(app, "una@tiny.example", 2)
    assert await statuses(app, "/api/v1/by-credential", 3, headers=una) == [200, 200, 429]
    assert await statuses(app, "/api/v1/by-credential", 3, headers=again) == [200, 200, 429]
    assert await statuses(app, "/api/v1/by-credential", 3, headers=ONE) == [200, 200, 429]
    await app.client.post("/sign-in", data={"email": "una@tiny.example", "password": PASSWORD})
    assert await statuses(app, "/api/v1/by-credential", 3) == [200, 200, 429]


@pytest.mark.parametrize("path", ["/api/v1/by-tenant", "/api/v1/by-route"])
async def test_all_share_what_is_not_counted_apart(app: RunningApp, path: str) -> None:
    (una,) = await tokens(app, "una@tiny.example", 1)
    assert await statuses(app, path, 1, headers=una) == [200]
    assert await statuses(app, path, 1, headers=ONE) == [200]
    assert await statuses(app, path, 1, headers=OTHER) == [429]


async def test_of_several_limits_each_is_kept(app: RunningApp) -> None:
    answers = [await app.client.post("/api/v1/several") for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 201, 429]
    names = ["tiny.several.ip.3600s", "tiny.several.ip.86400s"]
    assert list(items(answers[1], "ratelimit-policy"))[-2:] == names
    left = items(answers[1], "ratelimit")
    assert [left[name]["r"] for name in names] == [0, 1]
    assert answers[2].json()["violated-policies"] == names[:1]


async def test_who_may_not_does_not_count(app: RunningApp) -> None:
    assert await statuses(app, "/api/v1/staff", 4, method="PUT") == [401] * 4


async def test_what_a_reply_tells(app: RunningApp) -> None:
    answer = await app.client.get("/api/v1/by-ip")
    assert items(answer, "ratelimit-policy") == {"ip": {"q": 1200, "w": 60}, "tiny.by_ip.ip": {"q": 2, "w": 3600}}
    told = items(answer, "ratelimit")
    assert [(name, each["r"]) for name, each in told.items()] == [("ip", 1199), ("tiny.by_ip.ip", 1)]
    assert 54 <= told["ip"]["t"] <= 66 and 3240 <= told["tiny.by_ip.ip"]["t"] <= 3960
    (una,) = await tokens(app, "una@tiny.example", 1)
    assert list(items(await app.client.get("/api/v1/kept", headers=una), "ratelimit")) == ["ip", "user"]


async def test_what_a_refusal_tells_a_program(app: RunningApp) -> None:
    await statuses(app, "/api/v1/by-ip", 2)
    refused = await app.client.get("/api/v1/by-ip")
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert (problem["code"], problem["violated-policies"]) == ("RateLimited", ["tiny.by_ip.ip"])
    told = items(refused, "ratelimit")["tiny.by_ip.ip"]
    assert told["r"] == 0 and int(refused.headers["retry-after"]) == told["t"]
    assert f"Try again in {told['t']} s." in problem["detail"]


async def test_what_a_refusal_tells_people(app: RunningApp) -> None:
    await statuses(app, "/page", 2)
    refused = await app.client.get("/page", headers={"accept": "text/html"})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 3000
    assert "<h1>Too many requests</h1>" in refused.text and "Try again in" in refused.text


async def test_a_call_counts_once_however_it_comes(app: RunningApp) -> None:
    assert await statuses(app, "/page", 1) == [200]
    assert await statuses(app, "/api/v1/nested", 1) == [200]
    assert await statuses(app, "/api/v1/by-ip", 1) == [429]
    assert await statuses(app, "/api/v1/nested", 1) == [429]
    assert await statuses(app, "/api/v1/by-ip", 1, headers=OTHER) == [200]


async def test_our_own_work_is_not_counted(app: RunningApp) -> None:
    by_ip = next(route.function for route in app.services.assembly.routes if route.path == "/api/v1/by-ip")
    for _ in range(4):
        assert await app.context(system=True).api(by_ip) == "ip"


async def test_a_reply_that_is_shared_tells_nobodys_count(app: RunningApp) -> None:
    kept = await app.client.get("/api/v1/kept")
    assert "public" in kept.headers["cache-control"] and "ratelimit" not in kept.headers


async def test_the_door_counts_everything_of_an_address(tmp_path: Path) -> None:
    async with app_with(tmp_path, RATE_LIMIT_IP="3/h") as app:
        paths = ["/page", "/api/v1/kept", "/nothing", "/page"]
        assert [(await app.client.get(path, headers=ONE)).status_code for path in paths] == [200, 200, 404, 429]
        refused = await app.client.get("/api/v1/kept", headers=ONE)
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["ip"])
        assert await statuses(app, "/api/v1/kept", 1, headers=OTHER) == [200]


async def test_the_door_counts_a_user_wherever_they_are(tmp_path: Path) -> None:
    async with app_with(tmp_path, RATE_LIMIT_USER="3/h") as app:
        una, again = await tokens(app, "una@tiny.example", 2)
        (ida,) = await tokens(app, "ida@tiny.example", 1)
        assert await statuses(app, "/api/v1/kept", 2, headers=una | ONE) == [200, 200]
        assert await statuses(app, "/api/v1/kept", 2, headers=again | OTHER) == [200, 429]
        assert await statuses(app, "/api/v1/kept", 1, headers=ida | ONE) == [200]
        assert await statuses(app, "/api/v1/kept", 1, headers=ONE) == [200]


@pytest.mark.parametrize("assertion", ["made.up", ""])
async def test_nobody_passes_the_door_by_an_assertion_of_their_own(tmp_path: Path, assertion: str) -> None:
    async with app_with(tmp_path, RATE_LIMIT_IP="2/h") as app:
        headers = {"groundplan-assertion": assertion}
        assert 200 not in (await statuses(app, "/api/v1/kept", 5, headers=headers))[2:]


@pytest.mark.parametrize("header", ["groundplan-timeout-ms", "x-long"])
async def test_the_door_counts_what_is_refused_for_its_headers(tmp_path: Path, header: str) -> None:
    async with app_with(tmp_path, RATE_LIMIT_IP="2/h") as app:
        headers = {header: "0" * (1 if header == "groundplan-timeout-ms" else 40_000)}
        refused = 504 if header == "groundplan-timeout-ms" else 431
        assert await statuses(app, "/api/v1/kept", 3, headers=headers) == [refused, refused, 429]


async def test_what_is_never_counted(tmp_path: Path) -> None:
    async with app_with(tmp_path, RATE_LIMIT_IP="1/h") as app:
        style = re.findall(r'"(/static/[^"]+)"', (await app.client.get("/page")).text)[0]
        for path in ("/healthz", "/readyz", "/metrics", style):
            assert await statuses(app, path, 3) == [200] * 3
        rung = [(await app.client.post("/webhooks/in/bell", content=b"")).status_code for _ in range(4)]
        assert rung == [204] * 4
        assert await statuses(app, "/page", 1) == [429]


async def test_limits_can_be_switched_off(tmp_path: Path) -> None:
    async with app_with(tmp_path, RATE_LIMITS="off", RATE_LIMIT_IP="1/h") as app:
        assert await statuses(app, "/api/v1/by-ip", 4) == [200] * 4
        assert "ratelimit" not in (await app.client.get("/api/v1/by-ip")).headers
    async with app_with(tmp_path, RATE_LIMIT_IP="off", RATE_LIMIT_USER="off") as app:
        assert "ratelimit" not in (await app.client.get("/api/v1/kept", headers={"cookie": "a=b"})).headers
        assert await statuses(app, "/api/v1/by-ip", 3) == [200, 200, 429]


async def test_sign_in_is_limited_by_account(app: RunningApp) -> None:
    def attempt(number: int) -> dict[str, str]:
        return {"email": " UNA@tiny.example" if number % 2 else "una@tiny.example", "password": "a guess"}

    async def sent(number: int, path: str = "/api/v1/sessions") -> int:
        forwarded = {"x-forwarded-for": f"203.0.113.{number}"}
        if path == "/sign-in":
            return (await app.client.post(path, data=attempt(number), headers=forwarded)).status_code
        return (await app.client.post(path, json=attempt(number), headers=forwarded)).status_code

    assert [await sent(number) for number in range(5)] == [401] * 5
    assert [await sent(number, "/sign-in") for number in range(5)] == [401] * 5
    assert [await sent(9), await sent(8, "/sign-in")] == [429, 429]


async def test_sign_up_is_limited_by_address(app: RunningApp) -> None:
    short = {"email": "una@tiny.example", "name": "Una", "password": "short"}
    assert await statuses(app, "/api/v1/accounts", 30, method="POST", json=short, headers=ONE) == [400] * 30
    assert await statuses(app, "/sign-up", 1, method="POST", data=short, headers=ONE) == [429]
    assert await statuses(app, "/sign-up", 1, method="POST", data=short, headers=OTHER) == [400]


async def test_the_description_tells_of_limits(app: RunningApp) -> None:
    paths = (await app.client.get("/docs/openapi.json")).json()["paths"]
    refusal = paths["/api/v1/several"]["post"]["responses"]["429"]
    assert refusal["description"] == "Too many requests: more than 2/h per ip or 3/day per ip"
    assert set(refusal["headers"]) == {"Retry-After", "RateLimit", "RateLimit-Policy"}
    assert "2/h per route" in paths["/api/v1/by-route"]["get"]["responses"]["429"]["description"]
    assert "more than 60/min per ip" in (await app.client.get("/docs")).text


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (lambda: RateLimit("often"), "The rate 'often' must be a number per span of time"),
        (lambda: RateLimit("2/h", per="host"), "and not per 'host'"),  # type: ignore[arg-type]
        (lambda: [RateLimit("2/h", per="ip"), RateLimit("3/h", per="ip")], "has two limits per the same"),
    ],
)
async def test_a_limit_that_cannot_be(limit: Any, words: str, tmp_path: Path) -> None:
    feature = Feature("tiny", owner="tests")
    with pytest.raises(ConfigurationError, match=re.escape(words)):

        @feature.get("/wrong", public=True, limit=limit())
        async def wrong(ctx: Context) -> str:
            return ""

        async with running(App("tiny", features=[feature], roles={}, package="groundplan.testing"), tmp_path):
            pass
