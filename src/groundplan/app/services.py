"""Everything a Context can reach, made once per process by the composition root."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groundplan.app.application import Assembly
from groundplan.app.faults import Faults
from groundplan.app.idempotency import Idempotency
from groundplan.core.clock import Clock
from groundplan.data.cache.read_through import Cache
from groundplan.data.database.database import Database
from groundplan.data.objects.port import Objects
from groundplan.data.search.port import Search
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.integrations.analytics.port import Analytics
from groundplan.integrations.mail.port import Mail
from groundplan.integrations.payments.port import Payments
from groundplan.messaging.outbox import Outbox
from groundplan.security.audit import AuditLog
from groundplan.security.tenants import Tenants
from groundplan.security.users import Users
from groundplan.settings import Settings

if TYPE_CHECKING:
    from groundplan.app.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    assembly: Assembly
    settings: Settings
    clock: Clock
    log: Any
    """A structlog logger."""
    database: Database
    cache: Cache
    objects: Objects
    search: Search
    mail: Mail
    payments: Payments
    analytics: Analytics
    flags: Flags
    overrides: Overrides
    faults: Faults
    outbox: Outbox
    audit: AuditLog
    tenants: Tenants
    users: Users
    idempotency: Idempotency
    remote: "Callable[[Context, Any, dict[str, Any]], Awaitable[Any]] | None" = None
    """How ``ctx.api`` reaches an api role elsewhere; None where this process is one."""
    registry: Mapping[type, Any] = field(default_factory=dict)
    """Services by type, for ``ctx.service``: what features of the platform need beyond the above."""
