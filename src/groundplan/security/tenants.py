"""Tenants, found by host, slug or id. The list is short and read often, so it is kept, and read again on a miss."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from groundplan.core.clock import Clock
from groundplan.core.context import of_nobody
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.security.principal import Tenant

K = TypeVar("K")
_REFRESH_SECONDS = 1.0
"""How soon a miss may ask the database again, so that unknown hosts cannot flood it."""


class Tenants:
    def __init__(
        self, database: Database, clock: Clock, *, bare_hosts: frozenset[str] = frozenset(), operator: str | None = ""
    ) -> None:
        """``bare_hosts`` lead to the first tenant: on a laptop, ``localhost`` and ``127.0.0.1``.

        ``operator`` is the slug of the tenant that operates the deployment; empty is the first, None nobody.
        """
        self._operator = operator
        self._database = database
        self._clock = clock
        self._bare_hosts = bare_hosts
        self._all: tuple[Tenant, ...] = ()
        self._by_host: dict[str, Tenant] = {}
        self._by_id: dict[UUID, Tenant] = {}
        self._by_slug: dict[str, Tenant] = {}
        self._read_at = -_REFRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def by_host(self, host: str) -> Tenant | None:
        """``host`` may carry a port."""
        if self.is_bare(host):
            return await self.first()
        name = _name(host)
        return await self._find(self._by_host, name)

    def is_bare(self, host: str) -> bool:
        """Whether the host names no tenant of its own, so that a token may name one instead."""
        return _name(host) in self._bare_hosts

    async def by_id(self, tenant_id: UUID) -> Tenant | None:
        return await self._find(self._by_id, tenant_id)

    async def by_slug(self, slug: str) -> Tenant | None:
        return await self._find(self._by_slug, slug)

    async def first(self) -> Tenant | None:
        if not self._all:
            await self._refresh()
        return self._all[0] if self._all else None

    async def all(self) -> tuple[Tenant, ...]:
        await self._refresh()
        return self._all

    async def _find(self, index: Mapping[K, Tenant], key: K) -> Tenant | None:
        if key not in index:
            await self._refresh()
        return index.get(key)

    async def _refresh(self) -> None:
        """Whoever misses meanwhile waits for the same answer. Raises Unavailable."""
        if self._reading is None:
            if self._clock.monotonic() - self._read_at < _REFRESH_SECONDS:
                return
            self._reading = asyncio.create_task(self._read(), context=of_nobody())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            rows = await self._database.execute(_ALL)
            self._read_at = self._clock.monotonic()
        finally:
            self._reading = None
        operator = rows[0].slug if rows and self._operator == "" else self._operator
        self._all = tuple(
            Tenant(
                id=as_uuid(row.id),
                slug=row.slug,
                name=row.name,
                host=row.host,
                brand=row.brand,
                operates=row.slug == operator,
            )
            for row in rows
        )
        for index in (self._by_host, self._by_id, self._by_slug):
            index.clear()
        for tenant in self._all:
            self._by_host[tenant.host], self._by_id[tenant.id], self._by_slug[tenant.slug] = tenant, tenant, tenant


@lru_cache(maxsize=1_000)
def _name(host: str) -> str:
    lowered = host.lower()
    return lowered if lowered.endswith("]") else lowered.rpartition(":")[0] or lowered


_ALL = Sql("SELECT id, slug, name, host, brand FROM tenants ORDER BY created_at, slug")
