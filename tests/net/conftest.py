"""Peers to call, and clients to call them with."""

from collections.abc import AsyncIterator

import pytest

from groundplan.net import dialling, wire
from groundplan.net.customer import CustomerHttp
from tests.net.customers import Names, a_client
from tests.net.house import House, a_house
from tests.net.peer import Peer


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not taken for a peer that does not pick up."""
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 30.0)
    monkeypatch.setattr(dialling, "DIAL_SECONDS", 30.0)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def http(names: Names) -> AsyncIterator[CustomerHttp]:
    async with a_client(names) as client:
        yield client


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house
