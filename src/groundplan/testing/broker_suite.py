"""What every broker must do. An adapter's test subclasses the suite and says how to make one, on a real server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import uuid4

import pytest

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Broker, Outgoing, Received
from groundplan.testing.servers import Server

SOON = 10.0
"""The longest wait for what should come at once; only a failure takes so long."""
LONG_LEASE = 300.0
SHORT_LEASE = 1.0

Make = Callable[..., Awaitable[Broker]]


@pytest.mark.anyio
class BrokerSuite:
    """A subclass has the fixture ``server``, a running one, and says how to make an adapter for it."""

    def adapter(self, server: Server, prefix: str, lease: float) -> Broker:
        raise NotImplementedError

    @pytest.fixture
    async def make(self, server: Server) -> AsyncIterator[Make]:
        """Opens one more consumer of the test's own queues, by default with a lease that does not run out."""
        prefix, made = f"suite-{uuid4().hex[:12]}", list[Broker]()

        async def make(lease: float = LONG_LEASE) -> Broker:
            broker = self.adapter(server, prefix, lease)
            made.append(broker)
            await broker.open()
            return broker

        yield make
        for broker in made:
            await broker.close()

    @pytest.fixture
    async def broker(self, make: Make) -> Broker:
        return await make()

    async def test_messages_come_as_they_went_in_and_in_order(self, broker: Broker) -> None:
        bodies = [b"", b"\x00\xff\r\n", b"x" * 200_000, *(b"%d" % number for number in range(50))]
        sent = [Outgoing(uuid4().hex, "mail", body) for body in bodies]
        for start in range(0, len(sent), 20):
            batch = sent[start : start + 20]
            assert await broker.publish(batch) == {message.id for message in batch}

        got = await everything(broker, ["mail"], len(sent))
        assert [(m.id, m.queue, m.body, m.deliveries) for m in got] == [(m.id, "mail", m.body, 1) for m in sent]

    async def test_empty_batches(self, broker: Broker) -> None:
        assert await broker.publish([]) == set()
        await broker.acknowledge([])
        await broker.extend([])
        await broker.release([])

    async def test_a_message_of_a_lost_consumer_is_handed_out_again_when_its_lease_ends(self, make: Make) -> None:
        consumer, other = await make(SHORT_LEASE), await make(SHORT_LEASE)
        await publish(consumer, "mail", 1)
        started = time.monotonic()
        [first] = await consumer.receive(["mail"], 10, SOON)
        [second] = await other.receive(["mail"], 10, SOON)

        assert (first.id, first.deliveries, second.deliveries) == (second.id, 1, 2)
        assert time.monotonic() - started > SHORT_LEASE * 0.8
        await other.acknowledge([second])
        await consumer.acknowledge([first])
        assert await consumer.receive(["mail"], 10, SHORT_LEASE * 2) == []

    async def test_what_a_closed_consumer_held_is_handed_out_again(self, make: Make) -> None:
        consumer, other = await make(SHORT_LEASE), await make(SHORT_LEASE)
        ids = await publish(consumer, "mail", 3)
        await consumer.receive(["mail"], 10, SOON)
        await consumer.close()

        assert {message.id for message in await everything(other, ["mail"], 3)} == ids

    async def test_an_extended_message_stays_where_it_is(self, make: Make) -> None:
        consumer, other = await make(SHORT_LEASE), await make(SHORT_LEASE)
        await publish(consumer, "mail", 2)
        held = await everything(consumer, ["mail"], 2)
        extended = end = time.monotonic()
        end += SHORT_LEASE * 2
        while time.monotonic() < end:
            await consumer.extend(held)
            stolen = await other.receive(["mail"], 10, SHORT_LEASE / 5)
            late = time.monotonic() - extended > SHORT_LEASE * 0.9
            extended = time.monotonic()
            if stolen and late:  # this machine was too slow to extend in time
                await other.release(stolen)
                held = await everything(consumer, ["mail"], 2)
            else:
                assert stolen == []
        await consumer.acknowledge(held)
        assert await other.receive(["mail"], 10, SHORT_LEASE * 2) == []

    async def test_a_released_message_is_handed_out_at_once(self, make: Make) -> None:
        consumer, other = await make(), await make()
        await publish(consumer, "mail", 2)
        first = await everything(consumer, ["mail"], 2)
        await consumer.release(first)
        again = await everything(other, ["mail"], 2)
        assert {message.id for message in again} == {message.id for message in first}
        assert {message.deliveries for message in again} == {2}

        waiting = asyncio.create_task(consumer.receive(["mail"], 1, SOON))
        await asyncio.sleep(0.1)
        await other.release(again[:1])
        assert [message.id for message in await waiting] == [again[0].id]

    async def test_a_message_is_handed_out_as_often_as_it_is_released(self, broker: Broker) -> None:
        ids = await publish(broker, "mail", 1)
        for deliveries in range(1, 31):
            held = await everything(broker, ["mail"], 1)
            assert [(message.id, message.deliveries) for message in held] == [(*ids, deliveries)]
            await broker.release(held)

    async def test_what_is_acknowledged_never_comes_back(self, make: Make) -> None:
        consumer = await make(SHORT_LEASE)
        await publish(consumer, "mail", 20)
        await consumer.acknowledge(await everything(consumer, ["mail"], 20))
        await consumer.close()

        other = await make(SHORT_LEASE)
        assert await other.receive(["mail"], 100, SHORT_LEASE * 2) == []
        assert await other.depth(["mail"]) == {"mail": 0}

    async def test_two_consumers_never_hold_the_same_message(self, make: Make) -> None:
        consumers = [await make(), await make()]
        ids = await publish(consumers[0], "mail", 400)
        held = list[str]()

        async def consume(consumer: Broker) -> None:
            while len(held) < len(ids):
                held.extend(message.id for message in await consumer.receive(["mail"], 7, 0.2))

        async with asyncio.timeout(SOON * 3):
            await asyncio.gather(*map(consume, consumers))
        assert sorted(held) == sorted(ids)

    async def test_no_more_than_the_limit_and_only_from_these_queues(self, make: Make) -> None:
        consumer, other = await make(), await make()
        for queue in ("mail", "reports", "other"):
            await publish(consumer, queue, 10)
        got = list[Received]()
        while len(got) < 20:
            batch = await consumer.receive(["mail", "reports"], 7, SOON)
            assert 0 < len(batch) <= 7
            got += batch
        assert [m.queue for m in got].count("mail") == [m.queue for m in got].count("reports") == 10
        assert len(await everything(other, ["other"], 10)) == 10

    async def test_what_a_consumer_did_not_ask_for_is_there_for_others(self, make: Make) -> None:
        consumer, other = await make(), await make()
        await publish(consumer, "mail", 10)
        first = await everything(consumer, ["mail"], 3)
        rest = await everything(other, ["mail"], 7)

        assert len({message.id for message in first + rest}) == 10
        assert {message.deliveries for message in first} == {1}

    async def test_one_slot_serves_many_queues(self, broker: Broker) -> None:
        queues = ["first", "second", "third", "a.b", "with blank*>", "é/%"]
        for queue in queues:
            await publish(broker, queue, 2)
        assert await broker.depth(queues) == dict.fromkeys(queues, 2)
        served = list[str]()
        while len(served) < len(queues) * 2:
            [message] = await broker.receive(queues, 1, SOON)
            await broker.acknowledge([message])
            served.append(message.queue)
        assert sorted(served) == sorted(queues * 2)

    async def test_a_wait_ends_with_the_first_message(self, make: Make) -> None:
        consumer, other = await make(), await make()
        for queue in ("mail", "reports"):
            waiting = asyncio.create_task(consumer.receive(["mail", "reports"], 10, SOON * 3))
            await asyncio.sleep(0.2)
            ids = await publish(other, queue, 1)
            started = time.monotonic()
            assert {message.id for message in await waiting} == ids
            assert time.monotonic() - started < SOON

    async def test_a_burst_for_one_waiting_slot(self, make: Make) -> None:
        consumer, other = await make(), await make()
        queues = [f"queue-{number}" for number in range(5)]
        for _ in range(5):
            waiting = asyncio.create_task(consumer.receive(queues, 1, SOON))
            await asyncio.sleep(0.05)
            burst = [Outgoing(uuid4().hex, queue, b"") for queue in queues]
            await other.publish(burst)
            got = await waiting
            assert len(got) == 1
            got += await everything(other, queues, len(queues) - 1)
            assert {message.id for message in got} == {message.id for message in burst}

    async def test_a_wait_for_nothing_ends_in_time(self, broker: Broker) -> None:
        for wait in (0.0, 0.5):
            started = time.monotonic()
            assert await broker.receive(["mail", "reports"], 10, wait) == []
            assert wait * 0.9 <= time.monotonic() - started < wait + SOON

    async def test_no_queue_and_no_slot_are_waits_for_nothing(self, broker: Broker) -> None:
        await publish(broker, "mail", 1)
        started = time.monotonic()
        assert await broker.receive([], 10, 0.2) == await broker.receive(["mail"], 0, 0.2) == []
        assert time.monotonic() - started > 0.3

    async def test_depth_counts_what_waits_and_what_is_held(self, make: Make) -> None:
        broker, other = await make(), await make()
        assert await broker.depth(["mail", "reports"]) == {"mail": 0, "reports": 0}
        await publish(broker, "mail", 5)
        assert await broker.depth(["mail", "reports"]) == {"mail": 5, "reports": 0}
        held = await everything(broker, ["mail"], 2)
        assert await broker.depth(["mail"]) == {"mail": 5}
        await until(other, {"mail": 5 if other.counts_what_others_hold else 3})
        await broker.acknowledge(held)
        await until(broker, {"mail": 3})

    async def test_a_message_published_twice(self, broker: Broker) -> None:
        message = Outgoing(uuid4().hex, "mail", b"once")
        for _ in range(2):
            assert await broker.publish([message, message]) == {message.id}
        copies = 1 if broker.remembers_ids else 4
        assert len(await everything(broker, ["mail"], copies)) == copies
        assert await broker.receive(["mail"], 10, 0.2) == []

    async def test_opening_is_safe_to_repeat_and_from_many_at_once(self, make: Make) -> None:
        brokers = await asyncio.gather(*(make() for _ in range(5)))
        await brokers[0].open()
        await asyncio.gather(*(publish(broker, "mail", 1) for broker in brokers))
        got = await asyncio.gather(*(broker.receive(["mail"], 1, SOON) for broker in brokers))
        assert len({message.id for messages in got for message in messages}) == 5

    async def test_a_closed_adapter_does_not_come_back(self, broker: Broker) -> None:
        await broker.close()
        await broker.close()
        with pytest.raises(Unavailable):
            await broker.publish([Outgoing("1", "mail", b"")])

    async def test_it_says_how_it_is_doing(self, broker: Broker) -> None:
        assert await broker.ping()


async def publish(broker: Broker, queue: str, count: int) -> set[str]:
    messages = [Outgoing(uuid4().hex, queue, b"%d" % number) for number in range(count)]
    ids = {message.id for message in messages}
    assert await broker.publish(messages) == ids
    return ids


async def everything(broker: Broker, queues: Sequence[str], count: int) -> list[Received]:
    """So many messages, in as many calls as it takes."""
    got = list[Received]()
    async with asyncio.timeout(SOON):
        while len(got) < count:
            got += await broker.receive(queues, count - len(got), SOON)
    return got


async def until(broker: Broker, depth: dict[str, int]) -> None:
    """A broker may count a moment later what it was told."""
    async with asyncio.timeout(SOON):
        while await broker.depth(list(depth)) != depth:  # noqa: ASYNC110 - no broker tells
            await asyncio.sleep(0.02)
