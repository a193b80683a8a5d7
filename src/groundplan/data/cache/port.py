"""What a cache engine must do: keep bytes under a key for a while."""

from typing import Protocol


class CacheStore(Protocol):
    """May forget anything at any time, and raises where the engine cannot be reached."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises where it is not well."""
        ...

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """``ttl`` in seconds, more than 0."""
        ...

    async def delete(self, *keys: str) -> None:
        """Keys that are not there are fine."""
        ...
