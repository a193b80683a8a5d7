"""Customers order and pay while the process is killed: acknowledged = stored = paid = one receipt each."""

import json
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.system.database import ask
from tests.system.shopper import Shopper, wait_for

CUSTOMERS = 4
KILLS = 3
ORDERS_BETWEEN = 15


class Customer(threading.Thread):
    """Orders and pays until told to stop, repeating each step with its own key until it is answered."""

    def __init__(self, shopper: Shopper, token: str, products: list[str], stop: threading.Event) -> None:
        super().__init__()
        self.client = shopper.script(token)
        self.bank = shopper.browser
        self.home = f"{shopper.url}/orders"
        self.products = products
        self.stop = stop
        self.placed: list[str] = []
        self.paid: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            product = self.products[len(self.placed) % len(self.products)]
            order = self._place({"lines": [{"product_id": product, "quantity": 1}]}, uuid4().hex)
            self.placed.append(order)
            page = self._until(201, f"/api/v1/orders/{order}/payments", {"return_url": self.home})
            self._until(303, page.json()["url"], None)
            self.paid.append(order)

    def _place(self, body: Any, key: str) -> str:
        return str(self._until(201, "/api/v1/orders", body, key=key).json()["id"])

    def _until(self, status: int, path: str, body: Any, *, key: str = "") -> Any:
        def attempt() -> Any:
            try:
                if body is None:
                    answer = self.bank.post(path, data={"decision": "approve", "twice": "1"})
                else:
                    answer = self.client.post(path, json=body, headers={"idempotency-key": key})
            except httpx2.HTTPError:
                return None
            return answer if answer.status_code == status else None

        return wait_for(attempt, seconds=60)


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
def test_nothing_is_lost_or_doubled(platform: Any, project: Path, environment: dict[str, str]) -> None:
    process = platform()
    shopper, stop = Shopper(process.url), threading.Event()
    products = [product["id"] for product in shopper.products(in_stock="true", limit=100)]
    token = shopper.token()
    customers = [Customer(Shopper(process.url), token, products, stop) for _ in range(CUSTOMERS)]
    for customer in customers:
        customer.start()
    try:
        for kill in range(1, KILLS + 1):
            enough = kill * ORDERS_BETWEEN
            wait_for(lambda enough=enough: sum(len(c.placed) for c in customers) >= enough, seconds=60)  # type: ignore[misc]
            process.kill()
            process.start()
    finally:
        stop.set()
        for customer in customers:
            customer.join()

    placed = {order for customer in customers for order in customer.placed}
    paid = {order for customer in customers for order in customer.paid}
    wait_for(lambda: ask(environment, "SELECT COUNT(*) AS n FROM deliveries")[0].n == 0, seconds=60)
    orders = ask(environment, "SELECT id, state FROM orders WHERE user_id IS NOT NULL")
    assert {row.id for row in orders} == placed, "each acknowledged order is stored, and no other"
    assert {row.id for row in orders if row.state == "paid"} == paid == placed
    receipts = [row.order_id for row in ask(environment, "SELECT order_id FROM receipts")]
    assert sorted(receipts) == sorted(paid), "one receipt for each"
    mails = [json.loads(path.read_bytes()) for path in (project / "var" / "inbox").glob("*.json")]
    assert len(mails) == len(paid), "one mail for each"
    assert ask(environment, "SELECT COUNT(*) AS n FROM dead_letters")[0].n == 0
