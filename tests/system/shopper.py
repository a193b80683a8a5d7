"""A customer with a browser's manners, over plain HTTP: cookies, forms, redirects, an Origin."""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import httpx2

T = TypeVar("T")

PASSWORD = "apples on a rainy day"


class Client(httpx2.Client):
    """Closes its connections when the test lets go of it."""

    def __del__(self) -> None:
        self.close()


class Shopper:
    def __init__(self, url: str, *, email: str = "mara@northside.example") -> None:
        self.url = url
        self.email = email
        self.browser = Client(base_url=url, headers={"origin": url}, timeout=30, trust_env=False)

    def sign_in(self) -> "Shopper":
        done = self.browser.post("/sign-in", data={"email": self.email, "password": PASSWORD, "next": "/"})
        assert done.status_code == 303, done.text
        return self

    def token(self) -> str:
        """For scripts."""
        done = self.browser.post("/api/v1/sessions", json={"email": self.email, "password": PASSWORD})
        assert done.status_code == 201, done.text
        return str(done.json()["token"])

    def script(self, token: str) -> httpx2.Client:
        return Client(base_url=self.url, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False)

    def products(self, **query: Any) -> list[dict[str, Any]]:
        found = self.browser.get("/api/v1/products", params=query)
        assert found.status_code == 200, found.text
        items: list[dict[str, Any]] = found.json()["items"]
        return items

    def check_out(self, key: str = "") -> tuple[str, str]:
        """Fills the basket, places the order under ``key`` or the form's own; the gateway's page and the trace id."""
        page = self.browser.get("/?stock=on")
        product = re.search(r'name="product_id" value="([^"]+)"', page.text)
        assert product, page.text
        filled = self.browser.post("/basket/lines", data={"product_id": product[1], "quantity": "1", "next": "/"})
        assert filled.status_code == 303, filled.text
        page = self.browser.get("/checkout")
        form = re.search(r'name="key" value="([^"]+)"', page.text)
        assert form, page.text
        trace_id = uuid4().hex
        done = self.browser.post(
            "/checkout", data={"key": key or form[1]}, headers={"traceparent": f"00-{trace_id}-{uuid4().hex[:16]}-01"}
        )
        assert done.status_code == 303, done.text
        return done.headers["location"], trace_id

    def approve(self, payment_page: str, **more: str) -> str:
        """Pays; the address of the order's page."""
        done = self.browser.post(payment_page, data={"decision": "approve", **more})
        assert done.status_code == 303, done.text
        return str(done.headers["location"])


def wait_for(what: Callable[[], T], *, seconds: float = 30.0) -> T:
    """The first answer that is not None or False; waiting for a condition, not for a time."""
    give_up = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < give_up, f"{what} did not come true in {seconds} s"
        time.sleep(0.05)
