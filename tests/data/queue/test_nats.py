"""JetStream: the suite, against a real server."""

from collections.abc import Iterator

import pytest

from groundplan.data.queue.nats import NatsBroker
from groundplan.data.queue.port import Broker
from groundplan.testing.broker_outages import BrokerOutageSuite
from groundplan.testing.broker_suite import BrokerSuite
from groundplan.testing.servers import NatsServer, Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with NatsServer() as server:
        yield server


class TestNats(BrokerSuite, BrokerOutageSuite):
    def adapter(self, server: Server, prefix: str, lease: float) -> Broker:
        return NatsBroker(server.url, prefix, lease=lease)
