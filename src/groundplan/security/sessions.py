"""Opaque server-side sessions: the browser or script holds a random token, the database only its SHA-256."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from groundplan.core.clock import Clock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.security.principal import User
from groundplan.security.users import user_from

LIFETIMES = {"browser": timedelta(hours=12), "script": timedelta(minutes=15)}
KNOWN_SECONDS = 10.0
MOST_KNOWN = 10_000
ENDED_CHANNEL = "groundplan_sessions_ended"
_TOKEN_BYTES = 32


class Session(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: datetime


class _Known(NamedTuple):
    user: User
    expires_at: datetime
    until: float
    """On the monotonic clock."""


class Sessions:
    """Who was recognised is remembered for a few seconds; a session that ends anywhere is forgotten at once.

    Where that word is lost, between processes, it counts for ``KNOWN_SECONDS`` more; so do roles that changed.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._endings = 0
        self._listens = False

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
        key = _hash(token)
        known = self._known.get(key)
        if known and known.until > self._clock.monotonic() and known.expires_at > self._clock.now():
            return known.user
        return await self._look_up(key)

    async def close(self, transaction: Transaction, token: str) -> UUID | None:
        """Whose session it was; None where there was none."""
        ended = await transaction.execute(_CLOSE, token_hash=_hash(token))
        if not ended:
            return None
        transaction.after_commit(lambda: self._database.notify(ENDED_CHANNEL))
        return as_uuid(ended[0].user_id)

    async def _look_up(self, key: str) -> User | None:
        if not self._listens:
            self._listens = True
            await self._database.listen(ENDED_CHANNEL, self._forget)
        endings = self._endings
        rows = await self._database.execute(_FIND, token_hash=key, now=self._clock.now())
        self._known.pop(key, None)
        if not rows:
            return None
        user = user_from(rows[0])
        if endings == self._endings:  # else it may have ended while it was read
            while len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            until = self._clock.monotonic() + KNOWN_SECONDS
            self._known[key] = _Known(user, as_instant(rows[0].expires_at), until)
        return user

    def _forget(self) -> None:
        self._endings += 1
        self._known.clear()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_OPEN = Sql("""INSERT INTO sessions (token_hash, user_id, tenant_id, kind, created_at, expires_at)
    VALUES (:token_hash, :user_id, :tenant_id, :kind, :now, :expires_at)""")
_FIND = Sql("""SELECT u.id, u.tenant_id, u.email, u.name, u.roles, s.expires_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_hash = :token_hash AND s.expires_at > :now""")
_CLOSE = Sql("DELETE FROM sessions WHERE token_hash = :token_hash RETURNING user_id")
