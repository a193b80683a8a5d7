"""What a cache engine must do: keep bytes for a while, let one fill at a time, and never keep what was outdated.

Every claim has a number, and so has every invalidation of a tag, all from one sequence that only rises. What was
claimed before a tag of its address was invalidated is not kept, and what was kept is not found any more.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol


class Address(NamedTuple):
    """Where a value is kept, and what outdates it. All parts are complete names, as ``core.names`` joins them."""

    scope: str
    """The tenant's part: tags are known within it."""
    name: str
    tags: tuple[str, ...]


class Kept(NamedTuple):
    value: bytes
    fresh: bool
    """False once its lifetime has passed, while it may still be served for a moment."""


class Claim(NamedTuple):
    """The right to keep a value at an address, as of the moment of its number."""

    address: Address
    number: int


Heard = Callable[[Collection[str]], None]


class CacheStore(Protocol):
    """May forget anything at any time. All but ``invalidate`` raise Unavailable where the engine cannot be reached."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises where it is not well."""
        ...

    def listen(self, heard: Heard) -> None:
        """``heard`` is called with the tags that anybody invalidated; with none where some may have been missed."""
        ...

    async def get(self, address: Address) -> Kept | None: ...

    async def claim(self, address: Address, lease: float) -> Claim | Kept | None:
        """The right to fill; or what is kept and fresh; or None while another fills, for ``lease`` seconds at most."""
        ...

    async def stamp(self, address: Address) -> Claim:
        """A claim that locks nobody out, for a value that is at hand."""
        ...

    async def keep(self, claim: Claim, value: bytes, fresh: float, stale: float = 0.0) -> bool:
        """Ends the claim. False where the value was outdated since, or a later claim has kept its own.

        It is fresh for ``fresh`` seconds, more than 0, and found for ``stale`` seconds more.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Ends a claim that nothing came of."""
        ...

    async def invalidate(self, scope: str, tags: Collection[str]) -> None:
        """Outdates all that has one of these tags. Holds in this process from now on, whatever the engine does."""
        ...
