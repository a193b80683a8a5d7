"""The internal assertion: how one of our roles tells another who is asking. Signed, and good for 60 seconds."""

import base64
import binascii
import hashlib
import hmac

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import Unauthenticated
from groundplan.security.principal import User

LIFETIME_SECONDS = 60
_PURPOSE = b"groundplan internal assertion v1"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    tenant_slug: str
    user: User | None
    expires_at: int
    """Seconds since the epoch."""


class Assertions:
    """HMAC-SHA256 with a key derived from the platform's secret for this purpose alone."""

    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._key = hmac.digest(secret_key.encode(), _PURPOSE, "sha256")
        self._clock = clock

    def sign(self, tenant_slug: str, user: User | None) -> str:
        expires_at = int(self._clock.now().timestamp()) + LIFETIME_SECONDS
        body = msgspec.json.encode(Claims(tenant_slug=tenant_slug, user=user, expires_at=expires_at))
        return f"{_encode(body)}.{_encode(self._mac(body))}"

    def verify(self, assertion: str) -> Claims:
        """Raises Unauthenticated where it is malformed, forged or expired."""
        try:
            body, mac = (base64.urlsafe_b64decode(part) for part in assertion.split("."))
            if not hmac.compare_digest(mac, self._mac(body)):
                raise ValueError("forged")
            claims = msgspec.json.decode(body, type=Claims)
        except (ValueError, binascii.Error, msgspec.DecodeError) as error:
            raise Unauthenticated("The internal assertion is not valid.") from error
        if claims.expires_at < self._clock.now().timestamp():
            raise Unauthenticated("The internal assertion has expired. Check the clocks of the web and api machines.")
        return claims

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
