"""Services with the tenant and user of the context filled in."""

from typing import Any

from groundplan.flags.flags import Flags
from groundplan.integrations.analytics.port import Analytics
from groundplan.security.principal import Tenant, User


class BoundFlags:
    def __init__(self, flags: Flags, tenant: Tenant | None, user: User | None) -> None:
        self._flags = flags
        self._tenant = tenant.slug if tenant else ""
        self._user = str(user.id) if user else ""

    def enabled(self, name: str, default: bool = False) -> bool:
        """Whether the flag is on for this tenant and user; ``default`` where nobody defined it."""
        return self._flags.enabled(name, default, tenant=self._tenant, user=self._user)


class BoundAnalytics:
    def __init__(self, analytics: Analytics, tenant: Tenant | None, user: User | None) -> None:
        self._analytics = analytics
        self._tenant_id = tenant.id if tenant else None
        self._user_id = user.id if user else None

    def track(self, name: str, **properties: Any) -> None:
        """Notes a fact about this tenant and user; never waits, never raises."""
        self._analytics.track(name, tenant_id=self._tenant_id, user_id=self._user_id, properties=properties)
