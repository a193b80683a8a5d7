"""Services with the tenant and user of the context filled in."""

from groundplan.flags.flags import Flags
from groundplan.security.principal import Tenant, User


class BoundFlags:
    def __init__(self, flags: Flags, tenant: Tenant | None, user: User | None) -> None:
        self._flags = flags
        self._tenant = tenant.slug if tenant else ""
        self._user = str(user.id) if user else ""

    def enabled(self, name: str, default: bool = False) -> bool:
        """Whether the flag is on for this tenant and user; ``default`` where nobody defined it."""
        return self._flags.enabled(name, default, tenant=self._tenant, user=self._user)
