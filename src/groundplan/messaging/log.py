"""The append-only event log, for facts that nobody needs to handle: analytics."""

from collections.abc import Sequence
from typing import Any

import msgspec

from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql

PREFIX = "analytics."
"""A fact is not a domain event of that name: replaying one must never meet the other."""


class EventLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, facts: Sequence[Any]) -> None:
        """Adds facts in one batch; each names the tenant, user and request it was seen in."""
        async with self._database.transaction(None) as transaction:
            await transaction.execute_many(
                _APPEND,
                [
                    {
                        "id": uuid7(),
                        "name": f"{PREFIX}{fact.name}",
                        "tenant_id": fact.tenant_id,
                        "user_id": fact.user_id,
                        "request_id": fact.request_id,
                        "traceparent": fact.traceparent,
                        "at": fact.at,
                        "payload": msgspec.json.encode(fact.properties, enc_hook=str).decode(),
                    }
                    for fact in facts
                ],
            )


_APPEND = Sql("""
    INSERT INTO events (id, name, version, tenant_id, user_id, request_id, traceparent, occurred_at, payload)
    VALUES (:id, :name, 1, :tenant_id, :user_id, :request_id, :traceparent, :at, :payload)
""")
