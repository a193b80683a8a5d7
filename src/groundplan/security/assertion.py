"""The internal assertion: how one of our roles tells another who is asking. Signed, and good for 60 seconds."""

import hmac

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import Unauthenticated
from groundplan.core.sealed import Seal
from groundplan.security.principal import User

LIFETIME_SECONDS = 60
_PURPOSE = b"groundplan internal assertion v1"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    tenant_slug: str
    user: User | None
    expires_at: int
    """Seconds since the epoch."""
    client: str = ""
    """The address of whoever asked the role that asks now, where somebody outside did."""
    credential: str = ""
    """A digest of what came with it."""


class Assertions:
    """Sealed with a key derived from the platform's secret for this purpose alone."""

    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._seal = Seal(hmac.digest(secret_key.encode(), _PURPOSE, "sha256"))
        self._clock = clock

    def sign(self, tenant_slug: str, user: User | None, *, client: str = "", credential: str = "") -> str:
        expires_at = int(self._clock.now().timestamp()) + LIFETIME_SECONDS
        claims = Claims(tenant_slug=tenant_slug, user=user, expires_at=expires_at, client=client, credential=credential)
        return self._seal.close(claims)

    def verify(self, assertion: str) -> Claims:
        """Raises Unauthenticated where it is malformed, forged or expired."""
        try:
            claims = self._seal.open(assertion, Claims)
        except ValueError as error:
            raise Unauthenticated("The internal assertion is not valid.") from error
        if claims.expires_at < self._clock.now().timestamp():
            raise Unauthenticated("The internal assertion has expired. Check the clocks of the web and api machines.")
        return claims
