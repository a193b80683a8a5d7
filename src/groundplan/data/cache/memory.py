"""The cache in this process: the least recently used entries go first."""

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from groundplan.core.clock import Clock
from groundplan.data.cache.port import Address, Claim, Heard, Kept

_OVERHEAD = 200
"""Bytes that an entry takes besides its name and value, roughly."""


class _Entry(NamedTuple):
    value: bytes
    number: int
    tags: tuple[str, ...]
    fresh_until: float
    expires_at: float
    size: int


class _Fill(NamedTuple):
    number: int
    ends_at: float


class MemoryCache:
    """Remembers when the last so many tags were invalidated; what is older than those counts as outdated."""

    def __init__(self, clock: Clock, *, max_entries: int, max_bytes: int) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._fills: dict[str, _Fill] = {}
        self._sequence = 0
        self._outdated: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        self._heard: Heard = _nobody

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self._entries.clear()
        self._fills.clear()
        self._bytes = 0

    async def ping(self) -> str:
        return f"{len(self._entries):,} entries, {self._bytes / 2**20:.1f} of {self._max_bytes / 2**20:.0f} MiB."

    def listen(self, heard: Heard) -> None:
        self._heard = heard

    async def get(self, address: Address) -> Kept | None:
        entry = self._entries.get(address.name)
        if entry is None:
            return None
        now = self._clock.monotonic()
        if entry.expires_at <= now or not self._is_current(entry.number, entry.tags):
            self._drop(address.name)
            return None
        self._entries.move_to_end(address.name)
        return Kept(entry.value, now < entry.fresh_until)

    async def claim(self, address: Address, lease: float) -> Claim | Kept | None:
        kept = await self.get(address)
        if kept is not None and kept.fresh:
            return kept
        fill, now = self._fills.get(address.name), self._clock.monotonic()
        if fill is not None and now < fill.ends_at and self._is_current(fill.number, address.tags):
            return None
        claim = await self.stamp(address)
        self._fills[address.name] = _Fill(claim.number, now + lease)
        return claim

    async def stamp(self, address: Address) -> Claim:
        self._sequence += 1
        return Claim(address, self._sequence)

    async def keep(self, claim: Claim, value: bytes, fresh: float, stale: float = 0.0) -> bool:
        await self.release(claim)
        (_, name, tags), number = claim
        before = self._entries.get(name)
        if not self._is_current(number, tags) or (before is not None and before.number > number):
            return False
        self._drop(name)
        size = len(name) + sum(map(len, tags)) + len(value) + _OVERHEAD
        if size > self._max_bytes:
            return False
        fresh_until = self._clock.monotonic() + fresh
        self._entries[name] = _Entry(value, number, tags, fresh_until, fresh_until + stale, size)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))
        return True

    async def release(self, claim: Claim) -> None:
        fill = self._fills.get(claim.address.name)
        if fill is not None and fill.number == claim.number:
            del self._fills[claim.address.name]

    async def invalidate(self, scope: str, tags: Collection[str]) -> None:
        self._sequence += 1
        for tag in tags:
            self._outdated[tag] = self._sequence
            self._outdated.move_to_end(tag)
        while len(self._outdated) > self._max_entries:
            _, self._floor = self._outdated.popitem(last=False)
        self._heard(tags)

    def forget(self) -> None:
        """Outdates everything."""
        self._sequence += 1
        self._floor = self._sequence
        self._outdated.clear()
        self._entries.clear()
        self._bytes = 0
        self._heard(())

    def _is_current(self, number: int, tags: tuple[str, ...]) -> bool:
        return number > self._floor and all(self._outdated.get(tag, 0) < number for tag in tags)

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.size


def _nobody(tags: Collection[str]) -> None:
    """Nobody listens."""
