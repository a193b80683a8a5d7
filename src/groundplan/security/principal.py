"""Tenants, users, and what a user's roles allow."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from uuid import UUID

import msgspec

EVERYTHING = "*"
_OF_DEPLOYMENT = ("console:", "metrics:")


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str
    name: str
    host: str
    brand: str
    operates: bool = False
    """Whether its people may hold permissions of the whole deployment, which concern every tenant."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    email: str
    name: str
    roles: tuple[str, ...]


class Roles:
    """Role -> permissions. ``anonymous`` is everyone who has not signed in; ``*`` allows everything."""

    def __init__(self, roles: Mapping[str, Iterable[str]]) -> None:
        self._permissions = {role: frozenset(permissions) for role, permissions in roles.items()}
        self._of_several = lru_cache(maxsize=1_000)(self._united)

    def permissions(self, user: User | None) -> frozenset[str]:
        return self._of_several(user.roles if user else ())

    def _united(self, roles: tuple[str, ...]) -> frozenset[str]:
        return frozenset().union(*(self._permissions.get(role, frozenset()) for role in ("anonymous", *roles)))

    def known(self) -> frozenset[str]:
        return frozenset(self._permissions)


def concerns_every_tenant(permission: str) -> bool:
    """Such as the console's, which shows the traces, messages and mails of all of them."""
    return permission.startswith(_OF_DEPLOYMENT)


def allows(permissions: frozenset[str], permission: str) -> bool:
    return permission in permissions or EVERYTHING in permissions
