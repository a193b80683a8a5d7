"""Identifiers: UUIDv7 (RFC 9562), whose order is roughly the order of creation, so indexes stay compact.

They are unique, not secret: what must not be guessed comes from ``secrets``. The operating system's random source would
cost a switch of threads for each of the several ids that every request takes.
"""

import random
import time
from uuid import UUID

_RAND_BITS = 74


def uuid7(milliseconds: int | None = None) -> UUID:
    """A new UUIDv7; ``milliseconds`` since the epoch can be given to make ids for past rows."""
    return UUID(int=_uuid7(time.time_ns() // 1_000_000 if milliseconds is None else milliseconds))


def request_id() -> str:
    """``req_`` and the 32 hex characters of a new UUIDv7."""
    return f"req_{_uuid7(time.time_ns() // 1_000_000):032x}"


def _uuid7(at: int) -> int:
    noise = random.getrandbits(_RAND_BITS)
    high, low = noise >> 62, noise & ((1 << 62) - 1)
    return (at & ((1 << 48) - 1)) << 80 | 7 << 76 | high << 64 | 2 << 62 | low


def trace_id() -> str:
    """32 hex characters that are not all zero, as W3C Trace Context asks."""
    return f"{random.getrandbits(128) or 1:032x}"


def span_id() -> str:
    """16 hex characters, as W3C Trace Context asks."""
    return f"{random.getrandbits(64) or 1:016x}"
