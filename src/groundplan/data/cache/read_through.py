"""Reading through the cache: one fill per address under a herd, here and across processes.

The engine may be slow, empty or down: then reads are slower, never wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from groundplan.core.clock import Random
from groundplan.core.context import RequestContext, Tally, current, entered
from groundplan.core.errors import DeadlineExceeded, Misuse, NotFound
from groundplan.data.cache.codec import Codec
from groundplan.data.cache.decoded import Decoded
from groundplan.data.cache.port import Address, CacheStore, Claim, Kept
from groundplan.data.cache.tenant import CurrentTransaction, Lifetime, TenantCache, no_transaction

T = TypeVar("T")
Outcome = Literal["hit", "stale", "miss", "shared", "error", "failed"]
"""``shared`` waited for the fill of another; ``error``: the engine did not answer; ``failed``: a fill behind a stale
answer did."""
Fill = Callable[[], Awaitable[T]]

LEASE = 5.0
"""Seconds after which a fill elsewhere counts as dead. One that lives and takes longer is then made twice."""

DECODED_BYTES = 4 * 2**20
"""Of encoded values, whose decoded ones are held too; those take some five times as much."""

_JITTER = 0.1
"""The share by which a lifetime is shortened at most, so that what was filled together does not expire together."""
_SOON, _LATER = 0.004, 0.064
"""Seconds between looks at a fill that another process makes: the first, doubled up to the last."""


class _Flight:
    """A fill under way, which others of this process wait for instead of filling too."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.landed = asyncio.Event()
        self.encoded: bytes | None = None
        self.error: Exception | None = None


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
        lease: float = LEASE,
    ) -> None:
        """``version`` is the release's: releases that run side by side invalidate each other's entries, and never
        read them."""
        self.store = store
        self.app = app
        self.version = version
        self._random = random
        self._observe = observe
        self._lease = lease
        self._flights: dict[str, _Flight] = {}
        self._codecs: dict[Any, Codec[Any]] = {}
        self._decoded = Decoded(DECODED_BYTES)
        self._refreshing = set[asyncio.Task[None]]()
        store.listen(self._outdate)

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        """Values that are being made anew behind stale ones are given up."""
        for task in self._refreshing:
            task.cancel()
        await asyncio.gather(*self._refreshing, return_exceptions=True)
        await self.store.close()

    async def ping(self) -> str:
        return await self.store.ping()

    def bind(self, tenant_id: UUID, transaction: CurrentTransaction = no_transaction) -> TenantCache:
        """``transaction`` gives the one that is open at the moment: invalidation waits for its commit."""
        return TenantCache(self, tenant_id, transaction)

    def codec(self, kind: type[T]) -> Codec[T]:
        codec = self._codecs.get(kind)
        if codec is None:
            codec = self._codecs[kind] = Codec(kind)
        return codec

    async def read_through(
        self, address: Address, codec: Codec[T], fill: Fill[T], life: Lifetime, refresh: Fill[T] | None = None
    ) -> tuple[T, Outcome]:
        """``refresh`` is a fill that needs nothing of the caller: it may run behind a stale answer."""
        while True:
            kept = await self._get(address)
            found = self._decoded.value(address.name, kept.value, codec) if kept is not None else None
            if kept is not None and found is not None:
                if kept.fresh:
                    return self._noted(found[0], "hit")
                if refresh is not None and address.name not in self._flights:
                    self._refresh(address, codec, refresh, life, kept)
                if address.name in self._flights:
                    return self._noted(found[0], "stale")
            flight = self._flights.get(address.name)
            if flight is None:
                encoded, outcome = await self._lead(self._take_off(address), codec, fill, life, kept if found else None)
                return self._noted(_value(codec, encoded), outcome)
            await flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.encoded is not None:
                return self._noted(_value(codec, flight.encoded), "shared")

    async def get(self, address: Address, codec: Codec[T]) -> tuple[T] | None:
        kept = await self._get(address)
        try:
            found = self._decoded.value(address.name, kept.value, codec) if kept is not None and kept.fresh else None
        except NotFound:
            found = None
        self._observe("hit" if found else "miss")
        return found

    async def set(self, address: Address, codec: Codec[T], value: T, ttl: float) -> None:
        encoded = codec.encode(value)
        try:
            claim = await self.store.stamp(address)
        except Exception:  # the value is right, it is only not kept
            self._observe("error")
        else:
            await self._end(claim, encoded, ttl)

    def _take_off(self, address: Address) -> _Flight:
        flight = self._flights[address.name] = _Flight(address)
        return flight

    async def _lead(
        self, flight: _Flight, codec: Codec[T], fill: Fill[T], life: Lifetime, spare: Kept | None
    ) -> tuple[bytes, Outcome]:
        """Fills, unless another process does: then its result, or ``spare`` until that is there.

        A fill that is cancelled, or whose caller has no time left, lands empty: one of those who wait takes it over.
        """
        turn: Claim | Kept | None = None
        try:
            turn = await self._turn(flight.address, codec, spare)
            if isinstance(turn, Kept):
                flight.encoded = turn.value
                return turn.value, "shared" if turn.fresh else "stale"
            flight.encoded = encoded = await _made(codec, fill, life)
            held, turn = turn, None
            is_absence = life.negative is not None and codec.is_absence(encoded)
            await self._end(held, encoded, life.negative if is_absence else life.ttl, 0.0 if is_absence else life.stale)
            return encoded, "miss"
        except DeadlineExceeded:
            raise
        except Exception as error:
            flight.error = error
            raise
        finally:
            if self._flights.get(flight.address.name) is flight:
                del self._flights[flight.address.name]
            flight.landed.set()
            if turn is not None:
                await self._end(turn)

    async def _turn(self, address: Address, codec: Codec[T], spare: Kept | None) -> Claim | Kept | None:
        """The right to fill, or what makes that needless; None where the engine is away, and keeps nothing either."""
        pause = _SOON
        try:
            while (turn := await self.store.claim(address, self._lease)) is None:
                if spare is not None:
                    return spare
                await asyncio.sleep(pause)
                pause = min(_LATER, pause * 2)
            if isinstance(turn, Kept) and not codec.can_decode(turn.value):
                return await self.store.stamp(address)
            return turn
        except Exception:  # whatever an engine raises: it is as if nobody else filled
            self._observe("error")
            return None

    async def _end(
        self, turn: Claim | Kept | None, encoded: bytes | None = None, ttl: float | None = None, stale: float = 0.0
    ) -> None:
        """Keeps what came of a claim, or nothing where nothing did."""
        if not isinstance(turn, Claim):
            return
        try:
            if encoded is None or ttl is None:
                await self.store.release(turn)
            else:
                await self.store.keep(turn, encoded, ttl * (1 - self._random.uniform(0.0, _JITTER)), stale)
        except Exception:  # the value is right, it is only not kept; a claim ends by itself
            self._observe("error")

    def _refresh(self, address: Address, codec: Codec[T], fill: Fill[T], life: Lifetime, spare: Kept) -> None:
        """Fills behind the caller's back, in a trace of its own that nobody waits for."""
        flight = self._take_off(address)

        async def refresh() -> None:
            now = current() or RequestContext()
            with entered(msgspec.structs.replace(now, deadline=None, spans=[], tally=Tally())):
                try:
                    await self._lead(flight, codec, fill, life, spare)
                except Exception:  # the next read tries again
                    self._observe("failed")

        task = asyncio.create_task(refresh())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    def _outdate(self, tags: Collection[str]) -> None:
        """Who comes from now on does not wait for a fill that may have read what was before."""
        for name, flight in list(self._flights.items()):
            if not tags or not set(tags).isdisjoint(flight.address.tags):
                del self._flights[name]

    async def _get(self, address: Address) -> Kept | None:
        try:
            return await self.store.get(address)
        except Exception:  # whatever an engine raises: it is as if nothing were kept
            self._observe("error")
            return None

    def _noted(self, value: T, outcome: Outcome) -> tuple[T, Outcome]:
        self._observe(outcome)
        return value, outcome


async def _made(codec: Codec[T], fill: Fill[T], life: Lifetime) -> bytes:
    try:
        return codec.encode(await fill())
    except NotFound as error:
        if life.negative is None:
            raise
        return codec.encode_absence(error)


def _value(codec: Codec[T], encoded: bytes) -> T:
    """As a later hit will return it."""
    found = codec.decode(encoded)
    if found is None:
        raise Misuse("What was filled cannot be read back.")
    return found[0]
