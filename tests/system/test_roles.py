"""Three processes on PostgreSQL: web, api and worker do one order under one trace id."""

from pathlib import Path
from typing import Any
from uuid import uuid4

from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.testing.postgres import PostgresServer
from groundplan.testing.servers import free_port
from tests.system.conftest import Roles
from tests.system.database import ask
from tests.system.shopper import Shopper, wait_for


def test_one_trace_from_page_to_receipt(
    project: Path, postgres: PostgresServer, seeded_postgres: str, platform_on: Any
) -> None:
    urls = postgres.create_database(f"shop_{uuid4().hex}", template=seeded_postgres)
    api_port = free_port()
    environment = {"DATABASE_URL": urls.app, "API_URL": f"http://127.0.0.1:{api_port}"}
    platform_on(environment, role="api", port=api_port)
    platform_on(environment, role="worker")
    web = platform_on(environment, role="web")

    shopper = Shopper(web.url).sign_in()
    page, trace_id = shopper.check_out()
    order = shopper.approve(page)
    wait_for(lambda: "Receipt sent" in shopper.browser.get(order).text)

    queries = TelemetryQueries(TelemetryStore(project / "var" / "telemetry.db", max_rows=1000))
    every = {"Web", "API", "SQL", "Outbox", "Queue", "Worker", "Mail", "Payments"}
    wait_for(lambda: every <= {span.component for span in queries.trace(trace_id)})
    wait_for(lambda: {record.role for record in queries.trace_requests(trace_id)} == {"web", "api", "worker"})
    spans = queries.trace(trace_id)
    known = {span.span_id for span in spans}
    orphans = [span.name for span in spans if span.parent_id and span.parent_id not in known]
    assert len(orphans) <= 1, orphans  # only the browser's own span, which it did not send us


def test_the_api_role_has_no_pages_and_the_web_role_no_api(
    postgres: PostgresServer, seeded_postgres: str, platform_on: Any
) -> None:
    urls = postgres.create_database(f"shop_{uuid4().hex}", template=seeded_postgres)
    api = platform_on({"DATABASE_URL": urls.app}, role="api")
    assert Shopper(api.url).browser.get("/orders").status_code == 404
    web = platform_on({"DATABASE_URL": urls.app, "API_URL": api.url}, role="web")
    assert Shopper(web.url).browser.get("/api/v1/products").status_code == 404
    assert Shopper(web.url).browser.get("/").status_code == 200


def test_tenant_user_and_key_go_along_to_the_api(
    postgres: PostgresServer, seeded_postgres: str, platform_on: Any
) -> None:
    """The same key in two stores, each sent twice, is one order of each store's own customer."""
    name = f"shop_{uuid4().hex}"
    urls = postgres.create_database(name, template=seeded_postgres)
    api = platform_on({"DATABASE_URL": urls.app}, role="api")
    web = platform_on({"DATABASE_URL": urls.app, "API_URL": api.url}, role="web")
    key = str(uuid4())
    for store in ("northside", "riverside"):
        shopper = Shopper(web.url, email=f"mara@{store}.example")
        shopper.browser.headers["host"] = f"{store}.localhost:{web.port}"
        shopper.browser.headers["origin"] = f"http://{store}.localhost:{web.port}"
        shopper.sign_in()
        for _ in range(2):
            assert shopper.check_out(key)[0].startswith("/sandbox/payments/")
    placed = """SELECT tenants.slug, users.email FROM orders JOIN users ON users.id = orders.user_id
        JOIN tenants ON tenants.id = orders.tenant_id AND tenants.id = users.tenant_id ORDER BY 1"""
    rows = [tuple(row) for row in ask({}, placed, url=postgres.url(name))]
    assert rows == [("northside", "mara@northside.example"), ("riverside", "mara@riverside.example")]


def test_two_instances_of_the_api_and_one_after_the_other_goes_away(roles: Roles) -> None:
    apis = roles.apis
    shopper = Shopper(roles.web.url).sign_in()
    page, _ = shopper.check_out()
    order = shopper.approve(page)
    wait_for(lambda: "Receipt sent" in shopper.browser.get(order).text)
    wait_for(lambda: shopper.browser.get(order).is_success and all("/api/v1/orders" in api.lines() for api in apis))

    apis[1].kill()
    assert [shopper.browser.get(order).status_code for _ in range(6)] == [200] * 6
    shopper.check_out()
    apis[0].kill()
    gone = shopper.browser.get(order, headers={"accept": "text/html"})
    assert (gone.status_code, "The API does not answer" in gone.text) == (503, True), gone.text
    assert gone.headers["retry-after"]
    apis[1].start()
    assert wait_for(lambda: shopper.browser.get(order).status_code == 200)


def test_limits_count_whoever_asked_the_web_role(
    postgres: PostgresServer, seeded_postgres: str, platform_on: Any
) -> None:
    """Once, where they came in; the api role counts what its routes declare, and not the web role's own address."""
    urls = postgres.create_database(f"shop_{uuid4().hex}", template=seeded_postgres)
    environment = {"DATABASE_URL": urls.app, "RATE_LIMITS": "on", "RATE_LIMIT_USER": "off"}
    api = platform_on({**environment, "RATE_LIMIT_IP": "6/h"}, role="api")
    proxied = {"API_URL": api.url, "RATE_LIMIT_IP": "40/h", "TRUSTED_PROXIES": "127.0.0.1"}
    web = platform_on({**environment, **proxied}, role="web")
    browser = Shopper(web.url).browser

    def statuses(path: str, form: dict[str, str], addresses: list[str]) -> list[int]:
        sent = [browser.post(path, data=form, headers={"x-forwarded-for": address}) for address in addresses]
        return [each.status_code for each in sent]

    visits = [browser.get("/?sort=price", headers={"x-forwarded-for": "203.0.113.1"}) for _ in range(41)]
    assert [each.status_code for each in visits] == [200] * 40 + [429]

    short = {"email": "new@northside.example", "name": "New", "password": "short"}
    assert statuses("/sign-up", short, [f"192.0.2.{n}" for n in range(35)]) == [400] * 35
    assert statuses("/sign-up", short, ["198.51.100.1"] * 31) == [400] * 30 + [429]

    guess = {"email": "mara@northside.example", "password": "a guess"}
    assert statuses("/sign-in", guess, [f"192.0.2.{n}" for n in range(100, 110)]) == [401] * 10
    refused = browser.post("/sign-in", data=guess, headers={"x-forwarded-for": "192.0.2.99"})
    assert (refused.status_code, "Too many requests" in refused.text) == (429, True)
    assert int(refused.headers["retry-after"]) > 1


def test_the_deadline_goes_along_to_the_api(postgres: PostgresServer, seeded_postgres: str, platform_on: Any) -> None:
    """The api role waits for a table that somebody holds; it gives up when the caller of the web role would."""
    name = f"shop_{uuid4().hex}"
    urls = postgres.create_database(name, template=seeded_postgres)
    api = platform_on({"DATABASE_URL": urls.app}, role="api")
    web = platform_on({"DATABASE_URL": urls.app, "API_URL": api.url}, role="web")
    shopper = Shopper(web.url).sign_in()
    with postgres.holding(name, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"):
        answer = shopper.browser.get("/orders", headers={"groundplan-timeout-ms": "1000"})
        assert answer.status_code == 504, answer.text
        wait_for(lambda: '"status":504' in api.lines())
    assert shopper.browser.get("/orders").status_code == 200
