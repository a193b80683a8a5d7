"""Two hundred want the last fifty; one key fifty times. Over HTTP, on both engines."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.system.database import ask
from tests.system.shopper import Shopper

PATIENCE_SECONDS = 60.0


def _order(client: Any, product_id: str, key: str, quantity: int = 1) -> Any:
    """Asks again when it is told to, where the process has too much to do."""
    body = {"lines": [{"product_id": product_id, "quantity": quantity}]}
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = client.post("/api/v1/orders", json=body, headers={"idempotency-key": key})
        if answer.status_code != 503 or time.monotonic() > give_up:
            return answer
        time.sleep(float(answer.headers["retry-after"]))


def _orders_of(environment: dict[str, str], superuser: str, product_id: str) -> int:
    lines = ask(environment, f"SELECT COUNT(*) AS n FROM order_lines WHERE product_id = '{product_id}'", url=superuser)
    return int(lines[0].n)


def test_the_last_fifty_sell_fifty_times(platform: Any, environment: dict[str, str], superuser: str) -> None:
    process = platform()
    shopper = Shopper(process.url)
    product = shopper.products(limit=1)[0]
    before = _orders_of(environment, superuser, product["id"])
    ask(environment, f"UPDATE products SET stock = 50 WHERE id = '{product['id']}'", url=superuser)
    token = shopper.token()
    with shopper.script(token) as client, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _order(client, product["id"], uuid4().hex), range(200)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 50, 409: 150}, statuses
    stock = ask(environment, f"SELECT stock FROM products WHERE id = '{product['id']}'", url=superuser)[0].stock
    assert stock == 0
    assert _orders_of(environment, superuser, product["id"]) - before == 50


def test_one_key_fifty_times_is_one_order(platform: Any, environment: dict[str, str], superuser: str) -> None:
    process = platform()
    shopper = Shopper(process.url)
    product = shopper.products(in_stock="true", limit=1)[0]
    before = _orders_of(environment, superuser, product["id"])
    with shopper.script(shopper.token()) as client, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _order(client, product["id"], "the-same-key"), range(50)))
        created = [answer for answer in answers if answer.status_code == 201]
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len({answer.content for answer in created}) == 1, "every 201 is the first reply"
        assert sum("idempotency-replayed" not in answer.headers for answer in created) == 1
        again = _order(client, product["id"], "the-same-key")
        assert (again.status_code, again.content) == (201, created[0].content)
        assert again.headers["idempotency-replayed"] == "true"
        other = _order(client, product["id"], "the-same-key", quantity=2)
        assert (other.status_code, other.json()["code"]) == (422, "IdempotencyKeyReused")
        missing = client.post("/api/v1/orders", json={"lines": [{"product_id": product["id"], "quantity": 1}]})
        assert missing.status_code == 400
    assert _orders_of(environment, superuser, product["id"]) - before == 1
