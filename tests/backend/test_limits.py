"""What a request may be. How slowly it may come is tested on real sockets, in tests/system."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from groundplan.app import App, Feature
from groundplan.backend.limits import HEADER_COUNT, HEADER_LIMIT, URL_LIMIT
from groundplan.testing.app import RunningApp, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RunningApp]:
    nothing = App("nothing", features=[Feature("none", owner="tests")], roles={}, package="groundplan.testing")
    async with running(nothing, tmp_path) as app:
        yield app


@pytest.mark.parametrize("path", ["/api/v1/" + "x" * URL_LIMIT, "/api/v1/things?q=" + "x" * URL_LIMIT])
async def test_a_long_address_is_refused(app: RunningApp, path: str) -> None:
    answer = await app.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (414, "AddressTooLong")
    assert len(answer.content) < 1000, "it is not sent back"


@pytest.mark.parametrize(
    "headers", [{f"x-{n}": "" for n in range(HEADER_COUNT + 1)}, {"cookie": "x" * HEADER_LIMIT}], ids=["many", "long"]
)
async def test_large_headers_are_refused(app: RunningApp, headers: dict[str, str]) -> None:
    answer = await app.client.get("/api/v1/things", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (431, "HeadersTooLarge")
