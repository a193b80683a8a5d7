"""The way to a Redis or Valkey server that holds only what may be lost: short deadlines, and a breaker.

While the breaker is open nobody waits for the server; it is asked in the background, and used again once it answers.
One server, or one with replicas behind one address; not a cluster.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from groundplan.core.errors import Unavailable

DEADLINE = 0.1
"""Seconds for one answer."""
FAILURES = 3
"""In a row, from which the server counts as away."""
PAUSE = 0.25
"""Seconds between looks at a server that is away."""
PATIENCE = 1.0
"""Seconds for an answer that nobody waits for."""
AWAY = (RedisError, OSError, TimeoutError)

_CONNECTIONS = 32


class Link:
    """One per process. It opens also where the server is away."""

    def __init__(
        self, url: str, *, deadline: float = DEADLINE, told: Callable[[bool], None] = lambda is_up: None
    ) -> None:
        """``told`` hears whether the server counts as up: at once, and whenever that changes."""
        self._url = url
        self._deadline = deadline
        self._told = told
        self._redis: Redis | None = None
        self._is_up = False
        self._failures = 0
        self._looking: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._scripts: dict[str, AsyncScript] = {}

    @property
    def is_up(self) -> bool:
        return self._is_up

    @property
    def runs_on(self) -> str:
        parts = urlsplit(self._url)
        return f"Redis or Valkey, {parts.hostname}:{parts.port or 6379}"

    async def open(self) -> None:
        if self._redis is not None:
            return
        self._redis = Redis.from_url(self._url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=PATIENCE)
        try:
            await self._look()
        except AWAY:
            self._give_up()

    async def close(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def ping(self) -> str:
        """Raises Unavailable."""
        if self._redis is None or not self._is_up:
            raise Unavailable("Redis does not answer. It is asked again four times a second; reads do without it.")
        try:
            await self._look()
        except AWAY as error:
            raise Unavailable(f"Redis does not answer ({_words(error)}).") from error
        return "The server answers."

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Raises Unavailable: at once while the server counts as away, else after the deadline."""
        async with self._slots:
            if self._redis is None or not self._is_up:
                raise Unavailable("Redis does not answer.")
            registered = self._scripts.get(script)
            if registered is None:
                registered = self._scripts[script] = self._redis.register_script(script)
            try:
                async with asyncio.timeout(self._deadline):
                    answer = await registered(keys, arguments, client=self._redis)
            except AWAY as error:
                self._failures += 1
                if self._failures >= FAILURES and self._is_up:
                    self._give_up()
                raise Unavailable(f"Redis does not answer ({_words(error)}).") from error
            self._failures = 0
            return answer

    def subscription(self) -> PubSub:
        """A connection of its own, for what the server says by itself."""
        if self._redis is None:
            raise Unavailable("The connection to Redis is closed.")
        return self._redis.pubsub()

    def _give_up(self) -> None:
        self._is_up = False
        self._told(False)
        self._looking = asyncio.create_task(self._look_until_up())

    async def _look_until_up(self) -> None:
        while not self._is_up:
            await asyncio.sleep(PAUSE)
            with suppress(*AWAY):
                await self._look()

    async def _look(self) -> None:
        if self._redis is None:
            return
        if not self._is_up:  # what was connected before may wait for answers that never come
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        async with asyncio.timeout(PATIENCE):
            await self._redis.ping()
        if not self._is_up:
            self._is_up, self._failures = True, 0
            self._told(True)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
