"""Every reply's headers, every refusal's shape, and the doors that need no tenant. In process, through ASGI."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from groundplan.app import App, Context, Feature, Page
from groundplan.app.health import Health
from groundplan.security.sessions import LIFETIMES
from groundplan.testing.app import RunningApp, running

pytestmark = pytest.mark.anyio

PASSWORD = "a password of many words"


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(max_length=10)]


def tiny() -> App:
    feature = Feature("tiny", owner="tests")

    @feature.get("/things/{number}", public=True)
    async def get_thing(ctx: Context, number: int, size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1) -> Body:
        return Body(f"{number}/{size}")

    @feature.post("/things", public=True)
    async def add_thing(ctx: Context, data: Body) -> Body:
        return data

    @feature.post("/keyed", public=True, idempotent=True)
    async def keyed(ctx: Context, data: Body) -> Body:
        return data

    @feature.get("/staff", permission="staff:only")
    async def staff_only(ctx: Context) -> Body:
        return Body("secret")

    @feature.get("/broken", public=True)
    async def broken(ctx: Context) -> Body:
        raise LookupError("a detail nobody outside may see")

    @feature.page("/", public=True)
    async def home(ctx: Context) -> Page:
        return Page("errors/error.html", problem={"status": 200, "title": "Home", "detail": "", "request_id": ""})

    @feature.page("/private", permission="staff:only")
    async def private(ctx: Context) -> Page:
        return await home(ctx)

    return App("tiny", features=[feature], roles={"staff": ["staff:only"]}, package="groundplan.testing")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running(tiny(), tmp_path) as app:
        yield app


async def _sign_up(app: RunningApp, email: str = "una@tiny.example") -> None:
    account = {"email": email, "name": "Una", "password": PASSWORD}
    assert (await app.client.post("/api/v1/accounts", json=account)).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/things/x", None, 404, "NotFound"),
        ("GET", "/api/v1/things/1?size=10", None, 400, "Invalid"),
        ("GET", "/api/v1/things/1?size=x", None, 400, "Invalid"),
        ("POST", "/api/v1/things", b"{", 400, "Invalid"),
        ("POST", "/api/v1/things", b'{"text": 5}', 400, "Invalid"),
        ("POST", "/api/v1/things", b'{"text": "far too long for this"}', 400, "Invalid"),
        ("POST", "/api/v1/things", b'{"text": "a", "more": 1}', 400, "Invalid"),
        ("POST", "/api/v1/things", b" " * 1_000_001, 413, "TooLarge"),
        ("DELETE", "/api/v1/things", None, 405, "MethodNotAllowed"),
        ("GET", "/api/v1/staff", None, 401, "Unauthenticated"),
        ("GET", "/api/v1/broken", None, 500, "GroundplanError"),
    ],
)
async def test_refusals_are_problems(
    app: RunningApp, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = await app.client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "nobody outside" not in answer.text


async def test_the_wrong_field_is_named(app: RunningApp) -> None:
    answer = await app.client.post("/api/v1/things", json={"text": 5})
    assert answer.json()["errors"] == [{"pointer": "/text", "detail": "Expected `str`, got `int`"}]


async def test_headers_of_a_page(app: RunningApp) -> None:
    one, two = await app.client.get("/"), await app.client.get("/")
    nonces = [re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"]) for answer in (one, two)]
    assert nonces[0] != nonces[1]
    assert set(re.findall(r'nonce="([^"]+)"', one.text)) == set(nonces[0])
    assert "style=" not in one.text and "unsafe" not in one.headers["content-security-policy"]
    assert one.headers["x-content-type-options"] == "nosniff"
    assert one.headers["cache-control"] == "private, no-store"


async def test_a_harmless_request_id_is_kept(app: RunningApp) -> None:
    kept = await app.client.get("/", headers={"x-request-id": "abc-12345"})
    assert kept.headers["x-request-id"] == "abc-12345"
    for odd in ("short", "x" * 65, "with space here", "a;b;c;d;e"):
        replaced = await app.client.get("/", headers={"x-request-id": odd})
        assert replaced.headers["x-request-id"].startswith("req_")


async def test_people_get_pages_and_programs_problems(app: RunningApp) -> None:
    page = await app.client.get("/nothing", headers={"accept": "text/html"})
    assert page.status_code == 404 and "<h1>Not found</h1>" in page.text
    problem = await app.client.get("/nothing", headers={"accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"
    sent_on = await app.client.get("/private?a=1")
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/sign-in?next=%2Fprivate%3Fa%3D1")


async def test_head_is_get_without_the_body(app: RunningApp) -> None:
    for path in ("/", "/api/v1/things/1", "/healthz", "/nothing"):
        head, get = await app.client.head(path), await app.client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_an_unknown_host_has_no_store(app: RunningApp) -> None:
    for path, headers in (("/", {}), ("/api/v1/things/1", {"accept": "application/json"})):
        assert (await app.client.get(path, headers={"host": "nobody.example", **headers})).status_code == 404
    assert (await app.client.get("/docs", headers={"host": "nobody.example"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://localhost"}, 303),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
)
async def test_forms_come_from_here(app: RunningApp, headers: dict[str, str], status: int) -> None:
    await _sign_up(app)
    signed_in = await app.client.post("/sign-in", data={"email": "una@tiny.example", "password": PASSWORD})
    assert signed_in.status_code == 303
    answer = await app.client.post("/theme", data={"theme": "dark"}, headers=headers)
    assert answer.status_code == status


async def test_a_session_opens_and_closes(app: RunningApp) -> None:
    await _sign_up(app)
    form = {"email": "una@tiny.example", "password": PASSWORD, "next": "//evil.example"}
    wrong = await app.client.post("/sign-in", data=form | {"password": "not this one at all"})
    unknown = await app.client.post("/sign-in", data=form | {"email": "nobody@tiny.example"})
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    done = await app.client.post("/sign-in", data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/"), "no open redirect"
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "Una" not in (await app.client.get("/api/v1/staff")).text
    token = re.search(r"session=([^;]+)", cookie)
    assert token
    assert (await app.client.post("/sign-out")).headers["location"] == "/"
    bearer = await app.client.get("/api/v1/staff", headers={"authorization": f"Bearer {token[1]}"})
    assert bearer.status_code == 401, "the token is worth nothing afterwards"
    assert LIFETIMES["script"] <= timedelta(minutes=15)


async def test_an_address_has_one_account(app: RunningApp) -> None:
    await _sign_up(app)
    again = {"email": "UNA@tiny.example", "name": "Other", "password": PASSWORD}
    assert (await app.client.post("/api/v1/accounts", json=again)).status_code == 409
    short = {"email": "new@tiny.example", "name": "New", "password": "short"}
    refused = await app.client.post("/api/v1/accounts", json=short)
    assert refused.status_code == 400 and refused.json()["errors"][0]["pointer"] == "/password"
    page = await app.client.post("/sign-up", data=short | {"next": "/"})
    assert page.status_code == 400 and "at least 15 characters" in page.text


async def test_alive_and_ready(app: RunningApp) -> None:
    assert (await app.client.get("/healthz")).json() == {"status": "alive"}
    assert (await app.client.get("/readyz")).json() == {"status": "ready"}
    app.services.registry[Health].draining = True
    assert (await app.client.get("/readyz")).status_code == 503
    assert (await app.client.get("/healthz")).status_code == 200


async def test_static_files_are_kept_for_ever(app: RunningApp) -> None:
    address = re.search(r"/static/style\.[0-9a-f]+\.css", (await app.client.get("/")).text)
    assert address
    sheet = await app.client.get(address[0])
    assert sheet.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert sheet.headers["content-type"].startswith("text/css")
    for unknown in ("/static/style.css", "/static/..%2f..%2fsecret", "/static/"):
        assert (await app.client.get(unknown)).status_code == 404


async def test_metrics_and_docs(app: RunningApp) -> None:
    await app.client.get("/api/v1/things/1")
    metrics = (await app.client.get("/metrics")).text
    assert 'route="/api/v1/things/{number}"' in metrics
    docs = await app.client.get("/docs")
    assert docs.status_code == 200
    for page in ("/docs", "/docs/schema"):
        assert not re.search(r"(src|href)=.(https?:)?//", (await app.client.get(page)).text), "nothing from outside"
    schema: dict[str, Any] = (await app.client.get("/docs/openapi.json")).json()
    assert schema["openapi"].startswith("3.1")
    (number, size) = schema["paths"]["/api/v1/things/{number}"]["get"]["parameters"]
    assert (number["in"], size["in"], size["schema"]["maximum"]) == ("path", "query", 9)
    assert "Body" in str(schema["paths"]["/api/v1/things"]["post"]["requestBody"])
    assert all(operation["responses"] for path in schema["paths"].values() for operation in path.values())


@pytest.mark.parametrize("headers", [{"origin": "http://["}, {"origin": "null"}, {"referer": "http://["}])
async def test_addresses_that_cannot_be_read_are_no_failure_of_ours(app: RunningApp, headers: dict[str, str]) -> None:
    for path in ("/theme", "/sign-in", "/api/v1/things"):
        assert (await app.client.post(path, data={}, headers=headers)).status_code < 500
    for path in ("/sign-in?next=//%5B", "/sign-up?next=//%5B"):
        assert (await app.client.get(path, headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["host", "authorization", "idempotency-key"])
async def test_a_header_that_means_two_things_is_refused(app: RunningApp, name: str) -> None:
    twice = [(name, "tiny.localhost"), (name, "other.localhost")]
    reply = await app.client.get("/api/v1/things/1", headers=twice)
    assert (reply.status_code, reply.json()["code"]) == (400, "Invalid")
    assert name in reply.json()["detail"]


async def test_what_is_asked_for_is_not_kept_with_the_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tiny(), tmp_path, LOG_LEVEL="info") as app:
        await app.client.get("/api/v1/things/1?size=x&token=hush-hush-hush")
    printed = capsys.readouterr().out
    assert "Invalid" in printed or "400" in printed
    assert "hush" not in printed


async def test_signing_in_again_ends_the_session_before(app: RunningApp) -> None:
    await _sign_up(app)
    form = {"email": "una@tiny.example", "password": PASSWORD}
    await app.client.post("/sign-in", data=form)
    first = app.client.cookies["session"]
    await app.client.post("/sign-in", data=form)
    assert app.client.cookies["session"] != first
    app.client.cookies.clear()
    assert (await app.client.get("/private", headers={"cookie": f"session={first}"})).status_code == 303


async def test_the_description_tells_what_a_client_needs(app: RunningApp) -> None:
    document = (await app.client.get("/docs/schema/openapi.json")).json()
    keyed = document["paths"]["/api/v1/keyed"]["post"]
    (key,) = keyed["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    assert document["paths"]["/api/v1/staff"]["get"]["security"] == [{"bearer": []}]
    assert "204" in document["paths"]["/api/v1/sessions/close"]["post"]["responses"]
    assert "401" in document["paths"]["/api/v1/sessions"]["post"]["responses"]
