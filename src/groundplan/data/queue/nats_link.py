"""A connection to NATS: who waits for which answer, and the messages of one pull."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from groundplan.data.queue.port import Received

TIMEOUT = 4.0

_NONE_LEFT = ("404", "408")


class Replies:
    """What the server says to each message of a batch; ``complete`` when it has said it of all."""

    def __init__(self, inbox: str, count: int) -> None:
        self.inbox = inbox
        self.good: list[int] = []
        self.refusal = ""
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = count

    def to(self, number: int) -> str:
        """The address that the answer to this message goes to."""
        return f"{self.inbox}.{number}"

    def take(self, number: int, refusal: str = "") -> None:
        if refusal:
            self.refusal = refusal
        else:
            self.good.append(number)
        self._missing -= 1
        if not self._missing and not self.complete.done():
            self.complete.set_result(None)


class Link:
    """One connection, which does not come back by itself: the adapter makes another."""

    def __init__(self) -> None:
        self.client = Client()
        self.made: set[str] = set()
        """What is known to be there on the server."""
        self._inbox = self.client.new_inbox()
        self._replies: dict[str, Replies] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._count = 0

    async def open(self, servers: list[str]) -> None:
        await self.client.connect(
            servers,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=5,
            max_outstanding_pings=1,
            error_cb=_ignore,
            closed_cb=self._lost,
        )
        await self.subscribe(f"{self._inbox}.*.*", self._take)

    async def subscribe(self, subject: str, take: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Without the client's bounds, beyond which it drops messages: no more comes than was asked for."""
        return await self.client.subscribe(subject, cb=take, pending_bytes_limit=0, pending_msgs_limit=0)

    def replies(self, count: int) -> Replies:
        self._count += 1
        replies = self._replies[str(self._count)] = Replies(f"{self._inbox}.{self._count}", count)
        return replies

    def forget(self, replies: Replies) -> None:
        self._replies.pop(replies.inbox.rpartition(".")[2], None)

    async def wait(self, done: asyncio.Future[None], seconds: float = TIMEOUT) -> None:
        """Raises TimeoutError, or ConnectionClosedError as soon as the connection is lost."""
        if self.client.is_closed:
            raise nats.errors.ConnectionClosedError
        self._waiting.add(done)
        try:
            async with asyncio.timeout(seconds):
                await done
        finally:
            self._waiting.discard(done)

    async def tell(self, messages: Sequence[Received], word: bytes) -> None:
        """Says it of each message, and waits until the server has heard it."""
        if messages:
            async with asyncio.timeout(TIMEOUT):
                for message in messages:
                    await self.client.publish(message.receipt, word)
                await self.round_trip()

    async def round_trip(self) -> None:
        """The server has taken what was sent before; the client's own ``flush`` overtakes what it has yet to send."""
        echo = self.replies(1)
        try:
            await self.client.publish(echo.to(0), b"echo")
            await self.wait(echo.complete)
        finally:
            self.forget(echo)

    async def _take(self, message: Msg) -> None:
        _, key, number = message.subject.rsplit(".", 2)
        replies = self._replies.get(key)
        if replies is None:
            return
        if not message.data:
            replies.take(int(number), refusal="the stream is gone")
        elif b'"error":' in message.data:
            replies.take(int(number), refusal=message.data.decode())
        else:
            replies.take(int(number))

    async def _lost(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(nats.errors.ConnectionClosedError())


class Pull:
    """The messages of one call, which come to an inbox of its own; nothing comes after ``end``."""

    def __init__(self, link: Link, stream: str, queues: Mapping[str, str]) -> None:
        """``queues`` are the queues' names by their subjects."""
        self.messages: list[Received] = []
        self.refusal = ""
        self._link = link
        self._stream = stream
        self._queues = queues
        self._subjects = {queue: subject for subject, queue in queues.items()}
        self._inbox = link.client.new_inbox()
        self._subscription: Subscription | None = None
        self._requests: dict[str, str] = {}
        self._missing: dict[str, int] = {}
        self._exhausted: set[str] = set()
        self._until_first = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self) -> None:
        self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._take)

    async def ask(self, shares: Mapping[str, int]) -> set[str]:
        """Takes what is there, up to each queue's share; the queues that have no more."""
        await self._request(shares, '"no_wait":true', until_first=False)
        await self._link.wait(self._done)
        return self._exhausted

    async def await_first(self, shares: Mapping[str, int], seconds: float) -> None:
        """Takes the first message that comes within the time, and what comes together with it."""
        await self._request(shares, f'"expires":{int(seconds * 1e9)}', until_first=True)
        with suppress(TimeoutError):
            await self._link.wait(self._done, seconds)

    async def end(self) -> None:
        if self._subscription is None:
            return
        if self._missing:
            # Without the inbox the server forgets the pull. The subscription's own unsubscribe would also drop what
            # is on its way to us.
            await self._link.client._send_unsubscribe(self._subscription._id)
            await self._link.round_trip()
            while self._subscription.pending_msgs:  # noqa: ASYNC110 - taken in the next turn of the loop
                await asyncio.sleep(0)
        await self._subscription.unsubscribe()
        self._subscription = None

    async def _request(self, shares: Mapping[str, int], how: str, *, until_first: bool) -> None:
        self._until_first = until_first
        self._exhausted = set()
        self._missing = dict(shares)
        self._requests = {str(number): queue for number, queue in enumerate(shares)}
        self._done = asyncio.get_running_loop().create_future()
        for number, queue in self._requests.items():
            consumer = self._subjects[queue].rpartition(".")[2]
            await self._link.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}",
                f'{{"batch":{shares[queue]},{how}}}'.encode(),
                f"{self._inbox}.{number}",
            )

    async def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        if message.reply.startswith("$JS.ACK."):
            queue = self._queues[message.subject]
            told = message.reply.split(".")
            deliveries = int(told[4] if len(told) == 9 else told[6])
            self.messages.append(
                Received(headers.get("Nats-Msg-Id", ""), queue, message.data, deliveries, message.reply)
            )
            left = self._missing.pop(queue, 0) - 1
            if left > 0:
                self._missing[queue] = left
        else:
            queue = self._requests[message.subject.rpartition(".")[2]]
            self._missing.pop(queue, None)
            self._exhausted.add(queue)
            if headers.get("Status") not in _NONE_LEFT:
                self.refusal = f"{queue}: {headers.get('Description') or 'the queue is gone'}"
        if not self._done.done() and (not self._missing or (self._until_first and self.messages)):
            self._done.set_result(None)


async def _ignore(error: Exception) -> None:
    """Who waits is told; the client's own report would say it twice."""
