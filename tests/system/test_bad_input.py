"""Whatever is sent: a 4xx as problem details, never a 500, and nothing is stored."""

import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.system.database import ask
from tests.system.shopper import PASSWORD, Shopper

NASTY = [
    "'; DROP TABLE orders; --",
    "<script>alert(1)</script>",
    "\x00",
    "a\x00b",
    "\ud800",
    "x" * 100_000,
    "{{ 7 * 7 }}",
    "%s%n%x",
    "../../etc/passwd",
    "\u202e\u0000",
    10**30,
    -1,
    1.5,
    True,
    None,
    [],
    {},
]
COUNTED = (
    "orders",
    "order_lines",
    "users",
    "sessions",
    "events",
    "deliveries",
    "idempotency",
    "audit_log",
    "basket_lines",
)


def _counts(environment: dict[str, str], superuser: str) -> dict[str, int]:
    return {table: ask(environment, f"SELECT COUNT(*) AS n FROM {table}", url=superuser)[0].n for table in COUNTED}


def _is_problem(answer: Any) -> None:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.request.url, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"] and problem["code"] and problem["request_id"]


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.fixture
def service(platform: Any) -> Any:
    return platform()


def test_bodies(service: Any, environment: dict[str, str], superuser: str) -> None:
    shopper = Shopper(service.url)
    product = shopper.products(limit=1)[0]["id"]
    client = shopper.script(shopper.token())
    before = _counts(environment, superuser)
    line = {"product_id": product, "quantity": 1}
    bodies: list[bytes] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"lines": [{"product_id": "\xff", "quantity": 1}]}',
        b'{"lines": ' + b"[" * 50_000,
        b'{"lines": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        _encoded({"lines": []}),
        _encoded({"lines": [line, line]}),
        _encoded({"lines": [line], "surprise": 1}),
        _encoded({"lines": [line | {"surprise": 1}]}),
        _encoded({"lines": [line | {"product_id": str(uuid4())}]}),
        _encoded({"lines": [line] * 1000}),
        *[_encoded({"lines": value}) for value in NASTY],
        *[_encoded({"lines": [line | {"quantity": value}]}) for value in NASTY],
        *[_encoded({"lines": [line | {"product_id": value}]}) for value in NASTY],
    ]
    for body in bodies:
        headers = {"content-type": "application/json", "idempotency-key": uuid4().hex}
        _is_problem(client.post("/api/v1/orders", content=body, headers=headers))
    assert _counts(environment, superuser) == before


def test_a_body_of_ten_megabytes(service: Any, environment: dict[str, str], superuser: str) -> None:
    shopper = Shopper(service.url)
    client = shopper.script(shopper.token())
    before = _counts(environment, superuser)
    headers = {"content-type": "application/json", "idempotency-key": "big"}
    whole = client.post("/api/v1/orders", content=b" " * 10_000_000, headers=headers)
    assert whole.status_code == 413
    _is_problem(whole)
    chunked = client.post("/api/v1/orders", content=(b" " * 100_000 for _ in range(100)), headers=headers)
    assert chunked.status_code == 413
    assert _counts(environment, superuser) == before


def test_other_content_types(service: Any) -> None:
    shopper = Shopper(service.url)
    client = shopper.script(shopper.token())
    for content_type in ("text/xml", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""):
        headers = {"content-type": content_type, "idempotency-key": uuid4().hex}
        _is_problem(client.post("/api/v1/orders", content=b"<a/>", headers=headers))


def test_texts_of_accounts(service: Any, environment: dict[str, str], superuser: str) -> None:
    client = Shopper(service.url).browser
    before = _counts(environment, superuser)
    fine = {"email": f"{uuid4().hex}@example.com", "name": "Fine", "password": PASSWORD}
    headers = {"content-type": "application/json"}
    for value in NASTY:
        is_good_password = isinstance(value, str) and 15 <= len(value) <= 256
        for field in ("email",) if is_good_password else ("email", "password"):
            body = _encoded(fine | {field: value})
            _is_problem(client.post("/api/v1/accounts", content=body, headers=headers))
            body = _encoded({"email": fine["email"], "password": PASSWORD} | {field: value})
            _is_problem(client.post("/api/v1/sessions", content=body, headers=headers))
    for value in NASTY:
        if value not in NASTY[:2] + NASTY[6:9]:  # odd, but a name may be that
            _is_problem(client.post("/api/v1/accounts", content=_encoded(fine | {"name": value}), headers=headers))
    assert _counts(environment, superuser) == before


