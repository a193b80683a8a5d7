"""RabbitMQ: the suite, against a real server."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest
from aiormq import Connection

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Broker, Outgoing
from groundplan.data.queue.rabbitmq import RabbitBroker
from groundplan.testing.broker_outages import BrokerOutageSuite
from groundplan.testing.broker_suite import LONG_LEASE, SOON, BrokerSuite, Make, everything, publish
from groundplan.testing.rabbitmq import RabbitServer
from groundplan.testing.servers import Server

pytestmark = pytest.mark.system_packages


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with RabbitServer() as server:
        yield server


class TestRabbit(BrokerSuite, BrokerOutageSuite):
    def adapter(self, server: Server, prefix: str, lease: float) -> Broker:
        return RabbitBroker(server.url, prefix, lease=lease)

    @asynccontextmanager
    async def opened(self, server: Server, prefix: str) -> AsyncIterator[Broker]:
        broker = self.adapter(server, prefix, LONG_LEASE)
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    async def test_a_queue_that_was_deleted_is_made_again(self, server: Server) -> None:
        prefix = f"deleted-{uuid4().hex}"
        async with self.opened(server, prefix) as broker, self.opened(server, prefix) as consumer:
            await publish(broker, "mail", 1)
            assert await consumer.receive(["mail", "reports"], 1, SOON)
            waiting = asyncio.create_task(consumer.receive(["mail", "reports"], 1, SOON * 3))
            await asyncio.sleep(0.1)
            async with Connection(server.url) as connection:
                await (await connection.channel()).queue_delete(f"{prefix}:mail")

            with pytest.raises(Unavailable, match="refuses"):
                await waiting
            with pytest.raises(Unavailable, match="refuses"):
                await publish(broker, "mail", 1)
            ids = await publish(broker, "mail", 1)
            assert {message.id for message in await everything(consumer, ["mail"], 1)} == ids

    async def test_what_is_too_large_keeps_nothing_else_back(self, make: Make) -> None:
        broker = await make()
        sent = [Outgoing(uuid4().hex, "mail", b"x" * size) for size in (1, 17 * 2**20, 1)]
        assert await broker.publish(sent) == {sent[0].id, sent[2].id}
        with pytest.raises(Unavailable, match="larger than"):
            await broker.publish(sent[1:2])
        assert {message.id for message in await everything(broker, ["mail"], 2)} >= {sent[0].id, sent[2].id}

    @pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
    async def test_what_a_stopped_process_held_is_handed_out_again(self, server: Server, how: signal.Signals) -> None:
        """The server misses its heartbeats: nothing in the process can end a lease any more."""
        prefix = f"stopped-{uuid4().hex}"
        async with self.opened(server, prefix) as broker:
            ids = await publish(broker, "mail", 3)
            consumer = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _CONSUMER, server.url, prefix, stdout=PIPE
            )
            try:
                assert consumer.stdout is not None
                async with asyncio.timeout(SOON * 3):
                    assert await consumer.stdout.readline() == b"3\n"
                consumer.send_signal(how)
                again = await everything(broker, ["mail"], 3)
            finally:
                with suppress(ProcessLookupError):
                    consumer.kill()
                await consumer.wait()
        assert {message.id: message.deliveries for message in again} == dict.fromkeys(ids, 2)


_CONSUMER = """
import asyncio
import sys

from groundplan.data.queue.rabbitmq import RabbitBroker


async def hold(url: str, prefix: str) -> None:
    broker = RabbitBroker(url, prefix, lease=2.0)
    await broker.open()
    print(len(await broker.receive(["mail"], 3, 30)), flush=True)
    await asyncio.Event().wait()


asyncio.run(hold(*sys.argv[1:]))
"""
