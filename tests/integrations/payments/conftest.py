"""A sandbox gateway and, over a real socket, the shop that it reports to."""

from collections.abc import AsyncIterator

import pytest

from groundplan.integrations.payments.sandbox import SandboxGateway
from groundplan.net.client import Outbound
from groundplan.testing.clock import ManualClock
from tests.net.peer import Peer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def shop() -> AsyncIterator[Peer]:
    async with Peer() as shop:
        yield shop


@pytest.fixture
async def outbound(clock: ManualClock) -> AsyncIterator[Outbound]:
    outbound = Outbound(clock)
    yield outbound
    await outbound.close()


@pytest.fixture
async def gateway(shop: Peer, outbound: Outbound, clock: ManualClock) -> SandboxGateway:
    callback_url = f"{shop.url}/webhooks/in/payments"
    gateway = SandboxGateway(b"k" * 32, outbound, clock, env="ci", callback_url=callback_url)
    await gateway.open()
    return gateway
