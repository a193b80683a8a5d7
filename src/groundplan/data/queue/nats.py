"""NATS JetStream: a stream for each prefix, and in it a subject and a durable pull consumer for each queue."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar
from urllib.parse import quote

import nats.errors
from nats.js import api
from nats.js.errors import APIError

from groundplan.core.errors import Unavailable
from groundplan.data.queue.nats_link import TIMEOUT, Link, Pull
from groundplan.data.queue.port import Outgoing, Received
from groundplan.data.queue.shares import rotated, shares

DUPLICATE_WINDOW = 120.0
IN_FLIGHT = 1000
"""So many messages are published before their confirms are awaited: the server refuses what it cannot buffer."""

_ID = "Nats-Msg-Id"
_ACKNOWLEDGE, _EXTEND, _RELEASE = b"", b"+WPI", b"-NAK"
_AWAY = (nats.errors.Error, OSError, TimeoutError)
_EXISTS_WITH_OTHER_SETTINGS = 10058


class NatsBroker:
    """``url`` may name several servers of a cluster, with commas between them.

    What is confirmed is in the server's file, which reaches the disk within two minutes, or before the confirm where
    the server's ``sync_interval`` is ``always``. In a cluster, ``replicas`` servers have it.
    """

    remembers_ids: ClassVar[bool] = True
    counts_what_others_hold: ClassVar[bool] = True

    def __init__(self, url: str, prefix: str, *, lease: float, replicas: int = 1) -> None:
        self._servers = url.split(",")
        self._stream = _token(prefix)
        self._lease = lease
        self._replicas = replicas
        self._link: Link | None = None
        self._linking = asyncio.Lock()
        self._is_open = False
        self._turn = 0

    async def open(self) -> None:
        self._is_open = True
        async with self._linked() as link:
            await self._make(link)

    async def close(self) -> None:
        self._is_open = False
        await self._drop(self._link)

    async def ping(self) -> str:
        async with self._linked() as link:
            info = await link.client.jetstream(timeout=TIMEOUT).stream_info(self._stream)
            return f"NATS answers; its stream {self._stream} keeps {info.state.messages} messages."

    async def publish(self, messages: Sequence[Outgoing]) -> set[str]:
        confirmed: set[str] = set()
        try:
            async with self._linked() as link:
                await self._make(link)
                for start in range(0, len(messages), IN_FLIGHT):
                    await self._publish(link, messages[start : start + IN_FLIGHT], confirmed)
        except Unavailable:
            if not confirmed:
                raise
        return confirmed

    async def _publish(self, link: Link, messages: Sequence[Outgoing], confirmed: set[str]) -> None:
        replies = link.replies(len(messages))
        try:
            async with asyncio.timeout(TIMEOUT):
                for number, message in enumerate(messages):
                    subject = self._subject(message.queue)
                    try:
                        await link.client.publish(subject, message.body, replies.to(number), {_ID: message.id})
                    except nats.errors.MaxPayloadError:
                        replies.take(number, refusal="a message is larger than the server takes")
                await link.wait(replies.complete)
        finally:
            link.forget(replies)
            confirmed.update(messages[number].id for number in replies.good)
        if replies.refusal and not confirmed:
            raise APIError(description=replies.refusal)

    async def receive(self, queues: Sequence[str], limit: int, wait: float) -> list[Received]:
        if not queues or limit < 1:
            await asyncio.sleep(wait)
            return []
        async with self._linked() as link:
            await self._make(link, queues)
            pull = Pull(link, self._stream, {self._subject(queue): queue for queue in queues})
            try:
                await pull.begin()
                await self._fill(pull, queues, limit, wait)
                await _whole(pull.end())
                await link.tell(pull.messages[limit:], _RELEASE)
            except asyncio.CancelledError:
                with suppress(*_AWAY):
                    await pull.end()
                    await link.tell(pull.messages, _RELEASE)
                raise
            except _AWAY:
                await self._drop(link)
                if not pull.messages:
                    raise
            if pull.refusal and not pull.messages:
                raise APIError(description=pull.refusal)
            return pull.messages[:limit]

    async def _fill(self, pull: Pull, queues: Sequence[str], limit: int, wait: float) -> None:
        """Each queue is asked for its share; those that had it are asked again until there is enough, or no more."""
        self._turn += 1
        rest = rotated(queues, self._turn)
        while rest and len(pull.messages) < limit:
            asked = shares(rest, limit - len(pull.messages))
            exhausted = await pull.ask(asked)
            rest = [queue for queue in rest if queue not in exhausted]
        if not pull.messages and not pull.refusal and wait > 0:
            await pull.await_first(dict.fromkeys(queues, max(1, limit // len(queues))), wait)

    async def extend(self, held: Sequence[Received]) -> None:
        async with self._linked() as link:
            await link.tell(held, _EXTEND)

    async def acknowledge(self, done: Sequence[Received]) -> None:
        async with self._linked() as link:
            await link.tell(done, _ACKNOWLEDGE)

    async def release(self, held: Sequence[Received]) -> None:
        async with self._linked() as link:
            await link.tell(held, _RELEASE)

    async def depth(self, queues: Sequence[str]) -> dict[str, int]:
        async with self._linked() as link:
            await self._make(link)
            info = await link.client.jetstream(timeout=TIMEOUT).stream_info(self._stream, f"{self._stream}.*")
        counts = info.state.subjects or {}
        return {queue: counts.get(self._subject(queue), 0) for queue in queues}

    def _subject(self, queue: str) -> str:
        return f"{self._stream}.{_token(queue)}"

    async def _make(self, link: Link, queues: Sequence[str] = ()) -> None:
        """The stream and the queues' consumers, once for each connection: they may be gone on another server."""
        jetstream = link.client.jetstream(timeout=TIMEOUT)
        if self._stream not in link.made:
            settings = api.StreamConfig(
                name=self._stream,
                subjects=[f"{self._stream}.*"],
                retention=api.RetentionPolicy.WORK_QUEUE,
                storage=api.StorageType.FILE,
                duplicate_window=DUPLICATE_WINDOW,
                num_replicas=self._replicas,
            )
            try:
                await jetstream.add_stream(settings)
            except APIError as error:
                if error.err_code != _EXISTS_WITH_OTHER_SETTINGS:
                    raise
            link.made.add(self._stream)
        for subject in map(self._subject, queues):
            if subject not in link.made:
                consumer = api.ConsumerConfig(
                    durable_name=subject.rpartition(".")[2],
                    filter_subject=subject,
                    ack_policy=api.AckPolicy.EXPLICIT,
                    ack_wait=self._lease,
                    max_ack_pending=-1,
                )
                await jetstream.add_consumer(self._stream, consumer)
                link.made.add(subject)

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Link]:
        link = None
        try:
            link = await self._reach()
            yield link
        except APIError as error:
            if link is not None:
                link.made.clear()
            raise Unavailable(f"NATS refuses: {error.description or error}.") from error
        except _AWAY as error:
            await self._drop(link)
            raise Unavailable(f"NATS does not answer ({str(error) or 'timeout'}).") from error

    async def _reach(self) -> Link:
        """The connection there is, or a new one: the client's own way back would keep what callers gave up."""
        async with asyncio.timeout(TIMEOUT), self._linking:
            if not self._is_open:
                raise Unavailable("The connection to NATS is closed.")
            if self._link is None or self._link.client.is_closed:
                self._link = None
                link = Link()
                try:
                    await link.open(self._servers)
                except BaseException:
                    await self._drop(link)
                    raise
                self._link = link
            return self._link

    async def _drop(self, link: Link | None) -> None:
        if link is not None:
            if self._link is link:
                self._link = None
            with suppress(Exception):  # whatever the client meets on its way out
                async with asyncio.timeout(0.5):
                    await link.client.close()


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Done to its end, also when the caller is cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(*_AWAY):
            await task
        raise


def _token(name: str) -> str:
    """As a part of a subject and the name of a stream, which must not hold dots, blanks and wildcards."""
    return quote(name, safe="").replace(".", "%2E")
