"""Redis or Valkey Streams: a stream for each queue, and one group in it that all consumers share."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Outgoing, Received
from groundplan.data.queue.shares import rotated, shares

TIMEOUT = 4.0
SLICE = 0.5
"""So long the server holds back an answer while there is nothing: as late is a cancelled wait noticed."""

_GROUP = "consumers"
_CONSUMER = "any"
"""One name for all: the server would keep every other for ever, and what counts is how long a message is idle."""
_AWAY = (RedisError, OSError, TimeoutError)
_ID, _BODY, _BEFORE = b"id", b"body", b"before"

_RELEASE = """
for number = 2, #ARGV, 2 do
  local id = ARGV[number]
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  if redis.call('XACK', KEYS[1], ARGV[1], id) == 1 and found then
    local fields = {'before', ARGV[number + 1]}
    for at = 1, #found[2], 2 do
      if found[2][at] ~= 'before' then
        table.insert(fields, found[2][at])
        table.insert(fields, found[2][at + 1])
      end
    end
    redis.call('XDEL', KEYS[1], id)
    redis.call('XADD', KEYS[1], '*', unpack(fields))
  end
end
"""
"""What is still held becomes a new entry, which wakes a consumer that waits, and tells how often it was handed out."""


class RedisBroker:
    """How durable a confirmed message is, the server's ``appendfsync`` says: on the disk with ``always``, gone with
    the machine within a second of the confirm with ``everysec``, gone with the server without an append-only file.
    A replica that takes over may lack the last ones in any case. ``maxmemory-policy`` must be ``noeviction``.
    """

    remembers_ids: ClassVar[bool] = False
    counts_what_others_hold: ClassVar[bool] = True

    def __init__(self, url: str, prefix: str, *, lease: float) -> None:
        self._url = url
        self._prefix = prefix
        self._lease = lease
        self._redis: Redis | None = None
        self._made: set[str] = set()
        self._claims: dict[str, float] = {}
        self._turn = 0

    async def open(self) -> None:
        if self._redis is None:
            self._redis = Redis.from_url(
                self._url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=TIMEOUT / 2,
                socket_timeout=TIMEOUT,
            )
        await self.ping()

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def ping(self) -> str:
        async with self._talking() as redis:
            persistence = await redis.info("persistence")
        kept = "an append-only file" if persistence.get("aof_enabled") else "no append-only file: messages end with it"
        return f"The server answers; it has {kept}."

    async def publish(self, messages: Sequence[Outgoing]) -> set[str]:
        if not messages:
            return set()
        async with self._talking() as redis:
            pipeline = redis.pipeline(transaction=False)
            for message in messages:
                pipeline.xadd(self._stream(message.queue), {_ID: message.id, _BODY: message.body})
            answers = await pipeline.execute(raise_on_error=False)
            refused = [answer for answer in answers if isinstance(answer, Exception)]
            if len(refused) == len(messages):
                raise refused[0]
            return {
                message.id
                for message, answer in zip(messages, answers, strict=True)
                if not isinstance(answer, Exception)
            }

    async def receive(self, queues: Sequence[str], limit: int, wait: float) -> list[Received]:
        if not queues or limit < 1:
            await asyncio.sleep(wait)
            return []
        stop = asyncio.Event()
        work = asyncio.create_task(self._receive(queues, limit, wait, stop))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            with suppress(Unavailable):
                await self.release(await work)
            raise

    async def _receive(self, queues: Sequence[str], limit: int, wait: float, stop: asyncio.Event) -> list[Received]:
        """Not to be cancelled: an answer that nobody reads is messages that nobody has."""
        clock = asyncio.get_running_loop().time
        end, got = clock() + wait, list[Received]()
        async with self._talking(None) as redis:
            await self._make(redis, queues)
            try:
                got += await self._claim(redis, queues, limit, clock())
                got += await self._read(redis, queues, limit - len(got))
                while not got and clock() < end and not stop.is_set():
                    pause = min(end, *(self._claims[queue] for queue in queues)) - clock()
                    got += await self._await(redis, queues, max(1, limit // len(queues)), min(pause, SLICE))
                    got += await self._claim(redis, queues, limit - len(got), clock())
            except _AWAY:
                if not got:
                    raise
        await self.release(got[limit:])
        return got[:limit]

    async def _read(self, redis: Redis, queues: Sequence[str], limit: int) -> list[Received]:
        """Each queue is asked for its share; those that had it are asked again until there is enough, or no more."""
        self._turn += 1
        rest, got = rotated(queues, self._turn), list[Received]()
        while rest and len(got) < limit:
            asked = shares(rest, limit - len(got))
            pipeline = redis.pipeline(transaction=False)
            for queue, share in asked.items():
                pipeline.xreadgroup(_GROUP, _CONSUMER, {self._stream(queue): ">"}, count=share)
            for (queue, share), answer in zip(asked.items(), await pipeline.execute(), strict=True):
                found = [message for _, entries in answer for message in _messages(queue, entries)]
                if len(found) < share:
                    rest.remove(queue)
                got += found
        return got

    async def _await(self, redis: Redis, queues: Sequence[str], share: int, seconds: float) -> list[Received]:
        """The first that comes, and what comes together with it."""
        streams = {self._stream(queue).encode(): queue for queue in queues}
        answer: Any = await redis.xreadgroup(
            _GROUP, _CONSUMER, dict.fromkeys(streams, ">"), count=share, block=max(1, int(seconds * 1000))
        )
        return [message for stream, entries in answer for message in _messages(streams[stream], entries)]

    async def _claim(self, redis: Redis, queues: Sequence[str], limit: int, now: float) -> list[Received]:
        """What was held for longer than a lease; four times in a lease each queue is looked through for it."""
        got = list[Received]()
        for queue in queues:
            room = limit - len(got)
            if room < 1 or self._claims.get(queue, now) > now:
                continue
            stream, lease = self._stream(queue), int(self._lease * 1000)
            ended = await redis.xpending_range(stream, _GROUP, "-", "+", room, idle=lease)
            if len(ended) < room:
                self._claims[queue] = now + self._lease / 4
            if ended:
                before: Any = {each["message_id"]: each["times_delivered"] for each in ended}
                got += _messages(queue, await redis.xclaim(stream, _GROUP, _CONSUMER, lease, list(before)), before)
        return got

    async def extend(self, held: Sequence[Received]) -> None:
        async with self._talking() as redis:
            for stream, messages in self._by_stream(held).items():
                receipts = [message.receipt for message in messages]
                await redis.xclaim(stream, _GROUP, _CONSUMER, 0, receipts, justid=True)

    async def acknowledge(self, done: Sequence[Received]) -> None:
        if not done:
            return
        async with self._talking() as redis:
            pipeline = redis.pipeline(transaction=True)
            for stream, messages in self._by_stream(done).items():
                receipts = [message.receipt for message in messages]
                pipeline.xack(stream, _GROUP, *receipts)
                pipeline.xdel(stream, *receipts)
            await pipeline.execute()

    async def release(self, held: Sequence[Received]) -> None:
        if not held:
            return
        async with self._talking() as redis:
            for stream, messages in self._by_stream(held).items():
                arguments = [part for message in messages for part in (message.receipt, message.deliveries)]
                await redis.eval(_RELEASE, 1, stream, _GROUP, *arguments)

    async def depth(self, queues: Sequence[str]) -> dict[str, int]:
        async with self._talking() as redis:
            return {queue: await redis.xlen(self._stream(queue)) for queue in queues}

    def _stream(self, queue: str) -> str:
        return f"{self._prefix}:{queue}"

    def _by_stream(self, messages: Sequence[Received]) -> dict[str, list[Received]]:
        streams: dict[str, list[Received]] = {}
        for message in messages:
            streams.setdefault(self._stream(message.queue), []).append(message)
        return streams

    async def _make(self, redis: Redis, queues: Sequence[str]) -> None:
        for stream in {self._stream(queue) for queue in queues} - self._made:
            try:
                await redis.xgroup_create(stream, _GROUP, "0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
            self._made.add(stream)

    @asynccontextmanager
    async def _talking(self, seconds: float | None = TIMEOUT) -> AsyncIterator[Redis]:
        if self._redis is None:
            raise Unavailable("The connection to Redis is closed.")
        try:
            async with asyncio.timeout(seconds):
                yield self._redis
        except ResponseError as error:
            self._made.clear()
            raise Unavailable(f"Redis refuses: {error}.") from error
        except _AWAY as error:
            raise Unavailable(f"Redis does not answer ({str(error) or 'timeout'}).") from error


def _messages(queue: str, entries: Iterable[Any], before: Mapping[bytes, int] | None = None) -> list[Received]:
    """``before`` says how often the group had handed them out."""
    return [
        Received(
            fields.get(_ID, entry).decode(),
            queue,
            fields.get(_BODY, b""),
            int(fields.get(_BEFORE, 0)) + (before or {}).get(entry, 0) + 1,
            entry,
        )
        for entry, fields in entries
        if entry is not None
    ]
