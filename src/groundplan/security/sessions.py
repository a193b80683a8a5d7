"""Opaque server-side sessions: the browser or script holds a random token, the database only its SHA-256."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from groundplan.core.clock import Clock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.security.principal import User
from groundplan.security.users import user_from

LIFETIMES = {"browser": timedelta(hours=12), "script": timedelta(minutes=15)}
_TOKEN_BYTES = 32


class Session(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: datetime


class Sessions:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open(self, transaction: Transaction, user: User, kind: Literal["browser", "script"]) -> Session:
        now = self._clock.now()
        session = Session(token=secrets.token_urlsafe(_TOKEN_BYTES), expires_at=now + LIFETIMES[kind])
        await transaction.execute(
            _OPEN,
            token_hash=_hash(session.token),
            user_id=user.id,
            tenant_id=user.tenant_id,
            kind=kind,
            now=now,
            expires_at=session.expires_at,
        )
        return session

    async def user_of(self, token: str) -> User | None:
        """The signed-in user, or None if the session is unknown, expired or closed."""
        if not 20 <= len(token) <= 100 or not token.isascii():
            return None
        rows = await self._database.execute(_FIND, token_hash=_hash(token), now=self._clock.now())
        return user_from(rows[0]) if rows else None

    async def close(self, transaction: Transaction, token: str) -> None:
        await transaction.execute(_CLOSE, token_hash=_hash(token))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_OPEN = Sql("""INSERT INTO sessions (token_hash, user_id, tenant_id, kind, created_at, expires_at)
    VALUES (:token_hash, :user_id, :tenant_id, :kind, :now, :expires_at)""")
_FIND = Sql("""SELECT u.id, u.tenant_id, u.email, u.name, u.roles FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_hash = :token_hash AND s.expires_at > :now""")
_CLOSE = Sql("DELETE FROM sessions WHERE token_hash = :token_hash")
