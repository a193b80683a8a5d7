"""The audit log: one row in the transaction of the act, so that neither exists without the other."""

from typing import Any
from uuid import UUID

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.context import current
from groundplan.core.ids import uuid7
from groundplan.core.redaction import redact
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction


class AuditLog:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def add(
        self,
        transaction: Transaction,
        action: str,
        subject: str,
        *,
        actor: str,
        tenant_id: UUID | None,
        detail: dict[str, Any],
    ) -> None:
        """Notes ``actor`` did ``action`` to ``subject``; written with the transaction's commit."""
        context = current()
        transaction.end_with(
            _ADD,
            id=uuid7(),
            at=self._clock.now(),
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            subject=subject,
            detail=msgspec.json.encode(redact(detail)).decode(),
            request_id=context.request_id if context else "",
            trace_id=context.trace_id if context else "",
        )


_ADD = Sql("""INSERT INTO audit_log (id, at, tenant_id, actor, action, subject, detail, request_id, trace_id)
    VALUES (:id, :at, :tenant_id, :actor, :action, :subject, :detail, :request_id, :trace_id)""")
