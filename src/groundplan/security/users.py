"""The users of a tenant, as sign-up and sign-in need them."""

from uuid import UUID

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import Conflict
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.security.principal import User


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    password_hash: str


class Users:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def credentials(self, tenant_id: UUID, email: str) -> Credentials | None:
        rows = await self._database.execute(_FIND, tenant_id=tenant_id, email=email.lower())
        return Credentials(user=user_from(rows[0]), password_hash=rows[0].password_hash) if rows else None

    async def get(self, user_id: UUID) -> User | None:
        rows = await self._database.execute(_GET, id=user_id)
        return user_from(rows[0]) if rows else None

    async def add(
        self, transaction: Transaction, *, tenant_id: UUID, email: str, name: str, password_hash: str
    ) -> User:
        """A new customer. Raises Conflict where the address is taken in this tenant."""
        user = User(id=uuid7(), tenant_id=tenant_id, email=email.lower(), name=name, roles=("customer",))
        added = await transaction.execute(
            _ADD,
            id=user.id,
            tenant_id=tenant_id,
            email=user.email,
            name=name,
            password_hash=password_hash,
            roles="customer",
            now=self._clock.now(),
        )
        if not added:
            raise Conflict("This email address has an account already. Sign in instead.")
        return user


def user_from(row: Row) -> User:
    return User(
        id=as_uuid(row.id),
        tenant_id=as_uuid(row.tenant_id),
        email=row.email,
        name=row.name,
        roles=tuple(role for role in row.roles.split(",") if role),
    )


_COLUMNS = "id, tenant_id, email, name, roles, password_hash"
_FIND = Sql(f"SELECT {_COLUMNS} FROM users WHERE tenant_id = :tenant_id AND email = :email")
_GET = Sql(f"SELECT {_COLUMNS} FROM users WHERE id = :id")
_ADD = Sql("""INSERT INTO users (id, tenant_id, email, name, password_hash, roles, created_at)
    VALUES (:id, :tenant_id, :email, :name, :password_hash, :roles, :now)
    ON CONFLICT (tenant_id, email) DO NOTHING RETURNING id""")
