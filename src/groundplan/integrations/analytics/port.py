"""Analytics: facts noted from pages and API, gathered off the request's path."""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    properties: dict[str, Any]
    at: datetime
    tenant_id: UUID | None
    user_id: UUID | None
    request_id: str
    traceparent: str


class Analytics(Protocol):
    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def ping(self) -> str: ...

    def track(self, name: str, *, tenant_id: UUID | None, user_id: UUID | None, properties: dict[str, Any]) -> None:
        """Notes a fact; never waits, never raises."""
        ...
