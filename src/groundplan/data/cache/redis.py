"""The cache in Redis or Valkey, with a level in this process before it, which a channel keeps current."""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Any
from uuid import uuid4

from redis.asyncio.client import PubSub

from groundplan.core.errors import Unavailable
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address, Claim, Heard, Kept
from groundplan.data.cache.scripts import CLAIM, GET, INVALIDATE, KEEP, RELEASE, STAMP
from groundplan.data.valkey import AWAY, PAUSE, Link

NEAR_SECONDS = 2.0
"""So long the level in this process serves an entry at most: as old is an answer where a message was lost."""
SILENCE = 1.0
"""Seconds without a word on the channel, after which the server is asked for one; as many later it counts as broken."""
MOST_TAGS = 10_000
"""Of one tenant, whose last invalidation the server remembers."""
MOST_PENDING = 10_000
"""Tags that wait for the server. Beyond that, everything of their tenants is outdated instead."""

_EVERYTHING = ""
_AT_ONCE = 1000


class RedisCache:
    """Two levels. The near one is used only while the channel is heard, and starts empty whenever that begins anew.

    The link opens and closes by itself. The server should keep nothing over its restart: with a file it may come back
    with entries whose invalidation was not on the disk yet, as may a replica that takes over. Those live until their
    lifetime ends.
    """

    def __init__(self, link: Link, near: MemoryCache, app: str) -> None:
        self._link = link
        self._near = near
        self._prefix = f"{app}:cache"
        self._hears = False
        self._tasks = set[asyncio.Task[None]]()
        self._pending: dict[tuple[str, str], int] = {}
        self._told = 0
        self._delivery = asyncio.Lock()
        self._is_delivering = False

    async def open(self) -> None:
        self._in_background(self._hear())

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._near.close()

    async def ping(self) -> str:
        answers, near = await self._link.ping(), await self._near.ping()
        channel = "" if self._hears else " Its channel is not heard, so this process keeps nothing."
        return f"{answers}{channel} In this process: {near}"

    def listen(self, heard: Heard) -> None:
        self._near.listen(heard)

    async def get(self, address: Address) -> Kept | None:
        if self._hears and (near := await self._near.get(address)) is not None:
            return near
        claim = await self._near.stamp(address)
        await self._deliver()
        return await self._read(
            claim, await self._link.run(GET, [self._entry(address), self._scope(address.scope)], [])
        )

    async def claim(self, address: Address, lease: float) -> Claim | Kept | None:
        near = await self._near.stamp(address)
        await self._deliver()
        word, asked = f"x{uuid4().hex}", self._link.is_up
        try:
            arguments = [int(lease * 1000), " ".join(address.tags), word]
            answer = await self._link.run(CLAIM, self._keys(address), arguments)
        except BaseException:
            if asked:
                self._in_background(self._abandon(address, word, lease))
            raise
        if isinstance(answer, int):
            return Claim(address, answer) if answer else None
        return await self._read(near, answer)

    async def stamp(self, address: Address) -> Claim:
        return Claim(address, int(await self._link.run(STAMP, [self._scope(address.scope)], [])))

    async def keep(self, claim: Claim, value: bytes, fresh: float, stale: float = 0.0) -> bool:
        address, number = claim
        near = await self._near.stamp(address)
        await self._deliver()
        fresh_ms = max(1, int(fresh * 1000))
        arguments = [number, " ".join(address.tags), value, fresh_ms, fresh_ms + int(stale * 1000)]
        if not await self._link.run(KEEP, self._keys(address), arguments):
            return False
        await self._keep_near(near, value, fresh)
        return True

    async def release(self, claim: Claim) -> None:
        await self._link.run(RELEASE, [self._lock(claim.address)], [claim.number])

    async def invalidate(self, scope: str, tags: Collection[str]) -> None:
        """Told to the server now or, where that is away, before this process believes it again."""
        await self._near.invalidate(scope, tags)
        self._told += 1
        self._pending |= {(scope, tag): self._told for tag in tags}
        if len(self._pending) > MOST_PENDING:
            self._pending = {(each, _EVERYTHING): self._told for each, _ in self._pending}
        try:
            await self._deliver()
        except Unavailable:
            if not self._is_delivering:
                self._is_delivering = True
                self._in_background(self._deliver_later())

    async def _abandon(self, address: Address, word: str, lease: float) -> None:
        """A claim whose answer never came may have been given all the same: nobody is to wait for its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(lease):
                while True:
                    with suppress(Unavailable):
                        await self._link.run(RELEASE, [self._lock(address)], [word])
                        return
                    await asyncio.sleep(PAUSE)

    async def _deliver(self) -> None:
        """Nothing is read before what this process knows to be outdated is known to the server."""
        while self._pending:
            async with self._delivery:
                await self._deliver_some()

    async def _deliver_some(self) -> None:
        scope = next((scope for scope, _ in self._pending), "")
        some = [(key, told) for key, told in self._pending.items() if key[0] == scope][:_AT_ONCE]
        if not some:
            return
        tags = [] if (scope, _EVERYTHING) in self._pending else [tag for (_, tag), _ in some]
        await self._link.run(INVALIDATE, [self._scope(scope)], [self._channel, MOST_TAGS, *tags])
        for key, told in some:
            if self._pending.get(key) == told:
                del self._pending[key]

    async def _deliver_later(self) -> None:
        while self._pending:
            await asyncio.sleep(PAUSE)
            with suppress(Unavailable):
                await self._deliver()
        self._is_delivering = False

    async def _read(self, near: Claim, answer: Any) -> Kept | None:
        if answer is None:
            return None
        value, left, tags = bytes(answer[0]), answer[1] / 1000, tuple(answer[2].decode().split())
        if left <= 0:
            return Kept(value, False)
        await self._keep_near(Claim(near.address._replace(tags=tags), near.number), value, left)
        return Kept(value, True)

    async def _keep_near(self, claim: Claim, value: bytes, seconds: float) -> None:
        """``claim`` was made before the server was asked: what is heard meanwhile outdates it."""
        if self._hears:
            await self._near.keep(claim, value, min(seconds, NEAR_SECONDS))

    async def _hear(self) -> None:
        """Listens to the channel, again and again."""
        while True:
            with suppress(*AWAY, Unavailable):
                async with self._link.subscription() as pubsub:
                    await pubsub.subscribe(self._channel)
                    await self._hear_messages(pubsub)
            await asyncio.sleep(PAUSE)

    async def _hear_messages(self, pubsub: PubSub) -> None:
        """Raises one of AWAY where the channel breaks or falls silent."""
        asked = False
        try:
            while True:
                message = await pubsub.get_message(timeout=SILENCE)
                if message is None:
                    if asked:
                        raise TimeoutError("The channel is silent.")
                    await pubsub.ping()
                asked = message is None
                if message is not None and message["type"] == "subscribe":
                    self._near.forget()
                    self._hears = True
                elif message is not None and message["type"] == "message":
                    tags = message["data"].decode().split()
                    await self._near.invalidate("", tags) if tags else self._near.forget()
        finally:
            self._hears = False

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _keys(self, address: Address) -> list[str]:
        return [self._entry(address), self._lock(address), self._scope(address.scope)]

    def _entry(self, address: Address) -> str:
        return f"{self._prefix}:entry:{address.name}"

    def _lock(self, address: Address) -> str:
        return f"{self._prefix}:lock:{address.name}"

    def _scope(self, scope: str) -> str:
        return f"{self._prefix}:scope:{scope}"

    @property
    def _channel(self) -> str:
        return f"{self._prefix}:invalidated"