def test_odd_names_are_kept_and_escaped(service: Any) -> None:
    shopper = Shopper(service.url)
    name = "<script>alert(1)</script>'; DROP TABLE users; --"
    email = f"{uuid4().hex}@example.com"
    opened = shopper.browser.post("/api/v1/accounts", json={"email": email, "name": name, "password": PASSWORD})
    assert opened.status_code == 201, opened.text
    page = Shopper(service.url, email=email).sign_in().browser.get("/").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_addresses(service: Any) -> None:
    client = Shopper(service.url).browser
    for path in (
        "/api/v1/products/not-an-id",
        f"/api/v1/products/{uuid4()}",
        "/api/v1/products/%00",
        "/api/v1/products/%ff%fe",
        "/api/v1/nothing",
        "/api/v1/products?limit=0",
        "/api/v1/products?limit=1000000",
        "/api/v1/products?limit=abc",
        "/api/v1/products?limit=99999999999999999999999999",
        "/api/v1/products?department=nonsense",
        "/api/v1/products?cursor=nonsense",
        "/api/v1/products?cursor=%00",
        f"/api/v1/products?q={'x' * 5000}",
        "/api/v1/products?q=%00",
    ):
        _is_problem(client.get(path))
    for method, path in (("DELETE", "/api/v1/products"), ("PATCH", "/api/v1/orders"), ("PUT", "/api/v1/sessions")):
        _is_problem(client.request(method, path))
    for q in ("%", "_", "'", '"', "\\", "%27%20OR%201=1--", "%ff"):
        assert client.get(f"/api/v1/products?q={q}").status_code in (200, 400)


def test_headers(service: Any) -> None:
    shopper = Shopper(service.url)
    token = shopper.token()
    client = shopper.script(token)
    product = shopper.products(limit=1)[0]["id"]
    body = {"lines": [{"product_id": product, "quantity": 1}]}
    for key in ("", "x" * 300, "tab\there"):
        _is_problem(client.post("/api/v1/orders", json=body, headers={"idempotency-key": key}))
    for authorization in ("Bearer", "Bearer x", f"Basic {token}", "Bearer " + "x" * 5000, "Bearer \xe9"):
        headers = [(b"authorization", authorization.encode("latin-1"))]
        with httpx2.Client(base_url=service.url, headers=headers) as raw:
            _is_problem(raw.get("/api/v1/orders"))
    for header, value in (("traceparent", "nonsense"), ("x-request-id", "'; drop"), ("cookie", "session=;;;=")):
        assert client.get("/api/v1/products", headers={header: value}).status_code == 200
    _is_problem(httpx2.get(f"{service.url}/api/v1/orders", headers={"groundplan-assertion": "forged.forged"}))


def test_another_tenants_ids(service: Any, environment: dict[str, str], superuser: str) -> None:
    port = service.port

    def store(slug: str) -> tuple[Shopper, Any]:
        shopper = Shopper(service.url, email=f"mara@{slug}.example")
        shopper.browser.headers["host"] = f"{slug}.localhost:{port}"
        shopper.browser.headers["origin"] = f"http://{slug}.localhost:{port}"
        client = shopper.script(shopper.token())
        client.headers["host"] = f"{slug}.localhost:{port}"
        return shopper, client

    _, riverside = store("riverside")
    north, northside = store("northside")
    product = riverside.get("/api/v1/products?limit=1&in_stock=true").json()["items"][0]["id"]
    body = {"lines": [{"product_id": product, "quantity": 1}]}
    order = riverside.post("/api/v1/orders", json=body, headers={"idempotency-key": uuid4().hex})
    assert order.status_code == 201, order.text
    before = _counts(environment, superuser)
    _is_problem(northside.get(f"/api/v1/orders/{order.json()['id']}"))
    _is_problem(northside.get(f"/api/v1/products/{product}"))
    _is_problem(northside.post("/api/v1/orders", json=body, headers={"idempotency-key": uuid4().hex}))
    payment = {"return_url": "http://localhost/"}
    _is_problem(northside.post(f"/api/v1/orders/{order.json()['id']}/payments", json=payment))
    basket = f"/api/v1/baskets/{uuid4()}/lines/{product}"
    _is_problem(north.browser.put(basket, json={"quantity": 1}))
    # A token of one store at the door of the other.
    northside.headers["host"] = f"riverside.localhost:{port}"
    _is_problem(northside.get("/api/v1/orders"))
    northside.headers["host"] = f"nowhere.localhost:{port}"
    _is_problem(northside.get("/api/v1/products"))
    assert _counts(environment, superuser) == before


def test_callbacks(service: Any, environment: dict[str, str], superuser: str) -> None:
    client = Shopper(service.url).browser
    before = _counts(environment, superuser)
    for headers in ({}, {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}):
        for body in (b"", b"{}", b"\xff", _encoded({"status": "paid"})):
            _is_problem(client.post("/webhooks/in/payments", content=body, headers=headers))
    assert _counts(environment, superuser) == before


def test_forms_from_other_sites(service: Any) -> None:
    shopper = Shopper(service.url).sign_in()
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        assert shopper.browser.post("/sign-out", headers=headers).status_code == 403
    assert shopper.browser.get("/orders").status_code == 200
