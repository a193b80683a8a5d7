"""The rows of every contender: one store with its customer, its products and its past orders, always the same."""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("0b8f7f5c-5d0e-5a43-9c5e-3a4f1f0c9d21")
TENANT = uuid5(_NAMESPACE, "tenant")
USER = uuid5(_NAMESPACE, "user")
HOST, EMAIL, NAME, PASSWORD = "bench.example", "mara@bench.example", "Mara Okafor", "a password of the benchmark"
PRODUCTS, ORDERS, LINES = 1_000, 5_000, 3
SHELF, PAGE = 20, 24
"""Products of a list and of a rendered page."""
KEY = "peers sign their tokens with this, and nothing else does"
_FULL = 1_000_000_000
_FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)


def product(number: int) -> dict[str, Any]:
    return {
        "id": uuid5(_NAMESPACE, f"product {number}"),
        "sku": f"{1_000_000 + number}",
        "title": f"Ground coffee, roast {number}",
        "brand": f"Maker {number % 37}, variety {number % 5 + 1}",
        "size": f"{number % 9 + 1} x 250 g",
        "department": ("pantry", "produce", "bakery", "dairy")[number % 4],
        "price_cents": 199 + number % 800,
        "unit_price": f"{number % 90 + 10}¢ / 100 g",
        "stock": _FULL,
    }


def order_id(number: int) -> UUID:
    return uuid5(_NAMESPACE, f"order {number}")


def order(number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    chosen = [product((number * 7 + step * 331) % PRODUCTS) for step in range(LINES)]
    lines = [
        {
            "order_id": order_id(number),
            "position": position,
            "product_id": each["id"],
            "title": each["title"],
            "quantity": position + 1,
            "unit_cents": each["price_cents"],
            "amount_cents": each["price_cents"] * (position + 1),
        }
        for position, each in enumerate(chosen)
    ]
    whole = {
        "id": order_id(number),
        "user_id": USER,
        "number": f"B-{number:06}",
        "state": "placed",
        "customer": NAME,
        "placed_at": _FIRST + timedelta(minutes=number),
        "total_cents": sum(line["amount_cents"] for line in lines),
    }
    return whole, lines


def bodies(count: int) -> Iterator[str]:
    """What a customer orders."""
    chance = random.Random(1)
    for _ in range(count):
        lines = [
            {"product_id": str(product(number)["id"]), "quantity": 1}
            for number in chance.sample(range(PRODUCTS), LINES)
        ]
        yield json.dumps({"lines": lines})


def token() -> str:
    """For peers: a JWT (HS256) of the customer, good for a day."""
    claims = {"sub": str(USER), "tenant": str(TENANT), "name": NAME, "exp": int(time.time()) + 86_400}
    signed = b".".join(_part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _part(hmac.digest(KEY.encode(), signed, hashlib.sha256))).decode()


def _part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
