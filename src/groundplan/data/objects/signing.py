"""Signed, expiring URLs of our own, for storage that cannot make them: HMAC-SHA256 over key, time and file name."""

import hashlib
import hmac
import json
from urllib.parse import quote, urlencode

from groundplan.core.clock import Clock


class UrlSigner:
    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def url(self, key: str, *, expires_in: int, filename: str | None) -> str:
        """A path on this host, valid for ``expires_in`` seconds."""
        expires = int(self._clock.now().timestamp()) + expires_in
        query = {"expires": str(expires)}
        if filename is not None:
            query["filename"] = filename
        query["signature"] = self._signature(key, expires, filename)
        return f"/objects/{quote(key)}?{urlencode(query)}"

    def verify(self, key: str, *, expires: int, signature: str, filename: str | None) -> bool:
        """Whether we signed exactly this, and it has not expired. Takes the same time for every wrong signature."""
        expected = self._signature(key, expires, filename)
        signed = hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))
        return signed and self._clock.now().timestamp() < expires

    def _signature(self, key: str, expires: int, filename: str | None) -> str:
        message = json.dumps([key, expires, filename]).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
