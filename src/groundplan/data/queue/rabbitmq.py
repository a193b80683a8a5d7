"""RabbitMQ: a quorum queue for each queue, publisher confirms, and leases that the consumer keeps."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Outgoing, Received
from groundplan.data.queue.rabbitmq_link import TIMEOUT, Link, Pull
from groundplan.data.queue.shares import rotated, shares

_AWAY = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
_REFUSED = (AMQPChannelError, DeliveryError)

T = TypeVar("T")


class RabbitBroker:
    """What is confirmed is on the disk of the server, in a cluster of most of the servers that have the queue.

    Before version 3.11.15, the server's ``consumer_timeout``, by default half an hour, must be longer than any handler
    runs: it hands out what is held for longer, however often it was extended.
    """

    remembers_ids: ClassVar[bool] = False
    counts_what_others_hold: ClassVar[bool] = False

    def __init__(self, url: str, prefix: str, *, lease: float) -> None:
        self._prefix = prefix
        # While the server is short of memory or disk, it reads nothing from a connection that publishes.
        making = asyncio.Lock()
        self._publishing = _Connector(url, lease, making)
        self._consuming = _Connector(url, lease, making)
        self._turn = 0

    async def open(self) -> None:
        self._publishing.is_open = self._consuming.is_open = True
        await self._consuming.run(lambda link: link.round_trip())

    async def close(self) -> None:
        await asyncio.gather(self._publishing.close(), self._consuming.close())

    async def ping(self) -> str:
        async def ask(link: Link) -> str:
            await link.round_trip()
            return f"{link.server} answers."

        return await self._consuming.run(ask)

    async def publish(self, messages: Sequence[Outgoing]) -> set[str]:
        confirmed = set[str]()
        try:
            await self._publishing.run(lambda link: self._publish(link, messages, confirmed))
        except Unavailable:
            if not confirmed:
                raise
        return confirmed

    async def _publish(self, link: Link, messages: Sequence[Outgoing], confirmed: set[str]) -> None:
        names = self._names([message.queue for message in messages])
        await link.lines(names)

        async def publish(message: Outgoing) -> None:
            await link.publish(names[message.queue], message)
            confirmed.add(message.id)

        async with asyncio.timeout(TIMEOUT):
            answers = await asyncio.gather(*map(publish, messages), return_exceptions=True)
            failures = [answer for answer in answers if answer is not None]
            if any(isinstance(failure, ChannelPreconditionFailed) for failure in failures) and len(messages) > 1:
                # One is larger than the server takes, which ended the channel for all: now each by itself.
                for message in messages:
                    if message.id not in confirmed:
                        with suppress(ChannelPreconditionFailed):
                            await publish(message)
            elif failures:
                if any(isinstance(failure, PublishError) for failure in failures):
                    await link.forget(names)
                raise failures[0]

    async def receive(self, queues: Sequence[str], limit: int, wait: float) -> list[Received]:
        if not queues or limit < 1:
            await asyncio.sleep(wait)
            return []
        got, enough = list[Received](), asyncio.Event()
        try:
            await self._consuming.run(lambda link: self._receive(link, queues, limit, wait, got, enough), enough.set)
        except asyncio.CancelledError:
            with suppress(Unavailable):
                await self.release(got)
            raise
        return got

    async def _receive(
        self, link: Link, queues: Sequence[str], limit: int, wait: float, got: list[Received], enough: asyncio.Event
    ) -> None:
        pull = Pull(link, await link.lines(self._names(queues)), enough)
        try:
            await self._fill(pull, queues, limit)
            if not pull.messages and wait > 0:
                await pull.await_first(dict.fromkeys(queues, max(1, limit // len(queues))), wait)
        except (AMQPChannelError, ChannelInvalidStateError):
            with suppress(*_AWAY):
                await pull.end()
            await link.return_unseen(pull.messages)
            raise
        await link.return_unseen(pull.messages[limit:])
        got += pull.messages[:limit]

    async def _fill(self, pull: Pull, queues: Sequence[str], limit: int) -> None:
        """Each queue is asked for its share; those that have more are asked again until there is enough."""
        self._turn += 1
        rest = rotated(queues, self._turn)
        while (room := limit - len(pull.messages)) > 0:
            waiting = await pull.waiting(rest)
            rest = [queue for queue in rest if waiting[queue]]
            if not rest:
                break
            asked = {queue: min(share, waiting[queue]) for queue, share in shares(rest, room).items()}
            if not await pull.take(asked):
                break

    async def extend(self, held: Sequence[Received]) -> None:
        async def tell(link: Link) -> None:
            link.extend(held)
            await link.round_trip(held)

        if held:
            await self._consuming.run(tell)

    async def acknowledge(self, done: Sequence[Received]) -> None:
        async def tell(link: Link) -> None:
            await link.acknowledge(done)
            await link.round_trip(done)

        if done:
            await self._consuming.run(tell)

    async def release(self, held: Sequence[Received]) -> None:
        async def tell(link: Link) -> None:
            await link.release(held)
            await link.round_trip(held)

        if held:
            await self._consuming.run(tell)

    async def depth(self, queues: Sequence[str]) -> dict[str, int]:
        async def count(link: Link) -> dict[str, int]:
            lines = await link.lines(self._names(queues))
            waiting = await asyncio.gather(*(line.waiting() for line in lines.values()))
            return {line.queue: count + link.held(line) for line, count in zip(lines.values(), waiting, strict=True)}

        return await self._consuming.run(count)

    def _names(self, queues: Sequence[str]) -> dict[str, str]:
        return {queue: f"{_word(self._prefix)}:{_word(queue)}" for queue in queues}


def _word(name: str) -> str:
    """In the letters that the client lets the name of a queue have."""
    return quote(name, safe="").replace("~", "%7E").replace("%", "#")


class _Connector:
    """Runs calls on a connection, on a new one where the last was lost."""

    def __init__(self, url: str, lease: float, making: asyncio.Lock) -> None:
        self.is_open = False
        self._connect = partial(Link, url, lease, making)
        self._link: Link | None = None
        self._linking = asyncio.Lock()
        self._ending = set[asyncio.Task[None]]()

    async def run(self, act: Callable[[Link], Coroutine[Any, Any, T]], stop: Callable[[], None] | None = None) -> T:
        """Done to its end, also when the caller is cancelled, which ``stop`` tells it: the client would close the
        channel, and with it give back what is held there."""
        task = asyncio.create_task(self._run(act))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and not current.cancelling():
                raise Unavailable("The connection to RabbitMQ ended meanwhile.") from None
            if stop is not None:
                stop()
            with suppress(Unavailable, asyncio.CancelledError):
                await task
            raise

    async def close(self) -> None:
        self.is_open = False
        await self._drop(self._link)
        if self._ending:
            await asyncio.wait(self._ending, timeout=TIMEOUT)

    async def _run(self, act: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        link = None
        try:
            link = await self._reach()
            return await act(link)
        except _REFUSED as error:
            raise Unavailable(f"RabbitMQ refuses: {error}.") from error
        except _AWAY as error:
            if link is None or link.is_closed or not isinstance(error, ChannelInvalidStateError):
                await self._drop(link)
            raise Unavailable(f"RabbitMQ does not answer ({str(error) or 'timeout'}).") from error

    async def _reach(self) -> Link:
        async with asyncio.timeout(TIMEOUT), self._linking:
            if not self.is_open:
                raise Unavailable("The connection to RabbitMQ is closed.")
            if self._link is None or self._link.is_closed:
                await self._drop(self._link)
                link = self._connect()
                try:
                    await link.open()
                except BaseException:
                    self._end(link)
                    raise
                self._link = link
            return self._link

    async def _drop(self, link: Link | None) -> None:
        """Its end may take as long as the server does not answer."""
        if link is not None and link is self._link:
            self._link = None
            await asyncio.wait({self._end(link)}, timeout=0.5)

    def _end(self, link: Link) -> asyncio.Task[None]:
        ending = asyncio.create_task(link.close())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return ending
