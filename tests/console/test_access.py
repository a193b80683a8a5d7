"""Who may use the console: nobody without its permissions, and what changes something asks for more than reading."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from groundplan.app.application import Assembly
from groundplan.app.route import Route
from groundplan.console import feature
from groundplan.wiring import assemble
from shop.app import app
from tests.console.conftest import House


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    return assemble(app)


def _routes(assembly: Assembly) -> Iterator[Route]:
    return (route for route in assembly.routes if route.feature == feature.name)


def test_every_route_asks_for_a_permission_of_the_console(assembly: Assembly) -> None:
    assert [r.name for r in _routes(assembly) if not (r.permission or "").startswith("console:")] == []


def test_what_changes_something_asks_for_more_than_reading(assembly: Assembly) -> None:
    reading = {route.name for route in _routes(assembly) if route.permission == "console:read"}
    changing = {route.name for route in _routes(assembly) if route.method != "GET"}
    assert changing
    assert not reading & changing


def test_every_write_runs_in_a_transaction(assembly: Assembly) -> None:
    assert all(r.writes for r in _routes(assembly) if r.kind == "api" and r.method != "GET")


@pytest.mark.anyio
async def test_a_customer_is_refused_and_a_visitor_is_asked_to_sign_in(house: House, assembly: Assembly) -> None:
    for route in _routes(assembly):
        path = route.url(
            {"dead_letter_id": uuid4(), "message_id": uuid4(), "trace_id": "t", "mail_id": "m", "name": "n"}
        )
        refused = await house.customer.request(route.method, path)
        assert (route.name, refused.status_code) == (route.name, 403)
        asked = await house.visitor.request(route.method, path)
        page = route.kind == "page" and route.method == "GET"
        assert (route.name, asked.status_code) == (route.name, 303 if page else 401)
        if page:
            assert asked.headers["location"].startswith("/sign-in?next=%2Fconsole")
