"""A rolling restart under load: no request fails, and no work is lost or done twice."""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from groundplan.testing.postgres import PostgresServer
from tests.system.balancer import Balancer
from tests.system.conftest import Platform
from tests.system.database import ask
from tests.system.shopper import Shopper, wait_for

CUSTOMERS = 3
ORDERS_BETWEEN = 10


class Customer(threading.Thread):
    """Looks, orders and pays until told to stop; nothing is repeated, and whatever is not a success is noted."""

    def __init__(self, balancer: Balancer, shopper: Shopper, token: str, product: str, stop: threading.Event) -> None:
        super().__init__()
        self.balancer, self.browser, self.stop = balancer, shopper.browser, stop
        self.client = shopper.script(token)
        self.product = product
        self.home = "http://localhost/orders"
        self.paid: list[str] = []
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self.paid.append(self._buy())
            except Exception as error:
                self.failures[f"{type(error).__name__}: {error}"[:200]] += 1

    def _buy(self) -> str:
        ask, client = self.balancer.request, self.client
        looked = ask(client, "GET", "/api/v1/products?limit=5")
        assert looked.status_code == 200, looked.text
        lines = {"lines": [{"product_id": self.product, "quantity": 1}]}
        placed = ask(client, "POST", "/api/v1/orders", json=lines, headers={"idempotency-key": uuid4().hex})
        assert placed.status_code == 201, placed.text
        order = str(placed.json()["id"])
        path, key = f"/api/v1/orders/{order}/payments", uuid4().hex
        page = ask(client, "POST", path, json={"return_url": self.home}, headers={"idempotency-key": key})
        assert page.status_code == 201, page.text
        paid = ask(self.browser, "POST", page.json()["url"], data={"decision": "approve"})
        assert paid.status_code == 303, paid.text
        return order


def _wait_for_orders(customers: Sequence[Customer]) -> None:
    enough = sum(len(customer.paid) for customer in customers) + ORDERS_BETWEEN

    def paid() -> bool:
        assert not any(customer.failures for customer in customers), [customer.failures for customer in customers]
        return sum(len(customer.paid) for customer in customers) >= enough

    wait_for(paid, seconds=60)


def test_nothing_fails_and_nothing_is_half_done(
    project: Path, postgres: PostgresServer, seeded_postgres: str, platform_on: Platform
) -> None:
    name = f"shop_{uuid4().hex}"
    urls, superuser = postgres.create_database(name, template=seeded_postgres), postgres.url(name)
    ask({}, "UPDATE products SET stock = 1000000", url=superuser)
    environment = {"DATABASE_URL": urls.app, "READINESS_SECONDS": "1"}
    instances = [platform_on(environment) for _ in range(2)]
    shopper, stop = Shopper(instances[0].url), threading.Event()
    token, product = shopper.token(), shopper.products()[0]["id"]
    with Balancer(instances) as balancer:
        customers = [Customer(balancer, Shopper(instances[0].url), token, product, stop) for _ in range(CUSTOMERS)]
        for customer in customers:
            customer.start()
        try:
            for instance in instances:
                _wait_for_orders(customers)
                assert instance.stop() == 0
                instance.start()
            _wait_for_orders(customers)
        finally:
            stop.set()
            for customer in customers:
                customer.join()

    assert not any(customer.failures for customer in customers)
    paid = sorted(order for customer in customers for order in customer.paid)
    wait_for(lambda: ask({}, "SELECT COUNT(*) AS n FROM deliveries", url=superuser)[0].n == 0, seconds=60)
    receipts = sorted(str(row.order_id) for row in ask({}, "SELECT order_id FROM receipts", url=superuser))
    assert receipts == paid, "one for each"
    assert len([json.loads(path.read_bytes()) for path in (project / "var" / "inbox").glob("*.json")]) == len(paid)
    assert ask({}, "SELECT COUNT(*) AS n FROM dead_letters", url=superuser)[0].n == 0
