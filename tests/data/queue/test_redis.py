"""Redis Streams: the suite, against a real Valkey."""

from collections.abc import Iterator

import pytest

from groundplan.data.queue.port import Broker
from groundplan.data.queue.redis import RedisBroker
from groundplan.testing.broker_outages import BrokerOutageSuite
from groundplan.testing.broker_suite import BrokerSuite
from groundplan.testing.servers import Server, ValkeyServer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ValkeyServer() as server:
        yield server


class TestRedis(BrokerSuite, BrokerOutageSuite):
    def adapter(self, server: Server, prefix: str, lease: float) -> Broker:
        return RedisBroker(server.url, prefix, lease=lease)
