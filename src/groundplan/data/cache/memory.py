"""The cache in this process: the least recently used entries go first."""

from collections import OrderedDict
from typing import NamedTuple

from groundplan.core.clock import Clock

_OVERHEAD = 200
"""Bytes that an entry takes besides its key and value, roughly."""


class _Entry(NamedTuple):
    value: bytes
    expires_at: float
    size: int


class MemoryCache:
    def __init__(self, clock: Clock, *, max_entries: int, max_bytes: int) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self._entries.clear()
        self._bytes = 0

    async def ping(self) -> str:
        return f"{len(self._entries):,} entries, {self._bytes / 2**20:.1f} of {self._max_bytes / 2**20:.0f} MiB."

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        self._drop(key)
        size = len(key.encode()) + len(value) + _OVERHEAD
        if size > self._max_bytes:
            return
        self._entries[key] = _Entry(value, self._clock.monotonic() + ttl, size)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
