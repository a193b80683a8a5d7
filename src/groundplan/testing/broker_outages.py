"""What every broker must do when its server or its consumer goes away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import uuid4

import pytest

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Broker, Outgoing, Received
from groundplan.testing.broker_suite import SHORT_LEASE, SOON, Make, everything, publish, until
from groundplan.testing.servers import Server

AWAY_SECONDS = 5.5

T = TypeVar("T")


@pytest.mark.anyio
class BrokerOutageSuite:
    """The other half of BrokerSuite, whose fixtures it asks for: a subclass has both as its bases."""

    @pytest.mark.parametrize("how", ["killed", "stopped"])
    async def test_what_is_confirmed_survives_the_server(self, make: Make, server: Server, how: str) -> None:
        broker = await make(SHORT_LEASE)
        ids = await publish(broker, "mail", 100)
        done = await everything(broker, ["mail"], 10)
        await broker.acknowledge(done)
        await until(broker, {"mail": 90})
        await asyncio.to_thread(server.kill if how == "killed" else server.stop)
        await asyncio.to_thread(server.start)

        left = ids - {message.id for message in done}
        got = set[str]()
        async with asyncio.timeout(SOON * 3):
            while not left <= got:
                messages = await once_back(lambda: broker.receive(["mail"], 100, 1))
                await once_back(lambda held=messages: broker.acknowledge(held))  # type: ignore[misc]
                got |= {message.id for message in messages}
        assert got <= ids

    async def test_while_the_server_is_away_everything_says_so(self, make: Make, server: Server) -> None:
        broker, stranger = await make(SHORT_LEASE), await make(SHORT_LEASE)
        await publish(broker, "mail", 2)
        held = await everything(broker, ["mail"], 1)
        waiting = asyncio.create_task(stranger.receive(["reports"], 1, 60))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.stop)
        try:
            await unavailable(waiting)
            for attempt in attempts(broker, held):
                await unavailable(attempt)
        finally:
            await asyncio.to_thread(server.start)

        assert await once_back(broker.ping)
        await once_back(lambda: publish(broker, "mail", 1))
        async with asyncio.timeout(SOON * 3):
            while await once_back(lambda: broker.depth(["mail"])) != {"mail": 0}:
                messages = await once_back(lambda: broker.receive(["mail"], 10, 1))
                await once_back(lambda held=messages: broker.acknowledge(held))  # type: ignore[misc]

    async def test_a_server_that_does_not_answer_is_away(self, make: Make, server: Server) -> None:
        broker = await make(SHORT_LEASE)
        await publish(broker, "mail", 2)
        held = await everything(broker, ["mail"], 1)
        server.freeze()
        try:
            await asyncio.gather(*map(unavailable, attempts(broker, held)))
        finally:
            server.thaw()

        assert await once_back(broker.ping)
        await once_back(lambda: publish(broker, "mail", 1))

    async def test_a_server_that_lost_everything_is_made_ready_again(self, make: Make, server: Server) -> None:
        broker = await make(SHORT_LEASE)
        await publish(broker, "mail", 1)
        assert await everything(broker, ["mail"], 1)
        await asyncio.to_thread(server.stop)
        server.wipe()
        await asyncio.to_thread(server.start)

        ids = await once_back(lambda: publish(broker, "mail", 3))
        got = set[str]()
        async with asyncio.timeout(SOON * 3):
            while not ids <= got:
                got |= {message.id for message in await once_back(lambda: broker.receive(["mail"], 10, 1))}

    async def test_a_cancelled_wait_loses_nothing(self, make: Make) -> None:
        consumer, publisher = await make(), await make()
        sent, got = set[str](), set[str]()
        for number in range(60):
            waiting = asyncio.create_task(consumer.receive(["mail", "reports"], 10, SOON))
            await asyncio.sleep(0.004)
            publishing = asyncio.create_task(publish(publisher, "mail" if number % 2 else "reports", 2))
            await asyncio.sleep(number % 20 / 4000)
            waiting.cancel()
            await asyncio.wait([waiting, publishing])
            sent |= publishing.result()
            if not waiting.cancelled():
                got |= {message.id for message in waiting.result()}

        left = await everything(publisher, ["mail", "reports"], len(sent - got))
        assert got.isdisjoint(message.id for message in left)
        assert got | {message.id for message in left} == sent


def attempts(broker: Broker, held: Sequence[Received]) -> list[Awaitable[object]]:
    return [
        broker.ping(),
        broker.publish([Outgoing(uuid4().hex, "mail", b"")]),
        broker.receive(["mail"], 1, 1),
        broker.acknowledge(held),
        broker.extend(held),
        broker.release(held),
        broker.depth(["mail"]),
    ]


async def unavailable(attempt: Awaitable[object]) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(attempt, SOON * 3)
    assert time.monotonic() - started < AWAY_SECONDS


async def once_back(act: Callable[[], Awaitable[T]]) -> T:
    """What it returns as soon as the adapter has come back."""
    async with asyncio.timeout(SOON * 3):
        while True:
            try:
                return await act()
            except Unavailable:
                await asyncio.sleep(0.05)
