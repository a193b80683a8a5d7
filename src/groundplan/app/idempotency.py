"""Idempotent writes: one Idempotency-Key has one effect, and its first reply is replayed.

As in the IETF draft "The Idempotency-Key HTTP Header Field".

The key is locked before anything runs, because a second insert of it would only wait for the first:
in the process by a set, across processes by a PostgreSQL advisory lock. Only committed replies are stored,
in the transaction of the write.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from groundplan.core.errors import IdempotencyKeyInUse, IdempotencyKeyReused, Invalid
from groundplan.data.database.link import Step
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction

MAXIMUM_LENGTH = 255
_STILL_RUNNING = "The first request with this Idempotency-Key is still running. Ask again shortly."


class Recorded(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class KeyTaken(IdempotencyKeyInUse):
    """Roll back and look again: the reply to replay is visible now."""


def fingerprint(arguments: dict[str, Any]) -> str:
    """Of the validated arguments, so that spelling (white space, key order) does not make another request."""
    return hashlib.sha256(msgspec.json.encode(arguments, order="deterministic")).hexdigest()


def check_key(key: str) -> str:
    if not 1 <= len(key) <= MAXIMUM_LENGTH or not key.isascii() or not key.isprintable():
        raise Invalid(f"Idempotency-Key must be 1 to {MAXIMUM_LENGTH} printable ASCII characters, a UUID for example.")
    return key


class Idempotency:
    def __init__(self, dialect: str) -> None:
        self._in_flight: set[tuple[str, str]] = set()
        self._find = _FIND_AND_LOCK if dialect == "postgresql" else _FIND

    @contextmanager
    def hold(self, scope: str, key: str) -> Iterator[None]:
        """Raises IdempotencyKeyInUse while another request of this process has the key."""
        if (scope, key) in self._in_flight:
            raise IdempotencyKeyInUse(_STILL_RUNNING)
        self._in_flight.add((scope, key))
        try:
            yield
        finally:
            self._in_flight.discard((scope, key))

    def claim(self, scope: str, key: str) -> Step:
        """What a transaction begins with: it locks a key that is new, and raises KeyTaken where it is not."""
        return Step(_CLAIM, {"scope": scope, "key": key, "lock": _lock(scope, key)}, KeyTaken())

    async def find(self, transaction: Transaction, scope: str, key: str, mark: str) -> Recorded | None:
        """The stored reply of the first request, if it has committed; else the key is locked.

        Raises:
            IdempotencyKeyInUse: another process is running it.
            IdempotencyKeyReused: the first request had other content.
        """
        row = (await transaction.execute(self._find, scope=scope, key=key, lock=_lock(scope, key)))[0]
        if not row.free:
            raise IdempotencyKeyInUse(_STILL_RUNNING)
        if row.fingerprint is None:
            return None
        if row.fingerprint != mark:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used with another request. A new request needs a new key."
            )
        return Recorded(row.status, bytes(row.body))

    def record(self, transaction: Transaction, scope: str, key: str, mark: str, reply: Recorded) -> None:
        """With the commit, which raises KeyTaken where the first request's was not visible yet when this began."""
        transaction.end_with(
            _RECORD,
            KeyTaken(),
            scope=scope,
            key=key,
            fingerprint=mark,
            status=reply.status,
            body=reply.body,
        )


def _lock(scope: str, key: str) -> int:
    digest = hashlib.blake2b(f"{scope}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_CLAIM = Sql(
    postgresql="""SELECT 1 AS free WHERE pg_try_advisory_xact_lock(CAST(:lock AS bigint))
        AND NOT EXISTS (SELECT FROM idempotency WHERE scope = :scope AND key = :key)""",
    sqlite="SELECT 1 AS free WHERE NOT EXISTS (SELECT 1 FROM idempotency WHERE scope = :scope AND key = :key)",
)
_FIND_AND_LOCK = Sql("""
    WITH l AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(:lock) AS free)
    SELECT l.free, i.fingerprint, i.status, i.body
    FROM l LEFT JOIN idempotency i ON i.scope = :scope AND i.key = :key
""")
_FIND = Sql("""
    SELECT l.free, i.fingerprint, i.status, i.body
    FROM (SELECT 1 AS free, :lock AS lock) l LEFT JOIN idempotency i ON i.scope = :scope AND i.key = :key
""")
_RECORD = Sql("""
    INSERT INTO idempotency (scope, key, fingerprint, status, headers, body, created_at)
    VALUES (:scope, :key, :fingerprint, :status, '', :body, NOW) ON CONFLICT (scope, key) DO NOTHING RETURNING key
""")
