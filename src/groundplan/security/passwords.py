"""Passwords: argon2id (RFC 9106), hashed in a thread because one hash takes tens of milliseconds of CPU."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MINIMUM_LENGTH = 15
"""Characters, where a password is the only factor (NIST SP 800-63B-4); no composition rules."""
MAXIMUM_LENGTH = 256


class Passwords:
    """``parallel`` hashes run at once at most: each holds ``memory_kib`` of memory."""

    def __init__(self, *, memory_kib: int = 19 * 1024, iterations: int = 2, parallel: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._slots = asyncio.Semaphore(parallel)
        self._decoy = self._hasher.hash("nobody has this password")

    def hash_now(self, password: str) -> str:
        """Blocks; for seeds and command lines."""
        return self._hasher.hash(password)

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Takes as long for an unknown user (``stored`` is None) as for a wrong password."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, stored, password)

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            self._hasher.verify(stored or self._decoy, password)
        except (Argon2Error, InvalidHashError):
            return False
        return stored is not None
