"""A client that was left without an answer asks again: kill -9 on either side of the commit, on both engines."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.system.database import ask
from tests.system.shopper import Shopper

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("when", ["before", "after"])
def test_asking_again_after_a_crash_has_one_effect(
    platform_on: Any, environment: dict[str, str], superuser: str, when: str
) -> None:
    dying = {**environment, "DIE": when, "PYTHONPATH": str(ROOT)}
    process = platform_on(dying, program="tests.system.dying")
    shopper = Shopper(process.url)
    product = shopper.products(in_stock="true", limit=1)[0]
    client = shopper.script(shopper.token())
    order = {"lines": [{"product_id": product["id"], "quantity": 1}]}
    key = {"idempotency-key": uuid4().hex}
    with pytest.raises(httpx2.HTTPError):
        client.post("/api/v1/orders", json=order, headers=key)
    process.kill()

    again = platform_on(environment, port=process.port)
    replies = [Shopper(again.url).script(shopper.token()).post("/api/v1/orders", json=order, headers=key) for _ in "12"]
    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].content == replies[1].content
    replayed = [reply.headers.get("idempotency-replayed") for reply in replies]
    assert replayed == ["true" if when == "after" else None, "true"]
    (row,) = ask(environment, "SELECT COUNT(*) AS n FROM orders WHERE user_id IS NOT NULL", url=superuser)
    assert row.n == 1
    (left,) = [p for p in shopper.products(limit=100, in_stock="true") if p["id"] == product["id"]] or [{"stock": 0}]
    assert left["stock"] == product["stock"] - 1
