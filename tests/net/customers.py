"""Customers whose names lead where a test says, and a client that calls them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from groundplan.net.customer import CustomerHttp
from groundplan.net.guard import CustomerPolicy
from groundplan.testing.clock import ManualClock
from tests.net.peer import Peer

HERE = CustomerPolicy(http=True, any_port=True, inside=(ip_network("127.0.0.1/32"),), dns_seconds=5)
"""As in production, but for the one address where the tests' server is."""


class Names:
    """A resolver. What is not listed has no address."""

    def __init__(self) -> None:
        self.lead_to: dict[str, list[str]] = {"hooks.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.lead_to:
            raise OSError("no such name")
        return self.lead_to[host]


@asynccontextmanager
async def a_client(names: Names, policy: CustomerPolicy = HERE, **options: Any) -> AsyncIterator[CustomerHttp]:
    client = CustomerHttp(ManualClock(), policy=policy, resolve=names, **options)
    await client.open()
    yield client
    await client.close()


def at(peer: Peer, path: str = "/", host: str = "hooks.example") -> str:
    return f"http://{host}:{peer.port}{path}"
