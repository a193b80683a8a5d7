"""A connection to RabbitMQ: its queues, the consumers of one call, and what is held with a lease."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any

from aiormq import Connection, spec
from aiormq.abc import AbstractChannel, ConsumerCallback, DeliveredMessage
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ChannelNotFoundEntity

from groundplan.data.queue.port import Outgoing, Received

TIMEOUT = 4.0
SLICE = 1.0
"""So often a wait for messages asks whether the server is still there."""
MOST = 1000
"""So many messages come to a consumer at most before others of its call have their turn."""

SETTLE_SECONDS = 1.5
"""A new queue is left alone for so long: the server writes down which log is whose within a second, and a queue whose
server is killed before that comes back empty, or never."""

ARGUMENTS: Mapping[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 2**31 - 1,  # none is dropped for being handed out again: -1 says so from version 4 on only
    "x-overflow": "reject-publish",  # nor is one where a policy gives the queue a length
    "x-consumer-timeout": 2**31 - 1,  # milliseconds, which are ours to count; from version 3.11.15 on
}
"""The same on every version: a queue keeps them when its server is brought up to date."""


class Line:
    """A queue as one connection sees it, on a channel of its own: what the server refuses here ends no other's."""

    def __init__(self, queue: str, name: str, channel: AbstractChannel) -> None:
        self.queue = queue
        self.name = name
        self.channel = channel
        self._prefetch = 0
        self._consuming = asyncio.Lock()

    async def waiting(self) -> int:
        """How many messages nobody holds. The server has then heard all that was said to it here before."""
        async with asyncio.timeout(TIMEOUT):
            found = await self.channel.queue_declare(self.name, passive=True)
        return found.message_count or 0

    async def consume(self, most: int, take: ConsumerCallback) -> str:
        async with asyncio.timeout(TIMEOUT), self._consuming:
            if most != self._prefetch:
                await self.channel.basic_qos(prefetch_count=most)
                self._prefetch = most
            return (await self.channel.basic_consume(self.name, take)).consumer_tag or ""

    async def cancel(self, consumer: str) -> None:
        """What was on its way has come before this returns; what is held stays so."""
        async with asyncio.timeout(TIMEOUT):
            await self.channel.basic_cancel(consumer)


class Held:
    """A message that the server waits to hear about, as its receipt."""

    __slots__ = ("line", "tag")

    def __init__(self, line: Line, tag: int) -> None:
        self.line = line
        self.tag = tag


