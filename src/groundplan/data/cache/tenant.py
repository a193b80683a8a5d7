"""The cache as business code sees it: the part of one tenant, which no key leaves."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import UUID

from groundplan.core.context import refuse_open_transaction
from groundplan.core.names import joined
from groundplan.data.cache.port import Address
from groundplan.data.database.uow import Transaction
from groundplan.telemetry.spans import span

if TYPE_CHECKING:
    from groundplan.data.cache.read_through import Cache

T = TypeVar("T")
CurrentTransaction = Callable[[], Transaction | None]
_SHOWN = 200


class Lifetime(NamedTuple):
    """In seconds."""

    ttl: float
    stale: float = 0.0
    """So much longer an old value is served while a new one is made."""
    negative: float | None = None
    """Of None and NotFound. Without it None has ``ttl``, and NotFound is not kept."""


def no_transaction() -> Transaction | None:
    return None


class TenantCache:
    """The cache of one tenant, or with ``for_user`` the part of one user. Values are read outside any transaction.

    How old an answer may be: ``ttl``, and ``stale`` on top where that is asked for. After ``invalidate`` this process
    serves nothing older at once, the others as soon as they hear of it, which is milliseconds; where that message is
    lost, after ``NEAR_SECONDS`` of ``data/cache/redis.py``. Where the engine is down, its entries are told when it is
    back. Only a process that dies between its commit and that moment leaves an entry to its lifetime.
    """

    def __init__(self, cache: "Cache", tenant_id: UUID, transaction: CurrentTransaction, user: str = "") -> None:
        self._cache = cache
        self._tenant_id, self._tenant = tenant_id, str(tenant_id)
        self._transaction = transaction
        self._user = user
        self._scope = joined(cache.app, self._tenant)

    def for_user(self, user_id: UUID) -> "TenantCache":
        """The part of one user, for what others must not see. Its tags are the tenant's."""
        return TenantCache(self._cache, self._tenant_id, self._transaction, str(user_id))

    async def read_through(
        self,
        key: str,
        fill: Callable[[], Awaitable[T]],
        *,
        ttl: float,
        type: type[T],
        tags: Iterable[str] = (),
        user: UUID | None = None,
        stale: float = 0.0,
        negative: float | None = None,
        refresh: Callable[[], Awaitable[T]] | None = None,
    ) -> T:
        """What is kept under the key, or what ``fill`` makes, which is then kept for ``ttl`` seconds at most.

        For ``stale`` seconds after that one caller makes it anew and the others get the old one meanwhile; with
        ``refresh``, a fill that needs nothing of this unit of work, it is made in the background and nobody waits.
        None and NotFound are kept for ``negative`` seconds, where that is given. ``invalidate`` with one of the
        ``tags`` forgets it; ``user`` keeps it for one user alone.

        Raises:
            Misuse: ``fill`` made something that is not of the type.
        """
        if user is not None:
            return await self.for_user(user).read_through(
                key, fill, ttl=ttl, type=type, tags=tags, stale=stale, negative=negative, refresh=refresh
            )
        refuse_open_transaction(f"Reading {key[:_SHOWN]!r} through the cache")
        codec = self._cache.codec(type)
        life = Lifetime(ttl, stale, negative)
        with span("Cache", key[:_SHOWN]) as reading:
            address = self._address(key, codec.stamp, tags)
            value, outcome = await self._cache.read_through(address, codec, fill, life, refresh)
            reading.set(outcome=outcome)
        return value

    async def get(self, key: str, *, type: type[T]) -> T | None:
        refuse_open_transaction(f"Reading {key[:_SHOWN]!r} from the cache")
        codec = self._cache.codec(type)
        with span("Cache", key[:_SHOWN]) as reading:
            found = await self._cache.get(self._address(key, codec.stamp), codec)
            reading.set(outcome="hit" if found else "miss")
        return found[0] if found else None

    async def set(self, key: str, value: T, *, ttl: float, type: type[T], tags: Iterable[str] = ()) -> None:
        """Kept for ``ttl`` seconds at most."""
        refuse_open_transaction(f"Writing {key[:_SHOWN]!r} to the cache")
        codec = self._cache.codec(type)
        with span("Cache", f"SET {key[:_SHOWN]}"):
            await self._cache.set(self._address(key, codec.stamp, tags), codec, value, ttl)

    async def invalidate(self, *keys: str, tags: Iterable[str] = ()) -> None:
        """Forgets the keys, and all that has one of the tags, in every release; fills under way are not kept either.

        Inside a transaction: once it has committed, and not at all where it rolls back.
        """
        tags = list(tags)
        outdated = {*(self._key_tag(key) for key in keys), *(self._tag(tag) for tag in tags)}
        shown = ", ".join([*keys, *tags])[:_SHOWN]
        transaction = self._transaction()
        if transaction is None:
            refuse_open_transaction("Invalidating cached values")
            await self._outdate(outdated, shown)
        else:
            transaction.after_commit(lambda: self._outdate(outdated, shown))

    async def _outdate(self, outdated: Collection[str], shown: str) -> None:
        if outdated:
            with span("Cache", f"INVALIDATE {shown}"):
                await self._cache.store.invalidate(self._scope, outdated)

    def _address(self, key: str, stamp: str, tags: Iterable[str] = ()) -> Address:
        name = joined(self._cache.app, self._cache.version, stamp, self._tenant, self._user, key)
        return Address(self._scope, name, (self._key_tag(key), *(self._tag(tag) for tag in tags)))

    def _key_tag(self, key: str) -> str:
        """Without release and type, because all of them hold what a write outdates."""
        return joined(self._cache.app, self._tenant, "key", self._user, key)

    def _tag(self, tag: str) -> str:
        return joined(self._cache.app, self._tenant, "tag", tag)
