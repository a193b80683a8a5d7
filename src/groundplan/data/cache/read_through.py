"""Read-through caching for business code: a namespace per tenant and user, one fill per key under a herd.

The engine may be slow, empty or down: then reads are slower, never wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from groundplan.core.clock import Random
from groundplan.core.context import refuse_open_transaction
from groundplan.core.errors import Misuse
from groundplan.data.cache.port import CacheStore
from groundplan.telemetry.spans import span

T = TypeVar("T")
Outcome = Literal["hit", "miss", "shared", "error"]
"""``shared`` waited for the fill of another; ``error`` means that the engine did not answer."""
Fill = Callable[[], Awaitable[T]]

_JITTER = 0.1
"""The share by which a lifetime is shortened at most, so that what was filled together does not expire together."""


class _Flight:
    """A fill under way, which others of this process wait for instead of filling too."""

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.encoded: bytes | None = None
        self.error: Exception | None = None
        self.outdated = False


class Cache:
    """One per process. ``bind`` gives the part of one tenant."""

    def __init__(
        self,
        store: CacheStore,
        *,
        app: str,
        version: str,
        random: Random,
        observe: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """``version`` is the release's, so that releases that run side by side do not read each other's entries."""
        self.store = store
        self._namespace = f"{app}:{version}"
        self._random = random
        self._observe = observe
        self._flights: dict[str, _Flight] = {}
        self._decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

    def bind(self, tenant_id: UUID) -> "TenantCache":
        return TenantCache(self, f"{self._namespace}:{tenant_id}", "")

    async def read_through(self, key: str, fill: Fill[T], ttl: float, kind: type[T]) -> tuple[T, Outcome]:
        while True:
            kept = await self._get(key)
            if kept is not None and (found := self._decode(kept, kind)) is not None:
                return self._noted(found[0], "hit")
            flight = self._flights.get(key)
            if flight is None:
                return self._noted(self._same_shape(await self._fill(key, fill, ttl), kind), "miss")
            await flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.encoded is not None:
                return self._noted(self._same_shape(flight.encoded, kind), "shared")

    async def get(self, key: str, kind: type[T]) -> tuple[T | None, Outcome]:
        kept = await self._get(key)
        found = self._decode(kept, kind) if kept is not None else None
        return self._noted(found[0], "hit") if found else self._noted(None, "miss")

    async def set(self, key: str, value: Any, ttl: float) -> None:
        await self._set(key, msgspec.msgpack.encode(value), ttl)

    async def delete(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            flight = self._flights.pop(key, None)
            if flight is not None:
                flight.outdated = True
        await self.store.delete(*keys)

    async def _fill(self, key: str, fill: Fill[Any], ttl: float) -> bytes:
        """A fill that is cancelled lands empty: one of those who wait takes it over."""
        flight = self._flights[key] = _Flight()
        try:
            flight.encoded = encoded = msgspec.msgpack.encode(await fill())
            if not flight.outdated:
                await self._set(key, encoded, ttl)
            if flight.outdated:
                await self._forget(key)
            return encoded
        except Exception as error:
            flight.error = error
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()

    async def _get(self, key: str) -> bytes | None:
        try:
            return await self.store.get(key)
        except Exception:  # whatever an engine raises: it is as if the key were not there
            self._observe("error")
            return None

    async def _set(self, key: str, encoded: bytes, ttl: float) -> None:
        try:
            await self.store.set(key, encoded, ttl * (1 - self._random.uniform(0.0, _JITTER)))
        except Exception:  # the value is right, it is only not kept
            self._observe("error")

    async def _forget(self, key: str) -> None:
        try:
            await self.store.delete(key)
        except Exception:  # who outdated the key is told the same, and its lifetime ends it
            self._observe("error")

    def _decode(self, encoded: bytes, kind: type[T]) -> tuple[T] | None:
        """None where it was written for another shape: then it is filled again."""
        try:
            return (self._decoder(kind).decode(encoded),)
        except msgspec.MsgspecError:
            return None

    def _same_shape(self, encoded: bytes, kind: type[T]) -> T:
        """The filled value as a later hit will return it."""
        try:
            return self._decoder(kind).decode(encoded)
        except msgspec.MsgspecError as error:
            raise Misuse(f"What was filled is not of the type {kind} that it is read as: {error}") from error

    def _decoder(self, kind: type[T]) -> msgspec.msgpack.Decoder[T]:
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = msgspec.msgpack.Decoder(kind)
        return decoder

    def _noted(self, value: T, outcome: Outcome) -> tuple[T, Outcome]:
        self._observe(outcome)
        return value, outcome


class TenantCache:
    """The cache of one tenant. Outside any transaction: what one changes is deleted after its commit."""

    def __init__(self, cache: Cache, tenant: str, user: str) -> None:
        self._cache = cache
        self._tenant = tenant
        self._user = user

    def for_user(self, user_id: UUID) -> "TenantCache":
        """The part of one user, for what others must not see."""
        return TenantCache(self._cache, self._tenant, str(user_id))

    async def read_through(self, key: str, fill: Fill[T], *, ttl: float, type: type[T]) -> T:
        """What is kept under the key, or what ``fill`` makes, which is then kept for ``ttl`` seconds at most.

        Raises:
            Misuse: ``fill`` made something that is not of the type.
        """
        refuse_open_transaction(f"Reading {key!r} through the cache")
        with span("Cache", key) as reading:
            value, outcome = await self._cache.read_through(self._full(key), fill, ttl, type)
            reading.set(outcome=outcome)
        return value

    async def get(self, key: str, *, type: type[T]) -> T | None:
        refuse_open_transaction(f"Reading {key!r} from the cache")
        with span("Cache", key) as reading:
            value, outcome = await self._cache.get(self._full(key), type)
            reading.set(outcome=outcome)
        return value

    async def set(self, key: str, value: Any, *, ttl: float) -> None:
        """Kept for ``ttl`` seconds at most."""
        refuse_open_transaction(f"Writing {key!r} to the cache")
        with span("Cache", f"SET {key}"):
            await self._cache.set(self._full(key), value, ttl)

    async def invalidate(self, *keys: str) -> None:
        """Forgets the keys; fills under way, which may have read what was before, are not kept either.

        After a write: ``transaction.after_commit(partial(cache.invalidate, key))``. Raises where the engine is down.
        """
        refuse_open_transaction("Invalidating cached values")
        with span("Cache", f"DELETE {', '.join(keys)}"):
            await self._cache.delete(tuple(self._full(key) for key in keys))

    delete = invalidate

    def _full(self, key: str) -> str:
        return f"{self._tenant}:{self._user}:{key}"