class Link:
    """One connection, which does not come back by itself. What is held on it is the others' again when it ends.

    A dead or frozen process is found by its missing heartbeats within one lease, but for the shortest: the protocol's
    are seconds. What a living one neither extends nor acknowledges is given back here.
    """

    def __init__(self, url: str, lease: float, making: asyncio.Lock) -> None:
        """``making`` is held while queues are made, by all connections of a process."""
        heartbeat = min(60, max(1, int(lease / 2)))  # the server closes after two without a sign of life
        self._connection = Connection(f"{url}{'&' if '?' in url else '?'}heartbeat={heartbeat}")
        self._lease = lease
        self._clock = asyncio.get_running_loop().time
        self._held: dict[Held, float] = {}
        self._lines: dict[str, Line] = {}
        self._publisher: AbstractChannel | None = None
        self._making = making
        self._opening = asyncio.Lock()
        self._leases: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        return self._connection.is_closed

    @property
    def server(self) -> str:
        properties: Any = self._connection.server_properties
        return f"{properties.get('product', 'the server')} {properties.get('version', '')}".strip()

    async def open(self) -> None:
        await self._connection.connect()
        self._leases = asyncio.create_task(self._end_leases(), name="leases of messages from RabbitMQ")

    async def close(self) -> None:
        if self._leases is not None:
            self._leases.cancel()
            await asyncio.wait({self._leases})
        with suppress(Exception):  # whatever the client meets on its way out
            await self._connection.close(AMQPConnectionError("the connection was given up"))

    async def lines(self, names: Mapping[str, str]) -> dict[str, Line]:
        """Of these queues, by the names that they have on the server, where each is made if it is not there."""
        if not all(map(self._has, names)):
            async with asyncio.timeout(TIMEOUT), self._making:
                made = [await self._open(queue, names[queue]) for queue in names if not self._has(queue)]
                if any(made):
                    await asyncio.sleep(SETTLE_SECONDS)
        return {queue: self._lines[queue] for queue in names}

    def _has(self, queue: str) -> bool:
        return queue in self._lines and not self._lines[queue].channel.is_closed

    async def _open(self, queue: str, name: str) -> bool:
        """Whether the queue is new."""
        channel = await self._channel(publisher_confirms=False)
        is_new = False
        try:
            await channel.queue_declare(name, passive=True)
        except ChannelNotFoundEntity:
            channel = await self._channel(publisher_confirms=False)
            await channel.queue_declare(name, durable=True, arguments=dict(ARGUMENTS))
            is_new = True
        self._lines[queue] = Line(queue, name, channel)
        return is_new

    async def forget(self, queues: Collection[str]) -> None:
        """They may be gone from the server, and are made when they are next named; what was held of them is lost."""
        for line in [self._lines.pop(queue) for queue in queues if queue in self._lines]:
            async with asyncio.timeout(TIMEOUT):
                await line.channel.close()

    async def publish(self, name: str, message: Outgoing) -> None:
        """Returns once the server has stored it."""
        async with self._opening:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await self._channel(publisher_confirms=True)
        properties = spec.Basic.Properties(message_id=message.id, delivery_mode=2)
        await self._publisher.basic_publish(message.body, routing_key=name, properties=properties, mandatory=True)

    def hold(self, line: Line, message: DeliveredMessage) -> Received:
        held = Held(line, message.delivery_tag or 0)
        self._held[held] = self._clock() + self._lease
        properties = message.header.properties
        before: Any = (properties.headers or {}).get("x-delivery-count", 0)
        return Received(properties.message_id or "", line.queue, message.body, int(before) + 1, held)

    def held(self, line: Line) -> int:
        return sum(held.line is line for held in self._held)

    def extend(self, messages: Sequence[Received]) -> None:
        for message in messages:
            if self._held.pop(message.receipt, None) is not None:
                self._held[message.receipt] = self._clock() + self._lease

    async def acknowledge(self, messages: Sequence[Received]) -> None:
        await self._say([message.receipt for message in messages], _acknowledge)

    async def release(self, messages: Sequence[Received]) -> None:
        """That they were handed out counts."""
        await self._say([message.receipt for message in messages], _release)

    async def return_unseen(self, messages: Sequence[Received]) -> None:
        """That they were handed out does not count, from version 4.3 on."""
        await self._say([message.receipt for message in messages], _return_unseen)

    async def _say(self, receipts: Sequence[Held], word: Callable[[AbstractChannel, int], Awaitable[None]]) -> None:
        """What is not held here any more is somebody else's, and so is what was held on a channel that is closed."""
        for held in receipts:
            if self._held.pop(held, None) is not None:
                with suppress(ChannelInvalidStateError):
                    await word(held.line.channel, held.tag)

    async def round_trip(self, messages: Sequence[Received] = ()) -> None:
        """The server has heard what was said about these; without any, it is there."""
        lines: set[Line] = {message.receipt.line for message in messages}
        mine = [line for line in lines if self._lines.get(line.queue) is line]
        if mine:
            await asyncio.gather(*(line.waiting() for line in mine))
        else:
            async with asyncio.timeout(TIMEOUT):
                await (await self._channel(publisher_confirms=False)).close()

    async def _channel(self, *, publisher_confirms: bool) -> AbstractChannel:
        if self.is_closed:
            raise AMQPConnectionError("the connection is closed")
        return await self._connection.channel(publisher_confirms=publisher_confirms)

    async def _end_leases(self) -> None:
        """The dictionary has them in the order in which they end."""
        while True:
            nearest = next(iter(self._held.values()), self._clock() + self._lease)
            await asyncio.sleep(nearest - self._clock())
            await self._say([*takewhile(self._has_ended, self._held)], _release)

    def _has_ended(self, held: Held) -> bool:
        return self._held[held] <= self._clock()


async def _acknowledge(channel: AbstractChannel, tag: int) -> None:
    await channel.basic_ack(tag, wait=False)


async def _release(channel: AbstractChannel, tag: int) -> None:
    await channel.basic_reject(tag, requeue=True, wait=False)


async def _return_unseen(channel: AbstractChannel, tag: int) -> None:
    await channel.basic_nack(tag, requeue=True, wait=False)


class Pull:
    """Takes messages for one call, by consumers that are there no longer than it."""

    def __init__(self, link: Link, lines: Mapping[str, Line], enough: asyncio.Event) -> None:
        self.messages: list[Received] = []
        self._link = link
        self._lines = lines
        self._enough = enough
        self._consumers: list[tuple[Line, str]] = []

    async def waiting(self, queues: Collection[str]) -> dict[str, int]:
        counts = await asyncio.gather(*(self._lines[queue].waiting() for queue in queues))
        return dict(zip(queues, counts, strict=True))

    async def take(self, shares: Mapping[str, int]) -> int:
        """Up to so many of each, and how many came: others may have been faster."""
        before = len(self.messages)
        await self._begin(shares)
        if len(self.messages) - before < sum(shares.values()):
            await self.waiting(shares)  # by then, what there was for us is on its way
        await self.end()
        return len(self.messages) - before

    async def await_first(self, shares: Mapping[str, int], seconds: float) -> None:
        """The first message within the time, and what comes together with it."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        await self._begin(shares)
        while not self._enough.is_set() and (left := end - clock()) > 0:
            try:
                await asyncio.wait_for(self._enough.wait(), min(left, SLICE))
            except TimeoutError:
                await self.waiting(shares)
        await self.end()

    async def end(self) -> None:
        consumers, self._consumers = self._consumers, []
        await asyncio.gather(*(line.cancel(consumer) for line, consumer in consumers))

    async def _begin(self, shares: Mapping[str, int]) -> None:
        begun = await asyncio.gather(*(self._consume(*share) for share in shares.items()), return_exceptions=True)
        for failure in begun:
            if isinstance(failure, BaseException):
                raise failure

    async def _consume(self, queue: str, most: int) -> None:
        line = self._lines[queue]
        self._consumers.append((line, await line.consume(min(most, MOST), partial(self._take, line))))

    async def _take(self, line: Line, message: DeliveredMessage) -> None:
        self.messages.append(self._link.hold(line, message))
        self._enough.set()
